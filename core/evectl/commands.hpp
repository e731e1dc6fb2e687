#pragma once
// The commands of evectl, after the options were read.

#include <chrono>
#include <string>
#include <vector>

namespace eve::evectl {

/// One command line.
struct Invocation {
    std::string root;
    std::vector<std::string> words;  ///< "app", "show", "web"
    std::chrono::milliseconds timeout{};
    bool json = false;
    bool follow = false;
    bool quiet = false;
    bool terminal = false;
    std::string terminal_kind;  ///< $TERM
};

/// Does it; the exit code: 0 done, 1 failed, 2 wrong usage, 3 time is over.
int run(const Invocation& call);

}  // namespace eve::evectl
