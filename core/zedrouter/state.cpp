#include "core/zedrouter/state.hpp"

#include <algorithm>

#include "core/zedrouter/acl.hpp"
#include "core/zedrouter/ports.hpp"

namespace eve::zedrouter {
namespace {

using types::AddressSource;
using types::ChangeInProgressType;
using types::NetworkInstanceType;

std::string key_of(const types::Uuid& uuid) { return uuid.to_string(); }

bool is_local(const types::NetworkInstanceConfigFields& config) { return config.Type == NetworkInstanceType::NetworkInstanceTypeLocal; }

template <class Item> std::vector<Item*> ordered(std::map<types::Uuid, Item>& items) {
    std::vector<Item*> all;
    for (auto& [uuid, item] : items) all.push_back(&item);
    std::stable_sort(all.begin(), all.end(), [](const Item* a, const Item* b) {
        if (a->first != b->first) return a->first;
        return a->order < b->order;
    });
    return all;
}

std::vector<const types::NetworkPortStatus*> current_ports(const Tables& tables, const types::NetworkInstanceStatus& status) {
    std::vector<const types::NetworkPortStatus*> ports;
    for (const auto& label : status.Ports)
        for (const auto& port : tables.ports.Ports)
            if (port.Logicallabel == label) ports.push_back(&port);
    return ports;
}

/// Whether apps are connected to it.
bool has_apps(const Tables& tables, const types::Uuid& instance) {
    return std::any_of(tables.apps.begin(), tables.apps.end(), [&](const auto& item) {
        const auto& app = item.second;
        const auto uses = [&](const auto& adapter) { return adapter.Network == instance; };
        return (app.wanted || app.standing) && std::any_of(app.status.AppNetAdapterList.begin(), app.status.AppNetAdapterList.end(), uses);
    });
}

void decide_routes(types::NetworkInstanceStatus& status, const std::vector<const types::NetworkPortStatus*>& ports, types::Time now) {
    std::vector<types::IPRouteStatus> routes;
    for (std::size_t i = 0; i < status.StaticRoutes.size(); ++i) {
        types::IPRouteStatus route;
        static_cast<types::IPRouteConfig&>(route) = status.StaticRoutes[i];
        if (i < status.IntendedRoutes.size()) static_cast<types::ErrorAndTime&>(route) = status.IntendedRoutes[i];
        std::string problem;
        if (!route.OutputPortLabel.empty()) {
            for (const auto* port : ports)
                if (route.SelectedPort.empty() && port_has_label(*port, route.OutputPortLabel)) route.SelectedPort = port->Logicallabel;
            if (route.SelectedPort.empty()) problem = "label " + route.OutputPortLabel + " is not matching any port";
        }
        keep_error(route, problem, now);
        routes.push_back(std::move(route));
    }
    status.IntendedRoutes = std::move(routes);
}

void decide_instance(Tables& tables, Instance& instance, const std::vector<Instance*>& earlier) {
    auto& status = instance.status;
    const auto uuid = instance.desired.UUID;
    std::string validation;
    if (types::has_error(instance.desired)) validation = instance.desired.Error;
    else if (instance.wanted && instance.accepted.Type != instance.desired.Type) validation = "the type of a network instance cannot be changed";
    else validation = find_config_error(instance.desired);
    keep_error(status.ValidationErr, validation, tables.now);
    const bool built_before = instance.wanted;
    if (validation.empty()) instance.accepted = instance.desired;
    else if (!built_before) instance.accepted = instance.desired;  // nothing stands that could be kept
    static_cast<types::NetworkInstanceConfigFields&>(status) = instance.accepted;
    if (!validation.empty() && !built_before) {
        combine_errors(status);
        return;
    }

    std::vector<NamedSubnet> subnets;
    std::vector<PortUse> uses;
    for (const auto* other : earlier) {
        if (other == &instance || types::has_error(other->status.ValidationErr)) continue;
        if (!types::has_error(other->status.IPConflictErr)) subnets.push_back({other->accepted.DisplayName, other->accepted.Subnet});
        uses.push_back({other->accepted.DisplayName, other->accepted.Type, other->status.Ports});
    }
    keep_error(status.IPConflictErr, is_local(instance.accepted) ? find_ip_conflict(instance.accepted.Subnet, subnets, tables.ports) : "",
               tables.now);

    std::set<std::string> bridges;
    for (const auto& link : tables.seen.links)
        if (link.kind == "bridge") bridges.insert(link.name);
    const auto selection = select_ports(instance.accepted, tables.ports, uses, bridges);
    keep_error(status.PortErr, selection.error, tables.now);
    // What works goes on working with the ports it has, as long as they exist.
    status.Ports.clear();
    for (const auto* port : selection.ports) status.Ports.push_back(port->Logicallabel);

    const auto number = tables.bridge_numbers->allocate(key_of(uuid), NumberOrder::lowest_first, tables.now);
    keep_error(status.AllocationErr, number ? "" : "no free bridge number: " + number.error().what, tables.now);
    if (!number) {
        combine_errors(status);
        return;
    }
    status.BridgeNum = *number;
    status.BridgeName = bridge_name(*number);
    status.BridgeMac = bridge_mac(tables.device, *number);
    instance.own_bridge = true;
    if (!is_local(instance.accepted) && selection.ports.size() == 1) {
        const auto& port = *selection.ports.front();
        const bool l3 = port.Dhcp == types::DhcpType::DhcpTypeClient || port.Dhcp == types::DhcpType::DhcpTypeStatic;
        if (l3 && bridges.contains(port.IfName)) {  // a bridge that nim made
            instance.own_bridge = false;
            status.BridgeName = port.IfName;
            status.BridgeMac = port.MacAddr;
        }
    }
    status.BridgeIPAddr = is_local(instance.accepted) ? instance.accepted.Gateway : types::IpAddress{};
    status.BridgeIfindex = 0;
    for (const auto& link : tables.seen.links)
        if (link.name == status.BridgeName) status.BridgeIfindex = link.index;
    const auto mtu = decide_mtu(instance.accepted.MTU, selection.ports);
    status.NetworkInstanceStatus::MTU = mtu.mtu;
    keep_error(status.MTUConflictErr, mtu.error, tables.now);
    status.CombinedNTPServers = combined_ntp_servers(instance.accepted, selection.ports);
    decide_routes(status, selection.ports, tables.now);

    const bool eligible = !has_blocking_error(status);
    const bool in_use = has_apps(tables, uuid);
    if (instance.deleted) {
        instance.wanted = instance.wanted && in_use;
    } else if (!instance.accepted.Activate) {
        instance.wanted = instance.wanted && in_use;
    } else if (eligible) {
        instance.wanted = true;
    }
    instance.suspended = instance.wanted && types::has_error(status.IPConflictErr);
    if (instance.suspended && !in_use) {  // nobody to be kept alive: it is made anew when the collision ends
        instance.wanted = false;
        instance.suspended = false;
    }
    combine_errors(status);
}

/// What of an interface is known before its address: its place, names and rules.
void begin_adapter(types::AppNetAdapterStatus& adapter, const types::AppNetAdapterConfig& config, int vif_number, std::int64_t app_number,
                   const types::Uuid& app) {
    static_cast<types::AppNetAdapterConfig&>(adapter) = config;
    adapter.Vif = vif_name(vif_number, static_cast<int>(app_number));
    adapter.VifOrder = config.IntfOrder;
    adapter.HostName = app.to_string();
}

struct AdapterResult {
    bool wait = false;
    std::string error;
};

AdapterResult decide_adapter(Tables& tables, App& app, types::AppNetAdapterStatus& adapter, int vif_number) {
    const auto& app_uuid = app.status.UUIDandVersion.UUID;
    if (!adapter.Error.empty()) return {.wait = false, .error = adapter.Error};
    const auto found = tables.instances.find(adapter.Network);
    if (found == tables.instances.end() || found->second.deleted) return {.wait = true, .error = {}};
    auto& instance = found->second;
    const auto& status = instance.status;
    if (!instance.wanted) {
        const auto& error = status.Error;
        return {.wait = true, .error = has_blocking_error(status) ? "network instance " + status.DisplayName + ": " + error : std::string()};
    }
    adapter.Bridge = status.BridgeName;
    adapter.BridgeMac = status.BridgeMac;
    adapter.BridgeIPAddr = status.BridgeIPAddr;
    adapter.VifConfig::MTU = status.NetworkInstanceStatus::MTU;
    adapter.Mac = adapter.AppMacAddr;
    if (adapter.Mac.empty()) {
        adapter.Mac = app_mac({.app = app_uuid,
                               .network_instance = adapter.Network,
                               .type = status.Type,
                               .adapter_number = vif_number,
                               .app_number = static_cast<int>(app.status.AppNum),
                               .generator = static_cast<MacGenerator>(app.status.MACGenerator)});
    }
    auto& numbers = tables.interface_numbers(adapter.Network);
    const auto key = interface_key(app_uuid, adapter.IfIdx);
    const auto order = adapter.AppIPAddr.empty() ? NumberOrder::lowest_first : NumberOrder::highest_first;
    const auto number = numbers.allocate(key, order, tables.now);
    if (!number) return {.wait = false, .error = "no free app interface number: " + number.error().what};
    if (!is_local(status)) return {.wait = !instance.effective, .error = {}};

    types::IpAddress recorded;
    const auto mac = adapter.Mac.to_string();
    if (const auto known = status.IPAssignments.find(mac); known != status.IPAssignments.end()) {
        const auto subnet = ipv4_net(status.Subnet);
        for (const auto& address : known->second.IPv4Addrs)
            if (address.AssignedBy == AddressSource::AddressSourceInternalDHCP && subnet && subnet->contains(address.Address.v4()) &&
                address.Address.v4() >= status.DhcpRange.Start.v4() && address.Address.v4() <= status.DhcpRange.End.v4())
                recorded = address.Address;
    }
    const auto ip = app_ip({.network_instance = status, .configured = adapter.AppIPAddr, .recorded = recorded, .interface_number = *number});
    if (!ip) {
        numbers.release(key);  // so that a lower one can be had when somebody leaves
        return {.wait = false, .error = ip.error().what};
    }
    if (*ip == status.BridgeIPAddr) return {.wait = false, .error = "address " + ip->to_string() + " is the gateway's"};
    for (const auto& [other_uuid, other] : tables.apps) {
        if (other_uuid == app_uuid || ip->empty()) continue;
        for (const auto& theirs : other.status.AppNetAdapterList)
            for (const auto& address : theirs.AssignedAddresses.IPv4Addrs)
                if (theirs.Network == adapter.Network && address.Address == *ip)
                    return {.wait = false, .error = "address " + ip->to_string() + " is in use by app " + other.status.DisplayName};
    }
    const auto source = adapter.AppIPAddr.empty() ? AddressSource::AddressSourceInternalDHCP : AddressSource::AddressSourceStatic;
    if (!ip->empty()) {
        adapter.AssignedAddresses.IPv4Addrs = {{*ip, source}};
        instance.status.IPAssignments[mac] = adapter.AssignedAddresses;
    }
    const auto lease = tables.leases.find(app_uuid.to_string() + " " + mac);
    adapter.IPv4Assigned = lease != tables.leases.end() && !ip->empty();
    adapter.IPAddrMisMatch = adapter.IPv4Assigned && !adapter.AppIPAddr.empty() && lease->second.address != adapter.AppIPAddr.to_string();
    return {.wait = !instance.effective, .error = {}};
}

/// Why the app's port maps cannot be, or empty. `others` are apps decided before it.
std::string find_port_map_problem(Tables& tables, const App& app, const std::vector<App*>& others) {
    for (const auto& adapter : app.config.AppNetAdapterList) {
        const auto maps = port_maps(adapter.ACLs);
        if (maps.empty()) continue;
        const auto found = tables.instances.find(adapter.Network);
        if (found == tables.instances.end()) continue;
        const auto& config = found->second.accepted;
        if (config.PortLabel.empty()) return "port maps on network instance " + config.DisplayName + ", which has no port";
        if (const auto collision = find_port_map_collision(maps); !collision.empty()) return collision;
        for (const auto& mine : app.config.AppNetAdapterList) {
            if (&mine == &adapter) break;
            if (const auto collision = find_port_map_collision(maps, port_maps(mine.ACLs)); !collision.empty()) return collision;
        }
        for (const auto* other : others) {
            if (!other->wanted || other == &app) continue;
            for (const auto& theirs : other->status.AppNetAdapterList) {
                const auto their_instance = tables.instances.find(theirs.Network);
                if (their_instance == tables.instances.end()) continue;
                const bool shared = theirs.Network == adapter.Network || their_instance->second.accepted.PortLabel == config.PortLabel;
                if (!shared) continue;
                if (const auto collision = find_port_map_collision(maps, port_maps(theirs.ACLs)); !collision.empty())
                    return collision + " by app " + other->status.DisplayName;
            }
        }
    }
    return {};
}

/// Interfaces that the config no longer has give their numbers back.
void release_numbers(Tables& tables, const App& app) {
    const auto& uuid = app.status.UUIDandVersion.UUID;
    for (const auto& adapter : app.status.AppNetAdapterList) {
        const bool stays = !app.deleted && std::any_of(app.config.AppNetAdapterList.begin(), app.config.AppNetAdapterList.end(),
                                                       [&](const auto& now) { return now.Network == adapter.Network && now.IfIdx == adapter.IfIdx; });
        if (stays) continue;
        tables.interface_numbers(adapter.Network).release(interface_key(uuid, adapter.IfIdx));
        if (const auto found = tables.instances.find(adapter.Network); found != tables.instances.end() && !adapter.Mac.empty())
            found->second.status.IPAssignments.erase(adapter.Mac.to_string());
    }
}

void decide_app(Tables& tables, App& app, const std::vector<App*>& earlier) {
    auto& status = app.status;
    if (app.deleted || !app.config.Activate) {
        app.wanted = false;
        if (app.deleted) return;
    }
    const auto& config = app.config;
    status.UUIDandVersion = config.UUIDandVersion;
    status.DisplayName = config.DisplayName;
    status.GetStatsIPAddr = config.GetStatsIPAddr;
    status.DeploymentType = config.DeploymentType;
    const auto& uuid = config.UUIDandVersion.UUID;
    const auto before = status.AppNetAdapterList;

    std::string error;
    // EVE numbers every app. Numbers are few, and only marks and addresses need them: an app without a network takes none.
    const bool networked = !config.AppNetAdapterList.empty();
    const auto number = networked ? tables.app_numbers->allocate(key_of(uuid), NumberOrder::lowest_first, tables.now) : Result<int>{0};
    status.AppNum = number ? *number : 0;
    if (!number) error = "no free app number: " + number.error().what + ", more apps with a network are not possible";
    if (status.MACGenerator == 0) status.MACGenerator = static_cast<int>(tables.mac_generator(uuid));
    const bool was_wanted = app.wanted;
    if (error.empty()) error = find_port_map_problem(tables, app, earlier);

    bool wait = false;
    bool wait_for_new = false;  ///< for a network that the app is not connected to
    std::vector<types::AppNetAdapterStatus> adapters;
    int vif_number = 0;
    for (const auto& adapter_config : config.AppNetAdapterList) {
        ++vif_number;
        types::AppNetAdapterStatus adapter;
        bool known = false;
        for (const auto& old : before) {
            if (old.Network != adapter_config.Network || old.IfIdx != adapter_config.IfIdx) continue;
            known = true;
            adapter.VifUsed = old.VifUsed;
        }
        begin_adapter(adapter, adapter_config, vif_number, status.AppNum, uuid);
        if (number) {
            const auto result = decide_adapter(tables, app, adapter, vif_number);
            wait = wait || result.wait;
            wait_for_new = wait_for_new || (result.wait && !known);
            if (error.empty()) error = result.error;
        }
        adapters.push_back(std::move(adapter));
    }
    status.AwaitNetworkInstance = wait && config.Activate;
    keep_error(status, error, tables.now);
    if (!error.empty() && was_wanted && config.Activate) {  // a bad change leaves what runs as it is
        status.AppNetAdapterList = before;
        return;
    }
    release_numbers(tables, app);
    status.AppNetAdapterList = std::move(adapters);
    // An instance that was up and is not any more does not take the app's interfaces away: they go quiet with it.
    app.wanted = config.Activate && error.empty() && (!wait || (was_wanted && !wait_for_new));
}

}  // namespace

void forget_app(Tables& tables, App& app) {
    app.deleted = true;
    release_numbers(tables, app);
    tables.app_numbers->release(key_of(app.status.UUIDandVersion.UUID));
}

std::string interface_key(const types::Uuid& app, std::uint32_t index) { return app.to_string() + "-" + std::to_string(index); }

std::vector<Instance*> in_order(std::map<types::Uuid, Instance>& instances) { return ordered(instances); }
std::vector<App*> in_order(std::map<types::Uuid, App>& apps) { return ordered(apps); }

void keep_error(types::ErrorAndTime& error, const std::string& text, types::Time now) {
    if (text.empty()) types::clear_error(error);
    else if (error.Error != text) types::set_error(error, text, now);
}

bool has_blocking_error(const types::NetworkInstanceStatus& status) {
    return types::has_error(status.ValidationErr) || types::has_error(status.AllocationErr) || types::has_error(status.IPConflictErr) ||
           types::has_error(status.PortErr);
}

void combine_errors(types::NetworkInstanceStatus& status) {
    types::ErrorDescription combined;
    auto add = [&](const types::ErrorAndTime& part) {
        if (!types::has_error(part)) return;
        combined.Error += (combined.Error.empty() ? "" : "\n") + part.Error;
        if (combined.ErrorTime.is_zero() || part.ErrorTime < combined.ErrorTime) combined.ErrorTime = part.ErrorTime;
        if (combined.ErrorSeverity < part.ErrorSeverity) combined.ErrorSeverity = part.ErrorSeverity;
    };
    for (const auto* part : {&status.ValidationErr, &status.AllocationErr, &status.IPConflictErr, &status.MTUConflictErr, &status.PortErr,
                             &status.ReconcileErr})
        add(*part);
    for (const auto& route : status.IntendedRoutes) add(route);
    static_cast<types::ErrorDescription&>(status) = combined;
}

void decide_instances(Tables& tables) {
    std::vector<Instance*> earlier;
    for (auto* instance : in_order(tables.instances)) {
        if (instance->deleted && !has_apps(tables, instance->desired.UUID)) {
            instance->wanted = false;
            continue;
        }
        decide_instance(tables, *instance, earlier);
        earlier.push_back(instance);
    }
}

void decide_apps(Tables& tables) {
    for (auto& [uuid, instance] : tables.instances) {
        instance.status.Vifs.clear();
        if (instance.status.BridgeIPAddr.empty()) continue;
        instance.status.IPAssignments[instance.status.BridgeMac.to_string()].IPv4Addrs = {
            {instance.status.BridgeIPAddr, AddressSource::AddressSourceEVEInternal}};
    }
    std::map<types::Uuid, std::set<std::string>> in_use;  // MACs
    for (const auto& [uuid, app] : tables.apps)
        for (const auto& adapter : app.status.AppNetAdapterList) in_use[adapter.Network].insert(adapter.Mac.to_string());
    for (auto& [uuid, instance] : tables.instances) {  // addresses of interfaces that are no more
        in_use[uuid].insert(instance.status.BridgeMac.to_string());
        std::erase_if(instance.status.IPAssignments, [&macs = in_use[uuid]](const auto& item) { return !macs.contains(item.first); });
    }
    std::vector<App*> earlier;
    for (auto* app : in_order(tables.apps)) {
        decide_app(tables, *app, earlier);
        earlier.push_back(app);
        if (!app->wanted) continue;
        for (const auto& adapter : app->status.AppNetAdapterList)
            if (const auto found = tables.instances.find(adapter.Network); found != tables.instances.end())
                found->second.status.Vifs.push_back({adapter.Vif, adapter.Mac, app->status.UUIDandVersion.UUID});
    }
}

PlanInput make_plan_input(const Tables& tables, const PlanOptions& options) {
    PlanInput input{.instances = {}, .interfaces = {}, .ports = &tables.ports, .seen = &tables.seen, .options = options};
    for (const auto& [uuid, instance] : tables.instances) {
        if (!instance.wanted) continue;
        input.instances[uuid] = {.status = &instance.status,
                                 .ports = current_ports(tables, instance.status),
                                 .own_bridge = instance.own_bridge,
                                 .suspended = instance.suspended};
    }
    for (const auto& [uuid, app] : tables.apps) {
        if (!app.wanted) continue;
        int vif_number = 0;
        for (const auto& adapter : app.status.AppNetAdapterList) {
            input.interfaces.push_back({.app = uuid,
                                        .app_name = app.status.DisplayName,
                                        .app_number = static_cast<int>(app.status.AppNum),
                                        .vif_number = ++vif_number,
                                        .adapter = &adapter});
        }
    }
    return input;
}

}  // namespace eve::zedrouter
