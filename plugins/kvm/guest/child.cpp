#include "guest/child.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <grp.h>
#include <linux/openat2.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/files.hpp"
#include "common/rootfs.hpp"
#include "guest/devices.hpp"
#include "guest/network.hpp"

namespace eve::kvm::guest {
namespace {

using plugins::file_error;
using plugins::UniqueFd;

constexpr rlim_t files_max = 1024;  // as a container by containerd has it
constexpr std::size_t failure_max = 1024;
constexpr unsigned long long memory_reserve_kib = 8192;  // for the first process and what the kernel does for the app
constexpr std::size_t blank_check_size = 1U << 20;

std::string place_of(const UniqueFd& target) { return "/proc/self/fd/" + std::to_string(target.get()); }

Status mount_at(int root, const char* type, const std::string& path, unsigned long flags, const char* options) {
    auto target = plugins::directory_beneath(root, path);
    if (!target) return std::move(target).error().in("mount point " + path);
    if (::mount(type, place_of(*target).c_str(), type, flags, options) != 0) return file_error(path);
    return {};
}

Status bind_over(const std::string& source, const UniqueFd& target, const std::string& what) {
    if (::mount(source.c_str(), place_of(target).c_str(), nullptr, MS_BIND | MS_REC, nullptr) != 0) return file_error(what);
    return {};
}

/// A file to bind something over; made empty if there is none, where a link to it leads.
Result<UniqueFd> file_beneath(int root, const std::string& path) {
    if (auto directory = plugins::directory_beneath(root, path.substr(0, path.rfind('/'))); !directory) return std::move(directory).error();
    UniqueFd made(plugins::open_resolved(root, path.c_str(), O_WRONLY | O_CREAT | O_NONBLOCK, 0644, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS));
    if (!made)
        if (auto written = plugins::write_beneath(root, path, "", 0); !written) return std::move(written).error();
    UniqueFd file(plugins::open_resolved(root, path.c_str(), O_PATH, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS));
    if (!file) return file_error(path);
    return file;
}

bool blank(const std::string& disk) {
    const UniqueFd file(::open(disk.c_str(), O_RDONLY | O_CLOEXEC));
    std::string start(blank_check_size, '\0');
    const auto got = ::pread(file.get(), start.data(), start.size(), 0);
    return got > 0 && start.find_first_not_of('\0') >= static_cast<std::size_t>(got);
}

Status make_file_system(const std::string& disk) {
    const auto maker = ::fork();
    if (maker == 0) {
        ::execl("/bin/mke2fs", "mke2fs", "-q", "-F", "-t", "ext4", disk.c_str(), nullptr);
        std::_Exit(127);
    }
    int status = -1;
    while (maker > 0 && ::waitpid(maker, &status, 0) < 0 && errno == EINTR) {}
    if (status == 0) return {};
    return Error{.code = Code::unavailable, .what = "no file system could be made on " + disk};
}

/// The volume's file system is at `path`. A disk that is all zero at its start gets one, as EVE does.
Status mount_disk(const GuestVolume& volume, const std::string& disk, const std::string& path) {
    const unsigned long flags = volume.read_only ? MS_RDONLY : 0;
    if (!volume.read_only && blank(disk))
        if (auto made = make_file_system(disk); !made) return made;
    for (const auto* type : {"ext4", "iso9660"})
        if (::mount(disk.c_str(), path.c_str(), type, flags | (std::strcmp(type, "iso9660") == 0 ? MS_RDONLY : 0), nullptr) == 0) return {};
    return Error{.code = Code::failed_precondition, .what = "volume " + volume.target + " holds neither an ext4 nor an ISO 9660 file system"};
}

/// Where EVE lets a container find its volumes: by number, by name, and where the user wants them.
Status add_volume(int root, const GuestVolume& volume) {
    const auto by_number = "/dev/eve/volumes/by-id/" + std::to_string(volume.number);
    const auto own = "/volumes/" + std::to_string(volume.number);
    std::vector<std::string> places{by_number};
    if (!volume.name.empty()) places.push_back("/dev/eve/volumes/by-name/" + volume.name);
    std::string disk;
    if (volume.block) {
        auto found = disk_with(volume.source);
        if (!found) return std::move(found).error();
        disk = *found;
        for (const auto& place : places) {  // a device there, as a container by containerd has the volume's file
            auto directory = plugins::directory_beneath(root, place.substr(0, place.rfind('/')));
            if (!directory) return std::move(directory).error();
            if (::symlinkat(disk.c_str(), directory->get(), place.substr(place.rfind('/') + 1).c_str()) != 0 && errno != EEXIST) return file_error(place);
        }
        places.clear();
    }
    if (!volume.target.empty()) places.push_back(volume.target);
    if (places.empty()) return {};
    ::mkdir("/volumes", 0755);
    ::mkdir(own.c_str(), 0755);
    if (volume.block) {
        if (auto mounted = mount_disk(volume, disk, own); !mounted) return mounted;
    } else if (::mount(volume.source.c_str(), own.c_str(), "virtiofs", volume.read_only ? MS_RDONLY : 0, nullptr) != 0) {
        return file_error("volume " + std::to_string(volume.number));
    }
    for (const auto& place : places) {
        auto target = plugins::directory_beneath(root, place);
        if (!target) return std::move(target).error().in("mount point " + place);
        if (auto bound = bind_over(own, *target, place); !bound) return bound;
    }
    return {};
}

Status furnish(const GuestOrder& order) {
    auto root = plugins::open_rootfs(root_path);
    if (!root) return std::move(root).error();
    struct Place {
        const char* path;
        const char* type;
        unsigned long flags;
        const char* options;
    };
    for (const auto& [path, type, flags, options] :
         {Place{"/proc", "proc", MS_NOSUID | MS_NOEXEC | MS_NODEV, nullptr}, {"/dev", "devtmpfs", MS_NOSUID, nullptr},
          {"/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5"},
          {"/dev/shm", "tmpfs", MS_NOSUID | MS_NOEXEC | MS_NODEV, "mode=1777,size=65536k"}, {"/dev/mqueue", "mqueue", MS_NOSUID | MS_NOEXEC | MS_NODEV, nullptr},
          {"/sys", "sysfs", MS_NOSUID | MS_NOEXEC | MS_NODEV, nullptr}, {"/sys/fs/cgroup", "cgroup2", MS_NOSUID | MS_NOEXEC | MS_NODEV, nullptr},
          {"/run", "tmpfs", MS_NOSUID, "mode=755,size=65536k"}})
        if (auto mounted = mount_at(root->get(), type, path, flags, options); !mounted) return mounted;
    for (const auto& [name, target] : {std::pair{"fd", "/proc/self/fd"}, {"stdin", "/proc/self/fd/0"}, {"stdout", "/proc/self/fd/1"}, {"stderr", "/proc/self/fd/2"}})
        if (::symlink(target, (std::string(root_path) + "/dev/" + name).c_str()) != 0 && errno != EEXIST) return file_error(name);
    if (!order.macs.empty()) {
        auto target = file_beneath(root->get(), "/etc/resolv.conf");
        if (!target) return std::move(target).error().in("/etc/resolv.conf");
        if (auto bound = bind_over(resolv_conf_path, *target, "/etc/resolv.conf"); !bound) return bound;
    }
    for (const auto& volume : order.volumes)
        if (auto added = add_volume(root->get(), volume); !added) return added;
    if (auto cwd = plugins::directory_beneath(root->get(), order.cwd); !cwd && !order.read_only) return std::move(cwd).error().in("working directory");
    if (order.read_only && ::mount(nullptr, root_path, nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr) != 0) return file_error("read-only root");
    return {};
}

Status enter(const GuestOrder& order) {
    if (::chdir(root_path) != 0 || ::mount(".", "/", nullptr, MS_MOVE, nullptr) != 0 || ::chroot(".") != 0) return file_error("root file system");
    if (::chdir(order.cwd.c_str()) != 0) return file_error("working directory " + order.cwd);
    return {};
}

Status become_user(const GuestOrder& order) {
    const rlimit files{.rlim_cur = files_max, .rlim_max = files_max};
    if (::setrlimit(RLIMIT_NOFILE, &files) != 0) return file_error("limit of open files");
    const std::vector<gid_t> groups(order.groups.begin(), order.groups.end());
    if (::setgroups(groups.size(), groups.data()) != 0 || ::setresgid(order.gid, order.gid, order.gid) != 0 || ::setresuid(order.uid, order.uid, order.uid) != 0)
        return file_error("user");
    ::umask(022);
    return {};
}

Status run_program(const GuestOrder& order) {
    std::vector<char*> argv;
    std::vector<char*> env;
    for (const auto& arg : order.args) argv.push_back(const_cast<char*>(arg.c_str()));
    for (const auto& variable : order.env) {
        env.push_back(const_cast<char*>(variable.c_str()));
        if (variable.starts_with("PATH=")) ::setenv("PATH", variable.c_str() + 5, 1);
    }
    argv.push_back(nullptr);
    env.push_back(nullptr);
    for (int signal = 1; signal < NSIG; ++signal) ::signal(signal, SIG_DFL);
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::execvpe(argv[0], argv.data(), env.data());
    return file_error(order.args.front());
}

/// In the new process: only returns if it failed.
Status become_app(const GuestOrder& order, const UniqueFd& output, const UniqueFd& errors) {
    ::setsid();
    write_text("/proc/self/oom_score_adj", "0");
    if (!write_text(std::string(group_path) + "/cgroup.procs", "0")) return file_error("control group");
    if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return file_error("mounts of its own");
    if (::sethostname(order.host_name.c_str(), order.host_name.size()) != 0) return file_error("host name");
    if (auto furnished = furnish(order); !furnished) return furnished;
    const UniqueFd input(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (auto entered = enter(order); !entered) return entered;
    for (const auto& [from, to] : {std::pair{input.get(), 0}, {output.get(), 1}, {errors.get(), 2}}) {
        ::fchown(from, to == 0 ? 0 : order.uid, static_cast<gid_t>(-1));  // a program may open /dev/stdout
        if (::dup2(from, to) < 0) return file_error("standard streams");
    }
    if (auto user = become_user(order); !user) return user;
    return run_program(order);
}

}  // namespace

Result<AppProcess> start_app(const GuestOrder& order) {
    write_text("/sys/fs/cgroup/cgroup.subtree_control", "+memory");  // its events tell of kills for want of memory
    ::mkdir(group_path, 0755);
    // What the app may have ends before the machine's memory does: else the kernel reads the app's own program again and again before it gives up.
    const auto memory = text_of("/proc/meminfo");
    const auto at = memory.find("MemAvailable:");
    const auto available_kib = at == std::string::npos ? 0 : std::strtoull(memory.c_str() + at + 13, nullptr, 10);
    if (available_kib > 2 * memory_reserve_kib) write_text(std::string(group_path) + "/memory.max", std::to_string((available_kib - memory_reserve_kib) << 10));
    int output[2];
    int errors[2];
    int failure[2];
    if (::pipe2(output, O_CLOEXEC) != 0 || ::pipe2(errors, O_CLOEXEC) != 0 || ::pipe2(failure, O_CLOEXEC) != 0) return file_error("pipe");
    AppProcess app{.output = UniqueFd(output[0]), .errors = UniqueFd(errors[0])};
    const UniqueFd failure_end(failure[0]);
    {
        const UniqueFd output_end(output[1]);
        const UniqueFd errors_end(errors[1]);
        const UniqueFd told(failure[1]);
        app.pid = static_cast<pid_t>(::syscall(SYS_clone, CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC | SIGCHLD, 0, 0, 0, 0));
        if (app.pid == 0) {
            const auto failed = become_app(order, output_end, errors_end);
            const auto& what = failed.error().what;
            [[maybe_unused]] const auto written = ::write(told.get(), what.data(), std::min(what.size(), failure_max));
            std::_Exit(127);
        }
        if (app.pid < 0) return file_error("the app's process");
    }
    std::string why(failure_max, '\0');
    ssize_t got = 0;
    while ((got = ::read(failure_end.get(), why.data(), why.size())) < 0 && errno == EINTR) {}
    if (got <= 0) {
        ::fcntl(app.output.get(), F_SETFL, O_NONBLOCK);
        ::fcntl(app.errors.get(), F_SETFL, O_NONBLOCK);
        return app;
    }
    why.resize(static_cast<std::size_t>(got));
    return Error{.code = Code::failed_precondition, .what = "the app could not be started: " + why};
}

}  // namespace eve::kvm::guest
