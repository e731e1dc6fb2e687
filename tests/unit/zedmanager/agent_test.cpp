// The agent on a real bus, with scripted agents around it that do what they are asked at once.

#include "core/zedmanager/agent.hpp"

#include <gtest/gtest.h>

#include "core/types/config_items.hpp"
#include "core/types/node.hpp"
#include "core/zedmanager/records.hpp"
#include "tests/doubles/fake_record_store.hpp"
#include "tests/doubles/recording_log.hpp"
#include "tests/sim/node/peers.hpp"

namespace eve::zedmanager {
namespace {

using namespace std::chrono_literals;
using types::SwState;

class ZedmanagerAgent : public testing::Test {
protected:
    ZedmanagerAgent() { start(); }

    void start() {
        agent.reset();
        process = std::make_unique<SimProcess>(loop);
        agent = std::make_unique<Agent>(Agent::Deps{.bus = bus, .loop = *process, .log = log});
    }
    void start_peers() {
        volumemgr = std::make_unique<sim::PeerVolumemgr>(deps());
        zedrouter = std::make_unique<sim::PeerZedrouter>(deps());
        domainmgr = std::make_unique<sim::PeerDomainmgr>(deps());
    }
    sim::Peer::Deps deps() { return {.bus = bus, .loop = loop, .world = world, .prng = prng.fork()}; }
    types::AppInstanceConfig app(std::uint8_t number, std::int64_t mib = 256) const {
        std::array<std::uint8_t, 16> bytes{};
        bytes[15] = number;
        types::AppInstanceConfig config;
        config.UUIDandVersion = {.UUID = types::Uuid{bytes}, .Version = "1"};
        config.DisplayName = "app";
        config.FixedResources.Memory = mib * 1024;
        config.FixedResources.VCpus = 1;
        config.FixedResources.VMMMaxMem = 1;
        config.Activate = true;
        bytes[0] = 1;
        config.VolumeRefConfigList = {{.VolumeID = types::Uuid{bytes}, .AppUUID = config.UUIDandVersion.UUID, .VerifyOnly = true}};
        return config;
    }
    static std::string key(const types::AppInstanceConfig& config) { return config.UUIDandVersion.UUID.to_string(); }
    SwState state_of(const types::AppInstanceConfig& config) const {
        const auto* status = statuses->get(key(config));
        return status == nullptr ? SwState{} : status->State;
    }

