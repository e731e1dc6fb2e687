#include "tests/acceptance/crash/tracer.hpp"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <mutex>
#include <set>
#include <thread>

namespace eve::crash {
namespace {

struct Watched {
    long number;
    const char* name;
};

/// Calls that change something outside the caller. open and openat count when they may write.
constexpr auto world_calls = std::to_array<Watched>({
    {SYS_write, "write"}, {SYS_pwrite64, "pwrite"}, {SYS_writev, "writev"}, {SYS_pwritev, "pwritev"}, {SYS_pwritev2, "pwritev2"},
    {SYS_sendto, "sendto"}, {SYS_sendmsg, "sendmsg"}, {SYS_sendmmsg, "sendmmsg"}, {SYS_sendfile, "sendfile"},
    {SYS_copy_file_range, "copy_file_range"}, {SYS_splice, "splice"}, {SYS_open, "open"}, {SYS_openat, "openat"}, {SYS_creat, "creat"},
    {SYS_rename, "rename"}, {SYS_renameat, "renameat"}, {SYS_renameat2, "renameat2"}, {SYS_unlink, "unlink"}, {SYS_unlinkat, "unlinkat"},
    {SYS_rmdir, "rmdir"}, {SYS_mkdir, "mkdir"}, {SYS_mkdirat, "mkdirat"}, {SYS_link, "link"}, {SYS_linkat, "linkat"},
    {SYS_symlink, "symlink"}, {SYS_symlinkat, "symlinkat"}, {SYS_fsync, "fsync"}, {SYS_fdatasync, "fdatasync"},
    {SYS_ftruncate, "ftruncate"}, {SYS_truncate, "truncate"}, {SYS_fallocate, "fallocate"}, {SYS_chmod, "chmod"},
    {SYS_fchmod, "fchmod"}, {SYS_fchmodat, "fchmodat"}, {SYS_chown, "chown"}, {SYS_fchown, "fchown"}, {SYS_fchownat, "fchownat"},
    {SYS_mount, "mount"}, {SYS_umount2, "umount"}, {SYS_ioctl, "ioctl"}, {SYS_bind, "bind"}, {SYS_listen, "listen"},
    {SYS_connect, "connect"}, {SYS_kill, "kill"}, {SYS_pidfd_send_signal, "pidfd_send_signal"}, {SYS_fork, "fork"},
    {SYS_vfork, "vfork"}, {SYS_clone, "clone"}, {SYS_clone3, "clone3"}, {SYS_execve, "execve"}, {SYS_exit_group, "exit_group"},
    {SYS_flock, "flock"}, {SYS_utimensat, "utimensat"}, {SYS_setsockopt, "setsockopt"}, {SYS_io_uring_enter, "io_uring_enter"},
    {SYS_socket, "socket"}, {SYS_socketpair, "socketpair"}, {SYS_pipe2, "pipe2"},
    {SYS_memfd_create, "memfd_create"}, {SYS_eventfd2, "eventfd2"}, {SYS_inotify_init1, "inotify_init1"},
});

/// Only counted when a trigger names them: reads change nothing.
constexpr auto read_calls = std::to_array<Watched>({{SYS_read, "read"}, {SYS_pread64, "pread"}, {SYS_recvfrom, "recvfrom"},
                                                   {SYS_recvmsg, "recvmsg"}, {SYS_getdents64, "getdents"}});

const char* name_of(long number) {
    for (const auto& call : world_calls)
        if (call.number == number) return call.name;
    for (const auto& call : read_calls)
        if (call.number == number) return call.name;
    return "?";
}

bool is_read_call(long number) {
    return std::any_of(read_calls.begin(), read_calls.end(), [&](const auto& call) { return call.number == number; });
}

std::vector<sock_filter> make_filter() {
    constexpr std::uint32_t offset_number = offsetof(seccomp_data, nr);
    constexpr std::uint32_t may_write = O_WRONLY | O_RDWR | O_CREAT | O_TRUNC;
    const auto flags_at = [](unsigned argument) { return static_cast<std::uint32_t>(offsetof(seccomp_data, args)) + 8U * argument; };
    std::vector<sock_filter> code;
    const auto load = [&](std::uint32_t from) { code.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, from)); };
    load(offset_number);
    for (const auto& call : world_calls) {
        const auto number = static_cast<std::uint32_t>(call.number);
        const bool opens = call.number == SYS_open || call.number == SYS_openat;
        if (opens) {
            code.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 4));
            load(flags_at(call.number == SYS_open ? 1 : 2));
            code.push_back(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, may_write, 0, 1));
            code.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE));
            code.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
        } else {
            code.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1));
            code.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE));
        }
    }
    code.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    return code;
}

