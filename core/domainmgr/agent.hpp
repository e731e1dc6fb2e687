#pragma once
// domainmgr: runs what zedmanager asks for (DomainConfig) on the runtimes of this node and says truthfully what runs (DomainStatus). Also the
// host's memory and capabilities, and the table of assignable hardware, for which others wait.

#include <cstdint>
#include <functional>
#include <memory>

#include "core/bus/bus.hpp"
#include "core/domainmgr/effects.hpp"
#include "core/log/log.hpp"
#include "core/loop/loop.hpp"

namespace eve::domainmgr {

/// [loop]
class Agent {
public:
    struct Deps {
        Bus& bus;
        Loop& loop;
        Lanes& lanes;
        Log& log;
        Runtimes& runtimes;
        Host& host;
        std::function<std::uint64_t(std::uint64_t limit)> random;  ///< 0..limit-1, for polls that must not fall together
    };
    explicit Agent(Deps deps);
    ~Agent();
    Agent(const Agent&) = delete;
    Agent& operator=(const Agent&) = delete;

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace eve::domainmgr
