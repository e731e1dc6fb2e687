#include "core/loop/unique_fd.hpp"
#include "core/plugin/spawn.hpp"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

#include "core/plugin/frame.hpp"
#include "eve/sdk/kept_process.hpp"

namespace eve::plugin {
namespace {

constexpr int first_guest_fd = 6;  // see keeper.cpp
constexpr std::size_t order_size_max = 1U << 20;
constexpr std::uint32_t guest_fd_max = 200;

Error wrong(std::string field, std::string what) {
    return Error{.code = Code::invalid_argument, .what = field + " " + what, .field = std::move(field)};
}

Status check(const GuestProcess& process) {
    if (process.name.empty() || process.name.size() > 127 || process.name[0] == '.') return wrong(".name", "is empty, too long or begins with a dot");
    for (const char c : process.name) {
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && c != '.' && c != '_' && c != '-') return wrong(".name", "has a character that is not one of 0-9a-zA-Z._-");
    }
    if (process.argv.empty() || process.argv[0].empty() || process.argv[0][0] != '/') return wrong(".argv[0]", "is not an absolute path");
    for (std::size_t i = 0; i < process.argv.size(); ++i)
        if (process.argv[i].find('\0') != std::string::npos) return wrong(".argv[" + std::to_string(i) + "]", "holds a NUL");
    for (std::size_t i = 0; i < process.env.size(); ++i)
        if (process.env[i].find('\0') != std::string::npos || process.env[i].find('=') == std::string::npos)
            return wrong(".env[" + std::to_string(i) + "]", "is not NAME=value");
    if (process.run_dir.fd < 0) return wrong(".run_dir", "is missing");
    for (std::size_t i = 0; i < process.fds.size(); ++i)
        if (process.fds[i].as > guest_fd_max || process.fds[i].fd.fd < 0)
            return wrong(".fds[" + std::to_string(i) + "]", "is not open, or wants a number above " + std::to_string(guest_fd_max));
    return {};
}

/// The order's text and the descriptors in the places the keeper expects them, first_guest_fd and up.
struct Prepared {
    std::string order;
    std::vector<UniqueFd> fds;  // copies out of the way of all targets
};

Result<Prepared> prepare(const KeeperOptions& keeper, const GuestProcess& process) {
    Prepared prepared;
    const auto add = [&](std::string_view key, const std::string& value) {
        prepared.order.append(key).append("=").append(value).push_back('\0');
    };
    const auto keep = [&](int fd) {
        constexpr int out_of_the_way = 256;
        prepared.fds.emplace_back(::fcntl(fd, F_DUPFD_CLOEXEC, out_of_the_way));
        return prepared.fds.back() ? first_guest_fd + static_cast<int>(prepared.fds.size()) - 1 : -1;
    };
    bool good = true;
    const auto pass = [&](Fd fd, std::uint32_t as) {
        if (fd.fd < 0) return;
        const int place = keep(fd.fd);
        good = good && place >= 0;
        add("fd", std::to_string(place) + ":" + std::to_string(as));
    };
    add("name", process.name);
    add("cgroup_parent", keeper.cgroup_parent);
    for (const auto& text : process.argv) add("argv", text);
    for (const auto& text : process.env) add("env", text);
    pass(process.stdin_fd, 0);
    pass(process.stdout_fd, 1);
    pass(process.stderr_fd, 2);
    for (const auto& passed : process.fds) pass(passed.fd, passed.as);
    if (process.cwd.fd >= 0) {
        const int place = keep(process.cwd.fd);
        good = good && place >= 0;
        add("cwd", std::to_string(place));
    }
    add("uid", std::to_string(process.uid));
    add("gid", std::to_string(process.gid));
    for (const auto group : process.groups) add("group", std::to_string(group));
    for (const auto capability : process.capabilities) add("capability", std::to_string(capability));
    add("memory_max", std::to_string(process.cgroup.memory_max.n));
    add("cpu_percent_max", std::to_string(process.cgroup.cpu_percent_max));
    std::string cpus;
    for (const auto cpu : process.cgroup.cpus) cpus += (cpus.empty() ? "" : ",") + std::to_string(cpu);
    add("cpus", cpus);
    add("core_max", std::to_string(process.core_max.n));
    add("memlock_max", std::to_string(process.memlock_max.n));
    add("files_max", std::to_string(process.files_max));
    add("log_max", std::to_string(process.log_max.n));
    if (!good) return Error{.code = Code::invalid_argument, .what = "a descriptor for the process is not open"};
    if (prepared.order.size() > order_size_max) return Error{.code = Code::invalid_argument, .what = "arguments and environment are over 1 MiB"};
    return prepared;
}

/// In the child of a fork of many threads: only what is safe there. Never returns.
[[noreturn]] void become_keeper(const char* executable, int order, int report, int run_dir, const std::vector<UniqueFd>& fds) {
    ::setsid();
    const auto keeper = ::fork();  // its parent is then init, which reaps it
    if (keeper != 0) ::_exit(keeper < 0 ? 1 : 0);
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    const int null = ::fcntl(::open("/dev/null", O_RDWR), F_DUPFD, 512);
    order = ::fcntl(order, F_DUPFD, 512);
    report = ::fcntl(report, F_DUPFD, 512);
    run_dir = ::fcntl(run_dir, F_DUPFD, 512);
    for (int standard = 0; standard < 3; ++standard) ::dup2(null, standard);
    ::dup2(order, 3);
    ::dup2(report, 4);
    ::dup2(run_dir, 5);
    int place = first_guest_fd;
    for (const auto& fd : fds) ::dup2(fd.get(), place++);
    ::syscall(SYS_close_range, static_cast<unsigned>(place), ~0U, 0U);
    char* const argv[] = {const_cast<char*>("keeper"), nullptr};
    char* const env[] = {nullptr};
    ::execve(executable, argv, env);
    constexpr std::string_view text = "error failed_precondition the keeper could not be started\n";
    [[maybe_unused]] const auto wrote = ::write(4, text.data(), text.size());
    ::_exit(127);
}

Result<std::string> read_report(int fd, std::int64_t deadline_ns) {
    constexpr std::size_t size_max = 64U << 10;
    std::string text;
    for (;;) {
        const auto left_ms = (deadline_ns - monotonic_ns()) / 1'000'000;
        pollfd wait{.fd = fd, .events = POLLIN, .revents = 0};
        if (left_ms <= 0 || ::poll(&wait, 1, static_cast<int>(left_ms)) == 0)
            return Error{.code = Code::timed_out, .what = "the keeper did not report in time"};
        char buffer[4096];
        const auto got = ::read(fd, buffer, sizeof buffer);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0 || text.size() > size_max) return text;
        text.append(buffer, static_cast<std::size_t>(got));
    }
}

