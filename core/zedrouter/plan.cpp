#include "core/zedrouter/plan.hpp"

#include <algorithm>
#include <cstdio>
#include <set>

#include "core/zedrouter/acl.hpp"
#include "core/zedrouter/identity.hpp"
#include "core/zedrouter/ports.hpp"

namespace eve::zedrouter {
namespace {

constexpr std::uint32_t priority_bridge_ip = 9999;
constexpr std::uint32_t priority_from_subnet = 10000;
constexpr std::uint32_t priority_to_subnet = 11000;
constexpr std::uint32_t table_local = 255;
constexpr std::uint32_t metric_last = 0xffffffff;
constexpr std::uint32_t port_table_base = 500;

std::string quoted(const std::string& text) { return "\"" + text + "\""; }

std::string joined(const std::vector<std::string>& words) {
    std::string text;
    for (const auto& word : words) text += (text.empty() ? "" : ", ") + word;
    return text;
}

std::string hex(std::uint32_t value) {
    char text[11];
    std::snprintf(text, sizeof text, "0x%08x", value);
    return text;
}

/// 500 + ifindex. Where an ifindex leads into our own range the port has no own table for us.
bool is_port_table(std::uint32_t table) { return table > port_table_base && table <= route_table_base; }

bool is_local(const types::NetworkInstanceStatus& status) { return status.Type == types::NetworkInstanceType::NetworkInstanceTypeLocal; }

types::IpAddress first_v4(const types::AssignedAddrs& addresses) {
    return addresses.IPv4Addrs.empty() ? types::IpAddress{} : addresses.IPv4Addrs.front().Address;
}

/// Chains and dispatch tables that grow with every interface.
struct Rules {
    std::vector<NftChain> chains;
    std::vector<NftSet> sets;
    std::set<std::string> hosts;
    std::vector<std::string> marks_in;       ///< bridge: interface -> mark
    std::vector<std::string> marks_out;      ///< bridge: switch interface -> mark
    std::vector<std::string> known;          ///< names of interfaces
    std::vector<std::string> egress;         ///< mark -> chain
    std::vector<std::string> ingress_mark;   ///< mark -> chain, switch
    std::vector<std::string> ingress_ip;     ///< bridge . address -> chain, local
    std::vector<std::string> dnat;           ///< jumps
    std::vector<std::string> snat;           ///< jumps
};

std::vector<MappedPort> mapped_ports(const PlannedInstance& instance) {
    std::vector<MappedPort> ports;
    for (const auto* port : instance.ports) {
        MappedPort mapped{
            .interface = port->IfName, .logical_label = port->Logicallabel, .labels = port->SharedLabels, .addresses = port_addresses(*port)};
        for (const char* label : {"all", "uplink", "freeuplink"})
            if (port_has_label(*port, label)) mapped.labels.emplace_back(label);
        mapped.labels.push_back(port->Logicallabel);
        ports.push_back(std::move(mapped));
    }
    return ports;
}

/// What an eidset match of `entries` means; nothing if there is none, since all interfaces are looked at for each.
std::vector<types::IpAddress> endpoint_addresses(const PlanInput& input, const types::NetworkInstanceStatus& status,
                                                 const std::vector<types::ACE>& entries) {
    const auto is_eidset = [](const types::ACEMatch& match) { return match.Type == "eidset"; };
    const auto uses_it = [&](const types::ACE& ace) { return std::any_of(ace.Matches.begin(), ace.Matches.end(), is_eidset); };
    if (std::none_of(entries.begin(), entries.end(), uses_it)) return {};
    std::vector<types::IpAddress> addresses;
    for (const auto& entry : status.DnsNameToIPList) addresses.insert(addresses.end(), entry.IPs.begin(), entry.IPs.end());
    for (const auto& interface : input.interfaces)
        if (interface.adapter->Network == status.UUID)
            if (const auto ip = first_v4(interface.adapter->AssignedAddresses); !ip.empty()) addresses.push_back(ip);
    return addresses;
}

void add_interface(Rules& rules, Plan& plan, const PlanInput& input, const PlannedInterface& interface) {
    const auto found = input.instances.find(interface.adapter->Network);
    const auto& vif = interface.adapter->Vif;
    const auto mark = interface_mark(interface.app_number, interface.vif_number);
    rules.known.push_back(quoted(vif));
    rules.marks_in.push_back(quoted(vif) + " : " + hex(mark));
    if (found == input.instances.end()) {  // its network is not built: nothing passes
        rules.egress.push_back(hex(mark) + " : drop");
        return;
    }
    const auto& instance = found->second;
    const auto& status = *instance.status;
    AclInput acl{.type = status.Type,
                 .bridge = status.BridgeName,
                 .vif = vif,
                 .app_number = interface.app_number,
                 .app_ip = first_v4(interface.adapter->AssignedAddresses),
                 .bridge_ip = status.BridgeIPAddr,
                 .ports = mapped_ports(instance),
                 .entries = interface.adapter->ACLs,
                 .endpoint_addresses = endpoint_addresses(input, status, interface.adapter->ACLs)};
    if (instance.suspended) acl.entries.clear();
    auto translated = translate_acl(acl);
    for (const auto& refused : translated.refused) plan.refused.push_back("app " + interface.app_name + ", " + vif + ": " + refused);

    const auto egress = "PREROUTING-" + vif;
    const auto ingress = "FORWARD-" + vif;
    rules.chains.push_back({.name = egress, .hook = {}, .rules = std::move(translated.egress)});
    rules.chains.push_back({.name = ingress, .hook = {}, .rules = std::move(translated.ingress)});
    rules.egress.push_back(hex(mark) + " : jump " + egress);
    if (!is_local(status)) {
        rules.marks_out.push_back(quoted(vif) + " : " + hex(mark));
        rules.ingress_mark.push_back(hex(mark) + " : jump " + ingress);
    } else if (!acl.app_ip.empty() && !instance.ports.empty()) {  // of an air-gapped one the chain only counts, as in EVE
        rules.ingress_ip.push_back(quoted(status.BridgeName) + " . " + acl.app_ip.to_string() + " : jump " + ingress);
    }
    if (!translated.dnat.empty()) {
        rules.chains.push_back({.name = "DNAT-" + vif, .hook = {}, .rules = std::move(translated.dnat)});
        rules.dnat.push_back("jump DNAT-" + vif);
    }
    if (!translated.snat.empty()) {
        rules.chains.push_back({.name = "SNAT-" + vif, .hook = {}, .rules = std::move(translated.snat)});
        rules.snat.push_back("jump SNAT-" + vif);
    }
    rules.hosts.insert(translated.hosts.begin(), translated.hosts.end());
    for (auto& set : translated.sets) rules.sets.push_back(std::move(set));
}

NftTable plan_inet_table(Rules rules, const PlanInput& input) {
    NftTable table{.family = "inet"};
    NftSet bridges{.name = "bridges", .type = "ifname"};
    NftSet l3_ports{.name = "l3_ports", .type = "ifname"};
    std::vector<std::string> masquerade;
    for (const auto& [uuid, instance] : input.instances) {
        const auto& status = *instance.status;
        bridges.elements.push_back(quoted(status.BridgeName));
        const auto subnet = ipv4_net(status.Subnet);
        if (!is_local(status) || !subnet || instance.suspended) continue;
        for (const auto* port : instance.ports)
            masquerade.push_back("oifname " + quoted(port->IfName) + " ip saddr " + subnet->to_string() + " counter masquerade");
    }
    if (input.ports)
        for (const auto& port : input.ports->Ports)
            if (port.IsL3Port && !port.IfName.empty()) l3_ports.elements.push_back(quoted(port.IfName));
    table.sets.push_back(std::move(bridges));
    table.sets.push_back(std::move(l3_ports));
    table.sets.push_back({.name = "ipv4.local", .type = "ipv4_addr", .interval = true, .elements = {"0.0.0.0", "224.0.0.0/4", "255.255.255.255"}});
    for (const auto& host : rules.hosts) {
        NftSet v4{.name = host_set(host, 4), .type = "ipv4_addr", .filled_elsewhere = true};
        NftSet v6{.name = host_set(host, 6), .type = "ipv6_addr", .filled_elsewhere = true};
        for (const auto& [uuid, instance] : input.instances)  // dnsmasq adds only what it asked others for
            for (const auto& entry : instance.status->DnsNameToIPList)
                if (entry.HostName == host)
                    for (const auto& address : entry.IPs) (address.is_v4() ? v4 : v6).elements.push_back(address.to_string());
        table.sets.push_back(std::move(v4));
        table.sets.push_back(std::move(v6));
    }
    for (auto& set : rules.sets) table.sets.push_back(std::move(set));
    table.chains = std::move(rules.chains);

    NftChain prerouting{.name = "PREROUTING", .hook = "type filter hook prerouting priority mangle; policy accept;"};
    if (!rules.egress.empty()) prerouting.rules.push_back("meta mark vmap { " + joined(rules.egress) + " }");
    table.chains.push_back(std::move(prerouting));

    // The verdict's mark becomes the flow's, unless the flow has one; the packet's own is given back to routing.
    constexpr const char* keep_first = "meta mark != 0x00000000 ct mark 0x00000000 ct mark set meta mark";
    table.chains.push_back({.name = "PREROUTING-mark",
                            .hook = "type filter hook prerouting priority mangle + 1; policy accept;",
                            .rules = {std::string("iifname @bridges ") + keep_first, "iifname @bridges meta mark set 0x00000000"}});

    NftChain forward{.name = "FORWARD", .hook = "type filter hook forward priority filter; policy accept;"};
    if (!rules.ingress_ip.empty()) forward.rules.push_back("oifname . ip daddr vmap { " + joined(rules.ingress_ip) + " }");
    if (!rules.ingress_mark.empty()) forward.rules.push_back("meta mark vmap { " + joined(rules.ingress_mark) + " }");
    forward.rules.emplace_back("iifname @l3_ports oifname @l3_ports counter drop");  // the node never routes between its ports
    table.chains.push_back(std::move(forward));

    NftChain clamp{.name = "FORWARD-mss", .hook = "type filter hook forward priority mangle; policy accept;"};
    if (input.options.clamp_mss) {
        for (const char* direction : {"iifname", "oifname"})
            clamp.rules.push_back(std::string(direction) + " @bridges tcp flags syn / syn,rst tcp option maxseg size set rt mtu");
    }
    table.chains.push_back(std::move(clamp));

    table.chains.push_back({.name = "POSTROUTING-mark",
                            .hook = "type filter hook postrouting priority mangle; policy accept;",
                            .rules = {std::string("oifname @bridges ") + keep_first}});
    table.chains.push_back(
        {.name = "NAT-PREROUTING", .hook = "type nat hook prerouting priority dstnat; policy accept;", .rules = std::move(rules.dnat)});
    auto postrouting = std::move(rules.snat);
    postrouting.insert(postrouting.end(), masquerade.begin(), masquerade.end());
    table.chains.push_back(
        {.name = "NAT-POSTROUTING", .hook = "type nat hook postrouting priority srcnat; policy accept;", .rules = std::move(postrouting)});
    return table;
}

/// Frames are told apart by interface here, since the IP hooks only see the bridge. An app interface that no rule knows is deaf and mute.
NftTable plan_bridge_table(const Rules& rules) {
    NftTable table{.family = "bridge"};
    NftChain prerouting{.name = "PREROUTING", .hook = "type filter hook prerouting priority -300; policy accept;"};
    prerouting.rules.emplace_back("iifname \"nbu*\" meta mark set 0x00000000");
    if (!rules.marks_in.empty()) prerouting.rules.push_back("meta mark set iifname map { " + joined(rules.marks_in) + " }");
    prerouting.rules.emplace_back("iifname \"nbu*\" meta mark 0x00000000 counter drop");
    NftChain forward{.name = "FORWARD", .hook = "type filter hook forward priority -200; policy accept;"};
    if (!rules.marks_out.empty()) forward.rules.push_back("meta mark set oifname map { " + joined(rules.marks_out) + " }");
    NftChain postrouting{.name = "POSTROUTING", .hook = "type filter hook postrouting priority -200; policy accept;"};
    postrouting.rules.push_back("oifname \"nbu*\"" + (rules.known.empty() ? std::string() : " oifname != { " + joined(rules.known) + " }") +
                                " counter drop");
    table.chains = {std::move(prerouting), std::move(forward), std::move(postrouting)};
    return table;
}

void plan_routing(HostNetwork& network, const PlannedInstance& instance, const std::vector<SeenRoute>& seen) {
    const auto& status = *instance.status;
    const auto owner = status.UUID.to_string();
    const auto subnet = ipv4_net(status.Subnet);
    if (!subnet) return;
    const auto table = route_table_base + static_cast<std::uint32_t>(status.BridgeNum);
    network.rules.push_back({owner, priority_bridge_ip, subnet->to_string(), status.BridgeIPAddr.to_string() + "/32", table_local});
    network.rules.push_back({owner, priority_from_subnet, subnet->to_string(), {}, table});
    network.rules.push_back({owner, priority_to_subnet, {}, subnet->to_string(), table});
    network.routes.push_back({owner, table, subnet->to_string(), {}, status.BridgeName, 0});
    for (auto& route : plan_port_routes(instance, seen)) network.routes.push_back(std::move(route));
    network.routes.push_back({owner, table, "0.0.0.0/0", {}, {}, metric_last});
    network.routes.push_back({owner, table, "::/0", {}, {}, metric_last});
}

void plan_sysctls(HostNetwork& network, const PlanInput& input) {
    bool local = false;
    for (const auto& [uuid, instance] : input.instances) local = local || is_local(*instance.status);
    if (local) network.sysctls.push_back({.name = "net/ipv4/ip_forward", .value = "1"});
    // Bridged frames need not meet the IP rules where every interface may do everything.
    for (const int version : {4, 6}) {
        const bool needed = std::any_of(input.interfaces.begin(), input.interfaces.end(), [&](const PlannedInterface& interface) {
            return !allows_everything(interface.adapter->ACLs, version);
        });
        network.sysctls.push_back({.name = version == 4 ? "net/bridge/bridge-nf-call-iptables" : "net/bridge/bridge-nf-call-ip6tables",
                                   .value = needed ? "1" : "0",
                                   .need = needed ? Need::essential : Need::wish});  // without it rules would be passed by
    }
    network.sysctls.push_back({.name = "net/netfilter/nf_conntrack_acct", .value = "1", .need = Need::wish});
    network.sysctls.push_back({.name = "net/netfilter/nf_conntrack_timestamp", .value = "1", .need = Need::wish});
}

}  // namespace

std::vector<RoutePlan> plan_port_routes(const PlannedInstance& instance, const std::vector<SeenRoute>& routes) {
    const auto& status = *instance.status;
    const auto owner = status.UUID.to_string();
    const auto subnet = ipv4_net(status.Subnet);
    const auto table = route_table_base + static_cast<std::uint32_t>(status.BridgeNum);
    std::map<std::string, RoutePlan> planned;  // by destination and metric: the first wins
    auto add = [&](RoutePlan route) { planned.emplace(route.destination + " " + std::to_string(route.metric), std::move(route)); };

    std::set<std::string> overridden;
    for (const auto& route : status.StaticRoutes) {
        const auto destination = ipv4_net(route.DstNetwork);
        if (!destination) continue;
        if (route.Gateway.is_v4() && subnet && subnet->contains(route.Gateway.v4())) continue;  // an app: bridged, told by DHCP only
        for (const auto* port : instance.ports) {
            const auto net = ipv4_net(port->IPv4Subnet);
            std::string gateway;
            if (route.Gateway.is_v4()) {
                if (net && net->contains(route.Gateway.v4())) gateway = route.Gateway.to_string();
            } else if (port_has_label(*port, route.OutputPortLabel)) {
                if (!port->DefaultRouters.empty()) gateway = port->DefaultRouters.front().to_string();
                else
                    for (const auto& seen : routes)
                        if (seen.device == port->IfName && seen.destination == "0.0.0.0/0" && gateway.empty()) gateway = seen.gateway;
            }
            if (gateway.empty() || gateway == status.BridgeIPAddr.to_string()) continue;
            add({owner, table, destination->to_string(), gateway, port->IfName, 0});
            overridden.insert(destination->to_string());
            break;
        }
    }
    std::set<std::string> with_own_table;  // nim of EVE keeps a port's routes in a table of its own
    for (const auto& route : routes)
        if (is_port_table(route.table)) with_own_table.insert(route.device);
    for (const auto* port : instance.ports) {
        for (const auto& route : routes) {
            if (route.device != port->IfName || overridden.contains(route.destination)) continue;
            if (route.table > route_table_base) continue;  // our own
            if (with_own_table.contains(port->IfName) != is_port_table(route.table)) continue;
            if (route.destination.find(':') != std::string::npos) continue;
            add({owner, table, route.destination, route.gateway, route.device, route.metric});
        }
    }
    std::vector<RoutePlan> result;
    // Routes without a gateway first: others may be reached through them.
    for (const bool with_gateway : {false, true})
        for (const auto& [key, route] : planned)
            if (route.gateway.empty() != with_gateway) result.push_back(route);
    return result;
}

std::string find_drift(const HostNetwork& network, const HostObservation& seen) {
    std::map<std::string, const SeenLink*> links;
    for (const auto& link : seen.links) links[link.name] = &link;
    for (const auto& bridge : network.bridges) {
        const auto found = links.find(bridge.name);
        if (found == links.end()) return "bridge " + bridge.name + " is missing";
        if (!found->second->up || found->second->mac != bridge.mac || found->second->mtu != bridge.mtu)
            return "bridge " + bridge.name + " was changed";
        for (const auto& port : bridge.ports)
            if (const auto member = links.find(port); member != links.end() && member->second->master != bridge.name)
                return "port " + port + " is not in bridge " + bridge.name;
    }
    for (const auto& vif : network.vifs) {
        const auto found = links.find(vif.name);
        if (found == links.end()) continue;
        const auto& link = *found->second;
        if (link.master != vif.bridge) return "interface " + vif.name + " is not where it belongs";
        if (!vif.bridge.empty() && (!link.up || link.mtu != vif.mtu)) return "interface " + vif.name + " was changed";
    }
    for (const auto& route : network.routes) {
        if (route.device.empty() || !links.contains(route.device)) continue;
        const bool there = std::any_of(seen.routes.begin(), seen.routes.end(), [&](const SeenRoute& now) {
            return now.table == route.table && now.destination == route.destination && now.device == route.device && now.gateway == route.gateway;
        });
        if (!there) return "route " + route.destination + " of table " + std::to_string(route.table) + " is missing";
    }
    for (const auto& server : network.dhcp_servers)
        if (std::find(seen.dhcp_servers.begin(), seen.dhcp_servers.end(), server.bridge) == seen.dhcp_servers.end())
            return "dnsmasq of " + server.bridge + " does not run";
    return {};
}

Plan plan_host_network(const PlanInput& input) {
    Plan plan;
    static const std::vector<SeenRoute> no_routes;
    const auto& routes = input.seen ? input.seen->routes : no_routes;
    if (input.instances.empty() && input.interfaces.empty()) return plan;  // a node without network instances leaves no trace

    Rules rules;
    for (const auto& interface : input.interfaces) add_interface(rules, plan, input, interface);
    const auto hosts = std::vector<std::string>(rules.hosts.begin(), rules.hosts.end());
    auto bridge_table = plan_bridge_table(rules);
    plan.network.tables.push_back(plan_inet_table(std::move(rules), input));
    plan.network.tables.push_back(std::move(bridge_table));
    plan_sysctls(plan.network, input);

    for (const auto& [uuid, instance] : input.instances) {
        const auto& status = *instance.status;
        const bool local = is_local(status);
        if (instance.suspended) continue;
        if (instance.own_bridge) {
            BridgePlan bridge{.owner = uuid.to_string(), .name = status.BridgeName, .mac = status.BridgeMac.to_string(), .mtu = status.MTU};
            const auto subnet = ipv4_net(status.Subnet);
            if (local && subnet) bridge.addresses.push_back(status.BridgeIPAddr.to_string() + "/" + std::to_string(subnet->length));
            bridge.stp = !local && instance.ports.size() > 1;
            bridge.forward_lldp = status.ForwardLLDP;
            if (!local)
                for (const auto* port : instance.ports) bridge.ports.push_back(port->IfName);
            plan.network.bridges.push_back(std::move(bridge));
        }
        if (!local) continue;
        plan_routing(plan.network, instance, routes);
        DhcpInput dhcp{.instance = instance, .hosts = hosts, .default_route = has_default_route(instance, routes), .options = input.options};
        for (const auto& interface : input.interfaces) {
            if (interface.adapter->Network != uuid) continue;
            const auto ip = first_v4(interface.adapter->AssignedAddresses);
            if (ip.empty() || interface.adapter->Mac.empty()) continue;
            dhcp.clients.push_back({interface.adapter->Mac.to_string(), ip.to_string(), interface.app.to_string(), interface.app_name});
        }
        plan.network.dhcp_servers.push_back(plan_dhcp_server(dhcp));
    }
    for (const auto& interface : input.interfaces) {
        const auto found = input.instances.find(interface.adapter->Network);
        const bool connected = found != input.instances.end() && !found->second.suspended;
        plan.network.vifs.push_back({.owner = interface.adapter->Network.to_string(),
                                     .name = interface.adapter->Vif,
                                     .bridge = connected ? found->second.status->BridgeName : std::string(),
                                     .mtu = connected ? found->second.status->MTU : std::uint16_t{1500}});
    }
    return plan;
}

}  // namespace eve::zedrouter
