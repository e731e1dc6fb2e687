#include "pci_assigner.hpp"

#include <poll.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>
#include <utility>

#include "common/grammar.hpp"

namespace eve::pci {
namespace {

constexpr std::chrono::milliseconds pause{10};
constexpr std::size_t set_max = 256;
constexpr std::uint32_t vlan_max = 4094;

/// For what must be done whatever became of the caller: giving back.
class Unhurried final : public CallContext {
public:
    std::uint64_t id() const override { return 0; }
    std::chrono::nanoseconds time_left() const override { return std::chrono::nanoseconds::max(); }
    bool cancelled() const override { return false; }
    int cancel_fd() const override { return -1; }
};

Error about(Code code, const std::string& address, std::string what, std::string hint = {}) {
    return {.code = code, .what = address + ": " + std::move(what), .hint = std::move(hint), .entities = {{"pci", address}}};
}

std::string bound_to(const PciDevice& device) { return device.driver.empty() ? "without a driver" : "bound to " + device.driver; }

void wait(std::chrono::milliseconds time) { ::poll(nullptr, 0, static_cast<int>(time.count())); }

}  // namespace

std::string PciAssigner::binding() const {
    if (!options_.binding.empty()) return options_.binding;
    return std::string(sysfs_.exists("bus/pci/drivers/pciback") ? pciback_driver : vfio_driver);
}

bool PciAssigner::has_iommu() { return !sysfs_.names("kernel/iommu_groups").empty(); }

PciAssigner::Devices PciAssigner::look() {
    Devices devices;
    for (auto& device : read_devices(sysfs_, options_.files)) devices.emplace(device.address, std::move(device));
    std::optional<std::map<std::string, std::string>> holders;  // by group; only asked for when there can be any
    for (auto& [address, device] : devices) {
        if (sysfs_.pending(device_path(address) + "/driver/unbind")) device.why = "an unbind from " + device.driver + " has not returned yet: somebody uses the device";
        if (device.driver != vfio_driver || device.group.empty()) continue;
        if (!holders) holders = vfio_.holders();
        const auto at = holders->find(device.group);
        if (at == holders->end()) continue;
        device.use = PciUse::assigned;
        device.why = "a guest has it (" + at->second + ")";
    }
    return devices;
}

std::chrono::milliseconds PciAssigner::write_limit(const CallContext& call) const {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(call.time_left());
    return std::min(options_.write_limit, std::max(left, pause));
}

// ---- what there is ----

Result<PciDescription> PciAssigner::describe(const CallContext&) {
    PciDescription description;
    description.iommu = has_iommu();
    for (const auto driver : {vfio_driver, pciback_driver})
        if (sysfs_.exists("bus/pci/drivers/" + std::string(driver)) && (driver == pciback_driver || description.iommu))
            description.bindings.emplace_back(driver);
    description.config_schema = R"({"type":"object","properties":{"binding":{"type":"string"},"mounts":{"type":"string"},"swaps":{"type":"string"},)"
                                R"("vfio":{"type":"string"},"write_limit_ms":{"type":"integer"}}})";
    return description;
}

Result<ProbeReport> PciAssigner::probe(const CallContext&) {
    ProbeReport report{.verdict = ProbeVerdict::declined};
    const auto driver = binding();
    if (!sysfs_.exists("bus/pci/devices")) {
        report.reason = "this machine has no PCI bus";
    } else if (driver == vfio_driver && !has_iommu()) {
        report.reason = "this machine has no IOMMU in use: PCI devices cannot be given to guests";
        report.notes.emplace_back("An IOMMU is turned on in the firmware (VT-d, AMD-Vi) and on the kernel's command line (intel_iommu=on)");
    } else if (!sysfs_.exists("bus/pci/drivers/" + driver)) {
        report.verdict = ProbeVerdict::broken;
        report.reason = "the kernel has no driver " + driver + ": modprobe " + std::string(driver == pciback_driver ? "xen-pciback" : driver);
    } else {
        report.verdict = ProbeVerdict::supported;
        report.reason = "PCI devices are given to guests with " + driver;
    }
    return report;
}

Result<std::vector<PciDevice>> PciAssigner::list(const CallContext&) {
    if (!sysfs_.exists("bus/pci/devices")) return Error{.code = Code::unavailable, .what = "sysfs has no PCI bus"};
    std::vector<PciDevice> all;
    for (auto& [address, device] : look()) all.push_back(std::move(device));
    return all;
}

Result<std::vector<PciGroup>> PciAssigner::groups(const CallContext&) {
    const auto devices = look();
    const auto holders = vfio_.holders();
    std::vector<PciGroup> all;
    for (const auto& id : sysfs_.names("kernel/iommu_groups")) {
        PciGroup group{.id = id, .devices = devices_of_group(sysfs_, id), .viable = true};
        if (const auto held = holders.find(id); held != holders.end()) group.holder = held->second;
        for (const auto& address : group.devices) {
            const auto found = devices.find(address);
            if (found != devices.end() && !found->second.bridge && !found->second.driver.empty() && found->second.driver != vfio_driver) group.viable = false;
        }
        all.push_back(std::move(group));
    }
    const auto number = [](const PciGroup& group) {
        int value = 0;
        std::from_chars(group.id.data(), group.id.data() + group.id.size(), value);
        return value;
    };
    std::sort(all.begin(), all.end(), [&](const PciGroup& a, const PciGroup& b) { return number(a) < number(b); });
    return all;
}

// ---- checks: nothing is touched before all hold ----

Status PciAssigner::check_set(const PciSet& set, const Devices& devices) {
    std::set<std::string> seen;
    if (set.devices.size() > set_max) return Error{.code = Code::invalid_argument, .what = "more devices at once than any machine gives away"};
    for (const auto& claim : set.devices) {
        const auto& address = claim.address;
        if (!plugins::valid_pci_address(address))
            return Error{.code = Code::invalid_argument,
                         .what = "`" + address + "` is not a whole PCI address",
                         .field = ".devices",
                         .hint = "with the PCI domain and in small letters: 0000:03:00.0"};
        if (!seen.insert(address).second) return about(Code::invalid_argument, address, "stands twice in the set");
        const auto found = devices.find(address);
        if (found == devices.end()) return about(Code::not_found, address, "there is no such device", "evectl adapters shows what the machine has");
        const auto& device = found->second;
        if (device.bridge) return about(Code::invalid_argument, address, "a PCI bridge is not given to guests");
        if ((!claim.mac.empty() || claim.vlan != 0) && device.physical_function.empty())
            return about(Code::invalid_argument, address, "has no MAC address or VLAN to set: it is not a virtual function");
        if (claim.vlan > vlan_max) return about(Code::invalid_argument, address, "a VLAN is 1 to 4094");
        if (device.functions > 0) return about(Code::failed_precondition, address, "it is split into virtual functions, which would go with it");
        if (device.use == PciUse::essential || device.use == PciUse::assigned) return about(Code::failed_precondition, address, device.why);
        if (sysfs_.pending(device_path(address) + "/driver/unbind")) return about(Code::unavailable, address, device.why);
    }
    for (const auto& need : set.needs)
        if (seen.contains(need.address)) return about(Code::failed_precondition, need.address, "the node needs it: " + need.why);
    return {};
}

/// Every group of the set is one that a guest can have: no other device of it stays with the host, and nobody has it.
Status PciAssigner::check_groups(const PciSet& set, const Devices& devices) {
    if (binding() != vfio_driver) return {};
    std::set<std::string> wanted;
    for (const auto& claim : set.devices) wanted.insert(claim.address);
    for (const auto& address : wanted) {
        const auto& device = devices.at(address);
        if (device.group.empty())
            return about(Code::unsupported, address, "is not behind an IOMMU, so it cannot be given to a virtual machine",
                         "turn the IOMMU on in the firmware (VT-d, AMD-Vi) and on the kernel's command line (intel_iommu=on)");
        if (vfio_.busy(device.group)) return about(Code::failed_precondition, address, "IOMMU group " + device.group + " is in use: a guest has it open");
        for (const auto& member : devices_of_group(sysfs_, device.group)) {
            const auto found = devices.find(member);
            if (wanted.contains(member) || found == devices.end()) continue;
            const auto& other = found->second;
            if (other.use == PciUse::assigned)
                return about(Code::failed_precondition, address, "IOMMU group " + device.group + " is in use: " + member + ": " + other.why);
            if (other.bridge || other.driver.empty() || other.driver == vfio_driver) continue;
            std::string relation = "shares IOMMU group " + device.group + " with " + member;
            if (slot_of(member) == slot_of(address)) relation = "is one function of a card whose function " + member + " stays with the host";
            else if (!other.parent.empty() && other.parent == device.parent) relation = "is behind the same bridge (" + other.parent + ") as " + member;
            auto error = about(Code::failed_precondition, address,
                               relation + ", which is " + bound_to(other) + ": IOMMU group " + device.group + " would not be viable",
                               "give both to the same app (one assignment group), or neither");
            error.entities.push_back({"pci", member});
            return error;
        }
    }
    return {};
}

// ---- single steps ----

Status PciAssigner::set_override(const CallContext& call, const std::string& address, const std::string& driver) {
    return sysfs_.write(device_path(address) + "/driver_override", driver + "\n", write_limit(call));
}

Status PciAssigner::unbind(const CallContext& call, const std::string& address) {
    const auto driver = driver_of(address);
    if (driver.empty()) return {};
    auto done = sysfs_.write(device_path(address) + "/driver/unbind", address, write_limit(call));
    if (!done && done.error().code == Code::timed_out)
        return about(Code::unavailable, address,
                     "unbinding it from " + driver + " has not returned after " + std::to_string(write_limit(call).count()) + " ms: somebody uses it",
                     "end what uses the device; the unbind ends by itself then");
    if (!done && done.error().code == Code::not_found) return {};  // gone meanwhile: seen below
    if (!done) return about(Code::unavailable, address, "unbinding it from " + driver + ": " + done.error().what);
    // pciback keeps a slot for what it had once, and seizes the device when drivers are looked for.
    if (driver == pciback_driver) (void)sysfs_.write("bus/pci/drivers/pciback/remove_slot", address, write_limit(call));
    return {};
}

Status PciAssigner::probe_driver(const CallContext& call, const std::string& address) {
    // What this write returns says nothing: only the link does.
    auto done = sysfs_.write("bus/pci/drivers_probe", address, write_limit(call));
    if (!done && done.error().code == Code::timed_out) return about(Code::unavailable, address, "finding a driver has not returned: " + done.error().what);
    return {};
}

bool PciAssigner::settles(const CallContext& call, const std::string& address, const std::string& driver) {
    for (auto left = std::min(options_.settle_limit, write_limit(call)); left.count() > 0; left -= pause) {
        if (driver_of(address) == driver) return true;
        wait(pause);
    }
    return driver_of(address) == driver;
}

Status PciAssigner::bind(const CallContext& call, const PciDevice& device, const std::string& driver) {
    const auto& address = device.address;
    if (call.cancelled()) return about(Code::cancelled, address, "the caller gave up");
    if (auto done = set_override(call, address, driver); !done) {
        if (done.error().code == Code::not_found) return about(Code::not_found, address, "the device vanished");
        return about(Code::unavailable, address, "choosing the driver " + driver + ": " + done.error().what);
    }
    if (driver_of(address) != driver) {
        if (auto done = unbind(call, address); !done) return done;
        if (auto done = probe_driver(call, address); !done) return done;
    }
    if (settles(call, address, driver)) return {};
    if (!sysfs_.exists(device_path(address))) return about(Code::not_found, address, "the device vanished while it was bound to " + driver);
    const auto now = driver_of(address);
    return about(Code::unavailable, address, "driver bind failed: it is " + (now.empty() ? "without a driver" : "bound to " + now) + ", not to " + driver,
                 "the kernel's log (dmesg) has the reason");
}

Status PciAssigner::give_back(const CallContext& call, const PciDevice& device) {
    const auto& address = device.address;
    if (auto done = set_override(call, address, ""); !done && done.error().code != Code::not_found)
        return about(Code::unavailable, address, "clearing the choice of driver: " + done.error().what);
    if (auto done = unbind(call, address); !done) return done;
    if (auto done = probe_driver(call, address); !done) return done;
    if (holds_for_guests(driver_of(address))) return about(Code::unavailable, address, "it is still bound to " + driver_of(address));
    return {};
}

/// The error, after everything done was undone, the newest first; with what could not be.
Error PciAssigner::rolled_back(std::vector<Before> done, Error error) {
    const Unhurried call;
    std::string left;
    std::reverse(done.begin(), done.end());
    for (const auto& before : done) {
        if (!sysfs_.exists(device_path(before.address))) continue;
        (void)set_override(call, before.address, before.driver_override);
        if (sysfs_.pending(device_path(before.address) + "/driver/unbind")) continue;  // the driver has it still
        if (driver_of(before.address) != before.driver) {
            (void)unbind(call, before.address);
            if (!before.driver.empty()) {
                (void)probe_driver(call, before.address);
                if (!settles(call, before.address, before.driver)) {
                    if (before.driver == pciback_driver) (void)sysfs_.write("bus/pci/drivers/pciback/new_slot", before.address, options_.write_limit);
                    (void)sysfs_.write("bus/pci/drivers/" + before.driver + "/bind", before.address, options_.write_limit);
                }
            }
        }
        if (settles(call, before.address, before.driver)) continue;
        left += (left.empty() ? "" : ", ") + before.address + " (was " + (before.driver.empty() ? "without a driver" : "bound to " + before.driver) + ")";
        error.entities.push_back({"pci", before.address});
    }
    if (!left.empty()) error.what += "; not given back: " + left;
    return error;
}

Status PciAssigner::set_function(const PciDevice& device, const std::string& mac, std::uint32_t vlan) {
    const auto physical = device_path(device.physical_function);
    const auto interfaces = sysfs_.names(physical + "/net");
    if (interfaces.empty()) {
        if (mac.empty() && vlan == 0) return {};
        return about(Code::failed_precondition, device.address, "its MAC and VLAN are set through " + device.physical_function + ", which has no network interface now");
    }
    for (std::uint32_t index = 0; index < 256; ++index) {
        if (sysfs_.link_name(physical + "/virtfn" + std::to_string(index)) != device.address) continue;
        auto done = functions_.set({.interface = interfaces[0], .index = index, .mac = mac, .vlan = vlan});
        if (!done) return std::move(done).error().in(device.address);
        return {};
    }
    return about(Code::not_found, device.address, "is no virtual function of " + device.physical_function);
}

// ---- transactions ----

Result<std::vector<PciDevice>> PciAssigner::reserve(const CallContext& call, const PciSet& set) {
    const auto devices = look();
    if (auto good = check_set(set, devices); !good) return std::move(good).error();
    if (auto good = check_groups(set, devices); !good) return std::move(good).error();
    const auto driver = binding();
    if (!set.devices.empty() && !sysfs_.exists("bus/pci/drivers/" + driver))
        return Error{.code = Code::failed_precondition,
                     .what = "the kernel has no driver " + driver,
                     .hint = "modprobe " + std::string(driver == pciback_driver ? "xen-pciback" : driver)};
    std::vector<Before> done;
    std::set<std::string> groups;
    for (const auto& claim : set.devices) {
        const auto& device = devices.at(claim.address);
        if (device.driver != driver) {
            done.push_back({.address = device.address, .driver = device.driver, .driver_override = device.driver_override});
            if (auto bound = bind(call, device, driver); !bound) return rolled_back(std::move(done), std::move(bound).error());
            if (driver == vfio_driver) groups.insert(device.group);
        }
    }
    for (const auto& group : groups)
        if (auto good = vfio_.try_out(group); !good) return rolled_back(std::move(done), std::move(good).error());
    std::vector<const PciDevice*> set_up;
    for (const auto& claim : set.devices) {
        const auto& device = devices.at(claim.address);
        if (device.physical_function.empty()) continue;
        set_up.push_back(&device);
        if (auto good = set_function(device, claim.mac, claim.vlan); !good) {
            for (const auto* each : set_up) (void)set_function(*each, "", 0);
            return rolled_back(std::move(done), std::move(good).error());
        }
    }
    std::vector<PciDevice> reserved;
    auto now = look();
    for (const auto& claim : set.devices) reserved.push_back(std::move(now[claim.address]));
    return reserved;
}

Result<std::vector<PciDevice>> PciAssigner::release(const CallContext& call, const std::vector<std::string>& addresses) {
    const auto devices = look();
    std::vector<const PciDevice*> wanted;
    for (const auto& address : addresses) {
        if (!plugins::valid_pci_address(address)) return Error{.code = Code::invalid_argument, .what = "`" + address + "` is not a whole PCI address", .field = ".devices"};
        const auto found = devices.find(address);
        if (found == devices.end()) continue;
        const auto& device = found->second;
        if (device.use == PciUse::assigned) return about(Code::failed_precondition, address, device.why + ": it is given back when the guest has ended");
        if (device.driver == vfio_driver && vfio_.busy(device.group))
            return about(Code::failed_precondition, address, "a guest has it: it is given back when the guest has ended");
        if (sysfs_.pending(device_path(address) + "/driver/unbind")) return about(Code::unavailable, address, device.why);
        if (holds_for_guests(device.driver) || holds_for_guests(device.driver_override)) wanted.push_back(&device);
    }
    std::vector<Before> done;
    for (const auto* device : wanted) {
        done.push_back({.address = device->address, .driver = device->driver, .driver_override = device->driver_override});
        if (!device->physical_function.empty()) (void)set_function(*device, "", 0);
        if (auto given = give_back(call, *device); !given) return rolled_back(std::move(done), std::move(given).error());
    }
    // A driver may take its time to find its device; an absent driver is no failure.
    for (const auto* device : wanted)
        for (auto left = options_.settle_limit / 4; left.count() > 0 && driver_of(device->address).empty(); left -= pause) wait(pause);
    std::vector<PciDevice> released;
    auto now = look();
    for (const auto& address : addresses)
        if (const auto found = now.find(address); found != now.end()) released.push_back(std::move(found->second));
    return released;
}

Result<std::vector<PciDevice>> PciAssigner::split(const CallContext& call, const PciSplit& wanted) {
    const auto& address = wanted.address;
    if (!plugins::valid_pci_address(address)) return Error{.code = Code::invalid_argument, .what = "`" + address + "` is not a whole PCI address", .field = ".address"};
    const auto devices = look();
    const auto found = devices.find(address);
    if (found == devices.end()) return about(Code::not_found, address, "there is no such device");
    const auto& device = found->second;
    if (device.functions_max == 0) return about(Code::unsupported, address, "cannot be split into virtual functions");
    if (wanted.functions > device.functions_max)
        return about(Code::invalid_argument, address,
                     std::to_string(wanted.functions) + " virtual functions are wanted, it can have " + std::to_string(device.functions_max));
    const auto path = device_path(address);
    const auto made = [&] {
        std::vector<std::string> functions;
        for (std::uint32_t i = 0; i < wanted.functions; ++i)
            if (auto name = sysfs_.link_name(path + "/virtfn" + std::to_string(i)); !name.empty()) functions.push_back(std::move(name));
        return functions;
    };
    if (device.functions != wanted.functions) {
        for (const auto& [other, function] : devices)
            if (function.physical_function == address && function.use == PciUse::assigned)
                return about(Code::failed_precondition, address, "its virtual function " + other + " is in use: " + function.why);
        // Without this a driver of the host takes each new function at once; an old kernel has no such switch.
        (void)sysfs_.write(path + "/sriov_drivers_autoprobe", "0", write_limit(call));
        const auto patience = std::chrono::duration_cast<std::chrono::milliseconds>(
            std::min<std::chrono::nanoseconds>(options_.functions_limit, call.time_left()));
        const auto set = [&](std::uint32_t number) { return sysfs_.write(path + "/sriov_numvfs", std::to_string(number), patience); };
        if (device.functions != 0)
            if (auto done = set(0); !done) return about(Code::unavailable, address, "taking away its virtual functions: " + done.error().what);
        if (wanted.functions != 0)
            if (auto done = set(wanted.functions); !done) return about(Code::unavailable, address, "making virtual functions: " + done.error().what);
        for (auto left = patience; left.count() > 0 && made().size() < wanted.functions && !call.cancelled(); left -= pause) wait(pause);
    }
    const auto functions = made();
    if (functions.size() < wanted.functions)
        return about(Code::unavailable, address,
                     "only " + std::to_string(functions.size()) + " of " + std::to_string(wanted.functions) + " virtual functions have appeared");
    // Carrier is not asked for: without the link they exist as well.
    for (const auto& interface : sysfs_.names(path + "/net")) (void)functions_.bring_up(interface);
    std::vector<PciDevice> split;
    auto now = look();
    for (const auto& function : functions) split.push_back(std::move(now[function]));
    return split;
}

}  // namespace eve::pci
