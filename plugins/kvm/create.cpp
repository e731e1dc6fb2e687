#include "kvm_hypervisor.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <set>

#include <fcntl.h>
#include <sys/stat.h>

#include "container_vm.hpp"
#include "eve/sdk/kept_process.hpp"
#include "files.hpp"
#include "observe.hpp"
#include "prepared.hpp"
#include "qmp.hpp"
#include "steps.hpp"
#include "tap.hpp"
#include "watcher.hpp"

// A domain is made: its number and user, what QEMU is handed, its process.

namespace eve::kvm {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds first_answer_max = 20s; // of a QEMU that was just started
constexpr std::uint32_t first_cid = 3;                      // 4 is the first guest's, as EVE's
constexpr std::uint32_t nobody = 65534;
// Only what ends the kernel is said on the console, and then the machine ends.
constexpr const char* container_kernel_arguments = "console=ttyS0 loglevel=2 panic=-1 no_timer_check random.trust_cpu=on rdinit=/init";
constexpr Bytes device_windows_max = Bytes{64ULL << 30};     // memory that devices map beside the guest's
constexpr std::uint64_t keeper_log_factor = 4;  // logs this much over their size are the keeper's to shorten: nobody else was there

/// Whether this user exists in our user namespace (/proc/self/uid_map: first inside, first outside, count).
bool mapped(std::uint32_t uid) {
    const auto map = read_file(AT_FDCWD, "/proc/self/uid_map", 64U << 10);
    if (!map) return false;
    std::string_view text = *map;
    while (!text.empty()) {
        const auto end = text.find('\n');
        auto line = text.substr(0, end);
        text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
        std::uint64_t numbers[3] = {};
        for (auto& number : numbers) {
            line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
            const auto read = std::from_chars(line.data(), line.data() + line.size(), number);
            line.remove_prefix(static_cast<std::size_t>(read.ptr - line.data()));
        }
        if (uid >= numbers[0] && uid - numbers[0] < numbers[2]) return true;
    }
    return false;
}

IommuGroups iommu_groups(int sysfs, const DomainSpec& spec) {
    IommuGroups groups;
    for (const auto& adapter : spec.adapters) {
        if (adapter.kind != AdapterKind::pci) continue;
        std::array<char, 512> target{};
        const auto link = "bus/pci/devices/" + adapter.address + "/iommu_group";
        const auto size = ::readlinkat(sysfs, link.c_str(), target.data(), target.size());
        if (size <= 0) continue;
        const std::string path(target.data(), static_cast<std::size_t>(size));
        groups.emplace(adapter.address, path.substr(path.rfind('/') + 1));
    }
    return groups;
}

Code code_of(const Problem& problem) {
    for (const auto* field : {".adapters", ".vmm_args", ".virtual_tpm", ".oem_license", ".resolution", ".device_tree"})
        if (problem.field.starts_with(field)) return Code::unsupported;
    for (const auto* end : {".wwn", ".format", ".read_only"})
        if (problem.field.ends_with(end)) return Code::unsupported;
    return problem.field == ".mode" && !problem.hint.empty() ? Code::unsupported : Code::invalid_argument;
}

}  // namespace

KvmHypervisor::User KvmHypervisor::user_of(std::uint32_t number) {
    User user{.uid = ::geteuid(), .gid = ::getegid()};
    if (user.uid != 0) {
        user.notes.emplace_back("The node is not root: QEMU runs as the node's own user");
        return user;
    }
    const auto node = host_.describe();
    if (settings_.uid != 0) user = {.uid = settings_.uid, .gid = settings_.gid != 0 ? settings_.gid : settings_.uid};
    else if (node && node->guest_uid != 0) user = {.uid = node->guest_uid, .gid = node->guest_gid};
    else if (mapped(settings_.uid_first + number)) user = {.uid = settings_.uid_first + number, .gid = settings_.uid_first + number};
    else if (mapped(nobody)) user = {.uid = nobody, .gid = nobody, .notes = {"There are few users in this container: QEMU runs as nobody, not as a user of its own"}};
    else user.notes.emplace_back("There is no other user in this container: QEMU runs as root");
    struct stat device{};
    if (!facts().kvm || user.uid == 0 || ::stat("/dev/kvm", &device) != 0) return user;
    if ((device.st_mode & 0006) == 0006 || (device.st_uid == user.uid && (device.st_mode & 0600) == 0600)) return user;
    if ((device.st_mode & 0060) == 0060 && device.st_gid != 0) {
        user.groups.push_back(device.st_gid);
        return user;
    }
    return {.uid = 0, .gid = 0, .notes = {"Only root may use /dev/kvm: QEMU runs as root; give the device to a group (chgrp kvm /dev/kvm; chmod 660 /dev/kvm)"}};
}

