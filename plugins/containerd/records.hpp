#pragma once
// What the plugin writes down and reads back: its settings, and of each container what another life of the plugin must know.

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "containerd/containerd_api.hpp"
#include "eve/domain.hpp"
#include "eve/host.hpp"
#include "eve/result.hpp"

namespace eve::containerd {

/// The plugin's own configuration. Every setting may be left out.
struct Settings {
    std::string socket = "/run/containerd/containerd.sock";
    std::string containers = "eve-user-apps";         ///< containerd's namespace, EVE's
    std::string content = "eve-content";              ///< containerd's namespace for image content: nothing else may be in it
    std::string runtime = "io.containerd.runc.v2";    ///< the shim
    std::string runtime_binary;                       ///< runc or crun, a name or a path; empty: the shim's own choice, runc
    std::string runtime_root;                         ///< where that keeps its state; empty: "runc" beside the socket
    bool no_pivot_root = false;                       ///< for a host whose root file system is in memory
    std::string cgroup_parent = "/eve-user-apps";     ///< below it each container has a group of its own
    std::string cgroup_root = "/sys/fs/cgroup";
    Bytes console_log_max = 1_MiB;                    ///< one older log of this size is kept beside it
    std::chrono::nanoseconds address_wait = std::chrono::seconds{5};  ///< how long a start waits for addresses
    friend bool operator==(const Settings&, const Settings&) = default;
};

/// The settings that the node gave. Errors: invalid_argument, with the field.
Result<Settings> read_settings(const PluginConfig& config);
/// A JSON schema of them, as text.
std::string settings_schema();
Runtime runtime_of(const Settings& settings);

/// Of one container, in its directory and in containerd.
struct DomainRecord {
    DomainSpec spec;                 ///< without variables and files: they may be secret and are needed once
    std::uint32_t stop_signal = 0;
    std::string cgroup;
    std::vector<std::string> notes;
    friend bool operator==(const DomainRecord&, const DomainRecord&) = default;
};
Result<std::string> record_text(const DomainRecord& record);
Result<DomainRecord> read_record(std::string_view text);

/// When it was started and the process that it had then.
struct StartRecord {
    std::string at;                  ///< RFC 3339
    ProcessIdentity process;
    std::uint32_t without_address = 0;
    friend bool operator==(const StartRecord&, const StartRecord&) = default;
};
Result<std::string> start_text(const StartRecord& start);
Result<StartRecord> read_start(std::string_view text);

}  // namespace eve::containerd
