// zedagent on the bus: what it publishes, in which order, and what it keeps to when the file is bad, absent or old.

#include "core/zedagent/agent.hpp"

#include <gmock/gmock.h>

#include "config_text.hpp"
#include "tests/doubles/fake_config_files.hpp"
#include "tests/doubles/fake_record_store.hpp"
#include "tests/doubles/recording_log.hpp"
#include "tests/doubles/sim_loop.hpp"

namespace eve::zedagent {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using test::quickstart;
using test::replaced;

const std::string app_key = test::app_uuid;
const std::string volume_key_0 = std::string(test::volume_uuid) + "#0";

/// Writes down in which order another agent hears of a topic.
template <class T> struct Ear {
    Ear(Bus& bus, std::vector<std::string>& heard, const std::string& name)
        : subscription(bus.subscribe<T>({.agent = "zedagent"},
                                        {.created = [&heard, name](const std::string&, const T&) { heard.push_back("+" + name); },
                                         .modified = [&heard, name](const std::string&, const T&, const T&) { heard.push_back("~" + name); },
                                         .deleted = [&heard, name](const std::string&, const T&) { heard.push_back("-" + name); },
                                         .restarted = [&heard, name](int) { heard.push_back("!" + name); }})) {}
    std::unique_ptr<Subscription<T>> subscription;
    const T* get(const std::string& key) const { return subscription->get(key); }
    std::size_t size() const { return subscription->items().size(); }
    int markers() const { return subscription->restart_counter(); }
};

class ZedagentTest : public testing::Test {
protected:
    SimClock clock;
    SimLoop loop{clock};
    RecordingLog log;
    FakeRecordStore store;
    SimLanes lanes{loop, Prng{7}};
    Bus bus{{.loop = loop, .log = log, .store = &store, .lanes = &lanes}};
    FakeConfigFiles files;
    std::vector<std::string> heard;
    Ear<types::ConfigItemValueMap> items{bus, heard, "items"};
    Ear<types::ZedAgentStatus> status{bus, heard, "status"};
    Ear<types::DatastoreConfig> datastores{bus, heard, "datastore"};
    Ear<types::PhysicalIOAdapterList> physical_io{bus, heard, "io"};
    Ear<types::NetworkXObjectConfig> networks{bus, heard, "network"};
    Ear<types::DevicePortConfig> ports{bus, heard, "ports"};
    Ear<types::NetworkInstanceConfig> instances{bus, heard, "instance"};
    Ear<types::ContentTreeConfig> trees{bus, heard, "tree"};
    Ear<types::VolumeConfig> volumes{bus, heard, "volume"};
    Ear<types::AppInstanceConfig> apps{bus, heard, "app"};
    Ear<ConfigStatus> config_status{bus, heard, "config"};
    std::unique_ptr<Agent> agent;

