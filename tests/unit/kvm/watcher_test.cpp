// The watcher over real processes and the files that a keeper writes.

#include "watcher.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <fstream>
#include <functional>

#include "eve/sdk/kept_process.hpp"
#include "limit.hpp"
#include "tests/doubles/temp_dir.hpp"

namespace eve::kvm {
namespace {

using namespace std::chrono_literals;

class WatcherTest : public ::testing::Test {
protected:
    ~WatcherTest() override {
        for (const pid_t pid : {guest_, keeper_}) end(pid);
        ::close(directory_);
    }
    static pid_t sleeper() {
        const pid_t pid = ::fork();
        if (pid == 0)
            for (;;) ::pause();
        return pid;
    }
    static void end(pid_t pid) {
        ::kill(pid, SIGKILL);
        ::waitpid(pid, nullptr, 0);
    }
    void write_record() const {
        const auto guest = sdk::identify(guest_);
        const auto keeper = sdk::identify(keeper_);
        std::ofstream(temp_.string() + "/keeper") << "format 1\nname a\nguest_pid " << guest.pid << "\nguest_start " << guest.start_ticks << "\nkeeper_pid "
                                                  << keeper.pid << "\nkeeper_start " << keeper.start_ticks << "\n";
    }
    static bool eventually(const std::function<bool()>& holds) {
        const Limit patience(5s, -1);
        while (!holds())
            if (patience.wait(-1, 0, 10ms) != Limit::Wait::ready) return holds();
        return true;
    }

    TempDir temp_;
    int directory_ = ::open(temp_.string().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    pid_t guest_ = sleeper();
    pid_t keeper_ = sleeper();
    std::atomic<int> told_{0};
};

TEST_F(WatcherTest, AnEndIsToldOfAgainWhenItsKeeperHasWrittenItDown) {
    write_record();
    Watcher watcher([this](const DomainId&, DomainEventKind kind) { told_ += kind == DomainEventKind::exited ? 1 : 0; }, 1 << 20);
    watcher.watch({"a"}, directory_);
    end(guest_);
    EXPECT_TRUE(eventually([this] { return told_ == 1; }));
    end(keeper_);
    EXPECT_TRUE(eventually([this] { return told_ == 2; }));
}

TEST_F(WatcherTest, AProcessThatEndedBeforeItWasWatchedIsToldOf) {
    write_record();
    end(guest_);
    end(keeper_);
    Watcher watcher([this](const DomainId&, DomainEventKind kind) { told_ += kind == DomainEventKind::exited ? 1 : 0; }, 1 << 20);
    watcher.watch({"a"}, directory_);
    EXPECT_TRUE(eventually([this] { return told_ == 1; }));
}

}  // namespace
}  // namespace eve::kvm
