#pragma once
// The test of a simulated node: for each seed everything goes wrong, then nothing does, and the node must have come to what its config says.

#include <gtest/gtest.h>

#include <iostream>
#include <string>
#include <vector>

#include "tests/doubles/seeds.hpp"

namespace eve::sim {

inline constexpr std::uint64_t shards = 4;  ///< parts of a simulation that run in parallel

inline std::string lines(const std::vector<std::string>& texts) {
    std::string all;
    for (const auto& text : texts) all += "\n  " + text;
    return all;
}

/// Runs one shard of the seeds; every seed that fails is named.
template <class Node> void converge(std::uint64_t ordinary, std::uint64_t shard) {
    constexpr int failures_max = 5;  // more would only hide the first ones
    int failures = 0;
    std::uint64_t guests = 0;
    std::uint64_t steps = 0;
    const auto all = seeds(ordinary, shard, shards);
    for (const auto seed : all) {
        SCOPED_TRACE(replay(seed));
        Node node{seed};
        node.chaos();
        node.heal();
        guests += node.world.guests_started;
        steps += node.steps;
        const auto wrong = node.faults();
        EXPECT_TRUE(wrong.empty()) << lines(wrong);
        if (!wrong.empty() && ++failures >= failures_max) break;
    }
    std::cout << all.size() << " seeds, " << steps << " steps, guests started: " << guests << "\n";
    if (all.size() > 1) {
        EXPECT_GT(guests, all.size() / 2) << "the chaos hardly ever lets anything run";
    }
}

}  // namespace eve::sim
