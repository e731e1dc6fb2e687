#pragma once
// The downloader: brings content that volumemgr asks for into pending files. Topics, keys, states, retries and texts are EVE's.

#include <memory>

#include "core/bus/bus.hpp"
#include "core/downloader/effects.hpp"
#include "core/log/log.hpp"
#include "core/loop/loop.hpp"

namespace eve::downloader {

class Agent {
public:
    static constexpr std::size_t transfers_max = 8;  ///< at once; the rest waits its turn

    struct Deps {
        Bus& bus;
        Loop& loop;
        Lanes& lanes;
        Log& log;
        Transport& transport;
        PendingFiles& files;
    };
    explicit Agent(Deps deps);
    ~Agent();

private:
    struct Impl;
    std::shared_ptr<Impl> impl_;  // also held, weakly, by completions that may come after the agent
};

}  // namespace eve::downloader