/// With reads too: for the triggers that want them.
std::vector<sock_filter> make_filter_with_reads() {
    auto code = make_filter();
    code.pop_back();
    for (const auto& call : read_calls) {
        code.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(call.number), 0, 1));
        code.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE));
    }
    code.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    return code;
}

std::string link_of(const std::string& path) {
    std::array<char, 512> buffer{};
    const auto got = ::readlink(path.c_str(), buffer.data(), buffer.size());
    return got > 0 ? std::string(buffer.data(), static_cast<std::size_t>(got)) : std::string();
}

/// Text at an address of another process, at most 200 bytes.
std::string text_at(pid_t pid, std::uint64_t address) {
    std::array<char, 200> buffer{};
    const int memory = ::open(("/proc/" + std::to_string(pid) + "/mem").c_str(), O_RDONLY | O_CLOEXEC);
    if (memory < 0) return {};
    const auto got = ::pread(memory, buffer.data(), buffer.size() - 1, static_cast<off_t>(address));
    ::close(memory);
    return got > 0 ? std::string(buffer.data()) : std::string();
}

pid_t process_of(pid_t thread) {
    std::ifstream status("/proc/" + std::to_string(thread) + "/status");
    std::string word;
    while (status >> word)
        if (word == "Tgid:") {
            pid_t pid = 0;
            status >> pid;
            return pid;
        }
    return thread;
}

}  // namespace

