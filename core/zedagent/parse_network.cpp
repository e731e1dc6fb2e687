// The network half of a device config: the hardware model, networks, ports, network instances, and the adapters of apps.

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <utility>

#include "core/zedagent/address_plan.hpp"
#include "core/zedagent/parse_internal.hpp"
#include "core/zedagent/proto/config.pb.h"

namespace eve::zedagent {
namespace {

namespace wire_common = ::org::lfedge::eve::common;

using types::IpAddress;

constexpr std::uint32_t mtu_min = 1280;
constexpr std::uint32_t mtu_max = 65535;
constexpr std::uint32_t vlan_min = 1;
constexpr std::uint32_t vlan_max = 4094;
constexpr std::uint32_t app_vlan_min = 2;
constexpr std::uint32_t app_vlan_max = 4093;
constexpr std::uint32_t cost_max = 255;
constexpr std::uint32_t vfs_max = 255;
constexpr std::size_t errors_shown_max = 1000;

Error wrong(std::string what) { return Error{.code = Code::invalid_argument, .what = std::move(what)}; }

Result<IpAddress> required_address(std::string_view name, const std::string& text) {
    auto address = IpAddress::parse(text);
    if (!address || address->empty()) return wrong(std::string(name) + ": \"" + shown(text) + "\" is no IP address");
    return address;
}

/// A name as RFC 1123 allows it.
bool is_host_name(std::string_view text) {
    if (text.empty() || text.size() > 253) return false;
    std::size_t label = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (c == '.') {
            if (label == 0) return false;
            label = 0;
            continue;
        }
        const bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
        if (!fine || ++label > 63) return false;
    }
    return true;
}

Result<std::vector<std::string>> ntp_servers(const wire_common::ipspec& ip) {
    std::vector<std::string> out;
    if (!ip.ntp().empty()) out.push_back(ip.ntp());
    out.insert(out.end(), ip.more_ntp().begin(), ip.more_ntp().end());
    for (const auto& server : out)
        if (!is_host_name(server) && !IpAddress::parse(server))
            return wrong("ntp: \"" + shown(server) + "\" is neither a host name nor an IP address");
    return out;
}

/// Start and End as given; an end without a start does not count.
Result<types::IPRange> given_range(const wire_common::ipspec& ip) {
    types::IPRange out;
    if (ip.dhcprange().start().empty()) return out;
    auto start = required_address("dhcpRange.start", ip.dhcprange().start());
    if (!start) return std::move(start).error();
    out.Start = *start;
    if (ip.dhcprange().end().empty()) return out;
    auto end = required_address("dhcpRange.end", ip.dhcprange().end());
    if (!end) return std::move(end).error();
    out.End = *end;
    return out;
}

std::optional<std::string> mtu_error(std::uint32_t mtu) {
    if (mtu != 0 && mtu < mtu_min) return "MTU " + std::to_string(mtu) + " is too small (" + std::to_string(mtu_min) + " is the least)";
    if (mtu > mtu_max) return "MTU " + std::to_string(mtu) + " is too large (" + std::to_string(mtu_max) + " is the most)";
    return std::nullopt;
}

bool is_network_adapter(types::PhyIoType type) {
    using types::PhyIoType;
    return type == PhyIoType::PhyIoNetEth || type == PhyIoType::PhyIoNetWLAN || type == PhyIoType::PhyIoNetWWAN || type == PhyIoType::PhyIoNetEthPF;
}

// ---- Networks: what ports refer to

types::NetworkType network_type(int type) {
    using types::NetworkType;
    switch (type) {
        case wire_common::V4: return NetworkType::NetworkTypeIPv4;
        case wire_common::V6: return NetworkType::NetworkTypeIPV6;
        case wire_common::V4Only: return NetworkType::NetworkTypeIpv4Only;
        case wire_common::V6Only: return NetworkType::NetworkTypeIpv6Only;
        case wire_common::DualV4V6: return NetworkType::NetworkTypeDualStack;
        default: return NetworkType::NetworkTypeNOOP;
    }
}

types::ProxyConfig parse_proxy(const wire_common::ProxyConfig& from) {
    types::ProxyConfig out;
    out.NetworkProxyEnable = from.networkproxyenable();
    out.NetworkProxyURL = from.networkproxyurl();
    out.Pacfile = from.pacfile();
    out.Exceptions = from.exceptions();
    for (const auto& pem : from.proxycertpem()) out.ProxyCertPEM.emplace_back(pem.begin(), pem.end());
    for (const auto& server : from.proxies()) {
        types::ProxyEntry entry;
        entry.Server = server.server();
        entry.Port = server.port();
        switch (server.proto()) {
            case wire_common::PROXY_HTTPS: entry.Type = types::NetworkProxyType::NetworkProxyTypeHTTPS; break;
            case wire_common::PROXY_SOCKS: entry.Type = types::NetworkProxyType::NetworkProxyTypeSOCKS; break;
            case wire_common::PROXY_FTP: entry.Type = types::NetworkProxyType::NetworkProxyTypeFTP; break;
            default: entry.Type = types::NetworkProxyType::NetworkProxyTypeHTTP; break;
        }
        out.Proxies.push_back(std::move(entry));
    }
    return out;
}

Status parse_network_ip(const wire_common::ipspec& ip, types::NetworkXObjectConfig& out) {
    out.Dhcp = static_cast<types::DhcpType>(static_cast<std::uint8_t>(ip.dhcp()));
    out.DomainName = ip.domain();
    if (!ip.subnet().empty()) {
        auto subnet = types::IpNet::parse(ip.subnet());
        if (!subnet) return wrong("subnet: \"" + shown(ip.subnet()) + "\" is no network; write it as 10.1.0.0/24");
        subnet->IP = first_address(*subnet);
        out.Subnet = *std::move(subnet);
    }
    if (!ip.gateway().empty()) {
        auto gateway = required_address("gateway", ip.gateway());
        if (!gateway) return std::move(gateway).error();
        out.Gateway = *gateway;
    }
    auto ntp = ntp_servers(ip);
    if (!ntp) return std::move(ntp).error();
    out.NTPServers = *std::move(ntp);
    for (const auto& text : ip.dns()) {
        auto server = required_address("dns", text);
        if (!server) return std::move(server).error();
        out.DNSServers.push_back(*server);
    }
    auto range = given_range(ip);
    if (!range) return std::move(range).error();
    out.DhcpRange = *std::move(range);
    const auto& ignore = ip.dhcp_options_ignore();
    out.IgnoreDhcpNtpServers = ignore.ntp_server_exclusively();
    out.IgnoreDhcpIPAddresses = ignore.ip_addresses_exclusively();
    out.IgnoreDhcpDNSConfig = ignore.dns_config_exclusively();
    out.IgnoreDhcpGateways = ignore.gateways_exclusively();
    return {};
}

Status parse_network(const wire::NetworkConfig& from, types::NetworkXObjectConfig& out) {
    out.Type = network_type(from.type());
    if (from.has_entproxy()) out.Proxy = parse_proxy(from.entproxy());
    if (auto error = mtu_error(from.mtu())) return wrong(*std::move(error));
    out.MTU = static_cast<std::uint16_t>(from.mtu());
    const bool known = out.Type != types::NetworkType::NetworkTypeNOOP || from.type() == wire_common::NETWORKTYPENOOP;
    if (!known) return wrong("type " + std::to_string(from.type()) + " is not supported");
    if (!from.has_ip()) return from.type() == wire_common::NETWORKTYPENOOP ? Status{} : Status(wrong("ip is missing"));
    if (auto ip = parse_network_ip(from.ip(), out); !ip) return ip;
    for (const auto& entry : from.dns()) {
        types::DNSNameToIP name;
        name.HostName = entry.hostname();
        for (const auto& text : entry.address()) {
            auto address = required_address("dns entry " + shown(entry.hostname()), text);
            if (!address) return std::move(address).error();
            name.IPs.push_back(*address);
        }
        out.DNSNameToIPList.push_back(std::move(name));
    }
    return {};
}

// ---- Ports

class PortParser {
public:
    PortParser(const wire::EdgeDevConfig& config, types::Time now, const DeviceConfig& parsed) : config_(config), now_(now), parsed_(parsed) {
        for (const auto& adapter : config.systemadapterlist())
            if (adapter.uplink()) version_ = types::DevicePortConfigVersion::DPCIsMgmt;
        for (const auto& io : parsed.physical_io.AdapterList) {
            old_controller_ = old_controller_ || io.UsagePolicy.FreeUplink;
            hardware_.emplace(io.Logicallabel, &io);
        }
        for (const auto& network : parsed.networks) networks_.emplace(network.UUID, &network);
        for (const auto& vlan : config.vlans()) above_hardware_.insert(vlan.logicallabel());
        for (const auto& bond : config.bonds()) above_hardware_.insert(bond.logicallabel());
    }

