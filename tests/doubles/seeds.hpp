#pragma once
// Which seeds a simulation runs: EVE_SEED=n replays one, EVE_SEEDS=n sets how many.

#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

namespace eve {

/// The seeds 1 to `ordinary`, or what the environment says instead. Of `shards` parts that run in parallel, those of part `shard`.
inline std::vector<std::uint64_t> seeds(std::uint64_t ordinary, std::uint64_t shard = 0, std::uint64_t shards = 1) {
    if (const char* one = std::getenv("EVE_SEED")) {
        if (shard != 0) return {};
        return {std::strtoull(one, nullptr, 10)};
    }
    if (const char* count = std::getenv("EVE_SEEDS")) ordinary = std::strtoull(count, nullptr, 10);
    std::vector<std::uint64_t> all;
    for (std::uint64_t seed = 1 + shard; seed <= ordinary; seed += shards) all.push_back(seed);
    return all;
}

/// What to say of a seed that fails.
inline std::string replay(std::uint64_t seed) { return "replay with EVE_SEED=" + std::to_string(seed); }

}  // namespace eve
