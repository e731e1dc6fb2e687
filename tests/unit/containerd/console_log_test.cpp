// The program that keeps what a container writes: started as containerd's shim starts it, with the container's ends of the pipes held by the test.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>

#include "tests/conformance/plugin_fixture.hpp"

extern char** environ;

namespace eve::containerd {
namespace {

using ::testing::HasSubstr;

class ConsoleLogTest : public ::testing::Test {
protected:
    static constexpr int wait_ms = 20'000;

    ~ConsoleLogTest() override {
        for (int& fd : container_) close(fd);
        if (pid_ > 0) {
            ::kill(pid_, SIGKILL);
            ::waitpid(pid_, nullptr, 0);
        }
    }
    static void close(int& fd) {
        if (fd >= 0) ::close(fd);
        fd = -1;
    }
    /// It is ready when this returns.
    void start(const std::string& log, const std::string& size) {
        std::array<std::array<int, 2>, 3> pipes{};
        for (auto& pipe : pipes) ASSERT_EQ(::pipe2(pipe.data(), O_CLOEXEC), 0);
        // Not below what it is given: one would be closed before it is copied.
        std::array<int, 3> given{};
        const std::array<int, 3> from{pipes[0][0], pipes[1][0], pipes[2][1]};
        for (std::size_t i = 0; i < given.size(); ++i) given[i] = ::fcntl(from[i], F_DUPFD_CLOEXEC, 20);
        posix_spawn_file_actions_t actions;
        posix_spawn_file_actions_init(&actions);
        for (std::size_t i = 0; i < given.size(); ++i) posix_spawn_file_actions_adddup2(&actions, given[i], static_cast<int>(i) + 3);
        const std::string program = plugin::built("bin/console-log");
        std::array<const char*, 6> argv{program.c_str(), "size", size.c_str(), "log", log.c_str(), nullptr};
        ASSERT_EQ(::posix_spawn(&pid_, program.c_str(), &actions, nullptr, const_cast<char**>(argv.data()), environ), 0);
        posix_spawn_file_actions_destroy(&actions);
        for (const int fd : given) ::close(fd);
        for (const int fd : from) ::close(fd);
        container_ = {pipes[0][1], pipes[1][1]};
        pollfd ready{.fd = pipes[2][0], .events = POLLIN, .revents = 0};
        EXPECT_EQ(::poll(&ready, 1, wait_ms), 1);
        ::close(pipes[2][0]);
    }
    void says(std::size_t stream, std::string_view text) {
        while (!text.empty()) {
            const auto wrote = ::write(container_[stream], text.data(), text.size());
            ASSERT_GT(wrote, 0);
            text.remove_prefix(static_cast<std::size_t>(wrote));
        }
    }
    void ends() {
        for (int& fd : container_) close(fd);
        gone();
    }
    void gone() {
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(wait_ms);
        int status = 0;
        pid_t done = 0;
        while ((done = ::waitpid(pid_, &status, WNOHANG)) == 0 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
        EXPECT_EQ(done, pid_) << "it did not end";
        EXPECT_EQ(status, 0);
        pid_ = 0;
    }
    static std::string text_of(const std::string& path) {
        std::ostringstream text;
        text << std::ifstream(path).rdbuf();
        return text.str();
    }

    plugin::ScratchDir dir_;
    const std::string log_ = dir_.path("console log");
    pid_t pid_ = 0;
    std::array<int, 2> container_{-1, -1};
};

TEST_F(ConsoleLogTest, WhatTheContainerWritesIsInTheLogUntilTheLastWriterEnds) {
    std::ofstream(log_) << "an earlier life\n";
    start(log_, "1000000");
    says(0, "output\n");
    close(container_[0]);
    says(1, "errors\n");
    ends();
    const auto text = text_of(log_);
    EXPECT_THAT(text, HasSubstr("an earlier life\n"));
    EXPECT_THAT(text, HasSubstr("output\n"));
    EXPECT_THAT(text, HasSubstr("errors\n"));
}

TEST_F(ConsoleLogTest, AFloodTakesNoMoreThanTwoLogsOfTheirSize) {
    constexpr std::size_t size_max = 100'000, lines = 60'000;
    start(log_, std::to_string(size_max));
    std::string flood;
    for (std::size_t line = 0; line < lines; ++line) flood += "line " + std::to_string(line) + "\n";
    says(0, flood);
    ends();
    EXPECT_LE(std::filesystem::file_size(log_), size_max);
    EXPECT_EQ(std::filesystem::file_size(log_ + ".1"), size_max);
    // The end of it is there, without a gap.
    const auto kept = text_of(log_ + ".1") + text_of(log_);
    EXPECT_EQ(kept, flood.substr(flood.size() - kept.size()));
}

TEST_F(ConsoleLogTest, ALogThatCannotBeWrittenDoesNotHoldUpTheContainer) {
    start(dir_.path("missing") + "/console.log", "1000");
    says(0, std::string(1'000'000, 'x'));
    ends();
}

TEST_F(ConsoleLogTest, AskedToEndItTakesWhatWasWrittenAndLeavesWritersBehind) {
    start(log_, "1000000");
    says(0, "the last words\n");
    ::kill(pid_, SIGTERM);
    gone();
    EXPECT_EQ(text_of(log_), "the last words\n");
}

TEST_F(ConsoleLogTest, ItMayDoNothingButWriteItsLog) {
    start(log_, "1000");
    const auto status = text_of("/proc/" + std::to_string(pid_) + "/status");
    for (const auto* set : {"CapInh", "CapPrm", "CapEff", "CapAmb"}) EXPECT_THAT(status, HasSubstr(std::string(set) + ":\t0000000000000000"));
    EXPECT_THAT(status, HasSubstr("NoNewPrivs:\t1"));
    ends();
}

}  // namespace
}  // namespace eve::containerd
