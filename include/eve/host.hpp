#pragma once
// What the node does for a plugin: the limits of a call, and services (log, events, guests' processes) that work the same whether the
// plugin runs in an agent or in a process of its own.

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "eve/domain.hpp"
#include "eve/result.hpp"

namespace eve {
EVE_SDK_NAMESPACE {

/// What a call may ask about its own limits. Valid until the call returns. [any-thread]
class CallContext {
public:
    virtual ~CallContext() = default;
    /// Unique per plugin instance and direction; stands in the logs of both sides.
    virtual std::uint64_t id() const = 0;
    /// How long until the caller stops waiting: by then the call has returned, at worst with `timed_out`. nanoseconds::max(): no limit;
    /// never negative.
    virtual std::chrono::nanoseconds time_left() const = 0;
    /// Whether the caller has given up. Long steps look at least every 250 ms, then return `cancelled`.
    virtual bool cancelled() const = 0;
    /// Becomes readable when cancelled() turns true: poll it, never read it. -1: cannot be polled.
    virtual int cancel_fd() const = 0;
};

/// A descriptor that travels beside the JSON. Borrowed: who keeps it dups it.
struct Fd {
    int fd = -1;
    friend bool operator==(const Fd&, const Fd&) = default;
};

/// What a plugin instance was opened with. The directories stay open as long as the instance.
struct PluginConfig {
    std::string node;    ///< the node's name, for logs
    Fd state_dir;        ///< of this plugin alone; survives a reboot of the machine
    Fd run_dir;          ///< of this plugin alone; gone after a reboot
    Fd sysfs;            ///< /sys, or what stands for it
    std::string config;  ///< the plugin's own configuration: one JSON object, as text; empty: {}
    friend bool operator==(const PluginConfig&, const PluginConfig&) = default;
};

enum class LogLevel : std::uint8_t { unknown, debug, info, warn, error };

/// One named value of a log event. Secrets have no conversion to it.
struct LogField {
    std::string name;
    std::variant<std::string, std::int64_t, bool> value;
    friend bool operator==(const LogField&, const LogField&) = default;
};

enum class DomainEventKind : std::uint8_t { unknown, changed, exited, rebooted, io_error };

/// A hint that something happened to a domain; the node looks for itself. At most 16 KiB as JSON.
struct DomainEvent {
    DomainId domain;
    DomainEventKind kind = DomainEventKind::changed;
    DomainInfo state;       ///< as the plugin sees it
    std::uint64_t seq = 0;  ///< filled in by the SDK: grows with each event of an instance
    friend bool operator==(const DomainEvent&, const DomainEvent&) = default;
};

/// A descriptor handed to a guest's process, which finds it under the number `as` (0 or more; 0..2 replace the standard ones).
struct PassedFd {
    Fd fd;
    std::uint32_t as = 0;
    friend bool operator==(const PassedFd&, const PassedFd&) = default;
};

/// Limits of the cgroup that a guest's process runs in. All zero: no limits, but still a cgroup of its own where possible.
struct CgroupLimits {
    Bytes memory_max;
    std::uint32_t cpu_percent_max = 0;  ///< of one CPU: 250 is two and a half
    std::vector<std::uint32_t> cpus;
    friend bool operator==(const CgroupLimits&, const CgroupLimits&) = default;
};

/// A guest's process as data. It is started under a keeper: a session and a cgroup of its own, outlives node and plugin, and its end is
/// written to files in `run_dir` (eve/sdk/kept_process.hpp reads them).
struct GuestProcess {
    std::string name;                ///< for the cgroup and for people: [0-9a-zA-Z._-], at most 127 bytes, unique on the node while it runs
    std::vector<std::string> argv;   ///< argv[0] is the absolute path of the executable
    std::vector<std::string> env;    ///< "NAME=value", the whole environment
    Fd cwd;                          ///< directory to start in; none: run_dir
    Fd run_dir;                      ///< where the keeper writes; one for each guest
    Fd stdin_fd;                     ///< none: /dev/null
    Fd stdout_fd;
    Fd stderr_fd;
    std::vector<PassedFd> fds;
    std::uint32_t uid = 0;           ///< and `gid`: dropped to before exec, with all capabilities but `capabilities`
    std::uint32_t gid = 0;
    std::vector<std::uint32_t> groups;        ///< supplementary
    std::vector<std::uint32_t> capabilities;  ///< numbers of <linux/capability.h> kept (ambient); meant for uid != 0
    CgroupLimits cgroup;
    Bytes core_max;                  ///< RLIMIT_CORE
    Bytes memlock_max;               ///< RLIMIT_MEMLOCK; 0: as inherited
    std::uint64_t files_max = 0;     ///< RLIMIT_NOFILE; 0: as inherited
    /// What a file of run_dir that is given open for appending (a log) may grow to, give or take what is written in a second: then the keeper
    /// moves the last part of this size to NAME.1 and empties it, whether the plugin runs or not. 0: no limit.
    Bytes log_max;
    friend bool operator==(const GuestProcess&, const GuestProcess&) = default;
};

/// A process that cannot be taken for another one: its pid with its start time (field 22 of /proc/PID/stat, clock ticks since boot).
struct ProcessIdentity {
    std::int64_t pid = 0;
    std::uint64_t start_ticks = 0;
    friend bool operator==(const ProcessIdentity&, const ProcessIdentity&) = default;
};

struct SpawnedProcess {
    ProcessIdentity guest;
    ProcessIdentity keeper;
    std::string cgroup;              ///< "memory,cpu:/eve/name", or empty when none could be had
    std::vector<std::string> notes;  ///< what could not be had (cgroup, a limit), each one sentence
    friend bool operator==(const SpawnedProcess&, const SpawnedProcess&) = default;
};

/// What the node says of itself.
struct HostDescription {
    std::string version;              ///< of the node
    std::vector<std::string> methods; ///< "host/1.spawn"
    std::uint32_t guest_uid = 0;      ///< what guests should run as; 0: the operator named no user
    std::uint32_t guest_gid = 0;
    friend bool operator==(const HostDescription&, const HostDescription&) = default;
};

/// Services of the node. Valid from the plugin's construction to the end of its destruction; also from inside its methods. [any-thread]
class HostServices {
public:
    virtual ~HostServices() = default;

    /// What this instance was opened with.
    virtual const PluginConfig& config() const = 0;

    /// The event is in the node's log, with the plugin's id. `event` is "object.what_happened", never built at run time. At most 16 KiB;
    /// a log that cannot be delivered is lost.
    virtual void log(LogLevel level, std::string_view event, std::vector<LogField> fields) = 0;

    /// The node will look at the domain soon. At most once, ordered per domain; may overtake the reply of the call that caused it. A loss is
    /// made good by the node's own polling.
    virtual void emit(DomainEvent event) = 0;

    /// The process runs (its executable was started) under a keeper, when this returns success. It ends only by itself, by a signal, or with
    /// the machine. The descriptors are dup'ed. A second call starts a second process.
    ///
    /// Errors: invalid_argument - a field, named; not_found - no such executable; already_exists - the run_dir has a keeper whose guest
    ///         lives; resource_exhausted - the kernel has no process or memory left; unavailable - the keeper died, effect unknown.
    /// Why: a process that a plugin started would die with the plugin's host, or be reaped where nobody writes down how it ended.
    virtual Result<SpawnedProcess> spawn(const GuestProcess& process) = 0;

    /// What the node says of itself; does not change while the instance lives.
    virtual Result<HostDescription> describe() = 0;
};

}  // EVE_SDK_NAMESPACE
}  // namespace eve
