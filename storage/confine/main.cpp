// Runs an image tool on one open file, with no right to anything else: `confine PROGRAM ARGUMENT...`, the file being descriptor 5 (the tool is told
// /proc/self/fd/5). Images come from strangers, and the tools that read them are large.

#include <fcntl.h>
#include <grp.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <initializer_list>

#include "storage/confine/confine.hpp"

namespace {

using eve::storage::confined_fd;
using eve::storage::confined_user_id;

constexpr rlim_t memory_bytes_max = rlim_t{1} << 30, cpu_seconds_max = 600, files_max = 64;

bool limit(__rlimit_resource_t what, rlim_t value) {
    const rlimit both{.rlim_cur = value, .rlim_max = value};
    return setrlimit(what, &both) == 0;
}

/// The tool's own code may be read and run; the one file may be read and written. Kernels without landlock are left alone.
void restrict_files() {
    constexpr __u64 reading = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_EXECUTE;
    landlock_ruleset_attr rules{};
    rules.handled_access_fs = reading | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
                              LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
                              LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |
                              LANDLOCK_ACCESS_FS_MAKE_SYM;
    const auto ruleset = static_cast<int>(syscall(SYS_landlock_create_ruleset, &rules, sizeof rules, 0));
    if (ruleset < 0) return;
    const auto allow = [ruleset](int file, __u64 access) {
        landlock_path_beneath_attr beneath{};
        beneath.allowed_access = access;
        beneath.parent_fd = file;
        (void)syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0);
    };
    for (const char* path : {"/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/proc/self", "/sys/devices/system/cpu"}) {
        const int file = open(path, O_PATH | O_CLOEXEC);
        if (file < 0) continue;
        allow(file, strcmp(path, "/etc/ld.so.cache") == 0 ? LANDLOCK_ACCESS_FS_READ_FILE : reading);
        close(file);
    }
    allow(confined_fd, LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE);
    (void)syscall(SYS_landlock_restrict_self, ruleset, 0);
    close(ruleset);
}

bool forbid_calls() {
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    if (filter == nullptr) return false;
    bool good = true;
    for (const char* name : {"socket",
                             "connect",
                             "bind",
                             "ptrace",
                             "process_vm_readv",
                             "process_vm_writev",
                             "mount",
                             "umount2",
                             "unshare",
                             "setns",
                             "bpf",
                             "perf_event_open",
                             "keyctl",
                             "add_key",
                             "request_key",
                             "init_module",
                             "finit_module",
                             "kexec_load",
                             "reboot",
                             "userfaultfd",
                             "io_uring_setup",
                             "kill",
                             "tkill",
                             "pidfd_open"}) {
        const int number = seccomp_syscall_resolve_name(name);
        if (number >= 0) good = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), number, 0) == 0 && good;
    }
    good = good && seccomp_load(filter) == 0;
    seccomp_release(filter);
    return good;
}

int refuse(const char* step) {
    (void)dprintf(2, "confine: %s: %s\n", step, std::strerror(errno));
    return 126;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 2) return refuse("nothing to run");
    (void)syscall(SYS_close_range, 3, confined_fd - 1, 0);
    (void)syscall(SYS_close_range, confined_fd + 1, ~0U, 0);
    if (!limit(RLIMIT_CORE, 0) || !limit(RLIMIT_NOFILE, files_max) || !limit(RLIMIT_CPU, cpu_seconds_max) || !limit(RLIMIT_AS, memory_bytes_max))
        return refuse("limits");
    if (geteuid() == 0 && (setgroups(0, nullptr) != 0 || setresgid(confined_user_id, confined_user_id, confined_user_id) != 0 ||
                           setresuid(confined_user_id, confined_user_id, confined_user_id) != 0))
        return refuse("change of user");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return refuse("no new privileges");
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    restrict_files();
    if (!forbid_calls()) return refuse("filter of system calls");
    execv(argv[1], argv + 1);
    return refuse(argv[1]);
}
