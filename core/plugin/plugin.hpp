#pragma once
// One opened plugin, seen through the C call of eve/abi.h, whether its code runs in this process or in a plugin-host.

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/plugin/rights.hpp"
#include "eve/abi.h"
#include "eve/host.hpp"
#include "eve/result.hpp"

namespace eve::plugin {

/// What a plugin's entry says.
struct Identity {
    std::string id;
    std::string version;
    std::string interfaces;
    std::string built_with;
    std::string abi;  ///< "1.0"
    friend bool operator==(const Identity&, const Identity&) = default;
};

enum class Isolation { in_process, process };

/// A plugin instance. Calls may block. [any-thread]
class Plugin {
public:
    virtual ~Plugin() = default;
    /// As eve_plugin_entry::call, with the declared number of calls at once held to: who comes too early waits.
    virtual std::int32_t call(const eve_request& request, eve_reply& reply) = 0;
    virtual const Identity& identity() const = 0;
    /// Grows when the plugin was opened anew after it had died: then list() is due.
    virtual std::uint32_t generation() const = 0;
    /// Why it cannot be called now, or empty.
    virtual std::string trouble() const = 0;
    /// The process its code runs in; 0: none now.
    virtual std::int64_t host_pid() const = 0;

    /// For eve/sdk's callers; `self` is a Plugin.
    static std::int32_t call_fn(void* self, const eve_request* request, eve_reply* reply) {
        return static_cast<Plugin*>(self)->call(*request, *reply);
    }
};

/// What an instance is opened with. The node's services must outlive the Plugin.
struct OpenOptions {
    std::string file;                       ///< of the plugin
    HostServices& host;                     ///< its config() is what the plugin gets
    std::uint32_t calls_in_flight_max = 1;  ///< as the plugin declared
};

/// What an isolated one needs besides. The defaults are the node's; tests shorten them.
struct HostProcessOptions {
    std::string executable;                                  ///< of plugin-host
    std::uint64_t capabilities = rights::node;               ///< at most these
    std::chrono::nanoseconds open_limit = std::chrono::seconds{30};
    std::chrono::nanoseconds call_limit = std::chrono::seconds{60};   ///< for calls without a limit of their own
    std::chrono::nanoseconds overtime = std::chrono::seconds{2};      ///< after a call's limit, before its host is killed
    std::chrono::nanoseconds restart_first = std::chrono::seconds{1};  ///< doubled at each death until it lived for `steady_after`
    std::chrono::nanoseconds restart_max = std::chrono::seconds{60};
    std::chrono::nanoseconds steady_after = std::chrono::seconds{60};
    /// Called after each death (with the reason) and each new opening (empty). Foreign thread: only posts.
    std::function<void(const std::string& trouble)> on_change;
};

/// How long the node waits for a plugin in its own process. The defaults are the node's; tests shorten them.
struct InProcessLimits {
    std::chrono::nanoseconds open_limit = std::chrono::seconds{30};
    std::chrono::nanoseconds call_limit = std::chrono::seconds{60};  ///< for calls without a limit of their own
    std::chrono::nanoseconds overtime = std::chrono::seconds{2};     ///< after a call's limit, before its thread is given up
    /// Called when it hangs (with where) and when what hung came back after all (empty). Foreign thread: only posts.
    std::function<void(const std::string& trouble)> on_change;
};

/// The plugin's code in this process, on threads of its own: for plugins of our own. A crash of it is ours. A call that hangs is given up with its
/// thread and timed_out is answered; the plugin counts as broken until that call comes back, if it ever does.
Result<std::unique_ptr<Plugin>> open_in_process(const OpenOptions& options, const InProcessLimits& limits = {});

/// The plugin's code in a plugin-host, which is started again with back-off when it dies, hangs or sends rubbish.
Result<std::unique_ptr<Plugin>> open_isolated(const OpenOptions& options, const HostProcessOptions& process);

/// How many calls may overlap.
class CallSlots {
public:
    explicit CallSlots(std::uint32_t max) : free_(max == 0 ? 1 : max) {}
    /// False: none came free by the deadline (CLOCK_MONOTONIC), or `cancel_fd` became readable.
    bool take(std::int64_t deadline_ns, int cancel_fd);
    void give();

private:
    std::mutex mutex_;
    std::condition_variable freed_;
    std::uint32_t free_;
};

/// Writes an error as a call's answer; returns its number.
std::int32_t answer_failure(eve_reply& reply, const Error& error);

}  // namespace eve::plugin