constexpr const char* raise_limits = "raise the service's limit of processes, open files or memory (TasksMax, LimitNOFILE, MemoryMax; pids.max of its cgroup)";

ProcessIdentity identity_of(std::string_view text) {
    const auto space = text.find(' ');
    return {.pid = sdk::detail::number_of<std::int64_t>(text.substr(0, space)),
            .start_ticks = space == std::string_view::npos ? 0 : sdk::detail::number_of<std::uint64_t>(text.substr(space + 1))};
}

}  // namespace

Result<SpawnedProcess> spawn_kept(const KeeperOptions& keeper, const GuestProcess& process) {
    if (auto good = check(process); !good) return std::move(good).error();
    auto prepared = prepare(keeper, process);
    if (!prepared) return std::move(prepared).error();

    const UniqueFd order(::memfd_create("keeper-order", MFD_CLOEXEC));
    int pipe[2];
    if (!order || ::write(order.get(), prepared->order.data(), prepared->order.size()) != static_cast<ssize_t>(prepared->order.size()) ||
        ::lseek(order.get(), 0, SEEK_SET) != 0 || ::pipe2(pipe, O_CLOEXEC) != 0)
        return Error{.code = Code::resource_exhausted, .what = std::string("keeper's order: ") + std::strerror(errno), .hint = raise_limits};
    const UniqueFd report(pipe[0]);
    UniqueFd report_end(pipe[1]);

    const auto middle = ::fork();
    if (middle < 0) return Error{.code = Code::resource_exhausted, .what = std::string("fork: ") + std::strerror(errno), .hint = raise_limits};
    if (middle == 0) become_keeper(keeper.executable.c_str(), order.get(), report_end.get(), process.run_dir.fd, prepared->fds);
    report_end.reset();
    int status = 0;
    while (::waitpid(middle, &status, 0) < 0 && errno == EINTR) {}

    const auto text = read_report(report.get(), monotonic_after(keeper.limit.count()));
    if (!text) return text.error().in("start " + process.name);
    SpawnedProcess spawned;
    bool started = false;
    std::optional<Error> error;
    sdk::detail::each_line(*text, [&](std::string_view name, std::string_view value) {
        if (name == "guest") spawned.guest = identity_of(value);
        else if (name == "keeper") spawned.keeper = identity_of(value);
        else if (name == "cgroup") spawned.cgroup = value;
        else if (name == "note") spawned.notes.emplace_back(value);
        else if (name == "ok") started = true;
        else if (name == "error") {
            const auto space = value.find(' ');
            error = Error{.code = code_from_string(value.substr(0, space)),
                          .what = std::string(space == std::string_view::npos ? value : value.substr(space + 1))};
            if (error->code == Code::resource_exhausted) error->hint = raise_limits;
        }
    });
    if (error) return std::move(*error).in("start " + process.name);
    if (!started) return Error{.code = Code::unavailable, .what = "start " + process.name + ": the keeper died, effect unknown"};
    return spawned;
}

}  // namespace eve::plugin
