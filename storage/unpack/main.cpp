// The unpack process: unpacks one layer of a stranger's image into one directory, with the rights that takes and no others: the directory is its
// whole file system, and of root's rights it keeps those over owners and modes. It is started with descriptors (unpack.hpp) and does nothing by itself.

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <clocale>
#include <csignal>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <string>

#include "storage/unpack/layer.hpp"

namespace {

using namespace eve;
using namespace eve::storage::unpack;

constexpr rlim_t memory_bytes_max = rlim_t{1} << 30, cpu_seconds_max = 3600, files_max = 64;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool sanitized = true;  // shadow memory does not fit below a limit
#else
constexpr bool sanitized = false;
#endif

Error refused(const char* step) { return Error{.code = Code::permission_denied, .what = std::string("unpack process: ") + step + ": " + std::strerror(errno)}; }

bool limit(__rlimit_resource_t what, rlim_t value) {
    const rlimit both{.rlim_cur = value, .rlim_max = value};
    return setrlimit(what, &both) == 0;
}

/// Of root's rights only those that set owners, modes and file capabilities.
bool keep_few_capabilities() {
    constexpr unsigned kept = (1U << CAP_CHOWN) | (1U << CAP_DAC_OVERRIDE) | (1U << CAP_FOWNER) | (1U << CAP_FSETID) | (1U << CAP_SETFCAP);
    for (unsigned capability = 0; capability <= 63; ++capability)
        if ((capability > 31 || ((kept >> capability) & 1U) == 0) && prctl(PR_CAPBSET_READ, capability, 0, 0, 0) == 1 &&
            prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0)
            return false;
    __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    __user_cap_data_struct data[2] = {};
    if (syscall(SYS_capget, &header, data) != 0) return false;
    const unsigned have = data[0].permitted & kept;
    data[0] = {.effective = have, .permitted = have, .inheritable = 0};
    data[1] = {};
    return syscall(SYS_capset, &header, data) == 0;
}

bool filter_system_calls() {
    const std::unique_ptr<void, void (*)(void*)> filter(seccomp_init(SCMP_ACT_ERRNO(EPERM)), [](void* f) { seccomp_release(f); });
    if (!filter) return false;
    for (const char* name : {"read",       "write",        "readv",           "writev",        "pread64",       "pwrite64",   "sendto",     "close",
                             "lseek",      "fstat",        "newfstatat",      "statx",         "openat",        "mkdirat",    "unlinkat",   "symlinkat",
                             "linkat",     "mknodat",      "readlinkat",      "getdents64",    "fchown",        "fchownat",   "fchmod",     "fchmodat",
                             "fchmodat2",  "fsetxattr",    "utimensat",       "ftruncate",     "fcntl",         "mmap",       "munmap",     "mremap",
                             "mprotect",   "madvise",      "brk",             "futex",         "getrandom",     "exit",       "exit_group", "rt_sigaction",
                             "rt_sigreturn", "rt_sigprocmask", "sigaltstack", "clock_gettime", "gettimeofday",  "getuid",     "geteuid",    "getgid",
                             "getegid",    "getpid",       "gettid",          "tgkill",        "sched_yield",   "sysinfo",    "restart_syscall"}) {
        const int number = seccomp_syscall_resolve_name(name);
        if (number >= 0 && seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, number, 0) != 0) return false;
    }
    return seccomp_load(filter.get()) == 0;
}

Status take_rights_away() {
    (void)std::signal(SIGPIPE, SIG_IGN);
    (void)std::signal(SIGXFSZ, SIG_IGN);
    (void)umask(0);
    if (std::setlocale(LC_CTYPE, "C.UTF-8") == nullptr) (void)std::setlocale(LC_CTYPE, "C");  // names are bytes; archives say UTF-8
    if (!limit(RLIMIT_CORE, 0) || !limit(RLIMIT_NOFILE, files_max) || !limit(RLIMIT_CPU, cpu_seconds_max) || (!sanitized && !limit(RLIMIT_AS, memory_bytes_max)))
        return refused("limits");
    if (fchdir(root_fd) != 0) return refused("directory");
    if (geteuid() == 0) {
        if (chroot(".") != 0 || chdir("/") != 0) return refused("root directory");
        if (setgroups(0, nullptr) != 0) return refused("groups");
        if (!keep_few_capabilities()) return refused("capabilities");
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return refused("no new privileges");
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)prctl(PR_SET_DUMPABLE, 0);
    if (!filter_system_calls()) return refused("filter of system calls");
    return {};
}

bool read_number(const char* text, std::uint64_t& value) {
    const char* const last = text + std::strlen(text);
    const auto [end, error] = std::from_chars(text, last, value);
    return error == std::errc{} && end == last && end != text;
}

Result<LayerFacts> work(int argc, char** argv) {
    Budget budget;
    if (argc != 4 || !read_number(argv[2], budget.bytes) || !read_number(argv[3], budget.entries))
        return Error{.code = Code::invalid_argument, .what = "unpack PACKING BYTES_MAX ENTRIES_MAX"};
    const std::string packing = argv[1];
    if (packing != "none" && packing != "gzip" && packing != "zstd") return Error{.code = Code::invalid_argument, .what = "no such packing"};
    if (auto taken = take_rights_away(); !taken) return std::move(taken).error();
    return unpack_layer(layer_fd, root_fd,
                        packing == "gzip"   ? types::OciPacking::gzip
                        : packing == "zstd" ? types::OciPacking::zstd
                                            : types::OciPacking::none,
                        budget);
}

}  // namespace

int main(int argc, char** argv) {
    (void)syscall(SYS_close_range, root_fd + 1, ~0U, 0);
    struct stat facts{};
    if (fstat(answer_fd, &facts) != 0 || !S_ISSOCK(facts.st_mode)) {
        static constexpr char text[] = "unpack is started by the node, with its descriptors; it does nothing by itself\n";
        (void)!write(2, text, sizeof text - 1);
        return 2;
    }
    std::string answer;
    try {
        answer = format_answer(work(argc, argv));
    } catch (const std::bad_alloc&) {
        answer = format_answer(Error{.code = Code::resource_exhausted, .what = "unpacking the layer takes too much memory"});
    } catch (const std::exception&) {
        answer = format_answer(Error{.code = Code::internal, .what = "the unpack process failed"});
    }
    (void)send(answer_fd, answer.data(), answer.size(), MSG_NOSIGNAL);
    _exit(answer.starts_with("done") ? 0 : 1);  // nothing is worth tidying in a process that only had descriptors
}
