#include "core/evectl/adapters.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/domainmgr/adapters.hpp"
#include "core/domainmgr/reservation.hpp"
#include "core/evectl/table.hpp"
#include "core/types/app.hpp"
#include "core/types/domain.hpp"
#include "core/types/hardware.hpp"

namespace eve::evectl {
namespace {

using Json = nlohmann::ordered_json;
using types::IoType;

constexpr const char* publisher = "domainmgr";
constexpr const char* key = "global";

std::string type_name(IoType type) {
    switch (type) {
        case IoType::IoNop: return "none";
        case IoType::IoNetEth: return "ethernet";
        case IoType::IoUSB: return "usb";
        case IoType::IoCom: return "serial";
        case IoType::IoAudio: return "audio";
        case IoType::IoNetWLAN: return "wlan";
        case IoType::IoNetWWAN: return "wwan";
        case IoType::IoHDMI: return "display";
        case IoType::IoNVMEStorage: return "nvme";
        case IoType::IoSATAStorage: return "sata";
        case IoType::IoNetEthPF: return "ethernet-pf";
        case IoType::IoNetEthVF: return "ethernet-vf";
        case IoType::IoUSBController: return "usb-controller";
        case IoType::IoUSBDevice: return "usb-device";
        case IoType::IoCAN: return "can";
        case IoType::IoVCAN: return "vcan";
        case IoType::IoLCAN: return "lcan";
        case IoType::IoOther: return "other";
    }
    return "other";
}

struct View {
    types::AssignableAdapters table;
    types::PciInventory inventory;
    domainmgr::Hardware hardware;
    std::map<std::string, types::DomainStatus> domains;

