#include "xen_hypervisor.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>

#include <fcntl.h>
#include <sys/stat.h>

#include "common/files.hpp"
#include "common/grammar.hpp"
#include "eve/sdk/kept_process.hpp"
#include "observe.hpp"
#include "validate.hpp"

namespace eve::xen {
namespace {

using namespace plugins;
using namespace std::chrono_literals;

constexpr std::chrono::milliseconds call_max = 28s;    // a call is back within 30 s
constexpr std::chrono::milliseconds probe_max = 5s;
constexpr std::chrono::milliseconds reboot_max = 60s;
constexpr std::chrono::milliseconds alone_pause = 20ms;
constexpr std::size_t record_file_max = 512U << 10;
constexpr std::size_t kernel_looked_at = 8U << 20;
constexpr std::uint32_t calls_in_flight = 4;
constexpr std::int64_t quick_reboot_ns = 10'000'000'000;  // as xl: a guest that reboots faster than this is not booting
constexpr std::uint32_t quick_reboots_max = 3;
constexpr const char* record_name = "domain.json";
constexpr const char* config_name = "domain.cfg";

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

std::string time_of_day() {
    std::timespec now{};
    std::timespec_get(&now, TIME_UTC);
    std::tm parts{};
    ::gmtime_r(&now.tv_sec, &parts);
    char text[32] = {};
    std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    return text;
}

std::int64_t since_boot_ns() {
    std::timespec now{};
    ::clock_gettime(CLOCK_BOOTTIME, &now);
    return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

Error refused(const Problem& problem) { return {.code = code_of(problem), .what = problem.what, .field = problem.field, .hint = problem.hint}; }

/// What a spec wants of the machine and is not there is a precondition, whatever the file system calls it.
Status must_be_readable(const std::string& path, const std::string& field, int mode = R_OK) {
    if (path.empty() || ::access(path.c_str(), mode) == 0) return {};
    return Error{.code = Code::failed_precondition, .what = path + ": " + std::strerror(errno), .field = field};
}

bool lives(const DomainInfo& info) { return info.state != DomainState::halted && info.state != DomainState::broken; }

std::string adapter_directory(const std::string& address) {
    return "bus/pci/devices/" + (std::count(address.begin(), address.end(), ':') == 1 ? "0000:" + address : address);
}

}  // namespace

Result<std::unique_ptr<XenHypervisor>> XenHypervisor::open(HostServices& host) { return open_on(host, make_libxl_xen); }

Result<std::unique_ptr<XenHypervisor>> XenHypervisor::open_on(HostServices& host, const std::function<std::unique_ptr<Xen>(const Settings&)>& make_xen) {
    auto settings = read_settings(host.config());
    if (!settings) return std::move(settings).error();
    auto domains = make_directory(host.config().run_dir.fd, "domains");
    if (!domains) return std::move(domains).error().in("run directory");
    auto xen = make_xen(*settings);
    return std::unique_ptr<XenHypervisor>(new XenHypervisor(host, std::move(*settings), std::move(*domains), std::move(xen)));
}

XenHypervisor::XenHypervisor(HostServices& host, Settings settings, UniqueFd domains, std::unique_ptr<Xen> xen)
    : host_(host), settings_(std::move(settings)), domains_(std::move(domains)), xen_(std::move(xen)) {
    // A machine without Xen has nothing to listen to; it is looked at once.
    const auto host_seen = xen_->host();
    if (!host_seen && host_seen.error().code == Code::unsupported) return;
    xen_->listen([this](std::uint32_t domid) { notice(domid); });
    if (const auto names = names_in(domains_.get()))
        for (const auto& name : *names)
            if (const auto directory = open_directory(domains_.get(), name))
                if (const auto record = record_in(directory->get()); record && record->domid != 0) xen_->watch(record->domid);
}

XenHypervisor::~XenHypervisor() { xen_.reset(); }

Result<Description> XenHypervisor::describe(const CallContext&) {
    const auto seen = xen_->host();
    const auto host = seen ? *seen : SeenHost{};
    Description description{.modes = {VirtualizationMode::pv, VirtualizationMode::hvm, VirtualizationMode::legacy, VirtualizationMode::fml},
                            .disk_formats = {DiskFormat::raw, DiskFormat::qcow, DiskFormat::qcow2, DiskFormat::vhd, DiskFormat::iso},
                            .pci_binding = "pciback",
                            .config_schema = settings_schema()};
    description.capabilities = {.hw_virtualization = host.hvm,
                                .io_virtualization = host.directio,
                                .cpu_pinning = true,
                                .vnc = true,
                                .console = true,
                                .console_log = true,
                                .stop_ask = true,
                                .pci = host.directio,
                                .serial = true};
    description.limits = {.calls_in_flight_max = calls_in_flight, .vcpus_max = vcpus_max, .disks_max = disks_max, .vifs_max = vifs_max, .adapters_max = adapters_max};
    return description;
}

Result<ProbeReport> XenHypervisor::probe(const CallContext& call) {
    ProbeReport report;
    if (auto ready = xen_->ready(Limit(call, probe_max)); !ready) {
        if (ready.error().code == Code::cancelled) return std::move(ready).error();
        report.verdict = ready.error().code == Code::unsupported ? ProbeVerdict::declined : ProbeVerdict::broken;
        report.reason = ready.error().what;
        if (!ready.error().hint.empty()) report.notes.push_back(ready.error().hint);
        return report;
    }
    const auto host = xen_->host();
    if (!host) {
        report.verdict = ProbeVerdict::broken;
        report.reason = host.error().what;
        return report;
    }
    report.verdict = ProbeVerdict::supported;
    report.reason = "Xen " + host->version + ", and we control it";
    if (!host->hvm) report.notes.emplace_back("The CPU does not virtualize: only PV guests run");
    if (!host->directio) report.notes.emplace_back("There is no IOMMU: devices are not given to guests");
    if (::access(settings_.pvh_firmware.c_str(), R_OK) != 0) report.notes.push_back(settings_.pvh_firmware + " is not there: PV apps without a kernel run as HVM");
    if (::access(settings_.uefi_firmware.c_str(), R_OK) != 0) report.notes.push_back(settings_.uefi_firmware + " is not there: FML apps must bring their firmware");
    return report;
}

Result<std::vector<Problem>> XenHypervisor::validate(const CallContext&, const DomainSpec& spec) { return problems_of(spec); }

// ---- observing ----

Result<XenHypervisor::Found> XenHypervisor::find(const DomainId& id, const std::vector<SeenDomain>& all) {
    if (!plugins::valid_name(id.value)) return Error{.code = Code::not_found, .what = "no domain has an id like this"};
    auto directory = open_directory(domains_.get(), id.value);
    if (!directory) return std::move(directory).error();
    auto record = record_in(directory->get());
    std::optional<SeenDomain> seen;
    // Of several with its id the one that is not being taken down counts.
    for (const auto& domain : all)
        if (domain.uuid == id.value && (!seen || seen->dying)) seen = domain;
    return Found{.directory = std::move(*directory), .record = std::move(record), .seen = std::move(seen)};
}

Result<XenHypervisor::Found> XenHypervisor::find(const DomainId& id) {
    auto all = xen_->domains();
    if (!all) return std::move(all).error();
    return find(id, *all);
}

/// Domains that Xen has and we have no directory of, but made: they get one.
Result<void> XenHypervisor::adopt(const std::vector<SeenDomain>& all, const Limit& limit) {
    for (const auto& seen : all) {
        if (seen.dying || open_directory(domains_.get(), seen.uuid)) continue;
        auto kept = xen_->kept(seen.domid, limit);
        if (!kept) {
            if (kept.error().code == Code::not_found) continue;
            return std::move(kept).error();
        }
        auto record = kept->empty() ? Result<DomainRecord>(Error{}) : read_record(*kept);
        if (!record || record->spec.id.value != seen.uuid) continue;  // somebody else's
        record->domid = seen.domid;
        record->phase = seen.paused ? Phase::created : Phase::started;
        if (const auto pid = xen_->device_model(seen.domid, limit)) record->device_model = sdk::identify(*pid);
        auto directory = make_directory(domains_.get(), seen.uuid);
        if (!directory) return std::move(directory).error();
        if (auto written = write_record(directory->get(), *record); !written) return written;
        xen_->watch(seen.domid);
        host_.log(LogLevel::info, "domain.adopted", {{"domain", seen.uuid}, {"domid", std::int64_t{seen.domid}}});
    }
    return {};
}

DomainInfo XenHypervisor::info_of(const DomainId& id, const Found& found) const {
    DomainInfo info{.id = id, .presence = Presence::present};
    if (!found.record) {
        if (!found.seen && found.record.error().code == Code::not_found) {
            info.state = DomainState::broken;
            info.reason = "its creation was interrupted";
        } else {
            info.reason = "its record cannot be read: " + found.record.error().what;
        }
        return info;
    }
    const auto& record = *found.record;
    info.revision = record.spec.revision;
    info.name = record.spec.name;
    info.labels = record.spec.labels;
    info.notes = record.notes;
    info.started_at = record.started_at;
    const bool device_model = record.device_model.pid != 0 && sdk::alive(record.device_model);
    const auto seen = observe(record, found.seen, device_model);
    info.state = seen.state;
    info.reason = seen.reason;
    if (device_model) info.pid = record.device_model.pid;
    info.console_path = record.console_path;
    info.console_log_path = record.console_log_path;
    if (record.spec.vnc.enabled) info.vnc_address = settings_.vnc_listen + ":" + std::to_string(5900 + record.spec.vnc.display);
    return info;
}

Result<DomainInfo> XenHypervisor::look(const DomainId& id) {
    auto found = find(id);
    if (!found) {
        if (found.error().code == Code::not_found) return DomainInfo{.id = id, .presence = Presence::absent};
        return std::move(found).error();
    }
    return info_of(id, *found);
}

Result<DomainInfo> XenHypervisor::inspect(const CallContext&, const DomainId& id) { return look(id); }

Result<std::vector<DomainInfo>> XenHypervisor::list(const CallContext& call) {
    auto all = xen_->domains();
    if (!all) return std::move(all).error();
    // Without xenstored nothing can be adopted, but what we know is still told.
    if (auto adopted = adopt(*all, Limit(call, call_max)); !adopted) host_.log(LogLevel::warn, "domains.not_adopted", {{"error", adopted.error().what}});
    auto names = names_in(domains_.get());
    if (!names) return std::move(names).error();
    std::vector<DomainInfo> domains;
    for (const auto& name : *names)
        if (auto found = find(DomainId{name}, *all)) domains.push_back(info_of(DomainId{name}, *found));
    return domains;
}

Result<Stats> XenHypervisor::stats(const CallContext&) {
    auto host = xen_->host();
    if (!host) return std::move(host).error();
    auto all = xen_->domains();
    if (!all) return std::move(all).error();
    Stats stats{.host = {.memory_total = Bytes{host->memory_kib << 10}, .memory_free = Bytes{host->memory_free_kib << 10}, .cpus = host->cpus}};
    for (const auto& seen : *all) {
        if (seen.dying || !open_directory(domains_.get(), seen.uuid)) continue;
        stats.domains.push_back({.id = {seen.uuid},
                                 .cpu = std::chrono::nanoseconds(static_cast<std::int64_t>(seen.cpu_ns)),
                                 .memory_allocated = Bytes{seen.memory_max_kib << 10},
                                 .memory_used = Bytes{seen.memory_kib << 10},
                                 .memory_used_max = Bytes{seen.memory_kib << 10}});
    }
    return stats;
}

// ---- changing ----

Result<std::unique_lock<std::timed_mutex>> XenHypervisor::alone(const Limit& limit) {
    std::unique_lock lock(changing_, std::defer_lock);
    while (!lock.try_lock_for(alone_pause))
        if (const auto waited = limit.wait(-1, 0, 0ms); waited != Limit::Wait::ready) return Limit::error(waited, "another domain's turn");
    return lock;
}

/// Everything that the spec names is there, so that libxl's answer is not the first that says so.
Status XenHypervisor::prepared(const DomainSpec& spec, Facts& facts, const Limit& limit) {
    if (auto ready = xen_->ready(limit); !ready) {
        if (ready.error().code == Code::unsupported) ready.error().code = Code::unavailable;
        return ready;
    }
    auto host = xen_->host();
    if (!host) return std::move(host).error();
    facts.hvm = host->hvm;
    facts.directio = host->directio;
    for (std::size_t at = 0; at < spec.cpus.size(); ++at)
        if (spec.cpus[at] > host->cpu_id_max)
            return Error{.code = Code::failed_precondition,
                         .what = "the machine has no CPU " + std::to_string(spec.cpus[at]) + ": the last one is " + std::to_string(host->cpu_id_max),
                         .field = ".cpus[" + std::to_string(at) + "]"};
    if (auto there = must_be_readable(spec.kernel, ".kernel"); !there) return there;
    if (auto there = must_be_readable(spec.ramdisk, ".ramdisk"); !there) return there;
    if (!spec.kernel.empty()) {
        const UniqueFd kernel(::open(spec.kernel.c_str(), O_RDONLY | O_CLOEXEC));
        struct stat about {};
        if (kernel) ::fstat(kernel.get(), &about);
        std::string bytes(std::min(kernel_looked_at, static_cast<std::size_t>(about.st_size)), '\0');
        const auto size = kernel ? ::pread(kernel.get(), bytes.data(), bytes.size(), 0) : -1;
        if (size < 0) return Error{.code = Code::failed_precondition, .what = spec.kernel + ": " + std::strerror(errno), .field = ".kernel"};
        facts.kernel = kernel_notes(std::string_view(bytes).substr(0, static_cast<std::size_t>(size)));
    }
    facts.pvh_firmware = ::access(settings_.pvh_firmware.c_str(), R_OK) == 0;
    facts.uefi_firmware = ::access(settings_.uefi_firmware.c_str(), R_OK) == 0;
    facts.spec_firmware = !spec.firmware.empty() && ::access(spec.firmware.c_str(), R_OK) == 0;
    for (std::size_t at = 0; at < spec.disks.size(); ++at) {
        const auto& disk = spec.disks[at];
        if (disk.target == DiskTarget::app_custom) continue;
        if (auto there = must_be_readable(disk.path, ".disks[" + std::to_string(at) + "].path"); !there) return there;
    }
    const auto sysfs = host_.config().sysfs.fd;
    for (std::size_t at = 0; at < spec.vifs.size(); ++at)
        if (::faccessat(sysfs, ("class/net/" + spec.vifs[at].bridge + "/bridge").c_str(), F_OK, 0) != 0)
            return Error{.code = Code::failed_precondition, .what = "there is no bridge " + spec.vifs[at].bridge, .field = ".vifs[" + std::to_string(at) + "].bridge"};
    for (std::size_t at = 0; at < spec.adapters.size(); ++at) {
        const auto& adapter = spec.adapters[at];
        const auto field = ".adapters[" + std::to_string(at) + "].address";
        if (adapter.kind != AdapterKind::pci) continue;
        const auto device = adapter_directory(adapter.address);
        if (::faccessat(sysfs, device.c_str(), F_OK, 0) != 0) return Error{.code = Code::failed_precondition, .what = "there is no PCI device " + adapter.address, .field = field};
        char driver[256] = {};
        const auto size = ::readlinkat(sysfs, (device + "/driver").c_str(), driver, sizeof driver - 1);
        if (size < 0 || !std::string_view(driver).ends_with("/pciback"))
            return Error{.code = Code::failed_precondition,
                         .what = adapter.address + " is not bound to pciback",
                         .field = field,
                         .hint = "the pci plugin does that when the app's devices are reserved"};
        if (const auto kind = read_file(sysfs, device + "/class", 64); kind && kind->starts_with("0x0c03")) facts.usb_controllers.push_back(adapter.address);
    }
    return {};
}

/// The domain of the record is made, with its number and device model in the record.
Status XenHypervisor::make(DomainRecord& record, int directory, const Limit& limit) {
    Facts facts{.directory = path_of(directory)};
    if (auto there = prepared(record.spec, facts, limit); !there) return there;
    auto planned = plan(record.spec, facts, settings_);
    if (!planned) return std::move(planned).error();
    record.notes = std::move(planned->notes);
    record.console_path = planned->console_path;
    record.console_log_path = planned->console_log_path;
    record.device_model = {};
    if (auto written = write_file(directory, config_name, config_text(planned->config)); !written) return written;
    auto text = record_text(record);
    if (!text) return std::move(text).error();
    auto domid = xen_->create(planned->config, *text, limit);
    if (!domid && domid.error().code == Code::resource_exhausted) {
        domid.error().field = ".memory_bytes";
        domid.error().hint = "stop another app, or give the control domain less (dom0_mem)";
    }
    if (!domid) return std::move(domid).error();
    record.domid = *domid;
    if (planned->config.type == DomainType::hvm)
        if (const auto pid = xen_->device_model(*domid, limit); pid && *pid != 0) record.device_model = sdk::identify(*pid);
    return {};
}

/// Nothing of the domain is left, in Xen or in its directory.
Status XenHypervisor::clear(const DomainId& id, const Limit& limit) {
    auto all = xen_->domains();
    if (!all) {
        if (all.error().code != Code::unsupported) return std::move(all).error();
        all = std::vector<SeenDomain>{};
    }
    for (const auto& domain : *all)
        if (domain.uuid == id.value)
            if (auto destroyed = xen_->destroy(domain.domid, limit); !destroyed) return destroyed;
    auto directory = open_directory(domains_.get(), id.value);
    if (!directory) return directory.error().code == Code::not_found ? Status{} : Status(std::move(directory).error());
    // Pages that a back end still holds keep a domain dying for a moment.
    while (true) {
        auto now = xen_->domains();
        if (!now || std::none_of(now->begin(), now->end(), [&](const SeenDomain& d) { return d.uuid == id.value; })) break;
        if (const auto waited = limit.wait(-1, 0, alone_pause); waited != Limit::Wait::ready)
            return Error{.code = Code::unavailable, .what = "Xen still takes the domain down: somebody holds pages of it"};
    }
    if (const auto record = record_in(directory->get())) {
        if (record->device_model.pid != 0) [[maybe_unused]] const auto killed = sdk::signal_process(record->device_model, SIGKILL);
        for (const auto& vif : record->spec.vifs)
            if (vif.name.find_first_not_of("0123456789") != std::string::npos) [[maybe_unused]] const auto swept = xen_->sweep(vif.name, limit);
        // libxl and pciback have reset the devices by now, and their DMA is off.
        for (const auto& adapter : record->spec.adapters) {
            const auto device = adapter.kind == AdapterKind::pci ? pci_address(adapter.address) : std::nullopt;
            if (!device) continue;
            if (auto given = xen_->give_back(*device); !given)
                host_.log(LogLevel::warn, "domain.device_kept", {{"domain", id.value}, {"device", adapter.address}, {"error", given.error().what}});
        }
    }
    if (auto emptied = empty_directory(directory->get()); !emptied) return emptied;
    if (::unlinkat(domains_.get(), id.value.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) return file_error(id.value);
    return {};
}

Result<DomainInfo> XenHypervisor::create(const CallContext& call, const DomainSpec& spec) {
    if (const auto problems = problems_of(spec); !problems.empty()) return refused(problems.front());
    const Limit limit(call, call_max);
    auto lock = alone(limit);
    if (!lock) return std::move(lock).error();
    auto before = look(spec.id);
    if (!before) return before;
    if (before->presence == Presence::present) {
        if (before->revision == spec.revision && lives(*before)) return before;
        if (lives(*before))
            return Error{.code = Code::failed_precondition, .what = "revision " + std::to_string(before->revision) + " of this domain still lives", .hint = "destroy it first"};
        if (auto cleared = clear(spec.id, limit); !cleared) return std::move(cleared).error();
    }
    auto directory = make_directory(domains_.get(), spec.id.value);
    if (!directory) return std::move(directory).error();
    DomainRecord record{.spec = spec, .phase = Phase::creating};
    auto made = write_record(directory->get(), record);
    if (made) made = make(record, directory->get(), limit);
    if (made) {
        record.phase = Phase::created;
        made = write_record(directory->get(), record);
    }
    if (!made) {
        // After a time-out the half of it is left, with its record: the node sees it broken and destroys it.
        if (made.error().code != Code::timed_out && made.error().code != Code::cancelled) {
            if (auto cleared = clear(spec.id, limit); !cleared) host_.log(LogLevel::warn, "domain.not_cleared", {{"domain", spec.id.value}, {"error", cleared.error().what}});
        }
        return std::move(made).error();
    }
    xen_->watch(record.domid);
    return look(spec.id);
}

/// The domain of the record runs.
Status XenHypervisor::run(DomainRecord& record, int directory, const Limit& limit) {
    if (auto running = xen_->unpause(record.domid, limit); !running) return running;
    record.phase = Phase::started;
    if (record.started_at.empty()) record.started_at = time_of_day();
    return write_record(directory, record);
}

Result<DomainInfo> XenHypervisor::start(const CallContext& call, const DomainId& id) {
    const Limit limit(call, call_max);
    auto lock = alone(limit);
    if (!lock) return std::move(lock).error();
    auto found = find(id);
    if (!found) return std::move(found).error();
    auto info = info_of(id, *found);
    if (info.state == DomainState::running || info.state == DomainState::starting) return info;
    if (!found->record) return Error{.code = Code::failed_precondition, .what = info.reason, .hint = "destroy and create it"};
    if (!lives(info) || info.state == DomainState::halting)
        return Error{.code = Code::failed_precondition, .what = info.reason, .hint = "destroy and create it"};
    found->record->domid = found->seen->domid;
    if (auto running = run(*found->record, found->directory.get(), limit); !running) return std::move(running).error();
    return look(id);
}

Result<DomainInfo> XenHypervisor::stop(const CallContext& call, const DomainId& id, StopMode mode) {
    const Limit limit(call, call_max);
    if (mode == StopMode::unknown) return Error{.code = Code::invalid_argument, .what = "how to stop is not said", .field = ".mode"};
    auto lock = alone(limit);
    if (!lock) return std::move(lock).error();
    auto found = find(id);
    if (!found) return std::move(found).error();
    auto info = info_of(id, *found);
    if (found->record && !found->seen && found->record->phase == Phase::rebooting && mode == StopMode::cut) {
        found->record->phase = Phase::cut;
        if (auto written = write_record(found->directory.get(), *found->record); !written) return std::move(written).error();
        return look(id);
    }
    const bool runs = found->record && found->seen && lives(info) && info.state != DomainState::defined && info.state != DomainState::halting;
    if (!runs) return info;
    if (mode == StopMode::ask) {
        const bool button = found->record->device_model.pid != 0;
        if (auto asked = xen_->ask_to_halt(found->seen->domid, button, limit); !asked) return std::move(asked).error();
        return look(id);
    }
    found->record->phase = Phase::cut;
    if (auto written = write_record(found->directory.get(), *found->record); !written) return std::move(written).error();
    if (auto destroyed = xen_->destroy(found->seen->domid, limit); !destroyed) return std::move(destroyed).error();
    return look(id);
}

Result<DomainInfo> XenHypervisor::destroy(const CallContext& call, const DomainId& id, DestroyMode mode) {
    if (mode == DestroyMode::unknown) return Error{.code = Code::invalid_argument, .what = "what to keep is not said", .field = ".mode"};
    const Limit limit(call, call_max);
    if (plugins::valid_name(id.value)) {
        auto lock = alone(limit);
        if (!lock) return std::move(lock).error();
        if (auto cleared = clear(id, limit); !cleared) return std::move(cleared).error();
    }
    return DomainInfo{.id = id, .presence = Presence::absent};
}

// ---- what happens by itself ----

/// On the listener's thread: a domain ended, or (0) all should be looked at.
void XenHypervisor::notice(std::uint32_t domid) {
    const auto all = xen_->domains();
    const auto names = names_in(domains_.get());
    if (!all || !names) return;
    for (const auto& name : *names) {
        const DomainId id{name};
        auto found = find(id, *all);
        if (!found || !found->record || (domid != 0 && found->record->domid != domid)) continue;
        if (wants_reboot(*found->record, found->seen)) {
            if (auto rebooted = reboot(id); !rebooted) host_.log(LogLevel::warn, "domain.not_rebooted", {{"domain", name}, {"error", rebooted.error().what}});
        } else if (domid == 0) {
            continue;
        }
        if (auto info = look(id)) host_.emit({.domain = id, .kind = lives(*info) ? DomainEventKind::rebooted : DomainEventKind::exited, .state = std::move(*info)});
    }
}

/// A guest that asked for a reboot is made again, as the toolstack has to: Xen only ends it.
Status XenHypervisor::reboot(const DomainId& id) {
    const Limit limit(reboot_max, -1);
    auto lock = alone(limit);
    if (!lock) return std::move(lock).error();
    auto found = find(id);
    if (!found) return std::move(found).error();
    if (!found->record || !wants_reboot(*found->record, found->seen)) return {};  // the node was faster
    auto& record = *found->record;
    const auto now = since_boot_ns();
    record.quick_reboots = now - record.rebooted_ns < quick_reboot_ns ? record.quick_reboots + 1 : 0;
    record.rebooted_ns = now;
    Status done;
    if (record.quick_reboots > quick_reboots_max) {
        done = Error{.code = Code::failed_precondition, .what = "it reboots again and again"};
    } else {
        record.phase = Phase::rebooting;  // who looks meanwhile does not find a domain that somebody destroyed
        done = write_record(found->directory.get(), record);
        if (done && found->seen) done = xen_->destroy(found->seen->domid, limit);
        if (done) done = make(record, found->directory.get(), limit);
        if (done) {
            xen_->watch(record.domid);
            done = run(record, found->directory.get(), limit);
        }
    }
    if (!done) {
        record.phase = Phase::started;
        record.failure = "the guest rebooted and was not made again: " + done.error().what;
        [[maybe_unused]] const auto written = write_record(found->directory.get(), record);
        return done;
    }
    return {};
}

}  // namespace eve::xen
