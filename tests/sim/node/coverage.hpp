#pragma once
// Which steps of their states the agents of a simulated node took: by machine ("zedmanager app"), from and to. "-" is: there is no record.

#include <cstdint>
#include <map>
#include <string>
#include <tuple>

namespace eve::sim {

using Step = std::tuple<std::string, std::string, std::string>;  ///< machine, from, to

/// How often each step was seen, and by which seed first.
struct Seen {
    std::uint64_t times = 0;
    std::uint64_t first_seed = 0;
};
using Coverage = std::map<Step, Seen>;

inline void add(Coverage& all, const Coverage& more) {
    for (const auto& [step, seen] : more) {
        auto& sum = all[step];
        if (sum.times == 0) sum.first_seed = seen.first_seed;
        sum.times += seen.times;
    }
}

}  // namespace eve::sim
