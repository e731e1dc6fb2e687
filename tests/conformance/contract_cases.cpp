// The contract of eve/hypervisor.hpp, clause by clause, on any plugin: each case names the sentence that it holds the plugin to. Run by
// eve-plugin-check in a process per case, in process and isolated. A case that the plugin's own declaration excludes is skipped and says so.

#include "tests/conformance/contract_cases.hpp"

#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>

#include "core/plugin/device_clients.hpp"
#include "core/plugin/frame.hpp"
#include "eve/testing/call_context.hpp"
#include "tests/conformance/plugin_fixture.hpp"

namespace eve::plugin {

Subject& subject() {
    static Subject the_one;
    return the_one;
}

namespace {

class Contract : public ::testing::TestWithParam<Isolation> {
protected:
    void SetUp() override {
        if (!reopen()) return;
        if (!opened_->client) GTEST_SKIP() << "it does not serve hypervisor/1";
        const auto report = client().probe(call_);
        ASSERT_TRUE(report) << report.error().what;
        if (report->verdict != ProbeVerdict::supported) GTEST_SKIP() << "the plugin does not support this machine: " << report->reason;
        clean_up_ = true;
    }
    void TearDown() override {
        if (clean_up_ && opened_ && opened_->client) {
            const auto gone = client().destroy(call_, spec().id, DestroyMode::purge);
            EXPECT_TRUE(gone) << gone.error().what;
        }
    }
    /// The node is started anew: another instance over the same directories.
    bool reopen() {
        opened_.reset();
        opened_ = std::make_unique<OpenPlugin>(
            dir_, subject().file, subject().config, GetParam(), subject().cgroup_parent, subject().keeper, subject().plugin_host);
        if (opened_->error) ADD_FAILURE() << "open: " << opened_->error->what << "\n" << opened_->error->hint;
        return !opened_->error;
    }
    Hypervisor& client() { return *opened_->client; }
    const Description& declared() { return opened_->client->description(); }
    static const DomainSpec& spec() { return subject().spec; }

    DomainInfo must(Result<DomainInfo> info) {
        EXPECT_TRUE(info) << info.error().what;
        return info ? *info : DomainInfo{};
    }
    DomainInfo create() { return must(client().create(call_, spec())); }
    DomainInfo start() { return must(client().start(call_, spec().id)); }
    /// What is seen once `good` holds, or after the limit.
    DomainInfo wait_until(std::chrono::nanoseconds limit, const std::function<bool(const DomainInfo&)>& good) {
        const auto until_ns = monotonic_after(limit.count());
        for (;;) {
            auto info = must(client().inspect(call_, spec().id));
            if (good(info) || monotonic_ns() > until_ns) return info;
            ::poll(nullptr, 0, 20);
        }
    }
    static bool ended(const DomainInfo& info) { return info.state == DomainState::halted || info.state == DomainState::broken; }

