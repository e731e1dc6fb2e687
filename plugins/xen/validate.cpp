#include "validate.hpp"

#include <algorithm>

#include "common/grammar.hpp"
#include "common/machine_spec.hpp"
#include "config.hpp"

namespace eve::xen {
namespace {

using plugins::printable;

constexpr std::size_t twin_name_max = 15 - 4;  // in LEGACY and FML the emulated twin is called "<name>-emu"
constexpr std::size_t text_max = 4000;
constexpr std::size_t path_max = 1000;              // xenstore's values are small
constexpr Bytes memory_most = Bytes{1ULL << 44};

class Checker {
public:
    explicit Checker(const DomainSpec& spec) : spec_(spec) {}

    std::vector<Problem> run() {
        const bool twin = spec_.mode == VirtualizationMode::legacy || spec_.mode == VirtualizationMode::fml;
        plugins::MachineLimits limits{.memory_max = memory_most, .vcpus_max = vcpus_max};
        if (twin) limits.interface_name_max = twin_name_max;
        plugins::add_machine_problems(spec_, limits, problems_);
        require(spec_.mode != VirtualizationMode::container, ".mode", "containers are not run by Xen", "use the containerd plugin");
        file(spec_.kernel, ".kernel");
        file(spec_.ramdisk, ".ramdisk");
        file(spec_.firmware, ".firmware");
        require(printable(spec_.extra_args, text_max), ".extra_args", "holds a control character, or has more than 4000 bytes");
        require(spec_.device_tree.empty(), ".device_tree", "device trees are not handed to guests by this plugin");
        disks();
        require(spec_.vifs.size() <= vifs_max, ".vifs", "a guest has at most 32 interfaces");
        adapters();
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
        std::uint32_t attached = 0;
        for (std::size_t at = 0; at < spec_.disks.size(); ++at) {
            const auto& disk = spec_.disks[at];
            const auto field = ".disks[" + std::to_string(at) + "]";
            if (disk.target == DiskTarget::app_custom) continue;
            file(disk.path, field + ".path");
            const bool known = disk.format == DiskFormat::raw || disk.format == DiskFormat::qcow || disk.format == DiskFormat::qcow2 ||
                               disk.format == DiskFormat::vhd || disk.format == DiskFormat::iso;
            require(known, field + ".format", "Xen takes raw, qcow, qcow2, vhd and iso");
            require(++attached <= disks_max, field, "a guest has at most 24 disks");
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
