// The agent under virtual time, against a runtime in memory that keeps the contract.

#include <gmock/gmock.h>

#include "eve/testing/call_context.hpp"
#include "core/domainmgr/listing.hpp"
#include "tests/unit/domainmgr/domain_bench.hpp"

namespace eve {
namespace {

using namespace std::chrono_literals;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using types::SwState;

class DomainAgentTest : public DomainBench {
protected:
    void start_node() {
        node.publish_all();
        start_agent();
        loop.run_for(1s);
    }
    /// As the death of the process: nothing is unpublished, nothing in flight ends.
    void kill_agent() {
        agent.reset();
        lanes.drop_everything();
    }
    testing::FakeHypervisor& hypervisor() { return *runtimes.hypervisor; }
    std::size_t calls(const std::string& call) const {
        const auto& all = runtimes.hypervisor->calls();
        return static_cast<std::size_t>(std::count(all.begin(), all.end(), call));
    }
    domainmgr::Runtime container_runtime() {
        auto other = std::make_shared<testing::FakeHypervisor>();
        other->description.id = "org.lfedge.eve.container";
        other->description.modes = {VirtualizationMode::container};
        return {.hypervisor = other, .description = other->description, .probe = other->report, .usb = {}, .cpus = {}};
    }
    void run_app(unsigned n) {
        ASSERT_TRUE(node.configs->publish(app_uuid(n), domain_config(n, host)));
        ASSERT_TRUE(until(n, SwState::RUNNING)) << status(n).Error;
    }
};

TEST_F(DomainAgentTest, WaitsForEveryoneItDependsOnBeforeItListensToConfigs) {
    ASSERT_TRUE(node.configs->publish(app_uuid(1), domain_config(1, host)));
    start_agent();
    loop.run_for(1min);
    EXPECT_EQ(statuses->get(app_uuid(1)), nullptr);
    node.publish_items();
    node.publish_model();
    node.publish_network();
    node.publish_onboarding();
    loop.run_for(1min);
    EXPECT_EQ(statuses->get(app_uuid(1)), nullptr);
    node.publish_vault();
    EXPECT_TRUE(until(1, SwState::RUNNING));
}

TEST_F(DomainAgentTest, PublishesWhatOthersWaitFor) {
    const auto memory = bus.subscribe<types::HostMemory>({.agent = "domainmgr"});
    const auto capabilities = bus.subscribe<types::Capabilities>({.agent = "domainmgr"});
    const auto adapters = bus.subscribe<types::AssignableAdapters>({.agent = "domainmgr"});
    start_node();
    ASSERT_NE(memory->get("global"), nullptr);
    EXPECT_EQ(memory->get("global")->TotalMemoryMB, 8192U);
    ASSERT_NE(capabilities->get("global"), nullptr);
    ASSERT_NE(adapters->get("global"), nullptr);
    EXPECT_TRUE(adapters->get("global")->Initialized);
    ASSERT_EQ(adapters->get("global")->IoBundleList.size(), 1U);
    EXPECT_TRUE(adapters->get("global")->IoBundleList[0].IsPort);
}

TEST_F(DomainAgentTest, BootsAnAppAndSaysSo) {
    start_node();
    auto config = domain_config(1, host);
    config.CloudInitUserData = types::to_base64({'#', 'c'});
    ASSERT_TRUE(node.configs->publish(app_uuid(1), config));
    ASSERT_TRUE(until(1, SwState::RUNNING));
    const auto running = status(1);
    EXPECT_TRUE(running.Activated);
    EXPECT_EQ(running.DomainId, 1000);
    EXPECT_EQ(running.DomainName, app_uuid(1) + ".1.1");
    EXPECT_FALSE(running.BootTime.is_zero());
    EXPECT_FALSE(running.PendingAdd);
    ASSERT_EQ(running.DiskStatusList.size(), 2U);
    EXPECT_EQ(running.DiskStatusList[1].Vdev, "xvdz");
    ASSERT_EQ(running.VifList.size(), 1U);
    EXPECT_EQ(running.VifList[0].VifUsed, "nbu1x1");
    const auto& spec = hypervisor().find(DomainId{app_uuid(1)})->spec;
    EXPECT_EQ(spec.disks.size(), 2U);
    EXPECT_EQ(spec.vifs[0].name, "nbu1x1");
    loop.run_for(1s);
    EXPECT_TRUE(host.active.contains(config.UUIDandVersion.UUID));
    EXPECT_TRUE(host.cloud_init.contains(config.UUIDandVersion.UUID));
}

TEST_F(DomainAgentTest, MarksOfManyAppsAreWrittenInGroups) {
    start_node();
    runtimes.hypervisor->description.limits.calls_in_flight_max = 8;
    loop.run_for(10s);
    for (unsigned n = 1; n <= 30; ++n) ASSERT_TRUE(node.configs->publish(app_uuid(n), domain_config(n, host)));
    ASSERT_TRUE(loop.run_until([&] { return host.active.size() == 30; }, 2min));
    EXPECT_LT(host.active_groups.size(), 30U);
    for (unsigned n = 1; n <= 30; ++n) ASSERT_TRUE(node.configs->unpublish(app_uuid(n)));
    EXPECT_TRUE(loop.run_until([&] { return host.active.empty() && statuses->items().empty(); }, 2min));
}

TEST_F(DomainAgentTest, AnAppThatGoesWhileItWaitsToBeCreatedHoldsUpNobody) {
    start_node();
    constexpr unsigned apps = 40;
    for (unsigned n = 1; n <= apps; ++n) ASSERT_TRUE(node.configs->publish(app_uuid(n), domain_config(n, host)));
    const auto running = [&] {
        const auto& all = statuses->items();
        return std::count_if(all.begin(), all.end(), [](const auto& item) { return item.second->State == SwState::RUNNING; });
    };
    // Each goes, or is switched off, as the next in turn or while others are.
    for (unsigned n = 2; n <= apps; n += 3) {
        ASSERT_TRUE(loop.run_until([&] { return running() >= static_cast<std::ptrdiff_t>((n - 1) / 3); }, 1min)) << n;
        auto config = domain_config(n, host);
        config.Activate = false;
        ASSERT_TRUE(n % 2 == 0 ? node.configs->unpublish(app_uuid(n)) : node.configs->publish(app_uuid(n), config));
    }
    for (unsigned n = 1; n <= apps; ++n) {
        if (n % 3 == 2) continue;
        EXPECT_TRUE(until(n, SwState::RUNNING, 2min)) << n;
        EXPECT_EQ(calls("create " + app_uuid(n)), 1U);
    }
}

TEST_F(DomainAgentTest, DeletesAnAppWithEverythingItLeft) {
    start_node();
    auto config = domain_config(1, host);
    config.CloudInitUserData = types::to_base64({'#', 'c'});
    ASSERT_TRUE(node.configs->publish(app_uuid(1), config));
    ASSERT_TRUE(until(1, SwState::RUNNING));
    ASSERT_TRUE(node.configs->unpublish(app_uuid(1)));
    EXPECT_TRUE(loop.run_until([&] { return statuses->get(app_uuid(1)) == nullptr; }, 30s));
    EXPECT_THAT(hypervisor().domains(), IsEmpty());
    EXPECT_THAT(host.cloud_init, IsEmpty());
    EXPECT_THAT(host.active, IsEmpty());
    EXPECT_THAT(hypervisor().calls(), Contains("stop.ask " + app_uuid(1)));
    loop.run_for(1s);
    EXPECT_EQ(notes->get(app_uuid(1)), nullptr);
}

TEST_F(DomainAgentTest, DeactivationHaltsAndActivationBootsAgainAtOnce) {
    start_node();
    run_app(1);
    auto config = domain_config(1, host);
    config.Activate = false;
    ASSERT_TRUE(node.configs->publish(app_uuid(1), config));
    ASSERT_TRUE(until(1, SwState::HALTED));
    EXPECT_FALSE(status(1).Activated);
    EXPECT_EQ(status(1).DomainId, 0);
    EXPECT_TRUE(status(1).Error.empty());
    loop.run_for(1s);
    EXPECT_THAT(host.active, IsEmpty());
    config.Activate = true;
    ASSERT_TRUE(node.configs->publish(app_uuid(1), config));
    EXPECT_TRUE(until(1, SwState::RUNNING, 5s));
}

TEST_F(DomainAgentTest, AStopOnceBegunIsFinishedThoughTheAppIsWantedAgain) {
    start_node();
    run_app(1);
    hypervisor().guests_obey = false;
    auto config = domain_config(1, host);
    config.Activate = false;
    ASSERT_TRUE(node.configs->publish(app_uuid(1), config));
    ASSERT_TRUE(until(1, SwState::HALTING));
    config.Activate = true;
    ASSERT_TRUE(node.configs->publish(app_uuid(1), config));
    loop.run_for(5s);
    EXPECT_EQ(status(1).State, SwState::HALTING);
    hypervisor().guest_halts(DomainId{app_uuid(1)});
    EXPECT_TRUE(until(1, SwState::RUNNING, 10s));
    EXPECT_EQ(calls("create " + app_uuid(1)), 2U);
}

TEST_F(DomainAgentTest, AGuestThatIgnoresTheRequestIsCutAtTheOneDeadline) {
    start_node();
    run_app(1);
    hypervisor().guests_obey = false;
    const auto began = loop.now();
    ASSERT_TRUE(node.configs->unpublish(app_uuid(1)));
    ASSERT_TRUE(loop.run_until([&] { return statuses->get(app_uuid(1)) == nullptr; }, 5min));
    EXPECT_GE(loop.now() - began, 45s);
    EXPECT_LE(loop.now() - began, 70s);
    EXPECT_EQ(calls("stop.cut " + app_uuid(1)), 1U);
    EXPECT_GE(calls("stop.ask " + app_uuid(1)), 2U);
}

TEST_F(DomainAgentTest, ThreeTriesFiveSecondsApartThenTheBootRetry) {
    start_node();
    node.publish_items(60);
    for (int i = 0; i < 3; ++i) hypervisor().plan({.method = "create", .error = {.code = Code::failed_precondition, .what = "no bridge bn1"}});
    ASSERT_TRUE(node.configs->publish(app_uuid(1), domain_config(1, host)));
    ASSERT_TRUE(loop.run_until([&] { return status(1).BootFailed; }, 60s));
    EXPECT_EQ(calls("create " + app_uuid(1)), 3U);
    const auto failed = status(1);
    EXPECT_THAT(failed.Error, HasSubstr("no bridge bn1"));
    EXPECT_EQ(failed.ErrorRetryCondition, "will retry in 1m0s");
    EXPECT_EQ(failed.ErrorSeverity, types::ErrorSeverity::ErrorSeverityWarning);
    EXPECT_EQ(failed.TriedCount, 1);
    EXPECT_FALSE(until(1, SwState::RUNNING, 40s));
    EXPECT_TRUE(until(1, SwState::RUNNING, 30s));
    EXPECT_TRUE(status(1).Error.empty());
    EXPECT_FALSE(status(1).BootFailed);
}

TEST_F(DomainAgentTest, ARefusedAppIsNotTriedAgainBeforeItsConfigChanges) {
    start_node();
    hypervisor().problems_of = [](const DomainSpec& spec) {
        return spec.vcpus > 2 ? std::vector<Problem>{{".vcpus", "more than 2", "ask for fewer"}} : std::vector<Problem>{};
    };
    auto config = domain_config(1, host);
    config.VCpus = 3;
    ASSERT_TRUE(node.configs->publish(app_uuid(1), config));
    loop.run_for(1h);
    EXPECT_EQ(calls("create " + app_uuid(1)), 1U);
    EXPECT_THAT(status(1).Error, HasSubstr("more than 2 (ask for fewer)"));
    EXPECT_TRUE(status(1).ErrorRetryCondition.empty());
    config.VCpus = 2;
    ASSERT_TRUE(node.configs->publish(app_uuid(1), config));
    EXPECT_TRUE(until(1, SwState::RUNNING));
}

TEST_F(DomainAgentTest, AGuestThatPowersItselfOffIsHaltedAndBootedAfterTheBootRetry) {
    start_node();
    run_app(1);
    hypervisor().guest_halts(DomainId{app_uuid(1)});
    runtimes.emit(app_uuid(1));
    ASSERT_TRUE(until(1, SwState::HALTED, 2s));
    const auto halted = status(1);
    EXPECT_FALSE(halted.Activated);
    EXPECT_TRUE(halted.BootFailed);
    EXPECT_EQ(halted.DomainId, 0);
    EXPECT_EQ(halted.ErrorRetryCondition, "will retry in 10m0s");
    EXPECT_FALSE(until(1, SwState::RUNNING, 595s));
    EXPECT_TRUE(until(1, SwState::RUNNING, 30s));
}

TEST_F(DomainAgentTest, AGuestWhoseVmmDiesIsBrokenWithTheSignalNamedAndStartedAgainWithBackOff) {
    start_node();
    node.publish_items(60);
    run_app(1);
    for (const auto wait : {60s, 120s, 240s}) {
        hypervisor().guest_dies(DomainId{app_uuid(1)}, 11);
        ASSERT_TRUE(until(1, SwState::BROKEN, 31s));
        ASSERT_TRUE(loop.run_until([&] { return !status(1).Activated; }, 5s));
        EXPECT_THAT(status(1).Error, HasSubstr("signal 11"));
        EXPECT_EQ(status(1).ErrorSeverity, types::ErrorSeverity::ErrorSeverityError);
        EXPECT_FALSE(until(1, SwState::RUNNING, wait - 20s)) << wait.count();
        EXPECT_TRUE(until(1, SwState::RUNNING, 30s)) << wait.count();
        EXPECT_TRUE(status(1).Error.empty());
    }
}

TEST_F(DomainAgentTest, InEvesWayABrokenAppStaysDownUntilItIsDeactivated) {
    start_node();
    node.publish_items(60, false);
    run_app(1);
    hypervisor().guest_dies(DomainId{app_uuid(1)}, 9);
    ASSERT_TRUE(until(1, SwState::BROKEN, 31s));
    EXPECT_FALSE(until(1, SwState::RUNNING, 24h));
    auto config = domain_config(1, host);
    ASSERT_TRUE(node.configs->publish(app_uuid(1), config));
    EXPECT_FALSE(until(1, SwState::RUNNING, 1h));
    config.Activate = false;
    ASSERT_TRUE(node.configs->publish(app_uuid(1), config));
    ASSERT_TRUE(until(1, SwState::HALTED));
    config.Activate = true;
    ASSERT_TRUE(node.configs->publish(app_uuid(1), config));
    EXPECT_TRUE(until(1, SwState::RUNNING));
}

TEST_F(DomainAgentTest, ADomainThatVanishesIsBrokenNotRunningForEver) {
    start_node();
    run_app(1);
    const eve::testing::FakeCall call;
    (void)hypervisor().destroy(call, DomainId{app_uuid(1)}, DestroyMode::keep_state);
    ASSERT_TRUE(until(1, SwState::BROKEN, 31s));
    EXPECT_EQ(status(1).DomainId, 0);
    EXPECT_THAT(status(1).Error, HasSubstr("gone"));
}

TEST_F(DomainAgentTest, DomainsThatRunSteadilyAreLookedAtTogether) {
    start_node();
    for (unsigned n = 1; n <= 20; ++n) run_app(n);
    loop.run_for(1min);
    hypervisor().forget_calls();
    loop.run_for(10min);
    std::size_t alone = 0;
    for (const auto& call : hypervisor().calls()) alone += call.starts_with("inspect") ? 1 : 0;
    EXPECT_EQ(alone, 0U);
    EXPECT_GE(calls("list"), 600U / 30);
    EXPECT_LE(calls("list"), 600U / 9 + 2);
}

TEST_F(DomainAgentTest, WhatHappensToOneOfManyIsNoticedAsSoon) {
    start_node();
    for (unsigned n = 1; n <= 5; ++n) run_app(n);
    loop.run_for(1min);
    hypervisor().guest_dies(DomainId{app_uuid(2)}, 9);
    EXPECT_TRUE(until(2, SwState::BROKEN, 31s));
    const eve::testing::FakeCall call;
    (void)hypervisor().destroy(call, DomainId{app_uuid(3)}, DestroyMode::keep_state);
    EXPECT_TRUE(until(3, SwState::BROKEN, 31s)) << "a list that does not name it makes it be looked at alone";
    EXPECT_THAT(status(3).Error, HasSubstr("gone"));
    for (const unsigned n : {1U, 4U, 5U}) EXPECT_EQ(status(n).State, SwState::RUNNING);
}

TEST_F(DomainAgentTest, ARuntimeThatCannotListIsAskedForEachDomain) {
    start_node();
    for (unsigned n = 1; n <= 5; ++n) run_app(n);
    hypervisor().before = [](std::string_view method, const DomainId&) {
        return method == "list" ? Status(Error{.code = Code::timed_out, .what = "a monitor is wedged"}) : Status();
    };
    loop.run_for(1min);
    hypervisor().guest_dies(DomainId{app_uuid(2)}, 9);
    EXPECT_TRUE(until(2, SwState::BROKEN, 31s));
    EXPECT_EQ(status(1).State, SwState::RUNNING);
}

TEST_F(DomainAgentTest, ALostReplyCostsALookNotASecondDomain) {
    start_node();
    for (const char* method : {"create", "start"})
        hypervisor().plan({.method = method, .error = {.code = Code::timed_out, .what = "no reply"}, .after = true});
    run_app(1);
    EXPECT_EQ(hypervisor().find(DomainId{app_uuid(1)})->info.pid, 1000);
    EXPECT_TRUE(status(1).Error.empty());
}

TEST_F(DomainAgentTest, TheRemainsOfACreationAreClearedAwayAndItIsTriedAgain) {
    start_node();
    hypervisor().before = [this](std::string_view method, const DomainId& id) -> Status {
        if (method != "start" || hypervisor().next_pid > 1001) return {};
        hypervisor().guest_dies(id, 9);  // before it ran
        return Error{.code = Code::not_found, .what = "it is not there"};
    };
    run_app(1);
    EXPECT_EQ(status(1).DomainId, 1001);
    EXPECT_TRUE(status(1).Error.empty());
    EXPECT_EQ(status(1).TriedCount, 0);
}

TEST_F(DomainAgentTest, ARestartedNodeAdoptsWhatRuns) {
    start_node();
    run_app(1);
    const auto before = status(1);
    kill_agent();
    hypervisor().forget_calls();
    loop.run_for(10min);
    EXPECT_EQ(status(1), before);
    start_agent();
    loop.run_for(1min);
    EXPECT_EQ(status(1), before);  // the boot time too
    EXPECT_EQ(calls("create " + app_uuid(1)), 0U);
    EXPECT_EQ(calls("stop.ask " + app_uuid(1)), 0U);
    EXPECT_EQ(hypervisor().find(DomainId{app_uuid(1)})->info.pid, 1000);
}

TEST_F(DomainAgentTest, ARestartedNodeTakesWhatTheListSaysAndLooksOnlyWhereItIsInDoubt) {
    start_node();
    for (unsigned n = 1; n <= 5; ++n) run_app(n);
    kill_agent();
    hypervisor().forget_calls();
    start_agent();
    ASSERT_TRUE(loop.run_until([&] { return log.count("domainmgr.ready") == 2; }, 10s));
    loop.run_for(2s);
    for (unsigned n = 1; n <= 5; ++n) {
        EXPECT_EQ(status(n).State, SwState::RUNNING);
        EXPECT_EQ(calls("inspect " + app_uuid(n)), 0U) << n;
    }
    // A new app is in no list: nothing of it can be there.
    run_app(6);
    EXPECT_EQ(calls("inspect " + app_uuid(6)), 0U);
    // One that was there before may have left something.
    ASSERT_TRUE(node.configs->unpublish(app_uuid(6)));
    ASSERT_TRUE(loop.run_until([&] { return statuses->get(app_uuid(6)) == nullptr; }, 30s));
    hypervisor().forget_calls();
    run_app(6);
    EXPECT_EQ(calls("inspect " + app_uuid(6)), 1U);
}

TEST(DomainListing, AnswersOnlyWhatIsCertain) {
    const Instant start{std::chrono::hours{1}};
    const DomainInfo there{.id = DomainId{"there"}, .presence = Presence::present, .state = DomainState::running};
    domainmgr::Listing listing;
    EXPECT_FALSE(listing.answer("there", start)) << "nobody was asked";
    listing.begin();
    listing.add(there);
    EXPECT_FALSE(listing.answer("there", start)) << "not all have answered";
    listing.complete(start);
    EXPECT_EQ(listing.answer("there", start), there);
    EXPECT_EQ(listing.answer("new", start)->presence, Presence::absent);
    EXPECT_FALSE(listing.answer("there", start + domainmgr::listing_believed + 1s)) << "it may have died since";
    EXPECT_TRUE(listing.answer("new", start + 1h)) << "nobody else makes domains";
    listing.doubt("there");
    listing.doubt("new");
    EXPECT_FALSE(listing.answer("there", start));
    EXPECT_FALSE(listing.answer("new", start));
    listing.begin();
    listing.add(there);
    listing.add(there);
    listing.failed();
    listing.complete(start);
    EXPECT_FALSE(listing.answer("there", start)) << "two claim it";
    EXPECT_FALSE(listing.answer("new", start)) << "one did not answer";
}

TEST_F(DomainAgentTest, ANodeWithoutRecordsAdoptsWhatRunsToo) {
    start_node();
    run_app(1);
    kill_agent();
    store = FakeRecordStore{};
    Bus fresh{{.loop = loop, .log = log, .store = &store}};
    DomainNode others{fresh};
    others.publish_all();
    domainmgr::Agent second{{.bus = fresh,
                             .loop = loop,
                             .lanes = lanes,
                             .log = log,
                             .runtimes = runtimes,
                             .host = host,
                             .random = [this](std::uint64_t limit) { return prng.below(limit); }}};
    const auto heard = fresh.subscribe<types::DomainStatus>({.agent = "domainmgr"});
    loop.run_for(2s);
    ASSERT_TRUE(others.configs->publish(app_uuid(1), domain_config(1, host)));
    loop.run_for(2s);
    const auto* adopted = heard->get(app_uuid(1));
    ASSERT_NE(adopted, nullptr);
    EXPECT_EQ(adopted->State, SwState::RUNNING);
    EXPECT_EQ(adopted->DomainId, 1000);
    EXPECT_EQ(adopted->BootTime.to_string(), "2000-01-01T00:00:00Z");
    EXPECT_EQ(calls("create " + app_uuid(1)), 1U);
}

TEST_F(DomainAgentTest, WhatEndedWhileNoNodeWatchedIsStartedAtOnce) {
    start_node();
    run_app(1);
    kill_agent();
    hypervisor().guest_dies(DomainId{app_uuid(1)}, 9);
    start_agent();
    EXPECT_TRUE(loop.run_until([&] { return status(1).DomainId == 1001 && status(1).State == SwState::RUNNING; }, 10s));
    EXPECT_TRUE(status(1).Error.empty());
}

TEST_F(DomainAgentTest, AnAppDeletedMeanwhileIsReapedOnceAllConfigsAreKnown) {
    start_node();
    run_app(1);
    run_app(2);
    kill_agent();
    ASSERT_TRUE(node.configs->unpublish(app_uuid(2)));
    start_agent();
    loop.run_for(30s);
    EXPECT_NE(hypervisor().find(DomainId{app_uuid(2)}), nullptr);  // its config may still come
    loop.run_for(3min);
    EXPECT_EQ(hypervisor().find(DomainId{app_uuid(2)}), nullptr);
    EXPECT_EQ(statuses->get(app_uuid(2)), nullptr);
    EXPECT_EQ(hypervisor().find(DomainId{app_uuid(1)})->info.pid, 1000);
}

TEST_F(DomainAgentTest, ADomainWithoutRecordOrConfigIsReaped) {
    start_node();
    run_app(1);
    kill_agent();
    store = FakeRecordStore{};
    Bus fresh{{.loop = loop, .log = log, .store = &store}};
    DomainNode others{fresh};
    others.publish_all();
    others.configs->signal_restarted();
    domainmgr::Agent second{{.bus = fresh,
                             .loop = loop,
                             .lanes = lanes,
                             .log = log,
                             .runtimes = runtimes,
                             .host = host,
                             .random = [this](std::uint64_t limit) { return prng.below(limit); }}};
    loop.run_for(3min);
    EXPECT_THAT(hypervisor().domains(), IsEmpty());
    EXPECT_TRUE(log.has("domain.orphan"));
}

TEST_F(DomainAgentTest, FilesOfAnAppWhoseDomainIsGoneAndThatIsDeletedMeanwhileAreRemoved) {
    start_node();
    auto config = domain_config(1, host);
    config.CloudInitUserData = types::to_base64({'#', 'c'});
    ASSERT_TRUE(node.configs->publish(app_uuid(1), config));
    ASSERT_TRUE(until(1, SwState::RUNNING));
    kill_agent();  // between the end of the domain and that of its files
    const eve::testing::FakeCall call;
    ASSERT_TRUE(hypervisor().destroy(call, DomainId{app_uuid(1)}, DestroyMode::purge));
    ASSERT_TRUE(node.configs->unpublish(app_uuid(1)));
    node.configs->signal_restarted();
    start_agent();
    loop.run_for(3min);
    EXPECT_EQ(statuses->get(app_uuid(1)), nullptr);
    EXPECT_THAT(host.cloud_init, IsEmpty());
    EXPECT_THAT(host.active, IsEmpty());
}

TEST_F(DomainAgentTest, WithTheMarkerAnOrphanIsReapedWithoutWaiting) {
    start_node();
    run_app(1);
    kill_agent();
    ASSERT_TRUE(node.configs->unpublish(app_uuid(1)));
    node.configs->signal_restarted();
    start_agent();
    loop.run_for(10s);
    EXPECT_THAT(hypervisor().domains(), IsEmpty());
    EXPECT_GT(statuses->restart_counter(), 0);  // echoed
}

TEST_F(DomainAgentTest, TheRecordOfAnAppDeletedMeanwhileStandsUntilItsDomainIsGone) {
    start_node();
    run_app(1);
    kill_agent();
    ASSERT_TRUE(node.configs->unpublish(app_uuid(1)));
    node.configs->signal_restarted();
    start_agent();
    for (int second = 0; second < 180 && hypervisor().find(DomainId{app_uuid(1)}) != nullptr; ++second) {
        EXPECT_NE(statuses->get(app_uuid(1)), nullptr) << "after " << second << " s";
        loop.run_for(1s);
    }
    loop.run_for(30s);
    EXPECT_THAT(hypervisor().domains(), IsEmpty());
    EXPECT_EQ(statuses->get(app_uuid(1)), nullptr);
}

TEST_F(DomainAgentTest, AStrayRecordOfAnEarlierLifeIsDropped) {
    {
        const auto earlier = bus.publish<types::DomainStatus>({.agent = "domainmgr"});
        ASSERT_TRUE(earlier->publish("stray", {}));
    }
    node.configs->signal_restarted();
    start_node();
    loop.run_for(1min);
    EXPECT_EQ(statuses->get("stray"), nullptr);
    run_app(1);
}

TEST_F(DomainAgentTest, NothingIsDoneWhileNobodyCanTellWhatIsThere) {
    start_node();
    run_app(1);
    hypervisor().before = [](std::string_view method, const DomainId&) -> Status {
        if (method == "inspect") return Error{.code = Code::unavailable, .what = "the monitor does not answer"};
        return {};
    };
    hypervisor().forget_calls();
    loop.run_for(10min);
    EXPECT_EQ(status(1).State, SwState::RUNNING);
    EXPECT_EQ(status(1).DomainId, 1000);
    for (const auto& call : hypervisor().calls()) EXPECT_FALSE(call.starts_with("destroy") || call.starts_with("stop")) << call;
}

TEST_F(DomainAgentTest, ThatNobodyCanTellIsSaidAndTakenBack) {
    start_node();
    run_app(1);
    bool silent = true;
    hypervisor().before = [&](std::string_view method, const DomainId&) -> Status {
        if (silent && method == "inspect") return Error{.code = Code::unavailable, .what = "its plugin is being started again"};
        return {};
    };
    loop.run_for(2min);
    EXPECT_THAT(status(1).Error, HasSubstr("does not answer: its plugin is being started again"));
    silent = false;
    loop.run_for(1min);
    EXPECT_EQ(status(1).Error, "");
    EXPECT_EQ(status(1).State, SwState::RUNNING);
}

TEST_F(DomainAgentTest, ARuntimeThatWorksOnlyLaterIsUsedBesideTheOthers) {
    runtimes.available = false;
    runtimes.others = {container_runtime()};
    start_node();
    ASSERT_TRUE(node.configs->publish(app_uuid(1), domain_config(1, host)));
    loop.run_for(10min);
    EXPECT_THAT(status(1).Error, HasSubstr("no runtime of this node"));
    runtimes.available = true;
    EXPECT_TRUE(until(1, SwState::RUNNING, 40s)) << "an app waits: it is asked for every half a minute";
    const unsigned asked = runtimes.probes;
    loop.run_for(10min);
    EXPECT_LE(runtimes.probes - asked, 3U) << "nobody waits any more";
}

TEST_F(DomainAgentTest, AnAppWhoseRuntimeIsAwayWhenTheNodeStartsAgainIsNotTakenForGone) {
    start_node();
    run_app(1);
    run_app(2);
    kill_agent();
    const auto before = status(1);
    runtimes.available = false;
    // It would say that it knows neither.
    auto container = container_runtime();
    container.description.modes.push_back(VirtualizationMode::hvm);
    runtimes.others = {container};
    start_agent();
    loop.run_for(2min);
    EXPECT_EQ(status(1).State, SwState::RUNNING);
    EXPECT_EQ(status(1).DomainId, before.DomainId);
    EXPECT_THAT(status(1).Error, HasSubstr("the runtime that had it is not usable now"));
    ASSERT_TRUE(node.configs->unpublish(app_uuid(2)));
    loop.run_for(2min);
    EXPECT_NE(statuses->get(app_uuid(2)), nullptr) << "its volumes and its network would go while its guest runs";
    runtimes.available = true;
    hypervisor().forget_calls();
    loop.run_for(2min);
    EXPECT_EQ(status(1), before);
    EXPECT_EQ(calls("create " + app_uuid(1)), 0U);
    EXPECT_EQ(statuses->get(app_uuid(2)), nullptr);
    EXPECT_EQ(hypervisor().find(DomainId{app_uuid(2)}), nullptr);
}

TEST_F(DomainAgentTest, WhichRuntimeHadAnAppIsKnownHoweverLongThatOneIsAway) {
    start_node();
    run_app(1);
    const auto before = status(1);
    runtimes.available = false;
    auto other = container_runtime();
    other.description.modes = {VirtualizationMode::hvm};  // it would take the app, and knows of no such domain
    runtimes.others = {other};
    for (int life = 0; life < 2; ++life) {
        kill_agent();
        start_agent();
        loop.run_for(2min);  // the error is told by then, with a record of its own
        EXPECT_THAT(status(1).Error, HasSubstr("the runtime that had it is not usable now"));
    }
    auto late = container_runtime();
    late.description.id = "org.lfedge.eve.late";
    late.description.modes = {VirtualizationMode::hvm};
    runtimes.others.push_back(late);
    loop.run_for(10min);
    EXPECT_EQ(status(1).State, SwState::RUNNING);
    EXPECT_EQ(status(1).DomainId, before.DomainId);
    for (const auto& runtime : runtimes.others)
        EXPECT_THAT(static_cast<testing::FakeHypervisor&>(*runtime.hypervisor).domains(), IsEmpty()) << "started a second time";
    runtimes.available = true;
    loop.run_for(2min);
    EXPECT_EQ(status(1), before);
}

TEST_F(DomainAgentTest, AnAppThatNoRuntimeEverHadCanBeDeletedAfterARestart) {
    runtimes.available = false;
    start_node();
    ASSERT_TRUE(node.configs->publish(app_uuid(1), domain_config(1, host)));
    loop.run_for(10s);
    EXPECT_THAT(status(1).Error, HasSubstr("no runtime of this node"));
    kill_agent();
    start_agent();
    loop.run_for(1min);
    ASSERT_TRUE(node.configs->unpublish(app_uuid(1)));
    loop.run_for(1min);
    EXPECT_EQ(statuses->get(app_uuid(1)), nullptr);
}

TEST_F(DomainAgentTest, AVolumeOfTheWrongFormatIsNotGivenToAGuestAndTriedAgain) {
    start_node();
    const auto config = domain_config(1, host);
    host.disks[config.DiskConfigList[0].FileLocation] = types::Format::RAW;
    ASSERT_TRUE(node.configs->publish(app_uuid(1), config));
    loop.run_for(2min);
    EXPECT_TRUE(status(1).ConfigFailed);
    EXPECT_THAT(status(1).Error, HasSubstr("is RAW, not QCOW2"));
    EXPECT_EQ(calls("create " + app_uuid(1)), 0U);
    host.disks[config.DiskConfigList[0].FileLocation] = types::Format::QCOW2;
    EXPECT_TRUE(until(1, SwState::RUNNING, 40s));
    EXPECT_FALSE(status(1).ConfigFailed);
}

TEST_F(DomainAgentTest, ANodeWithoutARuntimeSaysSoAndLooksAgain) {
    runtimes.available = false;
    start_node();
    ASSERT_TRUE(node.configs->publish(app_uuid(1), domain_config(1, host)));
    loop.run_for(10s);
    EXPECT_THAT(status(1).Error, HasSubstr("no runtime of this node"));
    runtimes.available = true;
    EXPECT_TRUE(until(1, SwState::RUNNING, 2min));
}

TEST_F(DomainAgentTest, WhatTheRuntimeTookAwayReachesTheOperator) {
    hypervisor().report.notes = {"no KVM: guests are emulated"};
    start_node();
    auto config = domain_config(1, host);
    config.EnableVnc = true;
    ASSERT_TRUE(node.configs->publish(app_uuid(1), config));
    ASSERT_TRUE(until(1, SwState::RUNNING));
    loop.run_for(1s);
    ASSERT_NE(notes->get(app_uuid(1)), nullptr);
    EXPECT_THAT(notes->get(app_uuid(1))->Notes, ::testing::ElementsAre("no KVM: guests are emulated", HasSubstr("no VNC")));
    EXPECT_EQ(notes->get(app_uuid(1))->Runtime, "org.lfedge.eve.fake");
}

TEST_F(DomainAgentTest, AChangeOfARunningAppIsNotApplied) {
    start_node();
    run_app(1);
    auto config = domain_config(1, host);
    config.Memory *= 2;
    config.UUIDandVersion.Version = "2";
    ASSERT_TRUE(node.configs->publish(app_uuid(1), config));
    loop.run_for(1min);
    EXPECT_EQ(status(1).UUIDandVersion.Version, "2");
    EXPECT_EQ(status(1).Memory, 524288);
    EXPECT_EQ(status(1).DomainId, 1000);
}

TEST_F(DomainAgentTest, ARuntimeThatWasOpenedAnewIsLookedAtAtOnce) {
    start_node();
    run_app(1);
    hypervisor().guest_dies(DomainId{app_uuid(1)}, 9);
    runtimes.emit("");
    EXPECT_TRUE(until(1, SwState::BROKEN, 1s));
}

TEST_F(DomainAgentTest, MeasuresWhatRuns) {
    const auto metrics = bus.subscribe<types::DomainMetric>({.agent = "domainmgr"});
    start_node();
    run_app(1);
    loop.run_for(1min);
    ASSERT_NE(metrics->get(app_uuid(1)), nullptr);
    EXPECT_EQ(metrics->get(app_uuid(1))->AllocatedMB, 512U);
    EXPECT_TRUE(metrics->get(app_uuid(1))->Activated);
    ASSERT_NE(metrics->get(types::Uuid{}.to_string()), nullptr);
    EXPECT_EQ(metrics->get(types::Uuid{}.to_string())->UsedMemory, 4096U);
}

TEST_F(DomainAgentTest, AConfigUnderAStrangersKeyIsRefused) {
    start_node();
    ASSERT_TRUE(node.configs->publish("something", domain_config(1, host)));
    loop.run_for(1min);
    EXPECT_EQ(statuses->get(app_uuid(1)), nullptr);
    EXPECT_TRUE(log.has("domain.config_refused"));
}

}  // namespace
}  // namespace eve
