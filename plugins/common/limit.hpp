#pragma once
// How long a step may take: a point of CLOCK_MONOTONIC and the caller's wish to give up, both looked at while waiting.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <ctime>
#include <limits>

#include <poll.h>

#include "eve/host.hpp"
#include "eve/result.hpp"

namespace eve::plugins {

/// Ends at a deadline or when the caller gives up, whichever is sooner.
class Limit {
public:
    /// At most `most`, and no longer than the call may take.
    Limit(const CallContext& call, std::chrono::nanoseconds most)
        : cancel_fd_(call.cancel_fd()), deadline_(after(std::min(most, call.time_left()))) {}
    /// At most `most`; `cancel_fd` becoming readable ends it, -1: nothing does.
    Limit(std::chrono::nanoseconds most, int cancel_fd) : cancel_fd_(cancel_fd), deadline_(after(most)) {}

    /// The same, but ending `most` from now at the latest.
    Limit within(std::chrono::nanoseconds most) const {
        Limit shorter = *this;
        shorter.deadline_ = std::min(deadline_, after(most));
        return shorter;
    }

    enum class Wait : std::uint8_t { ready, over, cancelled };

    /// Waits until `fd` has one of `events`; -1: only for the end of `pause`, which then counts as ready.
    Wait wait(int fd, short events, std::chrono::milliseconds pause = std::chrono::milliseconds::max()) const {
        const auto pause_end = pause == std::chrono::milliseconds::max() ? std::numeric_limits<std::int64_t>::max() : after(pause);
        while (true) {
            pollfd polled[2] = {{.fd = fd, .events = events, .revents = 0}, {.fd = cancel_fd_, .events = POLLIN, .revents = 0}};
            const auto left = std::min(deadline_, pause_end) - now();
            const auto left_ms = left <= 0 ? 0 : (left + 999'999) / 1'000'000;
            const int got = ::poll(polled, 2, static_cast<int>(std::min<std::int64_t>(left_ms, 60'000)));
            if (got > 0 && polled[1].revents != 0) return Wait::cancelled;
            if (got > 0 && polled[0].revents != 0) return Wait::ready;
            if (now() >= deadline_) return Wait::over;
            if (now() >= pause_end) return fd < 0 ? Wait::ready : Wait::over;
        }
    }

    /// How long until it ends; never negative.
    std::chrono::nanoseconds left() const {
        const auto current = now();
        return std::chrono::nanoseconds(deadline_ > current ? deadline_ - current : 0);
    }
    /// Whether the caller has given up.
    bool cancelled() const {
        pollfd polled{.fd = cancel_fd_, .events = POLLIN, .revents = 0};
        return cancel_fd_ >= 0 && ::poll(&polled, 1, 0) > 0;
    }

    /// The error of a wait that was not ready.
    static Error error(Wait wait, const char* what) {
        return wait == Wait::cancelled ? Error{.code = Code::cancelled, .what = std::string(what) + ": the caller gave up"}
                                       : Error{.code = Code::timed_out, .what = std::string(what) + " took too long"};
    }

private:
    static std::int64_t now() {
        timespec time{};
        ::clock_gettime(CLOCK_MONOTONIC, &time);
        return time.tv_sec * 1'000'000'000LL + time.tv_nsec;
    }
    static std::int64_t after(std::chrono::nanoseconds left) {
        const auto current = now();
        return left.count() >= std::numeric_limits<std::int64_t>::max() - current ? std::numeric_limits<std::int64_t>::max() : current + left.count();
    }

    int cancel_fd_ = -1;
    std::int64_t deadline_ = 0;
};

}  // namespace eve::plugins
