#pragma once
// zedrouter's own view of network instances and apps, and the two steps that decide their statuses. No bus, no clock, no effects.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/types/network.hpp"
#include "core/zedrouter/effects.hpp"
#include "core/zedrouter/identity.hpp"
#include "core/zedrouter/numbers.hpp"
#include "core/zedrouter/plan.hpp"

namespace eve::zedrouter {

struct Instance {
    types::NetworkInstanceConfig accepted;  ///< the last one that could be built
    types::NetworkInstanceConfig desired;
    types::NetworkInstanceStatus status;
    bool deleted = false;    ///< unconfigured, but still there
    bool wanted = false;     ///< decided to be in the plan
    bool effective = false;  ///< was in a plan that was applied
    bool suspended = false;
    bool own_bridge = true;
    bool first = true;       ///< arrived before anything of this life: keeps its place before newcomers
    std::uint64_t order = 0;
};

struct App {
    types::AppNetworkConfig config;
    types::AppNetworkStatus status;
    std::string controller;  ///< the topic's owner: zedmanager or zedagent
    bool deleted = false;
    bool wanted = false;
    bool effective = false;
    bool standing = false;  ///< may be on the host: was in a plan that was tried, or there before us, and no plan without it was applied since
    types::AppNetworkConfig applied;  ///< the config that is in force
    bool first = true;
    std::uint64_t order = 0;
};

/// A lease that dnsmasq gave, kept a while after it vanished from the file.
struct KnownLease {
    std::string address;
    Instant last_seen{};
};

/// Interface numbers are per network instance, addressed by app and index.
std::string interface_key(const types::Uuid& app, std::uint32_t index);

struct Tables {
    std::map<types::Uuid, Instance> instances;
    std::map<types::Uuid, App> apps;
    std::map<std::string, KnownLease> leases;  ///< by app UUID and MAC
    std::function<NumberAllocator&(const types::Uuid&)> interface_numbers;
    NumberAllocator* app_numbers = nullptr;
    NumberAllocator* bridge_numbers = nullptr;
    std::function<MacGenerator(const types::Uuid&)> mac_generator;
    types::Uuid device;
    types::DeviceNetworkStatus ports;
    HostObservation seen;
    types::Time now;
};

/// Decides every instance's status but Activated and ReconcileErr.
void decide_instances(Tables& tables);
/// Decides every app's status but Activated and Pending*. Instances come first.
void decide_apps(Tables& tables);
/// The app is gone: its numbers are free again.
void forget_app(Tables& tables, App& app);
/// Instances in the order in which they may claim subnets and ports.
std::vector<Instance*> in_order(std::map<types::Uuid, Instance>& instances);
std::vector<App*> in_order(std::map<types::Uuid, App>& apps);

PlanInput make_plan_input(const Tables& tables, const PlanOptions& options);

/// Sets or clears an error so that an unchanged text keeps its time.
void keep_error(types::ErrorAndTime& error, const std::string& text, types::Time now);
/// The one error of a status: the texts in EVE's order, the oldest time, the worst severity.
void combine_errors(types::NetworkInstanceStatus& status);
bool has_blocking_error(const types::NetworkInstanceStatus& status);

}  // namespace eve::zedrouter
