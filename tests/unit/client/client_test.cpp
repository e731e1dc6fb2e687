// The device's identity: the config's, else one made up once.

#include <gmock/gmock.h>

#include "core/client/agent.hpp"
#include "tests/doubles/fake_record_store.hpp"
#include "tests/doubles/recording_log.hpp"
#include "tests/doubles/sim_loop.hpp"

namespace eve::client {
namespace {

const auto of_config = *types::Uuid::parse("414f9460-429a-49cd-8aad-64ebd7484c13");
const auto of_another = *types::Uuid::parse("788081f4-0641-4454-8620-069b0f0f9994");

class FakeIdentity final : public DeviceIdentity {
public:
    Result<types::Uuid> new_uuid() override {
        if (fault) return *fault;
        std::array<std::uint8_t, 16> bytes{};
        bytes[15] = ++made;
        return types::Uuid(bytes);
    }
    std::string hardware_model() override { return "QEMU.Standard PC"; }
    std::optional<Error> fault;
    std::uint8_t made = 0;
};

class ClientTest : public testing::Test {
protected:
    SimClock clock;
    SimLoop loop{clock};
    RecordingLog log;
    FakeRecordStore store;
    SimLanes lanes{loop, Prng{7}};
    Bus bus{{.loop = loop, .log = log, .store = &store, .lanes = &lanes}};
    FakeIdentity identity;
    std::unique_ptr<Publication<zedagent::ConfigStatus>> config = bus.publish<zedagent::ConfigStatus>({.agent = "zedagent"});
    std::unique_ptr<Subscription<types::OnboardingStatus>> onboarding =
        bus.subscribe<types::OnboardingStatus>({.agent = "zedclient", .persistent = true}, {});
    std::unique_ptr<Agent> agent;

    void start() {
        agent = std::make_unique<Agent>(Agent::Deps{.bus = bus, .lanes = lanes, .log = log, .identity = identity});
        settle();
    }
    void settle() { ASSERT_TRUE(loop.run_until_idle()); }
    void config_says(const types::Uuid& uuid) {
        zedagent::ConfigStatus status;
        status.DeviceUUID = uuid;
        ASSERT_TRUE(config->publish("global", status));
        settle();
    }
    types::Uuid device() const {
        const auto* status = onboarding->get("global");
        return status != nullptr ? status->DeviceUUID : types::Uuid{};
    }
};

TEST_F(ClientTest, NobodyIsToldAnIdentityBeforeTheConfigWasLookedAt) {
    start();
    EXPECT_EQ(onboarding->get("global"), nullptr);
}

TEST_F(ClientTest, TheConfigsIdentityIsTheDevices) {
    start();
    config_says(of_config);
    EXPECT_EQ(device(), of_config);
    EXPECT_EQ(onboarding->get("global")->HardwareModel, "QEMU.Standard PC");
    config_says(of_another);
    EXPECT_EQ(device(), of_another);
}

TEST_F(ClientTest, ANodeWithoutAConfigMakesUpAnIdentityOnce) {
    start();
    config_says({});
    const auto first = device();
    EXPECT_FALSE(first.is_nil());
    agent.reset();
    store.reboot();
    start();
    config_says({});
    EXPECT_EQ(device(), first);
    EXPECT_EQ(identity.made, 1);
}

TEST_F(ClientTest, AConfigThatComesWhileAnIdentityIsMadeUpWins) {
    start();
    zedagent::ConfigStatus status;
    ASSERT_TRUE(config->publish("global", status));
    ASSERT_TRUE(loop.run_until([this] { return lanes.pending() > 0; }));
    config_says(of_config);
    EXPECT_EQ(device(), of_config);
}

TEST_F(ClientTest, AFailureIsReportedAndTheNextConfigHelps) {
    identity.fault = Error{.code = Code::unavailable, .what = "no entropy"};
    start();
    config_says({});
    EXPECT_TRUE(log.has("client.no_identity"));
    EXPECT_TRUE(device().is_nil());
    config_says(of_config);
    EXPECT_EQ(device(), of_config);
}

}  // namespace
}  // namespace eve::client
