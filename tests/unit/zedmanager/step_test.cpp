// What zedmanager publishes for one app, situation by situation. The numbers S.. are those of the behavioural specification.

#include "tests/unit/zedmanager/story.hpp"

namespace eve::zedmanager {
namespace {

using testing::HasSubstr;
using types::ErrorSeverity;

class Create : public AppStory {};
class Activate : public AppStory {};
class Admission : public AppStory {};
class Modify : public AppStory {};
class Restart : public AppStory {};
class Purge : public AppStory {};
class Delete : public AppStory {};
class AgentRestart : public AppStory {};

// ---- S01-S04

TEST_F(Create, AnAppWithoutMemoryIsRejectedWithAnErrorAndNothingIsOrdered) {  // S01
    config.FixedResources.Memory = 0;
    look();
    EXPECT_EQ(state.status.Error, "Invalid Memory Size - 0");
    EXPECT_EQ(state.status.ErrorSourceType, "types.AppInstanceStatus");
    EXPECT_EQ(state.status.ErrorSeverity, ErrorSeverity::ErrorSeverityError);
    EXPECT_FALSE(state.status.ErrorTime.is_zero());
    EXPECT_TRUE(state.volume_refs.empty());
}

TEST_F(Create, AnAppWithoutCpusOrWithErrorsFromItsParserIsRejected) {
    config.FixedResources.VCpus = 0;
    config.Errors = {"bad ACL"};
    look();
    EXPECT_THAT(state.status.Error, HasSubstr("Invalid Cpu count - 0"));
    EXPECT_THAT(state.status.Error, HasSubstr("bad ACL"));
}

TEST_F(Create, ARejectedAppIsTakenUpWhenItsConfigIsCorrected) {
    config.FixedResources.Memory = 0;
    look();
    config.FixedResources.Memory = 1024;
    config.UUIDandVersion.Version = "2";
    look();
    EXPECT_EQ(state.status.Error, "");
    EXPECT_EQ(state.status.UUIDandVersion.Version, "2");
    EXPECT_EQ(state.volume_refs.size(), 2U);
}

TEST_F(Create, EachVolumeIsFirstOnlyVerifiedAndTheStateIsTheLeastOfThem) {  // S02
    look();
    ASSERT_EQ(state.volume_refs.size(), 2U);
    const std::string key = uuid(1).to_string() + "#0#" + app.to_string();
    ASSERT_TRUE(state.volume_refs.contains(key));
    EXPECT_TRUE(state.volume_refs.at(key).VerifyOnly);
    EXPECT_EQ(state.status.State, SwState::INITIAL);
    volume_is(reference(1), SwState::VERIFIED);
    volume_is(reference(2), SwState::DOWNLOADING);
    look();
    EXPECT_EQ(state.status.State, SwState::DOWNLOADING);
}

TEST_F(Create, GenerationsAddUpInTheKey) {
    auto both = reference(1, 2);
    both.LocalGenerationCounter = 3;
    EXPECT_EQ(volume_key(both), uuid(1).to_string() + "#5");
    EXPECT_EQ(reference_key(both), uuid(1).to_string() + "#5#" + app.to_string());
}

TEST_F(Create, AVolumeIsOrderedAsSoonAsItsOwnContentIsThere) {  // S03
    look();
    volume_is(reference(1), SwState::LOADED);
    volume_is(reference(2), SwState::DOWNLOADING);
    look();
    EXPECT_FALSE(published(reference(1)).VerifyOnly);
    EXPECT_TRUE(published(reference(2)).VerifyOnly);
}

TEST_F(Create, AnOrderForAVolumeIsNeverTakenBack) {
    look();
    volume_is(reference(1), SwState::LOADED);
    look();
    volume_is(reference(1), SwState::DOWNLOADING);
    look();
    EXPECT_FALSE(published(reference(1)).VerifyOnly);
}

TEST_F(Create, AnAppThatShallNotRunEndsHaltedWithItsVolumes) {  // S04
    config.Activate = false;
    look();
    EXPECT_EQ(state.status.State, SwState::INITIAL);
    all_volumes_are(SwState::CREATED_VOLUME);
    look();
    EXPECT_EQ(state.status.State, SwState::HALTED);
    EXPECT_FALSE(state.domain);
    EXPECT_FALSE(state.network);
}

TEST_F(Create, AnAppWithoutVolumesIsNotStuck) {  // defect 18
    config.VolumeRefConfigList.clear();
    look();
    EXPECT_EQ(state.status.State, SwState::INSTALLED);
    EXPECT_TRUE(state.network);
}

TEST_F(Create, ErrorsOfVolumesAreTheAppsWithTheirSourceAndGoWithThem) {
    look();
    volume_is(reference(1), SwState::DOWNLOADING);
    volume_is(reference(2), SwState::CREATED_VOLUME);
    auto& first = volumes[reference_key(reference(1))];
    first.Error = "no such host";
    first.ErrorSourceType = "types.VolumeStatus";
    first.ErrorSeverity = ErrorSeverity::ErrorSeverityNotice;
    first.ErrorRetryCondition = "Will retry in 10m";
    first.ErrorEntities = {{.EntityType = types::ErrorEntityType::ErrorEntityVolume, .EntityID = "v"}};
    look();
    EXPECT_EQ(state.status.Error, "no such host");
    EXPECT_EQ(state.status.ErrorSourceType, "types.VolumeStatus");
    EXPECT_EQ(state.status.ErrorSeverity, ErrorSeverity::ErrorSeverityNotice);
    EXPECT_EQ(state.status.ErrorRetryCondition, "Will retry in 10m");
    EXPECT_EQ(state.status.ErrorEntities.size(), 1U);
    first.Error.clear();
    look();
    EXPECT_EQ(state.status.Error, "");
    EXPECT_EQ(state.status.ErrorSourceType, "");
}

TEST_F(Create, ErrorsOfSeveralVolumesAreJoinedAndPermanentOnesAreErrors) {
    look();
    for (const auto& each : config.VolumeRefConfigList) {
        volume_is(each, SwState::DOWNLOADING);
        volumes[reference_key(each)].Error = "bad " + volume_key(each);
        volumes[reference_key(each)].ErrorSeverity = ErrorSeverity::ErrorSeverityNotice;
    }
    look();
    EXPECT_EQ(state.status.Error, "bad " + volume_key(reference(1)) + "\n\nbad " + volume_key(reference(2)));
    EXPECT_EQ(state.status.ErrorSeverity, ErrorSeverity::ErrorSeverityError) << "nothing retries, so it is one";
}

TEST_F(Create, ARecordThatCannotBePublishedIsTheAppsErrorUntilItCan) {
    run_up();
    Observed facts = seen();
    facts.publish_fault = "network config: too large";
    state = settle(state, facts, node).next;
    EXPECT_EQ(state.status.Error, "network config: too large");
    EXPECT_EQ(state.status.ErrorSourceType, "types.AppInstanceStatus");
    look();
    EXPECT_EQ(state.status.Error, "");
}

// ---- S05-S10

TEST_F(Activate, TheNetworkComesBeforeTheDomain) {  // S05
    look();
    all_volumes_are(SwState::CREATED_VOLUME);
    look();
    ASSERT_TRUE(state.network);
    EXPECT_TRUE(state.network->Activate);
    EXPECT_FALSE(state.domain);
    EXPECT_TRUE(state.status.ActivateInprogress);
    network_is_up();
    network->PendingAdd = true;
    look();
    EXPECT_FALSE(state.domain);
    network->PendingAdd = false;
    network->Activated = false;
    look();
    EXPECT_FALSE(state.domain);
    network->Activated = true;
    look();
    ASSERT_TRUE(state.domain);
    EXPECT_TRUE(state.domain->Activate);
    ASSERT_EQ(state.domain->DiskConfigList.size(), 2U);
    EXPECT_EQ(state.domain->DiskConfigList[0].VolumeKey, volume_key(reference(1)));
    ASSERT_EQ(state.domain->VifList.size(), 1U);
    EXPECT_EQ(state.domain->VifList[0].Vif, "nbu1x1");
    EXPECT_EQ(state.domain->AppNum, 1);
}

TEST_F(Activate, AMissingNetworkInstanceIsAStateAndGoesOnByItself) {  // S06
    look();
    all_volumes_are(SwState::CREATED_VOLUME);
    look();
    network_is_up();
    network->Activated = false;
    network->AwaitNetworkInstance = true;
    look();
    EXPECT_EQ(state.status.State, SwState::AWAITNETWORKINSTANCE);
    EXPECT_TRUE(state.status.MissingNetwork);
    EXPECT_FALSE(state.domain);
    network_is_up();
    look();
    EXPECT_TRUE(state.domain);
    EXPECT_FALSE(state.status.MissingNetwork);
}

TEST_F(Activate, ABootingGuestMakesTheAppActivated) {  // S07
    look();
    all_volumes_are(SwState::CREATED_VOLUME);
    network_is_up();
    look();
    domain_is(SwState::BOOTING);
    domain->PendingAdd = true;
    look();
    EXPECT_FALSE(state.status.Activated);
    EXPECT_EQ(state.status.State, SwState::BOOTING);
    domain->PendingAdd = false;
    look();
    EXPECT_TRUE(state.status.Activated);
    EXPECT_FALSE(state.status.ActivateInprogress);
    domain_is(SwState::RUNNING);
    look();
    EXPECT_EQ(state.status.State, SwState::RUNNING);
    EXPECT_EQ(state.status.BootTime, domain->BootTime);
    EXPECT_EQ(state.status.DomainName, domain->DomainName);
}

TEST_F(Activate, ANetworkErrorIsTheAppsUntilItClears) {  // S08
    look();
    all_volumes_are(SwState::CREATED_VOLUME);
    network_is_up();
    network->Activated = false;
    network->Error = "no free IP addresses in DHCP range";
    look();
    EXPECT_EQ(state.status.Error, "no free IP addresses in DHCP range");
    EXPECT_EQ(state.status.ErrorSourceType, "types.AppNetworkStatus");
    EXPECT_FALSE(state.domain);
    network_is_up();
    look();
    EXPECT_EQ(state.status.Error, "");
}

TEST_F(Activate, AClearedNetworkErrorDoesNotClearTheDomains) {  // S08
    run_up();
    domain_fails("qemu died");
    network->Error = "trouble";
    look();
    EXPECT_THAT(state.status.Error, HasSubstr("trouble"));
    network->Error.clear();
    look();
    EXPECT_EQ(state.status.Error, "qemu died");
    EXPECT_EQ(state.status.ErrorSourceType, "types.DomainStatus");
}

TEST_F(Activate, ADelayedStartWaitsUntilItsTimeAndNoLonger) {  // S09
    config.Delay = std::chrono::seconds{30};
    look();
    wait(std::chrono::seconds{5});
    all_volumes_are(SwState::CREATED_VOLUME);
    network_is_up();
    look();
    EXPECT_EQ(state.status.State, SwState::START_DELAYED);
    EXPECT_FALSE(state.domain);
    ASSERT_TRUE(wake_at);
    EXPECT_EQ(*wake_at, node.at + std::chrono::seconds{25});
    wait(std::chrono::seconds{25});
    look();
    EXPECT_TRUE(state.domain);
}

TEST_F(Activate, ADelayedStartDoesNotBeginBeforeTheNodeHadAConfig) {
    config.Delay = std::chrono::seconds{30};
    node.delay_base.reset();
    all_volumes_are(SwState::CREATED_VOLUME);
    network_is_up();
    look();
    EXPECT_FALSE(state.domain);
    node.delay_base = node.now;
    look();
    EXPECT_EQ(state.status.StartTime, node.now + std::chrono::seconds{30});
}

TEST_F(Activate, AWallClockSetBackDoesNotLengthenTheDelay) {
    config.Delay = std::chrono::seconds{30};
    all_volumes_are(SwState::CREATED_VOLUME);
    network_is_up();
    look();
    node.now = node.now + (-std::chrono::hours{100});
    look();
    ASSERT_TRUE(wake_at);
    EXPECT_LE(*wake_at, node.at + std::chrono::seconds{30});
}

TEST_F(Activate, TheProfileDecidesForAppsThatNameProfiles) {  // S10
    config.ProfileList = {"p1"};
    node.profile = "p2";
    look();
    all_volumes_are(SwState::CREATED_VOLUME);
    look();
    EXPECT_FALSE(state.network);
    EXPECT_EQ(state.status.State, SwState::HALTED);
    node.profile = "p1";
    look();
    EXPECT_TRUE(state.network);
    node.profile = "p2";
    config.ProfileList.clear();
    look();
    EXPECT_TRUE(state.status.ActivateInprogress);
}

TEST_F(Activate, NothingIsActivatedBeforeTheGates) {
    node.may_activate = false;
    all_volumes_are(SwState::CREATED_VOLUME);
    look();
    EXPECT_FALSE(state.network);
    EXPECT_EQ(state.status.State, SwState::INSTALLED);
}

TEST_F(Activate, AVolumeWithoutAFileIsAnErrorAndNotADomain) {
    all_volumes_are(SwState::CREATED_VOLUME);
    volumes[reference_key(reference(2))].ActiveFileLocation.clear();
    network_is_up();
    look();
    EXPECT_FALSE(state.domain);
    EXPECT_EQ(state.status.ErrorSourceType, "types.DomainStatus");
    EXPECT_THAT(state.status.Error, HasSubstr(volume_key(reference(2))));
}

TEST_F(Activate, AGuestThatPoweredItselfOffIsShownHaltedWithItsWarning) {  // S60
    run_up();
    domain_fails("domain halted: will retry in 10m");
    domain->ErrorSeverity = ErrorSeverity::ErrorSeverityWarning;
    look();
    EXPECT_EQ(state.status.State, SwState::HALTED);
    EXPECT_EQ(state.status.ErrorSeverity, ErrorSeverity::ErrorSeverityWarning);
    EXPECT_TRUE(state.status.Activated) << "its memory stays taken, it will be started again";
    EXPECT_TRUE(state.domain->Activate);
}

TEST_F(Activate, AnAppNoLongerWantedIsHaltedAndItsNetworkStays) {
    run_up();
    config.Activate = false;
    look();
    EXPECT_FALSE(state.domain->Activate);
    EXPECT_TRUE(state.status.Activated);
    domain_is(SwState::HALTING);
    look();
    EXPECT_EQ(state.status.State, SwState::HALTING);
    domain_is(SwState::HALTED);
    look();
    EXPECT_FALSE(state.status.Activated);
    EXPECT_EQ(state.status.State, SwState::HALTED);
    EXPECT_TRUE(state.domain);
    EXPECT_TRUE(state.network->Activate);
    config.Activate = true;
    look();
    EXPECT_TRUE(state.domain->Activate);
    EXPECT_FALSE(state.status.Activated) << "HALTED is the old halt, not a start";
    EXPECT_TRUE(state.status.ActivateInprogress);
}

TEST_F(Activate, AnOldHaltIsNotTakenForTheAnswerToANewOne) {
    look();
    all_volumes_are(SwState::CREATED_VOLUME);
    network_is_up();
    domain_is(SwState::HALTED);
    look();
    ASSERT_TRUE(state.domain->Activate);
    config.Activate = false;  // domainmgr may be starting it right now
    look();
    EXPECT_FALSE(state.domain->Activate);
    EXPECT_TRUE(state.status.ActivateInprogress);
    EXPECT_TRUE(wake_at);
    pass_settle_time();
    EXPECT_FALSE(state.status.ActivateInprogress);
}

TEST_F(Activate, AGuestThatCannotBeHaltedKeepsItsErrorVisible) {
    run_up();
    config.Activate = false;
    look();
    domain->Error = "failed to halt";
    look();
    EXPECT_TRUE(state.status.Activated);
    EXPECT_EQ(state.status.Error, "failed to halt");
}

// ---- S12-S17 (the figures are in admission_test.cpp)

TEST_F(Admission, AnAppThatDoesNotFitIsParkedAndStartsWhenItDoes) {  // S12, S13
    node.memory = {.known = true, .total = std::uint64_t{1000} << 20, .reserved = std::uint64_t{300} << 20, .used = std::uint64_t{400} << 20};
    node.memory.others = {uuid(99)};
    config.FixedResources.Memory = 400 * 1024;
    config.FixedResources.VMMMaxMem = 1;
    all_volumes_are(SwState::CREATED_VOLUME);
    look();
    EXPECT_TRUE(state.status.MissingMemory);
    EXPECT_EQ(state.status.ErrorSourceType, "types.AppInstanceConfig");
    EXPECT_EQ(state.status.ErrorSeverity, ErrorSeverity::ErrorSeverityWarning);
    EXPECT_FALSE(state.network);
    node.memory.used = 0;
    node.memory.others.clear();
    look();
    EXPECT_FALSE(state.status.MissingMemory);
    EXPECT_EQ(state.status.Error, "");
    EXPECT_TRUE(state.network);
}

TEST_F(Admission, CanBeSwitchedOff) {  // S16
    node.memory = {};
    node.ignore_memory = true;
    all_volumes_are(SwState::CREATED_VOLUME);
    look();
    EXPECT_TRUE(state.network);
    EXPECT_EQ(state.status.Error, "");
}

TEST_F(Admission, WaitsUntilTheMemoryIsKnown) {  // S17
    node.memory = {};
    all_volumes_are(SwState::CREATED_VOLUME);
    look();
    EXPECT_EQ(state.status.ErrorSeverity, ErrorSeverity::ErrorSeverityNotice);
    EXPECT_EQ(state.status.ErrorRetryCondition, "when information about memory will be available");
    node.memory = {.known = true, .total = std::uint64_t{8} << 30};
    look();
    EXPECT_TRUE(state.network);
}

TEST_F(Admission, TheOverheadOfTheMachineIsCounted) {  // defect 8
    all_volumes_are(SwState::CREATED_VOLUME);
    look();
    EXPECT_EQ(state.status.MemOverhead >> 20, 385U);  // 350 + 20 + 12.8 + 3
    node.vmm_limit = 1 << 20;
    config.FixedResources.VirtualizationMode = types::VmMode::HVM;
    state = {};
    look();
    EXPECT_EQ(state.status.MemOverhead, std::uint64_t{1} << 20);
}

TEST_F(Admission, ARunningAppIsNotAskedAgain) {
    run_up();
    node.memory.total = 1;
    look();
    EXPECT_EQ(state.status.Error, "");
    EXPECT_EQ(state.status.State, SwState::RUNNING);
}

TEST_F(Admission, AnAppThatWaitsForMemoryTakesSmallerResourcesWithoutACommand) {
    node.memory.total = std::uint64_t{700} << 20;
    all_volumes_are(SwState::CREATED_VOLUME);
    look();
    EXPECT_TRUE(state.status.MissingMemory);
    config.FixedResources.Memory = 64 * 1024;
    look();
    EXPECT_EQ(state.status.Error, "");
    EXPECT_TRUE(state.network);
}

// ---- S21, S22, S25, S30 and refused modifications

TEST_F(Modify, ChangedResourcesNeedARestartAndAreNotInForceBeforeIt) {  // S21
    run_up();
    const auto before = state.domain;
    config.FixedResources.VCpus = 4;
    config.UUIDandVersion.Version = "2";
    look();
    EXPECT_THAT(state.status.Error, HasSubstr("Need restart due to VCpus changed from 1 to 4"));
    EXPECT_EQ(state.status.ErrorSourceType, "types.AppInstanceStatus");
    EXPECT_EQ(state.domain, before);
    EXPECT_EQ(state.status.State, SwState::RUNNING);
    EXPECT_EQ(state.status.UUIDandVersion.Version, "1");
    EXPECT_EQ(state.status.FixedResources.VCpus, 1);
}

TEST_F(Modify, ARefusedChangeStaysRefusedAtEveryLaterEvent) {  // defect 22
    run_up();
    config.FixedResources.VCpus = 4;
    look();
    domain->BootTime = node.now + std::chrono::seconds{1};
    look();
    EXPECT_EQ(state.domain->VCpus, 1);
    EXPECT_THAT(state.status.Error, HasSubstr("Need restart"));
    config.DisplayName = "another";
    look();
    EXPECT_EQ(state.domain->VCpus, 1);
    EXPECT_THAT(state.status.Error, HasSubstr("Need restart"));
}

TEST_F(Modify, TakingARefusedChangeBackClearsTheError) {
    run_up();
    const auto before = state;
    config.FixedResources.VCpus = 4;
    look();
    config.FixedResources.VCpus = 1;
    look();
    EXPECT_EQ(state.status, before.status);
    EXPECT_EQ(state.domain, before.domain);
}

TEST_F(Modify, TheMatchingCommandClearsTheErrorAndBringsTheChange) {
    run_up();
    config.FixedResources.VCpus = 4;
    look();
    config.RestartCmd.Counter = 1;
    look();
    EXPECT_EQ(state.status.Error, "");
    domain_is(SwState::HALTED);
    look();
    EXPECT_EQ(state.domain->VCpus, 4);
}

TEST_F(Modify, APurgeClearsARefusedPurgeableChange) {  // defect 22
    run_up();
    config.VolumeRefConfigList[0] = reference(1, 1);
    look();
    EXPECT_THAT(state.status.Error, HasSubstr("Need purge"));
    config.PurgeCmd.Counter = 1;
    look();
    EXPECT_EQ(state.status.Error, "");
    EXPECT_EQ(state.status.PurgeInprogress, Inprogress::DownloadAndVerify);
}

TEST_F(Modify, ANewBootOrderIsAWarningAndInForceAfterTheNextRestart) {  // S22
    run_up();
    config.FixedResources.BootOrder = types::BootOrder::BOOT_ORDER_USB;
    look();
    EXPECT_EQ(state.status.ErrorSeverity, ErrorSeverity::ErrorSeverityWarning);
    EXPECT_EQ(state.status.ErrorRetryCondition, "applied when application is restarted");
    EXPECT_EQ(state.domain->BootOrder, types::BootOrder::BOOT_ORDER_UNSPECIFIED);
    config.RestartCmd.Counter = 1;
    look();
    domain_is(SwState::HALTED);
    look();
    EXPECT_EQ(state.domain->BootOrder, types::BootOrder::BOOT_ORDER_USB);
    EXPECT_EQ(state.status.Error, "");
}

TEST_F(Modify, ChangedVolumesNeedAPurge) {  // S25
    run_up();
    const auto before = state.volume_refs;
    config.VolumeRefConfigList.push_back(reference(3));
    look();
    EXPECT_THAT(state.status.Error, HasSubstr("Need purge due to number of volumes changed from 2 to 3"));
    EXPECT_EQ(state.volume_refs, before);
}

TEST_F(Modify, ChangedAdaptersNeedAPurge) {
    run_up();
    config.IoAdapterList = {{.Type = types::IoType::IoUSB, .Name = "usb"}};
    look();
    EXPECT_THAT(state.status.Error, HasSubstr("Need purge due to IoAdapterList changed"));
    EXPECT_TRUE(state.domain->IoAdapterList.empty());
}

TEST_F(Modify, ARefusedChangeDoesNotKeepTheAppFromBeingHalted) {
    run_up();
    config.FixedResources.VCpus = 4;
    config.Activate = false;
    look();
    EXPECT_FALSE(state.domain->Activate);
}

TEST_F(Modify, ResourcesOfAHaltedAppAreTakenAtOnce) {
    config.Activate = false;
    all_volumes_are(SwState::CREATED_VOLUME);
    look();
    config.FixedResources.VCpus = 4;
    look();
    EXPECT_EQ(state.status.Error, "");
    EXPECT_EQ(state.status.FixedResources.VCpus, 4);
}

TEST_F(Modify, ABrokenConfigLeavesTheRunningAppAsItIs) {
    run_up();
    const auto before = state.domain;
    config.FixedResources.Memory = 0;
    config.RestartCmd.Counter = 9;
    look();
    EXPECT_THAT(state.status.Error, HasSubstr("Invalid Memory Size - 0"));
    EXPECT_EQ(state.domain, before);
}

TEST_F(Modify, ANewAdapterWaitsForARestartButNewAclsDoNot) {  // S30, defect 17
    config.AppNetAdapterList[0].ACLs = {rule("old")};
    run_up();
    config.AppNetAdapterList[0].ACLs = {rule("new")};
    look();
    EXPECT_EQ(state.network->AppNetAdapterList[0].ACLs[0].Name, "new");
    config.AppNetAdapterList.push_back(adapter("eth1", 21));
    config.AppNetAdapterList[0].ACLs = {rule("newer")};
    look();
    ASSERT_EQ(state.network->AppNetAdapterList.size(), 1U);
    EXPECT_EQ(state.network->AppNetAdapterList[0].ACLs[0].Name, "newer") << "an ACL is not withheld with the rest";
    config.RestartCmd.Counter = 1;
    look();
    EXPECT_EQ(state.network->AppNetAdapterList.size(), 1U) << "the guest still runs";
    domain_is(SwState::HALTED);
    look();
    ASSERT_EQ(state.network->AppNetAdapterList.size(), 2U);
    EXPECT_FALSE(state.domain->Activate) << "zedrouter has not made the second adapter";
    network_is_up();
    look();
    EXPECT_TRUE(state.domain->Activate);
    EXPECT_EQ(state.domain->VifList.size(), 2U);
}

// ---- S23, S24

TEST_F(Restart, HaltsAndStartsTheGuestAndNothingElse) {  // S23
    run_up();
    const auto volumes_before = state.volume_refs;
    config.RestartCmd.Counter = 1;
    look();
    EXPECT_EQ(state.status.RestartInprogress, Inprogress::BringDown);
    EXPECT_EQ(state.status.RestartStartedAt, node.now);
    EXPECT_FALSE(state.domain->Activate);
    EXPECT_EQ(state.domain->RestartCounter, 1U);
    domain_is(SwState::HALTING);
    look();
    EXPECT_FALSE(state.domain->Activate);
    domain_is(SwState::HALTED);
    look();
    EXPECT_EQ(state.status.RestartInprogress, Inprogress::BringUp);
    EXPECT_TRUE(state.domain->Activate);
    EXPECT_TRUE(state.status.Activated);
    domain_is(SwState::BOOTING);
    look();
    EXPECT_EQ(state.status.RestartInprogress, Inprogress::BringUp);
    domain_is(SwState::RUNNING);
    look();
    EXPECT_EQ(state.status.RestartInprogress, Inprogress::NotInprogress);
    EXPECT_EQ(state.status.State, SwState::RUNNING);
    EXPECT_TRUE(state.network->Activate);
    EXPECT_EQ(state.volume_refs, volumes_before);
}

TEST_F(Restart, ALocalCommandCountsAsTheControllers) {
    run_up();
    config.LocalRestartCmd.Counter = 1;
    look();
    EXPECT_EQ(state.status.RestartInprogress, Inprogress::BringDown);
}

TEST_F(Restart, OfAnAppThatShallNotRunIsDoneWithoutDoingAnything) {  // S24
    run_up();
    config.Activate = false;
    look();
    domain_is(SwState::HALTED);
    look();
    config.RestartCmd.Counter = 1;
    look();
    EXPECT_EQ(state.status.RestartInprogress, Inprogress::NotInprogress);
    restart_agent();
    config.Activate = true;
    look();
    EXPECT_EQ(state.status.RestartInprogress, Inprogress::NotInprogress);
    EXPECT_TRUE(state.domain->Activate);
}

TEST_F(Restart, BringsABrokenGuestBack) {  // S61
    run_up();
    domain_is(SwState::BROKEN);
    domain->Error = "qemu was killed by signal 9";
    domain->DomainId = 0;
    look();
    EXPECT_EQ(state.status.State, SwState::BROKEN);
    EXPECT_EQ(state.status.Error, "qemu was killed by signal 9");
    config.RestartCmd.Counter = 1;
    look();
    EXPECT_FALSE(state.domain->Activate) << "domainmgr has to see the halt, or it would not start it again";
    EXPECT_EQ(state.status.Error, "") << "while it is brought down its errors are not news";
    domain_is(SwState::HALTED);
    domain->Error.clear();
    look();
    EXPECT_TRUE(state.domain->Activate);
}

TEST_F(Restart, DoesNotTakeAnErrorThatNobodyClearsForALivingGuest) {
    run_up();
    domain_fails("no memory");
    look();
    config.RestartCmd.Counter = 1;
    look();
    EXPECT_FALSE(state.domain->Activate);
    pass_settle_time();
    EXPECT_TRUE(state.domain->Activate);
}

TEST_F(Restart, WaitsWhileDomainmgrIsSilent) {
    run_up();
    config.RestartCmd.Counter = 1;
    look();
    domain.reset();
    pass_settle_time();
    EXPECT_FALSE(state.domain->Activate) << "not heard of is not gone";
}

TEST_F(Restart, WithMoreMemoryThanThereIsWaitsForIt) {  // found by simulation
    run_up();
    node.memory = {.known = true, .total = std::uint64_t{2} << 30};
    config.FixedResources.Memory = 4 * 1024 * 1024;
    config.RestartCmd.Counter = 1;
    look();
    domain_is(SwState::HALTED);
    look();
    EXPECT_TRUE(state.status.MissingMemory);
    EXPECT_EQ(state.status.RestartInprogress, Inprogress::NotInprogress);
    EXPECT_FALSE(holds_memory(state.status));
    EXPECT_FALSE(state.domain->Activate);
    node.memory.total = std::uint64_t{8} << 30;
    look();
    EXPECT_FALSE(state.status.MissingMemory);
    EXPECT_TRUE(state.domain->Activate);
    domain_is(SwState::RUNNING);
    look();
    EXPECT_EQ(state.status.State, SwState::RUNNING);
    EXPECT_TRUE(state.status.Activated);
}

TEST_F(Restart, WhileTheAppWaitsForMemoryHasNothingToBringDown) {  // found by simulation
    run_up();
    config.PurgeCmd.Counter = 1;
    look();
    domain_is(SwState::HALTED);
    look();
    node.memory.total = 1;
    network_is_down();
    look();
    ASSERT_TRUE(state.status.MissingMemory);
    config.RestartCmd.Counter = 1;
    config.FixedResources.VCpus = 4;
    look();
    EXPECT_EQ(state.status.RestartInprogress, Inprogress::NotInprogress);
    EXPECT_EQ(state.status.FixedResources.VCpus, 4);
    EXPECT_EQ(state.status.RestartStartedAt, node.now);
}

TEST_F(Restart, WhileAPurgeBringsTheGuestUpBringsItDownOnceMore) {
    run_up();
    config.PurgeCmd.Counter = 1;
    look();
    domain_is(SwState::HALTED);
    look();
    network_is_down();
    look();
    network_is_up();
    look();
    ASSERT_TRUE(state.domain->Activate);
    domain_is(SwState::BOOTING);
    config.FixedResources.VCpus = 4;
    config.RestartCmd.Counter = 1;
    look();
    EXPECT_FALSE(state.domain->Activate) << "it boots with the old resources";
    domain_is(SwState::HALTED);
    look();
    EXPECT_EQ(state.domain->VCpus, 4);
    EXPECT_TRUE(state.domain->Activate);
    domain_is(SwState::RUNNING);
    look();
    EXPECT_EQ(state.status.RestartInprogress, Inprogress::NotInprogress);
    EXPECT_EQ(state.status.PurgeInprogress, Inprogress::NotInprogress);
}

TEST_F(Restart, IsGivenUpWhenTheAppShallNotRunAnyMore) {
    run_up();
    config.RestartCmd.Counter = 1;
    look();
    config.Activate = false;
    look();
    EXPECT_EQ(state.status.RestartInprogress, Inprogress::NotInprogress);
    domain_is(SwState::HALTED);
    look();
    EXPECT_FALSE(state.domain->Activate);
    EXPECT_EQ(state.status.State, SwState::HALTED);
}

// ---- S26-S29

TEST_F(Purge, FetchesFirstThenHaltsThenCreatesAndTakesTheOldVolumeBack) {  // S26
    run_up();
    const auto old_volume = reference(1), new_volume = reference(1, 1);
    config.VolumeRefConfigList[0] = new_volume;
    config.PurgeCmd.Counter = 1;
    look();
    EXPECT_EQ(state.status.PurgeInprogress, Inprogress::DownloadAndVerify);
    EXPECT_EQ(state.status.PurgeStartedAt, node.now);
    EXPECT_TRUE(published(new_volume).VerifyOnly);
    EXPECT_TRUE(is_published(old_volume));
    EXPECT_TRUE(state.domain->Activate);
    EXPECT_EQ(state.status.State, SwState::RUNNING);
    EXPECT_EQ(state.purge_counter, 0U);

    volume_is(new_volume, SwState::LOADED);
    look();
    EXPECT_EQ(state.status.PurgeInprogress, Inprogress::BringDown);
    EXPECT_FALSE(state.domain->Activate);
    EXPECT_EQ(state.domain->PurgeCounter, 1U);
    EXPECT_TRUE(published(new_volume).VerifyOnly);
    EXPECT_EQ(state.status.State, SwState::HALTING);
    EXPECT_TRUE(state.network->Activate);

    domain_is(SwState::HALTED);
    look();
    EXPECT_FALSE(state.network->Activate);
    EXPECT_TRUE(is_published(old_volume)) << "the network is still up";
    network_is_down();
    look();
    EXPECT_EQ(state.status.PurgeInprogress, Inprogress::RecreateVolumes);
    EXPECT_FALSE(published(new_volume).VerifyOnly);
    EXPECT_FALSE(is_published(old_volume));
    EXPECT_EQ(state.purge_counter, 1U);
    EXPECT_FALSE(state.status.Activated);

    volume_is(new_volume, SwState::CREATED_VOLUME);
    look();
    EXPECT_EQ(state.status.PurgeInprogress, Inprogress::BringUp);
    EXPECT_TRUE(state.network->Activate);
    EXPECT_FALSE(state.domain->Activate);
    network_is_up();
    look();
    EXPECT_TRUE(state.domain->Activate);
    EXPECT_EQ(state.domain->DiskConfigList[0].VolumeKey, volume_key(new_volume));
    domain_is(SwState::RUNNING);
    look();
    EXPECT_EQ(state.status.PurgeInprogress, Inprogress::NotInprogress);
    EXPECT_EQ(state.status.State, SwState::RUNNING);
    EXPECT_EQ(state.status.VolumeRefStatusList.size(), 2U);
}

TEST_F(Purge, InterruptedByARebootIsResumed) {  // S27
    run_up();
    config.VolumeRefConfigList[0] = reference(1, 1);
    config.PurgeCmd.Counter = 1;
    look();
    reboot();
    look();
    EXPECT_EQ(state.status.PurgeInprogress, Inprogress::DownloadAndVerify);
    EXPECT_EQ(state.purge_counter, 0U);
    all_volumes_are(SwState::LOADED);
    look();
    EXPECT_EQ(state.purge_counter, 1U);
    EXPECT_EQ(state.status.PurgeInprogress, Inprogress::RecreateVolumes);
    all_volumes_are(SwState::CREATED_VOLUME);
    look();
    EXPECT_EQ(state.status.PurgeInprogress, Inprogress::BringUp);
    reboot();
    look();
    EXPECT_EQ(state.status.PurgeInprogress, Inprogress::NotInprogress) << "it was done before the second reboot";
}

TEST_F(Purge, OfAnAppThatNeverStartedNeedsNoHalt) {  // S28
    look();
    volume_is(reference(1), SwState::DOWNLOADING);
    volume_is(reference(2), SwState::CREATED_VOLUME);
    volumes[reference_key(reference(1))].Error = "404";
    look();
    config.VolumeRefConfigList[0] = reference(1, 1);
    config.PurgeCmd.Counter = 1;
    volume_is(reference(1, 1), SwState::LOADED);
    look();
    EXPECT_EQ(state.status.PurgeInprogress, Inprogress::RecreateVolumes);
    EXPECT_EQ(state.status.Error, "");
    volume_is(reference(1, 1), SwState::CREATED_VOLUME);
    look();
    network_is_up();
    look();
    domain_is(SwState::RUNNING);
    look();
    EXPECT_EQ(state.status.State, SwState::RUNNING);
    EXPECT_EQ(state.status.PurgeInprogress, Inprogress::NotInprogress);
}

TEST_F(Purge, AReferenceThatNobodyUsesIsDroppedAtOnce) {  // S29
    look();
    volume_is(reference(2), SwState::CREATED_VOLUME);
    config.VolumeRefConfigList[0] = reference(3);
    config.PurgeCmd.Counter = 1;
    look();
    EXPECT_FALSE(is_published(reference(1)));
    EXPECT_EQ(state.status.VolumeRefStatusList.size(), 2U);
}

TEST_F(Purge, AnErrorOfTheVolumeThatIsToGoDoesNotHoldItUp) {  // defect 1
    run_up();
    volumes[reference_key(reference(1))].Error = "sharing";
    volumes[reference_key(reference(1))].State = SwState::INITIAL;
    config.VolumeRefConfigList[0] = reference(1, 1);
    config.PurgeCmd.Counter = 1;
    volume_is(reference(1, 1), SwState::LOADED);
    look();
    EXPECT_EQ(state.status.PurgeInprogress, Inprogress::BringDown);
    EXPECT_EQ(state.status.Error, "");
}

TEST_F(Purge, NeedsNoFurtherEventOnceNothingIsLeftToHalt) {  // defect 2
    run_up();
    config.PurgeCmd.Counter = 1;
    look();
    domain_is(SwState::HALTED);
    look();
    network_is_down();
    look();
    EXPECT_EQ(state.status.PurgeInprogress, Inprogress::BringUp) << "the volumes are those that are there";
}

TEST_F(Purge, OfAHaltedAppEndsWithItsVolumes) {
    config.Activate = false;
    all_volumes_are(SwState::CREATED_VOLUME);
    look();
    config.VolumeRefConfigList[0] = reference(1, 1);
    config.PurgeCmd.Counter = 1;
    volume_is(reference(1, 1), SwState::CREATED_VOLUME);
    look();
    EXPECT_EQ(state.status.PurgeInprogress, Inprogress::NotInprogress);
    EXPECT_EQ(state.purge_counter, 1U);
    EXPECT_EQ(state.status.State, SwState::HALTED);
}

TEST_F(Purge, AVolumeIsNotTakenBackWhileTheGuestMayBeAboutToStart) {
    look();
    all_volumes_are(SwState::CREATED_VOLUME);
    network_is_up();
    domain_is(SwState::HALTED);
    look();
    ASSERT_TRUE(state.domain->Activate);
    config.VolumeRefConfigList[0] = reference(1, 1);
    config.PurgeCmd.Counter = 1;
    volume_is(reference(1, 1), SwState::LOADED);
    look();
    network_is_down();
    look();
    EXPECT_TRUE(is_published(reference(1)));
    domain_is(SwState::RUNNING);
    look();
    EXPECT_TRUE(is_published(reference(1)));
    domain_is(SwState::HALTED);
    look();
    pass_settle_time();
    EXPECT_FALSE(is_published(reference(1)));
}

TEST_F(Purge, ASecondOneWhileTheFirstIsUnderWayTakesTheNewestVolumes) {
    run_up();
    config.VolumeRefConfigList[0] = reference(1, 1);
    config.PurgeCmd.Counter = 1;
    look();
    config.VolumeRefConfigList[0] = reference(1, 2);
    config.PurgeCmd.Counter = 2;
    look();
    EXPECT_EQ(state.status.PurgeInprogress, Inprogress::DownloadAndVerify);
    EXPECT_FALSE(is_published(reference(1, 1)));
    EXPECT_TRUE(is_published(reference(1, 2)));
    EXPECT_TRUE(is_published(reference(1)));
}

// ---- S32

TEST_F(Delete, TakesBackTheDomainThenTheNetworkThenTheVolumes) {  // S32
    run_up();
    has_config = false;
    look();
    EXPECT_FALSE(state.domain);
    EXPECT_TRUE(state.network);
    EXPECT_EQ(state.volume_refs.size(), 2U);
    domain_is(SwState::HALTED);
    look();
    EXPECT_TRUE(state.network) << "the domain's status is still there";
    domain.reset();
    look();
    EXPECT_FALSE(state.network);
    EXPECT_EQ(state.volume_refs.size(), 2U);
    EXPECT_FALSE(state.gone);
    network.reset();
    look();
    EXPECT_TRUE(state.gone);
    EXPECT_TRUE(state.volume_refs.empty());
    EXPECT_FALSE(state.purge_counter);
}

TEST_F(Delete, OfAnAppThatNeverStartedIsImmediate) {
    look();
    has_config = false;
    look();
    EXPECT_TRUE(state.gone);
}

TEST_F(Delete, InTheMiddleOfAPurgeGoesToItsEnd) {  // defect 2
    run_up();
    config.PurgeCmd.Counter = 1;
    look();
    EXPECT_EQ(state.status.PurgeInprogress, Inprogress::BringDown);
    has_config = false;
    look();
    EXPECT_EQ(state.status.PurgeInprogress, Inprogress::NotInprogress);
    domain.reset();
    look();
    network.reset();
    look();
    EXPECT_TRUE(state.gone);
}

TEST_F(Delete, ADomainNotHeardOfYetIsGivenTimeToShow) {
    look();
    all_volumes_are(SwState::CREATED_VOLUME);
    network_is_up();
    look();
    ASSERT_TRUE(state.domain);
    has_config = false;  // domainmgr may be creating it right now
    look();
    EXPECT_FALSE(state.domain);
    EXPECT_TRUE(state.network);
    domain_is(SwState::BOOTING);
    wait(halt_settle_time);
    look();
    EXPECT_TRUE(state.network);
    domain.reset();
    look();
    EXPECT_FALSE(state.network);
}

TEST_F(Delete, FollowedByANewAppOfTheSameNameFinishesFirst) {
    run_up();
    has_config = false;
    look();
    has_config = true;
    config.VolumeRefConfigList = {reference(7)};
    look();
    EXPECT_FALSE(state.domain);
    EXPECT_FALSE(is_published(reference(7)));
    domain.reset();
    network.reset();
    look();
    pass_settle_time();
    EXPECT_TRUE(state.gone);
}

TEST_F(Delete, IsNotConcludedFromSilence) {
    run_up();
    Observed silent = seen();
    silent.config = nullptr;
    silent.config_absent = false;
    EXPECT_EQ(settle(state, silent, node).next, state);
}

// ---- a restart of this agent

TEST_F(AgentRestart, DisturbsNothingThatRuns) {
    config.AppNetAdapterList[0].ACLs = {rule("a")};
    config.RestartCmd.Counter = 3;
    config.PurgeCmd.Counter = 2;
    run_up();
    const auto before = state;
    restart_agent();
    const auto live_domain = domain;
    const auto live_network = network;
    domain.reset();  // nobody has been heard of yet
    network.reset();
    const auto live_volumes = std::exchange(volumes, {});
    node.may_activate = false;
    node.delay_base.reset();
    look();
    EXPECT_EQ(state.domain, before.domain);
    EXPECT_EQ(state.network, before.network);
    EXPECT_EQ(state.volume_refs, before.volume_refs);
    EXPECT_EQ(state.status, before.status);
    domain = live_domain;
    network = live_network;
    volumes = live_volumes;
    node.may_activate = true;
    wait(std::chrono::seconds{5});
    node.delay_base = node.now;
    look();
    EXPECT_EQ(state.status, before.status);
    EXPECT_EQ(state.domain, before.domain);
}

TEST_F(AgentRestart, ARefusedChangeIsStillRefused) {
    run_up();
    config.FixedResources.VCpus = 4;
    config.VolumeRefConfigList.push_back(reference(3));
    look();
    const auto before = state;
    restart_agent();
    look();
    EXPECT_THAT(state.status.Error, HasSubstr("Need restart"));
    EXPECT_THAT(state.status.Error, HasSubstr("Need purge"));
    EXPECT_EQ(state.domain, before.domain);
    EXPECT_EQ(state.volume_refs, before.volume_refs);
}

TEST_F(AgentRestart, ACommandGivenMeanwhileIsCarriedOut) {
    run_up();
    config.RestartCmd.Counter = 1;
    restart_agent();
    look();
    EXPECT_EQ(state.status.RestartInprogress, Inprogress::BringDown);
    EXPECT_FALSE(state.domain->Activate);
}

TEST_F(AgentRestart, APurgeUnderWayGoesOn) {
    run_up();
    config.VolumeRefConfigList[0] = reference(1, 1);
    config.PurgeCmd.Counter = 1;
    look();
    restart_agent();
    look();
    EXPECT_EQ(state.status.PurgeInprogress, Inprogress::DownloadAndVerify);
    volume_is(reference(1, 1), SwState::LOADED);
    look();
    EXPECT_EQ(state.status.PurgeInprogress, Inprogress::BringDown);
    restart_agent();
    look();
    domain_is(SwState::HALTED);
    look();
    network_is_down();
    look();
    EXPECT_EQ(state.status.PurgeInprogress, Inprogress::RecreateVolumes);
    EXPECT_FALSE(is_published(reference(1)));
}

TEST_F(AgentRestart, AtTheEndOfAPurgeTakesUpNoVolumeThatWasRefused) {  // found by simulation
    run_up();
    config.PurgeCmd.Counter = 1;
    look();
    domain_is(SwState::HALTED);
    look();
    network_is_down();
    look();
    ASSERT_EQ(state.status.PurgeInprogress, Inprogress::BringUp);
    network_is_up();
    look();
    domain_is(SwState::BOOTING);
    look();
    config.VolumeRefConfigList[0] = reference(1, 1);
    look();
    restart_agent();
    look();
    EXPECT_TRUE(is_published(reference(1)));
    EXPECT_FALSE(is_published(reference(1, 1)));
    EXPECT_THAT(state.status.Error, HasSubstr("Need purge"));
}

TEST_F(AgentRestart, ALostStatusOfARunningAppIsMadeAgainFromWhatRuns) {
    run_up();
    restart_agent();
    state.status = {};
    node.memory.total = 1;
    look();
    look();
    EXPECT_EQ(state.status.State, SwState::RUNNING);
    EXPECT_TRUE(state.status.Activated);
    EXPECT_TRUE(state.domain->Activate);
    EXPECT_EQ(state.status.Error, "");
}

TEST_F(AgentRestart, AnAppDeletedMeanwhileIsRemoved) {
    run_up();
    restart_agent();
    has_config = false;
    look();
    EXPECT_FALSE(state.domain);
    domain.reset();
    look();
    network.reset();
    look();
    EXPECT_TRUE(state.gone);
}

// ---- DomainConfig's defaults

TEST_F(Activate, ContainersGetTheirKernelAndOthersTheirFirmware) {
    AppState made;
    made.status.VolumeRefStatusList.resize(1);
    auto& volume = made.status.VolumeRefStatusList[0];
    volume.VolumeID = uuid(1);
    volume.ActiveFileLocation = "/x";
    volume.ContentFormat = types::Format::CONTAINER;
    types::AppNetworkStatus two_vifs;
    two_vifs.AppNetAdapterList.resize(2);
    two_vifs.AppNetAdapterList[0].MTU = 1500;
    two_vifs.AppNetAdapterList[1].MTU = 1400;
    Accepted accepted = accept(config);
    accepted.volumes = {reference(1)};
    accepted.resources.BootLoader = "/usr/bin/pygrub";
    auto domain_config =
        make_domain_config({.config = config, .status = made.status, .network = two_vifs, .accepted = accepted, .machine = Machine::amd64});
    ASSERT_TRUE(domain_config);
    EXPECT_EQ(domain_config->Kernel, "/hostfs/boot/kernel");
    EXPECT_EQ(domain_config->Ramdisk, "/usr/lib/xen/boot/runx-initrd");
    EXPECT_EQ(domain_config->ExtraArgs, "console=hvc0 root=9p dhcp=1 mtu=1500,1400");
    EXPECT_EQ(domain_config->GPUConfig, "");
    EXPECT_EQ(domain_config->BootLoader, "/usr/lib/xen/boot/seabios.bin");

    volume.ContentFormat = types::Format::QCOW2;
    domain_config = make_domain_config({.config = config, .status = made.status, .network = two_vifs, .accepted = accepted, .machine = Machine::amd64});
    EXPECT_EQ(domain_config->BootLoader, "");
    EXPECT_EQ(domain_config->GPUConfig, "legacy");
    EXPECT_EQ(domain_config->Kernel, "");
    accepted.resources.VirtualizationMode = types::VmMode::FML;
    domain_config = make_domain_config({.config = config, .status = made.status, .network = two_vifs, .accepted = accepted, .machine = Machine::amd64});
    EXPECT_EQ(domain_config->BootLoader, "/usr/lib/xen/boot/OVMF_CODE.fd");
    accepted.resources.VirtualizationMode = types::VmMode::HVM;
    domain_config = make_domain_config({.config = config, .status = made.status, .network = two_vifs, .accepted = accepted, .machine = Machine::arm64});
    EXPECT_EQ(domain_config->BootLoader, "/usr/lib/xen/boot/ovmf.bin");
}

}  // namespace
}  // namespace eve::zedmanager
