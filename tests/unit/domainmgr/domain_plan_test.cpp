// The plan of one domain: what each combination of wish and observation leads to, without an agent.

#include <gmock/gmock.h>

#include "core/domainmgr/plan.hpp"
#include "core/domainmgr/silence.hpp"

namespace eve::domainmgr {
namespace {

using namespace std::chrono_literals;
using types::SwState;

constexpr Instant start{std::chrono::hours{1}};
const Desired wanted{.known = true, .active = true, .revision = 7, .mode = types::VmMode::HVM};
const Desired halted_by_config{.known = true, .active = false, .revision = 7, .mode = types::VmMode::HVM};
const Desired deleted{.mode = types::VmMode::HVM};

Observed seen(DomainState state, std::uint64_t revision = 7) { return {.presence = Presence::present, .state = state, .revision = revision}; }
const Observed absent{.presence = Presence::absent};

/// A history of a domain that was looked at and whose next look is far.
History looked() { return {.seen = true, .look = false, .look_at = start + 30s}; }

TEST(DomainPlan, NothingIsDoneBeforeTheDomainWasLookedAt) {
    for (const auto& desired : {wanted, halted_by_config, deleted})
        for (const auto& observed : {absent, seen(DomainState::running), seen(DomainState::broken), Observed{}}) {
            History history;
            EXPECT_EQ(plan(desired, observed, history, start).step, Step::look);
            history.look_at = start + 5s;
            EXPECT_EQ(plan(desired, observed, history, start), (Plan{.wake_at = start + 5s}));
        }
}

TEST(DomainPlan, WhatNobodyCanTellIsLookedAtAgainAndNeverTouched) {
    for (const auto& desired : {wanted, halted_by_config, deleted}) {
        const auto next = plan(desired, Observed{}, looked(), start);
        EXPECT_TRUE(next.step == Step::none || next.step == Step::look);
    }
    EXPECT_EQ(plan(wanted, seen(DomainState::unknown), looked(), start), (Plan{.wake_at = start + 30s}));
}

TEST(DomainPlan, AWantedDomainIsPreparedCreatedAndStartedInThisOrder) {
    auto history = looked();
    EXPECT_EQ(plan(wanted, absent, history, start).step, Step::prepare);
    history.prepared = true;
    EXPECT_EQ(plan(wanted, absent, history, start).step, Step::create);
    EXPECT_EQ(plan(wanted, seen(DomainState::defined), history, start).step, Step::start);
    EXPECT_EQ(plan(wanted, seen(DomainState::running), history, start), (Plan{.wake_at = start + 30s}));
    EXPECT_EQ(plan(wanted, seen(DomainState::running), history, start + 30s).step, Step::look);
}

TEST(DomainPlan, ADefinedDomainOfAnotherRevisionIsDestroyedNotStarted) {
    EXPECT_EQ(plan(wanted, seen(DomainState::defined, 6), looked(), start).step, Step::destroy);
}

TEST(DomainPlan, ARunningDomainOfAnotherRevisionIsLeftAlone) {
    EXPECT_EQ(plan(wanted, seen(DomainState::running, 6), looked(), start).step, Step::none);
}

TEST(DomainPlan, BackOffAndParkingHold) {
    auto history = looked();
    history.not_before = start + 10min;
    EXPECT_EQ(plan(wanted, absent, history, start), (Plan{.wake_at = start + 10min}));
    EXPECT_EQ(plan(wanted, absent, history, start + 10min).step, Step::prepare);
    history.parked = true;
    EXPECT_EQ(plan(wanted, absent, history, start + 10min), Plan{});
}

TEST(DomainPlan, TheStopLadderIsAskCutDestroyWithinOneDeadline) {
    auto history = looked();
    history.stop = Stop{.began = start, .impatient = true};
    const auto running = seen(DomainState::running);
    EXPECT_EQ(plan(deleted, running, history, start).step, Step::ask);
    history.stop->asked = start;
    history.look_at = start + 100s;
    EXPECT_EQ(plan(deleted, running, history, start + 1s), (Plan{.wake_at = start + limits::ask_again}));
    EXPECT_EQ(plan(deleted, running, history, start + limits::ask_again).step, Step::ask);
    const auto cut_at = start + limits::stop_impatient - limits::cut_reserve;
    EXPECT_EQ(plan(deleted, running, history, cut_at).step, Step::cut);
    history.stop->cut = cut_at;
    EXPECT_EQ(plan(deleted, running, history, cut_at + limits::cut_wait).step, Step::destroy);
    EXPECT_EQ(plan(deleted, seen(DomainState::halted), history, start + 1s).step, Step::destroy);
    EXPECT_LE(cut_at + limits::cut_wait, start + limits::stop_impatient);
}

TEST(DomainPlan, AGuestThatCannotBeAskedIsCutAtOnce) {
    auto history = looked();
    auto desired = halted_by_config;
    desired.can_be_asked = false;
    EXPECT_EQ(plan(desired, seen(DomainState::running), history, start).step, Step::cut);
    desired.can_be_asked = true;
    history.stop = Stop{.began = start, .cannot_be_asked = true};
    EXPECT_EQ(plan(desired, seen(DomainState::running), history, start).step, Step::cut);
}

TEST(DomainPlan, APvGuestThatIsDeactivatedHasEvesTenMinutes) {
    auto history = looked();
    auto desired = halted_by_config;
    desired.mode = types::VmMode::PV;
    history.stop = Stop{.began = start, .asked = start + 580s};
    history.look_at = start + 700s;
    EXPECT_EQ(plan(desired, seen(DomainState::running), history, start + 589s).step, Step::none);
    EXPECT_EQ(plan(desired, seen(DomainState::running), history, start + 590s).step, Step::cut);
}

TEST(DomainPlan, ADeletedAppIsPurgedThenReleased) {
    auto history = looked();
    history.released = false;
    EXPECT_EQ(plan(deleted, absent, history, start).step, Step::purge);
    history.purged = true;
    EXPECT_EQ(plan(deleted, absent, history, start).step, Step::release);
    history.released = true;
    EXPECT_EQ(plan(deleted, absent, history, start), Plan{});
}

TEST(DomainPlan, WhatEndedIsDestroyedBeforeAnythingElse) {
    auto history = looked();
    history.loss = Loss{};
    EXPECT_EQ(plan(wanted, seen(DomainState::broken), history, start).step, Step::destroy);
    history.destroy_after = start + 2s;
    EXPECT_EQ(plan(wanted, seen(DomainState::broken), history, start), (Plan{.wake_at = start + 2s}));
}

TEST(DomainPlan, AnUnwantedAbsentDomainNeedsNothing) {
    EXPECT_EQ(plan(halted_by_config, absent, looked(), start), Plan{});
}

TEST(DomainPlan, EveryPlanEitherActsOrNamesATimeOrIsAtRest) {
    // All combinations: no plan spins (a wake-up in the past without a step), none forgets a domain that is not at rest.
    for (const auto& desired : {wanted, halted_by_config, deleted})
        for (const auto presence : {Presence::unknown, Presence::absent, Presence::present})
            for (int state = 0; state <= static_cast<int>(DomainState::broken); ++state)
                for (unsigned bits = 0; bits < 256; ++bits) {
                    History history = looked();
                    if (bits & 1) history.look = true;
                    if (bits & 2) history.prepared = true;
                    if (bits & 4) history.stop = Stop{.began = start - 10s, .asked = start - 1s};
                    if (bits & 8) history.loss = Loss{};
                    if (bits & 16) history.not_before = start + 1s;
                    if (bits & 32) history.parked = true;
                    if (bits & 64) history.released = false;
                    if (bits & 128) history.purged = true;
                    const Observed observed{.presence = presence, .state = static_cast<DomainState>(state), .revision = 7};
                    const auto next = plan(desired, observed, history, start);
                    if (next.step == Step::none && next.wake_at) {
                        EXPECT_GT(*next.wake_at, start);
                    }
                    const bool at_rest = presence == Presence::absent && (!desired.wanted() || history.parked);
                    if (next.step == Step::none && !next.wake_at) {
                        EXPECT_TRUE(at_rest) << bits;
                    }
                    if (next.step == Step::create || next.step == Step::start) {
                        EXPECT_TRUE(desired.wanted());
                    }
                }
}

class DomainEvents : public ::testing::Test {
protected:
    Domain domain;
    Policy policy;
    Instant instant = start;
    Now now() const { return {instant, types::Time(WallTime{1000, 0})}; }
    types::DomainConfig config;

