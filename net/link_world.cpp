#include "net/link_world.hpp"

#include <linux/rtnetlink.h>

#include <fstream>
#include <map>
#include <sstream>

namespace eve::net {
namespace {

/// Interfaces come and go in swarms; nim looks once per this time.
constexpr std::chrono::milliseconds quiet_time{50};

}  // namespace

std::vector<std::string> parse_name_servers(const std::string& text) {
    std::vector<std::string> servers;
    std::istringstream lines(text);
    std::string line;
    while (std::getline(lines, line)) {
        std::istringstream words(line);
        std::string key;
        std::string value;
        if (!(words >> key >> value) || key != "nameserver") continue;
        if (value.starts_with("127.") || value == "::1") continue;
        if (parse_address(value)) servers.push_back(value);
    }
    return servers;
}

LinuxLinkWorld::~LinuxLinkWorld() {
    if (alive_) *alive_ = false;
    if (events_) deps_.loop.unwatch(watch_);
}

Result<nim::Observation> LinuxLinkWorld::observe() {
    if (!netlink_) {
        auto opened = Netlink::open();
        if (!opened) return opened.error();
        netlink_ = std::move(*opened);
    }
    auto links = netlink_->links();
    auto addresses = netlink_->addresses();
    auto routes = netlink_->routes();
    for (const auto* error : {links ? nullptr : &links.error(), addresses ? nullptr : &addresses.error(), routes ? nullptr : &routes.error()}) {
        if (!error) continue;
        const Error copy = *error;
        netlink_.reset();
        return copy;
    }
    nim::Observation seen;
    std::map<int, nim::SeenInterface*> by_index;
    for (const auto& link : *links) {
        if (link.loopback) continue;
        auto& interface = seen.interfaces[link.name];
        interface = {.name = link.name, .mac = link.mac, .mtu = link.mtu, .up = link.up && link.running};
        by_index[link.index] = &interface;
    }
    for (const auto& address : *addresses)
        if (const auto found = by_index.find(address.link); found != by_index.end() && !address.temporary)
            found->second->addresses.push_back(address.address);
    for (const auto& route : *routes) {
        if (route.type != RTN_UNICAST || route.table != RT_TABLE_MAIN || route.gateway.empty()) continue;
        if (route.destination != "0.0.0.0/0" && route.destination != "::/0") continue;
        if (const auto found = by_index.find(route.device); found != by_index.end()) found->second->gateways.push_back(route.gateway);
    }
    std::ifstream file(deps_.resolver_file);
    std::ostringstream text;
    text << file.rdbuf();
    seen.name_servers = parse_name_servers(text.str());
    return seen;
}

void LinuxLinkWorld::watch(std::function<void()> changed) {
    auto events = NetlinkEvents::open();
    if (!events) {
        deps_.log.write(Level::error, "network.no_events", {{"error", events.error().what}});
        return;
    }
    changed_ = std::move(changed);
    events_ = std::move(*events);
    alive_ = std::make_shared<bool>(true);
    watch_ = deps_.loop.watch(events_->fd(), Ready::readable, [this] {
        if (!events_->drain() || waiting_) return;
        waiting_ = true;
        deps_.loop.after(quiet_time, [this, alive = alive_] {
            if (!*alive) return;
            waiting_ = false;
            changed_();
        });
    });
}

}  // namespace eve::net
