// Frames between node and plugin-host: what arrives, and what a hostile peer achieves (nothing).

#include "core/plugin/frame.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <random>
#include <thread>

#include "eve/abi.h"

namespace eve::plugin {
namespace {

struct Pair {
    UniqueFd a, b;
    Pair() {
        int fds[2];
        if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0) {
            a.reset(fds[0]);
            b.reset(fds[1]);
        }
    }
};

constexpr std::int64_t limit_ns = 10'000'000'000;

void put_raw(int fd, const std::string& bytes) {
    std::size_t sent = 0;
    while (sent < bytes.size()) {
        const auto wrote = ::send(fd, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
        if (wrote <= 0) return;
        sent += static_cast<std::size_t>(wrote);
    }
}

std::string header(std::uint32_t body, std::uint16_t method, std::uint16_t kind, std::uint32_t fds) {
    std::string bytes(32, '\0');
    std::memcpy(bytes.data(), &body, 4);
    std::memcpy(bytes.data() + 4, &method, 2);
    std::memcpy(bytes.data() + 6, &kind, 2);
    std::memcpy(bytes.data() + 12, &fds, 4);
    return bytes;
}

TEST(Frame, ArrivesWholeWithItsDescriptors) {
    const Pair pair;
    int pipe[2];
    ASSERT_EQ(::pipe(pipe), 0);
    const std::string body(200'000, 'b');
    std::thread sender([&] {
        EXPECT_TRUE(write_frame(pair.a.get(),
                                {.kind = FrameKind::call, .id = 5, .deadline_ns = 77, .method = "x/1.y", .body = body, .fds = pipe, .fd_count = 2},
                                monotonic_after(limit_ns)));
        EXPECT_TRUE(write_frame(pair.a.get(), {.kind = FrameKind::reply, .status = 4, .id = 6}, monotonic_after(limit_ns)));
    });
    const auto first = read_frame(pair.b.get());
    const auto second = read_frame(pair.b.get());
    sender.join();
    ASSERT_TRUE(first) << first.error().what;
    EXPECT_EQ(first->method, "x/1.y");
    EXPECT_EQ(first->body, body);
    EXPECT_EQ(first->id, 5U);
    EXPECT_EQ(first->deadline_ns, 77);
    ASSERT_EQ(first->fds.size(), 2U);
    EXPECT_EQ(::write(first->fds[1].get(), "z", 1), 1);
    char c = 0;
    EXPECT_EQ(::read(pipe[0], &c, 1), 1);
    ASSERT_TRUE(second);
    EXPECT_EQ(second->status, 4);
    ::close(pipe[0]);
    ::close(pipe[1]);
}

TEST(Frame, APeerThatClosesBetweenFramesIsNotFoundAndWithinOneUnavailable) {
    Pair pair;
    put_raw(pair.a.get(), header(0, 0, 2, 0) + header(10, 0, 2, 0) + "123");
    pair.a.reset();
    EXPECT_TRUE(read_frame(pair.b.get()));
    EXPECT_EQ(read_frame(pair.b.get()).error().code, Code::unavailable);
    Pair other;
    other.a.reset();
    EXPECT_EQ(read_frame(other.b.get()).error().code, Code::not_found);
}

TEST(Frame, EachLimitIsHeldOnReceipt) {
    const auto refused = [](const std::string& bytes) {
        Pair pair;
        put_raw(pair.a.get(), bytes);
        pair.a.reset();
        const auto frame = read_frame(pair.b.get());
        return !frame && frame.error().code == Code::invalid_argument;
    };
    EXPECT_TRUE(refused(header(0, 5, 9, 0))) << "unknown kind";
    EXPECT_TRUE(refused(header(0, 0, 1, 0))) << "a call without a method";
    EXPECT_TRUE(refused(header(0, 128, 1, 0))) << "a method too long";
    EXPECT_TRUE(refused(header(EVE_REQUEST_SIZE_MAX + 1, 1, 1, 0))) << "a request too large";
    EXPECT_TRUE(refused(header(EVE_REPLY_SIZE_MAX + 1, 0, 2, 0))) << "a reply too large";
    EXPECT_TRUE(refused(header(1, 0, 3, 0))) << "a cancel with a body";
    EXPECT_TRUE(refused(header(0, 0, 2, 1))) << "a descriptor announced and not brought";
    EXPECT_TRUE(refused(header(0, 0, 2, 4'000'000'000U)));
    EXPECT_TRUE(refused(header(0, 3, 1, 0) + std::string("a\0b", 3))) << "a NUL in a method";
}

TEST(Frame, AReceiverWithoutFreeDescriptorsIsToldSoAndReadsOn) {
    const Pair pair;
    const int sent[2] = {pair.a.get(), pair.b.get()};
    ASSERT_TRUE(write_frame(pair.a.get(), {.kind = FrameKind::reply, .id = 7, .body = "{}", .fds = sent, .fd_count = 2}, monotonic_after(limit_ns)));
    ASSERT_TRUE(write_frame(pair.a.get(), {.kind = FrameKind::reply, .id = 8, .fds = sent, .fd_count = 2}, monotonic_after(limit_ns)));
    for (const int free : {0, 1}) {
        rlimit before{};
        ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
        const UniqueFd lowest(::dup(0));
        const auto max = static_cast<rlim_t>(lowest.get() + 1 + free);
        const rlimit none{.rlim_cur = max, .rlim_max = before.rlim_max};
        ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
        const auto frame = read_frame(pair.b.get());
        ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
        ASSERT_TRUE(frame) << frame.error().what;
        EXPECT_TRUE(frame->fds_lost);
        EXPECT_TRUE(frame->fds.empty()) << "none rather than some";
        EXPECT_EQ(frame->id, static_cast<std::uint64_t>(7 + free));
    }
}

TEST(Frame, RandomBytesAreRefusedOrReadButNeverMore) {
    std::mt19937 random(20240611);
    for (int round = 0; round < 500; ++round) {
        Pair pair;
        std::string bytes(random() % 200, '\0');
        for (auto& c : bytes) c = static_cast<char>(random());
        if (round % 2 == 0) bytes = header(random() % 64, random() % 8, static_cast<std::uint16_t>(random() % 4), 0) + bytes;
        put_raw(pair.a.get(), bytes);
        pair.a.reset();
        while (read_frame(pair.b.get())) {}
    }
}

TEST(Frame, ASenderGivesUpOnAPeerThatDoesNotRead) {
    const Pair pair;
    const std::string body(EVE_REPLY_SIZE_MAX, 'x');
    const auto sent = write_frame(pair.a.get(), {.kind = FrameKind::reply, .body = body}, monotonic_after(50'000'000));
    ASSERT_FALSE(sent);
    EXPECT_EQ(sent.error().code, Code::timed_out);
}

TEST(Frame, OverALimitIsTheSendersErrorAndNothingIsSent) {
    const Pair pair;
    const std::string body(EVE_REQUEST_SIZE_MAX + 1, 'x');
    EXPECT_EQ(write_frame(pair.a.get(), {.kind = FrameKind::call, .method = "m", .body = body}, 0).error().code, Code::invalid_argument);
    const int closed = 900;
    EXPECT_EQ(write_frame(pair.a.get(), {.kind = FrameKind::call, .method = "m", .fds = &closed, .fd_count = 1}, 0).error().code,
              Code::invalid_argument);
    char c = 0;
    EXPECT_LT(::recv(pair.b.get(), &c, 1, MSG_DONTWAIT), 0);
}

}  // namespace
}  // namespace eve::plugin