    types::DevicePortConfig parse() {
        types::DevicePortConfig out;
        out.Version = version_;
        out.TimePriority = parsed_.timestamp.value_or(now_);
        for (const auto& adapter : config_.systemadapterlist()) {
            const auto* io = lower_layer(adapter, out);
            if (io != nullptr) out.Ports.push_back(port(adapter, *io));
        }
        name_collisions(out.Ports);
        summarise(out);
        return out;
    }

private:
    void fail(types::TestResults& results, std::string text) const {
        results.LastError = std::move(text);
        results.LastFailed = now_;
    }
    /// The first error stands: the others often follow from it.
    void fail(types::NetworkPortConfig& port, std::string text) const {
        port.InvalidConfig = true;
        if (port.LastError.empty()) fail(static_cast<types::TestResults&>(port), std::move(text));
    }

    /// The hardware beneath the port; null with an error in `out`.
    const types::PhysicalIOAdapter* lower_layer(const wire::SystemAdapter& adapter, types::DevicePortConfig& out) const {
        const auto& label = adapter.lowerlayername().empty() ? adapter.name() : adapter.lowerlayername();
        if (const auto io = hardware_.find(label); io != hardware_.end()) {
            if (is_network_adapter(io->second->Ptype)) return io->second;
            fail(out, "port " + shown(adapter.name()) + ": " + shown(label) + " is not a network adapter");
            return nullptr;
        }
        if (above_hardware_.contains(label))
            fail(out, "port " + shown(adapter.name()) + ": " + shown(label) + " is a VLAN or bond, which this node does not make yet");
        else
            fail(out, "port " + shown(adapter.name()) + ": there is no " + shown(label) + " in deviceIoList");
        return nullptr;
    }

