#include "core/loop/asio_loop.hpp"

#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <algorithm>
#include <cerrno>
#include <map>
#include <system_error>

namespace eve {

namespace asio = boost::asio;
using Descriptor = asio::posix::stream_descriptor;

Instant SystemClock::now() const {
    timespec time{};
    clock_gettime(CLOCK_BOOTTIME, &time);
    return Instant{std::chrono::seconds{time.tv_sec} + std::chrono::nanoseconds{time.tv_nsec}};
}

WallTime SystemClock::wall_now() const {
    timespec time{};
    clock_gettime(CLOCK_REALTIME, &time);
    return WallTime{.seconds = time.tv_sec, .nanoseconds = static_cast<std::int32_t>(time.tv_nsec)};
}

struct AsioLoop::Impl {
    // One epoll registration for a descriptor, whoever watches it.
    struct Registration {
        Registration(asio::io_context& io, int fd) : descriptor(io) {
            boost::system::error_code error;
            descriptor.assign(fd, error);
        }
        Registration(const Registration&) = delete;
        Registration& operator=(const Registration&) = delete;
        ~Registration() {
            if (descriptor.is_open()) descriptor.release();  // the descriptor is the caller's
        }
        Descriptor descriptor;
    };
    struct Watch {
        std::shared_ptr<Registration> registration;  // shared by the watches of one descriptor
        int fd;
        Ready ready;
        Task task;
    };

    explicit Impl(const Clock& machine_clock) : clock(machine_clock), io(1), work(asio::make_work_guard(io)), alarm(io) {
        const int fd = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
        if (fd < 0) throw std::system_error(errno, std::generic_category(), "timerfd_create");
        alarm.assign(fd);
        wait_for_alarm();
    }

    void wait_for_alarm() {
        alarm.async_wait(Descriptor::wait_read, [this](const boost::system::error_code& error) {
            if (error) return;
            std::uint64_t expirations = 0;
            [[maybe_unused]] const auto n = ::read(alarm.native_handle(), &expirations, sizeof expirations);
            armed_for = Instant::max();
            run_due();
            arm();
            wait_for_alarm();
        });
    }

    void run_due() {
        const auto now = clock.now();
        const auto newest = last_id;  // what these tasks set comes in the next turn
        while (!timers.empty() && timers.begin()->first.first <= now && timers.begin()->first.second <= newest) {
            auto entry = timers.extract(timers.begin());
            due.erase(entry.key().second);
            entry.mapped().task();
        }
    }

    void arm() {
        auto next = Instant::max();
        for (const auto& [key, timer] : timers) {
            if (key.first >= next) break;  // so is all that follows
            next = std::min(next, timer.ring);
        }
        if (next == armed_for) return;
        armed_for = next;
        itimerspec spec{};
        if (next != Instant::max()) {
            const auto since_boot = std::max(next.time_since_epoch(), Instant::duration{1});  // zero would disarm
            const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(since_boot);
            spec.it_value.tv_sec = seconds.count();
            spec.it_value.tv_nsec = (since_boot - seconds).count();
        }
        timerfd_settime(alarm.native_handle(), TFD_TIMER_ABSTIME, &spec, nullptr);
    }

    void wait_for(WatchId id) {
        const auto& watch = watches.at(id);
        const auto kind = watch.ready == Ready::readable ? Descriptor::wait_read : Descriptor::wait_write;
        watch.registration->descriptor.async_wait(kind, [this, id](const boost::system::error_code& error) {
            if (error) return;
            const auto found = watches.find(id);
            if (found == watches.end()) return;
            const auto task = found->second.task;  // a copy: the task may unwatch itself
            task();
            if (watches.contains(id)) wait_for(id);
        });
    }

    const Clock& clock;
    asio::io_context io;
    asio::executor_work_guard<asio::io_context::executor_type> work;
    Descriptor alarm;
    Instant armed_for = Instant::max();
    std::uint64_t last_id = 0;
    struct Timer {
        Instant ring;  // not before it is due
        Task task;
    };
    std::map<std::pair<Instant, std::uint64_t>, Timer> timers;
    std::map<std::uint64_t, Instant> due;  // of each timer, to find it for cancel
    std::map<WatchId, Watch> watches;
    std::map<int, std::weak_ptr<Registration>> registrations;
};

AsioLoop::AsioLoop(const Clock& clock) : impl_(std::make_unique<Impl>(clock)) {}
AsioLoop::~AsioLoop() = default;

const Clock& AsioLoop::clock() const { return impl_->clock; }

void AsioLoop::post(Task task) { asio::post(impl_->io, std::move(task)); }

TimerId AsioLoop::at(Instant when, Task task) {
    const auto id = ++impl_->last_id;
    auto ring = when;
    if (const auto now = impl_->clock.now(); when > now && when - now >= far_off && when < Instant::max() - together)
        ring += (together - when.time_since_epoch() % together) % together;
    impl_->timers.emplace(std::pair{when, id}, Impl::Timer{.ring = ring, .task = std::move(task)});
    impl_->due.emplace(id, when);
    impl_->arm();
    return TimerId{id};
}

void AsioLoop::cancel(TimerId timer) {
    const auto id = static_cast<std::uint64_t>(timer);
    const auto found = impl_->due.find(id);
    if (found == impl_->due.end()) return;
    auto task = impl_->timers.extract({found->second, id});  // destroyed after the maps are whole again
    impl_->due.erase(found);
    impl_->arm();
}

WatchId AsioLoop::watch(int fd, Ready ready, Task task) {
    const auto id = WatchId{++impl_->last_id};
    auto registration = impl_->registrations[fd].lock();
    if (!registration) impl_->registrations[fd] = registration = std::make_shared<Impl::Registration>(impl_->io, fd);
    impl_->watches.emplace(id, Impl::Watch{.registration = std::move(registration), .fd = fd, .ready = ready, .task = std::move(task)});
    impl_->wait_for(id);
    return id;
}

void AsioLoop::unwatch(WatchId watch) {
    auto entry = impl_->watches.extract(watch);
    if (!entry) return;
    const int fd = entry.mapped().fd;
    entry.mapped().registration.reset();
    if (impl_->registrations[fd].expired()) impl_->registrations.erase(fd);
}

void AsioLoop::run() {
    impl_->io.run();
    impl_->io.restart();  // so that it can run again
}
void AsioLoop::stop() { impl_->io.stop(); }

}  // namespace eve
