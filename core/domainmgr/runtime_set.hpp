#pragma once
// The runtimes in use, and the promise that none is called more often at once than it said it can bear.

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/domainmgr/effects.hpp"
#include "core/types/domain.hpp"

namespace eve::domainmgr {

/// One runtime and the calls to it. [loop]
class RuntimeSlot {
public:
    explicit RuntimeSlot(Runtime runtime) : runtime_(std::move(runtime)) {}

    const std::string& id() const { return runtime_.description.id; }
    const Runtime& runtime() const { return runtime_; }
    void update(Runtime runtime) { runtime_ = std::move(runtime); }
    bool serves(VirtualizationMode mode) const;
    bool can_ask(VirtualizationMode mode) const;

    /// A place for one call: true, or false and `later` runs when one is free, to ask again.
    bool enter(std::function<void()> later);
    /// As enter(), for a call that need not be made.
    bool try_enter();
    /// The call is over; whoever waits longest is told.
    void leave();

private:
    Runtime runtime_;
    std::uint32_t in_flight_ = 0;
    std::deque<std::function<void()>> waiting_;
};

/// All runtimes, the preferred first. [loop]
class RuntimeSet {
public:
    /// What a probe found. Known ones are updated, none is forgotten: its domains may still run. The ids of those that were not known.
    std::vector<std::string> update(std::vector<Runtime> found);
    /// The preferred one for the mode, or null.
    RuntimeSlot* choose(VirtualizationMode mode) const;
    /// The one that calls itself `id`, or null.
    RuntimeSlot* find(const std::string& id) const;
    bool empty() const { return slots_.empty(); }
    const std::vector<std::unique_ptr<RuntimeSlot>>& slots() const { return slots_; }
    /// What the node can do, all runtimes together.
    types::Capabilities capabilities() const;

private:
    std::vector<std::unique_ptr<RuntimeSlot>> slots_;
};

}  // namespace eve::domainmgr