    void settle() { ASSERT_TRUE(loop.run_until_idle()); }
    void start() {
        agent = std::make_unique<Agent>(Agent::Deps{.bus = bus, .loop = loop, .lanes = lanes, .log = log, .files = files, .watch = files});
        settle();
    }
    void put(std::optional<std::string> bytes) {
        heard.clear();
        files.put(std::move(bytes));
        settle();
    }
    /// A new life of the agent, perhaps of the machine.
    void restart() {
        agent.reset();
        settle();
        heard.clear();
        start();
    }
    const ConfigStatus& answer() {
        const auto* record = config_status.get("global");
        return record != nullptr ? *record : nothing;
    }
    ConfigStatus nothing;
};

TEST_F(ZedagentTest, WithoutAnyConfigOnlyDefaultsArePublishedAndNoMarkerThatWouldDeleteApps) {
    start();
    EXPECT_THAT(heard, testing::UnorderedElementsAre("+items", "!items", "+status", "+config"));
    EXPECT_EQ(items.get("global")->GlobalSettings.at("timer.boot.retry").IntValue, 600u);
    EXPECT_EQ(status.get("zedagent")->ConfigGetStatus, types::ConfigGetStatus::ConfigGetFail);
    EXPECT_EQ(answer().Source, "");
    EXPECT_FALSE(answer().Accepted);
}

TEST_F(ZedagentTest, AGoodFileIsPublishedUnderEvesKeysWithAMarkerAfterEachTopic) {
    files.config = quickstart();
    start();
    EXPECT_EQ(status.get("zedagent")->ConfigGetStatus, types::ConfigGetStatus::ConfigGetSuccess);
    EXPECT_TRUE(physical_io.get("global")->Initialized);
    ASSERT_NE(ports.get("zedagent"), nullptr);
    ASSERT_NE(datastores.get(test::datastore_uuid), nullptr);
    ASSERT_NE(networks.get(test::network_uuid), nullptr);
    ASSERT_NE(instances.get(test::instance_uuid), nullptr);
    ASSERT_NE(trees.get(test::content_uuid), nullptr);
    ASSERT_NE(volumes.get(volume_key_0), nullptr);
    ASSERT_NE(apps.get(app_key), nullptr);
    for (const char* name : {"datastore", "io", "network", "ports", "instance", "tree", "volume", "app"}) {
        const auto created = std::ranges::find(heard, "+" + std::string(name));
        const auto marker = std::ranges::find(heard, "!" + std::string(name));
        ASSERT_NE(marker, heard.end()) << name;
        EXPECT_LT(created, marker) << name;
    }
    EXPECT_TRUE(answer().Accepted);
    EXPECT_EQ(answer().Source, "file");
    EXPECT_EQ(answer().Digest, config_digest(quickstart()));
    EXPECT_EQ(answer().DeviceUUID.to_string(), test::device_uuid);
    EXPECT_EQ(files.checkpoints.at(Checkpoint::last), quickstart());
}

TEST_F(ZedagentTest, TheVolumeMarkerComesAfterEveryBatch) {
    files.config = quickstart();
    start();
    const int first = volumes.markers();
    put(replaced(quickstart(), "\"activate\": true,\n      \"fixed", "\"activate\": false,\n      \"fixed"));
    EXPECT_GT(volumes.markers(), first);
    EXPECT_FALSE(apps.get(app_key)->Activate);
}

TEST_F(ZedagentTest, OnlyWhatChangedIsHeardOf) {
    files.config = quickstart();
    start();
    loop.run_for(5min);  // the same file is looked at again and again
    put(quickstart() + "\n");
    EXPECT_THAT(heard, testing::Each(testing::AnyOf(testing::StartsWith("!"), "~config")));
    put(replaced(quickstart(), "\"vcpus\": 1", "\"vcpus\": 2"));
    EXPECT_THAT(heard, testing::Contains("~app"));
    EXPECT_THAT(heard, testing::Not(testing::Contains("~volume")));
    EXPECT_THAT(heard, testing::Not(testing::Contains("~ports")));
}

TEST_F(ZedagentTest, WhatTheFileNoLongerHoldsIsUnpublished) {
    files.config = quickstart();
    start();
    put("{\"id\":{\"uuid\":\"" + std::string(test::device_uuid) + "\"}}");
    EXPECT_EQ(apps.size() + volumes.size() + trees.size() + datastores.size() + instances.size() + networks.size(), 0u);
    EXPECT_THAT(ports.get("zedagent")->Ports, IsEmpty());
    const auto order = [&](const char* name) { return std::ranges::find(heard, name) - heard.begin(); };
    EXPECT_LT(order("-app"), order("-volume"));
    EXPECT_LT(order("-volume"), order("-tree"));
    EXPECT_LT(order("-tree"), order("-datastore"));
}

TEST_F(ZedagentTest, ABadFileChangesNothingAndIsAnsweredWithTheField) {
    files.config = quickstart();
    start();
    const std::vector<std::string> bad = {"", "garbage", quickstart().substr(0, 500), replaced(quickstart(), "262144", "\"much\""),
                                          replaced(quickstart(), test::app_uuid, "x")};
    for (const auto& text : bad) {
        put(text);
        EXPECT_THAT(heard, ElementsAre("~config"));
        EXPECT_FALSE(answer().Accepted);
        EXPECT_EQ(answer().Digest, config_digest(text));
        EXPECT_EQ(answer().InForceDigest, config_digest(quickstart()));
        EXPECT_FALSE(answer().Error.empty());
        EXPECT_FALSE(answer().Remedy.empty());
    }
    EXPECT_EQ(answer().Field, "apps[0].uuidandversion.uuid");
    EXPECT_EQ(files.checkpoints.at(Checkpoint::last), quickstart());
    put(quickstart());
    EXPECT_TRUE(answer().Accepted);
    EXPECT_EQ(answer().Error, "");
}

TEST_F(ZedagentTest, ARemovedFileChangesNothing) {
    files.config = quickstart();
    start();
    put(std::nullopt);
    EXPECT_THAT(heard, ElementsAre("~config"));
    EXPECT_FALSE(answer().Accepted);
    EXPECT_EQ(apps.size(), 1u);
    loop.run_for(1h);
    EXPECT_EQ(log.count("config.refused"), 1u);
}

TEST_F(ZedagentTest, AMissedChangeIsFoundAtTheNextLook) {
    start();
    files.config = quickstart();  // no event
    loop.run_for(61s);
    EXPECT_NE(apps.get(app_key), nullptr);
}

TEST_F(ZedagentTest, TheLastGoodConfigIsUsedWhileTheFileIsBadOrAbsent) {
    for (const auto& file : {std::optional<std::string>{}, std::optional<std::string>{"garbage"}}) {
        files.config = file;
        files.checkpoints[Checkpoint::last] = quickstart();
        store.reboot();
        restart();
        ASSERT_NE(apps.get(app_key), nullptr);
        EXPECT_EQ(status.get("zedagent")->ConfigGetStatus, types::ConfigGetStatus::ConfigGetReadSaved);
        EXPECT_EQ(answer().Source, "checkpoint");
        EXPECT_FALSE(answer().Accepted);
        EXPECT_EQ(answer().Error.empty(), !file.has_value());
        EXPECT_GT(volumes.markers(), 0);
    }
}

TEST_F(ZedagentTest, ADamagedCheckpointFallsBackToTheTrustedOne) {
    files.config = quickstart();
    start();
    loop.run_for(11min);
    ASSERT_EQ(files.checkpoints.at(Checkpoint::backup), quickstart());
    files.config.reset();
    files.checkpoints[Checkpoint::last] = quickstart().substr(0, 99);
    restart();
    EXPECT_NE(apps.get(app_key), nullptr);
    EXPECT_EQ(answer().Source, "checkpoint");
    put(quickstart());  // the same config, but the damaged file must be mended
    EXPECT_EQ(files.checkpoints.at(Checkpoint::last), quickstart());
}

TEST_F(ZedagentTest, ARestartOfTheAgentDisturbsNothing) {
    files.config = quickstart();
    start();
    restart();
    EXPECT_THAT(heard, testing::Each(testing::AnyOf(testing::StartsWith("!"), "~config")));
    EXPECT_EQ(files.writes[Checkpoint::last], 1);
}

TEST_F(ZedagentTest, AnOlderConfigIsRefusedAlsoAfterARestart) {
    const auto dated = [](const char* when) {
        return replaced(quickstart(), "\"configItems\"", "\"configTimestamp\":\"" + std::string(when) + "\",\"configItems\"");
    };
    files.config = dated("2026-02-02T00:00:00Z");
    start();
    put(dated("2026-01-01T00:00:00Z"));
    EXPECT_FALSE(answer().Accepted);
    EXPECT_EQ(answer().Field, "configTimestamp");
    restart();
    EXPECT_FALSE(answer().Accepted);
    EXPECT_EQ(answer().Source, "checkpoint");
    put(dated("2026-03-03T00:00:00Z"));
    EXPECT_TRUE(answer().Accepted);
}

TEST_F(ZedagentTest, ABadItemIsNamedTheRestAppliesAndItsPreviousValueStays) {
    files.config = quickstart();
    start();
    const auto text = replaced(quickstart(), "\"value\": \"30\"}", "\"value\": \"3\"}, {\"key\": \"nonsense\", \"value\": \"1\"}");
    put(replaced(text, "\"vcpus\": 1", "\"vcpus\": 2"));
    EXPECT_TRUE(answer().Accepted);
    ASSERT_THAT(answer().ConfigItemErrors, SizeIs(2));
    EXPECT_EQ(answer().ConfigItemErrors[0].Name, "timer.boot.retry");
    EXPECT_THAT(answer().ConfigItemErrors[0].Error, HasSubstr("out of range"));
    EXPECT_TRUE(answer().ConfigItemErrors[1].Unknown);
    EXPECT_EQ(items.get("global")->GlobalSettings.at("timer.boot.retry").IntValue, 30u);
    EXPECT_EQ(apps.get(app_key)->FixedResources.VCpus, 2);
}

TEST_F(ZedagentTest, InMaintenanceOnlyTheItemsApply) {
    files.config = quickstart();
    start();
    put(replaced(replaced(quickstart(), "\"vcpus\": 1", "\"vcpus\": 2"), "\"deviceName\"", "\"maintenanceMode\": true, \"deviceName\""));
    EXPECT_TRUE(status.get("zedagent")->MaintenanceMode);
    EXPECT_TRUE(answer().MaintenanceMode);
    EXPECT_EQ(apps.get(app_key)->FixedResources.VCpus, 1);
    put(replaced(quickstart(), "\"vcpus\": 1", "\"vcpus\": 2"));
    EXPECT_FALSE(status.get("zedagent")->MaintenanceMode);
    EXPECT_EQ(apps.get(app_key)->FixedResources.VCpus, 2);
}

TEST_F(ZedagentTest, AnAppTooLargeForAMessageIsPublishedAsAnError) {
    std::string rules;
    for (int i = 10; i < 1500; ++i) rules += R"({"id": )" + std::to_string(i) + R"(, "matches": [{"type": "ip", "value": "10.0.0.0/8"}]}, )";
    files.config = replaced(quickstart(), "{\"id\": 1, \"name\"", rules + "{\"id\": 1, \"name\"");
    start();
    ASSERT_NE(apps.get(app_key), nullptr);
    EXPECT_THAT(apps.get(app_key)->Errors, ElementsAre(HasSubstr("too large for a message")));
    EXPECT_THAT(apps.get(app_key)->AppNetAdapterList[0].ACLs, IsEmpty());
    EXPECT_TRUE(answer().Accepted);
}

class LocalCommandTest : public ZedagentTest {
protected:
    std::unique_ptr<Publication<types::LocalAppCommand>> requests = bus.publish<types::LocalAppCommand>({.agent = "zedclient"});

