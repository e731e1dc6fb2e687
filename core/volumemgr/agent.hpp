#pragma once
// volumemgr: content trees become images in the content store, images and blanks become volumes, and apps' references to volumes are answered. It
// neither downloads nor verifies. Topics, keys and states are EVE's.

#include <memory>
#include <string>

#include "core/bus/bus.hpp"
#include "core/log/log.hpp"
#include "core/loop/loop.hpp"
#include "core/volumemgr/effects.hpp"

namespace eve::volumemgr {

class Agent {
public:
    struct Deps {
        Bus& bus;
        Loop& loop;
        Lanes& lanes;
        Log& log;
        ContentStore& store;
        VolumeFiles& files;
        std::string persist;  ///< ROOT/persist: what published paths begin with
    };
    explicit Agent(Deps deps);
    ~Agent();

private:
    struct Impl;
    std::shared_ptr<Impl> impl_;  // also held, weakly, by completions that may come after the agent
};

}  // namespace eve::volumemgr