Result<DomainInfo> KvmHypervisor::create(const CallContext& call, const DomainSpec& spec) {
    if (const auto problems = problems_of(spec, offer()); !problems.empty()) {
        const auto& first = problems.front();
        return Error{.code = code_of(first), .what = first.what, .field = first.field, .hint = first.hint};
    }
    const Limit limit(call, call_max);
    auto directory = make_directory(domains_.get(), spec.id.value);
    if (!directory) return std::move(directory).error();
    if (const auto kept = sdk::read_kept_process(directory->get()); kept && kept->running) {
        const auto record = record_in(directory->get());
        if (!record || record->spec.revision != spec.revision)
            return Error{.code = Code::failed_precondition,
                         .what = "it lives with revision " + (record ? std::to_string(record->spec.revision) : std::string("unknown")),
                         .hint = "destroy it first"};
        watcher_->watch(spec.id, directory->get());
        return look(spec.id, directory->get(), limit);
    }
    if (auto cleared = clear(spec.id, directory->get(), limit); !cleared) return std::move(cleared).error().in("clear what is left of its earlier life");
    auto record = reserve(spec, directory->get());
    auto info = record ? build(spec, *record, directory->get(), limit) : Result<DomainInfo>(record.error());
    if (info) return info;
    // On failure nothing is left; the caller's own limit may be used up by now.
    const Limit own(5s, -1);
    watcher_->forget(spec.id);
    auto ended = end_process(directory->get(), own);
    if (ended) ended = clear(spec.id, directory->get(), own);
    if (ended) ::unlinkat(domains_.get(), spec.id.value.c_str(), AT_REMOVEDIR);
    else host_.log(LogLevel::warn, "domain.left_behind", {{"domain", spec.id.value}, {"error", ended.error().what}});
    return info;
}

/// The lowest number that no other domain has, written down with the spec.
Result<DomainRecord> KvmHypervisor::reserve(const DomainSpec& spec, int directory) {
    const std::lock_guard lock(numbers_mutex_);
    std::set<std::uint32_t> taken;
    auto names = names_in(domains_.get());
    if (!names) return std::move(names).error();
    for (const auto& name : *names)
        if (const auto other = directory_of(DomainId{name}))
            if (const auto record = record_in(other->get())) taken.insert(record->number);
    DomainRecord record{.spec = spec, .number = 1};
    record.spec.vnc.password = {};
    record.spec.env.clear();
    record.spec.files.clear();
    while (taken.contains(record.number)) ++record.number;
    if (record.number > domains_max) return Error{.code = Code::resource_exhausted, .what = "there are " + std::to_string(domains_max) + " domains already"};
    if (auto written = write_record(directory, record); !written) return std::move(written).error();
    return record;
}

