#pragma once
// What a process of the node may still do: capabilities dropped for itself and for all that it starts. Only system calls, so that it can be
// called between fork and exec and in programs of one page.

#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdint>

namespace eve::rights {

constexpr std::uint64_t bit(unsigned capability) { return std::uint64_t{1} << capability; }
template <class... Numbers> constexpr std::uint64_t set_of(Numbers... capabilities) {
    return (std::uint64_t{0} | ... | bit(static_cast<unsigned>(capabilities)));
}

/// The node itself: files and processes of other users, networks, mounts, cgroups, devices; the network namespaces of containers, which the
/// kernel opens only to who could trace them. Not: modules, the clock, raw audit, reboot, kernel logs.
inline constexpr std::uint64_t node =
    set_of(CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER, CAP_FSETID, CAP_KILL, CAP_SETGID, CAP_SETUID, CAP_SETPCAP,
           CAP_NET_BIND_SERVICE, CAP_NET_ADMIN, CAP_NET_RAW, CAP_IPC_LOCK, CAP_SYS_RAWIO, CAP_SYS_CHROOT, CAP_SYS_PTRACE, CAP_SYS_ADMIN,
           CAP_SYS_NICE, CAP_SYS_RESOURCE, CAP_MKNOD);
/// A plugin-host whose guests are started by keepers: files for other users, taps, signals, limits. No change of user, no mounts.
inline constexpr std::uint64_t plugin_host = set_of(CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER, CAP_FSETID, CAP_KILL,
                                                    CAP_NET_ADMIN, CAP_IPC_LOCK, CAP_SYS_NICE, CAP_SYS_RESOURCE);
/// containerd's: the same, into network namespaces of containers, which the kernel opens only to who could trace them; DHCP on low ports.
inline constexpr std::uint64_t containerd_host =
    set_of(CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER, CAP_FSETID, CAP_KILL, CAP_NET_ADMIN, CAP_NET_RAW, CAP_NET_BIND_SERVICE,
           CAP_SYS_PTRACE, CAP_SYS_ADMIN, CAP_SYS_RESOURCE);
/// pci's: sysfs, /dev/vfio, virtual functions over netlink, whole configuration spaces, locked memory. No other users, processes or mounts.
inline constexpr std::uint64_t pci_host = set_of(CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER, CAP_NET_ADMIN, CAP_IPC_LOCK,
                                                 CAP_SYS_RAWIO, CAP_SYS_ADMIN, CAP_SYS_RESOURCE);
/// xen's: libxl starts QEMU and helpers itself, as other users and in other roots. No packets of its own, no tracing, no device nodes.
inline constexpr std::uint64_t xen_host = node & ~set_of(CAP_NET_RAW, CAP_NET_BIND_SERVICE, CAP_SYS_PTRACE, CAP_MKNOD);
/// A keeper after its guest has begun: the top of a cgroup hierarchy lets nobody remove what is in it without this.
inline constexpr std::uint64_t keeper = set_of(CAP_DAC_OVERRIDE);

/// This process has at most these capabilities, and so has whatever it executes; no program can give it more (NoNewPrivs). Of a process with
/// several threads only the caller and threads made later are changed. False: the kernel refused, errno says why.
inline bool keep_only(std::uint64_t capabilities) noexcept {
    __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    std::array<__user_cap_data_struct, 2> data{};
    if (::syscall(SYS_capget, &header, data.data()) != 0) return false;
    const std::uint64_t effective = data[0].effective | std::uint64_t{data[1].effective} << 32U;
    constexpr unsigned last = 63;
    if ((effective & bit(CAP_SETPCAP)) != 0)
        for (unsigned capability = 0; capability <= last; ++capability)
            if ((capabilities & bit(capability)) == 0 && ::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0 && errno != EINVAL) return false;
    (void)::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    for (unsigned half = 0; half < data.size(); ++half) {
        const auto kept = static_cast<std::uint32_t>(capabilities >> (32U * half));
        data[half].effective &= kept;
        data[half].permitted &= kept;
        data[half].inheritable = 0;
    }
    if (::syscall(SYS_capset, &header, data.data()) != 0) return false;
    return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}

}  // namespace eve::rights
