#pragma once
// The node's own supervisor, for machines where neither systemd nor EVE's watchdog looks after it: a parent of one page that starts the node
// again when it dies, and kills it when its loop has stopped turning.

#include <chrono>
#include <functional>

#include "core/loop/loop.hpp"
#include "core/loop/root.hpp"

namespace eve::zedbox {

struct SupervisorLimits {
    std::chrono::nanoseconds beat = std::chrono::milliseconds{3500};      ///< how often the node shows that its loop turns
    std::chrono::nanoseconds silence_max = std::chrono::milliseconds{8500};  ///< then it is killed: seen within 10 s
    std::chrono::nanoseconds restart_first = std::chrono::milliseconds{50};  ///< doubled at each death until it lived for `steady_after`
    std::chrono::nanoseconds restart_max = std::chrono::seconds{5};
    std::chrono::nanoseconds steady_after = std::chrono::seconds{60};
};

/// Where a supervised node shows that its loop turns.
class Heartbeat {
public:
    explicit Heartbeat(int fd = -1) : fd_(fd) {}
    /// One sign of life. Does nothing when nobody listens.
    void beat() const;
    bool heard() const { return fd_ >= 0; }

private:
    int fd_;
};

/// Whether somebody else watches over this process already: the service manager, or EVE's watchdog.
bool watched_by_others(const Root& root);

/// Runs `work` in child processes until one ends by itself with a code, which is returned, or a signal told this process to end, which the child
/// is told. A child that was killed, or was silent for too long, is replaced. No threads before this.
int supervise(const Clock& clock, const std::function<int(Heartbeat)>& work, const SupervisorLimits& limits = {});

}  // namespace eve::zedbox
