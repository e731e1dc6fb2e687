#include "storage/fetch/sandbox.hpp"

#include <fcntl.h>
#include <grp.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <memory>
#include <string>

namespace eve::storage::fetch {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool sanitized = true;  // shadow memory does not fit below a limit
#else
constexpr bool sanitized = false;
#endif

Error refused(const char* step) { return Error{.code = Code::permission_denied, .what = std::string(step) + ": " + std::strerror(errno)}; }

bool limit(int what, std::uint64_t value) {
    const rlimit both{.rlim_cur = value, .rlim_max = value};
    return setrlimit(static_cast<__rlimit_resource_t>(what), &both) == 0;
}

/// Reading for what libc's resolver and OpenSSL open by themselves; nothing else. Kernels without landlock are left alone: the user has no rights
/// anyway.
void restrict_files() {
    landlock_ruleset_attr rules{};
    rules.handled_access_fs = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE |
                              LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
                              LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
                              LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |
                              LANDLOCK_ACCESS_FS_MAKE_SYM;
    const auto ruleset = static_cast<int>(syscall(SYS_landlock_create_ruleset, &rules, sizeof rules, 0));
    if (ruleset < 0) return;
    for (const char* path : {"/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf", "/etc/services",
                             "/etc/protocols", "/etc/ld.so.cache", "/etc/ssl/openssl.cnf", "/run/systemd/resolve", "/run/resolvconf", "/lib",
                             "/usr/lib", "/lib64", "/usr/lib64", "/proc/sys/kernel", "/sys/devices/system/cpu", "/dev/urandom"}) {
        const int file = open(path, O_PATH | O_CLOEXEC);
        if (file < 0) continue;
        landlock_path_beneath_attr beneath{};
        beneath.allowed_access = LANDLOCK_ACCESS_FS_READ_FILE;
        beneath.parent_fd = file;
        (void)syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0);
        close(file);
    }
    (void)syscall(SYS_landlock_restrict_self, ruleset, 0);
    close(ruleset);
}

}  // namespace

Status drop_privileges(std::uint64_t file_bytes_max) {
    (void)std::signal(SIGPIPE, SIG_IGN);
    (void)std::signal(SIGXFSZ, SIG_IGN);
    if (!limit(RLIMIT_CORE, 0) || !limit(RLIMIT_NOFILE, 64) || (file_bytes_max != 0 && !limit(RLIMIT_FSIZE, file_bytes_max)) ||
        (!sanitized && !limit(RLIMIT_AS, memory_bytes_max)))
        return refused("limits");
    if (geteuid() == 0) {
        if (setgroups(0, nullptr) != 0 || setresgid(user_id, user_id, user_id) != 0 || setresuid(user_id, user_id, user_id) != 0)
            return refused("change of user");
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return refused("no new privileges");
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)prctl(PR_SET_DUMPABLE, 0);
    restrict_files();
    return {};
}

Status filter_system_calls() {
    const std::unique_ptr<void, void (*)(void*)> filter(seccomp_init(SCMP_ACT_ERRNO(EPERM)), [](void* f) { seccomp_release(f); });
    if (!filter) return Error{.code = Code::permission_denied, .what = "no filter of system calls"};
    for (const char* name : {"read",
                             "write",
                             "readv",
                             "writev",
                             "pread64",
                             "pwrite64",
                             "close",
                             "fstat",
                             "newfstatat",
                             "statx",
                             "stat",
                             "lstat",
                             "lseek",
                             "ftruncate",
                             "fdatasync",
                             "fcntl",
                             "access",
                             "faccessat",
                             "faccessat2",
                             "readlink",
                             "readlinkat",
                             "getdents64",
                             "mmap",
                             "munmap",
                             "mremap",
                             "mprotect",
                             "madvise",
                             "brk",
                             "poll",
                             "ppoll",
                             "select",
                             "pselect6",
                             "epoll_create1",
                             "epoll_ctl",
                             "epoll_wait",
                             "epoll_pwait",
                             "eventfd2",
                             "pipe2",
                             "pipe",
                             "socketpair",
                             "connect",
                             "bind",
                             "sendto",
                             "recvfrom",
                             "sendmsg",
                             "recvmsg",
                             "sendmmsg",
                             "recvmmsg",
                             "getsockname",
                             "getpeername",
                             "setsockopt",
                             "getsockopt",
                             "shutdown",
                             "ioctl",
                             "clone",
                             "clone3",
                             "futex",
                             "set_robust_list",
                             "rseq",
                             "set_tid_address",
                             "exit",
                             "exit_group",
                             "rt_sigaction",
                             "rt_sigprocmask",
                             "rt_sigreturn",
                             "rt_sigtimedwait",
                             "sigaltstack",
                             "tgkill",
                             "getpid",
                             "gettid",
                             "getuid",
                             "geteuid",
                             "getgid",
                             "getegid",
                             "uname",
                             "sysinfo",
                             "getrandom",
                             "clock_gettime",
                             "clock_getres",
                             "clock_nanosleep",
                             "nanosleep",
                             "gettimeofday",
                             "time",
                             "sched_yield",
                             "sched_getaffinity",
                             "getrusage",
                             "prlimit64",
                             "restart_syscall"}) {
        const int number = seccomp_syscall_resolve_name(name);
        if (number < 0) continue;  // not on this architecture
        if (const int failed = seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, number, 0); failed != 0)
            return Error{.code = Code::permission_denied, .what = std::string("filter of system calls: ") + std::strerror(-failed)};
    }
    int failed = 0;
    for (const unsigned family : {AF_INET, AF_INET6, AF_NETLINK})
        failed |= seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_EQ, family));
    const scmp_datum_t writing = O_WRONLY | O_RDWR | O_CREAT | O_TRUNC;
    failed |= seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, SCMP_SYS(openat), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, writing, 0));
    if (const int open_call = seccomp_syscall_resolve_name("open"); open_call >= 0)
        failed |= seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, open_call, 1, SCMP_A1(SCMP_CMP_MASKED_EQ, writing, 0));
    if (failed != 0) return Error{.code = Code::permission_denied, .what = "filter of system calls: a rule was refused"};
    if (seccomp_load(filter.get()) != 0) return Error{.code = Code::permission_denied, .what = "filter of system calls: the kernel refused it"};
    return {};
}

}  // namespace eve::storage::fetch