Result<DomainInfo> KvmHypervisor::build(const DomainSpec& spec, const DomainRecord& reserved, int directory, const Limit& limit) {
    auto record = reserved;
    {
        auto prepared = prepare(spec, record, directory);
        if (!prepared) return std::move(prepared).error();
        if (auto spawned = spawn(spec, *prepared, record, directory); !spawned) return std::move(spawned).error();
    }  // what QEMU was handed is its own now: a tap or socket that we held would outlive it
    auto monitor = QmpClient::open(directory, "qmp", limit.within(first_answer_max));
    if (!monitor) {
        auto error = why_it_ended(directory, std::move(monitor).error());
        if (auto trouble = share_trouble(directory); !trouble.empty()) error.what = std::move(trouble);
        return error;
    }
    if (spec.vnc.enabled && !spec.vnc.password.value.empty())
        if (auto set = monitor->set_vnc_password(spec.vnc.password.value, limit); !set) return std::move(set).error().in("password of the screen");
    monitor = Error{};  // QEMU serves one client at a time
    if (auto written = write_record(directory, record); !written) return std::move(written).error();
    watcher_->watch(spec.id, directory);
    return look(spec.id, directory, limit);
}

Result<std::string> KvmHypervisor::firmware_vars(const DomainSpec& spec) {
    const auto state = host_.config().state_dir.fd;
    auto directory = make_directory(state, vars_directory);
    if (!directory) return std::move(directory).error();
    const auto file = vars_file(spec.id);
    if (!file_exists(directory->get(), file)) {
        const auto from = spec.resolution.empty() ? settings_.ovmf_vars : settings_.ovmf_vars_dir + "/OVMF_VARS_" + spec.resolution + ".fd";
        auto text = read_file(AT_FDCWD, from, 16U << 20);
        if (!text) return as_precondition(std::move(text).error().in("UEFI variables"));
        if (auto written = write_file(directory->get(), file, *text); !written) return std::move(written).error();
    }
    return "/proc/self/fd/" + std::to_string(state) + "/" + vars_directory + "/" + file;
}

