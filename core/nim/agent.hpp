#pragma once
// nim, as far as it goes: reports the interfaces that exist as the ports that zedagent's config names, and keeps that true as interfaces,
// addresses and routes change. It configures nothing: no DHCP client, no bridges over ports, no connectivity test.

#include <memory>

#include "core/bus/bus.hpp"
#include "core/log/log.hpp"
#include "core/loop/loop.hpp"
#include "core/nim/effects.hpp"

namespace eve::nim {

class Agent {
public:
    struct Deps {
        Bus& bus;
        Loop& loop;
        Lanes& lanes;
        Log& log;
        LinkWorld& links;
    };
    explicit Agent(Deps deps);
    ~Agent();
    Agent(const Agent&) = delete;
    Agent& operator=(const Agent&) = delete;

private:
    class Impl;
    std::shared_ptr<Impl> impl_;  // lanes and timers hold it weakly
};

}  // namespace eve::nim
