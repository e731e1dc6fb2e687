#include "tests/doubles/fake_network_world.hpp"

#include <algorithm>

namespace eve {

using namespace zedrouter;

Result<std::vector<ItemFailure>> FakeNetworkWorld::apply(const HostNetwork& desired) {
    ++applies_;
    if (fail_apply) return *fail_apply;
    network_ = desired;
    dead_.clear();
    for (auto at = links_.begin(); at != links_.end();) {
        const bool ours = at->second.kind == "bridge" && at->first.starts_with("bn");
        const bool wanted = std::any_of(desired.bridges.begin(), desired.bridges.end(), [&](const auto& bridge) { return bridge.name == at->first; });
        if (ours && !wanted) {
            leases_.erase(at->first);
            for (auto& [name, link] : links_)
                if (link.master == at->first) link.master.clear();
            at = links_.erase(at);
        } else {
            ++at;
        }
    }
    for (const auto& bridge : desired.bridges) {
        auto& link = links_[bridge.name];
        if (link.index == 0) link.index = next_index_++;
        link.name = bridge.name;
        link.mac = bridge.mac;
        link.mtu = bridge.mtu;
        link.up = true;
        link.kind = "bridge";
        for (const auto& port : bridge.ports)
            if (links_.contains(port)) links_[port].master = bridge.name;
    }
    for (const auto& vif : desired.vifs) {
        const auto found = links_.find(vif.name);
        if (found == links_.end()) continue;
        found->second.master = vif.bridge;
        found->second.up = !vif.bridge.empty();
        found->second.mtu = vif.mtu;
    }
    touch();
    if (lose_reply) return Error{Code::timed_out, "netlink: no answer"};
    return fail_items;
}

void FakeNetworkWorld::reboot() {
    changed_ = nullptr;
    network_ = {};
    links_.clear();
    routes_.clear();
    leases_.clear();
    dead_.clear();
}

Result<HostObservation> FakeNetworkWorld::observe() {
    HostObservation seen;
    for (const auto& [name, link] : links_) seen.links.push_back(link);
    seen.routes = routes_;
    for (const auto& route : network_.routes)
        if (!route.device.empty()) seen.routes.push_back({route.table, route.destination, route.gateway, route.device, route.metric});
    seen.leases = leases_;
    for (const auto& server : network_.dhcp_servers)
        if (std::find(dead_.begin(), dead_.end(), server.bridge) == dead_.end()) seen.dhcp_servers.push_back(server.bridge);
    return seen;
}

void FakeNetworkWorld::add_link(SeenLink link) {
    if (link.index == 0) link.index = next_index_++;
    links_[link.name] = std::move(link);
    touch();
}

void FakeNetworkWorld::remove_link(const std::string& name) {
    links_.erase(name);
    touch();
}

void FakeNetworkWorld::give_lease(const std::string& bridge, SeenLease lease) {
    leases_[bridge].push_back(std::move(lease));
    touch();
}

void FakeNetworkWorld::clear_leases(const std::string& bridge) {
    leases_[bridge].clear();
    touch();
}

void FakeNetworkWorld::kill_dnsmasq(const std::string& bridge) {
    dead_.push_back(bridge);
    touch();
}

const NftTable* FakeNetworkWorld::table(const std::string& family) const {
    for (const auto& table : network_.tables)
        if (table.family == family) return &table;
    return nullptr;
}

std::vector<std::string> FakeNetworkWorld::rules(const std::string& chain) const {
    for (const auto& table : network_.tables)
        for (const auto& candidate : table.chains)
            if (candidate.name == chain) return candidate.rules;
    return {};
}

bool FakeNetworkWorld::has_bridge(const std::string& name) const { return links_.contains(name); }

}  // namespace eve
