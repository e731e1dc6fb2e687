#pragma once
// The whole of the host's network as one pure function of network instances, connected apps and device ports.

#include <map>
#include <string>
#include <vector>

#include "core/types/network.hpp"
#include "core/zedrouter/effects.hpp"

namespace eve::zedrouter {

struct PlanOptions {
    bool clamp_mss = true;          ///< app.enable.tcp.mss.clamping
    std::string run_directory;      ///< where dnsmasq's files are: ROOT/run/zedrouter
    bool log_dhcp = false;          ///< the log level is debug
    bool log_dns = false;           ///< the log level is trace
};

struct PlannedInstance {
    const types::NetworkInstanceStatus* status = nullptr;
    std::vector<const types::NetworkPortStatus*> ports;  ///< selected
    bool own_bridge = true;   ///< false: its bridge is the port itself
    bool suspended = false;   ///< its subnet collides: apps stay, everything else goes
};

/// An app interface of a connected app.
struct PlannedInterface {
    types::Uuid app;
    std::string app_name;
    int app_number = 0;
    int vif_number = 1;
    const types::AppNetAdapterStatus* adapter = nullptr;
};

struct PlanInput {
    std::map<types::Uuid, PlannedInstance> instances;
    std::vector<PlannedInterface> interfaces;
    const types::DeviceNetworkStatus* ports = nullptr;
    const HostObservation* seen = nullptr;
    PlanOptions options;
};

struct Plan {
    HostNetwork network;
    std::vector<std::string> refused;  ///< access control entries that were left out: "app web, nbu1x1: rule 3: .."
};
Plan plan_host_network(const PlanInput& input);

/// What of `network` is not there, one word per kind of item, empty when everything is; failures of apply() are not repeated here.
std::string find_drift(const HostNetwork& network, const HostObservation& seen);

/// Whether DHCP tells apps of a default route.
bool has_default_route(const PlannedInstance& instance, const std::vector<SeenRoute>& routes);

/// What plan_dhcp_server() needs to know of an interface.
struct DhcpClient {
    std::string mac;
    std::string ip;
    std::string app_uuid;
    std::string app_name;
};
struct DhcpInput {
    const PlannedInstance& instance;
    std::vector<DhcpClient> clients;
    std::vector<std::string> hosts;  ///< names whose addresses go into nftables sets
    bool default_route = false;
    PlanOptions options;
};
DhcpServerPlan plan_dhcp_server(const DhcpInput& input);

/// The routes that an instance's own table has beside those of its bridge.
std::vector<RoutePlan> plan_port_routes(const PlannedInstance& instance, const std::vector<SeenRoute>& routes);

}  // namespace eve::zedrouter
