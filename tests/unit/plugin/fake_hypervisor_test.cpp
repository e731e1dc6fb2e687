// The SDK's doubles: the fake keeps the contract, the mocks can be made and told what to answer.

#include "eve/testing/fake_hypervisor.hpp"

#include <gmock/gmock.h>

#include "eve/testing/call_context.hpp"
#include "eve/testing/mock_hypervisor.hpp"

namespace eve::testing {
namespace {

using ::testing::_;
using ::testing::Return;

const DomainSpec web{.id = {"web"}, .revision = 1, .mode = VirtualizationMode::hvm, .memory = 1_MiB, .vcpus = 1};

TEST(FakeHypervisor, KeepsTheContract) {
    FakeHypervisor fake;
    const FakeCall call;
    EXPECT_EQ(fake.start(call, web.id).error().code, Code::not_found);
    EXPECT_EQ(fake.inspect(call, web.id)->presence, Presence::absent);
    EXPECT_EQ(fake.create(call, web)->state, DomainState::defined);
    EXPECT_EQ(fake.create(call, web)->state, DomainState::defined) << "idempotent";
    EXPECT_EQ(fake.start(call, web.id)->state, DomainState::running);
    auto newer = web;
    newer.revision = 2;
    EXPECT_EQ(fake.create(call, newer).error().code, Code::failed_precondition);
    fake.guest_dies(web.id, 11);
    EXPECT_EQ(fake.inspect(call, web.id)->state, DomainState::broken);
    EXPECT_EQ(fake.inspect(call, web.id)->exit->signal, 11);
    EXPECT_EQ(fake.create(call, newer)->revision, 2U) << "what is dead is cleared away";
    EXPECT_EQ(fake.destroy(call, web.id, DestroyMode::purge)->presence, Presence::absent);
    EXPECT_TRUE(fake.destroy(call, web.id, DestroyMode::purge));
}

TEST(FakeHypervisor, AGuestThatDoesNotObeyIsAskedInVain) {
    FakeHypervisor fake;
    const FakeCall call;
    fake.guests_obey = false;
    ASSERT_TRUE(fake.create(call, web));
    ASSERT_TRUE(fake.start(call, web.id));
    EXPECT_EQ(fake.stop(call, web.id, StopMode::ask)->state, DomainState::halting);
    EXPECT_EQ(fake.stop(call, web.id, StopMode::cut)->state, DomainState::halted);
}

TEST(FakeHypervisor, APlannedFaultHappensOnceBeforeOrAfterTheEffect) {
    FakeHypervisor fake;
    const FakeCall call;
    fake.plan({.method = "create", .error = {.code = Code::unavailable}, .after = true});
    EXPECT_EQ(fake.create(call, web).error().code, Code::unavailable);
    EXPECT_EQ(fake.list(call)->size(), 1U) << "only the reply was lost";
    EXPECT_TRUE(fake.create(call, web));
}

TEST(MockHypervisor, AnswersAsTold) {
    MockHypervisor mock;
    EXPECT_CALL(mock, start(_, web.id)).WillOnce(Return(DomainInfo{.id = web.id, .state = DomainState::running}));
    EXPECT_EQ(mock.start(FakeCall{}, web.id)->state, DomainState::running);
}

}  // namespace
}  // namespace eve::testing
