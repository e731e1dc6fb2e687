#include "topology.hpp"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <iterator>
#include <set>

#include "common/grammar.hpp"

namespace eve::pci {
namespace {

constexpr std::size_t stack_depth_max = 16;  ///< of block devices on block devices

std::vector<std::string_view> parts(std::string_view text, char separator) {
    std::vector<std::string_view> found;
    while (!text.empty()) {
        const auto end = text.find(separator);
        if (end != 0) found.push_back(text.substr(0, end));
        text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
    }
    return found;
}

std::string without_prefix(std::string text) { return text.starts_with("0x") ? text.substr(2) : text; }

std::uint32_t number(const std::string& text) {
    std::uint32_t value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

/// The memory regions together: lines of "start end flags", hexadecimal.
Bytes memory_of(const std::string& resource) {
    constexpr std::uint64_t is_memory = 0x200;
    std::uint64_t sum = 0;
    for (const auto line : parts(resource, '\n')) {
        const auto fields = parts(line, ' ');
        std::uint64_t value[3] = {};
        if (fields.size() != 3) continue;
        for (std::size_t i = 0; i < 3; ++i) {
            const auto digits = fields[i].substr(std::min<std::size_t>(2, fields[i].size()));
            std::from_chars(digits.data(), digits.data() + digits.size(), value[i], 16);
        }
        if ((value[2] & is_memory) != 0 && value[1] > value[0]) sum += value[1] - value[0] + 1;
    }
    return Bytes{sum};
}

/// Block devices and the PCI functions below them.
class Blocks {
public:
    explicit Blocks(Sysfs& sysfs) : sysfs_(sysfs) {}

    /// The functions that `name` (a disk, a partition, a mapping) is on.
    std::set<std::string> owners(const std::string& name, std::size_t depth = 0) {
        std::set<std::string> found;
        if (depth > stack_depth_max) return found;
        const auto path = sysfs_.target("class/block/" + name).value_or({});
        if (const auto owner = owner_in(path); !owner.empty()) found.insert(owner);
        for (const auto& below : sysfs_.names("class/block/" + name + "/slaves")) found.merge(owners(below, depth + 1));
        // A partition's own directory has no slaves: its disk's does.
        const auto steps = parts(path, '/');
        if (found.empty() && steps.size() >= 2 && sysfs_.exists("class/block/" + name + "/partition"))
            found.merge(owners(std::string(steps[steps.size() - 2]), depth + 1));
        // NVMe over several paths is a device of its own, with its controllers beside it.
        for (std::size_t i = 0; i + 1 < steps.size(); ++i) {
            if (steps[i] != "nvme-subsystem") continue;
            const auto subsystem = "devices/virtual/nvme-subsystem/" + std::string(steps[i + 1]);
            for (const auto& controller : sysfs_.names(subsystem))
                if (const auto owner = owner_in(sysfs_.target(subsystem + "/" + controller).value_or({})); !owner.empty()) found.insert(owner);
        }
        return found;
    }

private:
    Sysfs& sysfs_;
};

std::string content_of(const std::string& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

/// Functions that the host lives on, and why: mounted file systems, swap, disks that are part of something.
std::map<std::string, std::string> essential(Sysfs& sysfs, const HostFiles& files) {
    std::map<std::string, std::string> found;
    Blocks blocks(sysfs);
    const auto add = [&](const std::string& block, const std::string& why) {
        for (const auto& owner : blocks.owners(block)) found.emplace(owner, block + " " + why);
    };
    const auto block_name = [](std::string_view path) {
        return path.starts_with("/dev/") ? std::string(path.substr(path.rfind('/') + 1)) : std::string();
    };
    const auto mounts = content_of(files.mounts);
    for (const auto line : parts(mounts, '\n')) {
        const auto fields = parts(line, ' ');
        const auto dash = std::find(fields.begin(), fields.end(), "-");
        if (fields.size() < 5) continue;
        const auto why = "is mounted at " + std::string(fields[4]);
        if (const auto name = sysfs.link_name("dev/block/" + std::string(fields[2])); !name.empty()) add(name, why);
        else if (fields.end() - dash > 2)
            if (const auto source = block_name(dash[2]); !source.empty()) add(source, why);
    }
    const auto swaps = content_of(files.swaps);
    for (const auto line : parts(swaps, '\n'))
        if (const auto fields = parts(line, ' '); !fields.empty())
            if (const auto name = block_name(parts(fields[0], '\t')[0]); !name.empty()) add(name, "is the host's swap");
    for (const auto& name : sysfs.names("class/block"))
        if (const auto holders = sysfs.names("class/block/" + name + "/holders"); !holders.empty()) add(name, "is part of " + holders[0]);
    for (const auto& name : sysfs.names("class/net"))
        if (const auto master = sysfs.link_name("class/net/" + name + "/master"); !master.empty())
            if (const auto owner = owner_in(sysfs.target("class/net/" + name).value_or({})); !owner.empty())
                found.emplace(owner, name + " is a member of " + master);
    return found;
}

}  // namespace

bool holds_for_guests(std::string_view driver) { return driver == vfio_driver || driver == pciback_driver; }

std::string_view slot_of(std::string_view address) { return address.substr(0, address.rfind('.')); }

std::string device_path(const std::string& address) { return "bus/pci/devices/" + address; }

std::string owner_in(std::string_view path) {
    std::string owner;
    for (const auto part : parts(path, '/'))
        if (plugins::valid_pci_address(part)) owner = part;
    return owner;
}

std::vector<PciDevice> read_devices(Sysfs& sysfs, const HostFiles& files) {
    std::map<std::string, PciDevice> devices;
    for (const auto& address : sysfs.names("bus/pci/devices")) {
        if (!plugins::valid_pci_address(address)) continue;
        const auto path = device_path(address);
        PciDevice device{.address = address};
        device.vendor = without_prefix(sysfs.text(path + "/vendor"));
        device.device = without_prefix(sysfs.text(path + "/device"));
        device.device_class = without_prefix(sysfs.text(path + "/class"));
        device.driver = sysfs.link_name(path + "/driver");
        device.driver_override = sysfs.text(path + "/driver_override");
        if (device.driver_override == "(null)") device.driver_override.clear();
        device.group = sysfs.link_name(path + "/iommu_group");
        device.physical_function = sysfs.link_name(path + "/physfn");
        device.unique = sysfs.target(path + "/firmware_node").value_or({});
        const auto place = sysfs.target(path).value_or({});  // outlives its parts
        for (const auto part : parts(place, '/'))
            if (plugins::valid_pci_address(part) && part != address) device.parent = part;
        device.bridge = device.device_class.starts_with("0604");
        device.boot_vga = sysfs.text(path + "/boot_vga") == "1";
        device.functions_max = number(sysfs.text(path + "/sriov_totalvfs"));
        device.functions = number(sysfs.text(path + "/sriov_numvfs"));
        device.memory = memory_of(sysfs.text(path + "/resource"));
        // Without a driver but with the guests' override: somebody was stopped half-way.
        const bool chosen = device.driver.empty() && holds_for_guests(device.driver_override);
        device.use = chosen ? PciUse::reserved : device.driver.empty() ? PciUse::idle : holds_for_guests(device.driver) ? PciUse::reserved : PciUse::bound;
        devices.emplace(address, std::move(device));
    }
    for (const auto& name : sysfs.names("class/net")) {
        const auto found = devices.find(owner_in(sysfs.target("class/net/" + name).value_or({})));
        if (found == devices.end()) continue;
        found->second.interfaces.push_back(name);
        found->second.macs.push_back(sysfs.text("class/net/" + name + "/address"));
    }
    Blocks blocks(sysfs);
    for (const auto& name : sysfs.names("class/block")) {
        if (sysfs.exists("class/block/" + name + "/partition")) continue;
        if (sysfs.target("class/block/" + name).value_or({}).find("/virtual/block/") != std::string::npos) continue;
        for (const auto& owner : blocks.owners(name))
            if (const auto found = devices.find(owner); found != devices.end()) found->second.disks.push_back(name);
    }
    for (const auto& [address, why] : essential(sysfs, files)) {
        const auto found = devices.find(address);
        if (found == devices.end()) continue;
        found->second.use = PciUse::essential;
        found->second.why = "the host needs it: " + why;
    }
    std::vector<PciDevice> all;
    for (auto& [address, device] : devices) all.push_back(std::move(device));
    return all;
}

std::vector<std::string> devices_of_group(Sysfs& sysfs, const std::string& group) {
    return sysfs.names("kernel/iommu_groups/" + group + "/devices");
}

}  // namespace eve::pci
