#include "validate.hpp"

#include <algorithm>
#include <set>

#include "common/container_image.hpp"
#include "common/grammar.hpp"
#include "common/machine_spec.hpp"

namespace eve::kvm {
namespace {

using plugins::valid_pci_address;

constexpr Bytes memory_most = Bytes{1ULL << 46};

/// Properties of devices that a board's quirk may set: they change how QEMU treats a device, never what the guest can reach.
bool allowed_argument(const std::string& name, const std::string& value) {
    static const std::set<std::string> properties = {"vfio-pci.x-no-mmap",      "vfio-pci.x-no-kvm-intx", "vfio-pci.x-no-kvm-msi", "vfio-pci.x-no-kvm-msix",
                                                     "vfio-pci.x-no-geforce-quirks", "vfio-pci.x-intx-mmap-timeout-ms", "vfio-pci.rombar",
                                                     "pcie-root-port.x-speed",  "pcie-root-port.x-width"};
    const auto equals = value.find('=');
    const auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
    return name == "-global" && equals != std::string::npos && properties.contains(value.substr(0, equals)) && equals + 1 < value.size() &&
           std::all_of(value.begin() + static_cast<std::ptrdiff_t>(equals) + 1, value.end(), plain);
}

class Checker {
public:
    Checker(const DomainSpec& spec, const Offer& offer) : spec_(spec), offer_(offer) {}

    std::vector<Problem> run() {
        plugins::add_machine_problems(spec_, {.memory_max = memory_most, .vcpus_max = vcpus_max}, problems_);
        require(spec_.mode != VirtualizationMode::container, ".mode", "containers are not run by QEMU", "use the containerd plugin");
        file(spec_.kernel, ".kernel");
        file(spec_.ramdisk, ".ramdisk");
        require(spec_.device_tree.empty() || offer_.architecture == Architecture::aarch64, ".device_tree", "this architecture has no device trees");
        file(spec_.device_tree, ".device_tree");
        text(spec_.extra_args, ".extra_args");
        require(spec_.extra_args.empty() || !spec_.kernel.empty(), ".extra_args", "a kernel command line needs a kernel");
        file(spec_.firmware, ".firmware");
        firmware_screen();
        container();
        disks();
        vifs();
        adapters();
        require(slots_ <= last_slot - first_slot + 1, slots_at_fault_,
                "the guest's PCI bus has " + std::to_string(last_slot - first_slot + 1) + " slots for disks, interfaces and devices");
        return std::move(problems_);
    }

private:
    void require(bool holds, std::string field, std::string what, std::string hint = {}) {
        if (!holds) problems_.push_back({.field = std::move(field), .what = std::move(what), .hint = std::move(hint)});
    }
    void text(const std::string& value, const std::string& field) {
        require(carried(value), field, "holds a quote or a control character, or has more than " + std::to_string(value_size_max) + " bytes");
    }
    void file(const std::string& path, const std::string& field) {
        require(path.empty() || path.front() == '/', field, "the path must be absolute");
        text(path, field);
    }

    void container() {
        if (!container_) {
            require(spec_.env.empty() && spec_.files.empty(), ".env", "variables and files are given to containers only");
            return;
        }
        require(offer_.architecture == Architecture::x86_64, ".disks[0].format", "there is no kernel for containers in virtual machines of this architecture");
        require(spec_.mode == VirtualizationMode::pv || spec_.mode == VirtualizationMode::hvm, ".mode",
                "a container runs in a virtual machine as PV or HVM, or without one as NOHYPER");
        require(spec_.memory >= container_memory_min, ".memory_bytes",
                "a container in a virtual machine needs at least " + std::to_string(container_memory_min.n >> 20) + " MiB: its kernel is in there, too");
        require(spec_.kernel.empty() && spec_.ramdisk.empty() && spec_.extra_args.empty(), ".kernel", "a container's virtual machine has a kernel of the node's own");
        for (std::size_t at = 0; at < spec_.disks.size(); ++at)
            require(spec_.disks[at].format != DiskFormat::container || spec_.disks[at].path.find_first_of(",\\") == std::string::npos,
                    ".disks[" + std::to_string(at) + "].path", "the directory of a container's volume has a comma or a backslash in its name");
        plugins::add_container_problems(spec_, problems_);
    }

    void firmware_screen() {
        if (spec_.resolution.empty()) return;
        static const std::set<std::string> known = {"800x600", "1024x768", "1280x800", "1920x1080"};
        require(known.contains(spec_.resolution), ".resolution", "the resolution is 800x600, 1024x768, 1280x800 or 1920x1080");
        require(offer_.firmware_resolutions, ".resolution", "no firmware for a resolution is configured", "set ovmf_vars_dir of the plugin");
    }

