// A hypervisor without one: keeps the contract of eve/hypervisor.hpp with records in its state directory and, if told so, with ordinary
// processes as guests. Its configuration scripts what goes wrong, so that what stands above a plugin is tried through the true boundary.
//
// Configuration: {"probe":"supported|declined|broken","guest":["/bin/sleep","1000"],"calls_in_flight_max":1,"faults":[{"method":"create",
// "domain":"<id>","skip":0,"times":1,"action":"...","code":"unavailable","what":"...","delay_ms":0}]}. times 0: always. A domain's label
// "mock.create":"fail" does the same for its own calls. Actions: fail, delay, slow (until cancelled), hang (for ever), crash, exit,
// throw, lose_reply (done, then unavailable), lie (success without effect), late (after `delay_ms`, whatever the limit), rubbish, huge (over the
// limit), gigabyte, twice (two answers). A file "probe" in its state directory says another verdict than the configuration.
// Content is kept in state/content; its methods are "content.write" and so on. "farewell":true: a thread of its own calls the host while the plugin is closed.

#include <openssl/evp.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "eve/sdk/kept_process.hpp"
#include "eve/sdk/plugin.hpp"
#include "eve/testing/fake_content.hpp"

namespace {

struct Fault {
    std::string method;
    std::string domain;
    std::uint32_t skip = 0;
    std::uint32_t times = 1;
    std::string action;
    std::string code = "unavailable";
    std::string what = "scripted";
    std::uint32_t delay_ms = 0;
    friend bool operator==(const Fault&, const Fault&) = default;
};
BOOST_DESCRIBE_STRUCT(Fault, (), (method, domain, skip, times, action, code, what, delay_ms))

struct Config {
    std::string probe = "supported";
    std::vector<std::string> guest;
    std::uint32_t calls_in_flight_max = 1;
    std::vector<Fault> faults;
    bool farewell = false;  ///< a thread of its own calls the host while it is being closed
    friend bool operator==(const Config&, const Config&) = default;
};
BOOST_DESCRIBE_STRUCT(Config, (), (probe, guest, calls_in_flight_max, faults, farewell))

/// What is kept of a domain, in <id>.json.
struct Record {
    eve::DomainSpec spec;
    eve::DomainState state = eve::DomainState::unknown;
    std::string started_at;
    bool has_process = false;
    friend bool operator==(const Record&, const Record&) = default;
};
BOOST_DESCRIBE_STRUCT(Record, (), (spec, state, started_at, has_process))

using eve::Code;
using eve::DomainId;
using eve::DomainInfo;
using eve::DomainState;
using eve::Error;
using eve::Result;
using eve::Status;

std::string utc_now() {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    tm parts{};
    ::gmtime_r(&now.tv_sec, &parts);
    char text[32];
    return {text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

std::string sha256_digits(std::string_view bytes) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    ::EVP_Digest(bytes.data(), bytes.size(), digest, &size, ::EVP_sha256(), nullptr);
    constexpr std::string_view digits = "0123456789abcdef";
    std::string text;
    for (unsigned i = 0; i < size; ++i) text.append(1, digits[digest[i] >> 4]).append(1, digits[digest[i] & 15]);
    return text;
}

int content_directory(const eve::HostServices& host) {
    ::mkdirat(host.config().state_dir.fd, "content", 0700);
    return ::openat(host.config().state_dir.fd, "content", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/// What a call shall do instead of, before or after its work.
enum class Answer { as_it_is, rubbish, huge, gigabyte, twice };

class MockHypervisor final : public eve::Hypervisor, public eve::Content {
public:
    static Result<std::unique_ptr<MockHypervisor>> open(eve::HostServices& host) {
        auto config = eve::sdk::read_config<Config>(host.config());
        if (!config) return std::move(config).error();
        return std::make_unique<MockHypervisor>(host, std::move(*config));
    }
    MockHypervisor(eve::HostServices& host, Config config)
        : host_(host), config_(std::move(config)), content_(content_directory(host), sha256_digits) {
        for (auto& fault : config_.faults) left_.push_back(fault);
        host_.log(eve::LogLevel::info, "mock.opened", {{"faults", std::int64_t(config_.faults.size())}});
    }
    ~MockHypervisor() override {
        if (config_.farewell) std::thread([this] { host_.log(eve::LogLevel::info, "mock.farewell", {}); }).join();
    }
    MockHypervisor(const MockHypervisor&) = delete;
    MockHypervisor& operator=(const MockHypervisor&) = delete;

    Result<eve::Description> describe(const eve::CallContext& call) override {
        return attempt<eve::Description>("describe", {}, nullptr, call, [&]() -> Result<eve::Description> {
            using Mode = eve::VirtualizationMode;
            using Format = eve::DiskFormat;
            return eve::Description{.modes = {Mode::pv, Mode::hvm, Mode::legacy, Mode::fml, Mode::container},
                                    .modes_without_ask = {},
                                    .disk_formats = {Format::raw, Format::qcow, Format::qcow2, Format::vmdk, Format::vhdx, Format::iso},
                                    .capabilities = {.stop_ask = true, .exit_status = true},
                                    .limits = {.calls_in_flight_max = config_.calls_in_flight_max, .vcpus_max = 1024}};
        });
    }
    Result<eve::ProbeReport> probe(const eve::CallContext& call) override {
        return attempt<eve::ProbeReport>("probe", {}, nullptr, call, [&]() -> Result<eve::ProbeReport> {
            eve::ProbeReport report{.reason = "its configuration says so"};
            const auto changed = eve::sdk::detail::read_small_file(host_.config().state_dir.fd, "probe");
            const std::string& verdict = changed ? *changed : config_.probe;
            if (verdict == "supported") report.verdict = eve::ProbeVerdict::supported;
            else if (verdict == "declined") report.verdict = eve::ProbeVerdict::declined;
            else report.verdict = eve::ProbeVerdict::broken;
            return report;
        });
    }
    Result<std::vector<eve::Problem>> validate(const eve::CallContext& call, const eve::DomainSpec& spec) override {
        return attempt<std::vector<eve::Problem>>("validate", spec.id, &spec.labels, call,
                                                  [&]() -> Result<std::vector<eve::Problem>> { return problems(spec); });
    }
    Result<DomainInfo> create(const eve::CallContext& call, const eve::DomainSpec& spec) override {
        return attempt<DomainInfo>("create", spec.id, &spec.labels, call, [&]() -> Result<DomainInfo> {
            if (const auto found = problems(spec); !found.empty()) {
                const bool odd = found[0].what.find("not") != std::string::npos;
                return Error{.code = odd ? Code::unsupported : Code::invalid_argument,
                             .what = found[0].field + " " + found[0].what,
                             .field = found[0].field,
                             .hint = found[0].hint};
            }
            if (const auto there = load(spec.id)) {
                const auto info = observe(*there);
                if (there->spec.revision == spec.revision) return info;
                if (info.state != DomainState::halted && info.state != DomainState::broken)
                    return Error{.code = Code::failed_precondition, .what = "the domain exists with revision " +
                                                                            std::to_string(there->spec.revision) + ": destroy it first"};
                if (auto gone = remove(*there); !gone) return std::move(gone).error();
            }
            const Record record{.spec = spec, .state = DomainState::defined};
            if (auto saved = save(record); !saved) return std::move(saved).error();
            return changed(record);
        });
    }
    Result<DomainInfo> start(const eve::CallContext& call, const DomainId& id) override {
        return attempt_known<DomainInfo>("start", id, call, [&](Record& record) -> Result<DomainInfo> {
            const auto now = observe(record);
            if (now.state == DomainState::running) return now;
            if (now.state != DomainState::defined)
                return Error{.code = Code::failed_precondition, .what = "the domain has ended: destroy it and create it again"};
            if (!config_.guest.empty()) {
                // Written down first: who comes after us looks for the process.
                record.has_process = true;
                if (auto saved = save(record); !saved) return std::move(saved).error();
                if (auto spawned = spawn(record); !spawned) return std::move(spawned).error();
            }
            record.state = DomainState::running;
            record.started_at = utc_now();
            if (auto saved = save(record); !saved) return std::move(saved).error();
            return changed(record);
        });
    }
    Result<DomainInfo> stop(const eve::CallContext& call, const DomainId& id, eve::StopMode mode) override {
        return attempt_known<DomainInfo>("stop", id, call, [&](Record& record) -> Result<DomainInfo> {
            if (mode == eve::StopMode::unknown) return Error{.code = Code::invalid_argument, .what = ".mode is missing", .field = ".mode"};
            if (const auto now = observe(record); now.state == DomainState::halted || now.state == DomainState::broken) return now;
            if (record.has_process && record.state == DomainState::running) {
                if (const auto kept = kept_process(id))
                    (void)eve::sdk::signal_process(kept->guest, mode == eve::StopMode::cut ? SIGKILL : SIGTERM);
                record.state = DomainState::halting;
            } else {
                record.state = DomainState::halted;
            }
            if (auto saved = save(record); !saved) return std::move(saved).error();
            return changed(record);
        });
    }
    Result<DomainInfo> destroy(const eve::CallContext& call, const DomainId& id, eve::DestroyMode mode) override {
        const auto record = load(id);
        return attempt<DomainInfo>("destroy", id, record ? &record->spec.labels : nullptr, call, [&]() -> Result<DomainInfo> {
            if (mode == eve::DestroyMode::unknown) return Error{.code = Code::invalid_argument, .what = ".mode is missing", .field = ".mode"};
            if (record)
                if (auto gone = remove(*record); !gone) return std::move(gone).error();
            return DomainInfo{.id = id, .presence = eve::Presence::absent};
        });
    }
    Result<DomainInfo> inspect(const eve::CallContext& call, const DomainId& id) override {
        const auto record = load(id);
        return attempt<DomainInfo>("inspect", id, record ? &record->spec.labels : nullptr, call, [&]() -> Result<DomainInfo> {
            return record ? observe(*record) : DomainInfo{.id = id, .presence = eve::Presence::absent};
        });
    }
    Result<std::vector<DomainInfo>> list(const eve::CallContext& call) override {
        return attempt<std::vector<DomainInfo>>("list", {}, nullptr, call, [&]() -> Result<std::vector<DomainInfo>> {
            std::vector<DomainInfo> all;
            for (const auto& id : ids()) {
                if (const auto record = load(id)) all.push_back(observe(*record));
                else
                    all.push_back({.id = id, .presence = eve::Presence::present, .reason = "its record cannot be read"});
            }
            return all;
        });
    }
    Result<eve::Stats> stats(const eve::CallContext& call) override {
        return attempt<eve::Stats>("stats", {}, nullptr, call, [&]() -> Result<eve::Stats> {
            eve::Stats stats;
            for (const auto& id : ids())
                if (const auto record = load(id); record && observe(*record).state == DomainState::running)
                    stats.domains.push_back({.id = id, .memory_allocated = record->spec.memory, .memory_used = record->spec.memory});
            return stats;
        });
    }

    Result<eve::ContentInfo> stat(const eve::CallContext& call, const std::string& digest) override {
        return attempt<eve::ContentInfo>("content.stat", {}, nullptr, call, [&] { return content_.stat(call, digest); });
    }
    Result<eve::ContentWritten> write(const eve::CallContext& call, const eve::ContentWrite& content) override {
        return attempt<eve::ContentWritten>("content.write", {}, nullptr, call, [&] { return content_.write(call, content); });
    }
    Result<eve::ContentPart> read(const eve::CallContext& call, const eve::ContentRead& part) override {
        return attempt<eve::ContentPart>("content.read", {}, nullptr, call, [&] { return content_.read(call, part); });
    }
    Result<eve::ContentPage> list(const eve::CallContext& call, const std::string& after) override {
        return attempt<eve::ContentPage>("content.list", {}, nullptr, call, [&] { return content_.list(call, after); });
    }
    Status remove(const eve::CallContext& call, const std::string& digest) override {
        return tell("content.remove", call, [&] { return content_.remove(call, digest); });
    }
    Status protect(const eve::CallContext& call, const eve::ContentProtection& protection) override {
        return tell("content.protect", call, [&] { return content_.protect(call, protection); });
    }

    /// How the answer of the call just made shall be spoilt.
    Answer take_spoiling() { return spoiling_.exchange(Answer::as_it_is); }

private:
    static bool good_id(const std::string& id) {
        return !id.empty() && id.size() <= 127 && id[0] != '.' && std::all_of(id.begin(), id.end(), [](char c) {
            return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_' || c == '.';
        });
    }
    static std::vector<eve::Problem> problems(const eve::DomainSpec& spec) {
        std::vector<eve::Problem> found;
        if (!good_id(spec.id.value)) found.push_back({".id", "is no identifier", ""});
        if (spec.vcpus == 0 || spec.vcpus > 1024) found.push_back({".vcpus", "is out of range (1..1024)", ""});
        if (spec.memory.n == 0) found.push_back({".memory_bytes", "is 0", ""});
        if (spec.mode == eve::VirtualizationMode::unknown) found.push_back({".mode", "is missing", ""});
        if (!spec.adapters.empty()) found.push_back({".adapters", "are not supported", "take the devices away from this app"});
        if (!spec.vmm_args.empty()) found.push_back({".vmm_args", "are not supported", "take the board's plugin away"});
        if (spec.virtual_tpm) found.push_back({".virtual_tpm", "is not supported", "turn the virtual TPM off"});
        return found;
    }

    // ---- records ----
    int state_dir() const { return host_.config().state_dir.fd; }
    static std::string file_of(const DomainId& id) { return id.value + ".json"; }

    std::optional<Record> load(const DomainId& id) const {
        if (!good_id(id.value)) return std::nullopt;
        const auto text = eve::sdk::detail::read_small_file(state_dir(), file_of(id).c_str());
        if (!text) return std::nullopt;
        auto record = eve::sdk::decode<Record>(*text, eve::sdk::Strictness::must_ignore, {});
        if (!record) return std::nullopt;
        return std::move(*record);
    }
    Status save(const Record& record) const {
        const auto text = eve::sdk::encode(record, eve::sdk::Strictness::must_ignore, EVE_REQUEST_SIZE_MAX * 2);
        if (!text) return text.error();
        const auto file = file_of(record.spec.id);
        const auto temporary = file + ".new";
        const int fd = ::openat(state_dir(), temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        // Not synced: it must outlive this process, and its guests end with the machine too.
        bool good = fd >= 0 && ::write(fd, text->body.data(), text->body.size()) == static_cast<ssize_t>(text->body.size());
        if (fd >= 0) ::close(fd);
        good = good && ::renameat(state_dir(), temporary.c_str(), state_dir(), file.c_str()) == 0;
        if (good) return {};
        return Error{.code = Code::unavailable, .what = file + ": " + std::strerror(errno)};
    }
    std::vector<DomainId> ids() const {
        std::vector<DomainId> found;
        const int fd = ::openat(state_dir(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR* dir = fd < 0 ? nullptr : ::fdopendir(fd);
        if (dir == nullptr) return found;
        constexpr std::string_view ending = ".json";
        while (const auto* entry = ::readdir(dir)) {
            const std::string_view name = entry->d_name;
            if (name.ends_with(ending)) found.push_back({std::string(name.substr(0, name.size() - ending.size()))});
        }
        ::closedir(dir);
        std::sort(found.begin(), found.end());
        return found;
    }

    // ---- guests ----
    int open_run_dir(const DomainId& id) const {
        return ::openat(host_.config().run_dir.fd, id.value.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    std::optional<eve::sdk::KeptProcess> kept_process(const DomainId& id) const {
        const int dir = open_run_dir(id);
        if (dir < 0) return std::nullopt;
        auto kept = eve::sdk::read_kept_process(dir);
        ::close(dir);
        if (!kept) return std::nullopt;
        return std::move(*kept);
    }
    Status spawn(const Record& record) {
        const auto& id = record.spec.id;
        if (::mkdirat(host_.config().run_dir.fd, id.value.c_str(), 0700) != 0 && errno != EEXIST)
            return Error{.code = Code::unavailable, .what = "run directory: " + std::string(std::strerror(errno))};
        const int dir = open_run_dir(id);
        auto spawned = host_.spawn({.name = record.spec.name.empty() ? id.value : record.spec.name,
                                    .argv = config_.guest,
                                    .run_dir = {dir},
                                    .cgroup = {.memory_max = {record.spec.memory.n + record.spec.memory_overhead.n}}});
        ::close(dir);
        if (!spawned) return std::move(spawned).error();
        return {};
    }
    DomainInfo observe(const Record& record) const {
        DomainInfo info{.id = record.spec.id,
                        .revision = record.spec.revision,
                        .name = record.spec.name,
                        .labels = record.spec.labels,
                        .presence = eve::Presence::present,
                        .state = record.state,
                        .started_at = record.started_at};
        if (!record.has_process) return info;
        const auto kept = kept_process(record.spec.id);
        if (!kept && record.state == DomainState::defined) {
            // the start came no further
        } else if (!kept) {
            info.state = DomainState::broken;
            info.reason = "its process did not outlive the machine";
            info.exit.emplace();
        } else if (kept->running) {
            info.pid = kept->guest.pid;
            if (record.state == DomainState::defined) info.state = DomainState::running;
        } else {
            info.exit = kept->exit;
            const bool orderly = record.state == DomainState::halting || kept->exit->code == 0;
            info.state = orderly ? DomainState::halted : DomainState::broken;
            if (kept->exit->signal) info.reason = "killed by signal " + std::to_string(*kept->exit->signal);
            else if (kept->exit->code) info.reason = "exited with " + std::to_string(*kept->exit->code);
            else info.reason = "ended, nobody saw how";
        }
        return info;
    }
    Status remove(const Record& record) const {
        const auto& id = record.spec.id;
        if (const auto kept = kept_process(id)) {
            if (kept->running) {
                auto pidfd = eve::sdk::open_process(kept->guest);
                if (pidfd) {
                    (void)eve::sdk::signal_process(kept->guest, SIGKILL);
                    pollfd wait{.fd = *pidfd, .events = POLLIN, .revents = 0};
                    constexpr int patience_ms = 10'000;
                    ::poll(&wait, 1, patience_ms);
                    ::close(*pidfd);
                }
            }
            // The keeper writes and goes, a moment after its guest.
            if (auto keeper = eve::sdk::open_process(kept->keeper)) {
                pollfd wait{.fd = *keeper, .events = POLLIN, .revents = 0};
                constexpr int patience_ms = 5'000;
                ::poll(&wait, 1, patience_ms);
                ::close(*keeper);
            }
        }
        if (const int dir = open_run_dir(id); dir >= 0) {
            auto forgotten = eve::sdk::forget_kept_process(dir);
            ::close(dir);
            if (!forgotten) return forgotten;
            ::unlinkat(host_.config().run_dir.fd, id.value.c_str(), AT_REMOVEDIR);
        }
        ::unlinkat(state_dir(), (file_of(id) + ".new").c_str(), 0);
        if (::unlinkat(state_dir(), file_of(id).c_str(), 0) != 0 && errno != ENOENT)
            return Error{.code = Code::unavailable, .what = file_of(id) + ": " + std::strerror(errno)};
        return {};
    }
    DomainInfo changed(const Record& record) const {
        auto info = observe(record);
        host_.emit({.domain = info.id, .kind = eve::DomainEventKind::changed, .state = info});
        return info;
    }

    // ---- the script ----
    std::optional<Fault> fault_for(std::string_view method, const DomainId& id, const eve::Labels* labels) {
        if (labels != nullptr)
            if (const auto at = labels->find("mock." + std::string(method)); at != labels->end()) {
                const auto colon = at->second.find(':');
                Fault fault{.action = at->second.substr(0, colon)};
                if (colon != std::string::npos) fault.code = at->second.substr(colon + 1);
                if (fault.action == "delay" || fault.action == "late") fault.delay_ms = static_cast<std::uint32_t>(std::strtoul(fault.code.c_str(), nullptr, 10));
                return fault;
            }
        const std::lock_guard lock(mutex_);
        for (std::size_t i = 0; i < left_.size(); ++i) {
            auto& fault = left_[i];
            if (fault.method != method || (!fault.domain.empty() && fault.domain != id.value)) continue;
            if (config_.faults[i].times != 0 && fault.times == 0) continue;
            if (fault.skip > 0) {
                --fault.skip;
                continue;
            }
            if (fault.times > 0) --fault.times;
            return fault;
        }
        return std::nullopt;
    }

    template <class T, class Work>
    Result<T> attempt(std::string_view method, const DomainId& id, const eve::Labels* labels, const eve::CallContext& call, Work work) {
        const auto fault = fault_for(method, id, labels);
        if (!fault) return work();
        const auto& action = fault->action;
        const Error error{.code = eve::code_from_string(fault->code), .what = fault->what};
        if (action == "fail") return error;
        if (action == "throw") throw std::runtime_error("scripted exception");
        if (action == "crash") {
            ::signal(SIGSEGV, SIG_DFL);  // a sanitizer would make an orderly exit of it
            ::raise(SIGSEGV);
            std::abort();
        }
        if (action == "exit") std::_Exit(3);
        if (action == "hang")
            for (;;) ::pause();
        if (action == "slow" || action == "delay") {
            pollfd wait{.fd = call.cancel_fd(), .events = POLLIN, .revents = 0};
            const bool slow = action == "slow";
            if (::poll(&wait, 1, slow ? -1 : static_cast<int>(fault->delay_ms)) > 0) return Error{.code = Code::cancelled, .what = "cancelled"};
        }
        if (action == "late") ::poll(nullptr, 0, static_cast<int>(fault->delay_ms));
        if (action == "gigabyte") spoiling_ = Answer::gigabyte;
        if (action == "twice") spoiling_ = Answer::twice;
        if (action == "rubbish") spoiling_ = Answer::rubbish;
        if (action == "huge") spoiling_ = Answer::huge;
        if constexpr (std::is_same_v<T, DomainInfo>) {
            if (action == "lie") {
                const auto state = method == "start" ? DomainState::running : method == "create" ? DomainState::defined : DomainState::halted;
                const bool gone = method == "destroy";
                return DomainInfo{.id = id,
                                  .presence = gone ? eve::Presence::absent : eve::Presence::present,
                                  .state = gone ? DomainState::unknown : state};
            }
        }
        auto done = work();
        if (action == "lose_reply") return Error{.code = Code::unavailable, .what = "scripted: done, but the reply is lost"};
        return done;
    }
    template <class Work> Status tell(std::string_view method, const eve::CallContext& call, Work work) {
        auto done = attempt<bool>(method, {}, nullptr, call, [&]() -> Result<bool> {
            auto status = work();
            if (!status) return std::move(status).error();
            return true;
        });
        return done ? Status{} : Status(std::move(done).error());
    }
    template <class T, class Work> Result<T> attempt_known(std::string_view method, const DomainId& id, const eve::CallContext& call, Work work) {
        auto record = load(id);
        return attempt<T>(method, id, record ? &record->spec.labels : nullptr, call, [&]() -> Result<T> {
            if (!record) return Error{.code = Code::not_found, .what = "no such domain"};
            return work(*record);
        });
    }

    eve::HostServices& host_;
    const Config config_;
    std::mutex mutex_;
    std::vector<Fault> left_;
    std::atomic<Answer> spoiling_{Answer::as_it_is};
    eve::testing::FakeContent content_;
};

/// The SDK's call, with the answer spoilt where the script wants it.
std::int32_t call_and_spoil(void* self, const eve_request* request, eve_reply* reply) noexcept {
    using Glue = eve::sdk::Glue<MockHypervisor>;
    return eve::sdk::guarded(*reply, [&]() -> std::int32_t {
        eve::sdk::ReplyBuffer answer(EVE_REPLY_SIZE_MAX);
        auto table = answer.table();
        const auto number = Glue::call(self, request, &table);
        const auto spoiling = static_cast<Glue::Instance*>(self)->plugin->take_spoiling();
        std::string body = answer.body();
        if (spoiling == Answer::rubbish) body = "{\"domain\":[1,2}";
        if (spoiling == Answer::huge) body.assign(EVE_REPLY_SIZE_MAX + 1, ' ');
        if (spoiling == Answer::gigabyte) {
            constexpr std::size_t size = std::size_t{1} << 30;
            void* const zeros = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
            if (zeros != MAP_FAILED) {
                reply->body(reply->to, static_cast<const char*>(zeros), size);
                ::munmap(zeros, size);
            }
            return number;
        }
        reply->body(reply->to, body.data(), body.size());
        if (spoiling == Answer::twice) reply->body(reply->to, "{}", 2);
        return number;
    });
}

constexpr eve_plugin_entry make_entry() {
    auto entry = eve::sdk::entry<MockHypervisor>({.id = "org.lfedge.eve.mock", .version = "0.1.0"});
    entry.call = &call_and_spoil;
    return entry;
}

}  // namespace

// As EVE_PLUGIN does, with a call of our own.
extern "C" {
constexpr eve_plugin_entry eve_plugin_entry_v1 = make_entry();
}