    std::uint8_t cost(const wire::SystemAdapter& adapter, const types::PhysicalIOAdapter& io) const {
        if (version_ == types::DevicePortConfigVersion::DPCInitial) return 0;
        if (adapter.cost() != 0) return static_cast<std::uint8_t>(std::min(adapter.cost(), cost_max));
        const bool is_free = io.UsagePolicy.FreeUplink || adapter.freeuplink();
        return !is_free && old_controller_ ? 1 : 0;
    }

    types::NetworkPortConfig port(const wire::SystemAdapter& adapter, const types::PhysicalIOAdapter& io) const {
        types::NetworkPortConfig out;
        out.Logicallabel = adapter.name();
        out.Alias = adapter.alias();
        out.Phylabel = io.Phylabel;
        out.IfName = !io.Phyaddr.Ifname.empty() ? io.Phyaddr.Ifname : !io.Logicallabel.empty() ? io.Logicallabel : io.Phylabel;
        out.PCIAddr = io.Phyaddr.PciLong;
        out.USBAddr = io.Phyaddr.UsbAddr;
        out.IsL3Port = true;
        out.IsMgmt = version_ == types::DevicePortConfigVersion::DPCInitial || adapter.uplink();
        out.Cost = cost(adapter, io);
        out.AllowLocalModifications = adapter.allow_local_modifications();
        out.SharedLabels.assign(adapter.shared_labels().begin(), adapter.shared_labels().end());
        add_own_labels(out);
        out.Dhcp = types::DhcpType::DhcpTypeNone;
        out.ConfigSource.Origin = types::NetworkConfigOrigin::NetworkConfigOriginController;
        out.ConfigSource.SubmittedAt = parsed_.timestamp.value_or(now_);

        auto address = IpAddress::parse(adapter.addr());
        if (!address) fail(out, "port " + out.Logicallabel + ": addr: \"" + shown(adapter.addr()) + "\" is no IP address");
        const auto id = types::Uuid::parse_or_nil(adapter.networkuuid());
        if (id.is_nil() && adapter.networkuuid().empty()) {
            if (out.IsMgmt) fail(out, "port " + out.Logicallabel + ": a management port needs a network (networkUUID)");
            return out;
        }
        const auto network = networks_.find(id);
        if (network == networks_.end()) {
            fail(out, "port " + out.Logicallabel + ": there is no network " + shown(adapter.networkuuid()));
            return out;
        }
        apply(*network->second, std::move(address).value_or({}), out);
        return out;
    }

