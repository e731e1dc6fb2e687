// A hypervisor plugin to begin with: it keeps the whole contract of eve/hypervisor.hpp, and its "guests" are ordinary processes. Replace what
// follows "your hypervisor:" and run eve-plugin-check after each step.

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "eve/sdk/kept_process.hpp"
#include "eve/sdk/plugin.hpp"

namespace {

using namespace eve;

class TemplateHypervisor final : public Hypervisor {
public:
    explicit TemplateHypervisor(HostServices& host) : host_(host) {}

    Result<Description> describe(const CallContext&) override {
        return Description{.modes = {VirtualizationMode::hvm, VirtualizationMode::pv},
                           .disk_formats = {DiskFormat::raw},
                           .capabilities = {.stop_ask = true, .exit_status = true}};
    }

    Result<ProbeReport> probe(const CallContext&) override {
        // your hypervisor: find out by trying, not by looking for a file.
        return ProbeReport{.verdict = ProbeVerdict::supported, .reason = "processes work everywhere"};
    }

    Result<std::vector<Problem>> validate(const CallContext&, const DomainSpec& spec) override {
        // your hypervisor: name every field that you will not honour. Never ignore one.
        std::vector<Problem> problems;
        if (spec.mode != VirtualizationMode::hvm && spec.mode != VirtualizationMode::pv)
            problems.push_back({".mode", "must be hvm or pv", ""});
        if (spec.vcpus == 0) problems.push_back({".vcpus", "must be 1 or more", ""});
        if (spec.memory.n == 0) problems.push_back({".memory_bytes", "must not be 0", ""});
        if (!spec.adapters.empty()) problems.push_back({".adapters", "cannot be given to a process", "take the devices from this app"});
        if (!spec.vmm_args.empty()) problems.push_back({".vmm_args", "are not taken", ""});
        if (spec.vnc.enabled) problems.push_back({".vnc", "is not supported", "switch VNC off"});
        return problems;
    }

    Result<DomainInfo> create(const CallContext& call, const DomainSpec& spec) override {
        auto problems = validate(call, spec);
        if (!problems->empty()) {
            const auto& first = problems->front();
            return Error{.code = Code::unsupported, .what = first.field + " " + first.what, .field = first.field, .hint = first.hint};
        }
        if (auto there = load(spec.id)) {
            const auto info = observe(*there);
            if (there->revision == spec.revision) return info;
            if (info.state != DomainState::halted && info.state != DomainState::broken)
                return Error{.code = Code::failed_precondition, .what = "it lives with another revision: destroy it first"};
            if (auto gone = remove(spec.id); !gone) return std::move(gone).error();
        }
        if (::mkdirat(directories(), spec.id.value.c_str(), 0700) != 0 && errno != EEXIST) return failed("directory");
        // your hypervisor: reserve what the guest needs. On failure leave nothing.
        if (auto saved = save(spec); !saved) return std::move(saved).error();
        return observe(spec);
    }

    Result<DomainInfo> start(const CallContext& call, const DomainId& id) override {
        const auto spec = load(id);
        if (!spec) return Error{.code = Code::not_found, .what = "no such domain"};
        const auto now = observe(*spec);
        if (now.state == DomainState::running) return now;
        if (now.state != DomainState::defined) return Error{.code = Code::failed_precondition, .what = "it has ended: destroy and create it"};
        if (call.cancelled()) return Error{.code = Code::cancelled, .what = "cancelled before it was started"};
        const int dir = open_directory(id);
        // your hypervisor: its command line stands here. Never fork: a keeper makes the guest outlive you.
        auto spawned = host_.spawn({.name = spec->name, .argv = {"/bin/sleep", "3600"}, .run_dir = {dir}});
        ::close(dir);
        if (!spawned) return std::move(spawned).error();
        auto info = observe(*spec);
        info.notes = std::move(spawned->notes);
        return info;
    }

    Result<DomainInfo> stop(const CallContext&, const DomainId& id, StopMode mode) override {
        const auto spec = load(id);
        if (!spec) return Error{.code = Code::not_found, .what = "no such domain"};
        if (const auto kept = process(id); kept && kept->running)
            (void)sdk::signal_process(kept->guest, mode == StopMode::cut ? SIGKILL : SIGTERM);
        return observe(*spec);  // that it halted is observed later
    }

    Result<DomainInfo> destroy(const CallContext&, const DomainId& id, DestroyMode) override {
        if (auto gone = remove(id); !gone) return std::move(gone).error();
        return DomainInfo{.id = id, .presence = Presence::absent};
    }

