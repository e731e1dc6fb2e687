// The content store with a runtime that keeps content: what goes there and what stays, that nothing is stored twice, and that neither a runtime
// that is away nor a change of mind loses or leaks anything.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "eve/testing/call_context.hpp"
#include "eve/testing/fake_content.hpp"
#include "storage/content_store.hpp"
#include "storage/hash.hpp"
#include "tests/doubles/image_builder.hpp"
#include "tests/doubles/temp_dir.hpp"

namespace eve::storage {
namespace {

namespace fs = std::filesystem;
using volumemgr::IncomingBlob;

/// A runtime that can be away, and die in the middle.
class Runtime final : public Content {
public:
    explicit Runtime(const fs::path& directory)
        : content_(opened(directory), [](std::string_view bytes) { return sha256_hex(bytes); }, 1000) {}

    Result<ContentInfo> stat(const CallContext& call, const std::string& digest) override {
        if (away) return gone();
        return content_.stat(call, digest);
    }
    Result<ContentWritten> write(const CallContext& call, const ContentWrite& content) override {
        if (away) return gone();
        ++writes;
        if (rivals > 0) {
            --rivals;
            return Error{.code = Code::unavailable, .what = "somebody else writes it", .retry_after = std::chrono::milliseconds{1}};
        }
        auto written = content_.write(call, content);
        if (--dies_after == 0) away = true;
        if (away) return gone();
        return written;
    }
    Result<ContentPart> read(const CallContext& call, const ContentRead& part) override {
        if (away) return gone();
        return content_.read(call, part);
    }
    Result<ContentPage> list(const CallContext& call, const std::string& after) override {
        if (away) return gone();
        return content_.list(call, after);
    }
    Status remove(const CallContext& call, const std::string& digest) override {
        if (away) return gone();
        return content_.remove(call, digest);
    }
    Status protect(const CallContext& call, const ContentProtection& protection) override {
        if (away) return gone();
        return content_.protect(call, protection);
    }

    bool away = false;
    int dies_after = 0;  // writes
    int rivals = 0;
    int writes = 0;

private:
    static int opened(const fs::path& directory) {
        fs::create_directories(directory);
        return open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    static Error gone() { return {.code = Code::unavailable, .what = "the plugin's host ended"}; }
    ::eve::testing::FakeContent content_;
};

class Lane final : public LaneContext {
public:
    Instant deadline() const override { return Instant::max(); }
    bool cancelled() const override { return is_cancelled; }
    int cancel_fd() const override { return -1; }
    bool is_cancelled = false;
};

class KeptContentTest : public ::testing::Test {
protected:
    void SetUp() override { life("containerd"); }
    /// Another life of the node, with this choice.
    void life(const std::string& into) { store_ = make_content_store(directory(), keepers(into)); }
    ContentKeepers keepers(const std::string& into) {
        return {.find =
                    [this](const std::string& name) -> Content& {
                        asked_.insert(name);
                        return runtime(name);
                    },
                .into = into};
    }
    Runtime& runtime(const std::string& name = "containerd") {
        auto& one = runtimes_[name];
        if (!one) one = std::make_unique<Runtime>(directory_.path() / name);
        return *one;
    }
    std::string directory() const { return directory_.path() / "store"; }

    IncomingBlob verified(const std::string& bytes, const std::string& type) {
        const auto sha = sha256_hex(bytes);
        const auto path = directory_.path() / "verified" / sha;
        fs::create_directories(path.parent_path());
        std::ofstream(path, std::ios::binary) << bytes;
        return {.sha256 = sha, .media_type = type, .path = path, .content = {}};
    }
    std::vector<IncomingBlob> blobs_of(const TestImage& image) {
        std::vector<IncomingBlob> blobs{verified(image.manifest, std::string(types::oci_media_manifest)),
                                        verified(image.config, std::string(types::oci_media_config))};
        for (const auto& layer : image.layers) blobs.push_back(verified(layer.bytes, layer.media_type));
        return blobs;
    }
    static std::vector<std::string> shas(const std::vector<IncomingBlob>& blobs) {
        std::vector<std::string> all;
        for (const auto& blob : blobs) all.push_back(blob.sha256);
        return all;
    }
    /// Digests in the directory, and with the runtime.
    std::set<std::string> here() const {
        std::set<std::string> found;
        std::error_code none;
        for (const auto& file : fs::directory_iterator(directory() + "/blobs/sha256", none)) found.insert(file.path().filename());
        return found;
    }
    std::set<std::string> there(const std::string& name = "containerd") {
        std::set<std::string> found;
        const bool away = std::exchange(runtime(name).away, false);
        const auto page = runtime(name).list(call_, "");
        EXPECT_TRUE(page);
        if (page)
            for (const auto& info : page->contents) {
                EXPECT_TRUE(info.held);
                found.insert(info.digest.substr(7));
            }
        runtime(name).away = away;
        return found;
    }
    std::vector<std::string> names() {
        std::vector<std::string> all;
        const auto images = store_->images();
        EXPECT_TRUE(images) << images.error().what;
        if (images)
            for (const auto& image : *images) all.push_back(image.name);
        return all;
    }
    static std::set<std::string> set_of(const std::vector<std::string>& list) { return {list.begin(), list.end()}; }

