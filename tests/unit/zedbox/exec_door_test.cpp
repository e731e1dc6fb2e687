// The door for evectl app exec: who may knock, what is passed on to which plugin, what is answered to nonsense.

#include "core/zedbox/exec_door.hpp"

#include <gmock/gmock.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <thread>

#include "core/bus/unix_path.hpp"
#include "eve/testing/mock_hypervisor.hpp"
#include "tests/doubles/real_loop.hpp"
#include "tests/doubles/recording_log.hpp"
#include "tests/doubles/temp_dir.hpp"

namespace eve::zedbox {
namespace {

using ::testing::_;
using ::testing::HasSubstr;
using ::testing::NiceMock;

constexpr const char* words = R"({"domain":"6ba7b810-9dad-11d1-80b4-00c04fd430c8","argv":["ls","-l"],"terminal":true,"rows":24,"columns":80})";

/// A plugin that says at once that the program ended.
class EndingExec final : public Exec {
public:
    Result<ExecStarted> exec(const CallContext&, const ExecRequest& request) override {
        asked = request;
        if (refusal) return *refusal;
        const auto bytes = exec_frame(ExecFrame::started, {}) + exec_frame(ExecFrame::exited, "\7");
        EXPECT_EQ(::send(request.session.fd, bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
        return ExecStarted{.pid = 7};
    }
    ExecRequest asked;
    std::optional<Error> refusal;
};

class Door : public ::testing::Test {
protected:
    Door() {
        ON_CALL(runs_it, inspect(_, _)).WillByDefault([](const CallContext&, const DomainId& id) {
            return DomainInfo{.id = id, .presence = Presence::present, .state = DomainState::running};
        });
        ON_CALL(does_not, inspect(_, _)).WillByDefault([](const CallContext&, const DomainId& id) { return DomainInfo{.id = id, .presence = Presence::absent}; });
        runtimes = {{.name = "other", .hypervisor = &does_not, .exec = &other}, {.name = "ours", .hypervisor = &runs_it, .exec = &ours}};
        auto opened = ExecDoor::open(path, {.loop = real.loop, .lanes = lanes, .log = log, .clock = real.clock, .runtimes = [this] { return runtimes; }});
        EXPECT_TRUE(opened) << opened.error().what;
        if (opened) door = std::move(*opened);
    }
    /// What comes back for what is said, to the end.
    std::vector<ExecFrames::Frame> answers(const std::string& said) {
        const auto socket = connect_unix(path, SOCK_STREAM);
        EXPECT_TRUE(socket);
        EXPECT_EQ(::send(socket->get(), said.data(), said.size(), MSG_NOSIGNAL), static_cast<ssize_t>(said.size()));
        ::shutdown(socket->get(), SHUT_WR);
        ExecFrames frames;
        bool over = false;
        EXPECT_TRUE(real.run_until([&] {
            char buffer[4096];
            const auto got = ::recv(socket->get(), buffer, sizeof buffer, MSG_DONTWAIT);
            if (got > 0) frames.append({buffer, static_cast<std::size_t>(got)});
            over = over || got == 0;
            return over;
        }));
        std::vector<ExecFrames::Frame> all;
        while (true) {
            auto frame = frames.next();
            if (!frame || !*frame) return all;
            all.push_back(**frame);
        }
    }
    std::string refusal_of(const std::string& said) {
        const auto all = answers(said);
        if (all.size() != 1 || all[0].kind != ExecFrame::refused) return "not refused";
        return all[0].body;
    }

    TempDir temp;
    std::string path = temp.string() + "/exec.sock";
    RealLoop real;
    RecordingLog log;
    NiceMock<eve::testing::MockHypervisor> runs_it, does_not;
    EndingExec ours, other;
    std::vector<ExecRuntime> runtimes;
    ThreadLanes lanes{real.loop};  // ended before what its jobs use
    std::unique_ptr<ExecDoor> door;
};

TEST_F(Door, TheSessionIsHandedToThePluginThatRunsTheApp) {
    const auto all = answers(exec_frame(ExecFrame::request, words));
    ASSERT_EQ(all.size(), 2U);
    EXPECT_EQ(all[0].kind, ExecFrame::started);
    EXPECT_EQ(all[1].kind, ExecFrame::exited);
    EXPECT_THAT(ours.asked.argv, ::testing::ElementsAre("ls", "-l"));
    EXPECT_TRUE(ours.asked.terminal);
    EXPECT_TRUE(other.asked.argv.empty());
}

TEST_F(Door, WhatThePluginRefusesIsToldWithItsReason) {
    ours.refusal = Error{.code = Code::not_found, .what = "there is no such program", .hint = "look"};
    EXPECT_THAT(refusal_of(exec_frame(ExecFrame::request, words)), AllOf(HasSubstr("no such program"), HasSubstr("look")));
}

TEST_F(Door, ARuntimeThatCannotIsNamed) {
    runtimes[1].exec = nullptr;
    EXPECT_THAT(refusal_of(exec_frame(ExecFrame::request, words)), AllOf(HasSubstr("ours"), HasSubstr("console")));
    runtimes.clear();
    EXPECT_THAT(refusal_of(exec_frame(ExecFrame::request, words)), HasSubstr("no plugin runs this app"));
}

TEST_F(Door, NonsenseIsRefusedAndReachesNoPlugin) {
    EXPECT_THAT(refusal_of("GET / HTTP/1.1\r\n\r\n"), HasSubstr("no frame"));
    EXPECT_THAT(refusal_of(exec_frame(ExecFrame::input, "x")), HasSubstr("begins with"));
    EXPECT_THAT(refusal_of(exec_frame(ExecFrame::request, "{")), HasSubstr("JSON"));
    EXPECT_THAT(refusal_of(exec_frame(ExecFrame::request, R"({"domain":"a","argv":["x"],"privileged":true})")), HasSubstr("privileged"));
    EXPECT_THAT(refusal_of(exec_frame(ExecFrame::request, R"({"domain":"a","argv":["x"],"session":{"fd":0}})")), HasSubstr("session"));
    EXPECT_TRUE(ours.asked.argv.empty());
    EXPECT_EQ(answers(exec_frame(ExecFrame::request, words)).size(), 2U) << "and the next one is served";
}

TEST_F(Door, OthersThanRootAndTheNodesUserAreNotHeard) {
    struct stat facts{};
    ASSERT_EQ(::stat(path.c_str(), &facts), 0);
    EXPECT_EQ(facts.st_mode & 0777U, 0600U);
    if (::geteuid() != 0) GTEST_SKIP() << "another user can be played by root only";
    // Even where the file would let him.
    ASSERT_EQ(::chmod(path.c_str(), 0666), 0);
    ASSERT_EQ(::chmod(temp.path().c_str(), 0755), 0);
    const auto child = ::fork();
    if (child == 0) {
        if (::setresuid(65534, 65534, 65534) != 0) ::_exit(3);
        const auto socket = connect_unix(path, SOCK_STREAM);
        if (!socket) ::_exit(2);
        const auto said = exec_frame(ExecFrame::request, words);
        (void)::send(socket->get(), said.data(), said.size(), MSG_NOSIGNAL);
        pollfd polled{.fd = socket->get(), .events = POLLIN, .revents = 0};
        char byte = 0;
        const bool answered = ::poll(&polled, 1, 8000) == 1 && ::recv(socket->get(), &byte, 1, MSG_DONTWAIT) > 0;
        ::_exit(answered ? 1 : 0);
    }
    int status = -1;
    ASSERT_TRUE(real.run_until([&] { return ::waitpid(child, &status, WNOHANG) == child; }));
    EXPECT_EQ(WEXITSTATUS(status), 0);
    EXPECT_TRUE(ours.asked.argv.empty());
}

TEST_F(Door, ADoorThatClosesWhileSomebodyIsServedHarmsNobody) {
    const auto socket = connect_unix(path, SOCK_STREAM);
    ASSERT_TRUE(socket);
    real.turns();
    door.reset();
    real.turns();
    EXPECT_FALSE(connect_unix(path, SOCK_STREAM));
}

}  // namespace
}  // namespace eve::zedbox
