#pragma once
// Which ports of the device a network instance uses, its MTU, and whether its subnet collides: pure functions over what nim reports.

#include <map>
#include <set>
#include <string>
#include <vector>

#include "core/types/network.hpp"

namespace eve::zedrouter {

/// Whether `label` names the port: its logical label, a shared one, or one of EVE's own (all, uplink, freeuplink).
bool port_has_label(const types::NetworkPortStatus& port, const std::string& label);
/// Ports that a label means: the one whose logical label it is, else all that share it.
std::vector<const types::NetworkPortStatus*> ports_of_label(const types::DeviceNetworkStatus& ports, const std::string& label);

/// How another network instance uses its ports, as far as it matters for sharing.
struct PortUse {
    std::string name;  ///< for the message
    types::NetworkInstanceType type = {};
    std::vector<std::string> ports;  ///< logical labels
};

struct PortSelection {
    std::vector<const types::NetworkPortStatus*> ports;
    std::string error;  ///< one line per port that was left out, or why there is none
};
/// `bridges` are interfaces that are bridges already (EVE's nim makes one of each Ethernet port).
PortSelection select_ports(const types::NetworkInstanceConfigFields& config, const types::DeviceNetworkStatus& ports,
                           const std::vector<PortUse>& others, const std::set<std::string>& bridges);

struct MtuDecision {
    std::uint16_t mtu = 1500;
    std::string error;
};
MtuDecision decide_mtu(std::uint16_t configured, const std::vector<const types::NetworkPortStatus*>& ports);

struct NamedSubnet {
    std::string name;
    std::optional<types::IpNet> subnet;
};
/// Why the subnet cannot be used, or empty.
std::string find_ip_conflict(const std::optional<types::IpNet>& subnet, const std::vector<NamedSubnet>& others,
                             const types::DeviceNetworkStatus& ports);

/// Why the config of a network instance cannot be built, or empty.
std::string find_config_error(const types::NetworkInstanceConfigFields& config);

/// IPv4 unicast addresses by which a port is reached from outside, without link-local ones.
std::vector<types::IpAddress> port_addresses(const types::NetworkPortStatus& port);
/// NTP servers of the instance and its ports, each once.
std::vector<std::string> combined_ntp_servers(const types::NetworkInstanceConfigFields& config,
                                              const std::vector<const types::NetworkPortStatus*>& ports);

}  // namespace eve::zedrouter
