#pragma once
// What the plugin needs of containerd, as plain values and blocking calls: the part that a fake stands in for. The true one speaks gRPC
// (grpc_containerd.cpp).

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "eve/result.hpp"
#include "common/limit.hpp"

namespace eve::containerd {

using plugins::Limit;

/// A container as containerd keeps it: what it is and how it would be run. It has a task while there is a process.
struct Container {
    std::string id;
    std::map<std::string, std::string> labels;
    std::string spec;     ///< the OCI runtime specification, JSON
    std::string record;   ///< the plugin's own, JSON
    friend bool operator==(const Container&, const Container&) = default;
};

/// How containerd starts a container.
struct Runtime {
    std::string name = "io.containerd.runc.v2";  ///< of the shim
    std::string binary;                           ///< runc or crun, absolute; empty: containerd's own choice
    std::string root;                             ///< where that keeps its state; empty: containerd's own choice
    bool no_pivot_root = false;                   ///< for a host whose root file system is in memory
    friend bool operator==(const Runtime&, const Runtime&) = default;
};

enum class TaskState : std::uint8_t { unknown, created, running, stopped, paused, pausing };

/// The process of a container.
struct Task {
    std::string container;
    TaskState state = TaskState::unknown;
    std::uint32_t pid = 0;
    std::uint32_t exit_status = 0;  ///< of a stopped one
    friend bool operator==(const Task&, const Task&) = default;
};

/// What containerd tells of a container: its task ended, ran out of memory, or is to be looked at again.
enum class EventKind : std::uint8_t { exited, oom, changed };
struct Event {
    EventKind kind = EventKind::changed;
    std::string container;  ///< empty: of all, since events were missed
};

/// A further process in a container that has one.
struct ExtraProcess {
    std::string container;
    std::string id;      ///< unique in the container
    friend bool operator==(const ExtraProcess&, const ExtraProcess&) = default;
};
/// What it runs and the pipes (named, in the file system) that it is connected to.
struct ExtraProcessPlan {
    std::string spec;    ///< `process` of an OCI runtime specification, JSON
    bool terminal = false;
    std::string input;
    std::string output;
    std::string errors;  ///< unused with a terminal
};

/// The processes that are run in containers beside their own. Codes as ContainerdApi's.
class ExecApi {
public:
    virtual ~ExecApi() = default;

    /// The process is known and not started. Errors: not_found - no such container, or it does not run; already_exists.
    virtual Status create_process(const ExtraProcess& process, const ExtraProcessPlan& plan, const Limit& limit) = 0;
    /// It runs; its pid. Errors: failed_precondition - the runtime refuses, for example because there is no such program.
    virtual Result<std::uint32_t> start_process(const ExtraProcess& process, const Limit& limit) = 0;
    /// Its exit status, when it has ended. Errors: not_found.
    virtual Result<std::uint32_t> wait_for_process(const ExtraProcess& process, const Limit& limit) = 0;
    /// No more input comes: who wrote to the pipe has closed it, and now containerd's shim does, too.
    virtual Status close_input(const ExtraProcess& process, const Limit& limit) = 0;
    virtual Status resize_terminal(const ExtraProcess& process, std::uint32_t rows, std::uint32_t columns, const Limit& limit) = 0;
    /// Errors: not_found - also one that ended.
    virtual Status kill_process(const ExtraProcess& process, std::uint32_t signal, const Limit& limit) = 0;
    /// containerd has forgotten it. Errors: not_found; failed_precondition - it runs.
    virtual Status delete_process(const ExtraProcess& process, const Limit& limit) = 0;
};

/// Where a container's output goes: to the program `logger`, with the file it appends to and how large that may become. Without one: nowhere.
struct Output {
    std::string logger;  ///< plugins/containerd/console_log.cpp
    std::string log;
    Bytes size_max;
};

/// containerd, in one of its namespaces. Blocking; any thread. Beside the codes named, each may answer unavailable - containerd is not there -,
/// timed_out and cancelled.
class ContainerdApi : public ExecApi {
public:
    /// containerd's version.
    virtual Result<std::string> version(const Limit& limit) = 0;
    /// The namespace exists.
    virtual Status make_namespace(const Limit& limit) = 0;

    /// Errors: already_exists.
    virtual Status create_container(const Container& container, const Runtime& runtime, const Limit& limit) = 0;
    /// Errors: not_found.
    virtual Result<Container> container(const std::string& id, const Limit& limit) = 0;
    /// All that have this label.
    virtual Result<std::vector<Container>> containers(const std::string& label, const Limit& limit) = 0;
    /// Errors: not_found; failed_precondition - it has a task.
    virtual Status delete_container(const std::string& id, const Limit& limit) = 0;

    /// The container's process waits to be started; its output goes to `output`.
    ///
    /// Errors: not_found, already_exists; failed_precondition - the runtime refuses it.
    virtual Result<Task> create_task(const std::string& id, const Output& output, const Runtime& runtime, const Limit& limit) = 0;
    virtual Status start_task(const std::string& id, const Limit& limit) = 0;
    /// `all`: to every process in the container. Errors: not_found - also one that ended.
    virtual Status kill_task(const std::string& id, std::uint32_t signal, bool all, const Limit& limit) = 0;
    /// Errors: not_found.
    virtual Result<Task> task(const std::string& id, const Limit& limit) = 0;
    virtual Result<std::vector<Task>> tasks(const Limit& limit) = 0;
    /// Errors: not_found; failed_precondition - it runs.
    virtual Status delete_task(const std::string& id, const Limit& limit) = 0;

    /// `sink` hears of events from now on, on a thread of its own, until unsubscribe(), also across restarts of containerd. Once.
    virtual void subscribe(std::function<void(const Event&)> sink) = 0;
    /// Nothing is called any more, no thread is left.
    virtual void unsubscribe() = 0;
};

/// The true one: the containerd that listens on the unix socket `address`, in its namespace `name`. Connects when it is first asked.
std::unique_ptr<ContainerdApi> connect(const std::string& address, const std::string& name);

}  // namespace eve::containerd
