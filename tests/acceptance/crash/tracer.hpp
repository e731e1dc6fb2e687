#pragma once
// Stands over all processes of a node: numbers their calls that change the world, and lets one of them die, fail or come up short at an exact
// number. A seccomp filter picks the calls, ptrace stops the caller before each, so that what was killed before call k has not made it.
// Linux on x86-64 only. The node is started again whenever it ends, as its service manager would.

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace eve::crash {

enum class Fault {
    kill,        ///< the process dies instead of making the call
    fail,        ///< the call is not made and returns `error`
    cut_short,   ///< a read or write is made with half the bytes (at least one)
    stop,        ///< the process is stopped (SIGSTOP) first; let_go() lets it go on
};

/// What shall happen, once: before the k-th call of a process with that role since the trigger was armed.
struct Trigger {
    std::string role;  ///< name of the executable; empty: any process
    std::uint64_t call = 1;
    Fault fault = Fault::kill;
    int error = 0;
    bool until_disarmed = false;  ///< `fail`: every such call from the k-th on
    std::vector<long> calls;      ///< system calls that count; empty: all that are watched
};

struct TracerOptions {
    std::vector<std::string> command;   ///< what is started and started again
    std::string network_namespace;      ///< a file to enter first, or empty
    std::string output;                 ///< file for its standard output and error
    std::vector<std::string> watched;   ///< roles whose calls count; others run unhindered
    std::vector<std::string> quiet;     ///< paths that hold one of these are not the world (logs)
    std::function<void()> in_child;     ///< in the child before it becomes the command: limits
};

struct Traced {
    pid_t pid;
    std::string role;
};

/// What a trigger met.
struct Hit {
    std::string role;
    pid_t pid = 0;
    std::string call;  ///< "renameat(...)"-like, for people
};

/// Its methods may be called from any thread; the work is done by a thread of its own.
class Tracer {
public:
    explicit Tracer(TracerOptions options);
    ~Tracer();  ///< nothing that it started is left
    Tracer(const Tracer&) = delete;
    Tracer& operator=(const Tracer&) = delete;

    /// Starts the command, and again whenever it ends, until hold() or the end.
    void start();
    /// Not started again from now on.
    void hold();
    /// The process of the command, or 0.
    pid_t node() const;
    /// How often it was started.
    int starts() const;
    /// Counts from zero; what was armed before is forgotten. `after` is armed when `trigger` has hit.
    void arm(Trigger trigger, std::optional<Trigger> after = std::nullopt);
    void arm();
    /// What was armed and has not hit never will; counts and hits stay.
    void disarm();
    std::vector<Hit> hits() const;
    /// Calls counted by role since arm().
    std::map<std::string, std::uint64_t> counts() const;
    /// Processes that live, the guests among them.
    std::vector<Traced> processes() const;
    /// What was stopped goes on, if it lives.
    void let_go();
    /// All of those roles at once; how many there were.
    int kill_all(const std::vector<std::string>& roles);

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace eve::crash