struct Tracer::Impl {
    explicit Impl(TracerOptions chosen) : options(std::move(chosen)), wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGCHLD);
        ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
        signals = ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        thread = std::thread([this] { run(); });
    }
    ~Impl() {
        {
            const std::lock_guard lock(mutex);
            ending = true;
            wanted = false;
        }
        ring();
        thread.join();
        ::close(wake);
        ::close(signals);
    }

    void ring() const {
        const std::uint64_t one = 1;
        [[maybe_unused]] const auto wrote = ::write(wake, &one, sizeof one);
    }

    // ---- the tracer's thread ----

    void run() {
        for (;;) {
            {
                const std::lock_guard lock(mutex);
                if (ending)
                    for (const auto& [pid, role] : alive) ::kill(pid, SIGKILL);
                if (ending && alive.empty()) return;
                if (wanted && node_pid == 0) spawn();
            }
            pollfd wait[2] = {{.fd = wake, .events = POLLIN, .revents = 0}, {.fd = signals, .events = POLLIN, .revents = 0}};
            ::poll(wait, 2, ending ? 20 : -1);
            std::uint64_t rung = 0;
            [[maybe_unused]] auto got = ::read(wake, &rung, sizeof rung);
            signalfd_siginfo info{};
            while (::read(signals, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {}
            for (;;) {
                int status = 0;
                const pid_t pid = ::waitpid(-1, &status, __WALL | __WNOTHREAD | WNOHANG);
                if (pid <= 0) break;
                const std::lock_guard lock(mutex);
                on_status(pid, status);
            }
        }
    }

    void spawn() {
        int go[2];
        if (::pipe2(go, O_CLOEXEC) != 0) return;
        const pid_t pid = ::fork();
        if (pid == 0) become_command(go[0]);
        ::close(go[0]);
        constexpr long wishes = PTRACE_O_TRACESECCOMP | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC |
                                PTRACE_O_EXITKILL;
        if (pid > 0 && ::ptrace(PTRACE_SEIZE, pid, 0, wishes) == 0) {
            node_pid = pid;
            ++start_count;
            alive[pid] = "starting";
            threads[pid] = pid;
            [[maybe_unused]] const auto wrote = ::write(go[1], "g", 1);
        } else {
            std::perror("tracer: seize");
        }
        ::close(go[1]);
    }

    [[noreturn]] void become_command(int go) {
        char token = 0;
        if (::read(go, &token, 1) != 1) std::_Exit(126);
        if (!options.network_namespace.empty()) {
            const int fd = ::open(options.network_namespace.c_str(), O_RDONLY | O_CLOEXEC);
            if (fd < 0 || ::setns(fd, CLONE_NEWNET) != 0) std::_Exit(125);
        }
        const int null = ::open("/dev/null", O_RDONLY);
        const int out = ::open(options.output.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
        ::dup2(null, 0);
        ::dup2(out, 1);
        ::dup2(out, 2);
        ::syscall(SYS_close_range, 3U, ~0U, 0U);
        ::setsid();
        sigset_t none;
        ::sigemptyset(&none);
        ::sigprocmask(SIG_SETMASK, &none, nullptr);
        if (options.in_child) options.in_child();
        std::vector<char*> argv;
        for (const auto& word : options.command) argv.push_back(const_cast<char*>(word.c_str()));
        argv.push_back(nullptr);
        auto filter = with_reads ? make_filter_with_reads() : make_filter();
        const sock_fprog program{.len = static_cast<unsigned short>(filter.size()), .filter = filter.data()};
        if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) std::_Exit(124);
        ::execv(argv[0], argv.data());
        std::_Exit(127);
    }

    static void go_on(pid_t pid, int signal = 0) { ::ptrace(PTRACE_CONT, pid, 0, signal); }

    void on_status(pid_t pid, int status) {
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            threads.erase(pid);
            if (alive.erase(pid) != 0 && pid == node_pid) {
                node_pid = 0;
                node_status = status;
            }
            return;
        }
        if (!WIFSTOPPED(status)) return;
        const int signal = WSTOPSIG(status);
        const int event = status >> 16;
        if (!threads.contains(pid)) know(pid);
        switch (event) {
            case 0: go_on(pid, signal); return;
            case PTRACE_EVENT_STOP:
                if (signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU) ::ptrace(PTRACE_LISTEN, pid, 0, 0);
                else go_on(pid);
                return;
            case PTRACE_EVENT_FORK:
            case PTRACE_EVENT_VFORK:
            case PTRACE_EVENT_CLONE: {
                unsigned long child = 0;
                // A child that died before its parent's event is told would never end again.
                const auto born = ::ptrace(PTRACE_GETEVENTMSG, pid, 0, &child) == 0 ? static_cast<pid_t>(child) : 0;
                if (born > 0 && !threads.contains(born) && ::access(("/proc/" + std::to_string(born)).c_str(), F_OK) == 0) know(born);
                go_on(pid);
                return;
            }
            case PTRACE_EVENT_EXEC: {
                const auto exe = link_of("/proc/" + std::to_string(pid) + "/exe");
                alive[pid] = exe.substr(exe.rfind('/') + 1);
                threads[pid] = pid;
                go_on(pid);
                return;
            }
            case PTRACE_EVENT_SECCOMP: on_call(pid); return;
            default: go_on(pid); return;
        }
    }

    void know(pid_t thread_id) {
        const auto pid = process_of(thread_id);
        threads[thread_id] = pid;
        if (pid == thread_id && !alive.contains(pid)) {
            const auto exe = link_of("/proc/" + std::to_string(pid) + "/exe");
            alive[pid] = exe.substr(exe.rfind('/') + 1);
        }
    }

    bool is_world(pid_t pid, long number, const user_regs_struct& regs) const {
        switch (number) {
            case SYS_write: case SYS_pwrite64: case SYS_writev: case SYS_read: case SYS_pread64: {
                const auto path = link_of("/proc/" + std::to_string(pid) + "/fd/" + std::to_string(static_cast<int>(regs.rdi)));
                if (path.starts_with("anon_inode:")) return false;
                return std::none_of(options.quiet.begin(), options.quiet.end(), [&](const auto& part) { return path.find(part) != std::string::npos; });
            }
            case SYS_openat: {
                const auto path = text_at(pid, regs.rsi);
                return path != "/dev/null" && std::none_of(options.quiet.begin(), options.quiet.end(), [&](const auto& part) { return path.find(part) != std::string::npos; });
            }
            case SYS_ioctl: {
                constexpr std::uint64_t terminal_first = 0x5401, terminal_last = 0x54ff;  // TCGETS, FIONBIO, ...
                return regs.rsi < terminal_first || regs.rsi > terminal_last;
            }
            default: return true;
        }
    }

    static std::string describe(pid_t pid, long number, const user_regs_struct& regs) {
        std::string text = name_of(number);
        const auto fd_name = [&](std::uint64_t fd) { return link_of("/proc/" + std::to_string(pid) + "/fd/" + std::to_string(static_cast<int>(fd))); };
        switch (number) {
            case SYS_openat: case SYS_unlinkat: case SYS_mkdirat: return text + " " + text_at(pid, regs.rsi);
            case SYS_renameat: case SYS_renameat2: case SYS_linkat: return text + " " + text_at(pid, regs.rsi) + " to " + text_at(pid, regs.r10);
            case SYS_open: case SYS_unlink: case SYS_mkdir: case SYS_rmdir: case SYS_execve: case SYS_truncate: case SYS_chmod:
                return text + " " + text_at(pid, regs.rdi);
            case SYS_rename: case SYS_symlink: case SYS_link: return text + " " + text_at(pid, regs.rdi) + " to " + text_at(pid, regs.rsi);
            case SYS_fork: case SYS_vfork: case SYS_clone: case SYS_clone3: case SYS_exit_group: case SYS_kill: case SYS_socket: case SYS_pipe2: return text;
            default: return text + " " + fd_name(regs.rdi) + " " + std::to_string(regs.rdx);
        }
    }

    void on_call(pid_t tid) {
        user_regs_struct regs{};
        const auto pid = threads.contains(tid) ? threads[tid] : tid;
        const auto role = alive.contains(pid) ? alive[pid] : std::string();
        const bool counts_here = std::find(options.watched.begin(), options.watched.end(), role) != options.watched.end();
        if (!counts_here || ::ptrace(PTRACE_GETREGS, tid, 0, &regs) != 0) return go_on(tid);
        const auto number = static_cast<long>(regs.orig_rax);
        if (!is_world(tid, number, regs)) return go_on(tid);
        if (!is_read_call(number)) ++counted[role];
        if (!trigger || (!trigger->role.empty() && trigger->role != role)) return go_on(tid);
        const bool asked = trigger->calls.empty() ? !is_read_call(number)
                                                  : std::find(trigger->calls.begin(), trigger->calls.end(), number) != trigger->calls.end();
        if (!asked) return go_on(tid);
        ++seen;
        if (seen < trigger->call) return go_on(tid);
        if (hit_list.size() < 32) hit_list.push_back({.role = role, .pid = pid, .call = describe(tid, number, regs)});
        const auto now = *trigger;
        if (!now.until_disarmed) {
            trigger = std::move(next);
            next.reset();
            seen = 0;
        }
        switch (now.fault) {
            case Fault::kill:
                ::kill(pid, SIGKILL);
                return;
            case Fault::fail:
                regs.orig_rax = ~0ULL;  // no call at all
                regs.rax = static_cast<unsigned long long>(-static_cast<long long>(now.error));
                ::ptrace(PTRACE_SETREGS, tid, 0, &regs);
                return go_on(tid);
            case Fault::cut_short:
                if (regs.rdx > 1) regs.rdx /= 2;
                ::ptrace(PTRACE_SETREGS, tid, 0, &regs);
                return go_on(tid);
            case Fault::stop:
                ::kill(pid, SIGSTOP);
                stopped = pid;
                return go_on(tid);
        }
    }

    const TracerOptions options;
    bool with_reads = false;
    int wake;
    int signals = -1;

    mutable std::mutex mutex;
    bool ending = false;
    bool wanted = false;
    pid_t node_pid = 0;
    int node_status = 0;
    int start_count = 0;
    std::map<pid_t, std::string> alive;  // processes
    std::map<pid_t, pid_t> threads;      // to their process
    std::optional<Trigger> trigger, next;
    std::uint64_t seen = 0;
    pid_t stopped = 0;
    std::vector<Hit> hit_list;
    std::map<std::string, std::uint64_t> counted;
    std::thread thread;
};

