// The vault without encryption: what is true of it, and what when its directories cannot be made.

#include <gmock/gmock.h>

#include "core/vaultmgr/agent.hpp"
#include "tests/doubles/fake_record_store.hpp"
#include "tests/doubles/recording_log.hpp"
#include "tests/doubles/sim_loop.hpp"

namespace eve::vaultmgr {
namespace {

using testing::HasSubstr;

class FakeVaultDirectories final : public VaultDirectories {
public:
    Status make() override {
        if (fault) return *fault;
        made = true;
        return {};
    }
    bool has_tpm() override { return tpm; }
    std::optional<Error> fault;
    bool made = false;
    bool tpm = false;
};

class VaultmgrTest : public testing::Test {
protected:
    SimClock clock;
    SimLoop loop{clock};
    RecordingLog log;
    FakeRecordStore store;
    SimLanes lanes{loop, Prng{7}};
    Bus bus{{.loop = loop, .log = log, .store = &store, .lanes = &lanes}};
    FakeVaultDirectories directories;
    std::unique_ptr<Subscription<types::VaultStatus>> vault = bus.subscribe<types::VaultStatus>({.agent = "vaultmgr"}, {});
    std::unique_ptr<Agent> agent;

    void start() {
        agent = std::make_unique<Agent>(Agent::Deps{.bus = bus, .loop = loop, .lanes = lanes, .log = log, .directories = directories});
        ASSERT_TRUE(loop.run_until_idle());
    }
};

TEST_F(VaultmgrTest, APlainVaultIsReadyAndSaysThatItIsNotEncrypted) {
    start();
    const auto* status = vault->get("Application Data Store");
    ASSERT_NE(status, nullptr);
    EXPECT_TRUE(directories.made);
    EXPECT_EQ(status->Name, "Application Data Store");
    EXPECT_TRUE(status->ConversionComplete);
    EXPECT_EQ(status->Status, types::DataSecAtRestStatus::DATASEC_AT_REST_DISABLED);
    EXPECT_EQ(status->UnlockMethod, types::VaultUnlockMethod::VaultUnlockNoTPM);
    EXPECT_THAT(status->Error, HasSubstr("TPM is either absent or not in use"));
}

TEST_F(VaultmgrTest, ATpmThatIsThereIsNotClaimedToBeUsed) {
    directories.tpm = true;
    start();
    EXPECT_EQ(vault->get("Application Data Store")->Status, types::DataSecAtRestStatus::DATASEC_AT_REST_DISABLED);
    EXPECT_THAT(vault->get("Application Data Store")->Error, HasSubstr("not in use yet"));
}

TEST_F(VaultmgrTest, AFailureIsAnErrorWithARetry) {
    directories.fault = Error{.code = Code::unavailable, .what = "/persist: read-only file system"};
    start();
    const auto* status = vault->get("Application Data Store");
    ASSERT_NE(status, nullptr);
    EXPECT_FALSE(status->ConversionComplete);
    EXPECT_EQ(status->Status, types::DataSecAtRestStatus::DATASEC_AT_REST_ERROR);
    EXPECT_THAT(status->Error, HasSubstr("read-only"));
    EXPECT_FALSE(status->ErrorRetryCondition.empty());
    directories.fault.reset();
    loop.run_for(make_retry + std::chrono::seconds{1});
    EXPECT_TRUE(vault->get("Application Data Store")->ConversionComplete);
}

}  // namespace
}  // namespace eve::vaultmgr
