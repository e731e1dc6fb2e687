#pragma once
// The verifier: what was downloaded becomes verified content, or an error. It has no network. Topics, keys and states are EVE's.

#include <memory>

#include "core/bus/bus.hpp"
#include "core/log/log.hpp"
#include "core/loop/loop.hpp"
#include "core/verifier/effects.hpp"

namespace eve::verifier {

class Agent {
public:
    struct Deps {
        Bus& bus;
        Loop& loop;
        Lanes& lanes;
        Log& log;
        VerifyFiles& files;
    };
    explicit Agent(Deps deps);
    ~Agent();

private:
    struct Impl;
    std::shared_ptr<Impl> impl_;  // also held, weakly, by completions that may come after the agent
};

}  // namespace eve::verifier
