#include "core/domainmgr/usb_rules.hpp"

#include <algorithm>

#include "core/domainmgr/adapters.hpp"

namespace eve::domainmgr {

namespace {

using Verdict = UsbMatch::Verdict;
constexpr int product_priority = 10;
constexpr int port_priority = 20;
constexpr int parents_max = 16;

/// The bundle's own addresses: all that it has must fit.
UsbMatch own_match(const types::IoBundle& bundle, const UsbDevice& device) {
    UsbMatch match{.verdict = Verdict::yes};
    bool any = false;
    const auto require = [&](const std::string& wanted, const std::string& seen, int priority) {
        if (wanted.empty()) return;
        any = true;
        if (wanted != seen) match.verdict = Verdict::no;
        match.priority += priority;
    };
    require(bundle.PciLong, device.controller, 0);
    require(bundle.UsbAddr, std::to_string(device.bus) + ":" + device.port, port_priority);
    require(bundle.UsbProduct, device.product, product_priority);
    if (!any) match.verdict = Verdict::no;
    return match;
}

UsbMatch with_parents(const types::IoBundle& bundle, const std::vector<types::IoBundle>& table, const UsbDevice& device, int depth) {
    auto match = own_match(bundle, device);
    if (match.verdict != Verdict::yes || bundle.ParentAssignmentGroup.empty()) return match;
    // One of the parent group must fit, too; a group of nobody never does, nor does a circle.
    UsbMatch best;
    if (depth < parents_max)
        for (const auto& parent : table) {
            if (parent.AssignmentGroup != bundle.ParentAssignmentGroup) continue;
            const auto found = with_parents(parent, table, device, depth + 1);
            if (found.verdict == Verdict::yes && (best.verdict != Verdict::yes || found.priority > best.priority)) best = found;
        }
    if (best.verdict != Verdict::yes) return {};
    match.priority += best.priority;
    return match;
}

}  // namespace

std::string usb_name(const UsbDevice& device) {
    const auto plain = device.controller + "@" + std::to_string(device.bus) + "/" + std::to_string(device.device);
    std::string name = "USB";
    for (const char c : plain) {
        if (c == ':') name += "3A";
        else if (c == '@') name += "40";
        else if (c == '/') name += "2F";
        else if (c != '.' && c != '-') name += c;
    }
    return name;
}

UsbMatch usb_match(const types::IoBundle& bundle, const std::vector<types::IoBundle>& table, const UsbDevice& device) {
    if (!is_usb_device(bundle)) {
        const bool whole = !bundle.PciLong.empty() && bundle.PciLong == device.controller;
        return {.verdict = whole ? Verdict::forbid : Verdict::no};
    }
    return with_parents(bundle, table, device, 0);
}

types::Uuid usb_owner(const UsbDevice& device, const types::AssignableAdapters& table, const std::set<types::Uuid>& running) {
    types::Uuid owner;
    if (device.hub || device.network) return owner;
    int best = 0;  // a rule of priority 0 never wins
    for (const auto& bundle : table.IoBundleList) {
        if (!running.contains(bundle.UsedByUUID)) continue;
        const auto match = usb_match(bundle, table.IoBundleList, device);
        if (match.verdict == Verdict::forbid) return {};
        if (match.verdict != Verdict::yes || match.priority <= best || has_hard_error(bundle)) continue;
        best = match.priority;
        owner = bundle.UsedByUUID;
    }
    return owner;
}

void UsbDesk::on_running(std::set<types::Uuid> domains) {
    running_ = std::move(domains);
    // What a domain had went with it.
    std::erase_if(attached_, [&](const auto& each) { return !running_.contains(each.second); });
}

std::vector<UsbAction> UsbDesk::due() const {
    std::vector<UsbAction> actions;
    for (const auto& [device, domain] : attached_)
        if (!devices_.contains(device) || usb_owner(device, table_, running_) != domain)
            actions.push_back({.kind = UsbAction::Kind::detach, .domain = domain, .device = device});
    for (const auto& device : devices_) {
        const auto owner = usb_owner(device, table_, running_);
        if (!owner.is_nil() && !attached_.contains(device)) actions.push_back({.kind = UsbAction::Kind::attach, .domain = owner, .device = device});
    }
    return actions;
}

void UsbDesk::done(const UsbAction& action) {
    if (action.kind == UsbAction::Kind::attach) attached_[action.device] = action.domain;
    else attached_.erase(action.device);
}

}  // namespace eve::domainmgr
