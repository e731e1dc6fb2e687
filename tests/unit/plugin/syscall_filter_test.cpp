// The filters of system calls, on real children.

#include "core/plugin/syscall_filter.hpp"

#include <gtest/gtest.h>
#include <linux/sched.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <fcntl.h>
#include <unistd.h>

#include <functional>
#include <thread>

namespace eve::rights {
namespace {

/// What the checks say in a child that has the filter: 0, or the number of the first that did not hold.
int in_child(bool (*filter)() noexcept, const std::function<int()>& checks) {
    const pid_t child = ::fork();
    if (child == 0) {
        if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || !filter()) ::_exit(200);
        ::_exit(checks());
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

template <class Result> bool refused(Result result, int with = EPERM) { return result == -1 && errno == with; }

TEST(SyscallFilter, APluginHostCannotDoWhatNoPluginNeeds) {
    EXPECT_EQ(in_child(&refuse_what_no_plugin_needs,
                       [] {
                           int number = 0;
                           ++number;
                           if (!refused(::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr))) return number;
                           ++number;
                           if (!refused(::unshare(CLONE_NEWUSER | CLONE_NEWNS))) return number;
                           ++number;
                           if (!refused(::syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, nullptr, nullptr, nullptr, 0))) return number;
                           ++number;
                           clone_args arguments{};
                           if (!refused(::syscall(SYS_clone3, &arguments, sizeof arguments), ENOSYS)) return number;
                           ++number;
                           if (!refused(::syscall(SYS_bpf, 0, nullptr, 0))) return number;
                           ++number;
                           if (!refused(::syscall(SYS_finit_module, -1, "", 0))) return number;
                           ++number;
                           if (!refused(::syscall(SYS_reboot, 0, 0, 0, nullptr))) return number;
                           return 0;
                       }),
              0);
}

TEST(SyscallFilter, APluginHostCanStartThreadsAndProcesses) {
    EXPECT_EQ(in_child(&refuse_what_no_plugin_needs,
                       [] {
                           bool ran = false;
                           std::thread([&ran] { ran = true; }).join();
                           if (!ran) return 1;
                           const pid_t child = ::fork();
                           if (child == 0) ::_exit(7);
                           int status = 0;
                           if (::waitpid(child, &status, 0) != child || WEXITSTATUS(status) != 7) return 2;
                           const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
                           return socket >= 0 ? 0 : 3;
                       }),
              0);
}

TEST(SyscallFilter, AKeeperCanReadAndWriteFilesAndNothingElse) {
    EXPECT_EQ(in_child(&allow_only_what_a_keeper_needs,
                       [] {
                           int number = 0;
                           ++number;
                           const int file = ::openat(AT_FDCWD, "/dev/null", O_RDWR | O_CLOEXEC);
                           if (file < 0 || ::write(file, "x", 1) != 1) return number;
                           ++number;
                           if (!refused(::socket(AF_INET, SOCK_STREAM, 0))) return number;
                           ++number;
                           if (!refused(::execl("/bin/true", "true", nullptr))) return number;
                           ++number;
                           if (!refused(::syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, 0))) return number;
                           ++number;
                           if (!refused(::syscall(SYS_fchmod, file, 0777))) return number;
                           ++number;
                           if (!refused(::syscall(SYS_kill, ::getppid(), 0))) return number;
                           ++number;
                           if (!refused(::syscall(SYS_ioctl, file, 0, nullptr))) return number;
                           return 0;
                       }),
              0);
}

}  // namespace
}  // namespace eve::rights
