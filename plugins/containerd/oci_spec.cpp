#include "containerd/oci_spec.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <csignal>
#include <set>
#include <utility>

#include "eve/sdk/codec.hpp"

namespace eve::plugins {
BOOST_DESCRIBE_STRUCT(ContainerUser, (), (uid, gid, additionalGids))
}  // namespace eve::plugins

namespace eve::containerd {

namespace oci {
BOOST_DESCRIBE_STRUCT(CapabilitySets, (), (bounding, effective, inheritable, permitted, ambient))
BOOST_DESCRIBE_STRUCT(Rlimit, (), (type, hard, soft))
BOOST_DESCRIBE_STRUCT(Process, (), (terminal, user, args, env, cwd, capabilities, rlimits, noNewPrivileges))
BOOST_DESCRIBE_STRUCT(Root, (), (path, readonly))
BOOST_DESCRIBE_STRUCT(Mount, (), (destination, type, source, options))
BOOST_DESCRIBE_STRUCT(DeviceRule, (), (allow, type, major, minor, access))
BOOST_DESCRIBE_STRUCT(Memory, (), (limit))
BOOST_DESCRIBE_STRUCT(Cpu, (), (quota, period, cpus))
BOOST_DESCRIBE_STRUCT(Resources, (), (devices, memory, cpu))
BOOST_DESCRIBE_STRUCT(Device, (), (path, type, major, minor, fileMode))
BOOST_DESCRIBE_STRUCT(Namespace, (), (type, path))
BOOST_DESCRIBE_STRUCT(Linux, (), (devices, resources, cgroupsPath, namespaces, maskedPaths, readonlyPaths))
BOOST_DESCRIBE_STRUCT(Spec, (), (ociVersion, process, root, hostname, mounts, platform))
}  // namespace oci

namespace {

/// A specification as far as a further program in its container needs it.
struct SpecFile {
    oci::Process process;
    friend bool operator==(const SpecFile&, const SpecFile&) = default;
};
BOOST_DESCRIBE_STRUCT(SpecFile, (), (process))

constexpr std::uint64_t files_max = 1024;
constexpr std::int64_t cpu_period = 100'000;
constexpr std::size_t spec_size_max = 2U << 20;

/// containerd's defaults for a Linux container (oci/spec.go of 1.6).
oci::Spec default_spec() {
    const std::vector<std::string> capabilities{"CAP_CHOWN",  "CAP_DAC_OVERRIDE", "CAP_FSETID",           "CAP_FOWNER",     "CAP_MKNOD",
                                                "CAP_NET_RAW", "CAP_SETGID",       "CAP_SETUID",           "CAP_SETFCAP",    "CAP_SETPCAP",
                                                "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL",     "CAP_AUDIT_WRITE"};
    oci::Spec spec{.ociVersion = "1.0.2"};
    spec.process = {.user = oci::User{},
                    .cwd = "/",
                    .capabilities = {.bounding = capabilities, .effective = capabilities, .permitted = capabilities},
                    .rlimits = {{.type = "RLIMIT_NOFILE", .hard = files_max, .soft = files_max}},
                    .noNewPrivileges = true};
    spec.mounts = {
        {"/proc", "proc", "proc", {"nosuid", "noexec", "nodev"}},
        {"/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}},
        {"/dev/pts", "devpts", "devpts", {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
        {"/dev/shm", "tmpfs", "shm", {"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}},
        {"/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}},
        {"/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", "ro"}},
        {"/run", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}},
    };
    spec.platform.emplace();
    spec.platform->resources.devices = {{.allow = false, .access = "rwm"}};
    spec.platform->namespaces = {{.type = "pid"}, {.type = "ipc"}, {.type = "uts"}, {.type = "mount"}, {.type = "network"}};
    spec.platform->maskedPaths = {"/proc/acpi",         "/proc/asound",     "/proc/kcore",       "/proc/keys",    "/proc/latency_stats",
                                  "/proc/timer_list",   "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi"};
    spec.platform->readonlyPaths = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};
    return spec;
}

std::string cpu_list(const std::vector<std::uint32_t>& cpus) {
    std::string list;
    for (const auto cpu : cpus) list += (list.empty() ? "" : ",") + std::to_string(cpu);
    return list;
}

/// A container with an interface of the host looks after it by itself, whatever user it runs as.
void allow_network(oci::CapabilitySets& capabilities) {
    for (const auto* name : {"CAP_NET_ADMIN", "CAP_NET_RAW"})
        for (auto* set : {&capabilities.bounding, &capabilities.effective, &capabilities.inheritable, &capabilities.permitted, &capabilities.ambient})
            if (std::find(set->begin(), set->end(), name) == set->end()) set->emplace_back(name);
}

/// Where EVE lets a container find its volumes: by number, by name, and where the user wants them.
void add_volumes(const DomainSpec& domain, std::vector<oci::Mount>& mounts) {
    const auto* root = root_disk(domain);
    for (std::size_t at = 0; at < domain.disks.size(); ++at) {
        const auto& disk = domain.disks[at];
        if (&disk == root || disk.target == DiskTarget::app_custom) continue;
        const bool directory = disk.format == DiskFormat::container;
        const auto source = directory ? disk.path + "/rootfs" : disk.path;
        std::vector<std::string> destinations{"/dev/eve/volumes/by-id/" + std::to_string(at)};
        if (!disk.name.empty()) destinations.push_back("/dev/eve/volumes/by-name/" + disk.name);
        if (!disk.mount_dir.empty()) destinations.push_back(directory ? disk.mount_dir : disk.mount_dir + "/" + std::to_string(at));
        for (auto& destination : destinations)
            mounts.push_back({.destination = std::move(destination), .type = "bind", .source = source, .options = {"rbind", disk.read_only ? "ro" : "rw"}});
    }
}

}  // namespace

std::string cgroup_path(const std::string& parent, const DomainSpec& domain) { return parent + "/" + (domain.name.empty() ? domain.id.value : domain.name); }

Result<oci::Spec> runtime_spec(const SpecInputs& in) {
    auto spec = default_spec();
    const auto* root = root_disk(in.domain);
    if (root == nullptr) return Error{.code = Code::invalid_argument, .what = "the first volume is no container's root file system", .field = ".disks[0].format"};

    spec.root = {.path = root->path + "/rootfs", .readonly = root->read_only};
    auto process = plugins::container_process(in.domain, in.image);
    if (!process) return std::move(process).error();
    spec.process.args = std::move(process->args);
    spec.process.cwd = std::move(process->cwd);
    spec.process.user = in.user;

    auto& resources = spec.platform->resources;
    resources.memory.limit = static_cast<std::int64_t>(in.domain.memory.n);
    resources.cpu = {.quota = cpu_period * in.domain.vcpus, .period = cpu_period, .cpus = cpu_list(in.domain.cpus)};
    spec.platform->cgroupsPath = cgroup_path(in.cgroup_parent, in.domain);
    spec.hostname = in.domain.id.value;

    spec.platform->devices = in.devices;
    for (const auto& device : in.devices)
        resources.devices.push_back({.allow = true, .type = device.type, .major = device.major, .minor = device.minor, .access = "rwm"});
    if (std::any_of(in.domain.adapters.begin(), in.domain.adapters.end(), [](const Adapter& each) { return each.kind == AdapterKind::interface; }))
        allow_network(spec.process.capabilities);

    add_volumes(in.domain, spec.mounts);

    spec.process.env = std::move(process->env);

    if (!in.resolv_conf.empty())
        spec.mounts.push_back({.destination = "/etc/resolv.conf", .type = "bind", .source = in.resolv_conf, .options = {"rbind", "ro"}});
    return spec;
}

Result<std::string> extra_process_text(std::string_view spec, const ExecRequest& request) {
    constexpr std::string_view terminal_variable = "TERM";
    if (request.argv.empty() || request.argv.front().empty()) return Error{.code = Code::invalid_argument, .what = "no program is named", .field = ".argv"};
    auto file = sdk::decode<SpecFile>(spec, sdk::Strictness::must_ignore, {});
    if (!file) return Error{.code = Code::failed_precondition, .what = "the container's specification cannot be read: " + file.error().what};
    auto& process = file->process;
    const auto set = [&process](const std::string& variable) {
        std::erase_if(process.env, [&](const auto& old) { return variable_name(old) == variable_name(variable); });
        process.env.push_back(variable);
    };
    process.args = request.argv;
    process.terminal = request.terminal;
    if (request.terminal && std::none_of(process.env.begin(), process.env.end(), [&](const auto& old) { return variable_name(old) == terminal_variable; }))
        set("TERM=xterm");
    for (std::size_t at = 0; at < request.env.size(); ++at) {
        const auto& variable = request.env[at];
        if (variable.find('=') == std::string::npos || variable.front() == '=')
            return Error{.code = Code::invalid_argument, .what = "a variable without a name or a value", .field = ".env[" + std::to_string(at) + "]"};
        set(variable);
    }
    if (!request.directory.empty()) process.cwd = request.directory;
    if (!process.user) process.user.emplace();
    sdk::detail::Walk walk{.strictness = sdk::Strictness::must_understand};
    sdk::detail::Json json;
    if (!sdk::detail::write(json, process, walk)) return std::move(*walk.error);
    return sdk::detail::text_of(json);
}

Result<std::string> spec_text(const oci::Spec& spec) {
    sdk::detail::Walk walk{.strictness = sdk::Strictness::must_understand};
    sdk::detail::Json json;
    if (!sdk::detail::write(json, spec, walk)) return std::move(*walk.error);
    if (const auto platform = json.find("platform"); platform != json.end()) {
        json["linux"] = std::move(*platform);
        json.erase("platform");
    }
    auto text = sdk::detail::text_of(json);
    if (text.size() > spec_size_max) return Error{.code = Code::resource_exhausted, .what = "the container's specification is over the limit"};
    return text;
}

}  // namespace eve::containerd
