// The node's own supervisor, over real processes with short limits; and how it tells a hung node from a starved one.

#include "core/zedbox/supervisor.hpp"

#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <new>

#include "core/loop/asio_loop.hpp"
#include "core/zedbox/silence.hpp"
#include "tests/doubles/temp_dir.hpp"

namespace eve::zedbox {
namespace {

using namespace std::chrono_literals;

/// Seen by the supervisor's children too.
struct Shared {
    std::atomic<int> lives{0};
    std::atomic<pid_t> pid{0};
};

[[noreturn]] void spin_for_ever() {
    for (volatile unsigned spins = 0;;) spins = spins + 1;  // unsigned: it does wrap in seconds
}

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

TEST_F(SupervisorTest, ANodeWhoseLoopSpinsIsKilledAndStartedAgain) {
    const int code = supervise_fast([this](Heartbeat heartbeat) {
        heartbeat.beat();
        if (++shared->lives < 2)
            spin_for_ever();
        return 0;
    });
    EXPECT_EQ(code, 0);
    EXPECT_EQ(shared->lives, 2);
}

TEST_F(SupervisorTest, ANodeThatGetsNoProcessorIsLeftAlone) {
    if (!sample_scheduler(::getpid())) GTEST_SKIP() << "this kernel has no /proc/PID/schedstat";
    // One processor, all of it for another: what is idle only runs when nobody else wants to.
    cpu_set_t all;
    ASSERT_EQ(::sched_getaffinity(0, sizeof all, &all), 0);
    int first = 0;
    while (!CPU_ISSET(first, &all)) ++first;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    const pid_t greedy = ::fork();
    if (greedy == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        ::sched_setaffinity(0, sizeof one, &one);
        spin_for_ever();
    }
    const int code = supervise_fast([this, &one](Heartbeat heartbeat) {
        if (++shared->lives > 1) return 0;
        ::sched_setaffinity(0, sizeof one, &one);
        const sched_param none{};
        ::sched_setscheduler(0, SCHED_IDLE, &none);
        const auto begin = clock.now();
        heartbeat.beat();
        // It always wants to run: a nap would count as silence, and each is followed by a turn on a kernel that is kind to sleepers.
        while (clock.now() - begin < 2s) {}
        std::_Exit(9);  // at once: a search for leaks would sleep until a thread more gets its turn
    });
    ::kill(greedy, SIGKILL);
    ::waitpid(greedy, nullptr, 0);
    EXPECT_EQ(code, 9);
    EXPECT_EQ(shared->lives, 1);
}

SchedulerSample at(std::chrono::milliseconds ran, std::chrono::milliseconds waited, bool runnable) {
    return {.ran = ran, .waited = waited, .runnable = runnable};
}

TEST(SilenceMeter, SleepAndRunningCountButNotWaitingForAProcessor) {
    SilenceMeter meter;
    meter.begin(at(0ms, 0ms, false));
    meter.add(500ms, 500ms, at(0ms, 0ms, false));  // slept
    EXPECT_EQ(meter.counted(), 500ms);
    meter.add(500ms, 500ms, at(500ms, 0ms, true));  // ran
    EXPECT_EQ(meter.counted(), 1000ms);
    meter.add(500ms, 500ms, at(520ms, 480ms, false));  // waited, and ran a little
    EXPECT_EQ(meter.counted(), 1020ms);
    meter.add(500ms, 500ms, at(520ms, 480ms, true));  // waits since then
    EXPECT_EQ(meter.counted(), 1020ms);
    meter.begin(at(520ms, 480ms, true));
    EXPECT_EQ(meter.counted(), 0ms);
}

TEST(SilenceMeter, TimeInWhichTheSupervisorWasAwayDoesNotCount) {
    SilenceMeter meter;
    meter.begin(at(0ms, 0ms, false));
    meter.add(500ms, 60s, at(0ms, 0ms, false));
    EXPECT_EQ(meter.counted(), 500ms);
}

TEST(SilenceMeter, WithoutWordFromTheKernelAllTimeCounts) {
    SilenceMeter meter;
    meter.begin(std::nullopt);
    meter.add(500ms, 500ms, std::nullopt);
    meter.add(500ms, 500ms, at(0ms, 0ms, true));
    EXPECT_EQ(meter.counted(), 1000ms);
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
