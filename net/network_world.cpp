#include "net/network_world.hpp"

#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <utility>

#include "net/process.hpp"

namespace eve::net {
namespace {

using zedrouter::HostNetwork;
using zedrouter::ItemFailure;

/// Events come in swarms; the agent looks once per this time.
constexpr std::chrono::milliseconds quiet_time{20};

Status write_sysctl(const std::string& name, const std::string& value) {
    const std::string path = "/proc/sys/" + name;
    {
        std::ifstream file(path);
        std::string now;
        if (!(file >> now)) return Error{Code::not_found, "the kernel has no " + name};
        if (now == value) return {};
    }
    std::ofstream file(path);
    file << value;
    file.flush();
    if (!file) return Error{Code::permission_denied, path + " cannot be written"};
    return {};
}

void append(std::vector<ItemFailure>& to, std::vector<ItemFailure> more) {
    to.insert(to.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

const Link* by_name(const std::vector<Link>& links, const std::string& name) {
    const auto found = std::find_if(links.begin(), links.end(), [&](const Link& link) { return link.name == name; });
    return found == links.end() ? nullptr : &*found;
}

int index_of(const std::vector<Link>& links, const std::string& name) {
    const auto* link = by_name(links, name);
    return link ? link->index : 0;
}

template <class Plan> const Plan* find_plan(const std::vector<Plan>& plans, const std::string& name) {
    const auto found = std::find_if(plans.begin(), plans.end(), [&](const Plan& plan) { return plan.name == name; });
    return found == plans.end() ? nullptr : &*found;
}

/// An address as the kernel writes it, so that texts can be compared.
std::string canonical(const std::string& text) {
    const auto slash = text.find('/');
    if (slash != std::string::npos) return text;
    const auto parsed = parse_address(text);
    return parsed ? text + "/" + std::to_string(parsed->length) : text;
}

bool is_our_table(std::uint32_t table) {
    return table > zedrouter::route_table_base && table <= zedrouter::route_table_base + zedrouter::bridge_numbers_max;
}

/// IPv6 routes without a metric get this one from the kernel.
constexpr std::uint32_t ipv6_metric_default = 1024;

bool same_route(const Route& seen, const zedrouter::RoutePlan& plan, int device) {
    const bool unreachable = plan.device.empty();
    const bool v6 = plan.destination.find(':') != std::string::npos;
    const std::uint32_t metric = plan.metric == 0 && v6 ? ipv6_metric_default : plan.metric;
    return seen.table == plan.table && seen.destination == plan.destination && seen.gateway == plan.gateway && seen.metric == metric &&
           (seen.type == RTN_UNREACHABLE) == unreachable && (unreachable || seen.device == device);
}

bool same_rule(const Rule& seen, const zedrouter::RulePlan& plan) {
    return seen.priority == plan.priority && seen.table == plan.table && seen.from == (plan.from.empty() ? "" : canonical(plan.from)) &&
           seen.to == (plan.to.empty() ? "" : canonical(plan.to));
}

}  // namespace

bool is_our_bridge_name(const std::string& name) {
    return name.size() > 2 && name.starts_with("bn") && std::all_of(name.begin() + 2, name.end(), [](char c) { return c >= '0' && c <= '9'; });
}

struct LinuxNetworkWorld::Seen {
    std::vector<Link> links;
    std::vector<Address> addresses;
    std::vector<Route> routes;
    std::vector<Rule> rules;
};

/// Lives on the loop. Turns descriptors that become readable into one call of `changed`, after a short quiet time.
class LinuxNetworkWorld::Watcher : public std::enable_shared_from_this<Watcher> {
public:
    Watcher(IoLoop& loop, Log& log) : loop_(loop), log_(log) {}
    ~Watcher() { stop(); }

    void start(const std::string& lease_directory, std::function<void()> changed) {
        changed_ = std::move(changed);
        if (auto events = NetlinkEvents::open()) {
            events_ = std::move(*events);
            watches_.push_back(loop_.watch(events_->fd(), Ready::readable, [this] {
                if (events_->drain()) touch();
            }));
        } else {
            log_.write(Level::error, "network.no_events", {{"error", events.error().what}});
        }
        std::error_code error;
        std::filesystem::create_directories(lease_directory, error);
        ::chmod(std::filesystem::path(lease_directory).parent_path().c_str(), 0755);
        ::chmod(lease_directory.c_str(), 0755);
        inotify_ = UniqueFd(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
        if (inotify_ && ::inotify_add_watch(inotify_.get(), lease_directory.c_str(), IN_MODIFY | IN_MOVED_TO | IN_CLOSE_WRITE | IN_DELETE) >= 0) {
            watches_.push_back(loop_.watch(inotify_.get(), Ready::readable, [this] {
                char buffer[4096];
                while (::read(inotify_.get(), buffer, sizeof buffer) > 0) {
                }
                touch();
            }));
        } else {
            log_.write(Level::error, "network.leases_unwatched", {{"error", errno_text(errno)}});
        }
    }

    void watch_process(const std::string& bridge, UniqueFd process) {
        forget_process(bridge);
        auto& entry = processes_[bridge];
        entry.descriptor = std::move(process);
        entry.watch = loop_.watch(entry.descriptor.get(), Ready::readable, [this, bridge] {
            log_.write(Level::warn, "dnsmasq.ended", {{"bridge", bridge}});
            forget_process(bridge);  // last use of this closure's captures was above
            touch();
        });
    }

    void keep_processes(const std::set<std::string>& bridges) {
        for (auto at = processes_.begin(); at != processes_.end();) {
            const auto bridge = at->first;
            ++at;
            if (!bridges.contains(bridge)) forget_process(bridge);
        }
    }

    void stop() {
        changed_ = nullptr;
        if (timer_) loop_.cancel(*timer_);
        timer_.reset();
        for (const auto watch : watches_) loop_.unwatch(watch);
        watches_.clear();
        keep_processes({});
    }

private:
    struct Process {
        UniqueFd descriptor;
        WatchId watch{};
    };

    void forget_process(std::string bridge) {
        const auto found = processes_.find(bridge);
        if (found == processes_.end()) return;
        loop_.unwatch(found->second.watch);
        processes_.erase(found);
    }

    void touch() {
        if (timer_ || !changed_) return;
        timer_ = loop_.after(quiet_time, [self = weak_from_this()] {
            const auto watcher = self.lock();
            if (!watcher) return;
            watcher->timer_.reset();
            if (watcher->changed_) watcher->changed_();
        });
    }

    IoLoop& loop_;
    Log& log_;
    std::function<void()> changed_;
    std::unique_ptr<NetlinkEvents> events_;
    UniqueFd inotify_;
    std::vector<WatchId> watches_;
    std::map<std::string, Process> processes_;
    std::optional<TimerId> timer_;
};

LinuxNetworkWorld::LinuxNetworkWorld(Deps deps) : deps_(std::move(deps)), dnsmasq_(deps_.directory) {}

LinuxNetworkWorld::~LinuxNetworkWorld() {
    if (watcher_) watcher_->stop();
}

void LinuxNetworkWorld::watch(std::function<void()> changed) {
    watcher_ = std::make_shared<Watcher>(deps_.loop, deps_.log);
    watcher_->start(dnsmasq_.lease_directory(), std::move(changed));
}

void LinuxNetworkWorld::watch_processes() {
    if (!watcher_) return;
    std::vector<std::pair<std::string, std::shared_ptr<UniqueFd>>> processes;
    std::set<std::string> bridges;
    for (const auto& [bridge, process] : dnsmasq_.processes()) {
        bridges.insert(bridge);
        processes.emplace_back(bridge, std::make_shared<UniqueFd>(::fcntl(process.get(), F_DUPFD_CLOEXEC, 3)));
    }
    deps_.loop.post([watcher = std::weak_ptr<Watcher>(watcher_), processes, bridges] {
        const auto alive = watcher.lock();
        if (!alive) return;
        alive->keep_processes(bridges);
        for (const auto& [bridge, process] : processes)
            if (*process) alive->watch_process(bridge, std::move(*process));
    });
}

Status LinuxNetworkWorld::open() {
    if (netlink_) return {};
    auto opened = Netlink::open();
    if (!opened) return opened.error();
    netlink_ = std::move(*opened);
    return {};
}

Result<LinuxNetworkWorld::Seen> LinuxNetworkWorld::look() {
    Seen seen;
    auto links = netlink_->links();
    if (!links) return links.error();
    auto addresses = netlink_->addresses();
    if (!addresses) return addresses.error();
    auto routes = netlink_->routes();
    if (!routes) return routes.error();
    auto rules = netlink_->rules();
    if (!rules) return rules.error();
    return Seen{std::move(*links), std::move(*addresses), std::move(*routes), std::move(*rules)};
}

Result<zedrouter::HostObservation> LinuxNetworkWorld::observe() {
    if (auto opened = open(); !opened) return opened.error();
    auto seen = look();
    if (!seen) {
        netlink_.reset();
        return seen.error();
    }
    zedrouter::HostObservation observation;
    std::map<int, std::string> names;
    for (const auto& link : seen->links) names[link.index] = link.name;
    for (const auto& link : seen->links)
        observation.links.push_back({link.index, link.name, link.mac, link.mtu, link.up, link.kind, link.master ? names[link.master] : ""});
    constexpr std::uint32_t port_tables = 500;  // EVE's nim keeps a port's routes in table 500 + ifindex
    for (const auto& route : seen->routes) {
        if (route.type != RTN_UNICAST || route.device == 0) continue;
        const bool of_port = route.table == port_tables + static_cast<std::uint32_t>(route.device);
        if (route.table != RT_TABLE_MAIN && !of_port && !is_our_table(route.table)) continue;
        observation.routes.push_back({route.table, route.destination, route.gateway, names[route.device], route.metric});
    }
    observation.leases = dnsmasq_.leases();
    for (const auto& [bridge, process] : dnsmasq_.processes())
        if (!wait_for_end(process, std::chrono::milliseconds{0})) observation.dhcp_servers.push_back(bridge);
    return observation;
}

Result<std::vector<ItemFailure>> LinuxNetworkWorld::apply(const HostNetwork& desired) {
    if (auto opened = open(); !opened) return opened.error();
    std::vector<ItemFailure> failures;
    for (const auto& sysctl : desired.sysctls) {
        auto written = write_sysctl(sysctl.name, sysctl.value);
        if (written || sysctl.need == zedrouter::Need::wish) continue;
        if (sysctl.need == zedrouter::Need::essential) return std::move(written).error().in("sysctl " + sysctl.name);
        failures.push_back({{}, "sysctl " + sysctl.name, written.error()});
    }

    // Rules first. Without them nothing is let into a bridge: what cannot be filtered must not be connected.
    if (auto filtered = nftables_.apply(desired.tables); !filtered) return filtered.error();

    auto seen = look();
    if (!seen) {
        netlink_.reset();
        return seen.error();
    }
    std::vector<Request> requests;

    // What goes: interfaces out of bridges, routes and rules, dnsmasq, bridges.
    for (const auto& vif : desired.vifs) {
        const auto* link = by_name(seen->links, vif.name);
        if (link && vif.bridge.empty() && (link->master != 0 || link->up)) requests.push_back(set_link(link->index, vif.name, 0, 0, false));
    }
    for (const auto& rule : seen->rules) {
        if (rule.protocol != zedrouter::route_protocol) continue;
        const bool wanted = std::any_of(desired.rules.begin(), desired.rules.end(), [&](const auto& plan) { return same_rule(rule, plan); });
        if (!wanted) requests.push_back(delete_rule(rule));
    }
    for (const auto& route : seen->routes) {
        if (route.protocol != zedrouter::route_protocol || !is_our_table(route.table)) continue;
        const bool wanted = std::any_of(desired.routes.begin(), desired.routes.end(),
                                        [&](const auto& plan) { return same_route(route, plan, index_of(seen->links, plan.device)); });
        if (!wanted) requests.push_back(delete_route(route));
    }
    for (const auto& bridge : desired.bridges) {  // device ports that leave
        const auto* link = by_name(seen->links, bridge.name);
        if (!link) continue;
        for (const auto& member : seen->links) {
            if (member.master != link->index || find_plan(desired.vifs, member.name) || member.name.starts_with("nbu")) continue;
            if (std::find(bridge.ports.begin(), bridge.ports.end(), member.name) == bridge.ports.end())
                requests.push_back(set_link(member.index, member.name, 0, 1500, false));
        }
    }
    if (!requests.empty()) {
        auto done = netlink_->run(requests);
        if (!done) return done.error();
        append(failures, std::move(*done));
        requests.clear();
    }
    append(failures, dnsmasq_.stop_others(desired.dhcp_servers));

    std::vector<Link> going;
    for (const auto& link : seen->links) {
        if (link.kind != "bridge" || !is_our_bridge_name(link.name)) continue;
        const auto* plan = find_plan(desired.bridges, link.name);
        if (plan && plan->mac == link.mac) continue;
        for (const auto& member : seen->links)
            if (member.master == link.index && !find_plan(desired.vifs, member.name) && !member.name.starts_with("nbu"))
                requests.push_back(set_link(member.index, member.name, 0, 1500, false));
        going.push_back(link);
    }
    if (!going.empty()) {
        auto left = netlink_->run(requests);
        if (!left) return left.error();
        append(failures, std::move(*left));
        requests.clear();
        auto removed = netlink_->remove(going);
        if (!removed) return removed.error();
        append(failures, std::move(*removed));
    }
    for (const auto& bridge : desired.bridges) {
        const auto* link = by_name(seen->links, bridge.name);
        if (!link || link->mac != bridge.mac) {
            requests.push_back(make_bridge(bridge));
            if (auto stopped = dnsmasq_.restart(bridge.name); !stopped) failures.push_back({bridge.owner, "dnsmasq " + bridge.name, stopped.error()});
        } else if (const auto* before = find_plan(bridges_, bridge.name); !before || *before != bridge || !link->up || link->mtu != bridge.mtu)
            requests.push_back(change_bridge(link->index, bridge));
    }
    bridges_ = desired.bridges;
    if (!requests.empty() || !going.empty()) {
        auto done = netlink_->run(requests);
        if (!done) return done.error();
        append(failures, std::move(*done));
        requests.clear();
        seen = look();
        if (!seen) return seen.error();
    }

    // What comes: addresses, members, routes and rules.
    for (const auto& bridge : desired.bridges) {
        const auto* link = by_name(seen->links, bridge.name);
        if (!link) continue;
        if (auto written = write_sysctl("net/ipv4/conf/" + bridge.name + "/send_redirects", "0"); !written)
            failures.push_back({bridge.owner, "sysctl send_redirects of " + bridge.name, written.error()});
        for (const auto& address : seen->addresses) {
            if (address.link != link->index || !address.global || address.dynamic) continue;
            if (std::find(bridge.addresses.begin(), bridge.addresses.end(), address.address) == bridge.addresses.end())
                requests.push_back(delete_address(link->index, address.address, bridge.name));
        }
        for (const auto& address : bridge.addresses) {
            const bool there = std::any_of(seen->addresses.begin(), seen->addresses.end(),
                                           [&](const Address& now) { return now.link == link->index && now.address == address; });
            if (there) continue;
            auto request = add_address(link->index, address, bridge.name);
            request.owner = bridge.owner;
            requests.push_back(std::move(request));
        }
        for (const auto& port : bridge.ports) {
            const auto* member = by_name(seen->links, port);
            if (!member || (member->master == link->index && member->up && member->mtu == bridge.mtu)) continue;
            auto request = set_link(member->index, port, link->index, bridge.mtu, true);
            request.owner = bridge.owner;
            requests.push_back(std::move(request));
        }
    }
    for (const auto& vif : desired.vifs) {
        const auto* link = by_name(seen->links, vif.name);
        const auto* bridge = by_name(seen->links, vif.bridge);
        if (!link || !bridge || (link->master == bridge->index && link->up && link->mtu == vif.mtu)) continue;
        auto request = set_link(link->index, vif.name, bridge->index, vif.mtu, true);
        request.owner = vif.owner;
        requests.push_back(std::move(request));
    }
    if (!requests.empty()) {
        auto done = netlink_->run(requests);
        if (!done) return done.error();
        append(failures, std::move(*done));
        requests.clear();
    }

    for (const auto& route : desired.routes) {
        const int device = index_of(seen->links, route.device);
        if (!route.device.empty() && device == 0) continue;  // comes with its device, whose appearance is an event
        const bool there =
            std::any_of(seen->routes.begin(), seen->routes.end(), [&](const Route& now) { return same_route(now, route, device); });
        if (!there) requests.push_back(add_route(route, device));
    }
    for (const auto& rule : desired.rules) {
        const bool there = std::any_of(seen->rules.begin(), seen->rules.end(), [&](const Rule& now) {
            return now.protocol == zedrouter::route_protocol && same_rule(now, rule);
        });
        if (!there) requests.push_back(add_rule(rule));
    }
    if (!requests.empty()) {
        auto done = netlink_->run(requests);
        if (!done) return done.error();
        append(failures, std::move(*done));
    }
    append(failures, dnsmasq_.apply(desired.dhcp_servers));
    watch_processes();
    return failures;
}

}  // namespace eve::net
