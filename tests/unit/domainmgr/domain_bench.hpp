#pragma once
// domainmgr's agent under virtual time: its node in topics, its host and its runtimes in memory.

#include <gtest/gtest.h>

#include <chrono>
#include <memory>

#include "core/domainmgr/agent.hpp"
#include "tests/doubles/domain_node.hpp"
#include "tests/doubles/fake_record_store.hpp"
#include "tests/doubles/recording_log.hpp"
#include "tests/doubles/sim_loop.hpp"

namespace eve {

class DomainBench : public ::testing::Test {
protected:
    SimClock clock;
    SimLoop loop{clock};
    RecordingLog log;
    FakeRecordStore store;
    SimLanes lanes{loop, Prng{3}};
    Bus bus{{.loop = loop, .log = log, .store = &store}};
    DomainNode node{bus};
    FakeDomainHost host;
    FakeRuntimes runtimes;
    Prng prng{7};
    std::unique_ptr<domainmgr::Agent> agent;
    std::unique_ptr<Subscription<types::DomainStatus>> statuses = bus.subscribe<types::DomainStatus>({.agent = "domainmgr"});
    std::unique_ptr<Subscription<types::DomainNotes>> notes = bus.subscribe<types::DomainNotes>({.agent = "domainmgr"});

    void TearDown() override { agent.reset(); }  // before what the test itself gave it
    void start_agent() {
        agent = std::make_unique<domainmgr::Agent>(domainmgr::Agent::Deps{.bus = bus,
                                                                          .loop = loop,
                                                                          .lanes = lanes,
                                                                          .log = log,
                                                                          .runtimes = runtimes,
                                                                          .host = host,
                                                                          .random = [this](std::uint64_t limit) { return prng.below(limit); }});
    }
    types::DomainStatus status(unsigned n) const {
        const auto* found = statuses->get(app_uuid(n));
        return found == nullptr ? types::DomainStatus{} : *found;
    }
    bool until(unsigned n, types::SwState state, std::chrono::nanoseconds limit = std::chrono::seconds{60}) {
        const auto end = loop.now() + limit;
        const bool reached = loop.run_until([&] { return status(n).State == state; }, limit);
        if (!reached) clock.advance_to(end);
        return reached;
    }
};

}  // namespace eve
