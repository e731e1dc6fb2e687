// Sessions of programs in containers: frames on one side, pipes that a thread stands at in place of a shim on the other.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <thread>

#include "containerd/exec.hpp"
#include "containerd/oci_spec.hpp"
#include "tests/doubles/temp_dir.hpp"

namespace eve::containerd {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using namespace std::chrono_literals;
using plugins::UniqueFd;

constexpr const char* container_spec =
    R"({"ociVersion":"1.0.2","process":{"user":{"uid":1000},"args":["/app"],"env":["PATH=/bin","A=1"],"cwd":"/www","noNewPrivileges":true,
        "capabilities":{"bounding":["CAP_KILL"]}},"linux":{"cgroupsPath":"/x"}})";

/// A containerd whose programs are what the test writes and reads at the pipes.
class FakeShim final : public ExecApi {
public:
    Status create_process(const ExtraProcess& process, const ExtraProcessPlan& plan, const Limit&) override {
        const std::lock_guard lock(mutex);
        created = process;
        asked = plan;
        return {};
    }
    Result<std::uint32_t> start_process(const ExtraProcess&, const Limit&) override {
        const std::lock_guard lock(mutex);
        if (!refusal.empty()) return Error{.code = Code::failed_precondition, .what = refusal};
        input = UniqueFd(::open(asked.input.c_str(), O_RDONLY | O_CLOEXEC));
        held = UniqueFd(::open(asked.input.c_str(), O_WRONLY | O_CLOEXEC));
        output = UniqueFd(::open(asked.output.c_str(), O_WRONLY | O_CLOEXEC));
        if (!asked.terminal) errors = UniqueFd(::open(asked.errors.c_str(), O_WRONLY | O_CLOEXEC));
        return 77U;
    }
    Result<std::uint32_t> wait_for_process(const ExtraProcess&, const Limit& limit) override {
        while (true) {
            {
                std::unique_lock lock(mutex);
                if (away) {
                    --away;
                    return Error{.code = Code::unavailable, .what = "connection refused"};
                }
                if (changed.wait_for(lock, 5ms, [&] { return status.has_value(); })) return *status;
            }
            if (limit.cancelled()) return Error{.code = Code::cancelled, .what = "given up"};
        }
    }
    Status close_input(const ExtraProcess&, const Limit&) override {
        held = UniqueFd();
        return {};
    }
    Status resize_terminal(const ExtraProcess&, std::uint32_t rows, std::uint32_t columns, const Limit&) override {
        const std::lock_guard lock(mutex);
        sizes.push_back(std::to_string(rows) + "x" + std::to_string(columns));
        return {};
    }
    std::vector<std::string> all_sizes() {
        const std::lock_guard lock(mutex);
        return sizes;
    }
    Status kill_process(const ExtraProcess&, std::uint32_t signal, const Limit&) override {
        end(128 + signal);
        return {};
    }
    Status delete_process(const ExtraProcess&, const Limit&) override {
        const std::lock_guard lock(mutex);
        if (!status && refusal.empty()) return Error{.code = Code::failed_precondition, .what = "it runs"};
        deleted = true;
        return {};
    }
    void end(std::uint32_t code) {
        const std::lock_guard lock(mutex);
        if (!status) status = code;
        for (auto* pipe : {&input, &output, &errors}) *pipe = UniqueFd();
        changed.notify_all();
    }
    void say(const UniqueFd& to, std::string_view text) { EXPECT_EQ(::write(to.get(), text.data(), text.size()), static_cast<ssize_t>(text.size())); }
    std::string hear() {
        char buffer[256];
        const auto got = ::read(input.get(), buffer, sizeof buffer);
        return {buffer, got > 0 ? static_cast<std::size_t>(got) : 0};
    }

    std::mutex mutex;
    std::condition_variable changed;
    ExtraProcess created;
    ExtraProcessPlan asked;
    UniqueFd input, output, errors;
    UniqueFd held;  ///< as the true shim: the input does not end with whoever writes
    std::optional<std::uint32_t> status;
    std::string refusal;
    int away = 0;
    bool deleted = false;
    std::vector<std::string> sizes;
};

