#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "core/loop/asio_loop.hpp"

namespace eve {

namespace {

// What a job and those who may cancel it share.
class JobState final : public LaneContext {
public:
    explicit JobState(const Clock& clock) : clock_(clock) {}
    ~JobState() override {
        if (fd_ >= 0) ::close(fd_);
    }

    Instant deadline() const override { return deadline_; }
    bool cancelled() const override { return cancelled_ || clock_.now() >= deadline_.load(); }
    int cancel_fd() const override {
        const std::lock_guard lock(mutex_);
        if (fd_ >= 0) return fd_;
        fd_ = ::timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
        ring_after(cancelled_ ? Instant::duration{0} : deadline_.load() - clock_.now());
        return fd_;
    }

    void start(Instant deadline) { deadline_ = deadline; }
    void cancel() {
        const std::lock_guard lock(mutex_);
        cancelled_ = true;
        ring_after(Instant::duration{0});
    }

private:
    // The kernel keeps the deadline for a job that polls: the loop need not be woken to begin a job.
    void ring_after(Instant::duration delay) const {
        if (fd_ < 0) return;
        delay = std::max(delay, Instant::duration{1});  // zero would disarm
        const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(delay);
        const itimerspec spec{.it_interval = {}, .it_value = {.tv_sec = seconds.count(), .tv_nsec = (delay - seconds).count()}};
        ::timerfd_settime(fd_, 0, &spec, nullptr);
    }

    const Clock& clock_;
    std::atomic<Instant> deadline_{Instant::max()};
    std::atomic<bool> cancelled_{false};
    mutable std::mutex mutex_;
    mutable int fd_ = -1;
};

struct Queued {
    JobId id;
    Lanes::Job job;
    Lanes::Options options;
    std::shared_ptr<JobState> state;  // shared by the thread that runs it and the loop that may cancel it
};

}  // namespace

struct ThreadLanes::Impl : std::enable_shared_from_this<Impl> {
    struct Lane {
        std::deque<Queued> queue;
        bool busy = false;
    };

    Impl(Loop& home, unsigned limit) : loop(home), threads_max(std::max(limit, 1U)) {}

    void enqueue(const std::string& name, Queued job) {
        const std::lock_guard lock(mutex);
        auto& lane = lanes[name];
        lane.queue.push_back(std::move(job));
        if (lane.busy || lane.queue.size() > 1) return;
        ready.push_back(name);
        if (ready.size() > idle && threads.size() < threads_max) add_thread();
        wake.notify_one();
    }

    // With fewer threads than wished for jobs wait longer; without any there is no node.
    void add_thread() try {
        threads.emplace_back([this] { work(); });
    } catch (const std::system_error&) {
        if (threads.empty()) throw;
    }

    void work() {
        std::unique_lock lock(mutex);
        for (;;) {
            ++idle;
            wake.wait(lock, [this] { return stopping || !ready.empty(); });
            --idle;
            if (stopping) return;
            const auto name = std::move(ready.front());
            ready.pop_front();
            auto& lane = lanes.at(name);
            auto job = std::move(lane.queue.front());
            lane.queue.pop_front();
            lane.busy = true;
            running.push_back(job.state);
            lock.unlock();
            run(job);
            lock.lock();
            std::erase(running, job.state);
            lane.busy = false;
            if (lane.queue.empty()) {
                lanes.erase(name);
            } else {
                ready.push_back(name);
                wake.notify_one();
            }
        }
    }

    void run(Queued& queued) {
        queued.state->start(loop.clock().now() + queued.options.time_limit);
        auto completion = queued.job(*queued.state);
        queued.job = nullptr;
        loop.post([this, self = weak_from_this(), id = queued.id, completion = std::move(completion)] {
            const auto alive = self.lock();
            if (!alive || closed) return;
            jobs.erase(id);
            if (completion) completion();
        });
    }

    void close() {
        closed = true;
        {
            const std::lock_guard lock(mutex);
            stopping = true;
            for (const auto& state : running) state->cancel();
        }
        wake.notify_all();
        for (auto& thread : threads) thread.join();
        lanes.clear();
    }

    Loop& loop;
    const unsigned threads_max;
    // of the loop's thread
    std::uint64_t last_id = 0;
    std::map<JobId, std::shared_ptr<JobState>> jobs;
    bool closed = false;
    // of all threads
    std::mutex mutex;
    std::condition_variable wake;
    std::map<std::string, Lane> lanes;
    std::deque<std::string> ready;  // lanes with work that no thread has taken
    std::vector<std::shared_ptr<JobState>> running;
    std::vector<std::thread> threads;
    std::size_t idle = 0;
    bool stopping = false;
};

ThreadLanes::ThreadLanes(Loop& loop, unsigned threads_max) : impl_(std::make_shared<Impl>(loop, threads_max)) {}
ThreadLanes::~ThreadLanes() { impl_->close(); }

JobId ThreadLanes::run(const std::string& lane, Job job, Options options) {
    const auto id = JobId{++impl_->last_id};
    auto state = std::make_shared<JobState>(impl_->loop.clock());
    impl_->jobs.emplace(id, state);
    impl_->enqueue(lane, Queued{.id = id, .job = std::move(job), .options = options, .state = std::move(state)});
    return id;
}

void ThreadLanes::cancel(JobId job) {
    const auto found = impl_->jobs.find(job);
    if (found != impl_->jobs.end()) found->second->cancel();
}

}  // namespace eve
