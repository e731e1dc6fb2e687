#include "core/nim/describe.hpp"

#include <algorithm>

namespace eve::nim {
namespace {

using types::DPCState;
using types::IpAddress;

bool has_global_address(const types::NetworkPortStatus& port) {
    return std::any_of(port.AddrInfoList.begin(), port.AddrInfoList.end(), [](const types::AddrInfo& info) { return !info.Addr.is_link_local(); });
}

void describe_addresses(types::NetworkPortStatus& port, const types::NetworkPortConfig& config, const SeenInterface& seen) {
    for (const auto& text : seen.addresses) {
        const auto net = types::IpNet::parse(text);
        if (!net) continue;
        port.AddrInfoList.push_back({.Addr = net->IP, .Mask = net->Mask});
        if (net->IP.is_link_local()) continue;
        auto subnet = *net;
        auto bytes = net->IP.bytes();
        for (std::size_t i = 0; i < bytes.size() && i < net->Mask.size(); ++i) bytes[i] = static_cast<std::uint8_t>(bytes[i] & net->Mask[i]);
        subnet.IP = IpAddress::from_bytes(bytes);
        if (net->IP.is_v6()) port.IPv6Subnets.push_back(subnet);
        else if (!port.IPv4Subnet) port.IPv4Subnet = subnet;
    }
    for (const auto& gateway : seen.gateways)
        if (auto address = IpAddress::parse_or_none(gateway); !address.empty()) port.DefaultRouters.push_back(std::move(address));
    if (port.DefaultRouters.empty() && !config.Gateway.empty() && port.IPv4Subnet && port.IPv4Subnet->contains(config.Gateway))
        port.DefaultRouters.push_back(config.Gateway);
}

types::NetworkPortStatus describe_port(const types::NetworkPortConfig& config, const Observation& seen) {
    types::NetworkPortStatus port;
    static_cast<types::ProxyConfig&>(port) = config;
    static_cast<types::L2LinkConfig&>(port) = config;
    static_cast<types::TestResults&>(port) = config;
    port.IfName = config.IfName;
    port.Phylabel = config.Phylabel;
    port.Logicallabel = config.Logicallabel;
    port.PciLong = config.PCIAddr;
    port.SharedLabels = config.SharedLabels;
    port.Alias = config.Alias;
    port.IsMgmt = config.IsMgmt;
    port.IsL3Port = config.IsL3Port;
    port.InvalidConfig = config.InvalidConfig;
    port.Cost = config.Cost;
    port.Dhcp = config.Dhcp;
    port.Type = config.Type;
    port.DomainName = config.DomainName;
    port.NtpServers = config.NTPServers;
    port.DNSServers = config.DNSServers;
    port.WirelessCfg = config.WirelessCfg;
    port.IgnoredDhcpIPs = config.IgnoreDhcpIPAddresses;
    port.ConfigSource = config.ConfigSource;
    port.MTU = config.MTU;
    if (const auto subnet = types::IpNet::parse(config.AddrSubnet)) {
        port.ConfiguredSubnet = *subnet;
        port.ConfiguredIP = subnet->IP;
    }
    const auto found = seen.interfaces.find(config.IfName);
    if (found == seen.interfaces.end()) {
        if (port.LastError.empty()) port.LastError = "interface " + config.IfName + " is missing";
        return port;
    }
    port.Up = found->second.up;
    port.MacAddr = types::MacAddress::parse_or_none(found->second.mac);
    port.MTU = static_cast<std::uint16_t>(std::min<std::uint32_t>(found->second.mtu, 65535));
    describe_addresses(port, config, found->second);
    // The machine's own resolver speaks for the management ports that have no servers configured.
    if (port.DNSServers.empty() && port.IsMgmt)
        for (const auto& server : seen.name_servers)
            if (auto address = IpAddress::parse_or_none(server); !address.empty()) port.DNSServers.push_back(std::move(address));
    const bool wants_address = port.Dhcp == types::DhcpType::DhcpTypeClient || port.Dhcp == types::DhcpType::DhcpTypeStatic;
    if (port.LastError.empty() && wants_address && !has_global_address(port)) port.LastError = "interface " + config.IfName + " has no IP address";
    return port;
}

}  // namespace

types::DeviceNetworkStatus describe(const types::DevicePortConfig& config, const Observation& seen, const types::DeviceNetworkStatus& before,
                                    types::Time now) {
    types::DeviceNetworkStatus status;
    status.DPCKey = config.Key.empty() ? "zedagent" : config.Key;
    status.Version = config.Version;
    status.CurrentIndex = 0;
    bool works = false;
    bool present = false;
    bool management = false;
    for (const auto& port_config : config.Ports) {
        auto port = describe_port(port_config, seen);
        for (const auto& old : before.Ports) {
            if (old.Logicallabel != port.Logicallabel) continue;
            if (old.LastError == port.LastError) port.LastFailed = old.LastFailed;
            if (port.LastError.empty()) port.LastSucceeded = old.LastSucceeded;
        }
        if (!port.LastError.empty() && port.LastFailed.is_zero()) port.LastFailed = now;
        if (port.LastError.empty() && port.LastSucceeded.is_zero()) port.LastSucceeded = now;
        if (port.LastError.empty()) port.LastFailed = config.LastFailed;
        if (port.IsMgmt) {
            management = true;
            present = present || seen.interfaces.contains(port.IfName);
            works = works || (!port.InvalidConfig && has_global_address(port));
        }
        status.Ports.push_back(std::move(port));
    }
    if (works) status.State = DPCState::DPCStateSuccess;
    else if (!management) status.State = DPCState::DPCStateFail;
    else status.State = present ? DPCState::DPCStateIPDNSWait : DPCState::DPCStateIntfWait;
    return status;
}

}  // namespace eve::nim