    static void add_own_labels(types::NetworkPortConfig& port) {
        const auto add_label = [&](const char* label) {
            if (std::ranges::find(port.SharedLabels, label) == port.SharedLabels.end()) port.SharedLabels.emplace_back(label);
        };
        add_label("all");
        if (port.IsMgmt) add_label("uplink");
        if (port.IsMgmt && port.Cost == 0) add_label("freeuplink");
    }

    void apply(const types::NetworkXObjectConfig& network, const IpAddress& address, types::NetworkPortConfig& port) const {
        const auto name = "port " + port.Logicallabel + ": ";
        port.NetworkUUID = network.UUID;
        port.Type = network.Type;
        if (!network.Error.empty()) fail(port, name + "its network has an error: " + network.Error);
        if (!address.empty() && network.Subnet) {
            auto own = *network.Subnet;
            if (own.contains(address)) {
                own.IP = address;
                port.AddrSubnet = own.to_string();
            } else {
                fail(port, name + "addr " + address.to_string() + " is not in its network's subnet " + own.to_string());
            }
        }
        port.WirelessCfg = network.WirelessCfg;
        port.Gateway = network.Gateway;
        port.DomainName = network.DomainName;
        port.NTPServers = network.NTPServers;
        port.DNSServers = network.DNSServers;
        port.MTU = network.MTU;
        port.IgnoreDhcpNtpServers = network.IgnoreDhcpNtpServers;
        port.IgnoreDhcpIPAddresses = network.IgnoreDhcpIPAddresses;
        port.IgnoreDhcpDNSConfig = network.IgnoreDhcpDNSConfig;
        port.IgnoreDhcpGateways = network.IgnoreDhcpGateways;
        if (network.Proxy) static_cast<types::ProxyConfig&>(port) = *network.Proxy;
        port.Dhcp = network.Dhcp;
        switch (port.Dhcp) {
            case types::DhcpType::DhcpTypeStatic:
                if (port.AddrSubnet.empty()) fail(port, name + "a static port needs addr, and a subnet in its network");
                break;
            case types::DhcpType::DhcpTypeClient: break;
            case types::DhcpType::DhcpTypeNone:
                if (port.IsMgmt) fail(port, name + "a management port needs dhcp Client or Static");
                break;
            default: fail(port, name + "dhcp type " + std::to_string(static_cast<int>(port.Dhcp)) + " is not supported"); break;
        }
    }

    void name_collisions(std::vector<types::NetworkPortConfig>& ports) const {
        std::map<std::string, std::size_t> labels, names;
        for (std::size_t i = 0; i < ports.size(); ++i) {
            const auto [label, new_label] = labels.emplace(ports[i].Logicallabel, i);
            const auto [name, new_name] = names.emplace(ports[i].IfName, i);
            if (new_label && new_name) continue;
            const auto text = new_label ? "two ports have the interface name " + ports[i].IfName
                                        : "two ports have the logical label " + ports[i].Logicallabel;
            fail(ports[new_label ? name->second : label->second], text);
            fail(ports[i], text);
        }
    }

    void summarise(types::DevicePortConfig& out) const {
        std::string errors;
        bool management = false;
        for (const auto& port : out.Ports) {
            if (!port.IsMgmt) continue;
            if (port.LastError.empty()) return;
            management = true;
            if (errors.size() < errors_shown_max) errors += (errors.empty() ? "" : "; ") + port.LastError;
        }
        if (management) fail(out, "no management port can be used: " + errors);
        else if (out.LastError.empty()) fail(out, "No management interfaces");
    }

