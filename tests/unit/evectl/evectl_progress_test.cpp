// Rates and bars of what is on its way.

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "core/evectl/progress.hpp"

namespace eve::evectl {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using namespace std::chrono_literals;

Instant at(std::chrono::milliseconds when) { return Instant(when + 1h); }

TEST(RateMeter, IsTheSpeedOfTheLastSeconds) {
    RateMeter meter;
    EXPECT_EQ(meter.rate(), 0U);
    meter.see(0, at(0ms));
    EXPECT_EQ(meter.rate(), 0U) << "one look is no speed";
    meter.see(1000, at(1000ms));
    EXPECT_EQ(meter.rate(), 1000U);
    for (int second = 2; second <= 20; ++second) meter.see(1000, at(std::chrono::seconds{second}));
    EXPECT_EQ(meter.rate(), 0U) << "it has stalled";
}

TEST(RateMeter, BeginsAnewWithTheTransfer) {
    RateMeter meter;
    meter.see(5000, at(0ms));
    meter.see(6000, at(1000ms));
    meter.see(100, at(2000ms));
    EXPECT_EQ(meter.rate(), 0U);
    meter.see(300, at(3000ms));
    EXPECT_EQ(meter.rate(), 200U);
}

TEST(RateMeter, TwoLooksAtOnceAreNoSpeed) {
    RateMeter meter;
    meter.see(1, at(0ms));
    meter.see(1000, at(0ms));
    EXPECT_EQ(meter.rate(), 0U);
}

const std::vector<BlobProgress> blobs{
    {.digest = "sha256:aaaaaaaaaaaaaaaa", .media_type = "application/vnd.oci.image.config.v1+json", .state = "LOADED", .bytes = 7, .bytes_total = 7},
    {.digest = "sha256:bbbbbbbbbbbbbbbb", .media_type = "application/vnd.oci.image.layer.v1.tar+gzip", .state = "DOWNLOADING", .bytes = 1 << 20, .bytes_total = 4 << 20, .rate = 3 << 19},
    {.digest = "sha256:cccccccccccccccc", .media_type = "application/vnd.oci.image.layer.v1.tar+gzip", .state = "DOWNLOADING", .bytes = 9, .bytes_total = 5},
    {.digest = "sha256:dddddddddddddddd", .state = "DOWNLOADING"},
};

TEST(ProgressBars, AreOfWhatIsOnItsWay) {
    EXPECT_THAT(progress_bars(blobs, 200, 10), ElementsAre("  bbbbbbbbbbbb layer [######..................]  25% of 4.0 MiB, 1.5 MiB/s",
                                                          "  cccccccccccc layer [########################] 100% of 5 B"));
    EXPECT_THAT(progress_bars({}, 80, 10), IsEmpty());
}

TEST(ProgressBars, StayWithinTheTerminal) {
    EXPECT_THAT(progress_bars(blobs, 10, 10), ElementsAre("  bbbbbbbb", "  cccccccc"));
    EXPECT_THAT(progress_bars(blobs, 200, 2), ElementsAre(::testing::HasSubstr("bbbbbbbbbbbb"), "  and 1 more"));
}

TEST(ProgressJson, IsOneLineWithEveryBlob) {
    const auto line = progress_json({.state = "DOWNLOADING", .error = false, .activated = false, .line = "DOWNLOADING 25%"}, blobs);
    EXPECT_EQ(line.find('\n'), std::string::npos);
    const auto json = nlohmann::json::parse(line);
    EXPECT_EQ(json["state"], "DOWNLOADING");
    ASSERT_EQ(json["blobs"].size(), 4U);
    EXPECT_EQ(json["blobs"][1]["bytes_per_second"], 3 << 19);
}

}  // namespace
}  // namespace eve::evectl
