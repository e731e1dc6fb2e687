// Guests in cgroups of their own, on the machine's real hierarchies (v1, hybrid or v2): made, limited, outside the service's, and gone after.
// Skips where no hierarchy can be written, and says so.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <fstream>
#include <sstream>

#include "core/plugin/frame.hpp"
#include "core/plugin/spawn.hpp"
#include "tests/conformance/plugin_fixture.hpp"

namespace eve::plugin {
namespace {

using ::testing::HasSubstr;

std::string content(const std::string& path) {
    std::ifstream in(path);
    return {std::istreambuf_iterator<char>(in), {}};
}

std::vector<std::string> parts(const std::string& text) {
    std::vector<std::string> found;
    std::istringstream in(text);
    for (std::string part; std::getline(in, part, ',');) found.push_back(part);
    return found;
}

class CgroupTest : public ::testing::Test {
protected:
    CgroupTest() {
        std::filesystem::create_directories(dir_.path("run"));
        run_dir_.reset(::open(dir_.path("run").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    }
    ~CgroupTest() override {
        if (spawned_) (void)sdk::signal_process(spawned_->guest, SIGKILL);
        if (spawned_) wait_until_gone(spawned_->keeper);
    }
    void run(std::vector<std::string> argv, CgroupLimits limits) {
        auto spawned = spawn_kept({.executable = built("bin/keeper"), .cgroup_parent = parent_},
                                  {.name = "guest-under-test", .argv = std::move(argv), .run_dir = {run_dir_.get()}, .cgroup = std::move(limits)});
        ASSERT_TRUE(spawned) << spawned.error().what;
        spawned_ = *spawned;
        if (spawned_->cgroup.empty()) GTEST_SKIP() << "no cgroup can be made here: " << (spawned_->notes.empty() ? "" : spawned_->notes[0]);
    }

    const std::string parent_ = "eve-test-" + std::to_string(::getpid());
    ScratchDir dir_;
    UniqueFd run_dir_;
    std::optional<SpawnedProcess> spawned_;
};

TEST_F(CgroupTest, TheGuestIsInItsOwnAndTheKeeperBesideIt) {
    run({"/bin/sleep", "300"}, {.memory_max = 64_MiB});
    if (IsSkipped()) return;
    const auto guest = content("/proc/" + std::to_string(spawned_->guest.pid) + "/cgroup");
    EXPECT_THAT(guest, HasSubstr(parent_ + "/guest-under-test"));
    EXPECT_THAT(content("/proc/" + std::to_string(spawned_->keeper.pid) + "/cgroup"), HasSubstr(parent_ + "/keepers"));
    const auto groups = parts(spawned_->cgroup);
    for (const auto& group : groups) EXPECT_TRUE(std::filesystem::exists(group)) << group;
    ASSERT_TRUE(sdk::signal_process(spawned_->guest, SIGKILL));
    ASSERT_TRUE(wait_until_gone(spawned_->keeper));
    for (const auto& group : groups) {
        EXPECT_FALSE(std::filesystem::exists(group)) << group;
        EXPECT_FALSE(std::filesystem::exists(std::filesystem::path(group).parent_path())) << group;
    }
}

TEST_F(CgroupTest, MemoryBeyondTheLimitEndsTheGuestAndTheReasonIsKnown) {
    run({"/bin/sh", "-c", "x=aaaaaaaaaaaaaaaa; while true; do x=$x$x; done"}, {.memory_max = 16_MiB});
    if (IsSkipped()) return;
    for (const auto& note : spawned_->notes)
        if (note.find("memory") != std::string::npos) GTEST_SKIP() << note;
    ASSERT_TRUE(wait_until_gone(spawned_->keeper));
    const auto kept = sdk::read_kept_process(run_dir_.get());
    ASSERT_TRUE(kept);
    ASSERT_TRUE(kept->exit);
    EXPECT_EQ(kept->exit->signal, SIGKILL);
    EXPECT_TRUE(kept->exit->oom);
}

TEST_F(CgroupTest, GroupsOfAKilledKeeperAreRemovedWhenTheGuestIsForgotten) {
    run({"/bin/sleep", "300"}, {});
    if (IsSkipped()) return;
    ASSERT_TRUE(sdk::signal_process(spawned_->keeper, SIGKILL));
    ASSERT_TRUE(wait_until_gone(spawned_->keeper));
    ASSERT_TRUE(sdk::signal_process(spawned_->guest, SIGKILL));
    ASSERT_TRUE(wait_until_gone(spawned_->guest));
    Status forgotten;
    const auto give_up_ns = monotonic_after(5'000'000'000);
    do forgotten = sdk::forget_kept_process(run_dir_.get());
    while (!forgotten && monotonic_ns() < give_up_ns);  // init reaps it at its own time
    EXPECT_TRUE(forgotten);
    for (const auto& group : parts(spawned_->cgroup)) EXPECT_FALSE(std::filesystem::exists(std::filesystem::path(group).parent_path())) << group;
}

}  // namespace
}  // namespace eve::plugin