Result<KvmHypervisor::Prepared> KvmHypervisor::prepare(const DomainSpec& spec, DomainRecord& record, int directory) {
    Prepared prepared;
    auto effective = spec;
    Layout layout{.architecture = architecture,
                  .machine = settings_.machine,
                  .directory = "/run/hypervisor/kvm/" + spec.name,
                  .vnc_listen = settings_.vnc_listen,
                  .vsock_cid = first_cid + record.number,
                  .iommu_groups = iommu_groups(host_.config().sysfs.fd, spec)};
    layout.config_path = layout.directory + "/qemu.cfg";
    if (spec.mode == VirtualizationMode::fml) {
        // EVE names files of its own root file system; where they are not, the distribution's serve.
        if (effective.firmware.empty() || (effective.firmware.starts_with("/usr/lib/xen/boot/") && ::access(effective.firmware.c_str(), R_OK) != 0))
            effective.firmware = settings_.ovmf_code;
        auto vars = firmware_vars(spec);
        if (!vars) return std::move(vars).error();
        layout.firmware_vars = std::move(*vars);
    }
    record.notes = without_effect(spec, offer());
    if (is_container(spec)) {
        effective.kernel = settings_.container_vm_dir + "/kernel";
        effective.ramdisk = settings_.container_vm_dir + "/initramfs";
        effective.extra_args = container_kernel_arguments;
        for (const auto& file : {effective.kernel, effective.ramdisk})
            if (::access(file.c_str(), R_OK) != 0)
                return Error{.code = Code::failed_precondition,
                             .what = "a container in a virtual machine needs " + file + ", which scripts/make-container-vm " + settings_.container_vm_dir + " makes",
                             .field = ".disks[0].format",
                             .hint = "run the app as NOHYPER until it is there"};
        auto order = guest_order(spec, record.notes);
        if (!order) return std::move(order).error();
        prepared.order = std::move(*order);
    }
    prepared.plan = eve_plan(effective, layout);
    for (auto& note : degrade(prepared.plan, facts())) record.notes.push_back(std::move(note));
    prepared.user = user_of(record.number);
    record.uid = prepared.user.uid;
    record.notes.insert(record.notes.end(), prepared.user.notes.begin(), prepared.user.notes.end());
    const auto handovers = kvm::confine(prepared.plan);
    auto config = config_text(prepared.plan.sections);
    if (!config) return std::move(config).error();
    prepared.config = std::move(*config);
    if (auto written = write_file(directory, "qemu.cfg", prepared.config); !written) return std::move(written).error();
    for (const auto& handover : handovers) {
        auto opened = hand_over(handover, effective, prepared, directory);
        if (!opened) return std::move(opened).error();
        prepared.fds.emplace_back(std::move(*opened), handover.fd);
    }
    prepared.log = UniqueFd(::openat(directory, log_name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!prepared.log) return file_error(log_name);
    return prepared;
}

Result<UniqueFd> KvmHypervisor::hand_over(const Handover& handover, const DomainSpec& spec, const Prepared& prepared, int directory) {
    using Kind = Handover::Kind;
    const auto field_of_disk = [&] {
        for (std::size_t at = 0; at < spec.disks.size(); ++at)
            if (spec.disks[at].path == handover.path) return ".disks[" + std::to_string(at) + "].path";
        return std::string(".firmware");
    };
    switch (handover.kind) {
        case Kind::config: return memory_file("qemu.cfg", prepared.config);
        case Kind::copy: {
            const bool ordered = prepared.order && handover.section == "initrd";
            auto copied = ordered ? ram_disk_with(handover.path, *prepared.order) : memory_copy(handover.section.c_str(), handover.path);
            if (!copied) {
                auto error = as_precondition(std::move(copied).error());
                error.field = handover.section == "initrd" ? ".ramdisk" : handover.section == "dtb" ? ".device_tree" : ".kernel";
                return error;
            }
            return copied;
        }
        case Kind::read_only:
        case Kind::read_write: {
            UniqueFd file(::open(handover.path.c_str(), (handover.kind == Kind::read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK));
            struct stat status{};
            if (!file || ::fstat(file.get(), &status) != 0) {
                auto error = as_precondition(file_error(handover.path));
                error.field = field_of_disk();
                return error;
            }
            if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode))
                return Error{.code = Code::failed_precondition, .what = handover.path + " is neither a file nor a block device", .field = field_of_disk()};
            ::fcntl(file.get(), F_SETFL, ::fcntl(file.get(), F_GETFL) & ~O_NONBLOCK);
            return file;
        }
        case Kind::append: {
            UniqueFd log(::openat(directory, console_log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
            if (!log) return file_error(console_log);
            return log;
        }
        case Kind::report: {
            UniqueFd report(::openat(directory, handover.path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
            if (!report) return file_error(handover.path);
            return report;
        }
        case Kind::share: {
            std::size_t place = 0;
            std::from_chars(handover.path.data() + std::strlen(share_prefix), handover.path.data() + handover.path.size(), place);
            auto shared = share_directory(host_, settings_.virtiofsd, spec.disks.at(place).path + "/rootfs", spec, directory, handover.path);
            if (shared) return shared;
            auto error = std::move(shared).error();
            if (error.field.empty()) error.field = ".disks[" + std::to_string(place) + "].path";
            return error;
        }
        case Kind::listen: return listen_at(directory, handover.path);
        case Kind::tap: {
            const auto vif = std::find_if(spec.vifs.begin(), spec.vifs.end(), [&](const Vif& v) { return v.name == handover.path; });
            const auto field = ".vifs[" + std::to_string(vif - spec.vifs.begin()) + "]";
            if (auto removed = remove_tap(vif->name); !removed) return as_precondition(std::move(removed).error());
            auto tap = open_tap({.name = vif->name, .bridge = vif->bridge, .guest_mac = vif->mac, .mtu = vif->mtu});
            if (!tap) {
                auto error = as_precondition(std::move(tap).error());
                error.field = field;
                return error;
            }
            return tap;
        }
        case Kind::vhost_net:
        case Kind::vhost_vsock: {
            UniqueFd device(::open(handover.path.c_str(), O_RDWR | O_CLOEXEC));
            if (!device) return as_precondition(file_error(handover.path));
            return device;
        }
    }
    return Error{.code = Code::internal, .what = "a handover of no kind"};
}

/// QEMU opens devices of the host itself, as the domain's own user.
Status KvmHypervisor::let_use_devices(const DomainSpec& spec, const User& user) {
    const auto groups = iommu_groups(host_.config().sysfs.fd, spec);
    const auto lend = [&](const std::string& file, std::size_t at) -> Status {
        if (user.uid == 0 || ::chown(file.c_str(), user.uid, user.gid) == 0) return {};
        auto error = as_precondition(file_error(file));
        error.field = ".adapters[" + std::to_string(at) + "]";
        return error;
    };
    for (std::size_t at = 0; at < spec.adapters.size(); ++at) {
        const auto& adapter = spec.adapters[at];
        if (adapter.kind == AdapterKind::serial) {
            if (auto lent = lend(adapter.address, at); !lent) return lent;
        } else if (adapter.kind == AdapterKind::pci) {
            const auto group = groups.find(adapter.address);
            if (group == groups.end())
                return Error{.code = Code::failed_precondition, .what = adapter.address + " is not behind an IOMMU, or is not there",
                             .field = ".adapters[" + std::to_string(at) + "].address"};
            if (auto lent = lend("/dev/vfio/" + group->second, at); !lent) return lent;
        }
    }
    return {};
}

Status KvmHypervisor::spawn(const DomainSpec& spec, const Prepared& prepared, DomainRecord& record, int directory) {
    if (auto lent = let_use_devices(spec, prepared.user); !lent) return lent;
    GuestProcess process{.name = spec.name,
                         .argv = {settings_.qemu},
                         .env = {"PATH=/usr/bin:/bin", "LC_ALL=C"},
                         .run_dir = {directory},
                         .stdout_fd = {prepared.log.get()},
                         .stderr_fd = {prepared.log.get()},
                         .uid = prepared.user.uid,
                         .gid = prepared.user.gid,
                         .groups = prepared.user.groups,
                         .cgroup = {.cpu_percent_max = spec.vcpus * 100, .cpus = spec.cpus}};
    // A device writes to the guest's memory by itself, so all of it stays in place, and so do the device's own windows.
    const bool has_device = std::any_of(spec.adapters.begin(), spec.adapters.end(), [](const Adapter& a) { return a.kind == AdapterKind::pci; });
    if (has_device) process.memlock_max = Bytes{spec.memory.n + device_windows_max.n};
    process.log_max = Bytes{keeper_log_factor * settings_.console_log_max.n};
    if (spec.memory_overhead.n != 0) process.cgroup.memory_max = Bytes{spec.memory.n + spec.memory_overhead.n};
    process.argv.insert(process.argv.end(), prepared.plan.args.begin(), prepared.plan.args.end());
    for (const auto& [fd, number] : prepared.fds) process.fds.push_back({.fd = {fd.get()}, .as = number});
    auto spawned = host_.spawn(process);
    if (!spawned) {
        auto error = std::move(spawned).error();
        if (error.code == Code::not_found) error.code = Code::failed_precondition;
        return std::move(error).in("start QEMU");
    }
    record.notes.insert(record.notes.end(), spawned->notes.begin(), spawned->notes.end());
    return {};
}

Error KvmHypervisor::why_it_ended(int directory, Error error) const {
    // Its end may be a moment away: a connection ends before the process does.
    const Limit moment(500ms, -1);
    auto kept = sdk::read_kept_process(directory);
    while (error.code == Code::unavailable && kept && kept->running && moment.wait(-1, 0, poll_pause) == Limit::Wait::ready) kept = sdk::read_kept_process(directory);
    if (!kept || kept->running) return error;
    const auto log = tail_of(directory, log_name, last_words_max);
    const auto seen = seen_ended(kept->exit.value_or(ExitStatus{}), false, log);
    auto code = Code::unavailable;
    for (const auto* words : {"lock", "Address already in use", "Permission denied"})
        if (log.find(words) != std::string::npos) code = Code::failed_precondition;
    for (const auto* words : {"Cannot allocate memory", "No space left"})
        if (log.find(words) != std::string::npos) code = Code::resource_exhausted;
    return Error{.code = code, .what = seen.reason};
}

}  // namespace eve::kvm
