// One suite for the loop and the lanes of production and their twins of simulation: what agents rely on holds for both.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "core/loop/asio_loop.hpp"
#include "core/loop/root.hpp"
#include "tests/doubles/sim_loop.hpp"

namespace eve {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

struct AsioWorld {
    SystemClock clock;
    AsioLoop loop{clock};
    ThreadLanes lanes{loop};
    bool run_until(const std::function<bool()>& condition) {
        bool met = false;
        std::function<void()> look = [&] {
            met = condition();
            if (met) {
                loop.stop();
            } else {
                loop.after(1ms, look);
            }
        };
        loop.post(look);
        loop.after(20s, [&] { loop.stop(); });
        loop.run();
        return met;
    }
};

struct SimWorld {
    SimClock clock;
    SimLoop loop{clock};
    SimLanes lanes{loop, Prng{7}};
    bool run_until(const std::function<bool()>& condition) { return loop.run_until(condition); }
};

template <class World> class LoopContract : public testing::Test {
protected:
    World world;
    std::vector<std::string> seen;
    Loop::Task note(std::string what) {
        return [this, what = std::move(what)] { seen.push_back(what); };
    }
    bool wait_for(std::size_t events) {
        return world.run_until([&] { return seen.size() >= events; });
    }
};
using Worlds = testing::Types<AsioWorld, SimWorld>;
TYPED_TEST_SUITE(LoopContract, Worlds);

TYPED_TEST(LoopContract, PostedTasksRunInOrderAndNeverInsideTheCall) {
    auto& loop = this->world.loop;
    loop.post([&] {
        loop.post(this->note("inner"));
        this->seen.push_back("outer");
    });
    loop.post(this->note("second"));
    EXPECT_TRUE(this->seen.empty());
    ASSERT_TRUE(this->wait_for(3));
    EXPECT_THAT(this->seen, ElementsAre("outer", "second", "inner"));
}

TYPED_TEST(LoopContract, TimersRunInOrderOfTimeAndEqualTimesInOrderOfTheCalls) {
    auto& loop = this->world.loop;
    const auto soon = loop.now() + 5ms;
    loop.at(soon + 5ms, this->note("late"));
    loop.at(soon, this->note("a"));
    loop.at(soon, this->note("b"));
    loop.at(soon - 2ms, this->note("early"));
    ASSERT_TRUE(this->wait_for(4));
    EXPECT_THAT(this->seen, ElementsAre("early", "a", "b", "late"));
}

TYPED_TEST(LoopContract, ATimerNeverRunsEarlyAndATimeInThePastRunsAtOnce) {
    auto& loop = this->world.loop;
    const auto due = loop.now() + 3ms;
    Instant ran{};
    loop.at(due, [&] {
        ran = loop.now();
        this->seen.push_back("due");
    });
    loop.at(loop.now() - 1h, this->note("past"));
    EXPECT_TRUE(this->seen.empty());
    ASSERT_TRUE(this->wait_for(2));
    EXPECT_THAT(this->seen, ElementsAre("past", "due"));
    EXPECT_GE(ran, due);
}

TYPED_TEST(LoopContract, ACancelledTimerDoesNotRunEvenWhenItIsDueInTheSameTurn) {
    auto& loop = this->world.loop;
    const auto due = loop.now() + 2ms;
    TimerId victim{};
    loop.at(due, [&] {
        this->seen.push_back("first");
        loop.cancel(victim);
    });
    victim = loop.at(due, this->note("victim"));
    const auto last = loop.at(due, this->note("last"));
    ASSERT_TRUE(this->wait_for(2));
    EXPECT_THAT(this->seen, ElementsAre("first", "last"));
    loop.cancel(last);          // ran already
    loop.cancel(TimerId{999});  // never was
}

TYPED_TEST(LoopContract, OneLaneKeepsOrderAndResultsReachTheLoop) {
    for (int n = 0; n < 20; ++n)
        this->world.lanes.submit(
            "one", [n](const LaneContext&) { return n; }, [this](int result) { this->seen.push_back(std::to_string(result)); });
    ASSERT_TRUE(this->wait_for(20));
    for (int n = 0; n < 20; ++n) EXPECT_EQ(this->seen[static_cast<std::size_t>(n)], std::to_string(n));
}

TYPED_TEST(LoopContract, ACompletionNeverRunsInsideRunAndAnEmptyOneIsAllowed) {
    this->world.lanes.run("one", [](const LaneContext&) { return Lanes::Completion{}; });
    this->world.lanes.submit("one", [](const LaneContext&) { return 1; }, [this](int) { this->seen.push_back("done"); });
    EXPECT_TRUE(this->seen.empty());
    ASSERT_TRUE(this->wait_for(1));
}

TYPED_TEST(LoopContract, AQueuedJobThatIsCancelledStillRunsAndKnowsIt) {
    auto& lanes = this->world.lanes;
    const auto work = [](const LaneContext& context) { return std::string(context.cancelled() ? "cancelled" : "not cancelled"); };
    const auto done = [this](const std::string& text) { this->seen.push_back(text); };
    std::atomic<bool> release = false;
    const auto hold = [&release](const LaneContext&) {
        while (std::is_same_v<TypeParam, AsioWorld> && !release) std::this_thread::yield();
        return 0;
    };
    lanes.submit("one", hold, [](int) {});
    const auto second = lanes.submit("one", work, done);
    lanes.submit("one", work, done);
    lanes.cancel(second);
    release = true;
    ASSERT_TRUE(this->wait_for(2));
    EXPECT_THAT(this->seen, ElementsAre("cancelled", "not cancelled"));
    lanes.cancel(second);  // over already
}

TYPED_TEST(LoopContract, TheLimitOfAJobIsItsDeadline) {
    const auto before = this->world.loop.now();
    this->world.lanes.submit(
        "one", [](const LaneContext& context) { return context.deadline(); },
        [&](Instant deadline) {
            EXPECT_GE(deadline, before + 5s);
            EXPECT_LE(deadline, this->world.loop.now() + 5s);
            this->seen.push_back("done");
        },
        {.time_limit = 5s});
    ASSERT_TRUE(this->wait_for(1));
}

TEST(AsioLoop, ATimerThatSetsItselfInThePastDoesNotStarveTheRest) {
    AsioWorld world;
    std::function<void()> again = [&] { world.loop.at(world.loop.now() - 1s, again); };
    again();
    bool posted = false;
    world.loop.post([&] { world.loop.post([&] { posted = true; }); });
    EXPECT_TRUE(world.run_until([&] { return posted; }));
}

TEST(AsioLoop, TimersThatAreFarOffRingTogetherAndInTheirOrder) {
    const SystemClock clock;
    AsioLoop loop(clock);
    std::vector<std::string> order;
    const auto shared = clock.now() + AsioLoop::far_off + 2 * AsioLoop::together;
    const auto begin = shared - shared.time_since_epoch() % AsioLoop::together;  // all between this and the next one
    loop.at(begin + 30ms, [&] {
        order.push_back("second");
        loop.post([&] { order.push_back("another turn"); });
    });
    loop.at(begin + 40ms, [&] { order.push_back("third"); });
    loop.at(begin + 10ms, [&] {
        EXPECT_GE(clock.now(), begin + AsioLoop::together);
        order.push_back("first");
        loop.after(1ms, [&] { loop.stop(); });
    });
    loop.run();
    EXPECT_EQ(order, (std::vector<std::string>{"first", "second", "third", "another turn"}));
}

TEST(AsioLoop, TasksPostedFromThreadsAllRunOnTheLoopsThread) {
    AsioWorld world;
    std::size_t ran = 0;
    bool elsewhere = false;
    const auto home = std::this_thread::get_id();
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&] {
            for (int n = 0; n < 500; ++n)
                world.loop.post([&] {
                    ++ran;
                    elsewhere |= std::this_thread::get_id() != home;
                });
        });
    ASSERT_TRUE(world.run_until([&] { return ran == 2000; }));
    for (auto& thread : threads) thread.join();
    EXPECT_FALSE(elsewhere);
}

