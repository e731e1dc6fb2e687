#pragma once
// The runtimes of domainmgr out of the plugin registry. Made before the registry, whose callbacks need somebody to tell.

#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "core/domainmgr/effects.hpp"
#include "core/plugin/registry.hpp"

namespace eve::domainmgr {

/// Main wires it: the registry's on_event to event(), its on_change to changed(), then use() once the registry is open. The registry outlives it.
class PluginRuntimes final : public Runtimes {
public:
    void use(plugin::Registry& registry) { registry_ = &registry; }

    Result<std::vector<Runtime>> probe(const LaneContext& lane) override;
    void on_event(std::function<void(const DomainEvent&)> sink) override;

    void event(const DomainEvent& event) const;                     ///< [any-thread]
    /// A plugin's host died (`trouble` says why) or is back (empty): then everything is looked at. [any-thread]
    void changed(const std::string& trouble) const;

private:
    plugin::Registry* registry_ = nullptr;
    mutable std::mutex mutex_;  ///< of sink_: events come on the plugins' threads
    std::function<void(const DomainEvent&)> sink_;
};

}  // namespace eve::domainmgr
