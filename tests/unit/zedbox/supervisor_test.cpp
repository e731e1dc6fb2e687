// The node's own supervisor, over real processes with short limits.

#include "core/zedbox/supervisor.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <new>

#include "core/loop/asio_loop.hpp"
#include "tests/doubles/temp_dir.hpp"

namespace eve::zedbox {
namespace {

using namespace std::chrono_literals;

/// Seen by the supervisor's children too.
struct Shared {
    std::atomic<int> lives{0};
    std::atomic<pid_t> pid{0};
};

class SupervisorTest : public testing::Test {
protected:
    SupervisorTest() : shared(new (::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) Shared) {}
    ~SupervisorTest() override { ::munmap(shared, sizeof(Shared)); }

    int supervise_fast(const std::function<int(Heartbeat)>& work) { return supervise(clock, work, {.silence_max = 300ms, .restart_first = 1ms}); }

    SystemClock clock;
    Shared* shared;
};

TEST_F(SupervisorTest, ReturnsTheCodeOfANodeThatEndsByItself) {
    EXPECT_EQ(supervise_fast([](Heartbeat) { return 7; }), 7);
}

TEST_F(SupervisorTest, AKilledNodeIsStartedAgain) {
    const int code = supervise_fast([this](Heartbeat) {
        if (++shared->lives < 3) ::raise(SIGKILL);
        return 0;
    });
    EXPECT_EQ(code, 0);
    EXPECT_EQ(shared->lives, 3);
}

TEST_F(SupervisorTest, ANodeWhoseLoopHangsIsKilledAndStartedAgain) {
    const auto begin = clock.now();
    const int code = supervise_fast([this](Heartbeat heartbeat) {
        heartbeat.beat();
        if (++shared->lives < 2)
            for (;;) ::pause();
        return 0;
    });
    EXPECT_EQ(code, 0);
    EXPECT_EQ(shared->lives, 2);
    EXPECT_GE(clock.now() - begin, 300ms);
}

TEST_F(SupervisorTest, AStoppedNodeIsReplaced) {
    const int code = supervise_fast([this](Heartbeat heartbeat) {
        heartbeat.beat();
        if (++shared->lives < 2) ::raise(SIGSTOP);
        return 0;
    });
    EXPECT_EQ(code, 0);
    EXPECT_EQ(shared->lives, 2);
}

TEST_F(SupervisorTest, ANodeThatShowsLifeIsLeftAlone) {
    const int code = supervise_fast([this](Heartbeat heartbeat) {
        ++shared->lives;
        sigset_t none;
        ::sigemptyset(&none);
        for (int i = 0; i < 15; ++i) {
            heartbeat.beat();
            const timespec wait{.tv_sec = 0, .tv_nsec = 50'000'000};
            ::sigtimedwait(&none, nullptr, &wait);
        }
        return 0;
    });
    EXPECT_EQ(code, 0);
    EXPECT_EQ(shared->lives, 1);
}

TEST_F(SupervisorTest, ASignalToEndIsPassedOnAndNothingIsStartedAgain) {
    int ready[2];
    ASSERT_EQ(::pipe(ready), 0);
    const pid_t supervisor = ::fork();
    if (supervisor == 0) {
        std::_Exit(supervise(clock, [&](Heartbeat heartbeat) {
            sigset_t set;
            ::sigemptyset(&set);
            ::sigaddset(&set, SIGTERM);
            ::sigprocmask(SIG_BLOCK, &set, nullptr);
            heartbeat.beat();
            ++shared->lives;
            if (::write(ready[1], "r", 1) != 1) return 1;
            int signal = 0;
            ::sigwait(&set, &signal);
            return 42;
        }));
    }
    char token = 0;
    ASSERT_EQ(::read(ready[0], &token, 1), 1);
    ASSERT_EQ(::kill(supervisor, SIGTERM), 0);
    int status = 0;
    ASSERT_EQ(::waitpid(supervisor, &status, 0), supervisor);
    EXPECT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 42);
    EXPECT_EQ(shared->lives, 1);
    ::close(ready[0]);
    ::close(ready[1]);
}

TEST_F(SupervisorTest, TheNodeDoesNotOutliveItsSupervisor) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const pid_t supervisor = ::fork();
    if (supervisor == 0) {
        ::close(ends[0]);
        std::_Exit(supervise(clock, [&](Heartbeat heartbeat) {
            heartbeat.beat();
            if (::write(ends[1], "r", 1) != 1) return 1;
            for (;;) ::pause();
            return 0;
        }));
    }
    ::close(ends[1]);
    char token = 0;
    ASSERT_EQ(::read(ends[0], &token, 1), 1);
    ASSERT_EQ(::kill(supervisor, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(::waitpid(supervisor, &status, 0), supervisor);
    EXPECT_EQ(::read(ends[0], &token, 1), 0);  // end of file: the last who could write is gone
    ::close(ends[0]);
}

TEST_F(SupervisorTest, SystemdOrEvesWatchdogReplaceIt) {
    const TempDir temp;
    const Root root(temp.string());
    ::unsetenv("NOTIFY_SOCKET");
    EXPECT_FALSE(watched_by_others(root));
    std::filesystem::create_directories(root.path("/run/watchdog"));
    EXPECT_TRUE(watched_by_others(root));
    ::setenv("NOTIFY_SOCKET", "/nowhere", 1);
    EXPECT_TRUE(watched_by_others(Root("/nowhere")));
    ::unsetenv("NOTIFY_SOCKET");
}

}  // namespace
}  // namespace eve::zedbox