    void disks() {
        std::uint32_t cdroms = 0;
        for (std::size_t at = 0; at < spec_.disks.size(); ++at) {
            const auto& disk = spec_.disks[at];
            const auto field = ".disks[" + std::to_string(at) + "]";
            if (disk.target == DiskTarget::app_custom) continue;
            file(disk.path, field + ".path");
            if (disk.format == DiskFormat::container) require(container_, field + ".format", "an image of a container is not a disk",
                                                              "the app's first volume says whether it is a container");
            else require(!qemu_format(disk.format).empty(), field + ".format", "QEMU does not read this format");
            require(spec_.mode != VirtualizationMode::legacy || !disk.read_only || disk.cdrom || disk.format == DiskFormat::iso, field + ".read_only",
                    "the IDE disks of LEGACY cannot be read-only");
            if (!container_ && (disk.cdrom || disk.format == DiskFormat::iso)) {
                ++cdroms;
                require(cdroms <= sata_ports, field, "the guest's SATA controller has " + std::to_string(sata_ports) + " ports for CD-ROMs");
            } else {
                take_slot(field);
            }
        }
    }

    void vifs() {
        for (std::size_t at = 0; at < spec_.vifs.size(); ++at) {
            const auto& vif = spec_.vifs[at];
            const auto field = ".vifs[" + std::to_string(at) + "]";
            require(!spec_.network_order_enforced || vif.order.has_value(), field + ".order", "the order is enforced and this interface has none");
            take_slot(field);
        }
    }

    void adapters() {
        for (std::size_t at = 0; at < spec_.adapters.size(); ++at) {
            const auto& adapter = spec_.adapters[at];
            const auto field = ".adapters[" + std::to_string(at) + "]";
            switch (adapter.kind) {
                case AdapterKind::pci:
                    require(offer_.iommu, field, "this machine has no IOMMU in use: PCI devices cannot be given to guests");
                    require(valid_pci_address(adapter.address), field + ".address", "not a whole PCI address (0000:03:00.0)");
                    break;
                case AdapterKind::serial:
                    require(adapter.address.starts_with("/dev/"), field + ".address", "a serial port is a device file (/dev/ttyS1)");
                    text(adapter.address, field + ".address");
                    break;
                case AdapterKind::usb: require(false, field, "USB devices are attached while the guest runs (usb/1), not when it is made"); break;
                case AdapterKind::can:
                case AdapterKind::interface:
                case AdapterKind::unknown: require(false, field, "this plugin does not hand devices of this kind to guests"); break;
            }
        }
        for (const auto& place : places_of(spec_, {}))
            if (place.vif == nullptr) take_slot(".adapters");  // interfaces have theirs already
        const auto order = interleaved(spec_);
        require(order.empty(), ".network_order_enforced", order);
        require(spec_.vmm_args.size() % 2 == 0, ".vmm_args", "arguments come in pairs");
        for (std::size_t at = 0; at + 1 < spec_.vmm_args.size(); at += 2)
            require(allowed_argument(spec_.vmm_args[at], spec_.vmm_args[at + 1]), ".vmm_args[" + std::to_string(at) + "]",
                    spec_.vmm_args[at] + " " + spec_.vmm_args[at + 1] + " is not among the arguments that this plugin allows");
    }

    void take_slot(const std::string& field) {
        if (++slots_ == last_slot - first_slot + 2) slots_at_fault_ = field;
    }

    const DomainSpec& spec_;
    const Offer& offer_;
    const bool container_ = plugins::root_disk(spec_) != nullptr;
    std::vector<Problem> problems_;
    std::uint32_t slots_ = 0;
    std::string slots_at_fault_;
};

}  // namespace

std::vector<Problem> problems_of(const DomainSpec& spec, const Offer& offer) { return Checker(spec, offer).run(); }

std::vector<std::string> without_effect(const DomainSpec& spec, const Offer& offer) {
    std::vector<std::string> notes;
    if (spec.vcpus_max > spec.vcpus) notes.emplace_back("CPUs cannot be added to a running guest: the larger maximum has no effect");
    if (spec.memory_max > spec.memory) notes.emplace_back("Memory cannot be added to a running guest: the larger maximum has no effect");
    if (!spec.root_device.empty()) notes.emplace_back("The root device has no effect on a guest of QEMU");
    if (spec.boot_order != BootOrder::unknown && (spec.mode != VirtualizationMode::fml || offer.architecture != Architecture::x86_64))
        notes.emplace_back("Only the firmware of FML guests heeds the boot order");
    return notes;
}

}  // namespace eve::kvm
