#include "host_facts.hpp"

#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include <dirent.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "unique_fd.hpp"

namespace eve::kvm {
namespace {

#if defined(__x86_64__)

// What the child says by its exit code.
enum class Verdict : int { ran = 0, no_vm = 10, no_cpu = 11, failed = 12, wrong = 13 };

constexpr std::size_t guest_memory = 64U << 10;
constexpr std::uint64_t page_present_write = 3;
constexpr std::uint64_t page_large = 0x80;
constexpr std::uint16_t answer_port = 0x10;
constexpr std::uint8_t answer_byte = 0x5a;

// At 0x8000, in 64-bit mode:
//   mov $30000000, %ecx; 1: dec %ecx; jnz 1b          10 ms on a CPU, minutes in an interpreter
//   xor %eax,%eax; xor %edx,%edx; xor %ecx,%ecx; mov $1,%ebx; lock cmpxchg16b 0x9000
//   mov $0x5a, %al; out %al, $0x10; hlt
constexpr unsigned char guest_code[] = {0xb9, 0x80, 0xc3, 0xc9, 0x01, 0xff, 0xc9, 0x75, 0xfc, 0x31, 0xc0, 0x31, 0xd2, 0x31, 0xc9, 0xbb, 0x01, 0x00,
                                        0x00, 0x00, 0xf0, 0x48, 0x0f, 0xc7, 0x0c, 0x25, 0x00, 0x90, 0x00, 0x00, 0xb0, 0x5a, 0xe6, 0x10, 0xf4};

void put(unsigned char* memory, std::size_t at, std::uint64_t value) { std::memcpy(memory + at, &value, sizeof value); }

/// Long mode with the first 2 MiB mapped one to one.
bool set_long_mode(int cpu) {
    kvm_sregs sregs{};
    if (::ioctl(cpu, KVM_GET_SREGS, &sregs) != 0) return false;
    kvm_segment code{};
    code.limit = 0xffffffff;
    code.selector = 8;
    code.type = 11;
    code.present = 1;
    code.s = 1;
    code.l = 1;
    code.g = 1;
    auto data = code;
    data.selector = 16;
    data.type = 3;
    data.l = 0;
    data.db = 1;
    sregs.cs = code;
    sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
    sregs.cr3 = 0x1000;
    sregs.cr4 = 0x20;
    sregs.cr0 = 0x80050033;
    sregs.efer = 0x500;
    return ::ioctl(cpu, KVM_SET_SREGS, &sregs) == 0;
}

/// Runs in a child of its own: system calls only, since the parent may have threads that hold locks.
Verdict run_guest(int kvm, void* memory, std::size_t run_size) {
    auto* bytes = static_cast<unsigned char*>(memory);
    put(bytes, 0x1000, 0x2000 | page_present_write);
    put(bytes, 0x2000, 0x3000 | page_present_write);
    put(bytes, 0x3000, page_large | page_present_write);
    std::memcpy(bytes + 0x8000, guest_code, sizeof guest_code);

    const int vm = ::ioctl(kvm, KVM_CREATE_VM, 0);
    if (vm < 0) return Verdict::no_vm;
    kvm_userspace_memory_region region{};
    region.memory_size = guest_memory;
    region.userspace_addr = reinterpret_cast<std::uint64_t>(memory);
    if (::ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) != 0) return Verdict::no_vm;
    const int cpu = ::ioctl(vm, KVM_CREATE_VCPU, 0);
    if (cpu < 0) return Verdict::no_cpu;
    void* shared = ::mmap(nullptr, run_size, PROT_READ | PROT_WRITE, MAP_SHARED, cpu, 0);
    if (shared == MAP_FAILED || !set_long_mode(cpu)) return Verdict::no_cpu;
    kvm_regs regs{};
    regs.rip = 0x8000;
    regs.rsp = 0xf000;
    regs.rflags = 2;
    if (::ioctl(cpu, KVM_SET_REGS, &regs) != 0) return Verdict::no_cpu;
    int ran = 0;
    do ran = ::ioctl(cpu, KVM_RUN, 0);
    while (ran != 0 && errno == EINTR);
    const auto* run = static_cast<const kvm_run*>(shared);
    if (ran != 0 || run->exit_reason != KVM_EXIT_IO) return Verdict::failed;
    const auto* said = static_cast<const unsigned char*>(shared) + run->io.data_offset;
    return run->io.port == answer_port && *said == answer_byte ? Verdict::ran : Verdict::wrong;
}

/// A child that raises no SIGCHLD and is found again by descriptor: the process around a plugin may have its own ideas about children.
int fork_quietly(int& pidfd) {
    constexpr unsigned long no_signal = 0;  // clone and not clone3, which a plugin-host's filter of calls knows nothing of
    return static_cast<int>(::syscall(SYS_clone, CLONE_PIDFD | no_signal, nullptr, &pidfd, nullptr, 0));
}

#endif

bool has_entries(int directory, const char* path) {
    UniqueFd opened(::openat(directory, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!opened) return false;
    DIR* listing = ::fdopendir(::dup(opened.get()));
    if (listing == nullptr) return false;
    bool any = false;
    while (const auto* entry = ::readdir(listing)) any = any || entry->d_name[0] != '.';
    ::closedir(listing);
    return any;
}

bool opens(const char* device) { return static_cast<bool>(UniqueFd(::open(device, O_RDWR | O_CLOEXEC))); }

bool io_uring_works() {
    alignas(8) unsigned char parameters[120] = {};
    return static_cast<bool>(UniqueFd(static_cast<int>(::syscall(SYS_io_uring_setup, 4, parameters))));
}

}  // namespace

std::string why_no_kvm(std::chrono::milliseconds most) {
    UniqueFd kvm(::open("/dev/kvm", O_RDWR | O_CLOEXEC));
    if (!kvm) return errno == ENOENT ? "there is no /dev/kvm" : std::string("/dev/kvm: ") + std::strerror(errno);
    if (::ioctl(kvm.get(), KVM_GET_API_VERSION, 0) != KVM_API_VERSION) return "/dev/kvm speaks another version of the interface";
#if defined(__x86_64__)
    const int run_size = ::ioctl(kvm.get(), KVM_GET_VCPU_MMAP_SIZE, 0);
    if (run_size <= 0) return "/dev/kvm makes no virtual CPU";
    void* memory = ::mmap(nullptr, guest_memory, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return std::string("no memory to try KVM: ") + std::strerror(errno);
    int pidfd = -1;
    const int child = fork_quietly(pidfd);
    if (child == 0) ::_exit(static_cast<int>(run_guest(kvm.get(), memory, static_cast<std::size_t>(run_size))));
    ::munmap(memory, guest_memory);
    if (child < 0) return std::string("no process to try KVM: ") + std::strerror(errno);
    const UniqueFd process(pidfd);
    pollfd ended{.fd = process.get(), .events = POLLIN, .revents = 0};
    const bool in_time = ::poll(&ended, 1, static_cast<int>(most.count())) == 1;
    if (!in_time) ::syscall(SYS_pidfd_send_signal, process.get(), SIGKILL, nullptr, 0);
    siginfo_t info{};
    while (::waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(process.get()), &info, WEXITED | __WALL) != 0 && errno == EINTR) {}
    if (!in_time) return "/dev/kvm opens, but a test guest did not get through a short loop in " + std::to_string(most.count()) + " ms: it is emulated by the kernel";
    if (info.si_code != CLD_EXITED) return "the test guest's process was killed by signal " + std::to_string(info.si_status);
    switch (static_cast<Verdict>(info.si_status)) {
        case Verdict::ran: return {};
        case Verdict::no_vm: return "/dev/kvm opens, but makes no virtual machine";
        case Verdict::no_cpu: return "/dev/kvm opens, but makes no virtual CPU";
        case Verdict::failed: return "/dev/kvm opens, but KVM gave up on a test guest";
        case Verdict::wrong: return "/dev/kvm opens, but a test guest computed nonsense";
    }
    return "the test guest ended with code " + std::to_string(info.si_status);
#else
    (void)most;
    const UniqueFd machine(::ioctl(kvm.get(), KVM_CREATE_VM, 0));
    return machine ? "" : std::string("/dev/kvm makes no virtual machine: ") + std::strerror(errno);
#endif
}

HostFacts find_host_facts(int sysfs) {
    HostFacts facts;
    facts.vhost_net = opens("/dev/vhost-net");
    facts.vhost_vsock = opens("/dev/vhost-vsock");
    facts.io_uring = io_uring_works();
    facts.iommu = has_entries(sysfs, "kernel/iommu_groups");
    return facts;
}

}  // namespace eve::kvm
