#include "kvm_hypervisor.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>

#include "common/grammar.hpp"
#include "container_vm.hpp"
#include "eve/sdk/kept_process.hpp"
#include "files.hpp"
#include "host_facts.hpp"
#include "observe.hpp"
#include "qmp.hpp"
#include "steps.hpp"
#include "watcher.hpp"

namespace eve::kvm {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds probe_max = 15s;
constexpr std::uint32_t calls_in_flight = 8;

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
                                             DiskFormat::iso, DiskFormat::container},
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

Result<std::vector<Problem>> KvmHypervisor::validate(const CallContext&, const DomainSpec& spec) { return problems_of(spec, offer()); }

Result<UniqueFd> KvmHypervisor::directory_of(const DomainId& id) const {
    if (!plugins::valid_name(id.value)) return Error{.code = Code::not_found, .what = "no domain has an id like this"};
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
    const bool container = record && is_container(record->spec);
    const bool cut = file_exists(directory, cut_name);
    const auto app_ended = [&] {
        const auto report = exit_report_in(directory);
        const auto seen = seen_report(report, cut || file_exists(directory, asked_name));
        info.state = seen.state;
        info.reason = seen.reason;
        if (report && report->failure.empty()) info.exit = report->exit;
    };
    if (container && !kept->running && exit_report_in(directory)) {
        app_ended();
        return info;
    }
    if (!kept->running) {
        const auto seen = seen_ended(kept->exit.value_or(ExitStatus{}), cut, tail_of(directory, log_name, last_words_max));
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
        if (container && *state == "shutdown") {
            app_ended();
        } else if (container) {
            if (auto trouble = share_trouble(directory); !trouble.empty()) {
                info.state = DomainState::broken;
                info.reason = std::move(trouble);
            }
        }
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
    clear_old_trials();
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

}  // namespace eve::kvm
