// The agent with apps that have CPUs of their own: a scripted runtime that can move domains between CPUs, virtual time.

#include <gmock/gmock.h>

#include "tests/unit/domainmgr/domain_bench.hpp"


namespace eve {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using types::SwState;
using CpuList = std::vector<std::uint32_t>;

/// Where domains were told to run.
class RecordingCpus final : public Cpus {
public:
    std::map<std::string, CpuList> confined;
    unsigned calls = 0;
    unsigned failures = 0;
    Status confine(const CallContext&, const CpuConfinement& confinement) override {
        ++calls;
        if (failures > 0 && failures-- > 0) return Error{.code = Code::unavailable, .what = "the kernel refused"};
        confined[confinement.domain.value] = confinement.cpus;
        return {};
    }
};

class DomainCpusTest : public DomainBench {
protected:
    std::shared_ptr<RecordingCpus> cpus = std::make_shared<RecordingCpus>();

    void SetUp() override {
        host.figures.Ncpus = 4;
        runtimes.cpus = cpus;
        runtimes.hypervisor->description.capabilities.cpu_pinning = true;
    }
    void start_node() {
        node.publish_all();
        start_agent();
        loop.run_for(5s);
    }
    types::DomainConfig pinned(unsigned n, std::int64_t count) {
        auto config = domain_config(n, host);
        config.CPUsPinned = true;
        config.VCpus = count;
        return config;
    }
    void want(const types::DomainConfig& config) { (void)node.configs->publish(config.UUIDandVersion.UUID.to_string(), config); }
    bool until_gone(unsigned n) {
        (void)node.configs->unpublish(app_uuid(n));
        return loop.run_until([&] { return statuses->get(app_uuid(n)) == nullptr; }, 5min);
    }
    const DomainSpec* spec(unsigned n) {
        const auto* domain = runtimes.hypervisor->find(DomainId{app_uuid(n)});
        return domain == nullptr ? nullptr : &domain->spec;
    }
};

TEST_F(DomainCpusTest, S32_EveryOtherAppLeavesTheCpusOfOneThatGetsItsOwnAndMayReturn) {
    start_node();
    want(domain_config(1, host));
    ASSERT_TRUE(until(1, SwState::RUNNING)) << status(1).Error;
    EXPECT_THAT(spec(1)->cpus, IsEmpty()) << "nobody has CPUs of his own: any will do";
    EXPECT_EQ(cpus->calls, 0U);
    want(pinned(2, 2));
    ASSERT_TRUE(until(2, SwState::RUNNING)) << status(2).Error;
    EXPECT_TRUE(spec(2)->cpus_pinned);
    EXPECT_THAT(spec(2)->cpus, ElementsAre(1U, 2U)) << "the first is the node's";
    EXPECT_THAT(status(2).CPUs, ElementsAre(1U, 2U));
    EXPECT_THAT(cpus->confined[app_uuid(1)], ElementsAre(0U, 3U));
    EXPECT_THAT(status(1).CPUs, ElementsAre(0U, 3U));
    EXPECT_FALSE(cpus->confined.contains(app_uuid(2)));
    want(domain_config(3, host));
    ASSERT_TRUE(until(3, SwState::RUNNING));
    EXPECT_THAT(spec(3)->cpus, ElementsAre(0U, 3U)) << "one that comes later never was on them";
    EXPECT_FALSE(spec(3)->cpus_pinned);
    ASSERT_TRUE(until_gone(2));
    loop.run_for(1s);
    EXPECT_THAT(cpus->confined[app_uuid(1)], IsEmpty());
    EXPECT_THAT(cpus->confined[app_uuid(3)], IsEmpty());
    EXPECT_THAT(status(1).CPUs, ElementsAre(0U, 1U, 2U, 3U));
}

TEST_F(DomainCpusTest, AnAppWaitsForCpusAndStartsWhenTheyAreFree) {
    start_node();
    want(pinned(1, 3));
    ASSERT_TRUE(until(1, SwState::RUNNING));
    want(pinned(2, 1));
    loop.run_for(40s);
    EXPECT_NE(status(2).State, SwState::RUNNING);
    EXPECT_THAT(status(2).Error, HasSubstr("1 CPUs of its own are wanted, 0 are free"));
    const auto before = loop.now();
    ASSERT_TRUE(until_gone(1));
    ASSERT_TRUE(until(2, SwState::RUNNING));
    EXPECT_LT(loop.now() - before, 9s) << "not at the next poll";
    EXPECT_THAT(status(2).Error, IsEmpty());
    EXPECT_THAT(spec(2)->cpus, ElementsAre(1U));
}

TEST_F(DomainCpusTest, AConfinementThatFailedIsTriedAgain) {
    start_node();
    want(domain_config(1, host));
    ASSERT_TRUE(until(1, SwState::RUNNING));
    cpus->failures = 1;
    want(pinned(2, 1));
    ASSERT_TRUE(until(2, SwState::RUNNING));
    ASSERT_TRUE(loop.run_until([&] { return cpus->confined.contains(app_uuid(1)); }, 31s));
    EXPECT_THAT(cpus->confined[app_uuid(1)], ElementsAre(0U, 2U, 3U));
}

TEST_F(DomainCpusTest, ARestartedNodeKnowsWhichCpusAreTakenAlsoWithoutRecords) {
    start_node();
    want(pinned(1, 2));
    want(domain_config(2, host));
    ASSERT_TRUE(until(1, SwState::RUNNING));
    ASSERT_TRUE(until(2, SwState::RUNNING));
    agent.reset();
    cpus->confined.clear();
    start_agent();
    loop.run_for(5s);
    want(pinned(3, 1));
    ASSERT_TRUE(until(3, SwState::RUNNING));
    EXPECT_THAT(spec(3)->cpus, ElementsAre(3U)) << "1 and 2 are those of the app that ran on";
    EXPECT_THAT(status(1).CPUs, ElementsAre(1U, 2U));
    EXPECT_THAT(cpus->confined[app_uuid(2)], ElementsAre(0U)) << "where it was before is not known: it is told";
    ASSERT_TRUE(until_gone(1));
    want(pinned(4, 2));
    ASSERT_TRUE(until(4, SwState::RUNNING));
    EXPECT_THAT(spec(4)->cpus, ElementsAre(1U, 2U));
}

TEST_F(DomainCpusTest, Defect10_ABootThatIsTriedAgainHasItsCpus) {
    runtimes.hypervisor->plan({.method = "create", .error = {.code = Code::resource_exhausted, .what = "no memory"}});
    node.publish_items(60);
    start_node();
    node.publish_items(60);
    want(pinned(1, 1));
    ASSERT_TRUE(loop.run_until([&] { return !status(1).Error.empty(); }, 30s));
    ASSERT_TRUE(until(1, SwState::RUNNING, 5min)) << status(1).Error;
    EXPECT_TRUE(spec(1)->cpus_pinned);
    EXPECT_THAT(spec(1)->cpus, ElementsAre(1U));
}

TEST_F(DomainCpusTest, OnAMachineWithOneCpuWhoWantsItsOwnIsToldWhyAndTheOthersRun) {
    host.figures.Ncpus = 1;
    start_node();
    want(pinned(1, 1));
    want(domain_config(2, host));
    ASSERT_TRUE(until(2, SwState::RUNNING));
    EXPECT_THAT(spec(2)->cpus, IsEmpty());
    EXPECT_THAT(status(1).Error, HasSubstr("1 of 1 CPUs are reserved for the node"));
}

TEST_F(DomainCpusTest, WhatTheNodeKeepsIsNeverAnApps) {
    host.reserved = 3;
    start_node();
    want(pinned(1, 1));
    ASSERT_TRUE(until(1, SwState::RUNNING));
    EXPECT_THAT(spec(1)->cpus, ElementsAre(3U));
}

}  // namespace
}  // namespace eve
