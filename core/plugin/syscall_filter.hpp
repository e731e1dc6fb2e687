#pragma once
// Which system calls a process of the node may still make (seccomp). Only system calls itself, so that programs of one page can use it. What is
// refused returns an error instead of ending the process: a library that tries something and does without goes on, and a keeper that died would
// take with it how its guest will end.

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <array>
#include <cstdint>

namespace eve::rights {

namespace detail {

#if defined(__x86_64__)
inline constexpr std::uint32_t architecture = AUDIT_ARCH_X86_64;
inline constexpr std::uint32_t foreign_from = 0x40000000;  // the x32 ABI has numbers of its own
#elif defined(__aarch64__)
inline constexpr std::uint32_t architecture = AUDIT_ARCH_AARCH64;
inline constexpr std::uint32_t foreign_from = 0xffffffff;
#elif defined(__riscv) && __riscv_xlen == 64
inline constexpr std::uint32_t architecture = AUDIT_ARCH_RISCV64;
inline constexpr std::uint32_t foreign_from = 0xffffffff;
#else
#error "say which audit architecture this is"
#endif

/// A program of the kernel's packet filter, written front to back.
class Filter {
public:
    constexpr Filter() {
        load(offsetof(seccomp_data, arch));
        add(BPF_JMP | BPF_JEQ | BPF_K, architecture, 1, 0);
        add(BPF_RET | BPF_K, refused(EPERM));
        load(offsetof(seccomp_data, nr));
        add(BPF_JMP | BPF_JGE | BPF_K, foreign_from, 0, 1);
        add(BPF_RET | BPF_K, refused(EPERM));
    }
    constexpr void answer(long call, std::uint32_t with) {
        add(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(call), 0, 1);
        add(BPF_RET | BPF_K, with);
    }
    /// The call with one of these bits in its first argument.
    constexpr void refuse_flags(long call, std::uint32_t bits) {
        add(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(call), 0, 4);
        load(offsetof(seccomp_data, args));  // the low half: these machines are little-endian
        add(BPF_JMP | BPF_JSET | BPF_K, bits, 0, 1);
        add(BPF_RET | BPF_K, refused(EPERM));
        add(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    }
    constexpr void otherwise(std::uint32_t with) { add(BPF_RET | BPF_K, with); }

    /// For this thread and what it starts from now on. Needs NoNewPrivs, or CAP_SYS_ADMIN.
    bool apply() noexcept {
        sock_fprog program{.len = size_, .filter = code_.data()};
        return ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0;
    }

    static constexpr std::uint32_t refused(int error) { return SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(error); }

private:
    constexpr void load(std::size_t offset) { add(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset)); }
    constexpr void add(unsigned code, std::uint32_t k, std::uint8_t yes = 0, std::uint8_t no = 0) {
        code_[size_++] = sock_filter{.code = static_cast<std::uint16_t>(code), .jt = yes, .jf = no, .k = k};
    }
    std::array<sock_filter, 256> code_{};
    std::uint16_t size_ = 0;
};

}  // namespace detail

/// What no plugin has a use for, whatever library it links: changing the kernel, its clock or its swap, looking into other processes, and the
/// parts of the kernel that have been broken into most (user namespaces, bpf, performance counters, page faults in user space, keys).
inline bool refuse_what_no_plugin_needs() noexcept {
    detail::Filter filter;
    constexpr auto no = detail::Filter::refused(EPERM);
    for (const long call : {
             // the kernel itself
             SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_kexec_load, SYS_reboot, SYS_syslog, SYS_acct, SYS_swapon, SYS_swapoff,
             SYS_pivot_root, SYS_quotactl, SYS_sethostname, SYS_setdomainname,
#ifdef SYS_kexec_file_load
             SYS_kexec_file_load,
#endif
#ifdef SYS_iopl
             SYS_iopl, SYS_ioperm, SYS_modify_ldt,
#endif
             // the clock
             SYS_settimeofday, SYS_clock_settime, SYS_clock_adjtime, SYS_adjtimex,
             // other processes
             SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_kcmp, SYS_pidfd_getfd, SYS_open_by_handle_at, SYS_fanotify_init,
             // what is broken into
             SYS_bpf, SYS_perf_event_open, SYS_userfaultfd, SYS_add_key, SYS_request_key, SYS_keyctl, SYS_personality, SYS_move_pages,
         })
        filter.answer(call, no);
    filter.refuse_flags(SYS_unshare, CLONE_NEWUSER);
    filter.refuse_flags(SYS_clone, CLONE_NEWUSER);
    filter.answer(SYS_clone3, detail::Filter::refused(ENOSYS));  // its flags are out of a filter's sight; libraries fall back to clone
    filter.otherwise(SECCOMP_RET_ALLOW);
    return filter.apply();
}

/// All that a keeper does once its guest has begun: it waits, watches and shortens logs, writes one file, removes groups, ends.
inline bool allow_only_what_a_keeper_needs() noexcept {
    detail::Filter filter;
    for (const long call : {
             SYS_read, SYS_write, SYS_close, SYS_openat, SYS_fstat, SYS_newfstatat, SYS_lseek, SYS_sendfile, SYS_ftruncate, SYS_fsync,
             SYS_unlinkat, SYS_wait4, SYS_ppoll, SYS_pidfd_open, SYS_inotify_init1, SYS_inotify_add_watch, SYS_nanosleep,
             SYS_clock_nanosleep, SYS_clock_gettime, SYS_restart_syscall, SYS_exit_group, SYS_exit, SYS_getpid, SYS_gettid, SYS_tgkill,
             SYS_rt_sigreturn, SYS_rt_sigprocmask, SYS_rt_sigaction, SYS_sigaltstack, SYS_futex, SYS_getrandom,
             SYS_brk, SYS_mmap, SYS_munmap, SYS_mremap, SYS_mprotect, SYS_madvise,
#ifdef SYS_poll
             SYS_poll,
#endif
#ifdef SYS_rmdir
             SYS_rmdir,
#endif
#ifdef SYS_renameat
             SYS_renameat,
#endif
#ifdef SYS_renameat2
             SYS_renameat2,
#endif
         })
        filter.answer(call, SECCOMP_RET_ALLOW);
    filter.otherwise(detail::Filter::refused(EPERM));
    return filter.apply();
}

}  // namespace eve::rights
