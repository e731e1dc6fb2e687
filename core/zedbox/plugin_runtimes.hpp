#pragma once
// The plugins of a node as domainmgr sees them: the registry, opened in domainmgr's first probe, and a file for evectl plugins.

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/domainmgr/effects.hpp"
#include "core/plugin/registry.hpp"
#include "core/zedbox/exec_door.hpp"
#include "core/zedbox/process.hpp"

namespace eve::zedbox {

/// Where this process's plugins are, and how they are opened.
plugin::RegistryOptions registry_options(Process& process);

/// plugins.json of an agent, as `evectl plugins` reads it. Blocking; one writer a file at a time.
class PluginList {
public:
    PluginList(Process& process, const std::string& agent);
    void write(const std::vector<plugin::PluginStatus>& plugins) const;

private:
    std::string directory_;
    Log& log_;
};

class PluginRuntimes final : public domainmgr::Runtimes {
public:
    explicit PluginRuntimes(Process& process);

    Result<std::vector<domainmgr::Runtime>> probe(const LaneContext& lane) override;
    void on_event(std::function<void(const DomainEvent&)> sink) override;
    domainmgr::Assigner assigner() override;
    std::vector<std::shared_ptr<Board>> boards() override;
    /// Those in use, for `evectl app exec`. [lane]
    std::vector<ExecRuntime> exec_runtimes();

private:
    /// Events come on plugins' threads, also while domainmgr is on its way out.
    struct Sink {
        std::mutex mutex;
        std::function<void(const DomainEvent&)> function;
    };
    PluginList list_;
    std::shared_ptr<Sink> sink_ = std::make_shared<Sink>();  // shared with the registry's callbacks
    plugin::Registry registry_;
    std::mutex probing_;
    std::mutex opening_;  ///< who asks for plugins while they are opened the first time waits; looking again into some holds up nobody
    std::atomic<bool> open_ = false;
};

}  // namespace eve::zedbox
