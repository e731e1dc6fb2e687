#pragma once
// The node's services for one plugin: its directories and configuration, the node's log, events to the loop, guests under keepers.

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/log/log.hpp"
#include "core/loop/unique_fd.hpp"
#include "core/plugin/spawn.hpp"
#include "eve/host.hpp"
#include "eve/result.hpp"

namespace eve::plugin {

struct NodeHostOptions {
    std::string plugin;     ///< its name, for logs
    std::string node;       ///< the node's
    std::string version;    ///< of the node
    std::string state_dir;  ///< made if missing, 0700
    std::string run_dir;    ///< made if missing, 0700
    std::string sysfs = "/sys";
    std::string config;     ///< one JSON object, or empty
    std::uint32_t guest_uid = 0;
    std::uint32_t guest_gid = 0;
    KeeperOptions keeper;
};

/// HostServices over the real machine.
class NodeHost final : public HostServices {
public:
    struct Deps {
        Log& log;
        std::function<void(DomainEvent)> on_event;  ///< called on a foreign thread: only posts
    };
    static Result<std::unique_ptr<NodeHost>> open(const NodeHostOptions& options, Deps deps);

    const PluginConfig& config() const override { return config_; }
    void log(LogLevel level, std::string_view event, std::vector<LogField> fields) override;
    void emit(DomainEvent event) override;
    Result<SpawnedProcess> spawn(const GuestProcess& process) override;
    Result<HostDescription> describe() override;

private:
    NodeHost(NodeHostOptions options, Deps deps) : options_(std::move(options)), deps_(std::move(deps)) {}

    NodeHostOptions options_;
    Deps deps_;
    UniqueFd state_dir_;
    UniqueFd run_dir_;
    UniqueFd sysfs_;
    PluginConfig config_;
};

}  // namespace eve::plugin
