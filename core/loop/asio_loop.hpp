#pragma once
// The production loop and lanes: Boost.Asio for descriptors and posts, one timerfd on CLOCK_BOOTTIME for timers (so that sleep of the machine
// counts), a bounded pool of threads for lanes.

#include <memory>

#include "core/loop/loop.hpp"

namespace eve {

/// The machine's clocks. [any-thread]
class SystemClock final : public Clock {
public:
    Instant now() const override;
    WallTime wall_now() const override;
};

class AsioLoop final : public IoLoop {
public:
    explicit AsioLoop(const Clock& clock);
    ~AsioLoop() override;

    const Clock& clock() const override;
    void post(Task task) override;
    /// As Loop. What is far off rings at the next of the instants that such timers share, so that a node with little to do wakes seldom.
    TimerId at(Instant when, Task task) override;
    static constexpr std::chrono::seconds far_off{1};
    static constexpr std::chrono::milliseconds together{50};
    void cancel(TimerId timer) override;
    /// As IoLoop. A descriptor that cannot be polled (a regular file) is never ready.
    WatchId watch(int fd, Ready ready, Task task) override;
    void unwatch(WatchId watch) override;
    void run() override;
    void stop() override;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

/// Lanes on threads, started as needed. Destroying it cancels what runs, waits for it, forgets what is queued; no completion comes after that.
/// A job's limit counts from its start.
class ThreadLanes final : public Lanes {
public:
    static constexpr unsigned threads_default = 16;

    explicit ThreadLanes(Loop& loop, unsigned threads_max = threads_default);
    ~ThreadLanes() override;

    using Lanes::run;
    JobId run(const std::string& lane, Job job, Options options) override;
    void cancel(JobId job) override;

private:
    struct Impl;
    std::shared_ptr<Impl> impl_;  // shared with the loop's pending tasks, which look whether it still lives
};

}  // namespace eve
