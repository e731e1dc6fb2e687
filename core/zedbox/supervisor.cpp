#include "core/zedbox/supervisor.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>

#include "core/loop/unique_fd.hpp"
#include "core/zedbox/silence.hpp"

namespace eve::zedbox {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr int looks_in_a_silence = 17;  // every half second

void say(const char* what, long long number) { std::fprintf(stderr, "zedbox: supervisor: %s %lld\n", what, number); }

sigset_t watched_signals() {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGCHLD}) sigaddset(&set, signal);
    return set;
}

/// How one child ended.
struct Ending {
    std::optional<int> code;  ///< it ended by itself
    Instant::duration age{};
};

class Supervisor {
public:
    Supervisor(const Clock& clock, const SupervisorLimits& limits) : clock_(clock), limits_(limits) {
        const auto set = watched_signals();
        ::sigprocmask(SIG_BLOCK, &set, &before_);
        signals_ = UniqueFd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    }

    int run(const std::function<int(Heartbeat)>& work) {
        auto delay = limits_.restart_first;
        for (;;) {
            const auto ending = live(work);
            if (ending.code) return *ending.code;
            if (told_to_end_) return 128 + told_to_end_;
            if (ending.age >= limits_.steady_after) delay = limits_.restart_first;
            if (wait(-1, clock_.now() + delay)) return 0;
            delay = std::min(delay * 2, limits_.restart_max);
        }
    }

private:
    Ending live(const std::function<int(Heartbeat)>& work) {
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return {.code = 1};
        const UniqueFd beats(ends[0]);
        UniqueFd theirs(ends[1]);
        const pid_t parent = ::getpid();
        child_ = ::fork();
        if (child_ < 0) {
            say("cannot fork, error", errno);
            return {};
        }
        if (child_ == 0) {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // two nodes would be worse than none
            if (::getppid() != parent) std::_Exit(1);
            ::sigprocmask(SIG_SETMASK, &before_, nullptr);
            ::close(ends[0]);
            signals_.reset();
            const int code = work(Heartbeat(ends[1]));
            std::exit(code);
        }
        theirs.reset();
        const auto born = clock_.now();
        SilenceMeter silence;
        silence.begin(sample_scheduler(child_));
        const auto look = limits_.silence_max / looks_in_a_silence;
        int status = 0;
        for (;;) {
            const auto before = clock_.now();
            // A node that shows life wakes us by that alone; only one that is late is looked at more closely.
            const auto asked = silence.counted() == nanoseconds{0} ? std::min(limits_.silence_max / 2, limits_.beat + look) : look;
            const bool beaten = wait(beats.get(), before + asked);
            const auto passed = clock_.now() - before;
            if (::waitpid(child_, &status, WNOHANG) == child_) break;
            if (beaten) {
                std::array<char, 64> some{};
                const auto got = ::read(beats.get(), some.data(), some.size());
                if (got > 0) silence.begin(sample_scheduler(child_));
                if (got == 0) {  // its end is closed: it is on its way out, and has as long again for that
                    await_end(status);
                    break;
                }
                continue;
            }
            silence.add(asked, passed, sample_scheduler(child_));
            if (silence.counted() < limits_.silence_max) continue;
            say("the loop has not turned for too long, the node is killed and started again; pid", child_);
            kill_child(status);
            break;
        }
        Ending ending{.age = clock_.now() - born};
        child_ = 0;
        if (WIFEXITED(status)) ending.code = WEXITSTATUS(status);
        else say("the node was killed by signal", WTERMSIG(status));
        return ending;
    }

    void await_end(int& status) {
        const auto deadline = clock_.now() + limits_.silence_max;
        while (clock_.now() < deadline) {
            wait(-1, clock_.now() + milliseconds{20});
            if (::waitpid(child_, &status, WNOHANG) == child_) return;
        }
        kill_child(status);
    }

    void kill_child(int& status) const {
        ::kill(child_, SIGKILL);
        while (::waitpid(child_, &status, 0) < 0 && errno == EINTR) {}
    }

    /// Waits for a byte, a signal or the time; true when `fd` is ready, or, without one, when told to end. Signals to end go on to the child.
    bool wait(int fd, Instant until) {
        const auto left = std::max(std::chrono::duration_cast<milliseconds>(until - clock_.now()) + milliseconds{1}, milliseconds{0});
        std::array<pollfd, 2> wait{{{.fd = fd, .events = POLLIN, .revents = 0}, {.fd = signals_.get(), .events = POLLIN, .revents = 0}}};
        ::poll(wait.data(), wait.size(), static_cast<int>(left.count()));
        signalfd_siginfo info{};
        while (::read(signals_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
            const auto signal = static_cast<int>(info.ssi_signo);
            if (signal == SIGCHLD) continue;
            told_to_end_ = signal;
            if (child_ > 0) ::kill(child_, signal);
        }
        return fd >= 0 ? wait[0].revents != 0 : told_to_end_ != 0 && child_ == 0;
    }

    const Clock& clock_;
    const SupervisorLimits limits_;
    sigset_t before_{};
    UniqueFd signals_;
    pid_t child_ = 0;
    int told_to_end_ = 0;
};

}  // namespace

void Heartbeat::beat() const {
    if (fd_ < 0) return;
    [[maybe_unused]] const auto wrote = ::write(fd_, "b", 1);
}

bool watched_by_others(const Root& root) {
    struct stat facts {};
    return std::getenv("NOTIFY_SOCKET") != nullptr || ::stat(root.path("/run/watchdog").c_str(), &facts) == 0;
}

int supervise(const Clock& clock, const std::function<int(Heartbeat)>& work, const SupervisorLimits& limits) {
    return Supervisor(clock, limits).run(work);
}

}  // namespace eve::zedbox