TEST(AsioLoop, LanesOverlap) {
    AsioWorld world;
    std::atomic<int> inside = 0;
    int done = 0;
    const auto meet = [&](const LaneContext& context) {
        ++inside;
        while (inside < 2 && !context.cancelled()) std::this_thread::yield();
        return inside.load();
    };
    for (const auto* lane : {"a", "b"}) world.lanes.submit(lane, meet, [&](int met) { done += met == 2 ? 1 : 0; });
    EXPECT_TRUE(world.run_until([&] { return done == 2; }));
}

TEST(AsioLoop, MoreLanesThanThreadsStillAllRun) {
    SystemClock clock;
    AsioLoop loop{clock};
    ThreadLanes lanes{loop, 2};
    int done = 0;
    for (int n = 0; n < 50; ++n)
        lanes.submit("lane" + std::to_string(n), [](const LaneContext&) { return 1; }, [&](int one) {
            done += one;
            if (done == 50) loop.stop();
        });
    loop.run();
    EXPECT_EQ(done, 50);
}

TEST(AsioLoop, AJobThatPollsIsWokenByItsDeadlineAndByCancel) {
    AsioWorld world;
    const auto wait = [](const LaneContext& context) {
        pollfd fd{.fd = context.cancel_fd(), .events = POLLIN, .revents = 0};
        return ::poll(&fd, 1, 10'000) == 1 && context.cancelled();
    };
    int woken = 0;
    world.lanes.submit("deadline", wait, [&](bool ok) { woken += ok; }, {.time_limit = 10ms});
    const auto job = world.lanes.submit("cancel", wait, [&](bool ok) { woken += ok; });
    world.loop.after(5ms, [&] { world.lanes.cancel(job); });
    EXPECT_TRUE(world.run_until([&] { return woken == 2; }));
}

TEST(AsioLoop, DestroyingLanesCancelsWhatRunsAndNoCompletionComesAfter) {
    SystemClock clock;
    AsioLoop loop{clock};
    int completed = 0;
    std::atomic<bool> started = false;
    {
        ThreadLanes lanes{loop};
        lanes.submit("one", [&](const LaneContext& context) {
            started = true;
            while (!context.cancelled()) std::this_thread::yield();
            return 0;
        }, [&](int) { ++completed; });
        lanes.submit("one", [](const LaneContext&) { return 0; }, [&](int) { ++completed; });
        while (!started) std::this_thread::yield();
    }
    loop.after(2ms, [&] { loop.stop(); });
    loop.run();
    EXPECT_EQ(completed, 0);
}

TEST(AsioLoop, AWatchIsLevelTriggeredUntilUnwatched) {
    AsioWorld world;
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    int reads = 0;
    int writes = 0;
    WatchId in{};
    WatchId out{};
    in = world.loop.watch(ends[0], Ready::readable, [&] {
        char byte = 0;
        ASSERT_EQ(::read(ends[0], &byte, 1), 1);  // one byte of three: the watch must come again
        if (++reads == 3) world.loop.unwatch(in);
    });
    out = world.loop.watch(ends[0], Ready::writable, [&] {
        if (++writes == 2) world.loop.unwatch(out);
    });
    ASSERT_EQ(::write(ends[1], "abc", 3), 3);
    EXPECT_TRUE(world.run_until([&] { return reads == 3 && writes == 2; }));
    ASSERT_EQ(::write(ends[1], "d", 1), 1);
    int turns = 0;
    EXPECT_TRUE(world.run_until([&] { return ++turns == 5; }));
    EXPECT_EQ(reads, 3);
    EXPECT_EQ(writes, 2);
    ::close(ends[0]);
    ::close(ends[1]);
}

TEST(AsioLoop, ADescriptorNumberCanBeWatchedAgainAfterItWasClosed) {
    AsioWorld world;
    for (int round = 0; round < 3; ++round) {
        int ends[2];
        ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
        bool readable = false;
        const auto watch = world.loop.watch(ends[0], Ready::readable, [&] { readable = true; });
        ASSERT_EQ(::write(ends[1], "x", 1), 1);
        EXPECT_TRUE(world.run_until([&] { return readable; })) << round;
        world.loop.unwatch(watch);
        ::close(ends[0]);
        ::close(ends[1]);
    }
}

TEST(AsioLoop, TheInstantIsTheMachinesTimeSinceBoot) {
    const SystemClock clock;
    timespec boot{};
    clock_gettime(CLOCK_BOOTTIME, &boot);
    EXPECT_GE(clock.now().time_since_epoch(), std::chrono::seconds{boot.tv_sec});
    EXPECT_LE(clock.now().time_since_epoch(), std::chrono::seconds{boot.tv_sec + 2});
}

TEST(SimLoop, TimeMovesOnlyWhenThereIsNothingToDoNow) {
    SimClock clock;
    SimLoop loop{clock};
    const auto start = clock.now();
    std::vector<std::chrono::nanoseconds> at;
    loop.after(24h, [&] { at.push_back(clock.now() - start); });
    loop.post([&] { at.push_back(clock.now() - start); });
    loop.run_for(48h);
    EXPECT_THAT(at, ElementsAre(0h, 24h));
    EXPECT_EQ(clock.now() - start, 48h);
}

TEST(SimLoop, IdleMeansThatOnlyTimersAreLeft) {
    SimClock clock;
    SimLoop loop{clock};
    SimLanes lanes{loop, Prng{1}};
    std::function<void()> tick = [&] { loop.after(10s, tick); };
    tick();
    bool done = false;
    lanes.submit("a", [](const LaneContext&) { return 1; }, [&](int) { done = true; });
    EXPECT_TRUE(loop.run_until_idle());
    EXPECT_TRUE(done);
    EXPECT_EQ(loop.pending(), 1U);
}

TEST(SimLoop, ACrashedProcessLosesItsTimersPostsAndJobsAndOthersKeepTheirs) {
    SimClock clock;
    SimLoop world{clock};
    SimProcess dying{world};
    SimProcess other{world};
    SimLanes lanes{world, Prng{1}};
    int dead = 0;
    int alive = 0;
    dying.post([&] { ++dead; });
    dying.after(1s, [&] { ++dead; });
    lanes.submit("a", [](const LaneContext&) { return 1; }, [&](int) { ++dead; });
    other.after(1s, [&] { ++alive; });
    dying.crash();
    lanes.drop_everything();
    world.run_for(1h);
    EXPECT_EQ(dead, 0);
    EXPECT_EQ(alive, 1);
    lanes.submit("a", [](const LaneContext&) { return 1; }, [&](int) { ++alive; });
    EXPECT_TRUE(world.run_until_idle());
    EXPECT_EQ(alive, 2);
}

TEST(SimLoop, WorkAndCompletionAreApartAndOverlapsVaryWithTheSeed) {
    std::set<std::vector<std::string>> orders;
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
        SimClock clock;
        SimLoop loop{clock};
        SimLanes lanes{loop, Prng{seed}};
        std::vector<std::string> order;
        for (const std::string lane : {"a", "b"})
            lanes.submit(
                lane,
                [&, lane](const LaneContext&) {
                    order.push_back(lane + " works");
                    return 0;
                },
                [&, lane](int) { order.push_back(lane + " done"); });
        ASSERT_TRUE(loop.run_until_idle());
        ASSERT_EQ(order.size(), 4U);
        orders.insert(order);
    }
    EXPECT_EQ(orders.size(), 6U);  // every interleaving in which work comes before its completion
}

