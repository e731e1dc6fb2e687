// The real zedmanager in a world where everything goes wrong, then nothing does: the node must come to what its config says.

#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>

#include "tests/sim/node/zedmanager_node.hpp"

namespace eve::sim {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kSeeds = 1000;
constexpr std::uint64_t kShards = 4;  // run in parallel

/// EVE_SEED=n runs just that one, in the first shard.
std::vector<std::uint64_t> seeds(std::uint64_t shard) {
    if (const char* one = std::getenv("EVE_SEED")) {
        if (shard != 0) return {};
        return {std::strtoull(one, nullptr, 10)};
    }
    std::vector<std::uint64_t> all;
    for (std::uint64_t seed = 1 + shard; seed <= kSeeds; seed += kShards) all.push_back(seed);
    return all;
}

std::string lines(const std::vector<std::string>& texts) {
    std::string all;
    for (const auto& text : texts) all += "\n  " + text;
    return all;
}

class ZedmanagerSeeds : public testing::TestWithParam<std::uint64_t> {};

TEST_P(ZedmanagerSeeds, ConvergeOnceFaultsStop) {
    std::uint64_t guests = 0;
    const auto all = seeds(GetParam());
    for (const auto seed : all) {
        SCOPED_TRACE("replay with EVE_SEED=" + std::to_string(seed));
        ZedmanagerNode node{seed};
        node.chaos();
        node.heal();
        guests += node.world.guests_started;
        ASSERT_TRUE(node.world.violations().empty()) << lines(node.world.violations());
        const auto complaints = node.complaints();
        ASSERT_TRUE(complaints.empty()) << lines(complaints);
    }
    std::cout << all.size() << " seeds, guests started: " << guests << "\n";
    if (all.size() > 1) {
        EXPECT_GT(guests, all.size() / 2) << "the chaos hardly ever lets anything run";
    }
}
INSTANTIATE_TEST_SUITE_P(Shard, ZedmanagerSeeds, testing::Range(std::uint64_t{0}, kShards));

TEST(ZedmanagerSim, ACrashOfEveryAgentAtOnceDisturbsNoGuest) {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        SCOPED_TRACE("replay with EVE_SEED=" + std::to_string(seed));
        ZedmanagerNode node{seed};
        for (std::uint8_t n = 0; n < 3; ++n) {
            auto config = node.some_app(n);
            config.Activate = true;
            config.FixedResources.Memory = 256 * 1024;
            node.controller.set(config);
        }
        node.run_for(1h);
        ASSERT_EQ(node.world.guests.size(), 3U);
        const auto started = node.world.guests_started;
        for (int n = 0; n < 5; ++n) {
            node.crash_zedmanager();
            node.crash_volumemgr();
            node.crash_zedrouter();
            node.crash_domainmgr();
            node.run_for(std::chrono::milliseconds{node.prng.between(0, 20'000)});
        }
        node.run_for(1h);
        EXPECT_EQ(node.world.guests_started, started);
        EXPECT_TRUE(node.complaints().empty()) << lines(node.complaints());
    }
}

// ---- that the rules look

bool caught(Lies lies) {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        ZedmanagerNode node{seed};
        node.world.lies = lies;
        node.chaos();
        if (!node.world.violations().empty()) return true;
    }
    return false;
}

TEST(ZedmanagerSim, APlantedLieIsCaught) {
    EXPECT_FALSE(caught({}));
    EXPECT_TRUE(caught({.halted_early = true}));
    EXPECT_TRUE(caught({.created_early = true}));
    EXPECT_TRUE(caught({.connected_early = true}));
}

TEST(ZedmanagerSim, AnAppThatDoesNotComeUpIsComplainedOf) {
    ZedmanagerNode node{1};
    auto config = node.some_app(1);
    config.Activate = true;
    node.world.faults.start_fails = 100;
    node.controller.set(config);
    node.run_for(1h);
    EXPECT_FALSE(node.complaints().empty());
}

}  // namespace
}  // namespace eve::sim
