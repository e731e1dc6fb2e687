#pragma once
// A hypervisor in memory that keeps the contract of eve/hypervisor.hpp to the letter: for tests of what stands above it. Nothing happens by
// itself: a test says what the guests do, and what goes wrong.

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "eve/hypervisor.hpp"

namespace eve {
EVE_SDK_NAMESPACE {
namespace testing {

/// Deterministic, single-threaded. Survives its users: an agent that is made anew finds the domains of the old one by list().
class FakeHypervisor : public Hypervisor {
public:
    struct Domain {
        DomainSpec spec;
        DomainInfo info;
        bool asked_to_stop = false;  ///< StopMode::ask was used and the guest has not reacted yet
    };
    /// One planned fault: the next call of `method` (for `domain`, if named) fails with `error`; `after`: its effect happens first, as if
    /// only the reply had been lost.
    struct Fault {
        std::string method;
        std::string domain;
        Error error;
        bool after = false;
    };

    Description description{.modes = {VirtualizationMode::pv, VirtualizationMode::hvm, VirtualizationMode::legacy, VirtualizationMode::fml},
                            .disk_formats = {DiskFormat::raw, DiskFormat::qcow2, DiskFormat::iso},
                            .capabilities = {.console = true, .stop_ask = true, .exit_status = true}};
    ProbeReport report{.verdict = ProbeVerdict::supported};
    /// Says what validate() and create() refuse, besides what the contract does; default: nothing.
    std::function<std::vector<Problem>(const DomainSpec&)> problems_of;
    /// What StopMode::ask makes a guest do: true, it halts at once; false, it ignores it. The test may call guest_halts() later.
    bool guests_obey = true;
    std::int64_t next_pid = 1000;

    // ---- what the test does to the world ----
    void plan(Fault fault) { faults_.push_back(std::move(fault)); }
    /// Called with the method and the domain before each call's effect: a place to script what plan() cannot say. An Error fails the call.
    std::function<Status(std::string_view method, const DomainId&)> before;
    /// The guest powers itself off.
    void guest_halts(const DomainId& id) { end(id, DomainState::halted, "the guest powered off", {.code = 0}); }
    /// The guest's process dies by `signal`.
    void guest_dies(const DomainId& id, std::int32_t signal) {
        end(id, DomainState::broken, "killed by signal " + std::to_string(signal), {.signal = signal});
    }
    const std::map<DomainId, Domain>& domains() const { return domains_; }
    Domain* find(const DomainId& id) {
        const auto at = domains_.find(id);
        return at == domains_.end() ? nullptr : &at->second;
    }
    /// Every call in order: "create 7f..".
    const std::vector<std::string>& calls() const { return calls_; }
    void forget_calls() { calls_.clear(); }

    // ---- the contract ----
    Result<Description> describe(const CallContext&) override {
        return attempt<Description>("describe", {}, [&]() -> Result<Description> {
            auto described = description;
            if (described.id.empty()) described.id = "org.lfedge.eve.fake";
            return described;
        });
    }
    Result<ProbeReport> probe(const CallContext&) override {
        return attempt<ProbeReport>("probe", {}, [&]() -> Result<ProbeReport> { return report; });
    }
    Result<std::vector<Problem>> validate(const CallContext&, const DomainSpec& spec) override {
        return attempt<std::vector<Problem>>("validate", spec.id, [&]() -> Result<std::vector<Problem>> { return problems(spec); });
    }
    Result<DomainInfo> create(const CallContext&, const DomainSpec& spec) override {
        return attempt<DomainInfo>("create", spec.id, [&]() -> Result<DomainInfo> {
            if (auto found = problems(spec); !found.empty())
                return Error{.code = Code::unsupported, .what = found[0].what, .field = found[0].field, .hint = found[0].hint};
            if (auto* there = find(spec.id)) {
                if (there->spec.revision == spec.revision) return there->info;
                if (there->info.state != DomainState::halted && there->info.state != DomainState::broken)
                    return Error{.code = Code::failed_precondition, .what = "exists with another revision"};
                domains_.erase(spec.id);
            }
            DomainInfo info{.id = spec.id,
                            .revision = spec.revision,
                            .name = spec.name,
                            .labels = spec.labels,
                            .presence = Presence::present,
                            .state = DomainState::defined,
                            .pid = next_pid++};
            domains_[spec.id] = Domain{.spec = spec, .info = info};
            return info;
        });
    }
    Result<DomainInfo> start(const CallContext&, const DomainId& id) override {
        return attempt<DomainInfo>("start", id, [&]() -> Result<DomainInfo> {
            auto* domain = find(id);
            if (domain == nullptr) return Error{.code = Code::not_found, .what = "no such domain"};
            if (domain->info.state == DomainState::running) return domain->info;
            if (domain->info.state != DomainState::defined)
                return Error{.code = Code::failed_precondition, .what = "it ended: destroy it and create it again"};
            domain->info.state = DomainState::running;
            domain->info.started_at = "2000-01-01T00:00:00Z";
            return domain->info;
        });
    }
    Result<DomainInfo> stop(const CallContext&, const DomainId& id, StopMode mode) override {
        return attempt<DomainInfo>(mode == StopMode::cut ? "stop.cut" : "stop.ask", id, [&]() -> Result<DomainInfo> {
            auto* domain = find(id);
            if (domain == nullptr) return Error{.code = Code::not_found, .what = "no such domain"};
            if (domain->info.state == DomainState::halted || domain->info.state == DomainState::broken) return domain->info;
            const auto without = description.modes_without_ask;
            if (mode == StopMode::ask && std::find(without.begin(), without.end(), domain->spec.mode) != without.end())
                return Error{.code = Code::unsupported, .what = "a guest of this mode cannot be asked"};
            if (mode == StopMode::cut) end(id, DomainState::halted, "power cut", {.signal = 9});
            else if (domain->info.state == DomainState::defined || guests_obey) guest_halts(id);
            else {
                domain->asked_to_stop = true;
                domain->info.state = DomainState::halting;
            }
            return domain->info;
        });
    }
    Result<DomainInfo> destroy(const CallContext&, const DomainId& id, DestroyMode) override {
        return attempt<DomainInfo>("destroy", id, [&]() -> Result<DomainInfo> {
            domains_.erase(id);
            return DomainInfo{.id = id, .presence = Presence::absent};
        });
    }
    Result<DomainInfo> inspect(const CallContext&, const DomainId& id) override {
        return attempt<DomainInfo>("inspect", id, [&]() -> Result<DomainInfo> {
            const auto* domain = find(id);
            return domain != nullptr ? domain->info : DomainInfo{.id = id, .presence = Presence::absent};
        });
    }
    Result<std::vector<DomainInfo>> list(const CallContext&) override {
        return attempt<std::vector<DomainInfo>>("list", {}, [&]() -> Result<std::vector<DomainInfo>> {
            std::vector<DomainInfo> all;
            for (const auto& [id, domain] : domains_) all.push_back(domain.info);
            return all;
        });
    }
    Result<Stats> stats(const CallContext&) override {
        return attempt<Stats>("stats", {}, [&]() -> Result<Stats> {
            Stats all;
            for (const auto& [id, domain] : domains_)
                if (domain.info.state == DomainState::running)
                    all.domains.push_back({.id = id, .memory_allocated = domain.spec.memory, .memory_used = domain.spec.memory});
            return all;
        });
    }

private:
    std::vector<Problem> problems(const DomainSpec& spec) const {
        std::vector<Problem> found;
        if (spec.id.value.empty()) found.push_back({".id", "is empty", ""});
        if (spec.vcpus == 0) found.push_back({".vcpus", "is 0", ""});
        if (spec.memory.n == 0) found.push_back({".memory_bytes", "is 0", ""});
        if (std::find(description.modes.begin(), description.modes.end(), spec.mode) == description.modes.end())
            found.push_back({".mode", "is not one of this runtime", ""});
        if (problems_of) {
            auto more = problems_of(spec);
            found.insert(found.end(), more.begin(), more.end());
        }
        return found;
    }
    void end(const DomainId& id, DomainState state, std::string reason, ExitStatus exit) {
        auto* domain = find(id);
        if (domain == nullptr) return;
        domain->asked_to_stop = false;
        domain->info.state = state;
        domain->info.reason = std::move(reason);
        domain->info.exit = exit;
        domain->info.pid = 0;
    }
    template <class T, class Effect> Result<T> attempt(std::string_view method, const DomainId& id, Effect effect) {
        calls_.push_back(id.value.empty() ? std::string(method) : std::string(method) + " " + id.value);
        if (before)
            if (auto allowed = before(method, id); !allowed) return std::move(allowed).error();
        const auto fault = std::find_if(faults_.begin(), faults_.end(), [&](const Fault& f) {
            return f.method == method && (f.domain.empty() || f.domain == id.value);
        });
        if (fault == faults_.end()) return effect();
        const Fault chosen = *fault;
        faults_.erase(fault);
        if (chosen.after) (void)effect();
        return chosen.error;
    }

    std::map<DomainId, Domain> domains_;
    std::deque<Fault> faults_;
    std::vector<std::string> calls_;
};

}  // namespace testing
}  // EVE_SDK_NAMESPACE
}  // namespace eve
