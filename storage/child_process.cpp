#include "storage/child_process.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "storage/durable_file.hpp"
#include "storage/files.hpp"
#include "core/loop/unique_fd.hpp"

namespace eve::storage {
namespace {

constexpr int first_free_fd = 16;  ///< above the numbers that the child's descriptors get

}  // namespace

Result<ChildProcess> ChildProcess::start(const ChildOptions& options) {
    std::vector<UniqueFd> high;
    for (const auto& [ours, theirs] : options.descriptors) {
        high.emplace_back(fcntl(ours, F_DUPFD_CLOEXEC, first_free_fd));
        if (!high.back() || theirs >= first_free_fd) return os_error("descriptors of " + options.program);
    }
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    for (std::size_t i = 0; i < high.size(); ++i) posix_spawn_file_actions_adddup2(&actions, high[i].get(), options.descriptors[i].second);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    std::vector<std::string> texts{options.program};
    texts.insert(texts.end(), options.arguments.begin(), options.arguments.end());
    std::vector<char*> arguments;
    for (auto& text : texts) arguments.push_back(text.data());
    arguments.push_back(nullptr);
    char* environment[] = {nullptr};
    pid_t pid = -1;
    const int failed = posix_spawn(&pid, options.program.c_str(), &actions, &attributes, arguments.data(), environment);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    if (failed == EAGAIN)
        return Error{.code = Code::resource_exhausted,
                     .what = "cannot start " + options.program + ": no process is left",
                     .hint = "raise the service's limit of processes (TasksMax; pids.max of its cgroup)"};
    if (failed != 0) return error_of(failed, "cannot start " + options.program);
    return ChildProcess(pid);
}

void ChildProcess::end() {
    if (pid_ < 0) return;
    (void)kill(pid_, SIGKILL);
    (void)wait();
}

int ChildProcess::wait() {
    if (pid_ < 0) return -1;
    int status = 0;
    while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {}
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace eve::storage
