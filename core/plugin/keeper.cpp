// keeper: the parent of one guest's process. It starts the guest in a session and a cgroup of its own, without privileges it was not given,
// writes down who it is before it runs and how it ended, keeps its logs short, and does nothing else: so that guests outlive the node and
// every plugin, and the end of none is lost. Standard library and POSIX only; about one page of memory of its own.
//
// Started by core/plugin/spawn.cpp with: 3 the order ("key=value" texts, each ended by NUL), 4 where to report, 5 the run directory,
// 6 and up the guest's descriptors. Its files are described in eve/sdk/kept_process.hpp.

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/plugin/rights.hpp"
#include "core/plugin/syscall_filter.hpp"
#include "eve/sdk/kept_process.hpp"

namespace {

constexpr int order_fd = 3;
constexpr int report_fd = 4;
constexpr int run_dir_fd = 5;
constexpr int first_guest_fd = 6;
constexpr unsigned last_cap_max = 63;

struct GuestFd {
    int from;
    int to;
};

struct Order {
    std::string name;
    std::string cgroup_parent;
    std::vector<std::string> argv;
    std::vector<std::string> env;
    int cwd = run_dir_fd;
    std::vector<GuestFd> fds;
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    std::vector<gid_t> groups;
    std::vector<unsigned> capabilities;
    std::uint64_t memory_max = 0;
    std::uint32_t cpu_percent_max = 0;
    std::string cpus;
    std::uint64_t core_max = 0;
    std::uint64_t memlock_max = 0;
    std::uint64_t files_max = 0;
    std::uint64_t log_max = 0;
};

/// One hierarchy of cgroups, as mounted here.
struct Hierarchy {
    std::string mount;
    bool v2 = false;
    std::vector<std::string> controllers;
    std::string group;  // the guest's directory, once made

