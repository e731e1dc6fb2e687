// The real zedmanager in a world where everything goes wrong, then nothing does: the node must come to what its config says.

#include <gtest/gtest.h>

#include "tests/sim/node/converge.hpp"
#include "tests/sim/node/zedmanager_node.hpp"

namespace eve::sim {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kSeeds = 1000;

class ZedmanagerSeeds : public testing::TestWithParam<std::uint64_t> {};

TEST_P(ZedmanagerSeeds, ConvergeOnceFaultsStop) { converge<ZedmanagerNode>(kSeeds, GetParam()); }
INSTANTIATE_TEST_SUITE_P(Shard, ZedmanagerSeeds, testing::Range(std::uint64_t{0}, shards));

TEST(ZedmanagerSim, ACrashOfEveryAgentAtOnceDisturbsNoGuest) {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
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
