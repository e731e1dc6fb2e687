// Guests' processes under keepers: who they are, that they outlive everything, and how they ended.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <fstream>

#include "core/plugin/spawn.hpp"
#include "tests/conformance/plugin_fixture.hpp"

namespace eve::plugin {
namespace {

using ::testing::HasSubstr;

class KeeperTest : public ::testing::Test {
protected:
    KeeperTest() {
        std::filesystem::create_directories(dir_.path("run"));
        run_dir_.reset(::open(dir_.path("run").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    }
    ~KeeperTest() override {
        if (spawned_) (void)sdk::signal_process(spawned_->guest, SIGKILL);
    }
    Result<SpawnedProcess> run(std::vector<std::string> argv) {
        process_.name = "guest-under-test";
        process_.argv = std::move(argv);
        process_.run_dir = {run_dir_.get()};
        auto spawned = spawn_kept(keeper_, process_);
        if (spawned) spawned_ = *spawned;
        return spawned;
    }
    sdk::KeptProcess wait_for_end() {
        EXPECT_TRUE(wait_until_gone(spawned_->guest));
        EXPECT_TRUE(wait_until_gone(spawned_->keeper));
        auto kept = sdk::read_kept_process(run_dir_.get());
        EXPECT_TRUE(kept);
        EXPECT_FALSE(kept->running);
        return kept ? *kept : sdk::KeptProcess{};
    }
    std::string content(const std::string& name) const {
        std::ifstream in(dir_.path(name));
        return {std::istreambuf_iterator<char>(in), {}};
    }
    Fd output() {
        output_.reset(::open(dir_.path("output").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666));
        return {output_.get()};
    }

    ScratchDir dir_;
    UniqueFd run_dir_;
    UniqueFd output_;
    KeeperOptions keeper_{.executable = built("bin/keeper"), .cgroup_parent = {}};
    GuestProcess process_;
    std::optional<SpawnedProcess> spawned_;
};

TEST_F(KeeperTest, ARunningProcessIsIdentifiedAndItsExitCodeIsKept) {
    ASSERT_TRUE(run({"/bin/sh", "-c", "read line; exit 42"})) << "reads end of file from /dev/null";
    const auto kept = wait_for_end();
    EXPECT_EQ(kept.guest, spawned_->guest);
    EXPECT_EQ(kept.exit->code, 42);
    EXPECT_FALSE(kept.exit->signal);
    EXPECT_NE(kept.started_at, "");
    EXPECT_NE(kept.ended_at, "");
    EXPECT_TRUE(sdk::forget_kept_process(run_dir_.get()));
    EXPECT_EQ(sdk::read_kept_process(run_dir_.get()).error().code, Code::not_found);
}

TEST_F(KeeperTest, ASignalIsTold) {
    ASSERT_TRUE(run({"/bin/sleep", "300"}));
    EXPECT_TRUE(sdk::read_kept_process(run_dir_.get())->running);
    EXPECT_EQ(sdk::forget_kept_process(run_dir_.get()).error().code, Code::failed_precondition);
    ASSERT_TRUE(sdk::signal_process(spawned_->guest, SIGTERM));
    EXPECT_EQ(wait_for_end().exit->signal, SIGTERM);
}

TEST_F(KeeperTest, AKilledKeeperTakesNobodyWithItAndTheTruthIsThatNobodySaw) {
    ASSERT_TRUE(run({"/bin/sleep", "300"}));
    ASSERT_TRUE(sdk::signal_process(spawned_->keeper, SIGKILL));
    ASSERT_TRUE(wait_until_gone(spawned_->keeper));
    EXPECT_TRUE(sdk::alive(spawned_->guest));
    EXPECT_TRUE(sdk::read_kept_process(run_dir_.get())->running);
    EXPECT_EQ(run({"/bin/true"}).error().code, Code::already_exists) << "its directory is taken while it lives";
    ASSERT_TRUE(sdk::signal_process(spawned_->guest, SIGKILL));
    const auto kept = wait_for_end();
    ASSERT_TRUE(kept.exit);
    EXPECT_FALSE(kept.exit->code);
    EXPECT_FALSE(kept.exit->signal);
}

TEST_F(KeeperTest, AKeeperHeedsNoSignalButKill) {
    ASSERT_TRUE(run({"/bin/sleep", "300"}));
    for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGPIPE, SIGUSR1}) ASSERT_TRUE(sdk::signal_process(spawned_->keeper, signal));
    ASSERT_TRUE(sdk::signal_process(spawned_->guest, SIGKILL));
    EXPECT_EQ(wait_for_end().exit->signal, SIGKILL);
}

TEST_F(KeeperTest, WhatCannotBeStartedIsSaidAndLeavesNothing) {
    const auto none = run({"/does/not/exist"});
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().code, Code::not_found);
    EXPECT_THAT(none.error().what, HasSubstr("/does/not/exist"));
    EXPECT_EQ(sdk::read_kept_process(run_dir_.get()).error().code, Code::not_found);
    EXPECT_EQ(run({"/etc/passwd"}).error().code, Code::permission_denied);
    EXPECT_EQ(run({"sleep"}).error().field, ".argv[0]");
    process_.name = "../x";
    process_.argv = {"/bin/true"};
    EXPECT_EQ(spawn_kept(keeper_, process_).error().field, ".name");
    keeper_.executable = "/does/not/exist";
    EXPECT_EQ(run({"/bin/true"}).error().code, Code::failed_precondition);
}

TEST_F(KeeperTest, AFailedStartLeavesTheDirectoryFreeAtOnce) {
    for (int i = 0; i < 30; ++i) ASSERT_EQ(run({"/does/not/exist"}).error().code, Code::not_found) << "try " << i;
}

TEST_F(KeeperTest, GroupsOfAKeeperThatDiedBeforeItsRecordAreForgotten) {
    const auto group = dir_.path("fs/parent/app");
    std::filesystem::create_directories(group);
    std::ofstream(dir_.path("run/cgroups")) << group << "\n";
    ASSERT_TRUE(sdk::forget_kept_process(run_dir_.get()));
    EXPECT_FALSE(std::filesystem::exists(dir_.path("fs/parent")));
    EXPECT_FALSE(std::filesystem::exists(dir_.path("run/cgroups")));
}

TEST_F(KeeperTest, TheGuestHasItsDescriptorsItsEnvironmentAndNoOthers) {
    process_.stdout_fd = output();
    process_.env = {"A=b c"};
    const UniqueFd extra(::open("/dev/null", O_RDWR));  // inheritable: must not arrive
    process_.fds = {{.fd = {output_.get()}, .as = 7}};
    ASSERT_TRUE(run({"/bin/sh", "-c", "echo \"[$A]\"; pwd; echo seven >&7; ls /proc/self/fd | tr '\\n' ' '"}));
    EXPECT_EQ(wait_for_end().exit->code, 0);
    const auto text = content("output");
    EXPECT_THAT(text, HasSubstr("[b c]\n" + dir_.path("run") + "\n"));
    EXPECT_THAT(text, HasSubstr("0 1 2 3 7")) << "3 is ls's own";
}

TEST_F(KeeperTest, ALogIsKeptShortWithoutAnyHelpAndItsEndIsKept) {
    constexpr std::uintmax_t limit = 64U << 10;
    output_.reset(::open(dir_.path("run/log").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    process_.stdout_fd = {output_.get()};
    process_.log_max = {limit};
    const UniqueFd other(::open(dir_.path("elsewhere").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    process_.fds = {{.fd = {other.get()}, .as = 7}};
    ASSERT_TRUE(run({"/bin/sh", "-c", "head -c 200000 /dev/zero >&7; i=0; while [ $i -lt 9 ]; do head -c 1000000 /dev/zero; i=$((i+1)); sleep 0.3; done; echo end; "
                     "sleep 3; echo last"}));
    wait_for_end();
    EXPECT_LT(std::filesystem::file_size(dir_.path("run/log")), 5'000'000U) << "nine million were written";
    EXPECT_EQ(std::filesystem::file_size(dir_.path("run/log.1")), limit);
    const auto log = content("run/log");
    EXPECT_TRUE(log.ends_with("last\n")) << "who writes does not notice";
    EXPECT_TRUE(log.ends_with("end\nlast\n") || content("run/log.1").ends_with("end\n")) << "what was written last is kept";
    EXPECT_FALSE(std::filesystem::exists(dir_.path("run/log.1.tmp")));
    EXPECT_EQ(std::filesystem::file_size(dir_.path("elsewhere")), 200'000U) << "not a file of the run directory";
}

TEST_F(KeeperTest, PrivilegesAreDroppedBeforeTheGuestRuns) {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root: there is nothing to drop";
    process_.stdout_fd = output();
    process_.uid = 65534;
    process_.gid = 65534;
    process_.capabilities = {12};  // CAP_NET_ADMIN
    ::chmod(dir_.path("run").c_str(), 0755);
    ASSERT_TRUE(run({"/bin/grep", "-E", "^(Uid|Gid|Groups|CapEff|CapBnd|NoNewPrivs)", "/proc/self/status"}));
    EXPECT_EQ(wait_for_end().exit->code, 0);
    const auto text = content("output");
    EXPECT_THAT(text, HasSubstr("Uid:\t65534\t65534\t65534\t65534"));
    EXPECT_THAT(text, HasSubstr("Gid:\t65534\t65534\t65534\t65534"));
    EXPECT_THAT(text, HasSubstr("CapEff:\t0000000000001000"));
    EXPECT_THAT(text, HasSubstr("CapBnd:\t0000000000001000"));
    EXPECT_THAT(text, HasSubstr("NoNewPrivs:\t1"));
}

TEST_F(KeeperTest, ThePidOfAnotherProcessIsNeverTakenForTheGuests) {
    const ProcessIdentity other{.pid = ::getpid(), .start_ticks = sdk::identify(::getpid()).start_ticks + 1};
    EXPECT_FALSE(sdk::alive(other));
    EXPECT_EQ(sdk::signal_process(other, SIGKILL).error().code, Code::not_found);
    std::ofstream(dir_.path("run/keeper")) << "format 1\nname x\nguest_pid " << other.pid << "\nguest_start " << other.start_ticks
                                           << "\nkeeper_pid " << other.pid << "\nkeeper_start " << other.start_ticks << "\n";
    const auto kept = sdk::read_kept_process(run_dir_.get());
    ASSERT_TRUE(kept);
    EXPECT_FALSE(kept->running);
}

}  // namespace
}  // namespace eve::plugin
