// The Xen plugin over a Xen in memory: the ways of a domain's life that a real Xen shows seldom.

#include "xen_hypervisor.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "common/unique_fd.hpp"
#include "eve/testing/call_context.hpp"
#include "fake_xen.hpp"
#include "observe.hpp"
#include "tests/doubles/temp_dir.hpp"

namespace eve::xen {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class Host final : public HostServices {
public:
    explicit Host(const TempDir& dir) {
        for (const auto* name : {"state", "run", "sys"}) std::filesystem::create_directories(dir.path() / name);
        state_ = plugins::UniqueFd(::open((dir.path() / "state").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
        run_ = plugins::UniqueFd(::open((dir.path() / "run").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        sys_ = plugins::UniqueFd(::open((dir.path() / "sys").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        config_ = {.node = "test", .state_dir = {state_.get()}, .run_dir = {run_.get()}, .sysfs = {sys_.get()}, .config = "{}"};
    }
    const PluginConfig& config() const override { return config_; }
    void log(LogLevel, std::string_view, std::vector<LogField>) override {}
    void emit(DomainEvent event) override { events.push_back(std::move(event)); }
    Result<SpawnedProcess> spawn(const GuestProcess&) override { return Error{.code = Code::unsupported}; }
    Result<HostDescription> describe() override { return HostDescription{}; }
    std::vector<DomainEvent> events;

private:
    plugins::UniqueFd state_, run_, sys_;
    PluginConfig config_;
};

class XenPlugin : public ::testing::Test {
protected:
    XenPlugin() {
        std::filesystem::create_directories(dir_.path() / "sys/class/net/bn1/bridge");
        std::ofstream(dir_.path() / "disk.raw") << "data";
        reopen();
    }
    /// The node is started anew.
    void reopen() {
        plugin_.reset();
        auto opened = XenHypervisor::open_on(host_, [this](const Settings&) { return std::make_unique<FakeXen>(world_); });
        ASSERT_TRUE(opened) << opened.error().what;
        plugin_ = std::move(*opened);
    }
    DomainSpec spec() const {
        return {.id = {"0c1d2e3f-0000-4000-8000-000000000001"},
                .revision = 7,
                .name = "app.1.1",
                .labels = {{"version", "1"}},
                .mode = VirtualizationMode::hvm,
                .memory = 64_MiB,
                .vcpus = 1,
                .disks = {{.id = "a", .path = dir_.string() + "/disk.raw", .format = DiskFormat::raw}},
                .vifs = {{.name = "nbu1x1", .bridge = "bn1", .mac = "02:16:3e:00:00:01"}}};
    }
    DomainInfo must(Result<DomainInfo> info) {
        EXPECT_TRUE(info) << info.error().what;
        return info ? *info : DomainInfo{};
    }
    DomainInfo running() {
        must(plugin_->create(call_, spec()));
        return must(plugin_->start(call_, spec().id));
    }
    DomainInfo seen() { return must(plugin_->inspect(call_, spec().id)); }
    SeenDomain& domain() { return world_.domains.rbegin()->second; }
    void ends(Shutdown why) {
        const auto domid = domain().domid;
        domain().shut_down = true;
        domain().why = why;
        world_.notice(domid);
    }
    Error refusal(const DomainSpec& wanted) {
        auto created = plugin_->create(call_, wanted);
        EXPECT_FALSE(created);
        EXPECT_EQ(must(plugin_->inspect(call_, wanted.id)).presence, Presence::absent) << "nothing is left of it";
        return created ? Error{} : created.error();
    }

    TempDir dir_;
    Host host_{dir_};
    FakeWorld world_;
    std::unique_ptr<XenHypervisor> plugin_;
    ::eve::testing::FakeCall call_;
};

TEST_F(XenPlugin, ALifeIsDefinedThenRunningThenHaltedThenAbsent) {
    EXPECT_EQ(must(plugin_->create(call_, spec())).state, DomainState::defined);
    EXPECT_EQ(must(plugin_->start(call_, spec().id)).state, DomainState::running);
    ends(Shutdown::poweroff);
    EXPECT_EQ(seen().state, DomainState::halted);
    ASSERT_EQ(host_.events.size(), 1U);
    EXPECT_EQ(host_.events[0].kind, DomainEventKind::exited);
    EXPECT_EQ(must(plugin_->destroy(call_, spec().id, DestroyMode::purge)).presence, Presence::absent);
    EXPECT_THAT(world_.domains, IsEmpty());
}

TEST_F(XenPlugin, AnotherLifeOfThePluginAdoptsWhatRuns) {
    running();
    reopen();
    const auto listed = plugin_->list(call_);
    ASSERT_TRUE(listed);
    ASSERT_EQ(listed->size(), 1U);
    EXPECT_EQ((*listed)[0].state, DomainState::running);
    EXPECT_EQ((*listed)[0].revision, 7U);
    EXPECT_EQ((*listed)[0].labels, spec().labels);
}

TEST_F(XenPlugin, ADomainWhoseDirectoryWasLostIsAdoptedFromWhatXenKept) {
    running();
    std::filesystem::remove_all(dir_.path() / "run/domains");
    std::filesystem::create_directory(dir_.path() / "run/domains");
    reopen();
    const auto listed = plugin_->list(call_);
    ASSERT_TRUE(listed);
    ASSERT_EQ(listed->size(), 1U);
    EXPECT_EQ((*listed)[0].revision, 7U);
    EXPECT_EQ((*listed)[0].labels, spec().labels);
    EXPECT_EQ(seen().state, DomainState::running);
}

TEST_F(XenPlugin, DomainsOfOthersAreNotOurs) {
    world_.domains[9] = {.domid = 9, .uuid = "ffffffff-0000-4000-8000-000000000009"};
    const auto listed = plugin_->list(call_);
    ASSERT_TRUE(listed);
    EXPECT_THAT(*listed, IsEmpty());
}

TEST_F(XenPlugin, AGuestThatRebootsIsMadeAgainAndSaid) {
    running();
    const auto first = domain().domid;
    ends(Shutdown::reboot);
    EXPECT_NE(domain().domid, first);
    EXPECT_EQ(seen().state, DomainState::running);
    EXPECT_EQ(seen().revision, 7U);
    EXPECT_EQ(world_.created.size(), 2U);
    EXPECT_EQ(world_.created[0], world_.created[1]);
    ASSERT_EQ(host_.events.size(), 1U);
    EXPECT_EQ(host_.events[0].kind, DomainEventKind::rebooted);
}

TEST_F(XenPlugin, WhoLooksAtAGuestWhileItIsMadeAgainSeesItStarting) {
    running();
    std::vector<DomainState> states;
    world_.while_creating = [&] { states.push_back(seen().state); };
    ends(Shutdown::reboot);
    EXPECT_THAT(states, ElementsAre(DomainState::starting));
    EXPECT_EQ(seen().state, DomainState::running);
}

TEST(XenObservation, ARebootThatThePluginsEndCutShortIsStillWanted) {
    const DomainRecord record{.phase = Phase::rebooting};
    EXPECT_EQ(observe(record, std::nullopt, false).state, DomainState::starting);
    EXPECT_TRUE(wants_reboot(record, std::nullopt));
    EXPECT_TRUE(wants_reboot(record, SeenDomain{.paused = true}));
    EXPECT_FALSE(wants_reboot({.phase = Phase::rebooting, .failure = "no memory"}, std::nullopt));
}

TEST_F(XenPlugin, ARebootThatNobodySawIsDoneWhenThePluginIsBack) {
    running();
    domain().shut_down = true;
    domain().why = Shutdown::reboot;
    reopen();
    EXPECT_EQ(seen().state, DomainState::starting);
    world_.notice(0);  // the listener's first word
    EXPECT_EQ(seen().state, DomainState::running);
}

TEST_F(XenPlugin, AGuestThatRebootsAgainAndAgainIsBroken) {
    running();
    for (int i = 0; i < 10 && !domain().shut_down; ++i) ends(Shutdown::reboot);
    EXPECT_EQ(seen().state, DomainState::broken);
    EXPECT_THAT(seen().reason, HasSubstr("again and again"));
    EXPECT_LT(world_.created.size(), 6U);
}

TEST_F(XenPlugin, ARebootThatCannotBeDoneIsBrokenWithItsReason) {
    running();
    world_.host.memory_free_kib = 0;
    ends(Shutdown::reboot);
    EXPECT_EQ(seen().state, DomainState::broken);
    EXPECT_THAT(seen().reason, HasSubstr("Xen has 0 MiB left"));
}

TEST_F(XenPlugin, TooLittleMemoryIsSaidInFigures) {
    world_.host.memory_free_kib = 50 << 10;
    const auto error = refusal(spec());
    EXPECT_EQ(error.code, Code::resource_exhausted);
    EXPECT_EQ(error.what, "the domain needs 68 MiB of memory and Xen has 50 MiB left");
    EXPECT_EQ(error.field, ".memory_bytes");
    EXPECT_THAT(world_.created, IsEmpty());
}

TEST_F(XenPlugin, WhatXensScriptLeavesOfAnInterfaceIsSweptAway) {
    running();
    must(plugin_->destroy(call_, spec().id, DestroyMode::purge));
    EXPECT_EQ(world_.calls.back(), "sweep nbu1x1");
}

TEST_F(XenPlugin, ADeviceLeavesXensQuarantineWhenItsDomainIsGone) {
    world_.host.directio = true;
    const auto device = dir_.path() / "sys/bus/pci/devices/0000:00:05.0";
    std::filesystem::create_directories(device);
    std::filesystem::create_symlink("../../drivers/pciback", device / "driver");
    auto wanted = spec();
    wanted.vifs.clear();
    wanted.adapters = {{.kind = AdapterKind::pci, .name = "nvme", .address = "0000:00:05.0"}};
    must(plugin_->create(call_, wanted));
    world_.calls.clear();
    must(plugin_->destroy(call_, wanted.id, DestroyMode::purge));
    EXPECT_THAT(world_.calls, ElementsAre("destroy", "give back device 5"));
}

TEST_F(XenPlugin, WhatTheSpecNamesAndIsNotThereIsNamed) {
    auto wanted = spec();
    wanted.disks[0].path = "/nonexistent.raw";
    EXPECT_EQ(refusal(wanted).field, ".disks[0].path");
    wanted = spec();
    wanted.vifs[0].bridge = "bn9";
    EXPECT_EQ(refusal(wanted).what, "there is no bridge bn9");
    wanted = spec();
    wanted.cpus = {3, 4};
    EXPECT_EQ(refusal(wanted).field, ".cpus[1]");
    wanted = spec();
    wanted.kernel = "/nonexistent";
    EXPECT_EQ(refusal(wanted).field, ".kernel");
    wanted = spec();
    world_.host.directio = true;
    wanted.adapters = {{.kind = AdapterKind::pci, .name = "nvme", .address = "0000:00:05.0"}};
    EXPECT_EQ(refusal(wanted).what, "there is no PCI device 0000:00:05.0");
    std::filesystem::create_directories(dir_.path() / "sys/bus/pci/devices/0000:00:05.0");
    EXPECT_THAT(refusal(wanted).what, HasSubstr("not bound to pciback"));
    std::filesystem::create_symlink("../../../../bus/pci/drivers/pciback", dir_.path() / "sys/bus/pci/devices/0000:00:05.0/driver");
    EXPECT_EQ(must(plugin_->create(call_, wanted)).state, DomainState::defined);
}

TEST_F(XenPlugin, AFailedCreateLeavesNothing) {
    world_.create_fails = Error{.code = Code::unavailable, .what = "Xen cannot make the domain: script: /etc/xen/scripts/vif-bridge failed"};
    EXPECT_THAT(refusal(spec()).what, HasSubstr("vif-bridge failed"));
    EXPECT_TRUE(std::filesystem::is_empty(dir_.path() / "run/domains"));
}

TEST_F(XenPlugin, ACreateThatTookTooLongLeavesABrokenDomainThatIsDestroyed) {
    world_.create_fails = Error{.code = Code::timed_out, .what = "make the domain took too long"};
    world_.create_leaves_half = true;
    EXPECT_EQ(plugin_->create(call_, spec()).error().code, Code::timed_out);
    EXPECT_EQ(seen().state, DomainState::broken);
    EXPECT_EQ(must(plugin_->destroy(call_, spec().id, DestroyMode::purge)).presence, Presence::absent);
    EXPECT_THAT(world_.domains, IsEmpty());
}

TEST_F(XenPlugin, WithoutXenstoredDomainsAreStillSeenAndChangesAreRefused) {
    running();
    world_.not_ready = Error{.code = Code::unavailable, .what = "xenstored hangs"};
    EXPECT_EQ(seen().state, DomainState::running);
    EXPECT_EQ(plugin_->list(call_)->size(), 1U);
    EXPECT_EQ(plugin_->destroy(call_, spec().id, DestroyMode::purge).error().code, Code::unavailable);
    EXPECT_EQ(plugin_->probe(call_)->verdict, ProbeVerdict::broken);
    world_.not_ready.reset();
    EXPECT_EQ(must(plugin_->destroy(call_, spec().id, DestroyMode::purge)).presence, Presence::absent);
}

TEST_F(XenPlugin, AMachineWithoutXenIsDeclinedAndDestroyStillSucceeds) {
    world_.not_ready = Error{.code = Code::unsupported, .what = "this machine does not run under Xen"};
    reopen();
    const auto report = plugin_->probe(call_);
    ASSERT_TRUE(report);
    EXPECT_EQ(report->verdict, ProbeVerdict::declined);
    EXPECT_EQ(report->reason, "this machine does not run under Xen");
    EXPECT_FALSE(plugin_->describe(call_)->capabilities.hw_virtualization);
}

TEST_F(XenPlugin, ADomainDestroyedByAnotherHandIsBroken) {
    running();
    world_.domains.clear();
    EXPECT_EQ(seen().state, DomainState::broken);
    EXPECT_THAT(seen().reason, HasSubstr("another hand"));
    EXPECT_EQ(must(plugin_->create(call_, spec())).state, DomainState::defined) << "the dead one is cleared away";
}

TEST_F(XenPlugin, StatsComeFromTheHypervisor) {
    running();
    domain().cpu_ns = 1'500'000'000;
    const auto stats = plugin_->stats(call_);
    ASSERT_TRUE(stats);
    EXPECT_EQ(stats->host.memory_free.n, 2ULL << 30);
    EXPECT_EQ(stats->host.cpus, 4U);
    ASSERT_EQ(stats->domains.size(), 1U);
    EXPECT_EQ(stats->domains[0].cpu, std::chrono::milliseconds(1500));
}

TEST_F(XenPlugin, CutLeavesTheDomainHaltedUntilItIsDestroyed) {
    running();
    EXPECT_EQ(must(plugin_->stop(call_, spec().id, StopMode::ask)).state, DomainState::running);
    EXPECT_EQ(must(plugin_->stop(call_, spec().id, StopMode::cut)).state, DomainState::halted);
    EXPECT_THAT(world_.calls, ElementsAre("create", "unpause", "ask", "destroy"));
    EXPECT_EQ(must(plugin_->stop(call_, spec().id, StopMode::cut)).state, DomainState::halted);
}

}  // namespace
}  // namespace eve::xen
