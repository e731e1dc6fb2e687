#include "common/machine_spec.hpp"

#include <set>
#include <string>
#include <utility>

#include "common/grammar.hpp"

namespace eve::plugins {
namespace {

constexpr Bytes memory_min = 1_MiB;
constexpr std::uint32_t mtu_min = 68;
constexpr std::uint32_t mtu_max = 65521;
constexpr std::uint32_t vnc_display_max = 65535 - 5900;
constexpr std::size_t bridge_name_max = 15;

bool valid_interface(std::string_view text, std::size_t size_max) { return valid_name(text) && text.size() <= size_max; }

class Checker {
public:
    Checker(const DomainSpec& spec, const MachineLimits& limits, std::vector<Problem>& problems) : spec_(spec), limits_(limits), problems_(problems) {}

    void machine() {
        require(valid_uuid(spec_.id.value), ".id", "the id must be a UUID");
        require(valid_name(spec_.name), ".name", "the name must be 1 to 127 letters, digits, dots, dashes or underscores, and not begin with a dot");
        require(spec_.mode != VirtualizationMode::unknown, ".mode", "the virtualization mode is not set");
        const auto memory_most = "a guest cannot have more than " + std::to_string(limits_.memory_max.n >> 40) + " TiB of memory";
        require(spec_.memory >= memory_min, ".memory_bytes", "a guest needs at least 1 MiB of memory");
        require(spec_.memory <= limits_.memory_max, ".memory_bytes", memory_most);
        require(spec_.memory_max <= limits_.memory_max, ".memory_max_bytes", memory_most);
        const auto vcpus_most = "a guest cannot have more than " + std::to_string(limits_.vcpus_max) + " CPUs";
        require(spec_.vcpus >= 1, ".vcpus", "a guest needs a CPU");
        require(spec_.vcpus <= limits_.vcpus_max, ".vcpus", vcpus_most);
        require(spec_.vcpus_max <= limits_.vcpus_max, ".vcpus_max", vcpus_most);
        require(!spec_.cpus_pinned || spec_.cpus.size() >= spec_.vcpus, ".cpus", "there must be one CPU of the host for each pinned virtual CPU");
        require(spec_.ramdisk.empty() || !spec_.kernel.empty(), ".ramdisk", "a RAM disk needs a kernel");
        require(spec_.gpu.empty() || spec_.gpu == "legacy", ".gpu", "the GPU configuration is empty or 'legacy'");
        require(!spec_.oem_license, ".oem_license", "OEM licence tables are not handed to guests by this plugin");
        require(!spec_.virtual_tpm, ".virtual_tpm", "this plugin gives guests no TPM");
        require(spec_.vnc.display <= vnc_display_max, ".vnc.display", "TCP ports end at 65535");
    }

    void disks() {
        std::set<std::string> ids;
        for (std::size_t at = 0; at < spec_.disks.size(); ++at) {
            const auto& disk = spec_.disks[at];
            const auto field = ".disks[" + std::to_string(at) + "]";
            require(ids.insert(disk.id).second, field + ".id", "two disks have this id");
            if (disk.target == DiskTarget::app_custom) continue;
            require(disk.target != DiskTarget::unknown, field + ".target", "the disk's purpose is not set");
            require(!disk.path.empty(), field + ".path", "the disk has no file");
            require(disk.wwn.empty(), field + ".wwn", "vhost-scsi targets are not used by this plugin");
        }
    }

    void vifs() {
        std::set<std::string> names;
        for (std::size_t at = 0; at < spec_.vifs.size(); ++at) {
            const auto& vif = spec_.vifs[at];
            const auto field = ".vifs[" + std::to_string(at) + "]";
            require(valid_interface(vif.name, limits_.interface_name_max), field + ".name",
                    "not a name of an interface (1 to " + std::to_string(limits_.interface_name_max) + " letters, digits, dots, dashes, underscores)");
            require(names.insert(vif.name).second, field + ".name", "two interfaces have this name");
            require(valid_interface(vif.bridge, bridge_name_max), field + ".bridge", "not a name of a bridge");
            require(valid_mac(vif.mac), field + ".mac", "not a MAC address of one interface");
            require(vif.mtu == 0 || (vif.mtu >= mtu_min && vif.mtu <= mtu_max), field + ".mtu", "the MTU is 68 to 65521 bytes, or 0");
        }
    }

private:
    void require(bool holds, std::string field, std::string what) {
        if (!holds) problems_.push_back({.field = std::move(field), .what = std::move(what), .hint = {}});
    }

    const DomainSpec& spec_;
    const MachineLimits& limits_;
    std::vector<Problem>& problems_;
};

}  // namespace

void add_machine_problems(const DomainSpec& spec, const MachineLimits& limits, std::vector<Problem>& problems) {
    Checker checker(spec, limits, problems);
    checker.machine();
    checker.disks();
    checker.vifs();
}

}  // namespace eve::plugins
