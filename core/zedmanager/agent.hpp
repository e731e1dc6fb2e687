#pragma once
// zedmanager: brings every app instance to what its config says. It only carries records: what each app waits for and what is to be published
// is decided in step.hpp. Records of an earlier life are the starting point, so that a restart of this agent disturbs nothing.

#include <memory>

#include "core/bus/bus.hpp"
#include "core/log/log.hpp"
#include "core/loop/loop.hpp"

namespace eve::zedmanager {

class Agent {
public:
    struct Deps {
        Bus& bus;
        Loop& loop;
        Log& log;
    };
    /// Subscribes and publishes; the rest happens on the loop.
    explicit Agent(Deps deps);
    /// Ends as a crash would: nothing is unpublished.
    ~Agent();
    Agent(const Agent&) = delete;
    Agent& operator=(const Agent&) = delete;

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace eve::zedmanager
