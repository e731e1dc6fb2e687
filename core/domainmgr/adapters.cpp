#include "core/domainmgr/adapters.hpp"

#include <algorithm>
#include <charconv>
#include <functional>

namespace eve::domainmgr {

namespace {

using types::IoBundle;
using types::IoType;

std::string lower(std::string text) {
    for (char& c : text)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return text;
}
bool same_label(const std::string& a, const std::string& b) { return lower(a) == lower(b); }

std::string label_of(const IoBundle& bundle) { return bundle.Logicallabel.empty() ? bundle.Phylabel : bundle.Logicallabel; }

IoBundle bundle_of(const types::PhysicalIOAdapter& adapter) {
    IoBundle bundle;
    bundle.Type = static_cast<IoType>(adapter.Ptype);
    bundle.Phylabel = adapter.Phylabel;
    bundle.Logicallabel = adapter.Logicallabel;
    bundle.AssignmentGroup = adapter.Assigngrp;
    bundle.ParentAssignmentGroup = adapter.Parentassigngrp;
    bundle.Usage = adapter.Usage;
    bundle.Ifname = adapter.Phyaddr.Ifname;
    bundle.PciLong = lower(adapter.Phyaddr.PciLong);
    bundle.Irq = adapter.Phyaddr.Irq;
    bundle.Ioports = adapter.Phyaddr.Ioports;
    bundle.Serial = adapter.Phyaddr.Serial;
    bundle.UsbAddr = adapter.Phyaddr.UsbAddr;
    bundle.UsbProduct = lower(adapter.Phyaddr.UsbProduct);
    bundle.Vfs = adapter.Vfs;
    bundle.Cbattr = adapter.Cbattr;
    if (bundle.Ifname.empty() && is_network(bundle.Type)) bundle.Ifname = label_of(bundle);
    return bundle;
}

/// What an app that has the bundle relies on.
bool same_hardware(const IoBundle& a, const IoBundle& b) {
    return a.Type == b.Type && a.PciLong == b.PciLong && a.Serial == b.Serial && a.UsbAddr == b.UsbAddr && a.UsbProduct == b.UsbProduct &&
           a.AssignmentGroup == b.AssignmentGroup;
}

/// Address, interface and MAC from the machine, as far as the model leaves them open.
void resolve(IoBundle& bundle, const IoBundle* before, const Hardware& hardware) {
    const bool has_interface = is_network(bundle.Type) || bundle.Type == IoType::IoNetEthVF;
    if (bundle.PciLong.empty() && has_interface) {
        if (const auto* device = hardware.behind(bundle.Ifname)) bundle.PciLong = device->address;
        else if (before != nullptr && before->Ifname == bundle.Ifname) bundle.PciLong = before->PciLong;  // its driver is away: nothing to see now
    }
    const auto* device = hardware.find(bundle.PciLong);
    if (device == nullptr) return;
    bundle.Unique = device->unique;
    const auto named = std::find(device->interfaces.begin(), device->interfaces.end(), bundle.Ifname);
    if (named != device->interfaces.end()) bundle.MacAddr = device->macs[static_cast<std::size_t>(named - device->interfaces.begin())];
}

void carry_over(IoBundle& bundle, const IoBundle& before) {
    bundle.UsedByUUID = before.UsedByUUID;
    bundle.IsPCIBack = before.IsPCIBack;
    bundle.KeepInHost = before.KeepInHost;
    bundle.IsPort = before.IsPort;
    bundle.Cost = before.Cost;
    bundle.Error = before.Error;
    bundle.VfParams = before.VfParams;
    if (bundle.MacAddr.empty()) bundle.MacAddr = before.MacAddr;
    if (bundle.Unique.empty()) bundle.Unique = before.Unique;
}

}  // namespace

// ---------------------------------------------------------------------------------------------------------------------- the machine

const PciDevice* Hardware::find(const std::string& address) const {
    const auto found = devices.find(address);
    return found == devices.end() ? nullptr : &found->second;
}

const PciDevice* Hardware::behind(const std::string& interface) const {
    if (interface.empty()) return nullptr;
    for (const auto& [address, device] : devices)
        // A port in a bridge of its own name is called "k" and that name.
        for (const auto& name : device.interfaces)
            if (name == interface || name == "k" + interface) return &device;
    return nullptr;
}

std::string Hardware::controller_of(const std::string& address) const {
    if (address.empty()) return {};
    const auto* device = find(address);
    if (device != nullptr && !device->group.empty()) return "IOMMU group " + device->group;
    return "card " + address.substr(0, address.rfind('.'));
}

// ----------------------------------------------------------------------------------------------------------------------- errors

std::string_view to_string(Blame blame) {
    // As EVE writes them where it has the same error.
    switch (blame) {
        case Blame::collision: return "types.IOBundleCollisionErr";
        case Blame::group_conflict: return "types.ErrAssigngrpConflict";
        case Blame::own_parent: return "types.ErrOwnParent";
        case Blame::parent_mismatch: return "types.ErrParentAssigngrpMismatch";
        case Blame::parent_without_group: return "types.ErrEmptyAssigngrpWithParent";
        case Blame::parent_cycle: return "types.ErrCycleDetected";
        case Blame::missing_device: return "types.ErrMissingDevice";
        case Blame::rename: return "types.ErrRename";
        case Blame::model_inconsistency: return "types.ErrModelInconsistency";
        case Blame::binding: return "types.ErrPCIBack";
        case Blame::removal: return "types.ErrRemovalPending";
        case Blame::port_in_use: return "types.ErrPortInUse";
    }
    return "types.ErrUnknown";
}

void set_errors(IoBundle& bundle, Blame blame, const std::vector<Complaint>& complaints, types::Time now) {
    const std::string type(to_string(blame));
    auto& errors = bundle.Error.Errors;
    std::vector<types::IoBundleErrorBase> own;
    for (const auto& complaint : complaints)
        own.push_back({.ErrStr = complaint.text, .TypeStr = type, .Warning = complaint.warning, .GroupScoped = complaint.group_scoped});
    const bool added = std::any_of(own.begin(), own.end(), [&](const auto& each) { return std::find(errors.begin(), errors.end(), each) == errors.end(); });
    std::vector<types::IoBundleErrorBase> before;
    for (const auto& each : errors)
        if (each.TypeStr == type) before.push_back(each);
    if (before == own) return;
    std::erase_if(errors, [&](const auto& each) { return each.TypeStr == type; });
    errors.insert(errors.end(), own.begin(), own.end());
    if (errors.empty()) bundle.Error.TimeOfError = {};
    else if (added) bundle.Error.TimeOfError = now;
}

bool has_hard_error(const IoBundle& bundle) {
    const auto& errors = bundle.Error.Errors;
    return std::any_of(errors.begin(), errors.end(), [](const auto& each) { return !each.Warning; });
}

std::string hard_errors(const IoBundle& bundle) {
    std::string text;
    for (const auto& each : bundle.Error.Errors)
        if (!each.Warning) text += (text.empty() ? "" : "; ") + each.ErrStr;
    return text;
}

types::ErrorDescription group_error(const types::AssignableAdapters& table, const std::string& group) {
    types::ErrorDescription error;
    bool all_warnings = true;
    std::vector<std::string> texts;
    for (const auto& bundle : table.IoBundleList) {
        if (bundle.AssignmentGroup != group) continue;
        for (const auto& each : bundle.Error.Errors) {
            auto text = each.GroupScoped ? each.ErrStr : label_of(bundle) + ": " + each.ErrStr;
            if (std::find(texts.begin(), texts.end(), text) == texts.end()) texts.push_back(std::move(text));
            all_warnings = all_warnings && each.Warning;
        }
        if (!bundle.Error.Errors.empty()) error.ErrorTime = std::max(error.ErrorTime, bundle.Error.TimeOfError);
    }
    if (texts.empty()) return error;
    for (const auto& text : texts) error.Error += (error.Error.empty() ? "" : "; ") + text;
    error.ErrorSeverity = all_warnings ? types::ErrorSeverity::ErrorSeverityWarning : types::ErrorSeverity::ErrorSeverityError;
    return error;
}

// ------------------------------------------------------------------------------------------------------------------------ kinds

bool is_network(IoType type) {
    return type == IoType::IoNetEth || type == IoType::IoNetWLAN || type == IoType::IoNetWWAN || type == IoType::IoNetEthPF;
}

bool is_usb_device(const IoBundle& bundle) { return !bundle.UsbAddr.empty() || !bundle.UsbProduct.empty(); }

bool is_usb_controller(const IoBundle& bundle) {
    return bundle.Type == IoType::IoUSBController || (bundle.Type == IoType::IoUSB && !is_usb_device(bundle));
}

bool is_used(const IoBundle& bundle) { return !bundle.UsedByUUID.is_nil(); }

std::vector<std::size_t> lookup(const types::AssignableAdapters& table, const std::string& name) {
    const auto& bundles = table.IoBundleList;
    std::vector<std::size_t> found;
    const auto group = [&](const std::string& wanted) {
        for (std::size_t i = 0; i < bundles.size(); ++i)
            if (bundles[i].AssignmentGroup == wanted) found.push_back(i);
    };
    if (name.empty()) return found;
    group(name);
    if (!found.empty()) return found;
    for (const auto label : {&IoBundle::Phylabel, &IoBundle::Logicallabel}) {
        for (std::size_t i = 0; i < bundles.size(); ++i) {
            if (!same_label(bundles[i].*label, name)) continue;
            if (bundles[i].AssignmentGroup.empty()) found.push_back(i);
            else group(bundles[i].AssignmentGroup);
            return found;
        }
    }
    return found;
}

std::vector<std::size_t> expanded_group(const types::AssignableAdapters& table, const Hardware& hardware, std::size_t index) {
    const auto& bundles = table.IoBundleList;
    std::set<std::size_t> members{index};
    for (bool grown = true; grown;) {
        grown = false;
        for (std::size_t i = 0; i < bundles.size(); ++i) {
            if (members.contains(i) || is_usb_device(bundles[i])) continue;
            const bool belongs = std::any_of(members.begin(), members.end(), [&](std::size_t member) {
                const auto& other = bundles[member];
                if (is_usb_device(other)) return false;
                if (!other.AssignmentGroup.empty() && other.AssignmentGroup == bundles[i].AssignmentGroup) return true;
                return !other.PciLong.empty() && hardware.controller_of(other.PciLong) == hardware.controller_of(bundles[i].PciLong);
            });
            if (belongs) grown = members.insert(i).second || grown;
        }
    }
    return {members.begin(), members.end()};
}

// ------------------------------------------------------------------------------------------------------------------------ model

types::AssignableAdapters merge_model(const types::AssignableAdapters& before, const types::PhysicalIOAdapterList& model, const Hardware& hardware,
                                      types::Time now) {
    types::AssignableAdapters table;
    table.Initialized = model.Initialized;
    std::set<std::string> labels;
    const auto earlier = [&](const std::string& phylabel) -> const IoBundle* {
        for (const auto& bundle : before.IoBundleList)
            if (same_label(bundle.Phylabel, phylabel)) return &bundle;
        return nullptr;
    };
    for (const auto& adapter : model.AdapterList) {
        if (!labels.insert(lower(adapter.Phylabel)).second) continue;
        auto bundle = bundle_of(adapter);
        const auto* old = earlier(bundle.Phylabel);
        resolve(bundle, old, hardware);
        if (old != nullptr && is_used(*old) && !same_hardware(bundle, *old)) {
            // What the app has is what it was given: the correction waits until it is free.
            bundle = *old;
            set_errors(bundle, Blame::removal, {{.text = "the model has changed; the change waits until the app that has it stops", .warning = true}}, now);
        } else if (old != nullptr) {
            const bool moved = old->IsPCIBack && old->PciLong != bundle.PciLong;
            carry_over(bundle, *old);
            if (moved) bundle.IsPCIBack = false;  // the device at the old address is given back by whoever compares both tables
            set_errors(bundle, Blame::removal, {}, now);
        }
        table.IoBundleList.push_back(std::move(bundle));
    }
    for (const auto& old : before.IoBundleList) {
        if (labels.contains(lower(old.Phylabel))) continue;
        const auto function = old.Type == IoType::IoNetEthVF ? parse_function_name(old.Phylabel) : std::nullopt;
        // A virtual function is in no model: it lives with its physical one.
        if (function && labels.contains(lower(function->physical))) {
            auto bundle = old;
            resolve(bundle, &old, hardware);
            table.IoBundleList.push_back(std::move(bundle));
            continue;
        }
        if (!is_used(old)) continue;
        auto bundle = old;
        set_errors(bundle, Blame::removal, {{.text = "removal pending: it is no longer in the model, and goes when the app that has it stops", .warning = true}},
                   now);
        table.IoBundleList.push_back(std::move(bundle));
    }
    return table;
}

// ------------------------------------------------------------------------------------------------------------------------ rules

namespace {

using Complaints = std::vector<std::vector<Complaint>>;  // one list for each bundle

Complaints collisions(const std::vector<IoBundle>& bundles) {
    Complaints found(bundles.size());
    for (std::size_t i = 0; i < bundles.size(); ++i) {
        if (!is_usb_device(bundles[i])) continue;
        std::string all;
        std::size_t count = 0;
        for (const auto& other : bundles) {
            if (!is_usb_device(other) || other.UsbAddr != bundles[i].UsbAddr || other.UsbProduct != bundles[i].UsbProduct ||
                other.PciLong != bundles[i].PciLong || other.AssignmentGroup != bundles[i].AssignmentGroup)
                continue;
            all += (all.empty() ? "" : ", ") + label_of(other);
            ++count;
        }
        if (count > 1) found[i].push_back({.text = "the model has the same USB device several times: " + all, .group_scoped = true});
    }
    return found;
}

Complaints group_conflicts(const std::vector<IoBundle>& bundles, const Hardware& hardware) {
    Complaints found(bundles.size());
    for (std::size_t i = 0; i < bundles.size(); ++i) {
        const auto& a = bundles[i];
        if (a.AssignmentGroup.empty() || a.PciLong.empty() || is_usb_device(a)) continue;
        std::set<std::string> told;
        for (const auto& b : bundles) {
            if (b.AssignmentGroup.empty() || b.PciLong.empty() || is_usb_device(b) || b.AssignmentGroup == a.AssignmentGroup) continue;
            const auto controller = hardware.controller_of(a.PciLong);
            if (controller != hardware.controller_of(b.PciLong) || !told.insert(b.Phylabel).second) continue;
            // The same sentence on both, whichever comes first.
            const auto& first = a.Phylabel < b.Phylabel ? a : b;
            const auto& second = a.Phylabel < b.Phylabel ? b : a;
            found[i].push_back({.text = label_of(first) + " (group " + first.AssignmentGroup + ") and " + label_of(second) + " (group " +
                                        second.AssignmentGroup + ") share " + controller + ", so one app must have both",
                                .group_scoped = true});
        }
    }
    return found;
}

/// Groups that are on a cycle of parents; those that are their own parent are left out.
std::set<std::string> cyclic(const std::map<std::string, std::string>& parents) {
    std::set<std::string> found;
    for (const auto& [start, first] : parents) {
        std::set<std::string> seen;
        std::string at = start;
        while (seen.insert(at).second) {
            const auto next = parents.find(at);
            if (next == parents.end() || next->second == at) break;
            at = next->second;
            if (at == start) found.insert(start);
        }
    }
    return found;
}

void check_parents(std::vector<IoBundle>& bundles, types::Time now) {
    std::map<std::string, std::string> parents;
    std::map<std::string, const IoBundle*> first;
    for (const auto& bundle : bundles) {
        if (bundle.AssignmentGroup.empty()) continue;
        first.try_emplace(bundle.AssignmentGroup, &bundle);
        if (!bundle.ParentAssignmentGroup.empty()) parents.try_emplace(bundle.AssignmentGroup, bundle.ParentAssignmentGroup);
    }
    const auto cycles = cyclic(parents);
    for (auto& bundle : bundles) {
        const auto& group = bundle.AssignmentGroup;
        const auto& parent = bundle.ParentAssignmentGroup;
        std::vector<Complaint> own, mismatch, without, cycle;
        if (!group.empty() && group == parent) own.push_back({.text = "group " + group + " is its own parent", .group_scoped = true});
        if (group.empty() && !parent.empty()) without.push_back({.text = "it has the parent group " + parent + " but no group of its own"});
        if (!group.empty() && first[group] != &bundle && first[group]->ParentAssignmentGroup != parent)
            mismatch.push_back({.text = "its parent group is " + (parent.empty() ? "none" : parent) + ", that of " + label_of(*first[group]) +
                                        " in the same group is " +
                                        (first[group]->ParentAssignmentGroup.empty() ? "none" : first[group]->ParentAssignmentGroup)});
        if (cycles.contains(group)) cycle.push_back({.text = "group " + group + " is among its own ancestors", .group_scoped = true});
        set_errors(bundle, Blame::own_parent, own, now);
        set_errors(bundle, Blame::parent_mismatch, mismatch, now);
        set_errors(bundle, Blame::parent_without_group, without, now);
        set_errors(bundle, Blame::parent_cycle, cycle, now);
    }
}

void check_devices(std::vector<IoBundle>& bundles, const Hardware& hardware, types::Time now) {
    for (auto& bundle : bundles) {
        std::vector<Complaint> missing, rename;
        if (hardware.known && !bundle.PciLong.empty() && !is_usb_device(bundle)) {
            const auto* device = hardware.find(bundle.PciLong);
            if (device == nullptr) {
                missing.push_back({.text = "there is no PCI device " + bundle.PciLong});
            } else if (is_network(bundle.Type) && !device->interfaces.empty() && !bundle.Ifname.empty() && hardware.behind(bundle.Ifname) != device) {
                rename.push_back({.text = "the interface of " + bundle.PciLong + " is called " + device->interfaces.front() + ", the model says " + bundle.Ifname,
                                  .warning = true});
            }
        }
        set_errors(bundle, Blame::missing_device, missing, now);
        set_errors(bundle, Blame::rename, rename, now);
    }
}

/// What shares a controller with a group and is not in it: warned about, and treated as a member.
void check_completeness(types::AssignableAdapters& table, const Hardware& hardware, types::Time now) {
    auto& bundles = table.IoBundleList;
    for (std::size_t i = 0; i < bundles.size(); ++i) {
        std::vector<Complaint> found;
        if (!bundles[i].AssignmentGroup.empty() || bundles[i].PciLong.empty() || is_usb_device(bundles[i])) {
            set_errors(bundles[i], Blame::model_inconsistency, found, now);
            continue;
        }
        for (const auto& other : bundles)
            if (!other.AssignmentGroup.empty() && !other.PciLong.empty() && !is_usb_device(other) &&
                hardware.controller_of(other.PciLong) == hardware.controller_of(bundles[i].PciLong))
                found.push_back({.text = "the model leaves it out of group " + other.AssignmentGroup + ", but it shares " +
                                         hardware.controller_of(other.PciLong) + " with " + label_of(other),
                                 .warning = true});
        set_errors(bundles[i], Blame::model_inconsistency, found, now);
    }
}

}  // namespace

void validate(types::AssignableAdapters& table, const Hardware& hardware, types::Time now) {
    auto& bundles = table.IoBundleList;
    const auto collided = collisions(bundles);
    const auto conflicts = group_conflicts(bundles, hardware);
    for (std::size_t i = 0; i < bundles.size(); ++i) {
        set_errors(bundles[i], Blame::collision, collided[i], now);
        set_errors(bundles[i], Blame::group_conflict, conflicts[i], now);
    }
    check_parents(bundles, now);
    check_devices(bundles, hardware, now);
    check_completeness(table, hardware, now);
}

// ------------------------------------------------------------------------------------------------------------ virtual functions

std::optional<FunctionName> parse_function_name(std::string_view name) {
    const auto at = name.rfind("vf");
    if (at == std::string_view::npos || at == 0) return std::nullopt;
    const auto digits = name.substr(at + 2);
    unsigned index = 0;
    const auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), index);
    if (digits.empty() || failure != std::errc{} || end != digits.data() + digits.size() || index > 255) return std::nullopt;
    return FunctionName{.physical = std::string(name.substr(0, at)), .index = static_cast<std::uint8_t>(index)};
}

std::string function_name(const std::string& physical, std::uint8_t index) { return physical + "vf" + std::to_string(index); }

IoBundle function_bundle(const IoBundle& physical, std::uint8_t index, const PciDevice& device) {
    const auto named = [&](const std::string& name) { return name.empty() ? name : function_name(name, index); };
    IoBundle bundle;
    bundle.Type = IoType::IoNetEthVF;
    bundle.Phylabel = named(physical.Phylabel);
    bundle.Logicallabel = named(physical.Logicallabel);
    bundle.AssignmentGroup = named(physical.AssignmentGroup.empty() ? physical.Phylabel : physical.AssignmentGroup);
    bundle.Ifname = named(physical.Ifname);
    bundle.Usage = physical.Usage;
    bundle.PciLong = device.address;
    bundle.Unique = device.unique;
    bundle.VfParams.Index = index;
    bundle.VfParams.PFIface = physical.Ifname;
    for (const auto& wanted : physical.Vfs.Data) {
        if (wanted.Index != index) continue;
        bundle.MacAddr = wanted.Mac;
        bundle.VfParams.VlanID = wanted.VlanID;
    }
    return bundle;
}

}  // namespace eve::domainmgr
