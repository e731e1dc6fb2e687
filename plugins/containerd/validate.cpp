#include "containerd/validate.hpp"

#include <algorithm>
#include <set>

#include "containerd/caretaker.hpp"
#include "containerd/host_interfaces.hpp"
#include "containerd/oci_spec.hpp"
#include "common/grammar.hpp"
#include "common/rootfs.hpp"

namespace eve::containerd {
namespace {

constexpr std::size_t name_max = 76;  // containerd's limit of an identifier
constexpr std::size_t interface_name_max = 15;
constexpr int signal_base = 128;
constexpr int signal_last = 64;

using plugins::absolute_path;
using plugins::plain_file_name;

class Problems {
public:
    void add(std::string field, std::string what, std::string hint = {}) { all_.push_back({std::move(field), std::move(what), std::move(hint)}); }
    void refuse(bool wanted, const char* field, const char* what) {
        if (wanted) add(field, std::string("a container has no ") + what);
    }
    std::vector<Problem> all_;
};

void check_disks(const DomainSpec& spec, Problems& problems) {
    if (root_disk(spec) == nullptr)
        problems.add(".disks", "the first volume is no container's root file system", "give an OCI image as the app's first volume");
    if (spec.disks.size() > disks_max) problems.add(".disks", "more than " + std::to_string(disks_max) + " volumes");
    for (std::size_t at = 0; at < spec.disks.size(); ++at) {
        const auto& disk = spec.disks[at];
        const auto field = ".disks[" + std::to_string(at) + "]";
        if (!absolute_path(disk.path)) problems.add(field + ".path", "the path is not absolute");
        if (disk.format == DiskFormat::unknown) problems.add(field + ".format", "the format is not known");
        if (!disk.wwn.empty()) problems.add(field + ".wwn", "a container takes no vhost-scsi target");
        if (disk.target != DiskTarget::disk && disk.target != DiskTarget::app_custom) problems.add(field + ".target", "a container takes no kernel or ramdisk");
    }
}

void check_vifs(const DomainSpec& spec, Problems& problems) {
    if (spec.vifs.size() > vifs_max) problems.add(".vifs", "more than " + std::to_string(vifs_max) + " interfaces");
    std::set<std::string> names;
    for (std::size_t at = 0; at < spec.vifs.size(); ++at) {
        const auto& vif = spec.vifs[at];
        const auto field = ".vifs[" + std::to_string(at) + "]";
        if (vif.name.empty() || vif.name.size() > interface_name_max || !plain_file_name(vif.name)) problems.add(field + ".name", "this cannot be an interface's name");
        else if (!names.insert(vif.name).second) problems.add(field + ".name", "two interfaces have this name");
        if (vif.bridge.empty()) problems.add(field + ".bridge", "no bridge is named");
        if (!plugins::valid_mac(vif.mac)) problems.add(field + ".mac", "this is no MAC address");
    }
}

void check_adapters(const DomainSpec& spec, Problems& problems) {
    std::set<std::string> names{"lo"};
    for (std::size_t at = 0; at < spec.vifs.size(); ++at) names.insert(inner_interface(at));
    for (std::size_t at = 0; at < spec.adapters.size(); ++at) {
        const auto& adapter = spec.adapters[at];
        const auto field = ".adapters[" + std::to_string(at) + "]";
        if (adapter.kind == AdapterKind::interface) {
            if (!valid_interface_name(adapter.name)) problems.add(field + ".name", "no interface can be called '" + adapter.name + "'");
            else if (!names.insert(adapter.name).second)
                problems.add(field + ".name", "the container has another interface " + adapter.name, "give the adapter another logical label");
            if (!valid_interface_name(adapter.address)) problems.add(field + ".address", "no interface can be called '" + adapter.address + "'");
        } else if (adapter.kind == AdapterKind::serial) {
            if (!absolute_path(adapter.address)) problems.add(field + ".address", "the path is not absolute");
        } else {
            problems.add(field + ".kind", "a container takes network interfaces and serial ports of the host, no other devices");
        }
    }
}

}  // namespace

bool valid_name(std::string_view name) {
    const auto word = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
    if (name.empty() || name.size() > name_max || !word(name.front()) || !word(name.back())) return false;
    for (std::size_t at = 1; at < name.size(); ++at)
        if (!word(name[at]) && ((name[at] != '.' && name[at] != '_' && name[at] != '-') || !word(name[at - 1]))) return false;
    return true;
}

std::vector<Problem> problems_of(const DomainSpec& spec) {
    Problems problems;
    if (!valid_name(spec.id.value)) problems.add(".id", "this cannot be a container's name");
    if (spec.mode != VirtualizationMode::container)
        problems.add(".mode", "only containers are run here", spec.mode == VirtualizationMode::unknown ? "" : "a hypervisor's plugin runs virtual machines");
    if (spec.memory.n == 0) problems.add(".memory_bytes", "a container needs memory");
    if (spec.vcpus == 0 || spec.vcpus > vcpus_max) problems.add(".vcpus", "between 1 and " + std::to_string(vcpus_max));
    const bool cgroup_name = std::all_of(spec.name.begin(), spec.name.end(), [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' || c == '_' || c == '-';
    });
    if (!cgroup_name || spec.name == "." || spec.name == "..") problems.add(".name", "this cannot be a control group's name");
    check_disks(spec, problems);
    check_vifs(spec, problems);
    problems.refuse(!spec.kernel.empty(), ".kernel", "kernel of its own");
    problems.refuse(!spec.ramdisk.empty(), ".ramdisk", "ramdisk");
    problems.refuse(!spec.device_tree.empty(), ".device_tree", "device tree");
    problems.refuse(!spec.extra_args.empty(), ".extra_args", "kernel of its own, so no command line for it");
    problems.refuse(!spec.root_device.empty(), ".root_device", "root device");
    problems.refuse(!spec.firmware.empty(), ".firmware", "firmware");
    problems.refuse(!spec.resolution.empty(), ".resolution", "firmware");
    problems.refuse(spec.boot_order != BootOrder::unknown, ".boot_order", "boot order");
    problems.refuse(!spec.gpu.empty(), ".gpu", "emulated graphics");
    problems.refuse(spec.oem_license, ".oem_license", "firmware tables");
    problems.refuse(spec.virtual_tpm, ".virtual_tpm", "virtual TPM");
    problems.refuse(spec.vnc.enabled, ".vnc", "screen");
    check_adapters(spec, problems);
    if (!spec.vmm_args.empty()) problems.add(".vmm_args", "a container has no virtual machine monitor");
    if (spec.cpus_pinned && spec.cpus.empty()) problems.add(".cpus", "CPUs of its own are asked for, and none are named");
    plugins::add_container_problems(spec, problems.all_);
    return std::move(problems.all_);
}

Code code_of(const Problem& problem) {
    for (const auto* field : {".adapters", ".virtual_tpm", ".oem_license", ".resolution", ".device_tree", ".vnc", ".boot_order", ".gpu", ".kernel", ".ramdisk",
                              ".extra_args", ".firmware", ".root_device"})
        if (problem.field.starts_with(field)) return Code::unsupported;
    if (problem.field.ends_with(".wwn")) return Code::unsupported;
    return problem.field == ".mode" && !problem.hint.empty() ? Code::unsupported : Code::invalid_argument;
}

Seen seen(const Task& task, bool asked, bool oom) {
    switch (task.state) {
        case TaskState::created: return {.state = DomainState::defined};
        case TaskState::running: return {.state = DomainState::running};
        case TaskState::paused:
        case TaskState::pausing: return {.state = DomainState::paused, .reason = "it was paused from outside"};
        case TaskState::stopped: break;
        case TaskState::unknown: return {.state = DomainState::unknown, .reason = "containerd does not know its state"};
    }
    const auto status = static_cast<std::int32_t>(std::min<std::uint32_t>(task.exit_status, 255));
    Seen ended{.exit = ExitStatus{}};
    const bool signalled = status > signal_base && status <= signal_base + signal_last;
    if (signalled) ended.exit->signal = status - signal_base;
    else ended.exit->code = status;
    ended.exit->oom = oom && status != 0;
    auto end = container_end(*ended.exit, asked);
    ended.state = end.state;
    ended.reason = std::move(end.reason);
    return ended;
}

}  // namespace eve::containerd
