#pragma once
// Time and control flow. One Loop per process runs every agent in it on one thread; what blocks runs in a Lane. Production implements
// these on Boost.Asio (asio_loop.hpp), simulation under virtual time (tests/doubles/sim_loop.hpp).

#include <chrono>
#include <compare>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "eve/result.hpp"

namespace eve {

struct MonotonicTimeline {
    using duration = std::chrono::nanoseconds;
    using rep = duration::rep;
    using period = duration::period;
    using time_point = std::chrono::time_point<MonotonicTimeline, duration>;
    static constexpr bool is_steady = true;
};
/// A point on CLOCK_BOOTTIME: for intervals and deadlines, never shown to people.
using Instant = MonotonicTimeline::time_point;

/// A point on CLOCK_REALTIME: for showing and for records, never for intervals.
struct WallTime {
    std::int64_t seconds = 0;      ///< since the Unix epoch
    std::int32_t nanoseconds = 0;  ///< 0..999,999,999
    friend auto operator<=>(const WallTime&, const WallTime&) = default;
};

/// Where time comes from. [any-thread]
class Clock {
public:
    virtual ~Clock() = default;
    virtual Instant now() const = 0;
    virtual WallTime wall_now() const = 0;
};

enum class TimerId : std::uint64_t {};

/// The one thread that agents run on. Only `post` may be called from another thread.
class Loop {
public:
    using Task = std::function<void()>;
    virtual ~Loop() = default;

    virtual const Clock& clock() const = 0;
    /// Runs `task` on the loop, after everything posted before. Never runs it inside this call. [any-thread]
    virtual void post(Task task) = 0;
    /// Runs `task` once at `when` or as soon after as the loop is free; equal times run in the order of the calls. [loop]
    virtual TimerId at(Instant when, Task task) = 0;
    /// The timer will not run any more. A timer that ran, or never was, is ignored. [loop]
    virtual void cancel(TimerId timer) = 0;

    Instant now() const { return clock().now(); }
    TimerId after(std::chrono::nanoseconds delay, Task task) { return at(now() + delay, std::move(task)); }
};

enum class WatchId : std::uint64_t {};
enum class Ready { readable, writable };

/// A Loop that also waits for descriptors: production only. What needs it (sockets, inotify, netlink, pidfds) is a driver, not an agent.
class IoLoop : public Loop {
public:
    /// Calls `task` each time `fd` is ready, level-triggered, until unwatch. The descriptor stays the caller's. [loop]
    virtual WatchId watch(int fd, Ready ready, Task task) = 0;
    /// `task` is not called any more. Before closing the descriptor. [loop]
    virtual void unwatch(WatchId watch) = 0;
    /// Runs until stop(). [the thread that becomes the loop]
    virtual void run() = 0;
    virtual void stop() = 0;  ///< [any-thread]
};

/// What a job in a lane may ask about its own limits. [lane]
class LaneContext {
public:
    virtual ~LaneContext() = default;
    /// When the job must have returned.
    virtual Instant deadline() const = 0;
    /// Whether the caller has given up; long jobs look at it at least every 250 ms.
    virtual bool cancelled() const = 0;
    /// Becomes readable when `cancelled()` turns true, for jobs that poll; -1 in simulation.
    virtual int cancel_fd() const = 0;
};

enum class JobId : std::uint64_t {};

/// Limits of one job.
struct LaneOptions {
    std::chrono::nanoseconds time_limit = std::chrono::seconds{30};  ///< from its start
};

/// Blocking work off the loop: in order within one lane, lanes overlap. A job gets values, returns what the loop shall do with its result.
class Lanes {
public:
    using Completion = std::function<void()>;
    using Job = std::function<Completion(const LaneContext&)>;
    virtual ~Lanes() = default;

    using Options = LaneOptions;
    /// Runs `job` after the earlier jobs of the same `lane`, then posts the completion it returned to the loop. A job whose limit passes is
    /// cancelled, not killed: it must look. [loop]
    virtual JobId run(const std::string& lane, Job job, Options options) = 0;
    JobId run(const std::string& lane, Job job) { return run(lane, std::move(job), Options{}); }
    /// Asks a job to give up. A queued job is still run (with cancelled() true), so that its completion always comes. [loop]
    virtual void cancel(JobId job) = 0;

    /// `done(work(context))`, with `work` in the lane and `done` on the loop.
    template <class Work, class Done> JobId submit(const std::string& lane, Work work, Done done, Options options = Options{}) {
        return run(
            lane,
            [work = std::move(work), done = std::move(done)](const LaneContext& context) mutable -> Completion {
                auto result = std::make_shared<decltype(work(context))>(work(context));
                return [result, done = std::move(done)]() mutable { done(std::move(*result)); };
            },
            options);
    }
};

}  // namespace eve
