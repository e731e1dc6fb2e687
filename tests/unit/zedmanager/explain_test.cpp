#include "core/zedmanager/explain.hpp"

#include "tests/unit/zedmanager/story.hpp"

namespace eve::zedmanager {
namespace {

using testing::HasSubstr;

class WhyWaiting : public AppStory {
protected:
    std::string why() const {
        AppRecords records{.app = &state.status, .network = network ? &*network : nullptr, .domain = domain ? &*domain : nullptr};
        for (const auto& [key, volume] : volumes) records.volumes.push_back(&volume);
        records.wanted = wanted_active(config, node.profile);
        return why_waiting(records);
    }
};

TEST_F(WhyWaiting, NamesWhatIsNextAtEveryStageOfAStart) {
    EXPECT_THAT(why_waiting({}), HasSubstr("zedmanager"));
    look();
    EXPECT_THAT(why(), HasSubstr("volumemgr to begin with volume " + volume_key(reference(1))));
    volume_is(reference(1), SwState::CREATED_VOLUME);
    volume_is(reference(2), SwState::DOWNLOADING);
    volumes[reference_key(reference(2))].DisplayName = "data";
    look();
    EXPECT_EQ(why(), "Waits for the download of volume data.");
    all_volumes_are(SwState::CREATED_VOLUME);
    look();
    EXPECT_THAT(why(), HasSubstr("zedrouter"));
    network_is_up();
    look();
    EXPECT_THAT(why(), HasSubstr("domainmgr"));
    domain_is(SwState::BOOTING);
    look();
    EXPECT_THAT(why(), HasSubstr("boot"));
    domain_is(SwState::RUNNING);
    look();
    EXPECT_EQ(why(), "");
}

TEST_F(WhyWaiting, SaysWhatToDoAboutAPermanentError) {
    run_up();
    config.FixedResources.VCpus = 2;
    look();
    EXPECT_THAT(why(), HasSubstr("Need restart due to VCpus changed from 1 to 2"));
    EXPECT_THAT(why(), HasSubstr("Restart the app, or take the change back."));
}

TEST_F(WhyWaiting, SaysThatATransientErrorIsTriedAgain) {
    look();
    volume_is(reference(1), SwState::DOWNLOADING);
    volumes[reference_key(reference(1))].Error = "404";
    volumes[reference_key(reference(1))].ErrorRetryCondition = "Will retry in 10m";
    look();
    EXPECT_EQ(why(), "404. It is tried again by itself: Will retry in 10m.");
}

TEST_F(WhyWaiting, TellsOfMemoryDelaysMissingNetworksAndHaltedApps) {
    all_volumes_are(SwState::CREATED_VOLUME);
    node.memory.total = 1;
    look();
    EXPECT_THAT(why(), HasSubstr("less memory"));
    node.memory.total = std::uint64_t{8} << 30;
    network_is_up();
    network->AwaitNetworkInstance = true;
    look();
    EXPECT_THAT(why(), HasSubstr("network instance that is not there"));
    network->AwaitNetworkInstance = false;
    config.Delay = std::chrono::seconds{30};
    look();
    EXPECT_THAT(why(), HasSubstr("delayed until"));
    config.Activate = false;
    look();
    EXPECT_EQ(why(), "");
}

}  // namespace
}  // namespace eve::zedmanager