    bool has(std::string_view controller) const {
        return std::any_of(controllers.begin(), controllers.end(), [&](const auto& c) { return c == controller; });
    }
};

class Report {
public:
    void line(std::string_view name, std::string_view value) { text_.append(name).append(" ").append(one_line(value)).append("\n"); }
    void note(std::string_view text) { line("note", text); }
    /// What the node waits for. After it the node is of no concern any more.
    void send() {
        std::string_view rest = text_;
        while (!rest.empty()) {
            const auto sent = ::write(report_fd, rest.data(), rest.size());
            if (sent < 0 && errno == EINTR) continue;
            if (sent <= 0) break;
            rest.remove_prefix(static_cast<std::size_t>(sent));
        }
        ::close(report_fd);
        text_.clear();
    }
    /// The directory is free again by the time the node hears of it.
    void holds(int lock) { lock_ = lock; }
    [[noreturn]] void fail(std::string_view code, std::string_view what) {
        if (lock_ >= 0) ::close(lock_);
        text_.clear();
        line("error", std::string(code) + " " + std::string(what));
        send();
        std::_Exit(1);
    }

private:
    static std::string one_line(std::string_view text) {
        std::string line(text);
        std::replace(line.begin(), line.end(), '\n', ' ');
        return line;
    }
    std::string text_;
    int lock_ = -1;
};

std::string reason(int number) { return std::strerror(number); }

std::string read_all(int fd) {
    std::string text;
    char buffer[4096];
    for (;;) {
        const auto got = ::read(fd, buffer, sizeof buffer);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return text;
        text.append(buffer, static_cast<std::size_t>(got));
    }
}

std::string read_path(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return {};
    auto text = read_all(fd);
    ::close(fd);
    while (!text.empty() && text.back() == '\n') text.pop_back();
    return text;
}

/// 0, or the errno. Kernel files want one write.
int write_path(const std::string& path, std::string_view text) {
    const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    if (fd < 0) return errno;
    const auto wrote = ::write(fd, text.data(), text.size());
    const int failure = wrote < 0 ? errno : 0;
    ::close(fd);
    return failure;
}

template <class Number> Number number(std::string_view text) {
    Number value{};
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

Order parse_order(std::string_view text) {
    Order order;
    while (!text.empty()) {
        const auto end = text.find('\0');
        const auto item = text.substr(0, end);
        text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
        const auto equals = item.find('=');
        if (equals == std::string_view::npos) continue;
        const auto key = item.substr(0, equals);
        const auto value = item.substr(equals + 1);
        if (key == "name") order.name = value;
        else if (key == "cgroup_parent") order.cgroup_parent = value;
        else if (key == "argv") order.argv.emplace_back(value);
        else if (key == "env") order.env.emplace_back(value);
        else if (key == "cwd") order.cwd = number<int>(value);
        else if (key == "fd") order.fds.push_back({.from = number<int>(value), .to = number<int>(value.substr(value.find(':') + 1))});
        else if (key == "uid") order.uid = number<std::uint32_t>(value);
        else if (key == "gid") order.gid = number<std::uint32_t>(value);
        else if (key == "group") order.groups.push_back(number<gid_t>(value));
        else if (key == "capability") order.capabilities.push_back(number<unsigned>(value));
        else if (key == "memory_max") order.memory_max = number<std::uint64_t>(value);
        else if (key == "cpu_percent_max") order.cpu_percent_max = number<std::uint32_t>(value);
        else if (key == "cpus") order.cpus = value;
        else if (key == "core_max") order.core_max = number<std::uint64_t>(value);
        else if (key == "memlock_max") order.memlock_max = number<std::uint64_t>(value);
        else if (key == "files_max") order.files_max = number<std::uint64_t>(value);
        else if (key == "log_max") order.log_max = number<std::uint64_t>(value);
    }
    return order;
}

std::string utc_now() {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    tm parts{};
    ::gmtime_r(&now.tv_sec, &parts);
    char text[32];
    const auto size = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    return {text, size};
}

/// The file is there whole, also after a power cut, or it is as it was.
int write_durably(int dir, const char* name, std::string_view text) {
    const std::string temporary = std::string(name) + ".new";
    const int fd = ::openat(dir, temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0) return errno;
    int failure = 0;
    while (!text.empty() && failure == 0) {
        const auto wrote = ::write(fd, text.data(), text.size());
        if (wrote < 0 && errno != EINTR) failure = errno;
        if (wrote > 0) text.remove_prefix(static_cast<std::size_t>(wrote));
    }
    if (failure == 0 && ::fsync(fd) != 0) failure = errno;
    ::close(fd);
    if (failure == 0 && ::renameat(dir, temporary.c_str(), dir, name) != 0) failure = errno;
    if (failure == 0) ::fsync(dir);
    return failure;
}

// ---- logs ----

/// The files of the run directory that the guest may append to, by name.
std::vector<std::string> logs_of(const Order& order, int run_dir) {
    std::vector<std::string> names;
    if (order.log_max == 0) return names;
    for (const auto& fd : order.fds) {
        struct stat given {};
        struct stat found {};
        const int flags = ::fcntl(fd.from, F_GETFL);
        if (flags < 0 || (flags & O_APPEND) == 0 || ::fstat(fd.from, &given) != 0 || !S_ISREG(given.st_mode)) continue;
        char target[PATH_MAX];
        const auto size = ::readlink(("/proc/self/fd/" + std::to_string(fd.from)).c_str(), target, sizeof target);
        if (size <= 0 || size == static_cast<ssize_t>(sizeof target)) continue;
        const std::string path(target, static_cast<std::size_t>(size));
        auto name = path.substr(path.rfind('/') + 1);
        const bool here = ::fstatat(run_dir, name.c_str(), &found, AT_SYMLINK_NOFOLLOW) == 0;
        if (!here || found.st_dev != given.st_dev || found.st_ino != given.st_ino) continue;
        if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(std::move(name));
    }
    return names;
}

/// A log over its limit keeps its end in NAME.1 and begins anew. Who appends to it goes on.
void shorten(int run_dir, const std::string& name, std::uint64_t size_max) {
    const int log = ::openat(run_dir, name.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    struct stat facts {};
    if (log >= 0 && ::fstat(log, &facts) == 0 && S_ISREG(facts.st_mode) && static_cast<std::uint64_t>(facts.st_size) > size_max) {
        const auto kept = name + ".1";
        const auto temporary = kept + ".tmp";
        const int end = ::openat(run_dir, temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
        auto at = facts.st_size - static_cast<off_t>(size_max);
        while (end >= 0 && at < facts.st_size && ::sendfile(end, log, &at, static_cast<std::size_t>(facts.st_size - at)) > 0) {}
        if (end >= 0) ::close(end);
        if (end >= 0 && at == facts.st_size) ::renameat(run_dir, temporary.c_str(), run_dir, kept.c_str());
        else ::unlinkat(run_dir, temporary.c_str(), 0);  // a full disk: the room counts more
        [[maybe_unused]] const int emptied = ::ftruncate(log, 0);
    }
    if (log >= 0) ::close(log);
}

/// Until the guest has ended. Sleeps while nothing is written, and looks once a second while something is.
void watch_logs(pid_t guest, int run_dir, const std::vector<std::string>& logs, std::uint64_t size_max) {
    constexpr int pause_ms = 1000;
    const int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, guest, 0));
    const int changes = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    for (const auto& name : logs) {
        const auto path = "/proc/self/fd/" + std::to_string(run_dir) + "/" + name;
        if (changes >= 0) ::inotify_add_watch(changes, path.c_str(), IN_MODIFY);
    }
    pollfd wait[2] = {{.fd = pidfd, .events = POLLIN, .revents = 0}, {.fd = changes, .events = POLLIN, .revents = 0}};
    while (pidfd >= 0 && changes >= 0) {
        if (::poll(wait, 2, -1) < 0 && errno != EINTR) break;
        if (wait[0].revents != 0) break;
        alignas(inotify_event) char events[1024];
        while (::read(changes, events, sizeof events) > 0) {}
        for (const auto& name : logs) shorten(run_dir, name, size_max);
        if (::poll(wait, 1, pause_ms) > 0) break;
    }
    if (pidfd >= 0) ::close(pidfd);
    if (changes >= 0) ::close(changes);
}

// ---- cgroups ----

std::vector<std::string> split(std::string_view text, char at) {
    std::vector<std::string> parts;
    while (!text.empty()) {
        const auto end = text.find(at);
        parts.emplace_back(text.substr(0, end));
        text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
    }
    return parts;
}

std::vector<Hierarchy> find_hierarchies() {
    std::vector<Hierarchy> found;
    for (const auto& line : split(read_path("/proc/self/mountinfo"), '\n')) {
        const auto dash = line.find(" - ");
        if (dash == std::string::npos) continue;
        const auto mount = split(std::string_view(line).substr(0, dash), ' ');
        const auto type = split(std::string_view(line).substr(dash + 3), ' ');
        if (mount.size() < 5 || type.size() < 3) continue;
        Hierarchy hierarchy{.mount = mount[4], .v2 = type[0] == "cgroup2"};
        if (type[0] == "cgroup") {
            for (auto& option : split(type[2], ','))
                if (option != "rw" && option != "ro" && option != "xattr") hierarchy.controllers.push_back(std::move(option));
        } else if (hierarchy.v2) {
            hierarchy.controllers = split(read_path(hierarchy.mount + "/cgroup.controllers"), ' ');
        } else {
            continue;
        }
        const bool twice = std::any_of(found.begin(), found.end(), [&](const auto& other) {
            return other.v2 == hierarchy.v2 && (hierarchy.v2 || other.controllers == hierarchy.controllers);
        });
        if (!twice) found.push_back(std::move(hierarchy));
    }
    return found;
}

/// A v1 cpuset takes no process before it has CPUs and memory nodes.
void inherit_cpuset(const std::string& group) {
    const auto above = group.substr(0, group.rfind('/'));
    for (const char* file : {"/cpuset.cpus", "/cpuset.mems"})
        if (read_path(group + file).empty()) write_path(group + file, read_path(above + file));
}

int make_group(const Hierarchy& hierarchy, const std::string& parent, const std::string& group) {
    constexpr int attempts = 3;  // another keeper may remove the empty parent between our two steps
    int failure = 0;
    for (int attempt = 0; attempt < attempts; ++attempt) {
        failure = 0;
        if (::mkdir(parent.c_str(), 0755) != 0 && errno != EEXIST) return errno;
        if (hierarchy.has("cpuset") && !hierarchy.v2) inherit_cpuset(parent);
        if (hierarchy.v2)
            for (const char* controller : {"+memory", "+cpu", "+cpuset", "+pids"}) {
                write_path(hierarchy.mount + "/cgroup.subtree_control", controller);
                write_path(parent + "/cgroup.subtree_control", controller);
            }
        if (::mkdir(group.c_str(), 0755) == 0 || errno == EEXIST) break;
        failure = errno;
        if (failure != ENOENT) break;
    }
    if (failure == 0 && hierarchy.has("cpuset") && !hierarchy.v2) inherit_cpuset(group);
    return failure;
}

void set_limits(const Order& order, const Hierarchy& hierarchy, Report& report) {
    const auto set = [&](bool wanted, const char* file, const std::string& value, const char* name) {
        if (!wanted) return;
        if (const int failure = write_path(hierarchy.group + file, value); failure != 0)
            report.note(std::string("no ") + name + " limit: " + hierarchy.group + file + ": " + reason(failure));
    };
    constexpr std::uint64_t period_us = 100'000;
    const auto quota = std::to_string(std::uint64_t{order.cpu_percent_max} * period_us / 100);
    if (hierarchy.has("memory"))
        set(order.memory_max != 0, hierarchy.v2 ? "/memory.max" : "/memory.limit_in_bytes", std::to_string(order.memory_max), "memory");
    if (hierarchy.has("cpu"))
        set(order.cpu_percent_max != 0, hierarchy.v2 ? "/cpu.max" : "/cpu.cfs_quota_us",
            hierarchy.v2 ? quota + " " + std::to_string(period_us) : quota, "CPU time");
    if (hierarchy.has("cpuset")) set(!order.cpus.empty(), "/cpuset.cpus", order.cpus, "CPU");
}

/// The guest's groups; this process moves beside them, out of the group of whatever service started it. They are noted before they are made:
/// whoever clears away after a keeper that was killed finds them.
std::vector<Hierarchy> make_groups(const Order& order, int run_dir, Report& report) {
    std::vector<Hierarchy> made;
    if (order.cgroup_parent.empty()) return made;
    std::string failures;
    auto hierarchies = find_hierarchies();
    std::string planned;
    for (const auto& hierarchy : hierarchies) planned += hierarchy.mount + "/" + order.cgroup_parent + "/" + order.name + "\n";
    if (const int failure = write_durably(run_dir, eve::sdk::planned_cgroups_file, planned); failure != 0)
        report.fail("unavailable", "the groups of the process could not be noted: " + reason(failure));
    for (auto& hierarchy : hierarchies) {
        const auto parent = hierarchy.mount + "/" + order.cgroup_parent;
        const auto group = parent + "/" + order.name;
        if (const int failure = make_group(hierarchy, parent, group); failure != 0) {
            failures += (failures.empty() ? "" : "; ") + group + ": " + reason(failure);
            continue;
        }
        hierarchy.group = group;
        set_limits(order, hierarchy, report);
        if (make_group(hierarchy, parent, parent + "/keepers") == 0) write_path(parent + "/keepers/cgroup.procs", "0");
        made.push_back(hierarchy);
    }
    if (hierarchies.empty()) report.note("no cgroup of its own: no cgroup file system is mounted");
    else if (!failures.empty()) report.note((made.empty() ? "no cgroup of its own: " : "not in every cgroup of its own: ") + failures);
    for (const auto& [wanted, controller] : {std::pair(order.memory_max != 0, "memory"), std::pair(order.cpu_percent_max != 0, "cpu"),
                                             std::pair(!order.cpus.empty(), "cpuset")})
        if (wanted && std::none_of(made.begin(), made.end(), [&, c = controller](const auto& h) { return h.has(c); }))
            report.note(std::string("no ") + controller + " limit: no cgroup controller for it here");
    return made;
}

void remove_groups(const Order& order, int run_dir, const std::vector<Hierarchy>& groups) {
    for (const auto& hierarchy : groups) {
        const auto parent = hierarchy.mount + "/" + order.cgroup_parent;
        ::rmdir(hierarchy.group.c_str());
        write_path(hierarchy.mount + "/cgroup.procs", "0");
        ::rmdir((parent + "/keepers").c_str());  // stays while another keeper is in it
        ::rmdir(parent.c_str());
    }
    ::unlinkat(run_dir, eve::sdk::planned_cgroups_file, 0);
}

/// No file is reached any more but in the run directory and the cgroups. Kernels without landlock are left alone.
void restrict_files(int run_dir, const std::vector<Hierarchy>& groups) {
    landlock_ruleset_attr rules{};
    rules.handled_access_fs = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1U) - 1;  // all of the first version
    const auto ruleset = static_cast<int>(::syscall(SYS_landlock_create_ruleset, &rules, sizeof rules, 0));
    if (ruleset < 0) return;
    const auto allow = [&](int directory, std::uint64_t access) {
        landlock_path_beneath_attr beneath{};
        beneath.allowed_access = access;
        beneath.parent_fd = directory;
        ::syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0);
    };
    constexpr std::uint64_t reads = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR, writes = reads | LANDLOCK_ACCESS_FS_WRITE_FILE;
    allow(run_dir, writes | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REMOVE_FILE);
    for (const auto& hierarchy : groups) {
        const int mount = ::open(hierarchy.mount.c_str(), O_PATH | O_CLOEXEC);
        if (mount < 0) continue;
        allow(mount, writes | LANDLOCK_ACCESS_FS_REMOVE_DIR);
        ::close(mount);
    }
    ::syscall(SYS_landlock_restrict_self, ruleset, 0);
    ::close(ruleset);
}