    const wire::EdgeDevConfig& config_;
    types::Time now_;
    const DeviceConfig& parsed_;
    std::map<std::string, const types::PhysicalIOAdapter*> hardware_;
    std::map<types::Uuid, const types::NetworkXObjectConfig*> networks_;
    std::set<std::string> above_hardware_;  ///< labels of VLANs and bonds
    types::DevicePortConfigVersion version_ = types::DevicePortConfigVersion::DPCInitial;
    bool old_controller_ = false;
};

// ---- Network instances

std::vector<types::DNSNameToIP> static_dns(const wire::NetworkInstanceConfig& from) {
    std::vector<types::DNSNameToIP> out;
    for (const auto& entry : from.dns()) {
        types::DNSNameToIP name;
        name.HostName = entry.hostname();
        for (const auto& text : entry.address())
            if (auto address = IpAddress::parse(text); address && !address->empty()) name.IPs.push_back(*address);
        out.push_back(std::move(name));
    }
    return out;
}

Status parse_instance_ip(const wire_common::ipspec& ip, types::NetworkInstanceConfigFields& out) {
    auto subnet = types::IpNet::parse(ip.subnet());
    if (!subnet)
        return wrong(ip.subnet().empty() ? "subnet is missing" : "subnet: \"" + shown(ip.subnet()) + "\" is no network; write it as 10.1.0.0/24");
    subnet->IP = first_address(*subnet);
    out.Subnet = *std::move(subnet);
    out.DomainName = ip.domain();
    auto ntp = ntp_servers(ip);
    if (!ntp) return std::move(ntp).error();
    out.NtpServers = *std::move(ntp);
    for (const auto& text : ip.dns()) {
        auto server = required_address("dns", text);
        if (!server) return std::move(server).error();
        if (server->is_v4() != out.Subnet->IP.is_v4()) return wrong("dns: " + server->to_string() + " is not of the subnet's IP family");
        out.DnsServers.push_back(*server);
    }
    if (!ip.gateway().empty()) {
        auto gateway = required_address("gateway", ip.gateway());
        if (!gateway) return std::move(gateway).error();
        out.Gateway = *gateway;
    }
    auto range = given_range(ip);
    if (!range) return std::move(range).error();
    out.DhcpRange = *std::move(range);
    return plan_addresses(out);
}

Result<types::NIPortProbe> parse_probe(const wire::PortProbe& from) {
    types::NIPortProbe out;
    out.EnabledGwPing = from.enable_gw_ping();
    out.GwPingMaxCost = static_cast<std::uint8_t>(std::min(from.gw_ping_max_cost(), cost_max));
    const auto& endpoint = from.custom_probe().probe_endpoint();
    auto& probe = out.UserDefinedProbe;
    probe.ProbeHost = endpoint.host();
    switch (from.custom_probe().probe_method()) {
        case wire_common::CONNECTIVITY_PROBE_METHOD_ICMP:
            probe.Method = types::ConnectivityProbeMethod::ConnectivityProbeMethodICMP;
            if (!IpAddress::parse(endpoint.host())) return wrong("probe: \"" + shown(endpoint.host()) + "\" is no IP address");
            break;
        case wire_common::CONNECTIVITY_PROBE_METHOD_TCP:
            probe.Method = types::ConnectivityProbeMethod::ConnectivityProbeMethodTCP;
            if (auto host = required_address("probe", endpoint.host()); !host) return std::move(host).error();
            if (endpoint.port() == 0 || endpoint.port() > 65535) return wrong("probe: port " + std::to_string(endpoint.port()) + " is out of range");
            probe.ProbePort = static_cast<std::uint16_t>(endpoint.port());
            break;
        default: break;
    }
    return out;
}

Status parse_routes(const wire::NetworkInstanceConfig& from, types::NetworkInstanceConfigFields& out) {
    for (const auto& route : from.static_routes()) {
        types::IPRouteConfig config;
        auto destination = types::IpNet::parse(route.destination_network());
        if (!destination) return wrong("static route: \"" + shown(route.destination_network()) + "\" is no network");
        destination->IP = first_address(*destination);
        const auto name = "static route " + destination->to_string() + ": ";
        config.DstNetwork = *std::move(destination);
        if (route.gateway().empty() && route.port().empty()) return wrong(name + "needs a gateway or a port");
        if (!route.gateway().empty()) {
            auto gateway = required_address("gateway", route.gateway());
            if (!gateway) return std::move(gateway).error().in(name.substr(0, name.size() - 2));
            if (gateway->to_string() == "0.0.0.0" || gateway->to_string() == "::") return wrong(name + "the gateway is the unspecified address");
            config.Gateway = *gateway;
        }
        config.OutputPortLabel = route.port();
        auto probe = parse_probe(route.probe());
        if (!probe) return std::move(probe).error().in(name.substr(0, name.size() - 2));
        config.PortProbe = *std::move(probe);
        config.PreferLowerCost = route.prefer_lower_cost();
        config.PreferStrongerWwanSignal = route.prefer_stronger_wwan_signal();
        out.StaticRoutes.push_back(std::move(config));
    }
    return {};
}

Status parse_instance(const wire::NetworkInstanceConfig& from, types::NetworkInstanceConfigFields& out) {
    using types::AddressType;
    using types::NetworkInstanceType;
    for (const auto& port : from.vlan_access_ports()) {
        if (port.vlan_id() < vlan_min || port.vlan_id() > vlan_max) return wrong("VLAN " + std::to_string(port.vlan_id()) + " is out of range");
        types::VlanAccessPort access;
        access.VlanID = static_cast<std::uint16_t>(port.vlan_id());
        access.PortLabel = port.access_port();
        out.VlanAccessPorts.push_back(std::move(access));
    }
    if (auto error = mtu_error(from.mtu())) return wrong(*std::move(error));
    out.MTU = static_cast<std::uint16_t>(from.mtu());
    if (out.Type == NetworkInstanceType::NetworkInstanceTypeSwitch) {
        out.IpType = AddressType::AddressTypeNone;
        return {};
    }
    if (out.IpType == AddressType::AddressTypeNone) {
        if (out.Type == NetworkInstanceType::NetworkInstanceTypeLocal) return wrong("a local network instance needs ipType IPV4");
        return {};
    }
    if (auto ip = parse_instance_ip(from.ip(), out); !ip) return ip;
    out.DnsNameToIPList = static_dns(from);
    return parse_routes(from, out);
}

// ---- Adapters of apps

std::vector<types::ACE> access_rules(const wire::NetworkAdapter& from) {
    std::vector<types::ACE> out;
    for (const auto& rule : from.acls()) {
        types::ACE ace;
        ace.RuleID = rule.id();
        ace.Name = rule.name();
        ace.Dir = static_cast<types::ACEDirection>(static_cast<std::uint8_t>(rule.dir()));
        for (const auto& match : rule.matches()) {
            types::ACEMatch one;
            one.Type = match.type();
            one.Value = match.value();
            ace.Matches.push_back(std::move(one));
        }
        for (const auto& action : rule.actions()) {
            types::ACEAction one;
            one.Drop = action.drop();
            one.Limit = action.limit();
            one.LimitRate = action.limitrate();
            one.LimitUnit = action.limitunit();
            one.LimitBurst = action.limitburst();
            one.PortMap = action.portmap();
            one.TargetPort = action.appport();
            ace.Actions.push_back(std::move(one));
        }
        out.push_back(std::move(ace));
    }
    return out;
}

std::uint32_t interface_order(const wire::NetworkAdapter& from, bool enforced) {
    if (enforced) return from.interface_order();
    for (const auto& rule : from.acls())
        if (rule.id() > 0) return static_cast<std::uint32_t>(rule.id());
    return 0;
}

Status parse_adapter(const wire::NetworkAdapter& from, bool enforced_order, types::AppNetAdapterConfig& out) {
    auto network = types::Uuid::parse(from.networkid());
    if (!network) return wrong("networkId: \"" + shown(from.networkid()) + "\" is no UUID");
    out.Network = *network;
    out.ACLs = access_rules(from);
    out.IntfOrder = interface_order(from, enforced_order);
    out.AllowToDiscover = from.allow_to_discover();
    out.AccessVlanID = from.access_vlan_id();
    if (out.AccessVlanID != 0 && (out.AccessVlanID < app_vlan_min || out.AccessVlanID > app_vlan_max))
        return wrong("access VLAN " + std::to_string(out.AccessVlanID) + " is out of range");
    auto mac = types::MacAddress::parse(from.macaddress());
    if (!mac) return wrong("macAddress: \"" + shown(from.macaddress()) + "\" is no MAC address");
    out.AppMacAddr = *mac;
    auto address = IpAddress::parse(from.addr());
    if (!address) return wrong("addr: \"" + shown(from.addr()) + "\" is no IP address");
    if (address->is_v6()) return wrong("static IPv6 address " + address->to_string() + " is not supported");
    out.AppIPAddr = *address;
    return {};
}

}  // namespace

