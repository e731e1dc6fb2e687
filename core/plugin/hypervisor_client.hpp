#pragma once
// eve::Hypervisor as domainmgr has it: each method is one call through the C boundary to a plugin. And CallContext out of a lane's limits.

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/loop/loop.hpp"
#include "core/plugin/plugin.hpp"
#include "eve/hypervisor.hpp"

namespace eve::plugin {

/// A plugin that serves hypervisor/1. Borrows the plugin. Calls that it did not declare are refused here.
class HypervisorClient final : public Hypervisor {
public:
    /// Asks the plugin what it is. Errors: those of describe(); unsupported - it is no hypervisor.
    static Result<std::unique_ptr<HypervisorClient>> connect(Plugin& plugin, const CallContext& call);

    /// What connect() was told.
    const Description& description() const { return description_; }

    Result<Description> describe(const CallContext& call) override;
    Result<ProbeReport> probe(const CallContext& call) override;
    Result<std::vector<Problem>> validate(const CallContext& call, const DomainSpec& spec) override;
    Result<DomainInfo> create(const CallContext& call, const DomainSpec& spec) override;
    Result<DomainInfo> start(const CallContext& call, const DomainId& id) override;
    Result<DomainInfo> stop(const CallContext& call, const DomainId& id, StopMode mode) override;
    Result<DomainInfo> destroy(const CallContext& call, const DomainId& id, DestroyMode mode) override;
    Result<DomainInfo> inspect(const CallContext& call, const DomainId& id) override;
    Result<std::vector<DomainInfo>> list(const CallContext& call) override;
    Result<Stats> stats(const CallContext& call) override;

private:
    explicit HypervisorClient(Plugin& plugin) : plugin_(plugin) {}
    template <class Reply, class Request> Result<Reply> ask(const char* method, const CallContext& call, const Request& request);

    Plugin& plugin_;
    Description description_;
    std::atomic<std::uint64_t> ids_{0};
};

/// The limits of a job in a lane as limits of a call.
class LaneCall final : public CallContext {
public:
    LaneCall(const LaneContext& lane, const Clock& clock) : lane_(lane), clock_(clock) {}
    std::uint64_t id() const override { return 0; }
    std::chrono::nanoseconds time_left() const override {
        const auto left = lane_.deadline() - clock_.now();
        return left < std::chrono::nanoseconds{0} ? std::chrono::nanoseconds{0} : left;
    }
    bool cancelled() const override { return lane_.cancelled(); }
    int cancel_fd() const override { return lane_.cancel_fd(); }

private:
    const LaneContext& lane_;
    const Clock& clock_;
};

/// A call that may take so long, from the moment it is made; nobody cancels it.
class TimedCall final : public CallContext {
public:
    explicit TimedCall(std::chrono::nanoseconds limit);
    std::uint64_t id() const override { return 0; }
    std::chrono::nanoseconds time_left() const override;
    bool cancelled() const override { return false; }
    int cancel_fd() const override { return -1; }

private:
    std::int64_t deadline_ns_;
};

}  // namespace eve::plugin