class ContainerExec : public ::testing::Test {
protected:
    ContainerExec() : directory_(::open(dir_.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
        int pair[2];
        EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        ours_ = UniqueFd(pair[0]);
        theirs_ = UniqueFd(pair[1]);
    }
    Result<ExecStarted> start(bool terminal = false) {
        auto started = sessions_->start({.domain = {"app"}, .argv = {"cat", "-u"}, .terminal = terminal, .session = {theirs_.get()}}, container_spec,
                                        directory_.get(), Limit(5s, -1));
        if (started) theirs_ = UniqueFd();
        return started;
    }
    void send(ExecFrame kind, std::string_view body = {}) {
        const auto bytes = exec_frame(kind, body);
        ASSERT_EQ(::send(ours_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
    }
    /// The next frame; unknown: the session is over.
    ExecFrames::Frame next() {
        while (true) {
            auto frame = frames_.next();
            EXPECT_TRUE(frame);
            if (frame && *frame) return **frame;
            pollfd polled{.fd = ours_.get(), .events = POLLIN, .revents = 0};
            EXPECT_EQ(::poll(&polled, 1, 10'000), 1) << "nothing came for ten seconds";
            char buffer[4096];
            const auto got = ::recv(ours_.get(), buffer, sizeof buffer, MSG_DONTWAIT);
            if (got <= 0) return {};
            frames_.append({buffer, static_cast<std::size_t>(got)});
        }
    }
    bool pipes_left() const { return !std::filesystem::is_empty(dir_.path()); }

    TempDir dir_;
    UniqueFd directory_, ours_, theirs_;
    FakeShim shim_;
    std::unique_ptr<ExecSessions> sessions_ = std::make_unique<ExecSessions>(shim_);
    ExecFrames frames_;
};

TEST_F(ContainerExec, BytesGoBothWaysAndTheExitCodeIsTold) {
    ASSERT_EQ(start()->pid, 77);
    EXPECT_EQ(next().kind, ExecFrame::started);
    send(ExecFrame::input, "hello");
    EXPECT_EQ(shim_.hear(), "hello");
    shim_.say(shim_.output, "out");
    EXPECT_EQ(next().body, "out");
    shim_.say(shim_.errors, "err");
    const auto errors = next();
    EXPECT_EQ(errors.kind, ExecFrame::errors);
    EXPECT_EQ(errors.body, "err");
    send(ExecFrame::input);
    EXPECT_EQ(shim_.hear(), "") << "the end of the input";
    shim_.say(shim_.output, "last words");
    shim_.end(7);
    EXPECT_EQ(next().body, "last words");
    const auto end = next();
    EXPECT_EQ(end.kind, ExecFrame::exited);
    EXPECT_EQ(end.body, std::string(1, '\7'));
    EXPECT_EQ(next().kind, ExecFrame::unknown);
    sessions_.reset();
    EXPECT_TRUE(shim_.deleted);
    EXPECT_FALSE(pipes_left());
}

TEST_F(ContainerExec, WhoLeavesEndsTheProgram) {
    ASSERT_TRUE(start());
    EXPECT_EQ(next().kind, ExecFrame::started);
    ours_ = UniqueFd();
    std::unique_lock lock(shim_.mutex);
    ASSERT_TRUE(shim_.changed.wait_for(lock, 10s, [&] { return shim_.status.has_value(); }));
    EXPECT_EQ(*shim_.status, 128U + SIGKILL);
    lock.unlock();
    sessions_.reset();
    EXPECT_TRUE(shim_.deleted);
    EXPECT_FALSE(pipes_left());
}

TEST_F(ContainerExec, AClosedPluginEndsTheProgramAndSaysSo) {
    ASSERT_TRUE(start());
    EXPECT_EQ(next().kind, ExecFrame::started);
    sessions_.reset();
    EXPECT_TRUE(shim_.deleted);
    EXPECT_EQ(next().kind, ExecFrame::lost);
    EXPECT_EQ(next().kind, ExecFrame::unknown);
    EXPECT_FALSE(pipes_left());
}

TEST_F(ContainerExec, ATerminalIsResizedAndHasNoErrorsOfItsOwn) {
    ASSERT_TRUE(start(true));
    EXPECT_TRUE(shim_.asked.terminal);
    EXPECT_EQ(next().kind, ExecFrame::started);
    send(ExecFrame::resize, std::string_view("\x18\0\x50\0", 4));
    send(ExecFrame::input, "x");
    EXPECT_EQ(shim_.hear(), "x");
    EXPECT_THAT(shim_.all_sizes(), ElementsAre("24x80"));
    shim_.end(0);
    EXPECT_EQ(next().kind, ExecFrame::exited);
}

TEST_F(ContainerExec, AContainerdThatRestartsLosesNothing) {
    shim_.away = 2;
    ASSERT_TRUE(start());
    EXPECT_EQ(next().kind, ExecFrame::started);
    shim_.end(3);
    EXPECT_EQ(next().body, std::string(1, '\3'));
}

TEST_F(ContainerExec, WhatCannotBeRunIsSaidAndLeavesNothing) {
    shim_.refusal = "OCI runtime exec failed: exec: \"cat\": executable file not found in $PATH: unknown";
    const auto refused = start();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::not_found);
    EXPECT_FALSE(pipes_left());
}

TEST_F(ContainerExec, NonsenseOnTheSessionEndsIt) {
    ASSERT_TRUE(start());
    EXPECT_EQ(next().kind, ExecFrame::started);
    ASSERT_EQ(::send(ours_.get(), "\xff\xff\xff\xff\xff\xff", 6, MSG_NOSIGNAL), 6);
    EXPECT_EQ(next().kind, ExecFrame::unknown);
    sessions_.reset();
    EXPECT_FALSE(pipes_left());
}

TEST_F(ContainerExec, SessionsAreLimited) {
    std::vector<UniqueFd> others;
    for (std::size_t at = 0; at < exec_sessions_max; ++at) {
        int pair[2];
        ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        others.emplace_back(pair[0]);
        theirs_ = UniqueFd(pair[1]);
        ASSERT_TRUE(start());
    }
    int pair[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    others.emplace_back(pair[0]);
    theirs_ = UniqueFd(pair[1]);
    EXPECT_EQ(start().error().code, Code::resource_exhausted);
}

TEST(ExtraProcess, HasWhatTheContainersOwnHasButForWhatIsAsked) {
    const auto text = extra_process_text(container_spec, {.argv = {"sh"}, .env = {"A=2", "B=3"}, .directory = "/tmp", .terminal = true});
    ASSERT_TRUE(text) << text.error().what;
    EXPECT_THAT(*text, HasSubstr(R"("args":["sh"])"));
    EXPECT_THAT(*text, HasSubstr(R"("PATH=/bin","TERM=xterm","A=2","B=3")"));
    EXPECT_THAT(*text, HasSubstr(R"("cwd":"/tmp")"));
    EXPECT_THAT(*text, HasSubstr(R"("terminal":true)"));
    EXPECT_THAT(*text, HasSubstr(R"("uid":1000)"));
    EXPECT_THAT(*text, HasSubstr(R"("noNewPrivileges":true)"));
    EXPECT_THAT(*text, HasSubstr(R"("bounding":["CAP_KILL"])"));
    EXPECT_EQ(extra_process_text(container_spec, {}).error().field, ".argv");
    EXPECT_EQ(extra_process_text(container_spec, {.argv = {"sh"}, .env = {"=1"}}).error().field, ".env[0]");
    EXPECT_EQ(extra_process_text("{", {.argv = {"sh"}}).error().code, Code::failed_precondition);
}

TEST(ExecFrames, ArriveInAnyPiecesAndNonsenseIsRefused) {
    ExecFrames frames;
    const auto bytes = exec_frame(ExecFrame::output, "abc") + exec_frame(ExecFrame::input, "");
    for (const char byte : bytes.substr(0, 7)) frames.append({&byte, 1});
    EXPECT_FALSE(*frames.next());
    frames.append(bytes.substr(7));
    EXPECT_EQ((*frames.next())->body, "abc");
    EXPECT_EQ((*frames.next())->kind, ExecFrame::input);
    EXPECT_FALSE(*frames.next());
    frames.append(std::string_view("\3\0\0\0\1", 5));
    EXPECT_FALSE(frames.next());
}

}  // namespace
}  // namespace eve::containerd
