#include "net/process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern "C" {  // this header of glibc 2.36 does not say so itself
#include <sys/pidfd.h>
}

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <system_error>

namespace eve::net {
namespace {

constexpr std::size_t output_bytes_max = 4096;
constexpr std::size_t command_line_bytes_max = 16384;

int remaining(std::chrono::milliseconds limit, std::chrono::milliseconds spent) {
    return spent >= limit ? 0 : static_cast<int>((limit - spent).count());
}

}  // namespace

std::string errno_text(int number) { return std::generic_category().message(number); }

Error system_error(int number, const std::string& what) {
    Code code = Code::unavailable;
    switch (number) {
        case EPERM:
        case EACCES: code = Code::permission_denied; break;
        case ENOENT:
        case ENODEV:
        case ESRCH: code = Code::not_found; break;
        case EEXIST: code = Code::already_exists; break;
        case EINVAL:
        case ERANGE: code = Code::invalid_argument; break;
        case EOPNOTSUPP: code = Code::unsupported; break;
        case ENOMEM:
        case ENOSPC:
        case EMFILE: code = Code::resource_exhausted; break;
        default: break;
    }
    return Error{code, what + ": " + errno_text(number)};
}

Result<ProgramResult> run_program(const std::vector<std::string>& arguments, std::chrono::milliseconds limit) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return system_error(errno, "pipe");
    UniqueFd reader(ends[0]);
    UniqueFd writer(ends[1]);

    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, writer.get(), 1);
    posix_spawn_file_actions_adddup2(&actions, writer.get(), 2);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t none;
    sigset_t all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
    std::vector<char*> argv;
    argv.reserve(arguments.size() + 1);
    for (const auto& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
    char locale[] = "LC_ALL=C";
    char* environment[] = {path, locale, nullptr};
    pid_t pid = -1;
    const int failed = posix_spawn(&pid, arguments.front().c_str(), &actions, &attributes, argv.data(), environment);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    if (failed != 0) return system_error(failed, arguments.front());
    writer = UniqueFd();

    const UniqueFd process(static_cast<int>(::pidfd_open(pid, 0)));
    const bool ended = process ? wait_for_end(process, limit) : false;
    if (!ended) ::kill(pid, SIGKILL);  // our own unreaped child: the number cannot have been reused
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (!ended) return Error{Code::timed_out, arguments.front() + " did not end within " + std::to_string(limit.count()) + " ms"};

    ProgramResult result;
    result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    char buffer[output_bytes_max];
    const ssize_t count = ::read(reader.get(), buffer, sizeof buffer);
    if (count > 0) result.output.assign(buffer, static_cast<std::size_t>(count));
    return result;
}

Result<UniqueFd> open_process(int pid, const std::string& program, const std::string& argument) {
    if (pid <= 0) return Error{Code::not_found, "no process"};
    UniqueFd process(static_cast<int>(::pidfd_open(pid, 0)));
    if (!process) return system_error(errno, "process " + std::to_string(pid));
    // The descriptor is held before the command line is read: what is read belongs to the process that is held, or to none.
    std::ifstream file("/proc/" + std::to_string(pid) + "/cmdline", std::ios::binary);
    std::string line(command_line_bytes_max, '\0');
    file.read(line.data(), static_cast<std::streamsize>(line.size()));
    line.resize(static_cast<std::size_t>(file.gcount()));
    std::vector<std::string> words;
    for (std::size_t at = 0; at < line.size();) {
        const auto end = line.find('\0', at);
        words.push_back(line.substr(at, end == std::string::npos ? std::string::npos : end - at));
        if (end == std::string::npos) break;
        at = end + 1;
    }
    bool found = false;
    for (const auto& word : words) found = found || word == argument;
    if (words.empty() || words.front() != program || !found)
        return Error{Code::not_found, "process " + std::to_string(pid) + " is not " + program + " " + argument};
    return process;
}

bool wait_for_end(const UniqueFd& process, std::chrono::milliseconds limit) {
    timespec begin{};
    ::clock_gettime(CLOCK_MONOTONIC, &begin);
    auto spent = std::chrono::milliseconds{0};
    for (;;) {
        pollfd waiting{process.get(), POLLIN, 0};
        const int ready = ::poll(&waiting, 1, remaining(limit, spent));
        if (ready > 0) return true;
        timespec now{};
        ::clock_gettime(CLOCK_MONOTONIC, &now);
        spent = std::chrono::milliseconds{(now.tv_sec - begin.tv_sec) * 1000 + (now.tv_nsec - begin.tv_nsec) / 1000000};
        if (ready == 0 || (errno != EINTR && errno != EAGAIN)) return false;
    }
}

Status send_signal(const UniqueFd& process, int signal) {
    if (::pidfd_send_signal(process.get(), signal, nullptr, 0) == 0 || errno == ESRCH) return {};
    return system_error(errno, "signal");
}

}  // namespace eve::net
