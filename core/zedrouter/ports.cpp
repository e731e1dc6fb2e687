#include "core/zedrouter/ports.hpp"

#include <algorithm>

#include "core/zedrouter/identity.hpp"

namespace eve::zedrouter {
namespace {

using types::DhcpType;
using types::NetworkInstanceType;
using types::NetworkPortStatus;

constexpr std::uint16_t mtu_default = 1500;

/// Why one port cannot serve this instance, or empty.
std::string port_problem(const types::NetworkInstanceConfigFields& config, const NetworkPortStatus& port, bool multi_port,
                         const std::vector<PortUse>& others, const std::set<std::string>& bridges) {
    const bool local = config.Type == NetworkInstanceType::NetworkInstanceTypeLocal;
    const std::string name = "port " + port.Logicallabel;
    if (port.InvalidConfig) return name + " has invalid config";
    if (port.IfName.empty()) return name + " has no interface name";
    const bool l3 = port.Dhcp == DhcpType::DhcpTypeClient || port.Dhcp == DhcpType::DhcpTypeStatic;
    if (local && !l3) return name + " is L2-only and cannot be used by a local network instance";
    if (!local && port.WirelessCfg.WType != types::WirelessType::WirelessTypeNone) return name + " is wireless and cannot be used by a switch";
    if (!local && multi_port && l3) return name + " is an L3 port and cannot be used by a switch with several ports";
    if (!local && !multi_port && l3 && !bridges.contains(port.IfName)) {
        return name + " has IP configuration and interface " + port.IfName +
               " is not a bridge: putting it into a switch would take the node's own connection away";
    }
    for (const auto& other : others) {
        if (std::find(other.ports.begin(), other.ports.end(), port.Logicallabel) == other.ports.end()) continue;
        const bool other_switch = other.type == NetworkInstanceType::NetworkInstanceTypeSwitch;
        const bool other_multi = other_switch && other.ports.size() > 1;
        const bool collides = local ? other_multi : (multi_port || other_switch);
        if (collides) return name + " is already used by network instance " + other.name;
    }
    return {};
}

}  // namespace

bool port_has_label(const NetworkPortStatus& port, const std::string& label) {
    if (label.empty()) return false;
    if (port.Logicallabel == label || label == "all") return true;
    if (label == "uplink" && port.IsMgmt) return true;
    if (label == "freeuplink" && port.IsMgmt && port.Cost == 0) return true;
    return std::find(port.SharedLabels.begin(), port.SharedLabels.end(), label) != port.SharedLabels.end();
}

std::vector<const NetworkPortStatus*> ports_of_label(const types::DeviceNetworkStatus& ports, const std::string& label) {
    std::vector<const NetworkPortStatus*> found;
    if (label.empty()) return found;
    for (const auto& port : ports.Ports)
        if (port.Logicallabel == label) return {&port};
    for (const auto& port : ports.Ports)
        if (port_has_label(port, label)) found.push_back(&port);
    return found;
}

PortSelection select_ports(const types::NetworkInstanceConfigFields& config, const types::DeviceNetworkStatus& ports,
                           const std::vector<PortUse>& others, const std::set<std::string>& bridges) {
    PortSelection selection;
    if (config.PortLabel.empty()) return selection;
    const auto candidates = ports_of_label(ports, config.PortLabel);
    if (candidates.empty()) {
        selection.error = "no port is matching label '" + config.PortLabel + "'";
        return selection;
    }
    for (const auto* port : candidates) {
        const auto problem = port_problem(config, *port, candidates.size() > 1, others, bridges);
        if (problem.empty()) selection.ports.push_back(port);
        else selection.error += (selection.error.empty() ? "" : "\n") + problem;
    }
    return selection;
}

MtuDecision decide_mtu(std::uint16_t configured, const std::vector<const NetworkPortStatus*>& ports) {
    std::uint16_t least = 0;
    for (const auto* port : ports)
        if (port->MTU != 0 && (least == 0 || port->MTU < least)) least = port->MTU;
    if (least == 0) return {.mtu = configured == 0 ? mtu_default : configured, .error = {}};
    if (configured == 0) return {.mtu = least, .error = {}};
    if (configured <= least) return {.mtu = configured, .error = {}};
    return {.mtu = least,
            .error = "MTU (" + std::to_string(configured) + ") configured for the network instance is higher than the MTU of its ports; using " +
                     std::to_string(least)};
}

std::string find_ip_conflict(const std::optional<types::IpNet>& subnet, const std::vector<NamedSubnet>& others,
                             const types::DeviceNetworkStatus& ports) {
    const auto mine = ipv4_net(subnet);
    if (!mine) return {};
    for (const auto& other : others) {
        const auto theirs = ipv4_net(other.subnet);
        if (theirs && overlap(*mine, *theirs)) return "subnet " + mine->to_string() + " overlaps with network instance " + other.name;
    }
    for (const auto& port : ports.Ports) {
        const auto theirs = ipv4_net(port.IPv4Subnet);
        if (theirs && overlap(*mine, *theirs))
            return "subnet " + mine->to_string() + " overlaps with subnet " + theirs->to_string() + " of device port " + port.Logicallabel;
    }
    return {};
}

std::string find_config_error(const types::NetworkInstanceConfigFields& config) {
    const bool local = config.Type == NetworkInstanceType::NetworkInstanceTypeLocal;
    if (!local && config.Type != NetworkInstanceType::NetworkInstanceTypeSwitch)
        return "network instance type " + std::to_string(static_cast<int>(config.Type)) + " is not supported";
    if (!local) {
        if (config.IpType != types::AddressType::AddressTypeNone) return "a switch network instance has no IP addresses";
        return {};
    }
    if (config.IpType == types::AddressType::AddressTypeIPV6) return "IPv6 local network instances are not supported";
    if (config.IpType != types::AddressType::AddressTypeIPV4)
        return "IpType " + std::to_string(static_cast<int>(config.IpType)) + " is not supported";
    const auto subnet = ipv4_net(config.Subnet);
    if (!subnet) return "a local network instance needs an IPv4 subnet";
    constexpr int longest_prefix = 30;  // four addresses
    if (subnet->length > longest_prefix) return "subnet " + subnet->to_string() + " is too small";
    if (!config.Gateway.is_v4()) return "a local network instance needs a gateway";
    const auto gateway = config.Gateway.v4();
    const auto start = config.DhcpRange.Start.v4();
    const auto end = config.DhcpRange.End.v4();
    if (!subnet->contains(gateway)) return "gateway " + config.Gateway.to_string() + " is not in subnet " + subnet->to_string();
    if (start == 0 || end == 0 || start > end) return "a local network instance needs a DHCP range";
    if (!subnet->contains(start)) return "DHCP range start " + config.DhcpRange.Start.to_string() + " is not in subnet " + subnet->to_string();
    if (!subnet->contains(end)) return "DHCP range end " + config.DhcpRange.End.to_string() + " is not in subnet " + subnet->to_string();
    if (gateway >= start && gateway <= end) return "gateway " + config.Gateway.to_string() + " is inside the DHCP range";
    return {};
}

std::vector<types::IpAddress> port_addresses(const NetworkPortStatus& port) {
    std::vector<types::IpAddress> addresses;
    if (port.IgnoredDhcpIPs) return addresses;
    for (const auto& info : port.AddrInfoList) {
        if (!info.Addr.is_v4() || info.Addr.is_link_local()) continue;
        const auto first = info.Addr.v4() >> 24;
        if (first == 0 || first == 127 || first >= 224) continue;
        addresses.push_back(info.Addr);
    }
    return addresses;
}

std::vector<std::string> combined_ntp_servers(const types::NetworkInstanceConfigFields& config,
                                              const std::vector<const NetworkPortStatus*>& ports) {
    std::vector<std::string> servers;
    auto add = [&](const std::string& server) {
        if (!server.empty() && std::find(servers.begin(), servers.end(), server) == servers.end()) servers.push_back(server);
    };
    for (const auto& server : config.NtpServers) add(server);
    for (const auto* port : ports)
        for (const auto& server : port->NtpServers) add(server);
    return servers;
}

}  // namespace eve::zedrouter