bool killed_for_memory(const std::vector<Hierarchy>& groups) {
    for (const auto& hierarchy : groups) {
        if (!hierarchy.has("memory")) continue;
        for (const auto& line : split(read_path(hierarchy.group + (hierarchy.v2 ? "/memory.events" : "/memory.oom_control")), '\n'))
            if (line.starts_with("oom_kill ") && number<std::uint64_t>(std::string_view(line).substr(9)) > 0) return true;
    }
    return false;
}

// ---- the guest's side of the fork ----

struct ExecFailure {
    char stage[24] = {};
    int number = 0;
};

[[noreturn]] void give_up(int to, const char* stage) {
    ExecFailure failure{.number = errno};
    std::strncpy(failure.stage, stage, sizeof failure.stage - 1);
    [[maybe_unused]] const auto wrote = ::write(to, &failure, sizeof failure);
    std::_Exit(127);
}

bool drop_privileges(const Order& order) {
    const auto keeps = [&](unsigned cap) { return std::find(order.capabilities.begin(), order.capabilities.end(), cap) != order.capabilities.end(); };
    const bool root = ::geteuid() == 0;
    if (root) {
        if (::setgroups(order.groups.size(), order.groups.data()) != 0) return false;
        for (unsigned cap = 0; cap <= last_cap_max; ++cap)
            if (!keeps(cap) && ::prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) != 0 && errno != EINVAL && errno != EPERM) return false;
        if (order.uid != 0 && ::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) return false;
    }
    if (::setresgid(order.gid, order.gid, order.gid) != 0 || ::setresuid(order.uid, order.uid, order.uid) != 0) return false;
    if (root) {
        __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
        __user_cap_data_struct data[2] = {};
        for (const unsigned cap : order.capabilities) {
            if (cap > last_cap_max) continue;
            auto& half = data[cap / 32];
            half.effective |= 1U << (cap % 32);
            half.permitted = half.effective;
            half.inheritable = half.effective;
        }
        if (::syscall(SYS_capset, &header, data) != 0) return false;
        ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
        for (const unsigned cap : order.capabilities)
            if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) != 0) return false;
    }
    return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}