Tracer::Tracer(TracerOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
Tracer::~Tracer() = default;

void Tracer::start() {
    const std::lock_guard lock(impl_->mutex);
    impl_->wanted = true;
    impl_->ring();
}
void Tracer::hold() {
    const std::lock_guard lock(impl_->mutex);
    impl_->wanted = false;
}
pid_t Tracer::node() const {
    const std::lock_guard lock(impl_->mutex);
    return impl_->node_pid;
}
int Tracer::starts() const {
    const std::lock_guard lock(impl_->mutex);
    return impl_->start_count;
}
void Tracer::arm(Trigger trigger, std::optional<Trigger> after) {
    arm();
    const std::lock_guard lock(impl_->mutex);
    impl_->trigger = std::move(trigger);
    impl_->next = std::move(after);
}
void Tracer::arm() {
    const std::lock_guard lock(impl_->mutex);
    impl_->trigger.reset();
    impl_->next.reset();
    impl_->seen = 0;
    impl_->hit_list.clear();
    impl_->counted.clear();
}
void Tracer::disarm() {
    const std::lock_guard lock(impl_->mutex);
    impl_->trigger.reset();
    impl_->next.reset();
}
std::vector<Hit> Tracer::hits() const {
    const std::lock_guard lock(impl_->mutex);
    return impl_->hit_list;
}
std::map<std::string, std::uint64_t> Tracer::counts() const {
    const std::lock_guard lock(impl_->mutex);
    return impl_->counted;
}
std::vector<Traced> Tracer::processes() const {
    const std::lock_guard lock(impl_->mutex);
    std::vector<Traced> all;
    for (const auto& [pid, role] : impl_->alive) all.push_back({.pid = pid, .role = role});
    return all;
}
void Tracer::let_go() {
    const std::lock_guard lock(impl_->mutex);
    if (impl_->stopped != 0 && impl_->alive.contains(impl_->stopped)) ::kill(impl_->stopped, SIGCONT);
    impl_->stopped = 0;
}
int Tracer::kill_all(const std::vector<std::string>& roles) {
    const std::lock_guard lock(impl_->mutex);
    int killed = 0;
    for (const auto& [pid, role] : impl_->alive)
        if (std::find(roles.begin(), roles.end(), role) != roles.end()) killed += ::kill(pid, SIGKILL) == 0 ? 1 : 0;
    return killed;
}

}  // namespace eve::crash
