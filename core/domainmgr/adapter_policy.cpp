#include "core/domainmgr/adapter_policy.hpp"

#include <algorithm>
#include <map>

namespace eve::domainmgr {

namespace {

using types::IoBundle;
using types::IoType;
using types::NetworkPortStatus;

/// The port that is this bundle's interface, or that the bundle's device backs.
const NetworkPortStatus* port_of(const IoBundle& bundle, const Hardware& hardware, const types::DeviceNetworkStatus& network) {
    for (const auto& port : network.Ports) {
        if (!bundle.Ifname.empty() && is_network(bundle.Type) && port.IfName == bundle.Ifname) return &port;
        if (is_network(bundle.Type) && !port.Phylabel.empty() && port.Phylabel == bundle.Phylabel) return &port;
        if (bundle.PciLong.empty() || is_usb_device(bundle)) continue;
        if (port.PciLong == bundle.PciLong) return &port;
        const auto* device = hardware.behind(port.IfName);
        if (device != nullptr && device->address == bundle.PciLong) return &port;
    }
    return nullptr;
}

std::string quoted(const IoBundle& bundle) { return bundle.Logicallabel.empty() ? bundle.Phylabel : bundle.Logicallabel; }

/// USB controllers that devices given one by one depend on. Without a parent group any controller may be the one.
bool carries_usb_devices(const IoBundle& controller, const std::vector<IoBundle>& bundles) {
    return std::any_of(bundles.begin(), bundles.end(), [&](const IoBundle& other) {
        if (!is_usb_device(other)) return false;
        return other.ParentAssignmentGroup.empty() || other.ParentAssignmentGroup == controller.AssignmentGroup;
    });
}

bool stays_by_itself(const IoBundle& bundle, const std::vector<IoBundle>& bundles, const Hardware& hardware, const PolicyInputs& inputs) {
    const auto* device = hardware.find(bundle.PciLong);
    if (device != nullptr && device->use == PciUse::essential) return true;  // its disk, a member of a bridge
    switch (bundle.Type) {
        case IoType::IoNetWLAN:
        case IoType::IoNetWWAN:  // unused radios must be managed
        case IoType::IoNetEthPF:
        case IoType::IoCAN:
        case IoType::IoVCAN: return true;
        case IoType::IoHDMI: return inputs.vga_access && device != nullptr && device->boot_vga;
        case IoType::IoUSB:
        case IoType::IoUSBController:
            if (!is_usb_controller(bundle)) return false;
            return inputs.usb_access || carries_usb_devices(bundle, bundles);
        default: return false;
    }
}

}  // namespace

void decide_places(types::AssignableAdapters& table, const Hardware& hardware, const PolicyInputs& inputs, types::Time now) {
    auto& bundles = table.IoBundleList;
    std::vector<const NetworkPortStatus*> ports;
    for (const auto& bundle : bundles) ports.push_back(port_of(bundle, hardware, inputs.network));
    for (std::size_t i = 0; i < bundles.size(); ++i) {
        auto& bundle = bundles[i];
        const auto members = is_usb_device(bundle) ? std::vector<std::size_t>{i} : expanded_group(table, hardware, i);
        bool keep = false, port = false;
        std::uint8_t cost = 0;
        for (const auto member : members) {
            const auto* found = ports[member];
            keep = keep || found != nullptr || stays_by_itself(bundles[member], bundles, hardware, inputs);
            if (found == nullptr) continue;
            port = true;
            if (member == i) cost = found->Cost;
        }
        bundle.KeepInHost = keep;
        bundle.IsPort = port;
        if (ports[i] != nullptr) {
            bundle.Cost = cost;
            if (!ports[i]->MacAddr.empty()) bundle.MacAddr = ports[i]->MacAddr.to_string();
        }
        std::vector<Complaint> mistyped;
        if (ports[i] != nullptr && !is_network(bundle.Type))
            mistyped.push_back({.text = "it stays with the host: " + bundle.PciLong + " is behind the node's port " + ports[i]->IfName +
                                        ", though the model's type is not a network device",
                                .warning = true});
        auto& errors = bundle.Error.Errors;
        // The validation has entries under the same name: they stay.
        for (const auto& each : errors)
            if (each.TypeStr == to_string(Blame::model_inconsistency) && !each.ErrStr.starts_with("it stays with the host"))
                mistyped.insert(mistyped.begin(), {.text = each.ErrStr, .warning = each.Warning, .group_scoped = each.GroupScoped});
        set_errors(bundle, Blame::model_inconsistency, mistyped, now);
        std::vector<Complaint> taken;
        if (port && is_used(bundle))
            taken.push_back({.text = "it is used by app " + bundle.UsedByUUID.to_string() + ", so it cannot be a port of the node"});
        set_errors(bundle, Blame::port_in_use, taken, now);
    }
}

std::vector<Transfer> transfers(const types::AssignableAdapters& table, const Hardware& hardware, const PolicyInputs& inputs) {
    std::vector<Transfer> wanted;
    if (inputs.network.DPCKey.empty()) return wanted;  // nothing is detached before the ports are known
    const auto& bundles = table.IoBundleList;
    std::set<std::size_t> done;
    for (std::size_t i = 0; i < bundles.size(); ++i) {
        if (done.contains(i) || is_usb_device(bundles[i])) continue;
        const auto members = expanded_group(table, hardware, i);
        done.insert(members.begin(), members.end());
        const auto any = [&](auto&& test) { return std::any_of(members.begin(), members.end(), [&](std::size_t member) { return test(bundles[member]); }); };
        if (any([](const IoBundle& bundle) { return is_used(bundle); })) continue;
        const bool keep = any([](const IoBundle& bundle) { return bundle.KeepInHost; });
        Transfer transfer{.direction = keep ? Transfer::Direction::to_host : Transfer::Direction::to_guests};
        if (!keep) {
            if (any([](const IoBundle& bundle) { return has_hard_error(bundle); })) continue;
            if (inputs.network.Testing && any([](const IoBundle& bundle) { return is_network(bundle.Type); })) continue;
            // Not assignable means that no app can ever have it: it stays where it is.
            if (!any([](const IoBundle& bundle) { return !bundle.AssignmentGroup.empty(); })) continue;
            if (!hardware.known || !hardware.trouble.empty()) continue;
        }
        for (const auto member : members) {
            const auto& bundle = bundles[member];
            if (bundle.PciLong.empty() || bundle.IsPCIBack == !keep) continue;
            if (std::find(transfer.addresses.begin(), transfer.addresses.end(), bundle.PciLong) == transfer.addresses.end())
                transfer.addresses.push_back(bundle.PciLong);
        }
        if (!transfer.addresses.empty()) wanted.push_back(std::move(transfer));
    }
    return wanted;
}

std::vector<PciNeed> needs_of(const types::AssignableAdapters& table) {
    std::vector<PciNeed> needs;
    for (const auto& bundle : table.IoBundleList)
        if (bundle.KeepInHost && bundle.IsPort && !bundle.PciLong.empty() && !is_usb_device(bundle))
            needs.push_back({.address = bundle.PciLong, .why = quoted(bundle) + " is a port of the node"});
    return needs;
}

}  // namespace eve::domainmgr