    Result<DomainInfo> inspect(const CallContext&, const DomainId& id) override {
        const auto spec = load(id);
        return spec ? observe(*spec) : DomainInfo{.id = id, .presence = Presence::absent};
    }

    Result<std::vector<DomainInfo>> list(const CallContext&) override {
        const int fd = ::openat(directories(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR* dir = fd < 0 ? nullptr : ::fdopendir(fd);
        if (dir == nullptr) return failed("list");
        std::vector<DomainInfo> all;
        while (const auto* entry = ::readdir(dir))
            if (const auto spec = load({entry->d_name})) all.push_back(observe(*spec));
        ::closedir(dir);
        return all;
    }

    Result<Stats> stats(const CallContext&) override { return Error{.code = Code::unsupported, .what = "not measured"}; }

private:
    static Error failed(const char* what) {
        return Error{.code = Code::unavailable, .what = std::string(what) + ": " + std::strerror(errno)};
    }
    int directories() const { return host_.config().run_dir.fd; }  // one below it for each domain; gone after a reboot, as the guests are
    int open_directory(const DomainId& id) const {
        if (id.value.empty() || id.value[0] == '.' || id.value.find('/') != std::string::npos) return -1;
        return ::openat(directories(), id.value.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    std::optional<DomainSpec> load(const DomainId& id) const {
        const int dir = open_directory(id);
        if (dir < 0) return std::nullopt;
        const auto text = sdk::detail::read_small_file(dir, "spec.json");
        ::close(dir);
        if (!text) return std::nullopt;
        auto spec = sdk::decode<DomainSpec>(*text, sdk::Strictness::must_ignore, {});
        if (!spec) return std::nullopt;
        return std::move(*spec);
    }
    Status save(const DomainSpec& spec) const {
        const auto text = sdk::encode(spec, sdk::Strictness::must_ignore, EVE_REQUEST_SIZE_MAX);
        if (!text) return text.error();
        const int dir = open_directory(spec.id);
        const int fd = ::openat(dir, "spec.json.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        const bool good = fd >= 0 && ::write(fd, text->body.data(), text->body.size()) == static_cast<ssize_t>(text->body.size()) &&
                          ::renameat(dir, "spec.json.new", dir, "spec.json") == 0;
        if (fd >= 0) ::close(fd);
        ::close(dir);
        if (!good) return failed("spec.json");
        return {};
    }
    std::optional<sdk::KeptProcess> process(const DomainId& id) const {
        const int dir = open_directory(id);
        if (dir < 0) return std::nullopt;
        auto kept = sdk::read_kept_process(dir);
        ::close(dir);
        if (!kept) return std::nullopt;
        return std::move(*kept);
    }
    DomainInfo observe(const DomainSpec& spec) const {
        DomainInfo info{.id = spec.id,
                        .revision = spec.revision,
                        .name = spec.name,
                        .labels = spec.labels,
                        .presence = Presence::present,
                        .state = DomainState::defined};
        const auto kept = process(spec.id);
        if (!kept) return info;
        info.started_at = kept->started_at;
        if (kept->running) {
            info.state = DomainState::running;
            info.pid = kept->guest.pid;
            return info;
        }
        info.exit = kept->exit;
        info.state = kept->exit->code == 0 || kept->exit->signal == SIGTERM ? DomainState::halted : DomainState::broken;
        if (kept->exit->signal) info.reason = "killed by signal " + std::to_string(*kept->exit->signal);
        return info;
    }
    static void wait_for(const ProcessIdentity& process) {
        auto fd = sdk::open_process(process);
        if (!fd) return;
        constexpr int patience_ms = 10'000;
        pollfd wait{.fd = *fd, .events = POLLIN, .revents = 0};
        ::poll(&wait, 1, patience_ms);
        ::close(*fd);
    }
    /// Nothing of the domain is left.
    Status remove(const DomainId& id) const {
        const int dir = open_directory(id);
        if (dir < 0) return {};
        if (const auto kept = process(id)) {
            (void)sdk::signal_process(kept->guest, SIGKILL);
            wait_for(kept->guest);
            wait_for(kept->keeper);
        }
        auto forgotten = sdk::forget_kept_process(dir);
        ::unlinkat(dir, "spec.json", 0);
        ::close(dir);
        if (!forgotten) return forgotten;
        if (::unlinkat(directories(), id.value.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) return failed("directory");
        return {};
    }

    HostServices& host_;
};

}  // namespace

EVE_PLUGIN(TemplateHypervisor, .id = "com.example.template", .version = "0.1.0")