    explicit View(const NodeFiles& node)
        : table(node.record<types::AssignableAdapters>(publisher, key)),
          inventory(node.record<types::PciInventory>(publisher, key)),
          domains(node.table<types::DomainStatus>(publisher)) {
        hardware.known = inventory.Known;
        hardware.trouble = inventory.Trouble;
        for (const auto& device : inventory.Devices) {
            PciDevice found{.address = device.Address, .vendor = device.Vendor, .device = device.Device, .driver = device.Driver, .group = device.Group,
                            .interfaces = device.Interfaces, .disks = device.Disks, .bridge = device.Bridge, .why = device.Why};
            if (device.Use == "essential") found.use = PciUse::essential;
            else if (device.Use == "assigned") found.use = PciUse::assigned;
            else if (device.Use == "reserved") found.use = PciUse::reserved;
            else found.use = device.Use == "bound" ? PciUse::bound : PciUse::idle;
            hardware.devices.emplace(device.Address, std::move(found));
        }
    }
    std::string app_name(const types::Uuid& app) const {
        const auto found = domains.find(app.to_string());
        return found == domains.end() || found->second.DisplayName.empty() ? app.to_string() : found->second.DisplayName;
    }
};

std::string address_of(const types::IoBundle& bundle) {
    if (!bundle.UsbAddr.empty() || !bundle.UsbProduct.empty()) return "usb " + bundle.UsbAddr + (bundle.UsbProduct.empty() ? "" : " " + bundle.UsbProduct);
    if (!bundle.PciLong.empty()) return bundle.PciLong;
    return bundle.Serial.empty() ? bundle.Ifname : bundle.Serial;
}

std::string label_of(const types::IoBundle& bundle) { return bundle.Logicallabel.empty() ? bundle.Phylabel : bundle.Logicallabel; }

std::string owner_text(const View& view, const types::IoBundle& bundle) {
    if (domainmgr::is_used(bundle)) return "app " + view.app_name(bundle.UsedByUUID);
    if (bundle.IsPort) return "node (port)";
    if (bundle.KeepInHost) return "node";
    return bundle.IsPCIBack ? "nobody (held for apps)" : "nobody";
}

/// Why no app can have it now though nobody has it; empty: one can.
std::string obstacle(const View& view, const types::IoBundle& bundle) {
    if (bundle.AssignmentGroup.empty()) return "not assignable: no assignment group in the model";
    if (bundle.IsPort) return "a network port of the node";
    if (domainmgr::has_hard_error(bundle)) return domainmgr::hard_errors(bundle);
    const auto* device = view.hardware.find(bundle.PciLong);
    if (device != nullptr && device->use == PciUse::essential) return device->why;
    const bool pci = domainmgr::handover_of(bundle, false) == domainmgr::Handover::pci;
    if (pci && !view.hardware.trouble.empty()) return view.hardware.trouble;
    return {};
}

std::string document(const Json& json) { return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n"; }

}  // namespace

Report report_adapters(const NodeFiles& node) {
    const View view(node);
    Json adapters = Json::array();
    std::vector<std::vector<std::string>> rows{{"NAME", "TYPE", "GROUP", "ADDRESS", "IOMMU", "DRIVER", "OWNER"}};
    std::string complaints;
    for (const auto& bundle : view.table.IoBundleList) {
        const auto* device = view.hardware.find(bundle.PciLong);
        const auto why = obstacle(view, bundle);
        Json owner = nullptr;
        if (domainmgr::is_used(bundle)) owner = {{"kind", "app"}, {"uuid", bundle.UsedByUUID.to_string()}, {"name", view.app_name(bundle.UsedByUUID)}};
        else if (bundle.KeepInHost || bundle.IsPort) owner = {{"kind", "node"}};
        Json errors = Json::array();
        for (const auto& error : bundle.Error.Errors) {
            errors.push_back({{"text", error.ErrStr}, {"severity", error.Warning ? "warning" : "error"}});
            complaints += "  " + label_of(bundle) + (error.Warning ? " (warning): " : ": ") + error.ErrStr + "\n";
        }
        if (!why.empty() && !domainmgr::has_hard_error(bundle) && !bundle.IsPort) complaints += "  " + label_of(bundle) + ": " + why + "\n";
        adapters.push_back({{"name", label_of(bundle)},
                            {"phylabel", bundle.Phylabel},
                            {"type", type_name(bundle.Type)},
                            {"group", bundle.AssignmentGroup},
                            {"parent_group", bundle.ParentAssignmentGroup},
                            {"pci", bundle.PciLong},
                            {"interface", bundle.Ifname},
                            {"serial", bundle.Serial},
                            {"usb_address", bundle.UsbAddr},
                            {"usb_product", bundle.UsbProduct},
                            {"mac", bundle.MacAddr},
                            {"iommu_group", device == nullptr ? "" : device->group},
                            {"driver", device == nullptr ? "" : device->driver},
                            {"owner", owner},
                            {"port", bundle.IsPort},
                            {"held_for_apps", bundle.IsPCIBack},
                            {"assignable", why.empty()},
                            {"why_not", why},
                            {"errors", errors}});
        rows.push_back({label_of(bundle), type_name(bundle.Type), bundle.AssignmentGroup.empty() ? "-" : bundle.AssignmentGroup, address_of(bundle),
                        device == nullptr || device->group.empty() ? "-" : device->group, device == nullptr || device->driver.empty() ? "-" : device->driver,
                        owner_text(view, bundle)});
    }
    const auto& trouble = view.hardware.trouble;
    std::string text = adapters.empty() ? "No adapters: the device config names none (deviceIoList), or the node has not looked yet.\n" : table_text(rows) + complaints;
    if (!trouble.empty()) text += "PCI devices cannot be assigned here: " + trouble + "\n";
    return {document({{"pci_trouble", trouble}, {"adapters", adapters}}), text};
}

Report report_adapter_plan(const NodeFiles& node, const AppName& app) {
    const View view(node);
    const auto config = node.record<types::AppInstanceConfig>("zedagent", app.uuid);
    const auto can = node.record<types::Capabilities>(publisher, key);
    domainmgr::ReservationInputs inputs{.app = types::Uuid::parse_or_nil(app.uuid)};
    inputs.container = config.FixedResources.VirtualizationMode == types::VmMode::NOHYPER;
    // Whether the runtime hands over each kind is known when the app starts; what the machine has is known now.
    inputs.runtime.io_virtualization = inputs.runtime.pci = can.IOVirtualization;
    inputs.runtime.usb = inputs.runtime.serial = inputs.runtime.can = inputs.runtime.interfaces = true;
    inputs.state_of = [&](const types::Uuid& other) {
        const auto found = view.domains.find(other.to_string());
        return found == view.domains.end() ? types::SwState::INITIAL : found->second.State;
    };
    const auto plan = domainmgr::plan_reservation(view.table, view.hardware, config.IoAdapterList, inputs);
    Json grants = Json::array(), bound = Json::array();
    std::vector<std::vector<std::string>> rows{{"ADAPTER", "GETS", "AS", "ADDRESS", "DRIVER NOW", "THEN"}};
    std::vector<std::string> addresses;
    const auto bind = [&](const std::string& address, const std::string& reason) {
        if (address.empty() || std::find(addresses.begin(), addresses.end(), address) != addresses.end()) return;
        addresses.push_back(address);
        const auto* device = view.hardware.find(address);
        const bool held = device != nullptr && (device->use == PciUse::reserved || device->use == PciUse::assigned);
        bound.push_back({{"address", address}, {"driver", device == nullptr ? "" : device->driver}, {"changes", !held}, {"why", reason}});
    };
    for (const auto& grant : plan.grants) {
        const auto& bundle = view.table.IoBundleList[grant.index];
        const auto* device = view.hardware.find(bundle.PciLong);
        const std::string driver = device == nullptr ? "" : device->driver;
        const bool pci = grant.handover == domainmgr::Handover::pci;
        const bool held = device != nullptr && device->use == PciUse::reserved;
        std::string then = "nothing is bound";
        if (pci) then = held ? "bound for guests already" : "bound for guests";
        if (grant.handover == domainmgr::Handover::interface) then = "moved into the container as " + label_of(bundle);
        if (grant.handover == domainmgr::Handover::usb) then = "attached when plugged in";
        grants.push_back({{"wanted", grant.wanted.Name},
                          {"name", label_of(bundle)},
                          {"as", domainmgr::to_string(grant.handover)},
                          {"address", address_of(bundle)},
                          {"driver", driver},
                          {"then", then}});
        rows.push_back({grant.wanted.Name, label_of(bundle), std::string(domainmgr::to_string(grant.handover)), address_of(bundle), driver.empty() ? "-" : driver, then});
        if (pci) bind(bundle.PciLong, "asked for");
    }
    std::string along;
    for (const auto& grant : plan.grants) {
        if (grant.handover != domainmgr::Handover::pci) continue;
        for (const auto index : domainmgr::expanded_group(view.table, view.hardware, grant.index)) {
            const auto& other = view.table.IoBundleList[index];
            if (other.PciLong.empty() || std::find(addresses.begin(), addresses.end(), other.PciLong) != addresses.end()) continue;
            const auto why = "shares " + view.hardware.controller_of(other.PciLong);
            bind(other.PciLong, why);
            along += "  " + label_of(other) + " (" + other.PciLong + ") is taken from the host along with it: it " + why + "\n";
        }
    }
    Json refused = nullptr;
    std::string text;
    if (!plan.granted()) {
        Json entities = Json::array();
        for (const auto& entity : plan.error.ErrorEntities) entities.push_back(entity.EntityID);
        refused = {{"text", plan.error.Error}, {"retry_condition", plan.error.ErrorRetryCondition}, {"apps", entities}};
        text = app.name + " would not start: " + plan.error.Error + "\n";
        for (const auto& entity : plan.error.ErrorEntities) text += "  the other app is " + view.app_name(types::Uuid::parse_or_nil(entity.EntityID)) + "\n";
        if (!plan.error.ErrorRetryCondition.empty()) text += "  " + plan.error.ErrorRetryCondition + "\n";
    } else if (plan.grants.empty()) {
        text = app.name + " asks for no adapters.\n";
    } else {
        text = table_text(rows) + along;
    }
    return {document({{"app", {{"uuid", app.uuid}, {"name", app.name}}}, {"granted", plan.granted()}, {"refused", refused}, {"adapters", grants}, {"binds", bound}}), text};
}

}  // namespace eve::evectl
