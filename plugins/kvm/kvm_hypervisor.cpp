#include "kvm_hypervisor.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <set>

#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>

#include "eve/sdk/kept_process.hpp"
#include "files.hpp"
#include "host_facts.hpp"
#include "observe.hpp"
#include "qmp.hpp"
#include "tap.hpp"
#include "watcher.hpp"

namespace eve::kvm {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds call_max = 28s;         // a call is back within 30 s
constexpr std::chrono::milliseconds look_max = 1500ms;      // inspect within 2 s
constexpr std::chrono::milliseconds first_answer_max = 20s; // of a QEMU that was just started
constexpr std::chrono::milliseconds quit_max = 2s;          // before its power is cut
constexpr std::chrono::milliseconds poll_pause = 10ms;
constexpr std::chrono::milliseconds probe_max = 15s;
constexpr std::size_t record_file_max = 512U << 10;
constexpr std::size_t last_words_max = 4096;
constexpr std::uint32_t domains_max = 4096;
constexpr std::uint32_t first_cid = 3;                      // 4 is the first guest's, as EVE's
constexpr std::uint32_t nobody = 65534;
constexpr std::uint32_t calls_in_flight = 8;
constexpr Bytes device_windows_max = Bytes{64ULL << 30};     // memory that devices map beside the guest's
constexpr const char* record_name = "domain.json";
constexpr const char* cut_name = "cut";
constexpr const char* log_name = "qemu.log";
constexpr const char* console_log = "console.log";
constexpr std::uint64_t keeper_log_factor = 4;  // logs this much over their size are the keeper's to shorten: nobody else was there
constexpr const char* vars_directory = "ovmf";
constexpr std::string_view trial_prefix = "probe-";  // and the pid of who tries

constexpr Architecture architecture =
#if defined(__aarch64__)
    Architecture::aarch64;
#else
    Architecture::x86_64;
#endif

/// In real mode: "K" to the debug console, then off. The smallest proof that QEMU runs guests.
constexpr unsigned char boot_sector[] = {0xba, 0xe9, 0x00, 0xb0, 0x4b, 0xee, 0xba, 0x04, 0x06, 0xb8, 0x00, 0x20, 0xef, 0xf4, 0xeb, 0xfd};

constexpr std::string_view sandbox = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny";

std::string vars_file(const DomainId& id) { return id.value + "_OVMF_VARS.fd"; }

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

/// What start or create want of the outside and is not there is a precondition, whatever the file system calls it.
Error as_precondition(Error error) {
    if (error.code == Code::not_found || error.code == Code::permission_denied || error.code == Code::already_exists) error.code = Code::failed_precondition;
    return error;
}

Result<DomainRecord> record_in(int directory) {
    auto text = read_file(directory, record_name, record_file_max);
    if (!text) return std::move(text).error();
    return read_record(*text);
}

Status write_record(int directory, const DomainRecord& record) {
    auto text = record_text(record);
    if (!text) return std::move(text).error();
    return write_file(directory, record_name, *text);
}

std::uint64_t kibibytes_in(std::string_view status, std::string_view name) {
    const auto at = status.find(name);
    if (at == std::string_view::npos) return 0;
    auto rest = status.substr(at + name.size());
    rest.remove_prefix(std::min(rest.find_first_of("0123456789"), rest.size()));
    std::uint64_t number = 0;
    std::from_chars(rest.data(), rest.data() + rest.size(), number);
    return number;
}

/// CPU time and memory of a process, from /proc.
std::optional<DomainStats> measure(const DomainRecord& record, std::int64_t pid) {
    const auto directory = "/proc/" + std::to_string(pid);
    const auto stat = read_file(AT_FDCWD, directory + "/stat", 64U << 10);
    const auto status = read_file(AT_FDCWD, directory + "/status", 64U << 10);
    if (!stat || !status) return std::nullopt;
    std::string_view fields = *stat;
    fields.remove_prefix(std::min(fields.rfind(')') + 2, fields.size()));  // what follows the name: field 3
    std::uint64_t ticks = 0;
    for (int field = 3; field <= 15 && !fields.empty(); ++field) {
        std::uint64_t number = 0;
        std::from_chars(fields.data(), fields.data() + fields.size(), number);
        if (field >= 14) ticks += number;
        fields.remove_prefix(std::min(fields.find(' '), fields.size() - 1) + 1);
    }
    const auto per_second = static_cast<std::uint64_t>(std::max(1L, ::sysconf(_SC_CLK_TCK)));
    return DomainStats{.id = record.spec.id,
                       .cpu = std::chrono::nanoseconds(static_cast<std::int64_t>(ticks * (1'000'000'000 / per_second))),
                       .memory_allocated = record.spec.memory,
                       .memory_used = Bytes{kibibytes_in(*status, "VmRSS:") << 10},
                       .memory_used_max = Bytes{kibibytes_in(*status, "VmHWM:") << 10}};
}

}  // namespace

struct KvmHypervisor::Prepared {
    QemuPlan plan;
    std::string config;
    User user;
    std::vector<std::pair<UniqueFd, std::uint32_t>> fds;  // descriptor, its number in QEMU
    UniqueFd log;
};

Result<std::unique_ptr<KvmHypervisor>> KvmHypervisor::open(HostServices& host) {
    auto settings = read_settings(host.config());
    if (!settings) return std::move(settings).error();
    auto domains = make_directory(host.config().run_dir.fd, "domains");
    if (!domains) return std::move(domains).error().in("run directory");
    return std::unique_ptr<KvmHypervisor>(new KvmHypervisor(host, std::move(*settings), std::move(*domains)));
}

KvmHypervisor::KvmHypervisor(HostServices& host, Settings settings, UniqueFd domains)
    : host_(host), settings_(std::move(settings)), domains_(std::move(domains)) {
    const auto notice = [this](const DomainId& id, DomainEventKind kind) {
        auto directory = directory_of(id);
        if (!directory) return;
        // The keeper writes how a process ended a moment after it did.
        const Limit limit(look_max, -1);
        auto info = look(id, directory->get(), limit);
        if (info) host_.emit({.domain = id, .kind = kind, .state = std::move(*info)});
    };
    clear_old_trials();
    watcher_ = std::make_unique<Watcher>(notice, static_cast<off_t>(settings_.console_log_max.n));
    if (const auto names = names_in(domains_.get()))
        for (const auto& name : *names)
            if (const auto directory = open_directory(domains_.get(), name)) watcher_->watch(DomainId{name}, directory->get());
}

KvmHypervisor::~KvmHypervisor() { watcher_.reset(); }

/// A trial that its process did not live to clean up after is ended; one whose process lives is not ours to touch.
void KvmHypervisor::clear_old_trials() {
    const auto run_dir = host_.config().run_dir.fd;
    const auto names = names_in(run_dir);
    if (!names) return;
    for (const auto& name : *names) {
        if (!name.starts_with(trial_prefix) || ::access(("/proc/" + name.substr(trial_prefix.size())).c_str(), F_OK) == 0) continue;
        const auto directory = open_directory(run_dir, name);
        const Limit limit(quit_max, -1);
        if (!directory || !end_process(directory->get(), limit) || !clear({}, directory->get(), limit)) continue;
        ::unlinkat(run_dir, name.c_str(), AT_REMOVEDIR);
    }
}

const HostFacts& KvmHypervisor::facts() {
    std::call_once(facts_once_, [this] {
        facts_ = find_host_facts(host_.config().sysfs.fd);
        if (settings_.accel == "tcg") facts_.kvm_reason = "the node's configuration asks for emulation";
        else if (settings_.accel == "auto") facts_.kvm_reason = why_no_kvm(kvm_patience);
        facts_.kvm = facts_.kvm_reason.empty();
    });
    return facts_;
}

Offer KvmHypervisor::offer() {
    return {.architecture = architecture, .firmware_resolutions = !settings_.ovmf_vars_dir.empty(), .iommu = facts().iommu};
}

Result<Description> KvmHypervisor::describe(const CallContext&) {
    const auto& found = facts();
    Description description{.modes = {VirtualizationMode::pv, VirtualizationMode::hvm, VirtualizationMode::legacy, VirtualizationMode::fml},
                            .disk_formats = {DiskFormat::raw, DiskFormat::qcow, DiskFormat::qcow2, DiskFormat::vhd, DiskFormat::vmdk, DiskFormat::vhdx,
                                             DiskFormat::iso},
                            .pci_binding = "vfio-pci",
                            .config_schema = settings_schema()};
    description.capabilities = {.hw_virtualization = found.kvm,
                                .io_virtualization = found.iommu,
                                .cpu_pinning = true,
                                .vhost = found.vhost_net,
                                .vnc = true,
                                .console = true,
                                .console_log = true,
                                .stop_ask = true,
                                .exit_status = true,
                                .memory_limit = true,
                                .boot_order = true,
                                .network_order = true,
                                .pci = found.iommu,
                                .usb = true,
                                .serial = true,
                                .vmm_args = true};
    description.limits = {.calls_in_flight_max = calls_in_flight,
                          .domains_max = domains_max,
                          .vcpus_max = vcpus_max,
                          .disks_max = last_slot - first_slot + 1 + sata_ports,
                          .vifs_max = last_slot - first_slot + 1};
    return description;
}

Result<ProbeReport> KvmHypervisor::probe(const CallContext& call) {
    ProbeReport report;
    if (::access(settings_.qemu.c_str(), X_OK) != 0) {
        report.verdict = errno == ENOENT ? ProbeVerdict::declined : ProbeVerdict::broken;
        report.reason = settings_.qemu + ": " + std::strerror(errno);
        return report;
    }
    QemuPlan everything = eve_plan({.vcpus = 1, .disks = {{.path = "/", .format = DiskFormat::raw}}, .vifs = {{}}}, {.architecture = architecture});
    report.notes = degrade(everything, facts());
    for (auto& note : user_of(1).notes) report.notes.push_back(std::move(note));
    auto failure = try_guest(Limit(call, probe_max));
    if (!failure) {
        if (failure.error().code == Code::cancelled) return std::move(failure).error();
        report.verdict = ProbeVerdict::broken;
        report.reason = std::move(failure).error().what;
    } else if (!failure->empty()) {
        report.verdict = ProbeVerdict::broken;
        report.reason = std::move(*failure);
    } else {
        report.verdict = ProbeVerdict::supported;
        report.reason = facts().kvm ? "QEMU ran a guest under KVM" : "QEMU ran a guest in emulation";
    }
    return report;
}

/// Empty: QEMU, started as for a domain, booted a boot sector that switched itself off; else what went wrong.
Result<std::string> KvmHypervisor::try_guest(const Limit& limit) {
    if (architecture != Architecture::x86_64) return std::string();
    const auto run_dir = host_.config().run_dir.fd;
    const auto name = std::string(trial_prefix) + std::to_string(::getpid());
    auto directory = make_directory(run_dir, name);
    if (!directory) return std::move(directory).error();
    std::string disk(1U << 20, '\0');
    std::memcpy(disk.data(), boot_sector, sizeof boot_sector);
    disk[510] = '\x55';
    disk[511] = '\xaa';
    auto image = memory_file("probe", disk);
    if (!image) return std::move(image).error();
    const UniqueFd said(::openat(directory->get(), "said", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    const UniqueFd log(::openat(directory->get(), log_name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    if (!said || !log) return file_error("probe");
    const auto user = user_of(1);
    const auto spawned = host_.spawn({.name = name,
                                      .argv = {settings_.qemu, "-display", "none", "-no-user-config", "-nodefaults", "-no-reboot", "-machine",
                                               settings_.machine + (facts().kvm ? ",accel=kvm" : ",accel=tcg"), "-m", "16", "-add-fd", "fd=3,set=3", "-add-fd",
                                               "fd=4,set=4", "-drive", "file=/dev/fdset/3,format=raw,if=none,id=disk,readonly=on", "-device",
                                               "virtio-blk-pci,drive=disk", "-debugcon", "file:/dev/fdset/4", "-sandbox", std::string(sandbox)},
                                      .env = {"PATH=/usr/bin:/bin", "LC_ALL=C"},
                                      .run_dir = {directory->get()},
                                      .stdout_fd = {log.get()},
                                      .stderr_fd = {log.get()},
                                      .fds = {{{image->get()}, 3}, {{said.get()}, 4}},
                                      .uid = user.uid,
                                      .gid = user.gid,
                                      .groups = user.groups});
    Result<std::string> answer = std::string();
    if (!spawned) {
        answer = spawned.error();
    } else {
        auto wait = Limit::Wait::ready;
        auto kept = sdk::read_kept_process(directory->get());
        while (kept && kept->running && (wait = limit.wait(-1, 0, poll_pause)) == Limit::Wait::ready) kept = sdk::read_kept_process(directory->get());
        if (wait == Limit::Wait::cancelled) answer = Limit::error(wait, "trying QEMU");
        else if (tail_of(directory->get(), "said", 1) != "K") {
            const auto words = last_line(tail_of(directory->get(), log_name, last_words_max));
            answer = "QEMU could not run a test guest" + (words.empty() ? std::string() : ": " + words);
        }
        [[maybe_unused]] const auto ended = end_process(directory->get(), Limit(5s, -1));
    }
    for (int attempt = 0; attempt < 100 && !sdk::forget_kept_process(directory->get()); ++attempt) Limit(1s, -1).wait(-1, 0, poll_pause);
    if (auto emptied = empty_directory(directory->get()); !emptied) return std::move(emptied).error();
    ::unlinkat(run_dir, name.c_str(), AT_REMOVEDIR);
    return answer;
}

Result<std::vector<Problem>> KvmHypervisor::validate(const CallContext&, const DomainSpec& spec) { return problems_of(spec, offer()); }

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

Result<UniqueFd> KvmHypervisor::directory_of(const DomainId& id) const {
    if (!valid_name(id.value)) return Error{.code = Code::not_found, .what = "no domain has an id like this"};
    return open_directory(domains_.get(), id.value);
}

// ---- observing ----

Result<DomainInfo> KvmHypervisor::look(const DomainId& id, int directory, const Limit& limit) {
    DomainInfo info{.id = id, .presence = Presence::present};
    const auto record = record_in(directory);
    if (record) {
        info.revision = record->spec.revision;
        info.name = record->spec.name;
        info.labels = record->spec.labels;
        info.notes = record->notes;
        if (record->spec.vnc.enabled) info.vnc_address = settings_.vnc_listen + ":" + std::to_string(5900 + record->spec.vnc.display);
        const auto path = path_of(directory);
        info.console_path = path + "/cons";
        if (!record->spec.console_log_disabled) info.console_log_path = path + "/" + console_log;
    }
    const auto kept = sdk::read_kept_process(directory);
    if (!kept) {
        if (kept.error().code != Code::not_found) {
            info.reason = kept.error().what;
        } else {
            info.state = DomainState::broken;
            info.reason = "its creation was interrupted";
        }
        return info;
    }
    info.started_at = kept->started_at;
    if (!kept->running) {
        const auto seen = seen_ended(kept->exit.value_or(ExitStatus{}), file_exists(directory, cut_name), tail_of(directory, log_name, last_words_max));
        info.state = seen.state;
        info.reason = seen.reason;
        info.exit = kept->exit;
        return info;
    }
    info.pid = kept->guest.pid;
    auto monitor = QmpClient::open(directory, "qmp", limit);
    auto state = monitor ? monitor->run_state(limit) : Result<std::string>(monitor.error());
    if (state) {
        const auto seen = seen_running(*state);
        info.state = seen.state;
        info.reason = seen.reason;
    } else {
        if (state.error().code == Code::cancelled) return std::move(state).error();
        info.reason = "QEMU lives, but its monitor does not answer: " + state.error().what;
    }
    if (!record) {
        info.state = DomainState::unknown;
        info.reason = "its record cannot be read: " + record.error().what;
    }
    return info;
}

Result<DomainInfo> KvmHypervisor::inspect(const CallContext& call, const DomainId& id) {
    auto directory = directory_of(id);
    if (!directory) {
        if (directory.error().code != Code::not_found) return std::move(directory).error();
        return DomainInfo{.id = id, .presence = Presence::absent};
    }
    return look(id, directory->get(), Limit(call, look_max));
}

Result<std::vector<DomainInfo>> KvmHypervisor::list(const CallContext& call) {
    auto names = names_in(domains_.get());
    if (!names) return std::move(names).error();
    std::vector<DomainInfo> domains;
    const Limit all(call, call_max);
    for (const auto& name : *names) {
        auto directory = directory_of(DomainId{name});
        if (!directory) continue;
        auto info = look(DomainId{name}, directory->get(), all.within(look_max));
        if (!info) return std::move(info).error();
        domains.push_back(std::move(*info));
    }
    return domains;
}

Result<Stats> KvmHypervisor::stats(const CallContext&) {
    auto names = names_in(domains_.get());
    if (!names) return std::move(names).error();
    Stats stats;
    for (const auto& name : *names) {
        const auto directory = directory_of(DomainId{name});
        if (!directory) continue;
        const auto record = record_in(directory->get());
        const auto kept = sdk::read_kept_process(directory->get());
        if (!record || !kept || !kept->running) continue;
        if (auto measured = measure(*record, kept->guest.pid)) stats.domains.push_back(std::move(*measured));
    }
    return stats;
}

// ---- creating ----

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
    if (!monitor) return why_it_ended(directory, std::move(monitor).error());
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
    prepared.plan = eve_plan(effective, layout);
    record.notes = without_effect(spec, offer());
    for (auto& note : degrade(prepared.plan, facts())) record.notes.push_back(std::move(note));
    prepared.user = user_of(record.number);
    record.uid = prepared.user.uid;
    record.notes.insert(record.notes.end(), prepared.user.notes.begin(), prepared.user.notes.end());
    const auto handovers = confine(prepared.plan);
    auto config = config_text(prepared.plan.sections);
    if (!config) return std::move(config).error();
    prepared.config = std::move(*config);
    if (auto written = write_file(directory, "qemu.cfg", prepared.config); !written) return std::move(written).error();
    for (const auto& handover : handovers) {
        auto opened = hand_over(handover, effective, prepared.config, directory);
        if (!opened) return std::move(opened).error();
        prepared.fds.emplace_back(std::move(*opened), handover.fd);
    }
    prepared.log = UniqueFd(::openat(directory, log_name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!prepared.log) return file_error(log_name);
    return prepared;
}

Result<UniqueFd> KvmHypervisor::hand_over(const Handover& handover, const DomainSpec& spec, const std::string& config, int directory) {
    using Kind = Handover::Kind;
    const auto field_of_disk = [&] {
        for (std::size_t at = 0; at < spec.disks.size(); ++at)
            if (spec.disks[at].path == handover.path) return ".disks[" + std::to_string(at) + "].path";
        return std::string(".firmware");
    };
    switch (handover.kind) {
        case Kind::config: return memory_file("qemu.cfg", config);
        case Kind::copy: {
            auto copied = memory_copy(handover.section.c_str(), handover.path);
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

// ---- starting and ending ----

Result<DomainInfo> KvmHypervisor::start(const CallContext& call, const DomainId& id) {
    auto directory = directory_of(id);
    if (!directory) return std::move(directory).error();
    const Limit limit(call, call_max);
    auto info = look(id, directory->get(), limit.within(look_max));
    if (!info || info->state == DomainState::running) return info;
    if (info->state == DomainState::halted || info->state == DomainState::halting || info->state == DomainState::broken)
        return Error{.code = Code::failed_precondition, .what = info->reason, .hint = "destroy and create it"};
    {
        auto monitor = QmpClient::open(directory->get(), "qmp", limit);
        if (!monitor) return std::move(monitor).error();
        if (auto told = monitor->execute("cont", {}, limit); !told) return std::move(told).error();
        if (const auto record = record_in(directory->get()); record && record->spec.cpus_pinned) {
            const auto threads = monitor->cpu_threads(limit);
            for (std::size_t at = 0; threads && at < threads->size() && at < record->spec.cpus.size(); ++at) {
                if (::access(("/proc/" + std::to_string(info->pid) + "/task/" + std::to_string((*threads)[at])).c_str(), F_OK) != 0) continue;
                cpu_set_t cpus;
                CPU_ZERO(&cpus);
                CPU_SET(record->spec.cpus[at], &cpus);
                if (::sched_setaffinity(static_cast<pid_t>((*threads)[at]), sizeof cpus, &cpus) != 0)
                    host_.log(LogLevel::warn, "domain.not_pinned", {{"domain", id.value}, {"cpu", std::int64_t{record->spec.cpus[at]}}});
            }
        }
    }
    while (true) {
        info = look(id, directory->get(), limit);
        if (!info || info->state != DomainState::defined) return info;
        if (const auto waited = limit.wait(-1, 0, poll_pause); waited != Limit::Wait::ready) return Limit::error(waited, "the guest's start");
    }
}

Result<DomainInfo> KvmHypervisor::stop(const CallContext& call, const DomainId& id, StopMode mode) {
    auto directory = directory_of(id);
    if (!directory) return std::move(directory).error();
    const Limit limit(call, call_max);
    const auto kept = sdk::read_kept_process(directory->get());
    if (mode == StopMode::unknown) return Error{.code = Code::invalid_argument, .what = "how to stop is not said", .field = ".mode"};
    if (kept && kept->running) {
        if (mode == StopMode::cut) {
            if (auto ended = end_process(directory->get(), limit); !ended) return std::move(ended).error();
        } else {
            auto monitor = QmpClient::open(directory->get(), "qmp", limit);
            if (!monitor) return std::move(monitor).error();
            if (auto asked = monitor->execute("system_powerdown", {}, limit); !asked) return std::move(asked).error();
        }
    }
    return look(id, directory->get(), limit.within(look_max));
}

/// No process is left. It is asked to quit, which writes its disks' tables, and killed when it does not.
Status KvmHypervisor::end_process(int directory, const Limit& limit) {
    auto kept = sdk::read_kept_process(directory);
    if (!kept) return kept.error().code == Code::not_found ? Status{} : Status(std::move(kept).error());
    if (!kept->running) return {};
    if (auto marked = write_file(directory, cut_name, ""); !marked) return marked;
    const auto process = sdk::open_process(kept->guest);
    if (process) {
        const UniqueFd pidfd(*process);
        const auto patience = limit.within(quit_max);
        if (auto monitor = QmpClient::open(directory, "qmp", patience)) {
            [[maybe_unused]] const auto told = monitor->execute("quit", {}, patience);
            patience.wait(pidfd.get(), POLLIN);
        }
        if (auto killed = sdk::signal_process(kept->guest, SIGKILL); !killed && killed.error().code != Code::not_found) return killed;
        if (const auto waited = limit.wait(pidfd.get(), POLLIN); waited != Limit::Wait::ready) return Limit::error(waited, "QEMU's end");
    }
    while ((kept = sdk::read_kept_process(directory)) && kept->running)
        if (const auto waited = limit.wait(-1, 0, poll_pause); waited != Limit::Wait::ready) return Limit::error(waited, "the keeper's last word");
    return {};
}

/// The directory of a domain without a process is empty, and its interfaces are gone.
Status KvmHypervisor::clear(const DomainId&, int directory, const Limit& limit) {
    if (const auto record = record_in(directory))
        for (const auto& vif : record->spec.vifs) {
            const auto patience = limit.within(1s);
            auto removed = remove_tap(vif.name);
            while (!removed && removed.error().code == Code::unavailable && patience.wait(-1, 0, poll_pause) == Limit::Wait::ready)
                removed = remove_tap(vif.name);
            // Who still uses it is not ours, whose process is gone: the name was another's all along.
            if (!removed && removed.error().code != Code::unavailable) return removed;
        }
    auto forgotten = sdk::forget_kept_process(directory);
    while (!forgotten && forgotten.error().code == Code::unavailable && limit.wait(-1, 0, poll_pause) == Limit::Wait::ready)
        forgotten = sdk::forget_kept_process(directory);
    if (!forgotten) return forgotten;
    return empty_directory(directory);
}

// ---- USB ----

Status KvmHypervisor::plug(const CallContext& call, const UsbAttachment& device) {
    if (!valid_name(device.name) || device.name.size() > name_size_max) return Error{.code = Code::invalid_argument, .what = "not a name of a device", .field = ".name"};
    const Limit limit(call, call_max);
    auto directory = directory_of(device.domain);
    if (!directory) return std::move(directory).error();
    const auto kept = sdk::read_kept_process(directory->get());
    if (!kept || !kept->running) return Error{.code = Code::failed_precondition, .what = "the guest does not run"};
    const auto record = record_in(directory->get());
    std::array<char, 64> file{};
    std::snprintf(file.data(), file.size(), "/dev/bus/usb/%03u/%03u", device.bus, device.device);
    if (record && record->uid != 0 && ::chown(file.data(), record->uid, record->uid) != 0) {
        auto error = file_error(file.data());
        error.code = Code::unavailable;
        return error;
    }
    auto monitor = QmpClient::open(directory->get(), "qmp", limit);
    if (!monitor) return std::move(monitor).error();
    const auto arguments = "{\"driver\":\"usb-host\",\"id\":\"" + device.name + "\",\"hostbus\":" + std::to_string(device.bus) +
                           ",\"hostaddr\":" + std::to_string(device.device) + ",\"bus\":\"usb.0\"}";
    auto added = monitor->execute("device_add", arguments, limit);
    if (added || added.error().what.find("Duplicate") != std::string::npos || added.error().what.find("already in use") != std::string::npos) return {};
    return std::move(added).error().in("USB device " + device.name);
}

Status KvmHypervisor::unplug(const CallContext& call, const UsbAttachment& device) {
    if (!valid_name(device.name)) return Error{.code = Code::invalid_argument, .what = "not a name of a device", .field = ".name"};
    const Limit limit(call, call_max);
    auto directory = directory_of(device.domain);
    if (!directory) return directory.error().code == Code::not_found ? Status{} : Status(std::move(directory).error());
    const auto kept = sdk::read_kept_process(directory->get());
    if (!kept || !kept->running) return {};
    auto monitor = QmpClient::open(directory->get(), "qmp", limit);
    if (!monitor) return std::move(monitor).error();
    auto removed = monitor->execute("device_del", "{\"id\":\"" + device.name + "\"}", limit);
    if (removed || removed.error().what.find("not found") != std::string::npos) return {};
    return std::move(removed).error().in("USB device " + device.name);
}

Result<DomainInfo> KvmHypervisor::destroy(const CallContext& call, const DomainId& id, DestroyMode mode) {
    if (mode == DestroyMode::unknown) return Error{.code = Code::invalid_argument, .what = "what to keep is not said", .field = ".mode"};
    const Limit limit(call, call_max);
    auto directory = directory_of(id);
    if (!directory && directory.error().code != Code::not_found) return std::move(directory).error();
    if (directory) {
        watcher_->forget(id);
        if (auto ended = end_process(directory->get(), limit); !ended) return std::move(ended).error();
        if (auto cleared = clear(id, directory->get(), limit); !cleared) return std::move(cleared).error();
        if (::unlinkat(domains_.get(), id.value.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) return file_error(id.value);
    }
    if (mode == DestroyMode::purge && valid_name(id.value))
        if (const auto vars = open_directory(host_.config().state_dir.fd, vars_directory)) ::unlinkat(vars->get(), vars_file(id).c_str(), 0);
    return DomainInfo{.id = id, .presence = Presence::absent};
}

}  // namespace eve::kvm
