#include "core/domainmgr/reservation.hpp"

#include <algorithm>
#include <set>

namespace eve::domainmgr {

namespace {

using types::ErrorSeverity;
using types::IoBundle;
using types::IoType;

std::string label_of(const IoBundle& bundle) { return bundle.Logicallabel.empty() ? bundle.Phylabel : bundle.Logicallabel; }

types::ErrorDescription refusal(std::string text, ErrorSeverity severity = ErrorSeverity::ErrorSeverityError) {
    types::ErrorDescription error;
    error.Error = std::move(text);
    error.ErrorSeverity = severity;
    return error;
}

types::ErrorDescription used_by_another(const std::string& name, const IoBundle& bundle, const ReservationInputs& inputs) {
    const bool ends = inputs.state_of && inputs.state_of(bundle.UsedByUUID) == types::SwState::HALTING;
    auto error = refusal("adapter " + name + " (" + label_of(bundle) + ") is used by app " + bundle.UsedByUUID.to_string(),
                         ends ? ErrorSeverity::ErrorSeverityNotice : ErrorSeverity::ErrorSeverityWarning);
    error.ErrorRetryCondition = "will wait until the other app has stopped";
    error.ErrorEntities.push_back({.EntityType = types::ErrorEntityType::ErrorEntityAppInstance, .EntityID = bundle.UsedByUUID.to_string()});
    return error;
}

bool is_intel_graphics(const PciDevice& device) {
    return device.vendor == "8086" && device.device_class.starts_with("03") && device.address == "0000:00:02.0";
}

/// Why this bundle cannot be the app's, or an empty error.
types::ErrorDescription objection(const std::string& name, const IoBundle& bundle, const Hardware& hardware, const ReservationInputs& inputs) {
    const auto what = "adapter " + name + " (" + label_of(bundle) + ")";
    if (bundle.AssignmentGroup.empty()) return refusal(what + " is not assignable: it has no assignment group in the model");
    if (is_used(bundle) && bundle.UsedByUUID != inputs.app) return used_by_another(name, bundle, inputs);
    if (bundle.IsPort) return refusal(what + " is a network port of the node");
    if (has_hard_error(bundle)) return refusal(what + ": " + hard_errors(bundle));
    for (const auto& each : bundle.Error.Errors)
        if (each.TypeStr == to_string(Blame::removal) && bundle.UsedByUUID != inputs.app) return refusal(what + ": " + each.ErrStr);
    const auto handover = handover_of(bundle, inputs.container);
    const auto lacks = [&](const char* thing) { return refusal(what + " cannot be assigned: this runtime hands no " + thing + " to its guests"); };
    switch (handover) {
        case Handover::pci: {
            if (!hardware.trouble.empty()) return refusal(what + " cannot be assigned: " + hardware.trouble);
            if (!inputs.runtime.io_virtualization) return refusal(what + " cannot be assigned: this machine has no IOMMU in use, which keeps guests apart");
            if (!inputs.runtime.pci) return lacks("PCI devices");
            const auto* device = hardware.find(bundle.PciLong);
            if (device != nullptr && device->use == PciUse::essential) return refusal(what + " cannot be assigned: " + device->why);
            if (device != nullptr && is_intel_graphics(*device))
                return refusal(what + " cannot be assigned: " + bundle.PciLong +
                               " is an Intel processor's own graphics, which works in a guest only with a ROM, an OpRegion and a chipset of its "
                               "model beside it, and these are not offered here");
            return {};
        }
        case Handover::usb: return inputs.runtime.usb ? types::ErrorDescription{} : lacks("USB devices");
        case Handover::serial: return inputs.runtime.serial ? types::ErrorDescription{} : lacks("serial ports");
        case Handover::can: return inputs.runtime.can ? types::ErrorDescription{} : lacks("CAN buses");
        case Handover::interface: return inputs.runtime.interfaces ? types::ErrorDescription{} : lacks("network interfaces");
        case Handover::none: return {};
    }
    return {};
}

}  // namespace

std::string_view to_string(Handover handover) {
    switch (handover) {
        case Handover::pci: return "pci";
        case Handover::interface: return "interface";
        case Handover::usb: return "usb";
        case Handover::serial: return "serial";
        case Handover::can: return "can";
        case Handover::none: return "none";
    }
    return "none";
}

Handover handover_of(const IoBundle& bundle, bool container) {
    if (is_usb_device(bundle)) return Handover::usb;
    if (bundle.Type == IoType::IoCAN || bundle.Type == IoType::IoVCAN || bundle.Type == IoType::IoLCAN) return Handover::can;
    if (container && bundle.Type == IoType::IoNetEth) return Handover::interface;
    if (!bundle.PciLong.empty()) return Handover::pci;
    if (!bundle.Serial.empty()) return Handover::serial;
    return Handover::none;
}

Reservation plan_reservation(const types::AssignableAdapters& table, const Hardware& hardware, const std::vector<types::IoAdapter>& wanted,
                             const ReservationInputs& inputs) {
    Reservation out;
    std::set<std::size_t> taken;
    for (const auto& adapter : wanted) {
        const auto members = lookup(table, adapter.Name);
        if (members.empty()) {
            out.error = refusal("adapter " + adapter.Name + " is not known: the model has no group and no label of that name");
            return out;
        }
        for (const auto index : members) {
            const auto& bundle = table.IoBundleList[index];
            if (auto error = objection(adapter.Name, bundle, hardware, inputs); !error.Error.empty()) {
                out.error = std::move(error);
                return out;
            }
            if (taken.insert(index).second) out.grants.push_back({.index = index, .handover = handover_of(bundle, inputs.container), .wanted = adapter});
        }
    }
    // What shares a controller goes along: it must be free as well.
    for (const auto& grant : std::vector<Grant>(out.grants)) {
        if (grant.handover != Handover::pci) continue;
        for (const auto index : expanded_group(table, hardware, grant.index)) {
            const auto& bundle = table.IoBundleList[index];
            if (taken.contains(index)) continue;
            if (is_used(bundle) && bundle.UsedByUUID != inputs.app) out.error = used_by_another(grant.wanted.Name, bundle, inputs);
            else if (bundle.IsPort)
                out.error = refusal("adapter " + grant.wanted.Name + " shares " + hardware.controller_of(bundle.PciLong) + " with " + label_of(bundle) +
                                    ", a network port of the node");
            if (!out.error.Error.empty()) return out;
        }
    }
    return out;
}

Reservation reserve(types::AssignableAdapters& table, const Hardware& hardware, const std::vector<types::IoAdapter>& wanted,
                    const ReservationInputs& inputs) {
    auto out = plan_reservation(table, hardware, wanted, inputs);
    if (!out.granted()) return out;
    for (const auto& grant : out.grants) table.IoBundleList[grant.index].UsedByUUID = inputs.app;
    return out;
}

bool release(types::AssignableAdapters& table, const types::Uuid& app) {
    bool any = false;
    for (auto& bundle : table.IoBundleList) {
        if (app.is_nil() || bundle.UsedByUUID != app) continue;
        bundle.UsedByUUID = {};
        any = true;
    }
    return any;
}

std::vector<PciClaim> claims_of(const types::AssignableAdapters& table, const Reservation& reservation) {
    std::vector<PciClaim> claims;
    for (const auto& grant : reservation.grants) {
        const auto& bundle = table.IoBundleList[grant.index];
        if (grant.handover != Handover::pci) continue;
        const bool known = std::any_of(claims.begin(), claims.end(), [&](const PciClaim& claim) { return claim.address == bundle.PciLong; });
        if (known) continue;  // several receptacles of one controller
        PciClaim claim{.address = bundle.PciLong};
        if (bundle.Type == IoType::IoNetEthVF) {
            // The app's own wish goes before the model's.
            claim.mac = grant.wanted.EthVf.Mac.empty() ? bundle.MacAddr : grant.wanted.EthVf.Mac;
            claim.vlan = grant.wanted.EthVf.VlanID != 0 ? grant.wanted.EthVf.VlanID : bundle.VfParams.VlanID;
        }
        claims.push_back(std::move(claim));
    }
    return claims;
}

std::vector<Adapter> adapters_of(const types::AssignableAdapters& table, const Reservation& reservation, bool ordered) {
    std::vector<Adapter> adapters;
    std::set<std::pair<AdapterKind, std::string>> seen;
    for (const auto& grant : reservation.grants) {
        const auto& bundle = table.IoBundleList[grant.index];
        Adapter adapter{.name = label_of(bundle)};
        adapter.network = is_network(bundle.Type) || bundle.Type == IoType::IoNetEthVF;
        if (ordered && adapter.network) adapter.order = grant.wanted.IntfOrder;
        switch (grant.handover) {
            case Handover::pci:
                adapter.kind = AdapterKind::pci;
                adapter.address = bundle.PciLong;
                break;
            case Handover::serial:
                adapter.kind = AdapterKind::serial;
                adapter.address = bundle.Serial;
                break;
            case Handover::can:
                adapter.kind = AdapterKind::can;
                adapter.address = bundle.Ifname;
                break;
            case Handover::interface:
                adapter.kind = AdapterKind::interface;
                adapter.address = bundle.Ifname;
                break;
            case Handover::usb:
            case Handover::none: continue;
        }
        if (adapter.kind == AdapterKind::can || seen.emplace(adapter.kind, adapter.address).second) adapters.push_back(std::move(adapter));
    }
    return adapters;
}

}  // namespace eve::domainmgr
