#include "tests/doubles/sim_loop.hpp"

#include <algorithm>

namespace eve {

WallTime SimClock::wall_now() const {
    const auto time = now_.time_since_epoch() + wall_offset_;
    const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
    return WallTime{.seconds = seconds.count(), .nanoseconds = static_cast<std::int32_t>((time - seconds).count())};
}

void SimClock::set_wall(WallTime wall) {
    wall_offset_ = std::chrono::seconds{wall.seconds} + std::chrono::nanoseconds{wall.nanoseconds} - now_.time_since_epoch();
}

TimerId SimLoop::add(Instant when, Task task, Kind kind, std::uint64_t owner) {
    const auto id = ++last_id_;
    when = std::max(when, clock_.now());
    events_.emplace(Key{when, id}, Event{.task = std::move(task), .kind = kind, .owner = owner});
    when_.emplace(id, when);
    if (kind == Kind::work) ++work_;
    return TimerId{id};
}

std::map<SimLoop::Key, SimLoop::Event>::iterator SimLoop::forget(std::map<Key, Event>::iterator event) {
    if (event->second.kind == Kind::work) --work_;
    when_.erase(event->first.second);
    return events_.erase(event);
}

void SimLoop::cancel(TimerId timer) {
    const auto found = when_.find(static_cast<std::uint64_t>(timer));
    if (found == when_.end()) return;
    const auto event = events_.find(Key{found->second, found->first});
    const auto task = std::move(event->second.task);  // destroyed after the maps are whole again
    forget(event);
}

void SimLoop::drop_of(std::uint64_t owner) {
    std::vector<Task> dropped;  // destroyed after the maps are whole again
    for (auto event = events_.begin(); event != events_.end();) {
        if (event->second.owner != owner) {
            ++event;
            continue;
        }
        dropped.push_back(std::move(event->second.task));
        event = forget(event);
    }
}

bool SimLoop::step() {
    if (events_.empty()) return false;
    clock_.advance_to(events_.begin()->first.first);
    const auto task = std::move(events_.begin()->second.task);
    forget(events_.begin());
    ++steps_;
    task();
    return true;
}

bool SimLoop::run_until(const std::function<bool()>& condition, std::chrono::nanoseconds limit) {
    const auto end = clock_.now() + limit;
    for (std::size_t events = 0; !condition(); ++events) {
        if (events == events_max || events_.empty() || events_.begin()->first.first > end) return false;
        step();
    }
    return true;
}

bool SimLoop::run_until_idle(std::chrono::nanoseconds limit) {
    return run_until([this] { return work_ == 0; }, limit);
}

void SimLoop::run_for(std::chrono::nanoseconds time) {
    const auto end = clock_.now() + time;
    for (std::size_t events = 0; events < events_max && !events_.empty() && events_.begin()->first.first <= end; ++events) step();
    clock_.advance_to(end);
}

namespace {

class SimContext final : public LaneContext {
public:
    SimContext(Instant deadline, bool cancelled) : deadline_(deadline), cancelled_(cancelled) {}
    Instant deadline() const override { return deadline_; }
    bool cancelled() const override { return cancelled_; }
    int cancel_fd() const override { return -1; }

private:
    Instant deadline_;
    bool cancelled_;
};

}  // namespace

JobId SimLanes::run(const std::string& lane, Job job, Options options) {
    const auto id = JobId{++last_id_};
    ++jobs_;
    lanes_[lane].queue.push_back(Queued{.id = id, .job = std::move(job), .options = options});
    start(lane);
    return id;
}

void SimLanes::start(const std::string& name) {
    auto& lane = lanes_.at(name);
    if (lane.busy) return;
    if (lane.queue.empty()) {
        lanes_.erase(name);
        return;
    }
    lane.busy = true;
    const auto deadline = world_.now() + lane.queue.front().options.time_limit;
    const auto work_at = prng_.chance(delays_.slow_percent) ? deadline : world_.now() + draw(delays_.work_max);
    const auto work = [this, name, deadline] {
        auto& here = lanes_.at(name);
        auto queued = std::move(here.queue.front());
        here.queue.erase(here.queue.begin());
        const auto cancelled = cancelled_.erase(queued.id) > 0 || world_.now() >= deadline;
        auto completion = queued.job(SimContext{deadline, cancelled});
        const auto finish = [this, completion = std::move(completion)] {
            --jobs_;
            if (completion) completion();
        };
        auto& completes = completes_[name];  // in the order of the lane
        completes = std::max(completes, world_.now() + draw(delays_.completion_max));
        world_.add(completes, finish, SimLoop::Kind::work, owner_);
        lanes_.at(name).busy = false;
        start(name);
    };
    world_.add(work_at, work, SimLoop::Kind::work, owner_);
}

void SimLanes::cancel(JobId job) {
    for (const auto& [name, lane] : lanes_)
        if (std::any_of(lane.queue.begin(), lane.queue.end(), [job](const Queued& queued) { return queued.id == job; })) cancelled_.insert(job);
}

void SimLanes::drop_everything() {
    world_.drop_of(owner_);
    lanes_.clear();
    cancelled_.clear();
    completes_.clear();
    jobs_ = 0;
}

}  // namespace eve