    SimClock clock;
    SimLoop loop{clock};
    RecordingLog log;
    FakeRecordStore store;
    Bus bus{{.loop = loop, .log = log, .store = &store}};
    sim::World world;
    Prng prng{1};
    std::unique_ptr<SimProcess> process;
    std::unique_ptr<Agent> agent;
    std::unique_ptr<sim::PeerVolumemgr> volumemgr;
    std::unique_ptr<sim::PeerZedrouter> zedrouter;
    std::unique_ptr<sim::PeerDomainmgr> domainmgr;
    std::unique_ptr<Subscription<types::AppInstanceStatus>> statuses = bus.subscribe<types::AppInstanceStatus>({.agent = "zedmanager"});
    std::unique_ptr<Subscription<types::AppInstanceSummary>> summaries = bus.subscribe<types::AppInstanceSummary>({.agent = "zedmanager"});
    std::unique_ptr<Subscription<types::AppNetworkConfig>> networks = bus.subscribe<types::AppNetworkConfig>({.agent = "zedmanager"});
    std::unique_ptr<Subscription<types::DomainConfig>> domains = bus.subscribe<types::DomainConfig>({.agent = "zedmanager"});
    std::unique_ptr<Subscription<types::VolumeRefConfig>> references = bus.subscribe<types::VolumeRefConfig>({.agent = "zedmanager"});
    std::unique_ptr<Subscription<types::UuidToNum>> purges = bus.subscribe<types::UuidToNum>({.agent = "zedmanager", .persistent = true});
};

TEST_F(ZedmanagerAgent, BringsAnAppUpAndTakesItDownAgain) {
    sim::PeerZedagent controller(bus);
    start_peers();
    controller.set(app(1));
    loop.run_for(5min);
    EXPECT_EQ(state_of(app(1)), SwState::RUNNING);
    EXPECT_EQ(summaries->get(types::Uuid{}.to_string())->TotalRunning, 1);
    controller.remove(app(1).UUIDandVersion.UUID);
    loop.run_for(5min);
    EXPECT_EQ(statuses->get(key(app(1))), nullptr);
    EXPECT_TRUE(references->items().empty());
    EXPECT_TRUE(purges->items().empty());
    EXPECT_TRUE(world.guests.empty());
    EXPECT_TRUE(world.volumes.empty());
    EXPECT_EQ(summaries->get(types::Uuid{}.to_string())->TotalRunning, 0);
}

TEST_F(ZedmanagerAgent, DoesNothingBeforeTheNodeIsOnboardedAndHasItsConfigItems) {
    auto configs = bus.publish<types::AppInstanceConfig>({.agent = "zedagent"});
    ASSERT_TRUE(configs->publish(key(app(1)), app(1)));
    loop.run_for(1min);
    EXPECT_TRUE(statuses->items().empty());
    auto items = bus.publish<types::ConfigItemValueMap>({.agent = "zedagent"});
    ASSERT_TRUE(items->publish("global", types::default_config_items()));
    loop.run_for(1min);
    EXPECT_TRUE(statuses->items().empty());
    auto onboarding = bus.publish<types::OnboardingStatus>({.agent = "zedclient", .persistent = true});
    ASSERT_TRUE(onboarding->publish("global", {.DeviceUUID = app(9).UUIDandVersion.UUID}));
    loop.run_for(1min);
    EXPECT_EQ(statuses->items().size(), 1U);
}

TEST_F(ZedmanagerAgent, PassesTheRestartMarkersOnAfterTheRecords) {
    sim::PeerZedagent controller(bus);
    loop.run_for(1min);
    EXPECT_GT(networks->restart_counter(), 0);
    EXPECT_EQ(domains->restart_counter(), 0) << "zedrouter is not there";
    start_peers();
    loop.run_for(1min);
    EXPECT_GT(domains->restart_counter(), 0);
}

TEST_F(ZedmanagerAgent, AnAppParkedForMemoryStartsWhenAnotherHasHalted) {  // S12, S13
    sim::PeerZedagent controller(bus);
    start_peers();
    controller.set(app(1, 3000));
    loop.run_for(5min);
    controller.set(app(2, 3000));
    loop.run_for(5min);
    const auto* waiting = statuses->get(key(app(2)));
    EXPECT_TRUE(waiting->MissingMemory);
    EXPECT_EQ(waiting->ErrorSeverity, types::ErrorSeverity::ErrorSeverityWarning);
    ASSERT_EQ(waiting->ErrorEntities.size(), 1U);
    EXPECT_EQ(waiting->ErrorEntities[0].EntityID, key(app(1)));
    auto halted = app(1, 3000);
    halted.Activate = false;
    controller.set(halted);
    loop.run_for(20s);
    EXPECT_FALSE(statuses->get(key(app(2)))->MissingMemory);
    loop.run_for(5min);
    EXPECT_EQ(state_of(app(2)), SwState::RUNNING);
}

TEST_F(ZedmanagerAgent, MemoryOfAnAppThatItsProfileSwitchedOffCountsAsHalting) {  // S15, defect 9
    sim::PeerZedagent controller(bus);
    start_peers();
    auto first = app(1, 3000);
    first.ProfileList = {"p1"};
    controller.set_profile("p1");
    controller.set(first);
    loop.run_for(5min);
    controller.set(app(2, 3000));
    loop.run_for(1min);
    controller.set_profile("p2");
    ASSERT_TRUE(loop.run_until([&] { return statuses->get(key(app(2)))->ErrorSeverity == types::ErrorSeverity::ErrorSeverityNotice; }, 1min));
    loop.run_for(5min);
    EXPECT_EQ(state_of(first), SwState::HALTED);
    EXPECT_EQ(state_of(app(2)), SwState::RUNNING);
}

TEST_F(ZedmanagerAgent, ThePurgeCounterSurvivesARebootAndIsStoredOnceThePurgeIsDone) {  // S27
    sim::PeerZedagent controller(bus);
    start_peers();
    auto config = app(1);
    config.PurgeCmd.Counter = 3;
    controller.set(config);
    loop.run_for(5min);
    ASSERT_NE(purges->get(key(config)), nullptr);
    EXPECT_EQ(purges->get(key(config))->Number, 3);
    EXPECT_EQ(purges->get(key(config))->NumType, "purgeCmdCounter");
    EXPECT_TRUE(purges->get(key(config))->InUse);
    config.LocalPurgeCmd.Counter = 1;
    config.VolumeRefConfigList[0].LocalGenerationCounter = 1;
    controller.set(config);
    loop.run_for(10ms);
    EXPECT_EQ(purges->get(key(config))->Number, 3);
    EXPECT_EQ(statuses->get(key(config))->PurgeInprogress, types::Inprogress::DownloadAndVerify);
    loop.run_for(5min);
    EXPECT_EQ(purges->get(key(config))->Number, 4);
    EXPECT_EQ(state_of(config), SwState::RUNNING);
    EXPECT_EQ(domains->get(key(config))->PurgeCounter, 4U);
}

TEST_F(ZedmanagerAgent, ARestartOfItPublishesNothingNew) {
    sim::PeerZedagent controller(bus);
    start_peers();
    controller.set(app(1));
    loop.run_for(5min);
    const auto before = *statuses->get(key(app(1)));
    log.clear();
    const auto started = world.guests_started;
    start();
    loop.run_for(5min);
    EXPECT_EQ(*statuses->get(key(app(1))), before);
    EXPECT_FALSE(log.has("app.state"));
    EXPECT_EQ(world.guests_started, started);
}

TEST_F(ZedmanagerAgent, AnAppDeletedWhileItWasAwayIsRemovedButNotBeforeTheConfigIsComplete) {
    auto controller = std::make_unique<sim::PeerZedagent>(bus);
    start_peers();
    controller->set(app(1));
    loop.run_for(5min);
    agent.reset();
    controller->remove(app(1).UUIDandVersion.UUID);
    loop.run_for(1min);
    EXPECT_EQ(world.guests.size(), 1U);
    start();
    loop.run_for(5min);
    EXPECT_TRUE(world.guests.empty());
    EXPECT_TRUE(statuses->items().empty());
}

TEST_F(ZedmanagerAgent, ThePurgeCounterOfAnAppDeletedWhileTheMachineWasOffIsForgotten) {
    auto controller = std::make_unique<sim::PeerZedagent>(bus);
    start_peers();
    controller->set(app(1));
    loop.run_for(5min);
    ASSERT_FALSE(purges->items().empty());
    agent.reset();
    controller->remove(app(1).UUIDandVersion.UUID);
    loop.run_for(1min);
    store.reboot();  // of the app nothing is left but its counter
    start();
    loop.run_for(5min);
    EXPECT_TRUE(purges->items().empty());
}

}  // namespace
}  // namespace eve::zedmanager