    void SetUp() override {
        config.UUIDandVersion.UUID = types::Uuid::parse_or_nil("6ba7b810-9dad-11d1-80b4-00c04fd430c8");
        config.Activate = true;
        on_config(domain, config, now());
    }
    void see(DomainState state, std::int64_t pid = 10) {
        DomainInfo info{.presence = Presence::present, .state = state, .pid = pid};
        if (state == DomainState::broken) {
            info.exit = exit;
            info.reason = reason;
        }
        on_seen(domain, info, policy, now(), instant + 20s);
    }
    void see_absent() { on_seen(domain, {.presence = Presence::absent}, policy, now(), instant + 20s); }
    void boot() {
        see_absent();
        on_prepared(domain, "");
        on_stepped(domain, Step::create, now());
        see(DomainState::defined);
        on_stepped(domain, Step::start, now());
        see(DomainState::running);
    }
    ExitStatus exit{.signal = 9};
    std::string reason;
};

TEST_F(DomainEvents, ABootGoesThroughEvesStates) {
    EXPECT_EQ(domain.status.State, SwState::INSTALLED);
    EXPECT_TRUE(domain.status.PendingAdd);
    see_absent();
    EXPECT_FALSE(domain.status.PendingAdd);
    on_prepared(domain, "");
    on_stepped(domain, Step::create, now());
    see(DomainState::defined);
    EXPECT_EQ(domain.status.State, SwState::BOOTING);
    EXPECT_FALSE(domain.status.Activated);
    on_stepped(domain, Step::start, now());
    see(DomainState::running);
    EXPECT_EQ(domain.status.State, SwState::RUNNING);
    EXPECT_TRUE(domain.status.Activated);
    EXPECT_EQ(domain.status.BootTime, now().wall);
}

TEST_F(DomainEvents, ABrokenDomainStaysActivatedUntilNothingOfItIsLeft) {
    boot();
    see(DomainState::broken);
    EXPECT_EQ(domain.status.State, SwState::BROKEN);
    EXPECT_TRUE(domain.status.Activated);
    EXPECT_EQ(domain.status.DomainId, 10);
    see_absent();
    EXPECT_FALSE(domain.status.Activated);
    EXPECT_EQ(domain.status.DomainId, 0);
    EXPECT_EQ(domain.status.Error, "the virtual machine was killed by signal 9 (SIGKILL)");
    EXPECT_EQ(domain.history.not_before, instant + 600s);
}

TEST_F(DomainEvents, TheKernelsWantOfMemoryIsNamed) {
    boot();
    exit = {.signal = 9, .oom = true};
    see(DomainState::broken);
    see_absent();
    EXPECT_THAT(domain.status.Error, ::testing::HasSubstr("want of memory"));
}

TEST_F(DomainEvents, WhoSaysHimselfThatMemoryWasOutIsTakenAtHisWord) {
    boot();
    exit = {.signal = 9, .oom = true};
    reason = "The app ran out of its memory";
    see(DomainState::broken);
    see_absent();
    EXPECT_EQ(domain.status.Error, "The app ran out of its memory");
}

TEST_F(DomainEvents, TheBackOffDoublesUpToItsLimitAndForgetsAfterAQuietTime) {
    std::vector<std::int64_t> factors;
    for (int i = 0; i < 7; ++i) {
        boot();
        see(DomainState::broken);
        see_absent();
        factors.push_back((*domain.history.not_before - instant) / policy.boot_retry);
    }
    EXPECT_THAT(factors, ::testing::ElementsAre(1, 2, 4, 8, 16, 16, 16));
    boot();
    instant += 1h;
    see(DomainState::broken);
    see_absent();
    EXPECT_EQ(*domain.history.not_before - instant, policy.boot_retry);
}

TEST_F(DomainEvents, AStartedDomainThatIsNotSeenRunningInTimeIsBroken) {
    see_absent();
    on_stepped(domain, Step::create, now());
    see(DomainState::defined);
    on_stepped(domain, Step::start, now());
    for (int i = 0; i < 9; ++i) {
        see(DomainState::unknown);
        EXPECT_FALSE(domain.history.loss);
        instant += 2s;
    }
    see(DomainState::running);
    EXPECT_EQ(domain.status.State, SwState::RUNNING);
    on_stepped(domain, Step::start, now());
    domain.status.Activated = false;
    instant += limits::start_wait;
    see(DomainState::unknown);
    EXPECT_TRUE(domain.history.loss);
}

TEST_F(DomainEvents, ADomainThatRunsAndDoesNotAnswerIsToldAndLeftAloneUntilItAnswers) {
    boot();
    const auto silent = [&](std::string why) {
        on_seen(domain, {.presence = Presence::present, .state = DomainState::unknown, .reason = std::move(why), .pid = 10}, policy, now(), instant + 20s);
    };
    silent("QEMU lives, but its monitor does not answer");
    EXPECT_TRUE(domain.status.Error.empty()) << "a busy machine is no reason to alarm anybody";
    EXPECT_EQ(domain.history.look_at, instant + limits::look_retry) << "not only when the next regular look is due";
    const auto began = instant;
    while (domain.status.Error.empty() && instant < began + 1min) {
        instant = domain.history.look_at;
        silent("QEMU lives, but its monitor does not answer");
    }
    EXPECT_EQ(instant - began, limits::silence_told_after);
    EXPECT_THAT(domain.status.Error, ::testing::HasSubstr("its monitor does not answer"));
    EXPECT_THAT(domain.status.ErrorRetryCondition, ::testing::HasSubstr("restart the app"));
    EXPECT_EQ(domain.status.State, SwState::RUNNING);
    const auto told = domain.status;
    for (int i = 0; i < 1000; ++i) {
        instant = domain.history.look_at;
        silent("timed out, in other words each time: " + std::to_string(i));
        EXPECT_EQ(plan(domain.desired, domain.observed, domain.history, instant).step, Step::none);
    }
    EXPECT_EQ(domain.status, told) << "nothing new is said";
    see(DomainState::running);
    EXPECT_TRUE(domain.status.Error.empty());
    EXPECT_EQ(domain.status.State, SwState::RUNNING);
    EXPECT_EQ(domain.status.TriedCount, 0);
    silent("");
    EXPECT_TRUE(domain.status.Error.empty()) << "a new silence begins anew";
}

TEST_F(DomainEvents, ADomainThatDoesNotAnswerAndIsStoppedHasNoErrorOfItsSilence) {
    boot();
    for (int i = 0; i < 4; ++i) {
        on_seen(domain, {.presence = Presence::present, .state = DomainState::unknown, .pid = 10}, policy, now(), instant + 20s);
        instant += limits::look_retry;
    }
    EXPECT_FALSE(domain.status.Error.empty());
    config.Activate = false;
    on_config(domain, config, now());
    on_seen(domain, {.presence = Presence::present, .state = DomainState::unknown, .pid = 10}, policy, now(), instant + 20s);
    EXPECT_TRUE(domain.status.Error.empty());
    EXPECT_EQ(domain.status.State, SwState::HALTING);
    see_absent();
    EXPECT_TRUE(domain.status.Error.empty());
    EXPECT_FALSE(domain.history.silent_since);
}

TEST_F(DomainEvents, AStartThatFindsAnEarlierOneAtWorkIsLookedAtAndNotBroken) {
    see_absent();
    on_stepped(domain, Step::create, now());
    see(DomainState::defined);
    on_step_failed(domain, Step::start, {.code = Code::already_exists, .what = "a keeper is at work in the run directory"}, policy, now());
    EXPECT_FALSE(domain.history.loss);
    EXPECT_TRUE(domain.history.look);
    see(DomainState::running);
    EXPECT_EQ(domain.status.State, SwState::RUNNING);
}

TEST_F(DomainEvents, APausedGuestIsPausedAndOneWithAnotherPidWasRebooted) {
    boot();
    see(DomainState::paused);
    EXPECT_EQ(domain.status.State, SwState::PAUSED);
    EXPECT_TRUE(domain.status.Activated);
    domain.status.BootTime = {};
    see(DomainState::running, 11);
    EXPECT_EQ(domain.status.DomainId, 11);
    EXPECT_EQ(domain.status.BootTime, now().wall);
}

TEST_F(DomainEvents, AConfigSentAgainChangesNothing) {
    boot();
    const auto before = domain.status;
    on_config(domain, config, now());
    EXPECT_EQ(domain.status, before);
}

TEST_F(DomainEvents, AFailedDestroyIsSaidAndTriedAgainEverMoreSlowly) {
    boot();
    config.Activate = false;
    on_config(domain, config, now());
    see(DomainState::halted);
    std::vector<std::int64_t> delays;
    for (int i = 0; i < 7; ++i) {
        on_step_failed(domain, Step::destroy, {.code = Code::unavailable, .what = "the tap is busy"}, policy, now());
        delays.push_back((*domain.history.destroy_after - instant) / 1s);
    }
    EXPECT_THAT(delays, ::testing::ElementsAre(2, 4, 8, 16, 32, 60, 60));
    EXPECT_TRUE(domain.status.Activated);
    EXPECT_THAT(domain.status.Error, ::testing::HasSubstr("the tap is busy"));
    see_absent();
    EXPECT_EQ(domain.status.State, SwState::HALTED);
    EXPECT_TRUE(domain.status.Error.empty());
}

}  // namespace
}  // namespace eve::domainmgr