Status parse_physical_io(const wire::EdgeDevConfig& config, DeviceConfig& out) {
    out.physical_io.Initialized = true;
    for (int i = 0; i < config.deviceiolist_size(); ++i) {
        const auto& from = config.deviceiolist(i);
        const auto field = at("deviceIoList", i);
        types::PhysicalIOAdapter io;
        io.Ptype = static_cast<types::PhyIoType>(from.ptype());
        io.Phylabel = from.phylabel();
        io.Logicallabel = from.logicallabel().empty() ? from.phylabel() : from.logicallabel();
        if (io.Phylabel.empty()) return refusal(field + ".phylabel", "is missing", "give the label that is printed on the box; it is the key");
        io.Assigngrp = from.assigngrp();
        io.Parentassigngrp = from.parentassigngrp();
        io.Usage = static_cast<types::PhyIoMemberUsage>(from.usage());
        io.UsagePolicy.FreeUplink = from.usagepolicy().freeuplink();
        const std::map<std::string, std::string> addresses(from.phyaddrs().begin(), from.phyaddrs().end());
        for (const auto& [name, value] : addresses) {
            std::string key = name;
            for (char& c : key)
                if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
            auto& to = io.Phyaddr;
            if (key == "pcilong") to.PciLong = value;
            else if (key == "ifname") to.Ifname = value;
            else if (key == "serial") to.Serial = value;
            else if (key == "irq") to.Irq = value;
            else if (key == "ioports") to.Ioports = value;
            else if (key == "usbaddr") to.UsbAddr = value;
            else if (key == "usbproduct") to.UsbProduct = value;
            else to.UnknownType = value;
        }
        io.Cbattr = {from.cbattr().begin(), from.cbattr().end()};
        const auto& vfs = from.vflist();
        if (vfs.vf_count() > vfs_max) return refusal(field + ".vflist.vfCount", "must be at most 255", "correct the value of this field");
        std::set<std::uint32_t> given;
        for (int v = 0; v < vfs.data_size(); ++v) {
            const auto& vf = vfs.data(v);
            const auto place = at(field + ".vflist.data", v);
            if (vf.index() >= vfs.vf_count()) return refusal(place + ".index", "must be below vfCount", "correct it or raise vfCount");
            if (!given.insert(vf.index()).second) return refusal(place + ".index", "is given twice", "give each virtual function once");
            if (vf.vlan_id() > vlan_max) return refusal(place + ".vlanId", "is out of range", "give 1 to 4094, or 0 for none");
            types::EthVF one;
            one.Index = static_cast<std::uint8_t>(vf.index());
            one.Mac = vf.mac();
            one.VlanID = static_cast<std::uint16_t>(vf.vlan_id());
            io.Vfs.Data.push_back(std::move(one));
        }
        for (std::uint32_t index = 0; index < vfs.vf_count(); ++index) {
            if (given.contains(index)) continue;
            types::EthVF one;
            one.Index = static_cast<std::uint8_t>(index);
            io.Vfs.Data.push_back(std::move(one));
        }
        io.Vfs.Count = static_cast<std::uint8_t>(vfs.vf_count());
        out.physical_io.AdapterList.push_back(std::move(io));
    }
    return {};
}

