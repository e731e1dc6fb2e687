// Image content in containerd against a containerd in memory: what is asked of it, what becomes of every answer, and that its garbage collection
// finds nothing that is held.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/mman.h>
#include <unistd.h>

#include "containerd/content.hpp"
#include "core/plugin/loader.hpp"
#include "eve/testing/call_context.hpp"

namespace eve::containerd {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using namespace std::chrono_literals;

/// What a containerd holds of one namespace.
struct Store {
    struct Held {
        std::string bytes;
        std::map<std::string, std::string> labels;
    };
    std::map<std::string, Held> blobs;
    std::map<std::string, std::string> attempts;
    std::vector<std::string> calls;
    bool down = false;
    bool taken = false;           // somebody else is at the attempt
    std::size_t dies_after = SIZE_MAX;  // bytes of a write, and is down then
    std::size_t stops_after = SIZE_MAX;  // bytes of a read
    std::size_t room = SIZE_MAX;
    int lingers = 0;  // times that an attempt cannot be aborted, since its writer is still there

    void collect() {
        std::erase_if(blobs, [](const auto& blob) { return !blob.second.labels.contains("containerd.io/gc.root"); });
    }
};

class FakeContentService final : public ContentApi {
public:
    explicit FakeContentService(Store& store) : store_(store) {}
    Status make_namespace(const Limit&) override { return store_.down ? Status(gone()) : Status{}; }
    Result<Blob> blob(const std::string& digest, const Limit&) override {
        if (store_.down) return gone();
        const auto found = store_.blobs.find(digest);
        if (found == store_.blobs.end()) return none();
        return Blob{.digest = digest, .size = found->second.bytes.size(), .labels = found->second.labels};
    }
    Result<std::vector<Blob>> blobs(const Limit&) override {
        if (store_.down) return gone();
        std::vector<Blob> all;
        for (auto i = store_.blobs.rbegin(); i != store_.blobs.rend(); ++i)  // in no order that anyone may rely on
            all.push_back({.digest = i->first, .size = i->second.bytes.size(), .labels = i->second.labels});
        return all;
    }
    Result<BlobProgress> write_blob(const BlobPlan& plan, const std::function<Result<std::string>(std::uint64_t)>& source, const Limit&) override {
        if (store_.down) return gone();
        store_.calls.push_back("write");
        if (store_.blobs.contains(plan.digest)) return Error{.code = Code::already_exists, .what = "there"};
        if (store_.taken) return Error{.code = Code::failed_precondition, .what = "locked"};
        auto& bytes = store_.attempts[plan.attempt];
        while (bytes.size() < plan.size) {
            auto more = source(bytes.size());
            if (!more) return std::move(more).error();
            if (more->empty()) return BlobProgress{.stored = bytes.size()};
            if (bytes.size() + more->size() > store_.room) return Error{.code = Code::resource_exhausted, .what = "full"};
            bytes += *more;
            if (bytes.size() >= store_.dies_after) {
                store_.down = true;
                return gone();
            }
        }
        if (bytes.size() != plan.size || "sha256:" + plugin::digest_of_text(bytes) != plan.digest)
            return Error{.code = Code::invalid_argument, .what = "unexpected commit digest"};
        store_.blobs[plan.digest] = {.bytes = bytes, .labels = plan.labels};
        store_.attempts.erase(plan.attempt);
        return BlobProgress{.stored = plan.size, .complete = true};
    }
    Status read_blob(const std::string& digest, std::uint64_t offset, std::uint64_t size, const std::function<Status(std::string_view)>& sink,
                     const Limit&) override {
        if (store_.down) return gone();
        const auto& bytes = store_.blobs.at(digest).bytes;
        EXPECT_LE(offset + size, bytes.size());
        for (std::size_t done = 0; done < size;) {
            if (done >= store_.stops_after) return gone();
            const auto part = std::min<std::size_t>(1000, size - done);
            if (auto taken = sink(std::string_view(bytes).substr(offset + done, part)); !taken) return taken;
            done += part;
        }
        return {};
    }
    Status label_blob(const std::string& digest, const std::string& label, const std::string& value, const Limit&) override {
        if (store_.down) return gone();
        const auto found = store_.blobs.find(digest);
        if (found == store_.blobs.end()) return none();
        if (value.empty()) found->second.labels.erase(label);
        else found->second.labels[label] = value;
        return {};
    }
    Status delete_blob(const std::string& digest, const Limit&) override {
        if (store_.down) return gone();
        store_.calls.push_back("delete");
        return store_.blobs.erase(digest) == 1 ? Status{} : Status(none());
    }
    Status abort_attempt(const std::string& attempt, const Limit&) override {
        if (store_.down) return gone();
        if (store_.lingers-- > 0) return Error{.code = Code::failed_precondition, .what = "unlinkat: directory not empty"};
        return store_.attempts.erase(attempt) == 1 ? Status{} : Status(none());
    }
    Status collect_garbage(const Limit&) override {
        if (store_.down) return gone();
        store_.calls.push_back("collect");
        store_.collect();
        return {};
    }

private:
    static Error gone() { return {.code = Code::unavailable, .what = "connection refused"}; }
    static Error none() { return {.code = Code::not_found, .what = "content not found"}; }
    Store& store_;
};

class ContainerdContentTest : public ::testing::Test {
protected:
    static int file_of(const std::string& bytes) {
        const int fd = ::memfd_create("content", MFD_CLOEXEC);
        EXPECT_EQ(::pwrite(fd, bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
        return fd;
    }
    static std::string digest_of(const std::string& bytes) { return "sha256:" + plugin::digest_of_text(bytes); }
    Result<ContentWritten> write(const std::string& bytes) { return write(digest_of(bytes), bytes); }
    Result<ContentWritten> write(const std::string& digest, const std::string& bytes) {
        const int source = file_of(bytes);
        auto written = content_.write(call_, {.digest = digest, .size = {bytes.size()}, .source = {source}});
        ::close(source);
        return written;
    }
    std::string read(const std::string& digest, ContentRead part = {}) {
        part.digest = digest;
        part.target = {file_of("")};
        const auto got = content_.read(call_, part);
        std::string bytes(got ? got->size.n : 0, '\0');
        EXPECT_EQ(::pread(part.target.fd, bytes.data(), bytes.size(), static_cast<off_t>(part.offset.n)), static_cast<ssize_t>(bytes.size()));
        ::close(part.target.fd);
        return got ? bytes : std::string(to_string(got.error().code));
    }

    Store store_;
    FakeContentService service_{store_};
    ContainerdContent content_{service_};
    ::eve::testing::FakeCall call_;
    const std::string bytes_ = std::string(5'000'000, 'b');
};

TEST_F(ContainerdContentTest, WhatIsWrittenIsARootOfGarbageCollectionFromItsFirstMoment) {
    const auto written = write(bytes_);
    ASSERT_TRUE(written) << written.error().what;
    EXPECT_TRUE(written->complete);
    store_.collect();
    EXPECT_TRUE(content_.stat(call_, digest_of(bytes_))->held);
    EXPECT_EQ(read(digest_of(bytes_)), bytes_);
}

TEST_F(ContainerdContentTest, WhatIsReleasedIsContainerdsToCollect) {
    ASSERT_TRUE(write(bytes_));
    ASSERT_TRUE(content_.protect(call_, {.digest = digest_of(bytes_), .hold = ContentHold::released}));
    store_.collect();
    EXPECT_EQ(content_.stat(call_, digest_of(bytes_)).error().code, Code::not_found);
}

TEST_F(ContainerdContentTest, WhatIsRemovedGivesItsSpaceBackAtOnce) {
    ASSERT_TRUE(write("one"));
    EXPECT_EQ(content_.remove(call_, digest_of("one")).error().code, Code::failed_precondition);
    ASSERT_TRUE(content_.protect(call_, {.digest = digest_of("one"), .hold = ContentHold::released}));
    store_.calls.clear();
    ASSERT_TRUE(content_.remove(call_, digest_of("one")));
    EXPECT_THAT(store_.calls, ElementsAre("delete", "collect"));
}

TEST_F(ContainerdContentTest, AWriterThatWasGivenUpMayLingerWhenItsBeginningIsRemoved) {
    store_.room = 3'000'000;
    EXPECT_FALSE(write(bytes_));
    store_.lingers = 2;
    EXPECT_TRUE(content_.remove(call_, digest_of(bytes_)));
    EXPECT_TRUE(store_.attempts.empty());
    store_.lingers = 1000;
    EXPECT_EQ(content_.remove(call_, digest_of(bytes_)).error().code, Code::unavailable) << "which is tried again, where 'held' would not be";
}

TEST_F(ContainerdContentTest, AWriteThatContainerdDoesNotSurviveGoesOnWhereItStood) {
    store_.dies_after = 2'000'000;
    EXPECT_EQ(write(bytes_).error().code, Code::unavailable);
    store_.down = false;
    store_.dies_after = SIZE_MAX;
    const auto had = store_.attempts.begin()->second.size();
    EXPECT_GE(had, 2'000'000U);
    EXPECT_TRUE(content_.list(call_, "")->contents.empty()) << "what is half-written is not listed";
    ASSERT_TRUE(write(bytes_)->complete);
    EXPECT_TRUE(store_.attempts.empty());
}

TEST_F(ContainerdContentTest, AStepEndsInTimeAndTheNextOneGoesOn) {
    call_.left = 0ns;
    const auto none = write(bytes_);
    ASSERT_TRUE(none) << none.error().what;
    EXPECT_FALSE(none->complete);
    call_.left = 10s;
    EXPECT_TRUE(write(bytes_)->complete);
}

TEST_F(ContainerdContentTest, WhatLiesIsRefusedAndItsAttemptGoes) {
    EXPECT_EQ(write(digest_of("other"), bytes_).error().code, Code::invalid_argument);
    EXPECT_TRUE(store_.blobs.empty());
    EXPECT_TRUE(store_.attempts.empty());
}

TEST_F(ContainerdContentTest, AFullDiskKeepsTheBeginningForTheNextAttempt) {
    store_.room = 3'000'000;
    EXPECT_EQ(write(bytes_).error().code, Code::resource_exhausted);
    store_.room = SIZE_MAX;
    EXPECT_TRUE(write(bytes_)->complete);
}

TEST_F(ContainerdContentTest, WhoComesSecondIsToldWhenToTryAgain) {
    store_.taken = true;
    const auto refused = write(bytes_);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::unavailable);
    EXPECT_TRUE(refused.error().retry_after);
}

TEST_F(ContainerdContentTest, WhatIsThereIsHeldAgainAndNotRead) {
    ASSERT_TRUE(write("one"));
    ASSERT_TRUE(content_.protect(call_, {.digest = digest_of("one"), .hold = ContentHold::released}));
    store_.calls.clear();
    EXPECT_TRUE(content_.write(call_, {.digest = digest_of("one"), .size = {3}, .source = {}})->complete);
    EXPECT_TRUE(store_.calls.empty());
    store_.collect();
    EXPECT_TRUE(content_.stat(call_, digest_of("one")));
    EXPECT_EQ(content_.write(call_, {.digest = digest_of("one"), .size = {4}, .source = {}}).error().code, Code::invalid_argument);
}

TEST_F(ContainerdContentTest, WhatWasReadBeforeContainerdDiedCounts) {
    ASSERT_TRUE(write(bytes_));
    store_.stops_after = 10'000;
    EXPECT_EQ(read(digest_of(bytes_)), bytes_.substr(0, 10'000));
    store_.stops_after = 0;
    EXPECT_EQ(read(digest_of(bytes_), {.offset = {10'000}}), "unavailable");
}

TEST_F(ContainerdContentTest, TheListIsSortedAndHasPages) {
    for (std::size_t i = 0; i < content_page_max + 3; ++i)
        store_.blobs["sha256:" + plugin::digest_of_text(std::to_string(i))] = {.bytes = "x", .labels = {}};
    const auto first = content_.list(call_, "");
    ASSERT_TRUE(first && first->more);
    EXPECT_EQ(first->contents.size(), content_page_max);
    const auto second = content_.list(call_, first->contents.back().digest);
    ASSERT_TRUE(second);
    EXPECT_EQ(second->contents.size(), 3U);
    EXPECT_FALSE(second->more);
    EXPECT_GT(second->contents.front().digest, first->contents.back().digest);
}

TEST_F(ContainerdContentTest, AContainerdThatIsAwayIsUnavailableForEveryCall) {
    store_.down = true;
    const auto digest = digest_of("one");
    EXPECT_EQ(content_.stat(call_, digest).error().code, Code::unavailable);
    EXPECT_EQ(write("one").error().code, Code::unavailable);
    EXPECT_EQ(read(digest), "unavailable");
    EXPECT_EQ(content_.list(call_, "").error().code, Code::unavailable);
    EXPECT_EQ(content_.remove(call_, digest).error().code, Code::unavailable);
    EXPECT_EQ(content_.protect(call_, {.digest = digest, .hold = ContentHold::released}).error().code, Code::unavailable);
}

}  // namespace
}  // namespace eve::containerd