TEST(SimLoop, ASlowJobFindsItsDeadlinePassed) {
    SimClock clock;
    SimLoop loop{clock};
    SimLanes lanes{loop, Prng{1}, {.slow_percent = 100}};
    bool cancelled = false;
    lanes.submit("a", [](const LaneContext& context) { return context.cancelled(); }, [&](bool was) { cancelled = was; });
    EXPECT_TRUE(loop.run_until_idle());
    EXPECT_TRUE(cancelled);
}

TEST(Prng, IsTheSameEverywhere) {
    Prng prng{42};
    EXPECT_EQ(prng.next(), 1546998764402558742U);
    EXPECT_EQ(prng.next(), 6990951692964543102U);
}

TEST(Root, PutsEvesPathsUnderThePrefixAndVarRunIsRun) {
    EXPECT_EQ(Root{"/tmp/node/"}.path("/run/zedbox.pid"), "/tmp/node/run/zedbox.pid");
    EXPECT_EQ(Root{"/tmp/node"}.path("/var/run/zedbox.pid"), "/tmp/node/run/zedbox.pid");
    EXPECT_EQ(Root{"/tmp/node"}.path("/var/runner"), "/tmp/node/var/runner");
    EXPECT_EQ(Root{}.path("/persist/vault"), "/persist/vault");
    EXPECT_EQ(Root{"/"}.path("run"), "/run");
}

}  // namespace
}  // namespace eve
