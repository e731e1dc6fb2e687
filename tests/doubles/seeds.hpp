#pragma once
// Which seeds a simulation runs, and for how long: EVE_SEED=n replays one, EVE_SEEDS=n sets how many, EVE_SIM_STEPS=n takes seeds until that many
// steps were made, or EVE_SIM_SECONDS (240) are over. Steps are events of the simulated loop, or what a simulation says.

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace eve {

/// The seeds 1 to `ordinary`, or what the environment says instead. Of `shards` parts that run in parallel, those of part `shard`.
class Seeds {
public:
    explicit Seeds(std::uint64_t ordinary, std::uint64_t shard = 0, std::uint64_t shards = 1) : next_(1 + shard), shards_(shards), last_(ordinary) {
        if (const auto one = setting("EVE_SEED")) {
            next_ = shard == 0 ? *one : 1;
            last_ = shard == 0 ? *one : 0;
        } else if (const auto count = setting("EVE_SEEDS")) {
            last_ = *count;
        } else if (const auto steps = setting("EVE_SIM_STEPS")) {
            last_ = std::numeric_limits<std::uint64_t>::max() - shards;
            steps_max_ = (*steps + shards - 1) / shards;
        }
    }
    ~Seeds() { std::cout << runs_ << " seeds, " << steps_ << " steps" << (late() ? " when the time was over" : "") << "\n"; }
    Seeds(const Seeds&) = delete;
    Seeds& operator=(const Seeds&) = delete;

    /// The seed to run now; none: it is enough.
    std::optional<std::uint64_t> next() {
        if (next_ > last_ || (steps_max_ != 0 && (steps_ >= steps_max_ || late()))) return std::nullopt;
        ++runs_;
        const auto seed = next_;
        next_ += shards_;
        return seed;
    }
    /// That many steps were made with the last one.
    void made(std::uint64_t steps) { steps_ += steps; }
    std::uint64_t runs() const { return runs_; }

private:
    static std::optional<std::uint64_t> setting(const char* name) {
        const char* value = std::getenv(name);
        return value == nullptr ? std::nullopt : std::optional{std::strtoull(value, nullptr, 10)};
    }
    bool late() const {
        constexpr std::uint64_t seconds_default = 240;  // less than the time limit that ctest has for a simulation
        const std::chrono::seconds limit{setting("EVE_SIM_SECONDS").value_or(seconds_default)};
        return steps_max_ != 0 && std::chrono::steady_clock::now() - began_ > limit;
    }

    std::uint64_t next_, shards_, last_;
    std::uint64_t steps_max_ = 0;
    std::uint64_t steps_ = 0, runs_ = 0;
    std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

/// What to say of a seed that fails.
inline std::string replay(std::uint64_t seed) { return "replay with EVE_SEED=" + std::to_string(seed); }

}  // namespace eve