bool limit(int resource, std::uint64_t value) {
    const rlimit both{.rlim_cur = value, .rlim_max = value};
    return ::setrlimit(static_cast<__rlimit_resource>(resource), &both) == 0;
}

[[noreturn]] void become_guest(const Order& order, int go, int failure_to) {
    char token = 0;
    ssize_t got = 0;
    do got = ::read(go, &token, 1);
    while (got < 0 && errno == EINTR);
    if (got != 1) std::_Exit(127);  // the keeper died before it could write us down

    ::setsid();
    for (int signal = 1; signal < NSIG; ++signal) ::signal(signal, SIG_DFL);
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    write_path("/proc/self/oom_score_adj", "0");
    ::umask(077);

    if (::fchdir(order.cwd) != 0) give_up(failure_to, "working directory");
    // Every source goes out of the way of every target first.
    int high_from = 256;
    for (const auto& fd : order.fds) high_from = std::max(high_from, fd.to + 1);
    const int out = ::fcntl(failure_to, F_DUPFD_CLOEXEC, high_from);
    if (out < 0) give_up(failure_to, "descriptors");
    std::vector<GuestFd> moved;
    for (const auto& fd : order.fds) {
        const int high = ::fcntl(fd.from, F_DUPFD_CLOEXEC, high_from);
        if (high < 0) give_up(out, "descriptors");
        moved.push_back({.from = high, .to = fd.to});
    }
    ::syscall(SYS_close_range, 3U, static_cast<unsigned>(high_from - 1), 0U);
    for (const auto& fd : moved)
        if (::dup2(fd.from, fd.to) < 0) give_up(out, "descriptors");

    if (!limit(RLIMIT_CORE, order.core_max)) give_up(out, "core limit");
    if (order.memlock_max != 0 && !limit(RLIMIT_MEMLOCK, order.memlock_max)) give_up(out, "locked memory limit");
    if (order.files_max != 0 && !limit(RLIMIT_NOFILE, order.files_max)) give_up(out, "open files limit");
    if (!drop_privileges(order)) give_up(out, "privileges");

    std::vector<char*> argv;
    std::vector<char*> env;
    for (const auto& text : order.argv) argv.push_back(const_cast<char*>(text.c_str()));
    for (const auto& text : order.env) env.push_back(const_cast<char*>(text.c_str()));
    argv.push_back(nullptr);
    env.push_back(nullptr);
    ::execve(argv[0], argv.data(), env.data());
    give_up(out, "start");
}

