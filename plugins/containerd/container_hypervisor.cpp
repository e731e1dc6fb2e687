#include "containerd/container_hypervisor.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>
#include <set>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>

#include "containerd/oci_spec.hpp"
#include "common/rootfs.hpp"
#include "containerd/validate.hpp"
#include "eve/sdk/kept_process.hpp"
#include "common/files.hpp"

namespace eve::containerd {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds call_max = 28s;   // a call is back within 30 s
constexpr std::chrono::milliseconds look_max = 1500ms;  // inspect within 2 s
constexpr std::chrono::milliseconds clear_max = 5s;
constexpr std::chrono::milliseconds cut_max = 10s;
constexpr std::chrono::milliseconds probe_max = 15s;
constexpr std::chrono::milliseconds poll_pause = 20ms;
constexpr std::size_t record_file_max = 512U << 10;
constexpr std::size_t passwd_max = 1U << 20;
constexpr std::uint32_t domains_max = 4096;
constexpr std::uint32_t calls_in_flight = 8;
constexpr const char* console_log_file = "console.log";
constexpr const char* record_name = "domain.json";
constexpr const char* start_name = "start.json";
constexpr const char* asked_name = "asked";
constexpr const char* owner_label = "org.lfedge.eve.owner";
constexpr const char* trial_prefix = "probe-";  // and the pid of who tries
constexpr const char* trial_label = "org.lfedge.eve.trial";  // its value as the owner's

/// What create needs of the outside and is not there is a precondition, whatever the file system calls it.
Error as_precondition(Error error, std::string field = {}) {
    if (error.code == Code::not_found || error.code == Code::permission_denied || error.code == Code::already_exists) error.code = Code::failed_precondition;
    if (error.field.empty()) error.field = std::move(field);
    return error;
}

std::string now_text() {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    std::tm parts{};
    ::gmtime_r(&now.tv_sec, &parts);
    char text[32];
    return {text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

bool silent(const Error& error) { return error.code == Code::unavailable || error.code == Code::timed_out; }

}  // namespace

Result<std::unique_ptr<ContainerHypervisor>> ContainerHypervisor::open(HostServices& host, Settings settings, Deps deps) {
    auto domains = plugins::make_directory(host.config().run_dir.fd, "domains");
    if (!domains) return std::move(domains).error().in("run directory");
    return std::unique_ptr<ContainerHypervisor>(new ContainerHypervisor(host, std::move(settings), std::move(deps), std::move(*domains)));
}

ContainerHypervisor::ContainerHypervisor(HostServices& host, Settings settings, Deps deps, UniqueFd domains)
    : host_(host),
      settings_(std::move(settings)),
      deps_(std::move(deps)),
      domains_(std::move(domains)),
      content_(*deps_.content),
      cgroups_(settings_.cgroup_root),
      sessions_(*deps_.containerd),
      owner_(plugins::path_of(host.config().state_dir.fd)) {
    adopt();
    deps_.containerd->subscribe([this](const Event& event) { on_event(event); });
}

ContainerHypervisor::~ContainerHypervisor() { deps_.containerd->unsubscribe(); }

/// Containers that an earlier life started have their network looked after again.
void ContainerHypervisor::adopt() {
    const auto known = plugins::names_in(domains_.get());
    if (!known) return;
    const Limit limit(call_max, -1);
    for (const auto& name : *known) {
        auto found = find(DomainId{name}, limit.within(look_max));
        if (!found || !found->record || !found->task || found->task->state == TaskState::stopped) continue;
        sessions_.clear_leftovers(name, found->directory.get(), limit.within(look_max));
        auto attached = deps_.network->attach(DomainId{name}, found->directory.get(), found->task->pid, found->record->spec.vifs);
        if (has_interfaces(found->record->spec.adapters)) deps_.interfaces->hold(DomainId{name}, found->task->pid);
        if (!attached) host_.log(LogLevel::warn, "container.not_adopted", {{"domain", name}, {"error", attached.error().what}});
    }
}

void ContainerHypervisor::on_event(const Event& event) {
    if (event.container.starts_with(trial_prefix)) return;
    const auto tell = [this](const std::string& name, DomainEventKind kind) {
        const DomainId id{name};
        auto info = look(id, Limit(look_max, -1));
        if (!info || info->presence != Presence::present) return;
        host_.emit({.domain = id, .kind = kind, .state = std::move(*info)});
    };
    if (!event.container.empty()) {
        tell(event.container, event.kind == EventKind::exited ? DomainEventKind::exited : DomainEventKind::changed);
        return;
    }
    adopt();
    if (const auto known = plugins::names_in(domains_.get()))
        for (const auto& name : *known) tell(name, DomainEventKind::changed);
}

Result<Description> ContainerHypervisor::describe(const CallContext&) {
    Description description{.modes = {VirtualizationMode::container},
                            .disk_formats = {DiskFormat::container, DiskFormat::raw, DiskFormat::qcow, DiskFormat::qcow2, DiskFormat::vhd, DiskFormat::vmdk,
                                             DiskFormat::ova, DiskFormat::vhdx, DiskFormat::iso},
                            .config_schema = settings_schema()};
    description.capabilities = {.cpu_pinning = true, .console_log = true, .stop_ask = true, .exit_status = true, .memory_limit = true,
                                .serial = true, .interfaces = true};
    description.limits = {.calls_in_flight_max = calls_in_flight,
                          .domains_max = domains_max,
                          .vcpus_max = vcpus_max,
                          .disks_max = disks_max,
                          .vifs_max = vifs_max};
    return description;
}

Result<ProbeReport> ContainerHypervisor::probe(const CallContext& call) {
    const Limit limit(call, probe_max);
    ProbeReport report;
    struct stat status{};
    if (::stat(settings_.socket.c_str(), &status) != 0) {
        report.verdict = errno == ENOENT ? ProbeVerdict::declined : ProbeVerdict::broken;
        report.reason = "no containerd: " + settings_.socket + ": " + std::strerror(errno);
        return report;
    }
    const auto version = deps_.containerd->version(limit.within(clear_max));
    if (!version) {
        if (version.error().code == Code::cancelled) return version.error();
        report.verdict = ProbeVerdict::broken;
        report.reason = "containerd does not answer at " + settings_.socket + ": " + version.error().what;
        return report;
    }
    if (auto tried = try_container(limit); !tried) {
        if (tried.error().code == Code::cancelled) return std::move(tried).error();
        report.verdict = ProbeVerdict::broken;
        report.reason = "containerd " + *version + " could not run a test container: " + tried.error().what;
        return report;
    }
    report.verdict = ProbeVerdict::supported;
    report.reason = "containerd " + *version + " ran a test container" + (settings_.runtime_binary.empty() ? "" : " by " + settings_.runtime_binary);
    return report;
}

/// Made, and taken away before its process would be executed: namespaces, mounts, control groups and the runtime's own program have worked by then.
Status ContainerHypervisor::try_container(const Limit& limit) {
    if (auto made = deps_.containerd->make_namespace(limit); !made) return made;
    const auto id = trial_prefix + std::to_string(::getpid());
    const auto run_dir = host_.config().run_dir.fd;
    // What lives left that were killed while they tried: the record in containerd also outlives the machine.
    std::set<std::string> earlier{id};
    if (const auto containers = deps_.containerd->containers(trial_label, limit))
        for (const auto& container : *containers)
            if (container.labels.at(trial_label) == owner_) earlier.insert(container.id);
    if (const auto names = plugins::names_in(run_dir))
        for (const auto& name : *names)
            if (name.starts_with(trial_prefix)) earlier.insert(name);
    for (const auto& trial : earlier) remove_trial(trial);
    // Control groups of whoever tried below the same parent and has died: another plugin host of this node may have been the last of its kind.
    for (const auto& name : cgroups_.below(settings_.cgroup_parent))
        if (name.starts_with(trial_prefix) && ::access(("/proc/" + name.substr(std::string_view(trial_prefix).size())).c_str(), F_OK) != 0)
            cgroups_.remove(settings_.cgroup_parent + "/" + name);
    auto directory = plugins::make_directory(run_dir, id);
    if (!directory) return std::move(directory).error();
    auto rootfs = plugins::make_directory(directory->get(), "rootfs");
    if (!rootfs) return std::move(rootfs).error();
    // Never executed: runc looks whether there is something that could be.
    if (auto written = write_beneath(rootfs->get(), "/true", "", 0755); !written) return written;
    DomainSpec trial{.id = {id}, .memory = 64_MiB, .vcpus = 1, .disks = {{.path = plugins::path_of(directory->get()), .format = DiskFormat::container}}};
    auto spec = runtime_spec({.domain = trial, .image = {.Entrypoint = {"/true"}}, .user = {}, .resolv_conf = {}, .cgroup_parent = settings_.cgroup_parent});
    auto text = spec ? spec_text(*spec) : Result<std::string>(spec.error());
    Status done = text ? Status{} : Status(text.error());
    const Container made{.id = id, .labels = {{trial_label, owner_}}, .spec = text ? *text : std::string(), .record = {}};
    if (done) done = deps_.containerd->create_container(made, runtime_of(settings_), limit);
    if (done) {
        auto task = deps_.containerd->create_task(id, {}, runtime_of(settings_), limit);
        if (!task) done = std::move(task).error();
    }
    remove_trial(id);
    return done;
}

void ContainerHypervisor::remove_trial(const std::string& id) {
    const Limit limit(clear_max, -1);
    [[maybe_unused]] const auto ended = end_task({id}, limit);
    [[maybe_unused]] const auto task = deps_.containerd->delete_task(id, limit);
    [[maybe_unused]] const auto container = deps_.containerd->delete_container(id, limit);
    cgroups_.remove(settings_.cgroup_parent + "/" + id);  // the runtime's, if it was killed with its shim
    cgroups_.remove(settings_.cgroup_parent);
    const auto run_dir = host_.config().run_dir.fd;
    const auto directory = plugins::open_directory(run_dir, id);
    if (!directory) return;
    if (auto rootfs = plugins::open_directory(directory->get(), "rootfs"); rootfs)
        if (const auto made = plugins::names_in(rootfs->get()))  // what the runtime made to mount upon
            for (const auto& name : *made)
                if (::unlinkat(rootfs->get(), name.c_str(), AT_REMOVEDIR) != 0) ::unlinkat(rootfs->get(), name.c_str(), 0);
    [[maybe_unused]] const auto emptied = plugins::empty_directory(directory->get());
    ::unlinkat(run_dir, id.c_str(), AT_REMOVEDIR);
}

Result<std::vector<Problem>> ContainerHypervisor::validate(const CallContext&, const DomainSpec& spec) { return problems_of(spec); }

// ---- observing ----

Result<ContainerHypervisor::Found> ContainerHypervisor::find(const DomainId& id, const Limit& limit) {
    Found found;
    if (!valid_name(id.value)) return found;
    if (auto directory = plugins::open_directory(domains_.get(), id.value)) {
        found.directory = std::move(*directory);
        auto text = plugins::read_file(found.directory.get(), record_name, record_file_max);
        found.record = text ? read_record(*text) : Result<DomainRecord>(text.error());
    } else if (directory.error().code != Code::not_found) {
        return std::move(directory).error();
    }
    found.task = deps_.containerd->task(id.value, limit);
    if (!found.task && found.task.error().code == Code::cancelled) return found.task.error();
    found.container = found.task.ok();
    if (!found.task && found.task.error().code != Code::not_found) return found;
    if (found.task && found.directory) return found;
    auto container = deps_.containerd->container(id.value, limit);
    if (container) {
        const auto owner = container->labels.find(owner_label);
        found.container = owner != container->labels.end() && owner->second == owner_;
        if (found.container && !found.record) found.record = read_record(container->record);
        if (!found.container) found.task = Error{.code = Code::not_found, .what = "another node's"};
    } else if (container.error().code != Code::not_found) {
        found.task = container.error();
        found.container = false;
    }
    return found;
}

DomainInfo ContainerHypervisor::info_of(const DomainId& id, const Found& found) const {
    DomainInfo info{.id = id, .presence = Presence::present};
    if (found.record) {
        info.revision = found.record->spec.revision;
        info.name = found.record->spec.name;
        info.labels = found.record->spec.labels;
        info.notes = found.record->notes;
    }
    StartRecord started;
    if (found.directory) {
        if (const auto text = plugins::read_file(found.directory.get(), start_name, record_file_max); text)
            if (auto read = read_start(*text)) started = std::move(*read);
        if (!found.record || !found.record->spec.console_log_disabled)
            info.console_log_path = plugins::path_of(found.directory.get()) + "/" + console_log_file;
    }
    info.started_at = started.at;
    if (started.without_address != 0)
        info.notes.push_back("It was started with " + std::to_string(started.without_address) + " network interface(s) without an address: nobody gave one in time");
    if (found.task) {
        const bool asked = found.directory && plugins::file_exists(found.directory.get(), asked_name);
        const bool oom = found.record && found.task->state == TaskState::stopped && cgroups_.oom_kills(found.record->cgroup) > 0;
        auto what = seen(*found.task, asked, oom);
        info.state = what.state;
        info.reason = std::move(what.reason);
        info.exit = what.exit;
        if (found.task->state != TaskState::stopped) info.pid = found.task->pid;
        if (!found.record && info.state != DomainState::unknown) {
            info.state = DomainState::unknown;
            info.reason = "its record cannot be read: " + found.record.error().what;
        }
    } else if (found.task.error().code != Code::not_found) {
        const bool lives = started.process.pid > 0 && sdk::alive(started.process);
        if (lives) info.pid = started.process.pid;
        info.reason = std::string("containerd does not answer") + (started.process.pid == 0 ? "" : lives ? "; the container's process lives" : "; the container's process has ended") +
                      ": " + found.task.error().what;
    } else {
        info.state = DomainState::broken;
        info.reason = found.container ? started.at.empty() && found.directory ? "Its creation was interrupted" : "Its process is gone and nobody saw how it ended"
                                      : "Its creation was interrupted, or containerd has forgotten it";
        if (!started.at.empty()) info.exit = ExitStatus{};
    }
    return info;
}

Result<DomainInfo> ContainerHypervisor::look(const DomainId& id, const Limit& limit) {
    auto found = find(id, limit);
    if (!found) return std::move(found).error();
    if (!found->directory && !found->container) {
        if (found->task.error().code != Code::not_found && valid_name(id.value)) return Error{.code = Code::unavailable, .what = found->task.error().what};
        return DomainInfo{.id = id, .presence = Presence::absent};
    }
    if (found->task && found->task->state == TaskState::stopped) deps_.network->let_go(id);
    return info_of(id, *found);
}

Result<DomainInfo> ContainerHypervisor::inspect(const CallContext& call, const DomainId& id) { return look(id, Limit(call, look_max)); }

/// Every container that has a directory, or that containerd keeps for this node.
Result<std::vector<std::string>> ContainerHypervisor::names(const Limit& limit) {
    auto known = plugins::names_in(domains_.get());
    if (!known) return known;
    std::set<std::string> all(known->begin(), known->end());
    auto containers = deps_.containerd->containers(owner_label, limit);
    if (!containers) {
        if (!silent(containers.error()) || all.empty()) return std::move(containers).error();
    } else {
        for (const auto& container : *containers)
            if (const auto owner = container.labels.find(owner_label); owner != container.labels.end() && owner->second == owner_) all.insert(container.id);
    }
    return std::vector<std::string>(all.begin(), all.end());
}

Result<std::vector<DomainInfo>> ContainerHypervisor::list(const CallContext& call) {
    const Limit limit(call, call_max);
    auto known = names(limit);
    if (!known) return std::move(known).error();
    std::vector<DomainInfo> domains;
    for (const auto& name : *known) {
        auto info = look(DomainId{name}, limit.within(look_max));
        if (!info) return std::move(info).error();
        if (info->presence == Presence::present) domains.push_back(std::move(*info));
    }
    return domains;
}

Result<Stats> ContainerHypervisor::stats(const CallContext& call) {
    const Limit limit(call, look_max);
    auto tasks = deps_.containerd->tasks(limit);
    if (!tasks) return std::move(tasks).error();
    Stats stats;
    for (const auto& task : *tasks) {
        if (task.state != TaskState::running || !valid_name(task.container)) continue;
        const auto directory = plugins::open_directory(domains_.get(), task.container);
        if (!directory) continue;
        const auto text = plugins::read_file(directory->get(), record_name, record_file_max);
        const auto record = text ? read_record(*text) : Result<DomainRecord>(text.error());
        if (!record) continue;
        stats.domains.push_back({.id = {task.container},
                                 .cpu = cgroups_.cpu_time(record->cgroup),
                                 .memory_allocated = record->spec.memory,
                                 .memory_used = cgroups_.memory_used(record->cgroup),
                                 .memory_used_max = cgroups_.memory_used_max(record->cgroup)});
    }
    return stats;
}

// ---- creating ----

Result<DomainInfo> ContainerHypervisor::create(const CallContext& call, const DomainSpec& spec) {
    if (const auto problems = problems_of(spec); !problems.empty()) {
        const auto& first = problems.front();
        return Error{.code = code_of(first), .what = first.what, .field = first.field, .hint = first.hint};
    }
    const Limit limit(call, call_max);
    auto found = find(spec.id, limit);
    if (!found) return std::move(found).error();
    if (!found->task && found->task.error().code != Code::not_found) return Error{.code = Code::unavailable, .what = found->task.error().what};
    if (found->task && found->task->state != TaskState::stopped) {
        if (!found->record || found->record->spec.revision != spec.revision)
            return Error{.code = Code::failed_precondition,
                         .what = "it lives with revision " + (found->record ? std::to_string(found->record->spec.revision) : std::string("unknown")),
                         .hint = "destroy it first"};
        return info_of(spec.id, *found);
    }
    if (found->directory || found->container)
        if (auto cleared = clear(spec.id, limit); !cleared) return std::move(cleared).error().in("clear what is left of its earlier life");
    auto directory = plugins::make_directory(domains_.get(), spec.id.value);
    if (!directory) return std::move(directory).error();
    auto info = build(spec, directory->get(), limit);
    if (info) return info;
    // On failure nothing is left; the caller's own limit may be used up by now.
    if (auto cleared = clear(spec.id, Limit(clear_max, -1)); !cleared)
        host_.log(LogLevel::warn, "container.left_behind", {{"domain", spec.id.value}, {"error", cleared.error().what}});
    return info;
}

Result<DomainInfo> ContainerHypervisor::build(const DomainSpec& spec, int directory, const Limit& limit) {
    const auto* root = root_disk(spec);
    auto image_text = plugins::read_file(AT_FDCWD, root->path + "/image-config.json", image_config_size_max);
    if (!image_text) return as_precondition(std::move(image_text).error().in("image configuration"), ".disks[0].path");
    auto image = read_image_config(*image_text);
    if (!image) return as_precondition(std::move(image).error(), ".disks[0].path");
    auto rootfs = open_rootfs(root->path + "/rootfs");
    if (!rootfs) return as_precondition(std::move(rootfs).error().in("root file system"), ".disks[0].path");
    for (std::size_t at = 1; at < spec.disks.size(); ++at)
        if (struct stat status{}; spec.disks[at].target == DiskTarget::disk && ::stat(spec.disks[at].path.c_str(), &status) != 0)
            return as_precondition(plugins::file_error(spec.disks[at].path), ".disks[" + std::to_string(at) + "].path");

    DomainRecord record{.spec = spec, .cgroup = cgroup_path(settings_.cgroup_parent, spec)};
    record.spec.env.clear();
    record.spec.files.clear();
    auto stop_signal = signal_number(image->StopSignal);
    if (stop_signal) {
        record.stop_signal = *stop_signal;
    } else {
        record.stop_signal = SIGTERM;
        record.notes.push_back("Its image asks to be stopped by " + image->StopSignal.substr(0, 32) + ", which is no signal: SIGTERM is sent");
    }
    const auto passwd = read_beneath(rootfs->get(), "etc/passwd", passwd_max);
    const auto group = read_beneath(rootfs->get(), "etc/group", passwd_max);
    auto user = find_user(image->User, passwd ? *passwd : "", group ? *group : "");
    if (!user) return std::move(user).error();
    for (std::size_t at = 0; at < spec.files.size(); ++at) {
        const auto content = from_base64(spec.files[at].content.value);
        if (!content) return content.error();
        if (auto written = write_beneath(rootfs->get(), spec.files[at].path, *content, spec.files[at].mode); !written)
            return as_precondition(std::move(written).error(), ".files[" + std::to_string(at) + "]");
    }
    const auto path = plugins::path_of(directory);
    std::string resolv;
    if (!spec.vifs.empty()) {
        const UniqueFd file(::openat(directory, resolv_conf_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644));
        if (!file || ::fchmod(file.get(), 0644) != 0) return plugins::file_error(resolv_conf_file);
        resolv = path + "/" + resolv_conf_file;
    }
    auto devices = device_nodes(spec.adapters);
    if (!devices) return std::move(devices).error();
    auto oci_spec = runtime_spec({.domain = spec, .image = *image, .user = std::move(*user), .resolv_conf = resolv, .cgroup_parent = settings_.cgroup_parent,
                                  .devices = std::move(*devices)});
    if (!oci_spec) return std::move(oci_spec).error();
    auto text = spec_text(*oci_spec);
    if (!text) return std::move(text).error();
    auto own = record_text(record);
    if (!own) return std::move(own).error();
    if (auto written = plugins::write_file(directory, record_name, *own); !written) return std::move(written).error();

    if (auto made = deps_.containerd->make_namespace(limit); !made) return std::move(made).error();
    const Container container{.id = spec.id.value, .labels = {{owner_label, owner_}}, .spec = std::move(*text), .record = std::move(*own)};
    if (auto made = deps_.containerd->create_container(container, runtime_of(settings_), limit); !made) return as_precondition(std::move(made).error());
    const auto output = spec.console_log_disabled
                            ? Output{}
                            : Output{.logger = deps_.console_logger, .log = path + "/" + console_log_file, .size_max = settings_.console_log_max};
    auto task = deps_.containerd->create_task(spec.id.value, output, runtime_of(settings_), limit);
    if (!task) return as_precondition(std::move(task).error());
    if (auto attached = deps_.network->attach(spec.id, directory, task->pid, spec.vifs); !attached) return as_precondition(std::move(attached).error());
    if (has_interfaces(spec.adapters))
        if (auto moved = deps_.interfaces->move_in(spec.id, task->pid, spec.adapters); !moved) return std::move(moved).error();
    return look(spec.id, limit);
}

// ---- starting and ending ----

Result<DomainInfo> ContainerHypervisor::start(const CallContext& call, const DomainId& id) {
    const Limit limit(call, call_max);
    auto found = find(id, limit);
    if (!found) return std::move(found).error();
    if (!found->directory && !found->container) {
        if (found->task.error().code != Code::not_found && valid_name(id.value)) return Error{.code = Code::unavailable, .what = found->task.error().what};
        return Error{.code = Code::not_found, .what = "there is no such container"};
    }
    const auto before = info_of(id, *found);
    if (before.state == DomainState::running) return before;
    if (!found->task && found->task.error().code != Code::not_found) return Error{.code = Code::unavailable, .what = before.reason};
    if (before.state != DomainState::defined || !found->directory)
        return Error{.code = Code::failed_precondition, .what = before.reason, .hint = "destroy and create it"};
    // Programs that listen or call at once find their network ready; one whose network gives no address starts nevertheless.
    StartRecord started{.at = now_text(), .process = sdk::identify(found->task->pid)};
    started.without_address = static_cast<std::uint32_t>(deps_.network->wait_for_addresses(id, limit.within(settings_.address_wait)));
    if (limit.cancelled()) return Limit::error(Limit::Wait::cancelled, "the start");
    auto text = start_text(started);
    if (!text) return std::move(text).error();
    if (auto written = plugins::write_file(found->directory.get(), start_name, *text); !written) return std::move(written).error();
    auto told = deps_.containerd->start_task(id.value, limit);
    auto after = look(id, limit);
    if (!told && after && after->state == DomainState::defined) return as_precondition(std::move(told).error());
    return after;
}

Result<DomainInfo> ContainerHypervisor::stop(const CallContext& call, const DomainId& id, StopMode mode) {
    if (mode == StopMode::unknown) return Error{.code = Code::invalid_argument, .what = "how to stop is not said", .field = ".mode"};
    const Limit limit(call, call_max);
    auto found = find(id, limit);
    if (!found) return std::move(found).error();
    if (!found->directory && !found->container) {
        if (found->task.error().code != Code::not_found && valid_name(id.value)) return Error{.code = Code::unavailable, .what = found->task.error().what};
        return Error{.code = Code::not_found, .what = "there is no such container"};
    }
    if (!found->task && found->task.error().code != Code::not_found) return Error{.code = Code::unavailable, .what = found->task.error().what};
    const bool runs = found->task && (found->task->state == TaskState::running || found->task->state == TaskState::paused || found->task->state == TaskState::pausing);
    if (runs) {
        if (found->directory)
            if (auto marked = plugins::write_file(found->directory.get(), asked_name, ""); !marked) return std::move(marked).error();
        if (mode == StopMode::cut) {
            if (auto ended = end_task(id, limit.within(cut_max)); !ended) return std::move(ended).error();
        } else {
            // To every process, as EVE: a shell without a handler, as the first process of its namespace, would not hear it.
            const auto signal = found->record && found->record->stop_signal != 0 ? found->record->stop_signal : std::uint32_t{SIGTERM};
            auto told = deps_.containerd->kill_task(id.value, signal, true, limit);
            if (!told && told.error().code != Code::not_found) return std::move(told).error();
        }
    }
    return look(id, limit.within(look_max));
}

/// No process is left in the container; its task stays. Also one that was never started: containerd, asked to delete it with its process there, waits
/// two seconds for that one's output to end.
Status ContainerHypervisor::end_task(const DomainId& id, const Limit& limit) {
    auto task = deps_.containerd->task(id.value, limit);
    if (task && task->state != TaskState::stopped) {
        auto killed = deps_.containerd->kill_task(id.value, SIGKILL, true, limit);
        if (!killed && killed.error().code != Code::not_found) return killed;
        while ((task = deps_.containerd->task(id.value, limit)) && task->state != TaskState::stopped)
            if (const auto waited = limit.wait(-1, 0, poll_pause); waited != Limit::Wait::ready) return Limit::error(waited, "the container's end");
    }
    if (!task && task.error().code != Code::not_found) return std::move(task).error();
    return {};
}

/// Nothing of the container is left, in containerd, on the network, in control groups and as files.
Status ContainerHypervisor::clear(const DomainId& id, const Limit& limit) {
    auto found = find(id, limit);
    if (!found) return std::move(found).error();
    if (!found->task && found->task.error().code != Code::not_found) return Error{.code = Code::unavailable, .what = found->task.error().what};
    const bool interfaces = found->record && has_interfaces(found->record->spec.adapters);
    if (interfaces && found->task && found->task->state != TaskState::stopped) deps_.interfaces->hold(id, found->task->pid);
    if (found->task) {
        auto ended = end_task(id, limit);
        if (!ended && found->task->state != TaskState::created) return ended;
        auto removed = deps_.containerd->delete_task(id.value, limit);
        if (!removed && removed.error().code != Code::not_found) return removed;
    }
    if (found->container) {
        auto removed = deps_.containerd->delete_container(id.value, limit);
        if (!removed && removed.error().code != Code::not_found) return removed;
    }
    if (interfaces)
        if (auto back = deps_.interfaces->give_back(id, found->record->spec.adapters); !back) return back;
    if (auto detached = deps_.network->detach(id, found->record ? found->record->spec.vifs : std::vector<Vif>{}); !detached) return detached;
    if (found->record) {
        cgroups_.remove(found->record->cgroup);
        cgroups_.remove(settings_.cgroup_parent);
    }
    if (!found->directory) return {};
    if (auto emptied = plugins::empty_directory(found->directory.get()); !emptied) return emptied;
    if (::unlinkat(domains_.get(), id.value.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) return plugins::file_error(id.value);
    return {};
}

Result<DomainInfo> ContainerHypervisor::destroy(const CallContext& call, const DomainId& id, DestroyMode mode) {
    if (mode == DestroyMode::unknown) return Error{.code = Code::invalid_argument, .what = "what to keep is not said", .field = ".mode"};
    if (valid_name(id.value)) {
        if (auto cleared = clear(id, Limit(call, call_max)); !cleared) {
            auto error = std::move(cleared).error();
            if (error.code == Code::failed_precondition) error.code = Code::unavailable;
            return error;
        }
    }
    return DomainInfo{.id = id, .presence = Presence::absent};
}

// ---- further programs ----

Result<ExecStarted> ContainerHypervisor::exec(const CallContext& call, const ExecRequest& request) {
    const Limit limit(call, call_max);
    auto found = find(request.domain, limit);
    if (!found) return std::move(found).error();
    if (!found->task && found->task.error().code != Code::not_found) return Error{.code = Code::unavailable, .what = found->task.error().what};
    if (!found->directory) return Error{.code = Code::not_found, .what = "there is no such container"};
    if (!found->task || found->task->state != TaskState::running) return Error{.code = Code::failed_precondition, .what = "the container does not run"};
    auto container = deps_.containerd->container(request.domain.value, limit);
    if (!container) return std::move(container).error();
    return sessions_.start(request, container->spec, found->directory.get(), limit);
}

}  // namespace eve::containerd
