#pragma once
// The end of a guest's process as its keeper wrote it, and the process itself while it lives: never mistaken for another that got its pid.
// For plugins that spawn through HostServices::spawn. Standard library and POSIX only.
//
// The keeper's files in the run directory, each written whole or not at all:
//   keeper  one "name value" a line: format, name, guest_pid, guest_start, keeper_pid, keeper_start, started_at, cgroup (one each)
//   cgroups one directory a line: what may have been made for it, written before they are
//   exit    one "name value" a line: code or signal, oom, ended_at

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <charconv>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "eve/domain.hpp"
#include "eve/host.hpp"
#include "eve/result.hpp"

namespace eve {
EVE_SDK_NAMESPACE {
namespace sdk {

inline constexpr const char* planned_cgroups_file = "cgroups";

/// What is known of a process that a keeper watches.
struct KeptProcess {
    std::string name;
    ProcessIdentity guest;
    ProcessIdentity keeper;
    bool running = false;             ///< the process lives, or its keeper is about to write how it ended
    std::optional<ExitStatus> exit;   ///< set when it doesn't run; empty inside when its keeper died before it
    std::string started_at;           ///< RFC 3339
    std::string ended_at;             ///< RFC 3339, or empty when nobody saw it
    std::vector<std::string> cgroups; ///< directories
};

namespace detail {

/// The whole of a small file, or why not.
inline Result<std::string> read_small_file(int dir, const char* name) {
    constexpr std::size_t size_max = 64U << 10;
    const int fd = ::openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return Error{.code = errno == ENOENT ? Code::not_found : Code::unavailable, .what = std::string(name) + ": " + std::strerror(errno)};
    std::string text;
    char buffer[4096];
    ssize_t got = 0;
    while ((got = ::read(fd, buffer, sizeof buffer)) > 0 && text.size() < size_max) text.append(buffer, static_cast<std::size_t>(got));
    const int failure = got < 0 ? errno : 0;
    ::close(fd);
    if (failure != 0) return Error{.code = Code::unavailable, .what = std::string(name) + ": " + std::strerror(failure)};
    return text;
}

template <class Number> Number number_of(std::string_view text) {
    Number number{};
    std::from_chars(text.data(), text.data() + text.size(), number);
    return number;
}

template <class Take> void each_line(std::string_view text, Take take) {
    while (!text.empty()) {
        const auto end = text.find('\n');
        const auto line = text.substr(0, end);
        text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
        if (const auto space = line.find(' '); space != std::string_view::npos) take(line.substr(0, space), line.substr(space + 1));
    }
}

/// The cgroup is gone, and so are the two above it that no other guest needs. False: processes are still in it.
inline bool remove_cgroup(const std::string& cgroup) {
    if (::rmdir(cgroup.c_str()) != 0 && errno == EBUSY) return false;
    const auto above = cgroup.substr(0, cgroup.rfind('/'));
    ::rmdir((above + "/keepers").c_str());
    ::rmdir(above.c_str());
    return true;
}

/// The cgroups of a keeper that died before it wrote its record are gone. False: processes are still in one of them.
inline bool remove_planned_cgroups(int run_dir) {
    const auto planned = read_small_file(run_dir, planned_cgroups_file);
    bool all = true;
    std::string_view rest = planned ? std::string_view(*planned) : std::string_view();
    while (!rest.empty()) {
        const auto end = rest.find('\n');
        if (const auto line = rest.substr(0, end); line.starts_with('/')) all = remove_cgroup(std::string(line)) && all;
        rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
    }
    if (all) ::unlinkat(run_dir, planned_cgroups_file, 0);
    return all;
}

struct ProcStat {
    char state = '?';
    std::uint64_t start_ticks = 0;
};

/// Fields 3 and 22 of /proc/PID/stat; nothing when there is no such process.
inline std::optional<ProcStat> proc_stat(std::int64_t pid) {
    const auto text = read_small_file(AT_FDCWD, ("/proc/" + std::to_string(pid) + "/stat").c_str());
    if (!text) return std::nullopt;
    const auto name_end = text->rfind(')');  // the name may hold anything
    if (name_end == std::string::npos || name_end + 2 >= text->size()) return std::nullopt;
    ProcStat stat{.state = (*text)[name_end + 2]};
    std::size_t at = name_end + 2;
    for (int field = 3; field < 22; ++field) {
        at = text->find(' ', at);
        if (at == std::string::npos) return std::nullopt;
        ++at;
    }
    stat.start_ticks = number_of<std::uint64_t>(std::string_view(*text).substr(at));
    return stat;
}

}  // namespace detail

/// The identity of a process that lives now; pid 0 when there is none.
inline ProcessIdentity identify(std::int64_t pid) {
    const auto stat = detail::proc_stat(pid);
    return stat ? ProcessIdentity{.pid = pid, .start_ticks = stat->start_ticks} : ProcessIdentity{};
}

/// Whether exactly this process lives; one that only waits to be reaped does not.
inline bool alive(const ProcessIdentity& process) {
    if (process.pid <= 0) return false;
    const auto stat = detail::proc_stat(process.pid);
    return stat && stat->start_ticks == process.start_ticks && stat->state != 'Z' && stat->state != 'X';
}

/// A pidfd of exactly this process, readable once it ends; the caller closes it. not_found: it is gone.
inline Result<int> open_process(const ProcessIdentity& process) {
    if (process.pid <= 0 || process.pid > std::numeric_limits<pid_t>::max()) return Error{.code = Code::not_found, .what = "no process"};
    const int fd = static_cast<int>(::syscall(SYS_pidfd_open, static_cast<pid_t>(process.pid), 0));
    if (fd < 0)
        return Error{.code = errno == ESRCH ? Code::not_found : Code::unavailable,
                     .what = "process " + std::to_string(process.pid) + ": " + std::strerror(errno)};
    // The pid may have been another's before the open, never after it.
    if (const auto stat = detail::proc_stat(process.pid); stat && stat->start_ticks == process.start_ticks) return fd;
    ::close(fd);
    return Error{.code = Code::not_found, .what = "process " + std::to_string(process.pid) + " has ended"};
}

/// The signal was sent to exactly this process. not_found: it is gone.
inline Status signal_process(const ProcessIdentity& process, int signal) {
    auto fd = open_process(process);
    if (!fd) return std::move(fd).error();
    const auto sent = ::syscall(SYS_pidfd_send_signal, *fd, signal, nullptr, 0);
    const int failure = sent < 0 ? errno : 0;
    ::close(*fd);
    if (failure == 0) return {};
    return Error{.code = failure == ESRCH ? Code::not_found : Code::permission_denied,
                 .what = "signal " + std::to_string(signal) + " to process " + std::to_string(process.pid) + ": " + std::strerror(failure)};
}

/// What is known of the process whose keeper writes into `run_dir`. not_found: none was ever started there.
inline Result<KeptProcess> read_kept_process(int run_dir) {
    auto record = detail::read_small_file(run_dir, "keeper");
    if (!record) return std::move(record).error();
    KeptProcess kept;
    detail::each_line(*record, [&](std::string_view name, std::string_view value) {
        if (name == "name") kept.name = value;
        else if (name == "guest_pid") kept.guest.pid = detail::number_of<std::int64_t>(value);
        else if (name == "guest_start") kept.guest.start_ticks = detail::number_of<std::uint64_t>(value);
        else if (name == "keeper_pid") kept.keeper.pid = detail::number_of<std::int64_t>(value);
        else if (name == "keeper_start") kept.keeper.start_ticks = detail::number_of<std::uint64_t>(value);
        else if (name == "started_at") kept.started_at = value;
        else if (name == "cgroup") kept.cgroups.emplace_back(value);
    });
    if (kept.guest.pid <= 0) return Error{.code = Code::internal, .what = "the keeper's record names no process"};
    const bool guest_lives = alive(kept.guest);
    const bool keeper_lives = alive(kept.keeper);  // before the exit file: a keeper that is gone has written it, or never will
    const auto ending = detail::read_small_file(run_dir, "exit");
    if (!ending && ending.error().code != Code::not_found) return ending.error();
    kept.running = guest_lives || (!ending && keeper_lives);
    if (kept.running) return kept;
    kept.exit.emplace();
    if (!ending) return kept;
    detail::each_line(*ending, [&](std::string_view name, std::string_view value) {
        if (name == "code") kept.exit->code = detail::number_of<std::int32_t>(value);
        else if (name == "signal") kept.exit->signal = detail::number_of<std::int32_t>(value);
        else if (name == "oom") kept.exit->oom = value == "1";
        else if (name == "ended_at") kept.ended_at = value;
    });
    return kept;
}

/// Nothing of a kept process that ended is left: its keeper's files, and its cgroups if the keeper died before it removed them, or before it
/// wrote anything. failed_precondition: it still runs, or its keeper has just begun. Where there was none, success.
inline Status forget_kept_process(int run_dir) {
    const auto kept = read_kept_process(run_dir);
    if (kept && kept->running) return Error{.code = Code::failed_precondition, .what = "process " + std::to_string(kept->guest.pid) + " still runs"};
    if (!kept) {
        const int lock = ::openat(run_dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        const bool at_work = lock >= 0 && ::flock(lock, LOCK_EX | LOCK_NB) != 0;
        if (lock >= 0) ::close(lock);
        if (at_work) return Error{.code = Code::failed_precondition, .what = "a keeper is at work in the run directory"};
    } else {
        for (const auto& cgroup : kept->cgroups)
            if (!detail::remove_cgroup(cgroup)) return Error{.code = Code::unavailable, .what = cgroup + " is still in use"};
    }
    if (!detail::remove_planned_cgroups(run_dir)) return Error{.code = Code::unavailable, .what = "a cgroup of the process is still in use"};
    for (const char* file : {"exit", "keeper", "exit.new", "keeper.new", "cgroups.new"})
        if (::unlinkat(run_dir, file, 0) != 0 && errno != ENOENT)
            return Error{.code = Code::unavailable, .what = std::string(file) + ": " + std::strerror(errno)};
    return {};
}

}  // namespace sdk
}  // EVE_SDK_NAMESPACE
}  // namespace eve
