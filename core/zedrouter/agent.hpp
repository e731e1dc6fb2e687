#pragma once
// zedrouter: turns NetworkInstanceConfig and AppNetworkConfig into the host's network and reports it as NetworkInstanceStatus and
// AppNetworkStatus. Every event recomputes all statuses and the whole plan from the configs; what differs is applied in one lane.

#include <memory>
#include <string>

#include "core/bus/bus.hpp"
#include "core/log/log.hpp"
#include "core/loop/loop.hpp"
#include "core/zedrouter/effects.hpp"

namespace eve::zedrouter {

class Agent {
public:
    struct Deps {
        Bus& bus;
        Loop& loop;
        Lanes& lanes;
        Log& log;
        NetworkWorld& network;
        std::string run_directory;  ///< ROOT/run/zedrouter, where dnsmasq's files are
    };
    explicit Agent(Deps deps);
    ~Agent();
    Agent(const Agent&) = delete;
    Agent& operator=(const Agent&) = delete;

private:
    class Impl;
    std::shared_ptr<Impl> impl_;  // lanes and timers hold it weakly: they may complete after this object is gone
};

}  // namespace eve::zedrouter