    ScratchDir dir_;
    std::unique_ptr<OpenPlugin> opened_;
    ::eve::testing::FakeCall call_;
    bool clean_up_ = false;
};

TEST_P(Contract, DescribeIsConstantAndNamesWhatIsServed) {
    const auto first = client().describe(call_);
    ASSERT_TRUE(first) << first.error().what;
    EXPECT_FALSE(first->id.empty());
    EXPECT_FALSE(first->methods.empty());
    EXPECT_FALSE(first->modes.empty());
    EXPECT_GE(first->limits.calls_in_flight_max, 1U);
    EXPECT_EQ(*client().describe(call_), *first);
}

TEST_P(Contract, ProbeLeavesNothingBehind) {
    ASSERT_TRUE(client().probe(call_));
    const auto listed = client().list(call_);
    ASSERT_TRUE(listed) << listed.error().what;
    EXPECT_TRUE(listed->empty());
}

TEST_P(Contract, ADomainThatWasNeverMadeIsAbsentAndThatIsNoError) {
    const auto seen = must(client().inspect(call_, spec().id));
    EXPECT_EQ(seen.presence, Presence::absent);
}

TEST_P(Contract, CreateDefinesAndRunsNothing) {
    const auto created = create();
    EXPECT_EQ(created.presence, Presence::present);
    EXPECT_EQ(created.state, DomainState::defined);
    EXPECT_EQ(created.id, spec().id);
    EXPECT_EQ(created.revision, spec().revision);
    EXPECT_EQ(created.labels, spec().labels);
}

TEST_P(Contract, CreateIsIdempotentPerIdAndRevision) {
    const auto first = create();
    const auto second = create();
    EXPECT_EQ(second.state, first.state);
    EXPECT_EQ(second.pid, first.pid);
    ASSERT_EQ(start().state, DomainState::running);
    EXPECT_EQ(create().state, DomainState::running) << "also when it runs by now";
}

TEST_P(Contract, CreateWithAnotherRevisionIsRefusedWhileTheOldOneLives) {
    create();
    start();
    auto newer = spec();
    ++newer.revision;
    const auto refused = client().create(call_, newer);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::failed_precondition);
    EXPECT_EQ(must(client().inspect(call_, spec().id)).state, DomainState::running) << "the old one is not touched";
}

TEST_P(Contract, StartLeavesTheGuestRunningAndASecondStartDoesNothing) {
    create();
    const auto started = start();
    EXPECT_EQ(started.state, DomainState::running);
    const auto again = start();
    EXPECT_EQ(again.state, DomainState::running);
    EXPECT_EQ(again.pid, started.pid);
}

TEST_P(Contract, StartAndStopOfWhatIsNotThereAreNotFound) {
    const auto started = client().start(call_, spec().id);
    ASSERT_FALSE(started);
    EXPECT_EQ(started.error().code, Code::not_found);
    const auto stopped = client().stop(call_, spec().id, StopMode::cut);
    ASSERT_FALSE(stopped);
    EXPECT_EQ(stopped.error().code, Code::not_found);
}

TEST_P(Contract, CutEndsTheGuestAndASecondStopDoesNothing) {
    create();
    const auto started = start();
    must(client().stop(call_, spec().id, StopMode::cut));
    const auto seen = wait_until(std::chrono::seconds{15}, ended);
    EXPECT_TRUE(ended(seen)) << static_cast<int>(seen.state) << " " << seen.reason;
    must(client().stop(call_, spec().id, StopMode::cut));
    must(client().stop(call_, spec().id, StopMode::ask));
    if (started.pid > 0) {
        EXPECT_FALSE(sdk::alive(sdk::identify(started.pid)));
    }
}

TEST_P(Contract, WhatHasEndedIsNotStartedButDestroyedAndMadeAgain) {
    create();
    start();
    must(client().stop(call_, spec().id, StopMode::cut));
    ASSERT_TRUE(ended(wait_until(std::chrono::seconds{15}, ended)));
    const auto refused = client().start(call_, spec().id);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::failed_precondition);
    EXPECT_EQ(must(client().destroy(call_, spec().id, DestroyMode::keep_state)).presence, Presence::absent);
    EXPECT_EQ(create().state, DomainState::defined);
    EXPECT_EQ(start().state, DomainState::running);
}

TEST_P(Contract, DestroyLeavesNothingWhateverTheState) {
    EXPECT_EQ(must(client().destroy(call_, spec().id, DestroyMode::purge)).presence, Presence::absent) << "of what never was";
    create();
    EXPECT_EQ(must(client().destroy(call_, spec().id, DestroyMode::purge)).presence, Presence::absent) << "of what is defined";
    create();
    const auto running = start();
    const auto process = sdk::identify(running.pid);
    EXPECT_EQ(must(client().destroy(call_, spec().id, DestroyMode::purge)).presence, Presence::absent) << "of what runs";
    EXPECT_FALSE(sdk::alive(process));
    EXPECT_EQ(must(client().destroy(call_, spec().id, DestroyMode::purge)).presence, Presence::absent) << "twice";
    const auto listed = client().list(call_);
    ASSERT_TRUE(listed) << listed.error().what;
    EXPECT_TRUE(listed->empty());
}

TEST_P(Contract, ValidateNamesFieldsAndTouchesNothing) {
    const auto good = client().validate(call_, spec());
    ASSERT_TRUE(good) << good.error().what;
    for (const auto& problem : *good) ADD_FAILURE() << problem.field << " " << problem.what;
    auto wrong = spec();
    wrong.mode = VirtualizationMode::unknown;
    wrong.vcpus = 0;
    wrong.memory = {};
    const auto problems = client().validate(call_, wrong);
    ASSERT_TRUE(problems) << problems.error().what;
    for (const auto* field : {".mode", ".vcpus", ".memory_bytes"})
        EXPECT_TRUE(std::any_of(problems->begin(), problems->end(), [&](const Problem& p) { return p.field == field; })) << field << " is not named";
    EXPECT_FALSE(client().create(call_, wrong)) << "create() refuses what validate() does";
    EXPECT_TRUE(client().list(call_)->empty());
}

TEST_P(Contract, ListFindsWhatAnEarlierInstanceMade) {
    create();
    const auto started = start();
    ASSERT_TRUE(reopen());
    const auto listed = client().list(call_);
    ASSERT_TRUE(listed) << listed.error().what;
    ASSERT_EQ(listed->size(), 1U);
    const auto& seen = (*listed)[0];
    EXPECT_EQ(seen.id, spec().id);
    EXPECT_EQ(seen.revision, spec().revision);
    EXPECT_EQ(seen.labels, spec().labels);
    EXPECT_EQ(seen.state, DomainState::running);
    EXPECT_EQ(seen.pid, started.pid) << "an app that ran keeps its process";
}

