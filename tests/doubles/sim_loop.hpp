#pragma once
// The loop and the lanes under virtual time: single-threaded, seeded, a day in microseconds. Time moves only when the loop has nothing to do now.

#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/loop/loop.hpp"
#include "tests/doubles/prng.hpp"

namespace eve {

/// Virtual time. Both clocks move together unless a test sets the wall clock.
class SimClock final : public Clock {
public:
    Instant now() const override { return now_; }
    WallTime wall_now() const override;

    void advance_to(Instant when) { now_ = std::max(now_, when); }
    void advance(std::chrono::nanoseconds by) { now_ += by; }
    void set_wall(WallTime wall);

private:
    Instant now_{std::chrono::hours{1}};
    std::chrono::nanoseconds wall_offset_{std::chrono::seconds{1'700'000'000}};
};

/// The world's one queue of events, ordered by time and then by the order of the calls.
class SimLoop final : public Loop {
public:
    explicit SimLoop(SimClock& clock) : clock_(clock) {}

    const Clock& clock() const override { return clock_; }
    void post(Task task) override { add(clock_.now(), std::move(task), Kind::work, 0); }
    TimerId at(Instant when, Task task) override { return add(when, std::move(task), Kind::timer, 0); }
    void cancel(TimerId timer) override;

    /// The next event runs, time moving to it. False: there is none.
    bool step();
    /// Runs until nothing is posted and no lane has a job: only timers (perhaps none) are left. Timers due on the way run. False: `limit` of
    /// virtual time or of events passed first.
    bool run_until_idle(std::chrono::nanoseconds limit = std::chrono::hours{1});
    /// Runs everything due within `time`, which has passed afterwards.
    void run_for(std::chrono::nanoseconds time);
    /// Runs until `condition` holds, tested between events. False: `limit` passed first.
    bool run_until(const std::function<bool()>& condition, std::chrono::nanoseconds limit = std::chrono::hours{1});
    /// Everything pending is forgotten, as a crash of the process does.
    void drop_everything() { events_.clear(); when_.clear(); work_ = 0; }
    std::size_t pending() const { return events_.size(); }
    /// How many events ran so far.
    std::uint64_t steps() const { return steps_; }

    // For the simulated parts of the world (SimProcess, SimLanes).
    enum class Kind { timer, work };  ///< work keeps run_until_idle() going
    TimerId add(Instant when, Task task, Kind kind, std::uint64_t owner);
    void drop_of(std::uint64_t owner);
    std::uint64_t new_owner() { return ++last_owner_; }

private:
    struct Event {
        Task task;
        Kind kind;
        std::uint64_t owner;
    };
    using Key = std::pair<Instant, std::uint64_t>;
    static constexpr std::size_t events_max = 50'000'000;  ///< of one run: more is a livelock

    std::map<Key, Event>::iterator forget(std::map<Key, Event>::iterator event);

    SimClock& clock_;
    std::uint64_t last_id_ = 0;
    std::uint64_t last_owner_ = 0;
    std::uint64_t steps_ = 0;
    std::size_t work_ = 0;
    std::map<Key, Event> events_;
    std::map<std::uint64_t, Instant> when_;
};

/// One process of the simulated world: its own share of the loop, which crash() empties without touching the others'.
class SimProcess final : public Loop {
public:
    explicit SimProcess(SimLoop& world) : world_(world), owner_(world.new_owner()) {}
    ~SimProcess() override { crash(); }
    SimProcess(const SimProcess&) = delete;
    SimProcess& operator=(const SimProcess&) = delete;

    const Clock& clock() const override { return world_.clock(); }
    void post(Task task) override { world_.add(now(), std::move(task), SimLoop::Kind::work, owner_); }
    TimerId at(Instant when, Task task) override { return world_.add(when, std::move(task), SimLoop::Kind::timer, owner_); }
    void cancel(TimerId timer) override { world_.cancel(timer); }
    /// Its timers and posted tasks never run. Destroy the agents, then crash, then make them anew.
    void crash() { world_.drop_of(owner_); }

private:
    SimLoop& world_;
    std::uint64_t owner_;
};

/// Lanes under virtual time: a job's work is done at one seeded moment, its completion comes at a later one, so that everything that can happen
/// in between does, for some seed.
class SimLanes final : public Lanes {
public:
    struct Delays {
        std::chrono::nanoseconds work_max = std::chrono::milliseconds{20};        ///< from start to the moment of the work
        std::chrono::nanoseconds completion_max = std::chrono::milliseconds{20};  ///< from the work to its completion on the loop
        unsigned slow_percent = 0;                                                ///< jobs whose work comes only when their time limit is over
    };

    SimLanes(SimLoop& world, Prng prng, Delays delays) : world_(world), prng_(prng), delays_(delays), owner_(world.new_owner()) {}
    SimLanes(SimLoop& world, Prng prng) : SimLanes(world, prng, Delays{}) {}
    ~SimLanes() override { drop_everything(); }
    SimLanes(const SimLanes&) = delete;
    SimLanes& operator=(const SimLanes&) = delete;

    using Lanes::run;
    JobId run(const std::string& lane, Job job, Options options) override;
    void cancel(JobId job) override;

    void set_delays(Delays delays) { delays_ = delays; }
    /// The process died: work not yet done never is, completions not yet come never do.
    void drop_everything();
    std::size_t pending() const { return jobs_; }

private:
    struct Queued {
        JobId id;
        Job job;
        Options options;
    };
    struct Lane {
        std::vector<Queued> queue;
        bool busy = false;
    };
    std::chrono::nanoseconds draw(std::chrono::nanoseconds max) { return std::chrono::nanoseconds{prng_.between(0, max.count())}; }
    void start(const std::string& name);

    SimLoop& world_;
    Prng prng_;
    Delays delays_;
    std::uint64_t owner_;
    std::uint64_t last_id_ = 0;
    std::size_t jobs_ = 0;
    std::map<std::string, Lane> lanes_;
    std::set<JobId> cancelled_;
    std::map<std::string, Instant> completes_;  ///< the last completion of each lane
};

}  // namespace eve