Status parse_networks(const wire::EdgeDevConfig& config, types::Time now, DeviceConfig& out) {
    std::map<types::Uuid, std::size_t> seen;
    for (int i = 0; i < config.networks_size(); ++i) {
        const auto& from = config.networks(i);
        auto uuid = object_uuid(from.id(), at("networks", i) + ".id");
        if (!uuid) return std::move(uuid).error();
        types::NetworkXObjectConfig network;
        network.UUID = *uuid;
        if (auto parsed = parse_network(from, network); !parsed)
            set_error(network, "network " + uuid->to_string() + ": " + parsed.error().what, now);
        // A controller may send one network several times; the last one counts, as in EVE.
        if (const auto [it, fresh] = seen.emplace(*uuid, out.networks.size()); !fresh) out.networks[it->second] = std::move(network);
        else out.networks.push_back(std::move(network));
    }
    return {};
}

void parse_ports(const wire::EdgeDevConfig& config, types::Time now, DeviceConfig& out) { out.ports = PortParser(config, now, out).parse(); }

Status parse_network_instances(const wire::EdgeDevConfig& config, types::Time now, DeviceConfig& out) {
    std::set<types::Uuid> seen;
    for (int i = 0; i < config.networkinstances_size(); ++i) {
        const auto& from = config.networkinstances(i);
        const auto field = at("networkInstances", i) + ".uuidandversion.uuid";
        auto uuid = object_uuid(from.uuidandversion().uuid(), field);
        if (!uuid) return std::move(uuid).error();
        if (!seen.insert(*uuid).second) return refusal(field, "network instance " + uuid->to_string() + " is given twice", "remove one");
        types::NetworkInstanceConfig network;
        network.UUID = *uuid;
        network.Version = from.uuidandversion().version();
        network.DisplayName = from.displayname();
        network.Type = static_cast<types::NetworkInstanceType>(from.insttype());
        network.Activate = from.activate();
        network.PortLabel = from.port().name();
        network.IpType = static_cast<types::AddressType>(from.iptype());
        network.PropagateConnRoutes = from.propagate_connected_routes();
        network.EnableFlowlog = !from.disable_flowlog();
        network.STPConfig.PortsWithBpduGuard = from.stp().ports_with_bpdu_guard();
        network.ForwardLLDP = from.forward_lldp();
        if (auto parsed = parse_instance(from, network); !parsed)
            set_error(network, "network instance " + shown(from.displayname()) + ": " + parsed.error().what, now);
        out.network_instances.push_back(std::move(network));
    }
    return {};
}

