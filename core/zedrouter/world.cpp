#include <algorithm>
#include <utility>

#include "core/zedrouter/agent_impl.hpp"

namespace eve::zedrouter {
namespace {

using namespace std::chrono_literals;

constexpr const char* lane = "zedrouter.network";
constexpr auto backoff_max = 60s;
constexpr auto lease_retention = 5min;  ///< a lease that vanished from the file is believed this long
constexpr auto apply_limit = 30s;

}  // namespace

void Agent::Impl::observe() {
    if (observing_) {
        observe_again_ = true;
        return;
    }
    observing_ = true;
    deps_.lanes.submit(
        lane, [&network = deps_.network](const LaneContext&) { return network.observe(); },
        guarded([this, applies = applies_](Result<HostObservation> seen) {
            observing_ = false;
            if (seen) {
                seen_after_ = applies;
                tables_.seen = std::move(*seen);
                observed_ = true;
                note_leases();
                schedule();
            } else {
                deps_.log.write(Level::error, "network.not_observed", {{"error", seen.error().what}});
                retry_later();
            }
            if (std::exchange(observe_again_, false)) observe();
        }));
}

void Agent::Impl::note_leases() {
    const auto now = deps_.loop.now();
    std::size_t present = 0;
    for (const auto& [bridge, leases] : tables_.seen.leases) {
        for (const auto& lease : leases) {
            tables_.leases[lease.host_name + " " + lease.mac] = {.address = lease.address, .last_seen = now};
            ++present;
        }
    }
    std::erase_if(tables_.leases, [&](const auto& item) { return now - item.second.last_seen > lease_retention; });
    if (tables_.leases.size() > present && !lease_timer_) {
        lease_timer_ = deps_.loop.after(lease_retention + 1s, guarded_task([this] {
            lease_timer_.reset();
            note_leases();
            schedule();
        }));
    }
}

void Agent::Impl::apply(Plan plan) {
    applying_ = true;
    std::set<types::Uuid> instances;
    std::map<types::Uuid, types::AppNetworkConfig> configs;
    for (const auto& [uuid, instance] : tables_.instances)
        if (instance.wanted) instances.insert(uuid);
    for (auto& [uuid, app] : tables_.apps) {
        if (!app.wanted) continue;
        configs[uuid] = types::has_error(app.status) ? app.applied : app.config;
        app.standing = true;
    }
    auto network = std::make_shared<const HostNetwork>(std::move(plan.network));
    deps_.lanes.submit(
        lane, [&world = deps_.network, network](const LaneContext&) { return world.apply(*network); },
        guarded([this, network, configs = std::move(configs), instances = std::move(instances)](Result<std::vector<ItemFailure>> result) {
            applied(*network, configs, instances, std::move(result));
        }),
        {.time_limit = apply_limit});
}

void Agent::Impl::applied(const HostNetwork& network, const std::map<types::Uuid, types::AppNetworkConfig>& configs,
                          const std::set<types::Uuid>& instances, Result<std::vector<ItemFailure>> result) {
    applying_ = false;
    ++applies_;
    attempted_ = network;
    attempt_good_ = result && result->empty();
    if (!result) {
        apply_error_ = result.error().what;
        deps_.log.write(Level::error, "network.not_applied", {{"error", result.error().what}, {"hint", result.error().hint}});
        failures_.clear();
        retry_later();
        schedule();
        return;
    }
    apply_error_.clear();
    note_failures(*result);
    if (!result->empty()) retry_later();
    note_effective(configs, instances);
    observe();  // the interfaces' numbers
    schedule();
}

/// What is wanted needs no more than what is there: apps without interfaces, a new version of the same.
void Agent::Impl::note_in_force() {
    std::set<types::Uuid> instances;
    std::map<types::Uuid, types::AppNetworkConfig> configs;
    for (const auto& [uuid, instance] : tables_.instances)
        if (instance.wanted) instances.insert(uuid);
    for (const auto& [uuid, app] : tables_.apps)
        if (app.wanted) configs[uuid] = types::has_error(app.status) ? app.applied : app.config;
    note_effective(configs, instances);
}

void Agent::Impl::note_effective(const std::map<types::Uuid, types::AppNetworkConfig>& configs, const std::set<types::Uuid>& instances) {
    bool changed = false;
    for (auto& [uuid, instance] : tables_.instances) {
        const bool now = instances.contains(uuid);
        changed = changed || now != instance.effective;
        if (now != instance.effective) {
            deps_.log.write(Level::info, now ? "network_instance.activated" : "network_instance.deactivated",
                            {{"network_instance", uuid.to_string()}, {"bridge", instance.status.BridgeName}});
        }
        instance.effective = now;
    }
    for (auto& [uuid, app] : tables_.apps) {
        const auto found = configs.find(uuid);
        const bool now = found != configs.end();
        changed = changed || now != app.effective;
        if (now != app.effective)
            deps_.log.write(Level::info, now ? "app_network.activated" : "app_network.deactivated",
                            {{"app", uuid.to_string()}, {"number", app.status.AppNum}});
        app.effective = now;
        app.standing = now || (app.standing && failures_.contains(uuid.to_string()));
        if (now) app.applied = found->second;
    }
    if (changed) schedule();  // apps may have waited for it
}

void Agent::Impl::note_failures(const std::vector<ItemFailure>& failures) {
    std::map<std::string, std::string> now;
    for (const auto& failure : failures) {
        auto& text = now[failure.owner];
        text += (text.empty() ? "failed items: " : "; ") + failure.item + " (" + failure.error.what +
                (failure.error.hint.empty() ? "" : "; " + failure.error.hint) + ")";
        if (!failures_.contains(failure.owner))
            deps_.log.write(Level::warn, "network.item_failed",
                            {{"owner", failure.owner}, {"item", failure.item}, {"error", failure.error.what}, {"hint", failure.error.hint}});
    }
    failures_ = std::move(now);
}

void Agent::Impl::retry_later() {
    if (retry_timer_) return;
    retry_timer_ = deps_.loop.after(backoff_, guarded_task([this] {
        retry_timer_.reset();
        if (!observed_) observe();
        schedule();
    }));
    backoff_ = std::min<std::chrono::nanoseconds>(backoff_ * 2, backoff_max);
}

void Agent::Impl::log_refused(const std::vector<std::string>& refused) {
    for (const auto& text : refused)
        if (std::find(refused_.begin(), refused_.end(), text) == refused_.end()) deps_.log.write(Level::warn, "acl.refused", {{"rule", text}});
    refused_ = refused;
}

}  // namespace eve::zedrouter
