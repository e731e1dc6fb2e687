// Our client of xenstored, against daemons that answer, hang, close and lie; and steps in children.

#include "store.hpp"

#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <functional>
#include <thread>

#include "in_child.hpp"
#include "tests/doubles/temp_dir.hpp"

namespace eve::xen {
namespace {

using namespace std::chrono_literals;
using plugins::Limit;
using plugins::UniqueFd;
using ::testing::HasSubstr;

/// A daemon that serves one connection as told.
class Daemon {
public:
    explicit Daemon(std::function<void(int)> serve) {
        path_ = dir_.string() + "/socket";
        sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
        std::memcpy(address.sun_path, path_.c_str(), path_.size());
        listening_ = UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        if (::bind(listening_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) throw std::runtime_error("bind");
        ::listen(listening_.get(), 1);
        thread_ = std::thread([this, serve = std::move(serve)] {
            const UniqueFd connection(::accept(listening_.get(), nullptr, nullptr));
            serve(connection.get());
        });
    }
    ~Daemon() { thread_.join(); }
    const std::string& path() const { return path_; }

private:
    TempDir dir_;
    std::string path_;
    UniqueFd listening_;
    std::thread thread_;
};

std::string request_at(int fd) {
    std::uint32_t header[4] = {};
    if (::recv(fd, header, sizeof header, MSG_WAITALL) != sizeof header) return {};
    std::string body(header[3], '\0');
    [[maybe_unused]] const auto got = ::recv(fd, body.data(), body.size(), MSG_WAITALL);
    return std::to_string(header[0]) + " " + body;
}
void reply(int fd, std::uint32_t type, const std::string& body, std::uint32_t size) {
    const std::uint32_t header[4] = {type, 1, 0, size};
    [[maybe_unused]] auto sent = ::send(fd, header, sizeof header, MSG_NOSIGNAL);
    sent = ::send(fd, body.data(), body.size(), MSG_NOSIGNAL);
}
const Limit soon(std::chrono::milliseconds most = 300ms) { return {most, -1}; }

TEST(XenStore, ReadsAndWrites) {
    std::string first, second;
    Daemon daemon([&](int fd) {
        first = request_at(fd);
        reply(fd, 2, "value", 5);
        second = request_at(fd);
        reply(fd, 11, std::string("OK\0", 3), 3);
    });
    auto store = Store::open(daemon.path(), soon(5s));
    ASSERT_TRUE(store);
    EXPECT_EQ(*store->read("/a", soon(5s)), "value");
    EXPECT_TRUE(store->write("/a", "b", soon(5s)));
    EXPECT_EQ(first, std::string("2 /a\0", 5));
    EXPECT_EQ(second, std::string("11 /a\0b", 7));
}

TEST(XenStore, WhatIsRemovedOrWasNeverThereIsGone) {
    std::string asked;
    Daemon daemon([&](int fd) {
        asked = request_at(fd);
        reply(fd, 13, std::string("OK\0", 3), 3);
        request_at(fd);
        reply(fd, 16, std::string("ENOENT\0", 7), 7);
        request_at(fd);
        reply(fd, 16, std::string("EACCES\0", 7), 7);
    });
    auto store = Store::open(daemon.path(), soon(5s));
    ASSERT_TRUE(store);
    EXPECT_TRUE(store->remove("/a", soon(5s)));
    EXPECT_TRUE(store->remove("/a", soon(5s)));
    EXPECT_FALSE(store->remove("/a", soon(5s)));
    EXPECT_EQ(asked, std::string("13 /a\0", 6));
}

TEST(XenStore, AnEntryThatIsNotThereIsNotFound) {
    Daemon daemon([](int fd) {
        request_at(fd);
        reply(fd, 16, std::string("ENOENT\0", 7), 7);
    });
    auto store = Store::open(daemon.path(), soon(5s));
    ASSERT_TRUE(store);
    EXPECT_EQ(store->read("/a", soon(5s)).error().code, Code::not_found);
}

TEST(XenStore, TheDaemonsStateIsTold) {
    EXPECT_EQ(daemon_state("/nonexistent/socket", soon(30s)), DaemonState::dead);
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const UniqueFd wait(ends[0]);
    UniqueFd go(ends[1]);
    Daemon daemon([&](int) {
        char byte = 0;
        [[maybe_unused]] const auto got = ::read(wait.get(), &byte, 1);
    });
    EXPECT_EQ(daemon_state(daemon.path(), soon()), DaemonState::hangs);
    go = UniqueFd();
    Daemon other([](int fd) {
        request_at(fd);
        reply(fd, 16, std::string("ENOENT\0", 7), 7);
    });
    EXPECT_EQ(daemon_state(other.path(), soon(5s)), DaemonState::answers);
}

TEST(XenStore, NoDaemonIsUnavailableAtOnce) {
    const auto none = Store::open("/nonexistent/socket", soon(30s));
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().code, Code::unavailable);
    EXPECT_THAT(none.error().what, HasSubstr("xenstored does not run"));
}

TEST(XenStore, AHangingDaemonIsUnavailableWhenTheTimeIsOver) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const UniqueFd wait(ends[0]);
    UniqueFd go(ends[1]);
    Daemon daemon([&](int) {
        char byte = 0;
        [[maybe_unused]] const auto got = ::read(wait.get(), &byte, 1);
    });
    auto store = Store::open(daemon.path(), soon());
    ASSERT_TRUE(store);
    const auto silent = store->read("/a", soon());
    ASSERT_FALSE(silent);
    EXPECT_EQ(silent.error().code, Code::unavailable);
    EXPECT_THAT(silent.error().what, HasSubstr("xenstored hangs"));
    go = UniqueFd();
}

TEST(XenStore, ADaemonThatClosesOrLiesIsAnError) {
    {
        Daemon daemon([](int fd) { request_at(fd); });
        auto store = Store::open(daemon.path(), soon(5s));
        ASSERT_TRUE(store);
        EXPECT_EQ(store->read("/a", soon(5s)).error().code, Code::unavailable);
    }
    Daemon daemon([](int fd) {
        request_at(fd);
        reply(fd, 2, "", 0xffffffff);
    });
    auto store = Store::open(daemon.path(), soon(5s));
    ASSERT_TRUE(store);
    EXPECT_EQ(store->read("/a", soon(5s)).error().code, Code::internal);
}

TEST(XenChild, ItsAnswerAndItsErrorComeBack) {
    EXPECT_EQ(*in_child("step", [] { return Result<std::string>(std::string(100'000, 'x')); }, soon(20s)), std::string(100'000, 'x'));
    const auto failed = in_child("step", []() -> Result<std::string> { return Error{.code = Code::not_found, .what = "why"}; }, soon(20s));
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().code, Code::not_found);
    EXPECT_EQ(failed.error().what, "why");
}

TEST(XenChild, OneThatHangsIsKilledAndOneThatDiesIsNamed) {
    const auto hung = in_child("step", []() -> Result<std::string> { while (true) ::pause(); }, soon());
    ASSERT_FALSE(hung);
    EXPECT_EQ(hung.error().code, Code::timed_out);
    const auto died = in_child("step", []() -> Result<std::string> { ::raise(SIGKILL); return std::string(); }, soon(20s));
    ASSERT_FALSE(died);
    EXPECT_EQ(died.error().code, Code::internal);
    EXPECT_THAT(died.error().what, HasSubstr("SIGKILL"));
}

}  // namespace
}  // namespace eve::xen