TEST_P(Contract, AGuestOutlivesThePluginsHost) {
    if (GetParam() != Isolation::process) GTEST_SKIP() << "in process there is no host to kill";
    create();
    const auto started = start();
    ::kill(static_cast<pid_t>(opened_->plugin->host_pid()), SIGKILL);
    ASSERT_TRUE(opened_->changes.wait_for_returns(1));
    const auto seen = must(client().inspect(call_, spec().id));
    EXPECT_EQ(seen.state, DomainState::running);
    EXPECT_EQ(seen.pid, started.pid);
}

TEST_P(Contract, AKilledVmmIsBrokenWithItsSignalNamed) {
    create();
    const auto started = start();
    if (started.pid <= 0) GTEST_SKIP() << "the plugin names no process";
    ASSERT_EQ(::kill(static_cast<pid_t>(started.pid), SIGKILL), 0);
    const auto seen = wait_until(std::chrono::seconds{5}, ended);
    EXPECT_EQ(seen.state, DomainState::broken);
    EXPECT_EQ(seen.presence, Presence::present) << "until it is destroyed";
    if (declared().capabilities.exit_status) {
        ASSERT_TRUE(seen.exit);
        EXPECT_EQ(seen.exit->signal, SIGKILL);
    }
}

TEST_P(Contract, ACallThatWasGivenUpComesBackSoonAndLeavesAKnownState) {
    create();
    const UniqueFd cancel(::eventfd(1, EFD_CLOEXEC));
    ::eve::testing::FakeCall given_up;
    given_up.fd = cancel.get();
    const auto before_ns = monotonic_ns();
    const auto started = client().start(given_up, spec().id);
    EXPECT_LT(monotonic_ns() - before_ns, std::chrono::nanoseconds(std::chrono::seconds{5}).count());
    if (!started) {
        EXPECT_TRUE(started.error().code == Code::cancelled || started.error().code == Code::timed_out) << started.error().what;
    }
    EXPECT_EQ(must(client().inspect(call_, spec().id)).presence, Presence::present);
}

TEST_P(Contract, StatsAreGivenOrUnsupported) {
    create();
    start();
    const auto stats = client().stats(call_);
    if (!stats) {
        EXPECT_TRUE(stats.error().code == Code::unsupported || stats.error().code == Code::unavailable) << stats.error().what;
        return;
    }
    for (const auto& domain : stats->domains) EXPECT_EQ(domain.id, spec().id);
}

TEST_P(Contract, AProgramIsRunInADomainThatRunsAndNowhereElse) {
    const auto& methods = declared().methods;
    if (std::find(methods.begin(), methods.end(), "exec/1.exec") == methods.end()) GTEST_SKIP() << "the plugin does not offer exec/1";
    ExecClient exec(*opened_->plugin, methods);
    int pair[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    const UniqueFd ours(pair[0]), theirs(pair[1]);
    ExecRequest request{.domain = spec().id, .argv = {"/no/such/program"}, .session = {theirs.get()}};
    const auto refused = [&] {
        const auto answer = exec.exec(call_, request);
        EXPECT_FALSE(answer);
        char byte = 0;
        EXPECT_EQ(::recv(ours.get(), &byte, 1, MSG_DONTWAIT), -1) << "a refusal writes nothing to the session and leaves it open";
        return answer ? Code::ok : answer.error().code;
    };
    EXPECT_EQ(refused(), Code::not_found) << "there is no such domain";
    create();
    EXPECT_EQ(refused(), Code::failed_precondition) << "it does not run";
    start();
    EXPECT_EQ(refused(), Code::not_found) << "there is no such program";
    request.argv.clear();
    EXPECT_EQ(refused(), Code::invalid_argument);
}

TEST_P(Contract, LivesLeakNoDescriptor) {
    const auto pid = std::to_string(opened_->plugin->host_pid());
    const auto count = [&] {
        std::size_t open = 0;
        for ([[maybe_unused]] const auto& fd : std::filesystem::directory_iterator("/proc/" + pid + "/fd")) ++open;
        return open;
    };
    const auto life = [&] {
        create();
        start();
        must(client().destroy(call_, spec().id, DestroyMode::purge));
    };
    life();
    const auto before = count();
    for (int i = 0; i < 5; ++i) life();
    const auto until_ns = monotonic_after(std::chrono::nanoseconds(std::chrono::seconds{3}).count());
    while (count() > before && monotonic_ns() < until_ns) ::poll(nullptr, 0, 10);  // a host answers before it tidies up after the call
    EXPECT_LE(count(), before);
}

INSTANTIATE_TEST_SUITE_P(Hypervisor1, Contract, ::testing::Values(Isolation::in_process, Isolation::process),
                         [](const auto& param) { return param.param == Isolation::process ? "Isolated" : "InProcess"; });

}  // namespace
}  // namespace eve::plugin