    void ask(types::AppCommand what, std::uint64_t timestamp, const std::string& app = app_key) {
        types::LocalAppCommand command;
        command.Command = what;
        command.LocalServerTimestamp = timestamp;
        ASSERT_TRUE(requests->publish(app, command));
        settle();
    }
};

TEST_F(LocalCommandTest, ARestartCountsOnceAndIsKept) {
    files.config = quickstart();
    start();
    ask(types::AppCommand::AppCommandRestart, 1);
    EXPECT_EQ(apps.get(app_key)->LocalRestartCmd.Counter, 1u);
    ask(types::AppCommand::AppCommandRestart, 2);
    EXPECT_EQ(apps.get(app_key)->LocalRestartCmd.Counter, 2u);
    restart();  // the request of the former life is found again
    EXPECT_EQ(apps.get(app_key)->LocalRestartCmd.Counter, 2u);
    EXPECT_THAT(heard, testing::Not(testing::Contains("~app")));
}

TEST_F(LocalCommandTest, APurgeMovesEveryVolumeOfTheAppToTheNextGeneration) {
    files.config = quickstart();
    start();
    const int markers = volumes.markers();
    ask(types::AppCommand::AppCommandPurge, 1);
    EXPECT_EQ(apps.get(app_key)->LocalPurgeCmd.Counter, 1u);
    EXPECT_EQ(apps.get(app_key)->VolumeRefConfigList[0].LocalGenerationCounter, 1);
    EXPECT_EQ(volumes.size(), 1u);
    ASSERT_NE(volumes.get(std::string(test::volume_uuid) + "#1"), nullptr);
    EXPECT_GT(volumes.markers(), markers);
    put(replaced(quickstart(), "\"vcpus\": 1", "\"vcpus\": 2"));
    EXPECT_EQ(apps.get(app_key)->LocalPurgeCmd.Counter, 1u);
}

TEST_F(LocalCommandTest, NothingIsPublishedBeforeTheCounterIsOnDisk) {
    files.config = quickstart();
    start();
    files.write_fault = Error{.code = Code::resource_exhausted, .what = "no space"};
    ask(types::AppCommand::AppCommandRestart, 1);
    EXPECT_EQ(apps.get(app_key)->LocalRestartCmd.Counter, 0u);
    EXPECT_TRUE(log.has("config.local_commands_not_saved"));
    files.write_fault.reset();
    loop.run_for(11s);
    EXPECT_EQ(apps.get(app_key)->LocalRestartCmd.Counter, 1u);
}

TEST_F(LocalCommandTest, CommandsForUnknownAppsAndOfUnknownKindsAreRefused) {
    files.config = quickstart();
    start();
    ask(types::AppCommand::AppCommandRestart, 1, "11111111-2222-3333-4444-555555555555");
    EXPECT_TRUE(log.has("config.local_command_unknown_app"));
    ask(static_cast<types::AppCommand>(99), 1);
    EXPECT_TRUE(log.has("config.local_command_unknown"));
    EXPECT_EQ(apps.get(app_key)->LocalRestartCmd.Counter, 0u);
}

TEST_F(LocalCommandTest, ARemovedAppIsForgotten) {
    files.config = quickstart();
    start();
    ask(types::AppCommand::AppCommandPurge, 1);
    put("{\"id\":{\"uuid\":\"" + std::string(test::device_uuid) + "\"}}");
    put(quickstart());
    EXPECT_EQ(apps.get(app_key)->LocalPurgeCmd.Counter, 0u);
    EXPECT_NE(volumes.get(volume_key_0), nullptr);
}

}  // namespace
}  // namespace eve::zedagent