void parse_adapters(const wire::AppInstanceConfig& from, const InstanceTypes& instances, types::AppInstanceConfig& app) {
    for (const auto& interface : from.interfaces()) {
        const auto instance = instances.find(types::Uuid::parse_or_nil(interface.networkid()));
        // Overlay networks are history; EVE skips them too.
        if (instance != instances.end() && static_cast<int>(instance->second) == wire::ZnetInstMesh) continue;
        types::AppNetAdapterConfig adapter;
        adapter.Name = interface.name();
        auto parsed = parse_adapter(interface, app.FixedResources.EnforceNetworkInterfaceOrder, adapter);
        if (parsed && instance == instances.end()) parsed = wrong("there is no network instance " + adapter.Network.to_string());
        if (!parsed) {
            adapter.Error = "app " + app.DisplayName + ", interface " + shown(interface.name()) + ": " + parsed.error().what;
            app.Errors.push_back(adapter.Error);
        }
        app.AllowToDiscover = app.AllowToDiscover || adapter.AllowToDiscover;
        app.AppNetAdapterList.push_back(std::move(adapter));
    }
    std::ranges::stable_sort(app.AppNetAdapterList, {}, &types::AppNetAdapterConfig::IntfOrder);
    std::map<types::Uuid, std::uint32_t> next;
    for (auto& adapter : app.AppNetAdapterList) adapter.IfIdx = next[adapter.Network]++;
}

}  // namespace eve::zedagent