    TempDir directory_;
    std::map<std::string, std::unique_ptr<Runtime>> runtimes_;
    std::set<std::string> asked_;
    std::unique_ptr<volumemgr::ContentStore> store_;
    Lane lane_;
    ::eve::testing::FakeCall call_;
    const TestImage one_ = make_image({{tar_file("a", std::string(9000, 'a'))}, {tar_file("b", "b")}}, types::OciPacking::none);
    const TestImage two_ = make_image({{tar_file("a", std::string(9000, 'a'))}, {tar_file("c", "c")}}, types::OciPacking::none);
};

TEST_F(KeptContentTest, AContainersImageGoesToTheRuntimeWholeAndNothingOfItStaysHere) {
    const auto blobs = blobs_of(one_);
    const auto loaded = store_->ingest("one", blobs, lane_);
    ASSERT_TRUE(loaded) << loaded.error().what;
    EXPECT_TRUE(here().empty());
    EXPECT_EQ(there(), set_of(shas(blobs)));
    const auto images = store_->images();
    ASSERT_TRUE(images && images->size() == 1);
    ASSERT_EQ(images->front().blobs.size(), blobs.size());
    for (std::size_t i = 0; i < blobs.size(); ++i) {
        EXPECT_EQ(images->front().blobs[i].sha256, blobs[i].sha256);
        EXPECT_EQ(images->front().blobs[i].media_type, blobs[i].media_type);
        EXPECT_EQ(images->front().blobs[i].size, fs::file_size(blobs[i].path));
    }
    EXPECT_EQ(store_->read(blobs[0].sha256, "", 1 << 20).value_or(""), one_.manifest);
    EXPECT_EQ(store_->read(blobs[0].sha256, "", 10).error().code, Code::resource_exhausted);
}

TEST_F(KeptContentTest, ADisksImageStaysInTheDirectory) {
    const std::vector blobs{verified("a disk", "application/octet-stream")};
    ASSERT_TRUE(store_->ingest("disk", blobs, lane_));
    EXPECT_EQ(here(), set_of(shas(blobs)));
    EXPECT_TRUE(asked_.empty()) << "and no plugin is needed for it";
    EXPECT_EQ(names(), std::vector<std::string>{"disk"});
}

TEST_F(KeptContentTest, ALayerThatTwoImagesShareIsThereOnceAndGoesWithTheLastOfThem) {
    const auto first = blobs_of(one_), second = blobs_of(two_);
    ASSERT_TRUE(store_->ingest("one", first, lane_) && store_->ingest("two", second, lane_));
    EXPECT_EQ(there().size(), 7U);
    ASSERT_TRUE(store_->remove("one", shas(first)));
    EXPECT_EQ(there(), set_of(shas(second)));
    ASSERT_TRUE(store_->remove("two", shas(second)));
    EXPECT_TRUE(there().empty());
    EXPECT_TRUE(names().empty());
}

TEST_F(KeptContentTest, AnotherLifeFindsItAndItsReferencesAgain) {
    const auto first = blobs_of(one_), second = blobs_of(two_);
    ASSERT_TRUE(store_->ingest("one", first, lane_) && store_->ingest("two", second, lane_));
    life("containerd");
    EXPECT_EQ(names(), (std::vector<std::string>{"one", "two"}));
    ASSERT_TRUE(store_->collect({"two"}));
    EXPECT_EQ(there(), set_of(shas(second)));
    EXPECT_EQ(names(), std::vector<std::string>{"two"});
}

TEST_F(KeptContentTest, WhatACrashLeftWithTheRuntimeIsCollected) {
    const auto blobs = blobs_of(one_);
    runtime().dies_after = 8;  // in the middle of a layer
    EXPECT_EQ(store_->ingest("one", blobs, lane_).error().code, Code::unavailable);
    runtime().away = false;
    EXPECT_FALSE(there().empty());
    life("containerd");
    EXPECT_TRUE(names().empty());
    ASSERT_TRUE(store_->collect({}));
    EXPECT_TRUE(there().empty());
}

TEST_F(KeptContentTest, ARuntimeThatDiesInTheMiddleIsGoneOnWith) {
    const auto blobs = blobs_of(one_);
    for (int attempt = 0; attempt < 30; ++attempt) {
        runtime().away = false;
        runtime().dies_after = 2;
        if (store_->ingest("one", blobs, lane_)) break;
    }
    runtime().away = false;
    EXPECT_EQ(there(), set_of(shas(blobs)));
    EXPECT_EQ(names(), std::vector<std::string>{"one"});
}

TEST_F(KeptContentTest, ARuntimeThatIsAwayIsAnErrorThatPassesAndLosesNothing) {
    const auto blobs = blobs_of(one_), others = blobs_of(two_);
    ASSERT_TRUE(store_->ingest("one", blobs, lane_));
    runtime().away = true;
    const auto refused = store_->ingest("two", others, lane_);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::unavailable);
    EXPECT_NE(refused.error().what.find("containerd"), std::string::npos) << refused.error().what;
    life("containerd");
    EXPECT_EQ(names(), std::vector<std::string>{"one"}) << "what was given to it is believed to be there";
    EXPECT_EQ(store_->read(blobs[0].sha256, "", 1 << 20).error().code, Code::unavailable);
    EXPECT_EQ(store_->collect({"one"}).error().code, Code::unavailable);
    EXPECT_EQ(store_->remove("one", shas(blobs)).error().code, Code::unavailable);
    runtime().away = false;
    EXPECT_EQ(there(), set_of(shas(blobs))) << "not gone yet";
    ASSERT_TRUE(store_->remove("one", shas(blobs))) << "the retry";
    EXPECT_TRUE(there().empty());
    ASSERT_TRUE(store_->ingest("two", others, lane_));
}

TEST_F(KeptContentTest, ADiskDoesNotWaitForARuntimeThatIsAway) {
    ASSERT_TRUE(store_->ingest("one", blobs_of(one_), lane_));
    runtime().away = true;
    EXPECT_TRUE(store_->ingest("disk", {verified("a disk", "application/octet-stream")}, lane_));
    EXPECT_EQ(names(), (std::vector<std::string>{"disk", "one"}));
}

TEST_F(KeptContentTest, WhatTheRuntimeLostIsNoImageAnyMore) {
    const auto blobs = blobs_of(one_);
    ASSERT_TRUE(store_->ingest("one", blobs, lane_));
    for (const auto& file : fs::directory_iterator(directory_.path() / "containerd"))
        if (file.path().filename().string().starts_with(blobs.back().sha256)) fs::remove(file.path());
    EXPECT_TRUE(names().empty()) << "it is fetched again";
    ASSERT_TRUE(store_->ingest("one", blobs, lane_));
    EXPECT_EQ(names(), std::vector<std::string>{"one"});
}

TEST_F(KeptContentTest, WhatLiesIsRefusedAndNothingOfItStays) {
    auto blobs = blobs_of(one_);
    std::ofstream(blobs.back().path, std::ios::binary) << "something else";
    EXPECT_EQ(store_->ingest("one", blobs, lane_).error().code, Code::invalid_argument);
    EXPECT_FALSE(there().contains(blobs.back().sha256));
    EXPECT_TRUE(names().empty());
}

TEST_F(KeptContentTest, DamageIsSeenWhenItIsRead) {
    const auto blobs = blobs_of(one_);
    ASSERT_TRUE(store_->ingest("one", blobs, lane_));
    fs::permissions(directory_.path() / "containerd" / blobs[0].sha256, fs::perms::owner_all);
    std::ofstream(directory_.path() / "containerd" / blobs[0].sha256) << std::string(one_.manifest.size(), 'x');
    EXPECT_EQ(store_->read(blobs[0].sha256, "", 1 << 20).error().code, Code::not_found);
}

TEST_F(KeptContentTest, SomebodyElsesWriteIsWaitedFor) {
    runtime().rivals = 3;
    EXPECT_TRUE(store_->ingest("one", blobs_of(one_), lane_));
    runtime().rivals = 1'000'000;
    EXPECT_EQ(store_->ingest("two", blobs_of(two_), lane_).error().code, Code::unavailable);
}

TEST_F(KeptContentTest, WhatIsThereIsNotWrittenAgainAndNeedsNoSource) {
    auto blobs = blobs_of(one_);
    ASSERT_TRUE(store_->ingest("one", blobs, lane_));
    const int writes = runtime().writes;
    for (auto& blob : blobs) blob.path.clear();
    ASSERT_TRUE(store_->ingest("again", blobs, lane_));
    EXPECT_EQ(runtime().writes, writes);
    EXPECT_EQ(there().size(), blobs.size());
}

TEST_F(KeptContentTest, AfterAChangeToTheDirectoryWhatTheRuntimeKeepsIsFoundAndLetGo) {
    const auto first = blobs_of(one_), second = blobs_of(two_);
    ASSERT_TRUE(store_->ingest("one", first, lane_));
    life("");
    EXPECT_EQ(names(), std::vector<std::string>{"one"});
    ASSERT_TRUE(store_->ingest("two", second, lane_));
    EXPECT_EQ(here().size() + there().size(), 7U) << "the shared layer is stored once";
    EXPECT_EQ(here().size(), 3U);
    EXPECT_EQ(names(), (std::vector<std::string>{"one", "two"}));
    ASSERT_TRUE(store_->remove("one", shas(first)));
    EXPECT_EQ(there().size(), 1U) << "the shared layer alone";
    ASSERT_TRUE(store_->remove("two", shas(second)));
    EXPECT_TRUE(there().empty());
    ASSERT_TRUE(store_->collect({}));
    asked_.clear();
    life("");
    EXPECT_TRUE(names().empty());
    EXPECT_TRUE(asked_.empty()) << "who has nothing left is not asked again";
}

TEST_F(KeptContentTest, AfterAChangeToTheRuntimeWhatIsHereStaysHereUntilItGoes) {
    life("");
    const auto first = blobs_of(one_), second = blobs_of(two_);
    ASSERT_TRUE(store_->ingest("one", first, lane_));
    life("containerd");
    EXPECT_EQ(names(), std::vector<std::string>{"one"});
    ASSERT_TRUE(store_->ingest("two", second, lane_));
    EXPECT_EQ(here().size(), 4U);
    EXPECT_EQ(there().size(), 3U);
    ASSERT_TRUE(store_->remove("one", shas(first)));
    EXPECT_EQ(here().size(), 1U);
    EXPECT_EQ(names(), std::vector<std::string>{"two"});
    ASSERT_TRUE(store_->remove("two", shas(second)));
    EXPECT_TRUE(here().empty() && there().empty());
}

TEST_F(KeptContentTest, AFormerRuntimeThatIsAwayDoesNotHinderTheNewOne) {
    ASSERT_TRUE(store_->ingest("one", blobs_of(one_), lane_));
    runtime().away = true;
    life("other");
    const auto second = blobs_of(two_);
    ASSERT_TRUE(store_->ingest("two", second, lane_));
    EXPECT_EQ(there("other").size(), second.size());
    life("");
    EXPECT_EQ(names(), (std::vector<std::string>{"one", "two"}));
    runtime().away = false;
    ASSERT_TRUE(store_->collect({}));
    EXPECT_TRUE(there().empty() && there("other").empty());
}

TEST_F(KeptContentTest, WhoGivesUpIsHeardBetweenSteps) {
    lane_.is_cancelled = true;
    EXPECT_EQ(store_->ingest("one", blobs_of(one_), lane_).error().code, Code::cancelled);
    EXPECT_EQ(runtime().writes, 0);
}

TEST_F(KeptContentTest, ALayerIsFetchedIntoAFileWithoutAName) {
    const auto blobs = blobs_of(one_);
    ASSERT_TRUE(store_->ingest("one", blobs, lane_));
    const KeptContent kept(directory(), keepers("containerd"));
    const auto before = std::distance(fs::directory_iterator(directory()), {});
    const auto file = kept.fetch(blobs[2].sha256, directory(), lane_);
    ASSERT_TRUE(file) << file.error().what;
    std::string bytes(one_.layers[0].bytes.size() + 1, '\0');
    ASSERT_EQ(pread(file->get(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(one_.layers[0].bytes.size()));
    bytes.pop_back();
    EXPECT_EQ(bytes, one_.layers[0].bytes);
    EXPECT_EQ(std::distance(fs::directory_iterator(directory()), {}), before);
    runtime().away = true;
    EXPECT_EQ(kept.fetch(blobs[2].sha256, directory(), lane_).error().code, Code::unavailable);
}

}  // namespace
}  // namespace eve::storage
