#include "core/zedbox/presence.hpp"

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <fstream>
#include <iterator>

#include "core/bus/reverse_channel.hpp"
#include "core/bus/unix_path.hpp"
#include "tests/doubles/real_loop.hpp"
#include "tests/doubles/recording_log.hpp"
#include "tests/doubles/sim_loop.hpp"
#include "tests/doubles/temp_dir.hpp"

namespace eve {
namespace {

using testing::ElementsAre;

class Presence : public testing::Test {
protected:
    TempDir temp;
    Root root{temp.string()};
    SimClock clock;
    SimLoop loop{clock};
    std::string file(const std::string& name) const { return root.path("/run/" + name); }
    static std::string content(const std::string& path) {
        std::ifstream in(path);
        return {std::istreambuf_iterator<char>(in), {}};
    }
    // A child of this name that lives until it is killed.
    static pid_t child_called(const char* name) {
        int ready[2];
        if (::pipe(ready) != 0) return -1;
        const auto pid = ::fork();
        if (pid == 0) {
            ::prctl(PR_SET_NAME, name);
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            ::close(ready[1]);
            for (;;) ::pause();
        }
        ::close(ready[1]);
        // The name is set when it reads so.
        while (content("/proc/" + std::to_string(pid) + "/comm") != std::string(name) + "\n") {}
        ::close(ready[0]);
        return pid;
    }
    static void end(pid_t pid) {
        ::kill(pid, SIGKILL);
        ::waitpid(pid, nullptr, 0);
    }
};

TEST_F(Presence, WritesItsPidAndTouchesItsFileEvery25Seconds) {
    const auto presence = AgentPresence::claim(loop, root, "zedmanager");
    ASSERT_TRUE(presence) << presence.error().what;
    EXPECT_EQ(content(file("zedmanager.pid")), std::to_string(::getpid()));
    for (int n = 0; n < 3; ++n) {
        ASSERT_EQ(::unlink(file("zedmanager.touch").c_str()), 0);
        loop.run_for(AgentPresence::touch_interval);
    }
    ASSERT_EQ(::unlink(file("zedmanager.touch").c_str()), 0);
    (*presence)->still_running();
    EXPECT_TRUE(std::filesystem::exists(file("zedmanager.touch")));
}

TEST_F(Presence, RefusesBesideALivingOwnerOfThisNode) {
    const auto first = AgentPresence::claim(loop, root, "zedmanager");
    const auto second = AgentPresence::claim(loop, root, "zedmanager");
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, Code::already_exists);
    EXPECT_TRUE(AgentPresence::claim(loop, root, "domainmgr"));
}

TEST_F(Presence, RefusesBesideAnAgentOfEvesThatHoldsNoLock) {
    std::filesystem::create_directories(root.path("/run"));
    for (const auto* name : {"zedmanager", "zedbox"}) {
        const auto pid = child_called(name);
        std::ofstream(file("zedmanager.pid")) << pid << "\n";
        EXPECT_EQ(AgentPresence::claim(loop, root, "zedmanager").error().code, Code::already_exists) << name;
        end(pid);
    }
    EXPECT_TRUE(AgentPresence::claim(loop, root, "zedmanager"));
}

TEST_F(Presence, APidThatNowBelongsToAnotherProgramIsStale) {
    std::filesystem::create_directories(root.path("/run"));
    const auto pid = child_called("cat");
    std::ofstream(file("zedmanager.pid")) << pid;
    EXPECT_TRUE(AgentPresence::claim(loop, root, "zedmanager"));
    end(pid);
}

TEST_F(Presence, AKilledOwnerThatWaitsForItsParentIsNoRival) {
    std::filesystem::create_directories(root.path("/run"));
    const auto pid = child_called("zedbox");
    std::ofstream(file("zedmanager.pid")) << pid;
    ::kill(pid, SIGKILL);
    siginfo_t info{};
    ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT), 0);  // dead, and not reaped
    EXPECT_TRUE(AgentPresence::claim(loop, root, "zedmanager"));
    end(pid);
}

TEST_F(Presence, AfterACrashTheNextLifeTakesOver) {
    { const auto crashed = AgentPresence::claim(loop, root, "zedmanager"); }
    EXPECT_TRUE(std::filesystem::exists(file("zedmanager.pid")));
    EXPECT_TRUE(AgentPresence::claim(loop, root, "zedmanager"));
}

TEST_F(Presence, AnEndLeavesItsExitCodeUntilTheNextStart) {
    const auto presence = AgentPresence::claim(loop, root, "client");
    (*presence)->finish(3);
    EXPECT_EQ(content(file("client.done")), "3");
    EXPECT_FALSE(std::filesystem::exists(file("client.pid")));
    EXPECT_FALSE(std::filesystem::exists(file("client.touch")));
    loop.run_for(std::chrono::minutes{5});
    EXPECT_FALSE(std::filesystem::exists(file("client.touch")));
    const auto again = AgentPresence::claim(loop, root, "client");
    EXPECT_TRUE(again);
    EXPECT_FALSE(std::filesystem::exists(file("client.done")));
}

TEST_F(Presence, EvesOtherSpellingOfRunLeadsToTheSamePlace) {
    ASSERT_TRUE(AgentPresence::claim(loop, root, "zedmanager"));
    EXPECT_TRUE(std::filesystem::exists(temp.path() / "var" / "run" / "zedmanager.pid"));
}

TEST_F(Presence, AVarRunOfItsOwnIsRefusedWithARemedy) {
    std::filesystem::create_directories(temp.path() / "var" / "run");
    const auto refused = AgentPresence::claim(loop, root, "zedmanager");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::failed_precondition);
    EXPECT_FALSE(refused.error().hint.empty());
}

TEST(ReverseChannelTest, EachProducerLeavesOneDatagram) {
    const TempDir temp;
    RealLoop world;
    RecordingLog log;
    const auto path = (temp.path() / "zedbox" / "ServiceInitStatus.sock").string();
    EXPECT_FALSE(bus::send_reverse(path, "{}"));
    std::vector<std::string> heard;
    auto channel = bus::ReverseChannel::listen(world.loop, log, path, [&](std::string_view json) { heard.emplace_back(json); });
    ASSERT_TRUE(channel) << channel.error().what;
    EXPECT_EQ(bus::ReverseChannel::listen(world.loop, log, path, nullptr).error().code, Code::already_exists);
    const auto silent = connect_unix(path, SOCK_SEQPACKET);
    ASSERT_TRUE(bus::send_reverse(path, R"({"ServiceName":"nim"})"));
    ASSERT_TRUE(bus::send_reverse(path, R"({"ServiceName":"diag"})"));
    ASSERT_TRUE(world.run_until([&] { return heard.size() == 2; }));
    EXPECT_THAT(heard, ElementsAre(R"({"ServiceName":"nim"})", R"({"ServiceName":"diag"})"));
    channel->reset();
    EXPECT_FALSE(bus::send_reverse(path, "{}"));
}

}  // namespace
}  // namespace eve
