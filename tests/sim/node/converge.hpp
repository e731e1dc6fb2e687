#pragma once
// The test of a simulated node: for each seed everything goes wrong, then nothing does, and the node must have come to what its config says.

#include <gtest/gtest.h>

#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "tests/doubles/seeds.hpp"
#include "tests/sim/node/coverage.hpp"
#include "tests/sim/node/transitions.hpp"

namespace eve::sim {

inline constexpr std::uint64_t shards = 4;  ///< parts of a simulation that run in parallel

inline std::string lines(const std::vector<std::string>& texts) {
    std::string all;
    for (const auto& text : texts) all += "\n  " + text;
    return all;
}

/// Prints the steps that were seen, writes them to BUILD_ROOT/transitions.<shard>.tsv, and demands those of transitions.hpp.
inline void judge_coverage(const Coverage& coverage, std::uint64_t seeds_run, std::uint64_t shard) {
    constexpr std::uint64_t seeds_enough = 200;
    std::ofstream file(BUILD_ROOT "/transitions." + std::to_string(shard) + ".tsv");
    for (const auto& [step, seen] : coverage) {
        const auto& [machine, from, to] = step;
        const auto line = machine + "\t" + from + "\t" + to + "\t" + std::to_string(seen.times) + "\tfirst by EVE_SEED=" +
                          std::to_string(seen.first_seed);
        file << line << "\n";
        std::cout << line << "\n";
    }
    if (seeds_run < seeds_enough) return;
    for (const auto& [machine, from, to] : transitions) {
        EXPECT_TRUE(coverage.contains({machine, from, to})) << machine << ": no seed led from " << from << " to " << to;
    }
}

/// Runs one shard of the seeds; every seed that fails is named.
template <class Node> void converge(std::uint64_t ordinary, std::uint64_t shard) {
    constexpr int failures_max = 5;  // more would only hide the first ones
    int failures = 0;
    std::uint64_t guests = 0;
    Coverage coverage;
    Seeds seeds(ordinary, shard, shards);
    while (const auto seed = seeds.next()) {
        SCOPED_TRACE(replay(*seed));
        Node node{*seed};
        node.chaos();
        node.heal();
        guests += node.world.guests_started;
        seeds.made(node.steps);
        if constexpr (requires { node.coverage; }) add(coverage, node.coverage);
        const auto wrong = node.faults();
        EXPECT_TRUE(wrong.empty()) << lines(wrong);
        if (!wrong.empty() && ++failures >= failures_max) break;
    }
    std::cout << "guests started: " << guests << "\n";
    if (seeds.runs() > 1) {
        EXPECT_GT(guests, seeds.runs() / 2) << "the chaos hardly ever lets anything run";
    }
    if (!coverage.empty()) judge_coverage(coverage, seeds.runs(), shard);
}

}  // namespace eve::sim
