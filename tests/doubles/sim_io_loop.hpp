#pragma once
// Descriptors under virtual time: the sockets are the kernel's, but which of those that are ready is served, and when, is drawn from a seed.
// A process that is paused serves none: a slow peer.

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "tests/doubles/sim_loop.hpp"

namespace eve {

class SimIoLoop final : public IoLoop {
public:
    explicit SimIoLoop(SimLoop& world) : process_(world) {}

    const Clock& clock() const override { return process_.clock(); }
    void post(Task task) override { process_.post(std::move(task)); }
    TimerId at(Instant when, Task task) override { return process_.at(when, std::move(task)); }
    void cancel(TimerId timer) override { process_.cancel(timer); }
    WatchId watch(int fd, Ready ready, Task task) override {
        const auto id = WatchId{++last_};
        watches_[id] = {.fd = fd, .events = static_cast<short>(ready == Ready::readable ? POLLIN : POLLOUT), .task = std::move(task)};
        return id;
    }
    void unwatch(WatchId id) override { watches_.erase(id); }
    void run() override {}
    void stop() override {}

    /// One descriptor that is ready has its turn. False: none is.
    bool serve(Prng& prng) {
        if (paused || watches_.empty()) return false;
        std::vector<pollfd> polled;
        std::vector<WatchId> ids;
        for (const auto& [id, watch] : watches_) {
            polled.push_back({.fd = watch.fd, .events = watch.events, .revents = 0});
            ids.push_back(id);
        }
        if (::poll(polled.data(), polled.size(), 0) <= 0) return false;
        std::vector<WatchId> ready;
        for (std::size_t i = 0; i < polled.size(); ++i)
            if (polled[i].revents != 0) ready.push_back(ids[i]);
        const auto task = watches_.at(prng.pick(ready)).task;  // a copy: it may end its own watch
        task();
        return true;
    }
    /// Some connection of this process breaks.
    void break_connection(Prng& prng) {
        if (watches_.empty()) return;
        auto chosen = watches_.begin();
        std::advance(chosen, static_cast<std::ptrdiff_t>(prng.below(watches_.size())));
        int listens = 0;
        socklen_t size = sizeof listens;
        if (::getsockopt(chosen->second.fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens == 0)
            ::shutdown(chosen->second.fd, SHUT_RDWR);
    }

    bool paused = false;

private:
    struct Watch {
        int fd;
        short events;
        Task task;
    };
    SimProcess process_;
    std::uint64_t last_ = 0;
    std::map<WatchId, Watch> watches_;
};

}  // namespace eve
