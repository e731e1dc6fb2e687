// Whole nodes of real agents in a world where everything goes wrong, then nothing does.

#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/sim/node/converge.hpp"
#include "tests/sim/node/full_node.hpp"

namespace eve::sim {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kSeeds = 1000;

TEST(FullSim, AnAppComesUpAndGoesAgain) {
    FullNode node{1};
    auto config = node.some_app(0);
    config.Activate = true;
    node.controller.apply({{config.UUIDandVersion.UUID.to_string(), config}});
    node.run_for(10min);
    EXPECT_TRUE(node.complaints().empty()) << lines(node.complaints());
    EXPECT_EQ(node.world.guests.size(), 1U);
    node.controller.apply({});
    node.run_for(30min);
    EXPECT_TRUE(node.complaints().empty()) << lines(node.complaints());
    EXPECT_TRUE(node.hypervisor->domains().empty());
    EXPECT_TRUE(node.storage.volumes.empty());
}

TEST(FullSim, ACrashOfEveryAgentAtOnceDisturbsNoGuest) {
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        FullNode node{seed};
        std::map<std::string, types::AppInstanceConfig> apps;
        for (std::uint8_t n = 0; n < 3; ++n) {
            auto config = node.some_app(n);
            config.Activate = true;
            config.FixedResources.Memory = 256 * 1024;
            apps[config.UUIDandVersion.UUID.to_string()] = config;
        }
        node.controller.apply(apps);
        node.run_for(20min);
        ASSERT_EQ(node.world.guests.size(), 3U) << lines(node.complaints());
        const auto started = node.world.guests_started;
        for (int n = 0; n < 5; ++n) {
            node.crash_all();
            node.run_for(std::chrono::milliseconds{node.prng.between(0, 20'000)});
        }
        node.run_for(20min);
        EXPECT_EQ(node.world.guests_started, started);
        EXPECT_TRUE(node.complaints().empty()) << lines(node.complaints());
    }
}

/// A day without rest: changes and faults of all kinds, hundreds of times, in one life of the world; each time the faults stop it must come to rest.
TEST(FullSim, ADayOfRandomChurnEndsWhereItShould) {
    FullNode node{7};
    // Every minute of it is lived through: in the ordinary run the first hours, in `scripts/test --all` (which sets EVE_SEEDS) the whole day.
    const auto end = node.clock.now() + (std::getenv("EVE_SEEDS") != nullptr ? 24h : 5h);
    int rests = 0;
    int rounds = 0;
    for (; node.clock.now() < end; ++rounds) {
        node.chaos();
        if (!node.prng.chance(20)) continue;
        node.heal();
        ++rests;
        const auto wrong = node.faults();
        ASSERT_TRUE(wrong.empty()) << "round " << rounds << lines(wrong);
    }
    node.heal();
    EXPECT_TRUE(node.faults().empty()) << lines(node.faults());
    std::cout << rounds << " rounds of ten changes, " << rests << " rests, " << node.steps << " steps, guests started: " << node.world.guests_started << "\n";
    EXPECT_GT(node.world.guests_started, 20U);
}

class FullSeeds : public ::testing::TestWithParam<std::uint64_t> {};

TEST_P(FullSeeds, ConvergeOnceFaultsStop) { converge<FullNode>(kSeeds, GetParam()); }
INSTANTIATE_TEST_SUITE_P(Shard, FullSeeds, ::testing::Range(std::uint64_t{0}, shards));

}  // namespace
}  // namespace eve::sim
