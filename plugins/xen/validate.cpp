#include "validate.hpp"

#include <algorithm>
#include <set>

#include "common/grammar.hpp"
#include "config.hpp"

namespace eve::xen {
namespace {

using plugins::printable;
using plugins::valid_mac;
using plugins::valid_name;
using plugins::valid_uuid;

constexpr std::size_t interface_name_max = 15 - 4;  // the emulated twin is called "<name>-emu"
constexpr std::size_t text_max = 4000;
constexpr std::size_t path_max = 1000;              // xenstore's values are small
constexpr Bytes memory_min = 1_MiB;
constexpr Bytes memory_most = Bytes{1ULL << 44};
constexpr std::uint32_t mtu_min = 68;
constexpr std::uint32_t mtu_max = 65521;
constexpr std::uint32_t vnc_display_max = 65535 - 5900;

bool valid_interface(std::string_view text, std::size_t size_max) { return valid_name(text) && text.size() <= size_max; }

class Checker {
public:
    explicit Checker(const DomainSpec& spec) : spec_(spec) {}

    std::vector<Problem> run() {
        require(valid_uuid(spec_.id.value), ".id", "the id must be a UUID");
        require(valid_name(spec_.name), ".name", "the name must be 1 to 127 letters, digits, dots, dashes or underscores, and not begin with a dot");
        require(spec_.mode != VirtualizationMode::unknown, ".mode", "the virtualization mode is not set");
        require(spec_.mode != VirtualizationMode::container, ".mode", "containers are not run by Xen", "use the containerd plugin");
        require(spec_.memory >= memory_min, ".memory_bytes", "a guest needs at least 1 MiB of memory");
        require(spec_.memory <= memory_most, ".memory_bytes", "a guest cannot have more than 16 TiB of memory");
        require(spec_.memory_max <= memory_most, ".memory_max_bytes", "a guest cannot have more than 16 TiB of memory");
        require(spec_.vcpus >= 1, ".vcpus", "a guest needs a CPU");
        require(spec_.vcpus <= vcpus_max, ".vcpus", "a guest cannot have more than 128 CPUs");
        require(spec_.vcpus_max <= vcpus_max, ".vcpus_max", "a guest cannot have more than 128 CPUs");
        require(!spec_.cpus_pinned || spec_.cpus.size() >= spec_.vcpus, ".cpus", "there must be one CPU of the host for each pinned virtual CPU");
        file(spec_.kernel, ".kernel");
        file(spec_.ramdisk, ".ramdisk");
        file(spec_.firmware, ".firmware");
        require(spec_.ramdisk.empty() || !spec_.kernel.empty(), ".ramdisk", "a RAM disk needs a kernel");
        require(printable(spec_.extra_args, text_max), ".extra_args", "holds a control character, or has more than 4000 bytes");
        require(spec_.device_tree.empty(), ".device_tree", "device trees are not handed to guests by this plugin");
        require(spec_.gpu.empty() || spec_.gpu == "legacy", ".gpu", "the GPU configuration is empty or 'legacy'");
        require(!spec_.oem_license, ".oem_license", "OEM licence tables are not handed to guests by this plugin");
        require(!spec_.virtual_tpm, ".virtual_tpm", "this plugin gives guests no TPM");
        disks();
        vifs();
        adapters();
        require(spec_.vnc.display <= vnc_display_max, ".vnc.display", "TCP ports end at 65535");
        return std::move(problems_);
    }

private:
    void require(bool holds, std::string field, std::string what, std::string hint = {}) {
        if (!holds) problems_.push_back({.field = std::move(field), .what = std::move(what), .hint = std::move(hint)});
    }
    void file(const std::string& path, const std::string& field) {
        require(path.empty() || path.front() == '/', field, "the path must be absolute");
        require(printable(path, path_max), field, "holds a control character, or has more than 1000 bytes");
    }

    void disks() {
        std::set<std::string> ids;
        std::uint32_t attached = 0;
        for (std::size_t at = 0; at < spec_.disks.size(); ++at) {
            const auto& disk = spec_.disks[at];
            const auto field = ".disks[" + std::to_string(at) + "]";
            require(ids.insert(disk.id).second, field + ".id", "two disks have this id");
            if (disk.target == DiskTarget::app_custom) continue;
            require(disk.target != DiskTarget::unknown, field + ".target", "the disk's purpose is not set");
            require(!disk.path.empty(), field + ".path", "the disk has no file");
            file(disk.path, field + ".path");
            require(disk.wwn.empty(), field + ".wwn", "vhost-scsi targets are not used by this plugin");
            const bool known = disk.format == DiskFormat::raw || disk.format == DiskFormat::qcow || disk.format == DiskFormat::qcow2 ||
                               disk.format == DiskFormat::vhd || disk.format == DiskFormat::iso;
            require(known, field + ".format", "Xen takes raw, qcow, qcow2, vhd and iso");
            require(++attached <= disks_max, field, "a guest has at most 24 disks");
        }
    }

    void vifs() {
        std::set<std::string> names;
        require(spec_.vifs.size() <= vifs_max, ".vifs", "a guest has at most 32 interfaces");
        const bool twin = spec_.mode == VirtualizationMode::legacy || spec_.mode == VirtualizationMode::fml;
        for (std::size_t at = 0; at < spec_.vifs.size(); ++at) {
            const auto& vif = spec_.vifs[at];
            const auto field = ".vifs[" + std::to_string(at) + "]";
            require(valid_interface(vif.name, twin ? interface_name_max : 15), field + ".name",
                    "not a name of an interface (1 to 15 letters, digits, dots, dashes, underscores; 11 in LEGACY and FML)");
            require(names.insert(vif.name).second, field + ".name", "two interfaces have this name");
            require(valid_interface(vif.bridge, 15), field + ".bridge", "not a name of a bridge");
            require(valid_mac(vif.mac), field + ".mac", "not a MAC address of one interface");
            require(vif.mtu == 0 || (vif.mtu >= mtu_min && vif.mtu <= mtu_max), field + ".mtu", "the MTU is 68 to 65521 bytes, or 0");
        }
    }

    void adapters() {
        require(spec_.vmm_args.empty(), ".vmm_args", "this plugin adds no arguments to a device model");
        require(spec_.adapters.size() <= adapters_max, ".adapters", "a guest has at most 32 devices of the host");
        for (std::size_t at = 0; at < spec_.adapters.size(); ++at) {
            const auto& adapter = spec_.adapters[at];
            const auto field = ".adapters[" + std::to_string(at) + "]";
            switch (adapter.kind) {
                case AdapterKind::pci: require(pci_address(adapter.address).has_value(), field + ".address", "not an address of a PCI device"); break;
                case AdapterKind::serial: require(adapter.address.starts_with("/dev/"), field + ".address", "not a device of a serial port"); break;
                default: require(false, field + ".kind", "only PCI devices and serial ports are handed to guests by this plugin");
            }
        }
    }

    const DomainSpec& spec_;
    std::vector<Problem> problems_;
};

}  // namespace

std::vector<Problem> problems_of(const DomainSpec& spec) { return Checker(spec).run(); }

Code code_of(const Problem& problem) {
    for (const auto* field : {".virtual_tpm", ".oem_license", ".device_tree"})
        if (problem.field == field) return Code::unsupported;
    for (const auto* end : {".wwn", ".format", ".kind"})
        if (problem.field.ends_with(end)) return Code::unsupported;
    return problem.field == ".mode" && !problem.hint.empty() ? Code::unsupported : Code::invalid_argument;
}

}  // namespace eve::xen
