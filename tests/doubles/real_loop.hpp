#pragma once
// The production loop for tests that need descriptors: runs until something has happened, with a deadline instead of sleeps.

#include <functional>

#include "core/loop/asio_loop.hpp"

namespace eve {

struct RealLoop {
    SystemClock clock;
    AsioLoop loop{clock};

    /// Runs until `condition` holds. False: not within ten seconds.
    bool run_until(const std::function<bool()>& condition) {
        bool met = false;
        TimerId next{};
        std::function<void()> look = [&] {
            met = condition();
            if (met) {
                loop.stop();
            } else {
                next = loop.after(std::chrono::microseconds{200}, look);
            }
        };
        loop.post(look);
        const auto deadline = loop.after(std::chrono::seconds{10}, [&] { loop.stop(); });
        loop.run();
        loop.cancel(deadline);
        loop.cancel(next);
        return met;
    }
    /// Runs a few turns, for what must not happen.
    void turns(int count = 10) {
        static_cast<void>(run_until([&count] { return --count <= 0; }));
    }
};

}  // namespace eve