std::string_view code_of(int number) {
    if (number == ENOENT || number == ENOTDIR) return "not_found";
    if (number == EACCES || number == EPERM) return "permission_denied";
    if (number == ENOMEM || number == EAGAIN || number == EMFILE || number == ENFILE) return "resource_exhausted";
    return "invalid_argument";
}

}  // namespace

int main() {
    Report report;
    const auto order = parse_order(read_all(order_fd));
    ::close(order_fd);
    if (order.argv.empty() || order.name.empty()) report.fail("invalid_argument", "the order names no program");

    // Nothing but SIGKILL ends a keeper, and the kernel shall not choose it when memory is short.
    sigset_t all;
    ::sigfillset(&all);
    ::sigprocmask(SIG_SETMASK, &all, nullptr);
    write_path("/proc/self/oom_score_adj", "-1000");
    ::umask(022);
    if (::chdir("/") != 0) report.fail("internal", "chdir /: " + reason(errno));
    for (const int fd : {report_fd, run_dir_fd}) ::fcntl(fd, F_SETFD, FD_CLOEXEC);

    // A lock of our own open of the directory: it ends with us. Without a living keeper the record says whether a guest is left.
    const int run_dir = ::openat(run_dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (run_dir < 0) report.fail("invalid_argument", "run directory: " + reason(errno));
    if (::flock(run_dir, LOCK_EX | LOCK_NB) != 0) report.fail("already_exists", "a keeper is at work in the run directory");
    report.holds(run_dir);
    if (const auto before = eve::sdk::read_kept_process(run_dir); before && before->running)
        report.fail("already_exists", "process " + std::to_string(before->guest.pid) + " of an earlier start still runs");
    for (const char* stale : {"exit", "exit.new", "keeper", "keeper.new"}) ::unlinkat(run_dir, stale, 0);
    eve::sdk::detail::remove_planned_cgroups(run_dir);

    const auto groups = make_groups(order, run_dir, report);

    const auto logs = logs_of(order, run_dir);

    int go[2];
    int failed[2];
    if (::pipe2(go, O_CLOEXEC) != 0 || ::pipe2(failed, O_CLOEXEC) != 0) report.fail("resource_exhausted", "pipe: " + reason(errno));
    const auto guest = ::fork();
    if (guest < 0) {
        const int number = errno;
        remove_groups(order, run_dir, groups);
        report.fail("resource_exhausted", "fork: " + reason(number));
    }
    if (guest == 0) {
        ::close(go[1]);
        ::close(failed[0]);
        become_guest(order, go[0], failed[1]);
    }
    ::close(go[0]);
    ::close(failed[1]);

    const auto undo = [&](std::string_view code, const std::string& what) {
        ::kill(guest, SIGKILL);
        ::waitpid(guest, nullptr, 0);
        ::unlinkat(run_dir, "keeper", 0);
        remove_groups(order, run_dir, groups);
        report.fail(code, what);
    };

    std::string cgroup;
    for (const auto& hierarchy : groups)
        if (const int failure = write_path(hierarchy.group + "/cgroup.procs", std::to_string(guest)); failure != 0)
            report.note("not in " + hierarchy.group + ": " + reason(failure));
        else cgroup += (cgroup.empty() ? "" : ",") + hierarchy.group;

    const auto guest_identity = eve::sdk::identify(guest);
    const auto own_identity = eve::sdk::identify(::getpid());
    std::string record = "format 1\nname " + order.name + "\nguest_pid " + std::to_string(guest_identity.pid) + "\nguest_start " +
                         std::to_string(guest_identity.start_ticks) + "\nkeeper_pid " + std::to_string(own_identity.pid) + "\nkeeper_start " +
                         std::to_string(own_identity.start_ticks) + "\nstarted_at " + utc_now() + "\n";
    for (const auto& hierarchy : groups) record += "cgroup " + hierarchy.group + "\n";
    if (const int failure = write_durably(run_dir, "keeper", record); failure != 0)
        undo("unavailable", "the record of the process could not be written: " + reason(failure));

    if (::write(go[1], "g", 1) != 1) undo("unavailable", "the process ended before it was started");
    ::close(go[1]);
    ExecFailure failure;
    if (::read(failed[0], &failure, sizeof failure) == static_cast<ssize_t>(sizeof failure))
        undo(code_of(failure.number), order.argv[0] + ": " + failure.stage + ": " + reason(failure.number));
    ::close(failed[0]);

    report.line("guest", std::to_string(guest_identity.pid) + " " + std::to_string(guest_identity.start_ticks));
    report.line("keeper", std::to_string(own_identity.pid) + " " + std::to_string(own_identity.start_ticks));
    report.line("cgroup", cgroup);
    report.line("ok", "");
    report.send();
    ::syscall(SYS_close_range, static_cast<unsigned>(run_dir_fd), static_cast<unsigned>(run_dir_fd), 0U);
    for (int fd = first_guest_fd; fd < 1024; ++fd)
        if (fd != run_dir) ::close(fd);

    // From here on it waits, keeps logs short, writes one file and removes empty cgroups, for which it needs one right: their tops can be
    // written by nobody.
    (void)eve::rights::keep_only(eve::rights::keeper);
    restrict_files(run_dir, groups);
    (void)eve::rights::allow_only_what_a_keeper_needs();

    if (!logs.empty()) watch_logs(guest, run_dir, logs, order.log_max);
    int status = 0;
    while (::waitpid(guest, &status, 0) < 0 && errno == EINTR) {}
    std::string ending = WIFSIGNALED(status) ? "signal " + std::to_string(WTERMSIG(status)) : "code " + std::to_string(WEXITSTATUS(status));
    ending += std::string("\noom ") + (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && killed_for_memory(groups) ? "1" : "0");
    ending += "\nended_at " + utc_now() + "\n";
    constexpr int attempts_max = 60;  // a full disk may be emptied; our own death would lose the truth
    for (int attempt = 0; attempt < attempts_max && write_durably(run_dir, "exit", ending) != 0; ++attempt) ::sleep(1);
    remove_groups(order, run_dir, groups);
    std::_Exit(0);  // what a sanitizer does at an end, it may not any more
}
