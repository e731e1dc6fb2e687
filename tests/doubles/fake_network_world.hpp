#pragma once
// A host's network in memory: what zedrouter applied is what is there. Faults: a failing apply, an item that fails, a lost dnsmasq.

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/zedrouter/effects.hpp"

namespace eve {

class FakeNetworkWorld final : public zedrouter::NetworkWorld {
public:
    Result<std::vector<zedrouter::ItemFailure>> apply(const zedrouter::HostNetwork& desired) override;
    Result<zedrouter::HostObservation> observe() override;
    void watch(std::function<void()> changed) override { changed_ = std::move(changed); }

    /// The hypervisor made or removed an app's interface. In no bridge yet.
    void add_link(zedrouter::SeenLink link);
    void remove_link(const std::string& name);
    void add_route(zedrouter::SeenRoute route) { routes_.push_back(std::move(route)); touch(); }
    /// dnsmasq gave an address.
    void give_lease(const std::string& bridge, zedrouter::SeenLease lease);
    void clear_leases(const std::string& bridge);
    void kill_dnsmasq(const std::string& bridge);
    void touch() { if (changed_) changed_(); }

    const zedrouter::HostNetwork& network() const { return network_; }
    const zedrouter::NftTable* table(const std::string& family) const;
    std::vector<std::string> rules(const std::string& chain) const;
    bool has_bridge(const std::string& name) const;
    int applies() const { return applies_; }

    /// The machine started anew: nothing is there.
    void reboot();

    std::optional<Error> fail_apply;
    bool lose_reply = false;  ///< apply() does its work and says that it failed
    std::vector<zedrouter::ItemFailure> fail_items;

private:
    std::function<void()> changed_;
    zedrouter::HostNetwork network_;
    std::map<std::string, zedrouter::SeenLink> links_;
    std::vector<zedrouter::SeenRoute> routes_;
    std::map<std::string, std::vector<zedrouter::SeenLease>> leases_;
    std::vector<std::string> dead_;
    int next_index_ = 10;
    int applies_ = 0;
};

}  // namespace eve
