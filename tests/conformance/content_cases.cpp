// The contract of eve/content.hpp, clause by clause, on any plugin. What a case writes it removes.

#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <thread>

#include "core/plugin/device_clients.hpp"
#include "core/plugin/frame.hpp"
#include "core/plugin/loader.hpp"
#include "eve/testing/call_context.hpp"
#include "tests/conformance/contract_cases.hpp"
#include "tests/conformance/plugin_fixture.hpp"

namespace eve::plugin {
namespace {

constexpr std::size_t several_steps = (std::size_t{5} << 20) + 77;  ///< of a plugin with steps of a megabyte
constexpr unsigned steps_max = 10'000;

/// Bytes that no other case and no other run has.
std::string bytes_of(std::size_t size, std::uint64_t seed) {
    std::string bytes(size, '\0');
    std::uint64_t state = seed * 0x9e3779b97f4a7c15U + static_cast<std::uint64_t>(::getpid());
    for (auto& byte : bytes) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        byte = static_cast<char>(state);
    }
    return bytes;
}
std::string digest_of(const std::string& bytes) { return "sha256:" + digest_of_text(bytes); }

UniqueFd file_of(const std::string& bytes) {
    UniqueFd file(::memfd_create("content", MFD_CLOEXEC));
    EXPECT_EQ(::pwrite(file.get(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
    return file;
}
std::string bytes_in(const UniqueFd& file) {
    struct stat facts{};
    EXPECT_EQ(::fstat(file.get(), &facts), 0);
    std::string bytes(static_cast<std::size_t>(facts.st_size), '\0');
    EXPECT_EQ(::pread(file.get(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
    return bytes;
}

class ContentContract : public ::testing::TestWithParam<Isolation> {
protected:
    void SetUp() override {
        reopen();
        if (!opened_->content) GTEST_SKIP() << "it does not serve content/1";
        if (const auto listed = content().list(call_, ""); !listed && listed.error().code == Code::unavailable) GTEST_SKIP() << listed.error().what;
        ready_ = true;
    }
    void TearDown() override {
        if (!ready_ || !opened_->content) return;
        for (const auto& digest : written_) {
            EXPECT_TRUE(content().protect(call_, {.digest = digest, .hold = ContentHold::released}));
            EXPECT_TRUE(content().remove(call_, digest));
            EXPECT_EQ(code_of(content().stat(call_, digest)), Code::not_found);
        }
    }
    /// The node is started anew: another instance over the same directories.
    void reopen() {
        std::uint32_t calls = 1;
        if (opened_ && opened_->client) calls = opened_->client->description().limits.calls_in_flight_max;
        opened_.reset();
        opened_ = std::make_unique<OpenPlugin>(dir_, subject().file, subject().config, GetParam(), subject().cgroup_parent, subject().keeper,
                                               subject().plugin_host, calls);
        if (opened_->error) ADD_FAILURE() << "open: " << opened_->error->what << "\n" << opened_->error->hint;
    }
    Content& content() { return *opened_->content; }
    template <class T> static Code code_of(const Result<T>& result) { return result ? Code::ok : result.error().code; }
    static Code code_of(const Status& status) { return status ? Code::ok : status.error().code; }

    /// Every step of a write; a rival's is waited for.
    Result<ContentWritten> write(const std::string& digest, std::uint64_t size, int source) {
        written_.push_back(digest);
        return steps(digest, size, source);
    }
    Result<ContentWritten> write(const std::string& bytes) { return write(digest_of(bytes), bytes.size(), file_of(bytes).get()); }
    Result<ContentWritten> steps(const std::string& digest, std::uint64_t size, int source) {
        std::uint64_t stored = 0;
        for (unsigned i = 0; i < steps_max; ++i) {
            auto step = content().write(call_, {.digest = digest, .size = {size}, .source = {source}});
            if (!step && step.error().code == Code::unavailable && step.error().retry_after) {
                ::poll(nullptr, 0, 10);
                continue;
            }
            if (!step || step->complete) return step;
            EXPECT_GE(step->stored.n, stored) << "a step goes on where the last one ended";
            EXPECT_LE(step->stored.n, size);
            stored = step->stored.n;
        }
        return Error{.code = Code::timed_out, .what = "no end of steps"};
    }
    /// Every step of reading a part.
    std::string read(const std::string& digest, std::uint64_t offset = 0, std::uint64_t size = 0) {
        const UniqueFd file(::memfd_create("target", MFD_CLOEXEC));
        std::uint64_t at = offset;
        for (unsigned i = 0; i < steps_max && (size == 0 || at < offset + size); ++i) {
            const auto part = content().read(
                call_, {.digest = digest, .offset = {at}, .size = {size == 0 ? 0 : offset + size - at}, .target = {file.get()}});
            EXPECT_TRUE(part) << part.error().what;
            if (!part || part->size.n == 0) break;
            at += part->size.n;
        }
        const auto bytes = bytes_in(file);
        EXPECT_EQ(bytes.size(), at == offset ? 0 : at) << "each byte is at its place";
        return bytes.size() > offset ? bytes.substr(offset) : std::string{};
    }
    std::vector<ContentInfo> all() {
        std::vector<ContentInfo> found;
        for (unsigned i = 0; i < steps_max; ++i) {
            const auto page = content().list(call_, found.empty() ? "" : found.back().digest);
            EXPECT_TRUE(page) << page.error().what;
            if (!page) break;
            EXPECT_LE(page->contents.size(), content_page_max);
            found.insert(found.end(), page->contents.begin(), page->contents.end());
            if (!page->more) break;
        }
        return found;
    }
    std::size_t times_listed(const std::string& digest) {
        const auto listed = all();
        return static_cast<std::size_t>(std::count_if(listed.begin(), listed.end(), [&](const auto& info) { return info.digest == digest; }));
    }
    /// Nothing of it is found by any way.
    void expect_nothing(const std::string& digest) {
        EXPECT_EQ(code_of(content().stat(call_, digest)), Code::not_found);
        EXPECT_EQ(times_listed(digest), 0U);
        const UniqueFd file(::memfd_create("target", MFD_CLOEXEC));
        EXPECT_EQ(code_of(content().read(call_, {.digest = digest, .target = {file.get()}})), Code::not_found);
    }

    ScratchDir dir_;
    std::unique_ptr<OpenPlugin> opened_;
    ::eve::testing::FakeCall call_;
    std::vector<std::string> written_;
    bool ready_ = false;
};

TEST_P(ContentContract, WhatIsWrittenIsFoundHeldListedOnceAndReadBack) {
    for (const std::size_t size : {std::size_t{1}, std::size_t{4096}, several_steps}) {
        const auto bytes = bytes_of(size, 1);
        const auto digest = digest_of(bytes);
        const auto written = write(bytes);
        ASSERT_TRUE(written) << written.error().what;
        EXPECT_EQ(written->stored.n, size);
        const auto found = content().stat(call_, digest);
        ASSERT_TRUE(found) << found.error().what;
        EXPECT_EQ(*found, (ContentInfo{.digest = digest, .size = {size}, .held = true}));
        EXPECT_EQ(times_listed(digest), 1U);
        EXPECT_EQ(read(digest), bytes);
    }
}

TEST_P(ContentContract, APartIsReadToItsPlaceAndBehindTheEndIsNothing) {
    const auto bytes = bytes_of(several_steps, 2);
    ASSERT_TRUE(write(bytes));
    EXPECT_EQ(read(digest_of(bytes), 4095, 8193), bytes.substr(4095, 8193));
    EXPECT_EQ(read(digest_of(bytes), several_steps - 3), bytes.substr(several_steps - 3));
    EXPECT_EQ(read(digest_of(bytes), several_steps - 3, 1U << 20), bytes.substr(several_steps - 3));
    EXPECT_EQ(read(digest_of(bytes), several_steps), "");
    EXPECT_EQ(read(digest_of(bytes), several_steps * 2), "");
}

TEST_P(ContentContract, ADigestThatLiesIsRefusedAndNothingStays) {
    const auto bytes = bytes_of(several_steps, 3);
    const auto other = bytes_of(several_steps, 4);
    EXPECT_EQ(code_of(write(digest_of(other), bytes.size(), file_of(bytes).get())), Code::invalid_argument);
    expect_nothing(digest_of(other));
    expect_nothing(digest_of(bytes));
    const auto honest = write(other);
    EXPECT_TRUE(honest) << "what was refused does not spoil the next attempt: " << honest.error().what;
    EXPECT_EQ(read(digest_of(other)), other);
}

TEST_P(ContentContract, ASizeThatLiesIsRefusedAndNothingStays) {
    const auto bytes = bytes_of(several_steps, 5);
    for (const std::uint64_t size : {several_steps + 1, several_steps - 1, std::size_t{0}}) {
        EXPECT_EQ(code_of(write(digest_of(bytes), size, file_of(bytes).get())), Code::invalid_argument) << size;
        expect_nothing(digest_of(bytes));
    }
    ASSERT_TRUE(write(bytes));
    EXPECT_EQ(code_of(write(digest_of(bytes), bytes.size() + 1, file_of(bytes).get())), Code::invalid_argument) << "also of what is there";
    EXPECT_EQ(read(digest_of(bytes)), bytes);
}

TEST_P(ContentContract, WhatWasNeverWrittenIsNotFoundAndThatItIsGoneIsNoError) {
    const auto digest = digest_of(bytes_of(10, 6));
    expect_nothing(digest);
    EXPECT_EQ(code_of(content().protect(call_, {.digest = digest, .hold = ContentHold::held})), Code::not_found);
    EXPECT_EQ(code_of(content().protect(call_, {.digest = digest, .hold = ContentHold::released})), Code::ok);
    EXPECT_EQ(code_of(content().remove(call_, digest)), Code::ok);
}

TEST_P(ContentContract, WhatIsNoDigestIsRefusedEverywhere) {
    const auto file = file_of("x");
    const std::string digits(64, 'a');
    for (const auto& digest : {std::string{}, std::string("sha256:"), digits, "sha256:" + digits + "a", "sha256:" + std::string(64, 'A'),
                               "sha512:" + digits, std::string("sha256:../../../../../../../../../../../../../../../../etc/passwd....."),
                               "sha256:" + std::string(63, 'a') + "\n"}) {
        EXPECT_EQ(code_of(content().stat(call_, digest)), Code::invalid_argument) << digest;
        EXPECT_EQ(code_of(content().write(call_, {.digest = digest, .size = {1}, .source = {file.get()}})), Code::invalid_argument) << digest;
        EXPECT_EQ(code_of(content().read(call_, {.digest = digest, .target = {file.get()}})), Code::invalid_argument) << digest;
        EXPECT_EQ(code_of(content().remove(call_, digest)), Code::invalid_argument) << digest;
        EXPECT_EQ(code_of(content().protect(call_, {.digest = digest, .hold = ContentHold::held})), Code::invalid_argument) << digest;
        if (!digest.empty()) {
            EXPECT_EQ(code_of(content().list(call_, digest)), Code::invalid_argument) << digest;
        }
    }
}

TEST_P(ContentContract, WhatIsHeldIsNotRemovedUntilItIsReleased) {
    const auto bytes = bytes_of(1000, 7);
    const auto digest = digest_of(bytes);
    ASSERT_TRUE(write(bytes));
    const ContentProtection hold{.digest = digest, .hold = ContentHold::held}, release{.digest = digest, .hold = ContentHold::released};
    EXPECT_EQ(code_of(content().remove(call_, digest)), Code::failed_precondition);
    EXPECT_EQ(read(digest), bytes);
    EXPECT_TRUE(content().protect(call_, hold)) << "it is held once, however often";
    EXPECT_TRUE(content().protect(call_, release));
    EXPECT_TRUE(content().protect(call_, release)) << "and released once";
    const auto released = content().stat(call_, digest);
    EXPECT_FALSE(released && released->held);
    EXPECT_TRUE(content().remove(call_, digest));
    expect_nothing(digest);
    EXPECT_TRUE(content().remove(call_, digest));
    EXPECT_EQ(code_of(content().protect(call_, {.digest = digest, .hold = ContentHold::unknown})), Code::invalid_argument);
}

TEST_P(ContentContract, WritingWhatIsThereReadsNothingAndHoldsIt) {
    const auto bytes = bytes_of(several_steps, 8);
    const auto digest = digest_of(bytes);
    ASSERT_TRUE(write(bytes));
    const auto again = content().write(call_, {.digest = digest, .size = {bytes.size()}, .source = {file_of(bytes).get()}});
    ASSERT_TRUE(again) << again.error().what;
    EXPECT_TRUE(again->complete) << "in one step";
    const auto unread = content().write(call_, {.digest = digest, .size = {bytes.size()}, .source = {file_of("another").get()}});
    EXPECT_TRUE(unread && unread->complete) << "whatever the source holds";
    EXPECT_EQ(read(digest), bytes);
    EXPECT_EQ(times_listed(digest), 1U);
    ASSERT_TRUE(content().protect(call_, {.digest = digest, .hold = ContentHold::released}));
    ASSERT_TRUE(write(bytes));
    EXPECT_TRUE(content().stat(call_, digest)->held);
}

TEST_P(ContentContract, WhatIsHalfWrittenIsNowhereAndIsGoneOnWith) {
    const auto bytes = bytes_of(several_steps * 4, 9);
    const auto digest = digest_of(bytes);
    const auto source = file_of(bytes);
    expect_nothing(digest);
    call_.left = std::chrono::milliseconds{15};
    const auto part = content().write(call_, {.digest = digest, .size = {bytes.size()}, .source = {source.get()}});
    call_.left = std::chrono::nanoseconds::max();
    written_.push_back(digest);
    if (part && part->complete) GTEST_SKIP() << "it writes 20 MiB within 15 ms";
    // It may still be at it, having been given up.
    if (const auto still = content().stat(call_, digest)) GTEST_SKIP() << "it was complete all the same";
    expect_nothing(digest);
    reopen();
    ASSERT_TRUE(opened_->content);
    const auto rest = write(digest, bytes.size(), source.get());
    ASSERT_TRUE(rest) << "another life goes on with it: " << rest.error().what;
    EXPECT_EQ(read(digest), bytes);
}

TEST_P(ContentContract, WhatIsHalfWrittenGoesWithRemove) {
    const auto bytes = bytes_of(several_steps * 4, 10);
    const auto other = bytes_of(several_steps * 4, 11);
    const auto digest = digest_of(bytes);
    expect_nothing(digest);
    call_.left = std::chrono::milliseconds{15};
    (void)content().write(call_, {.digest = digest, .size = {bytes.size()}, .source = {file_of(other).get()}});
    call_.left = std::chrono::nanoseconds::max();
    written_.push_back(digest);
    Status removed;
    for (unsigned i = 0; i < 200; ++i) {
        removed = content().remove(call_, digest);
        if (removed || removed.error().code != Code::unavailable) break;
        ::poll(nullptr, 0, 20);  // the step that was given up has not ended yet
    }
    ASSERT_TRUE(removed) << removed.error().what;
    const auto honest = write(bytes);
    ASSERT_TRUE(honest) << "another's beginning would spoil it: " << honest.error().what;
}

TEST_P(ContentContract, WhatIsKeptOutlivesThePlugin) {
    const auto held = bytes_of(several_steps, 12), released = bytes_of(1000, 13);
    ASSERT_TRUE(write(held) && write(released));
    ASSERT_TRUE(content().protect(call_, {.digest = digest_of(released), .hold = ContentHold::released}));
    reopen();
    ASSERT_TRUE(opened_->content);
    const auto found = content().stat(call_, digest_of(held));
    ASSERT_TRUE(found) << found.error().what;
    EXPECT_TRUE(found->held);
    EXPECT_EQ(read(digest_of(held)), held);
    const auto other = content().stat(call_, digest_of(released));
    EXPECT_FALSE(other && other->held);
}

TEST_P(ContentContract, ManyWhoWriteTheSameEndWithOneCopy) {
    reopen();  // with as many calls at once as it declares
    ASSERT_TRUE(opened_->content);
    const auto bytes = bytes_of(several_steps, 14);
    const auto digest = digest_of(bytes);
    constexpr std::size_t writers = 4;
    std::vector<Result<ContentWritten>> ends(writers, Error{});
    written_.push_back(digest);
    {
        std::vector<std::jthread> all;
        for (auto& end : ends)
            all.emplace_back([&] {
                const auto source = file_of(bytes);
                end = steps(digest, bytes.size(), source.get());
            });
    }
    for (const auto& end : ends) EXPECT_TRUE(end && end->complete) << end.error().what;
    EXPECT_EQ(times_listed(digest), 1U);
    EXPECT_EQ(read(digest), bytes);
}

TEST_P(ContentContract, TheListIsInOrderAndGoesOnBehindAnyOfIt) {
    std::vector<std::string> digests;
    for (std::uint64_t i = 0; i < 5; ++i) {
        const auto bytes = bytes_of(100, 100 + i);
        ASSERT_TRUE(write(bytes));
        digests.push_back(digest_of(bytes));
    }
    const auto listed = all();
    EXPECT_TRUE(std::is_sorted(listed.begin(), listed.end(), [](const auto& a, const auto& b) { return a.digest < b.digest; }));
    for (const auto& digest : digests) {
        const auto page = content().list(call_, digest);
        ASSERT_TRUE(page) << page.error().what;
        for (const auto& info : page->contents) EXPECT_GT(info.digest, digest);
        EXPECT_EQ(times_listed(digest), 1U);
    }
    const auto end = content().list(call_, listed.back().digest);
    ASSERT_TRUE(end);
    EXPECT_TRUE(end->contents.empty());
    EXPECT_FALSE(end->more);
}

TEST_P(ContentContract, WhatCannotBeReadOrWrittenIsRefused) {
    const auto bytes = bytes_of(1000, 15);
    ASSERT_TRUE(write(bytes));
    const UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    EXPECT_EQ(code_of(content().read(call_, {.digest = digest_of(bytes), .target = {null.get()}})), Code::invalid_argument);
    const auto other = bytes_of(1000, 16);
    EXPECT_EQ(code_of(write(digest_of(other), other.size(), null.get())), Code::invalid_argument) << "no regular file";
    EXPECT_EQ(code_of(content().write(call_, {.digest = digest_of(other), .size = {1000}, .source = {}})), Code::invalid_argument) << "none at all";
    expect_nothing(digest_of(other));
}

TEST_P(ContentContract, NoDescriptorStaysBehind) {
    const auto pid = opened_->plugin->host_pid();
    const auto count = [&] {
        std::size_t open = 0;
        const auto fds = pid > 0 ? "/proc/" + std::to_string(pid) + "/fd" : std::string("/proc/self/fd");
        for ([[maybe_unused]] const auto& fd : std::filesystem::directory_iterator(fds)) ++open;
        return open;
    };
    std::size_t before = 0;
    for (std::uint64_t i = 0; i < 10; ++i) {
        const auto bytes = bytes_of(5000, 200 + i);
        ASSERT_TRUE(write(bytes));
        EXPECT_EQ(read(digest_of(bytes)), bytes);
        (void)write(digest_of(bytes_of(5000, 300 + i)), 5000, file_of(bytes).get());
        if (i == 2) before = count();
    }
    EXPECT_LE(count(), before);
}

const auto isolation_name = [](const auto& param) { return param.param == Isolation::process ? "Isolated" : "InProcess"; };
INSTANTIATE_TEST_SUITE_P(Content1, ContentContract, ::testing::Values(Isolation::in_process, Isolation::process), isolation_name);

}  // namespace
}  // namespace eve::plugin
