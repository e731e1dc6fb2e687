#pragma once
// Runtimes that keep image content themselves (content/1), as volumemgr's store asks them: each in a plugin-host of its own, beside the one that
// domainmgr runs domains with, since agents may be processes of their own.

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/plugin/registry.hpp"
#include "core/zedbox/plugin_runtimes.hpp"
#include "core/zedbox/process.hpp"
#include "eve/content.hpp"

namespace eve::zedbox {

class PluginContents {
public:
    explicit PluginContents(Process& process);
    ~PluginContents();
    PluginContents(const PluginContents&) = delete;
    PluginContents& operator=(const PluginContents&) = delete;

    /// The plugin of that name. It is opened when it is first asked for something; while that cannot be done, it answers unavailable and why, and is
    /// tried again. Lives as long as this. [any-thread]
    Content& find(const std::string& name);

private:
    class Keeper;
    void show(const std::string& name, std::vector<plugin::PluginStatus> statuses);

    Process& process_;
    const PluginList list_;
    std::mutex shown_mutex_;  // guards what was shown last
    std::map<std::string, std::vector<plugin::PluginStatus>> shown_;
    std::mutex mutex_;  // guards the keepers
    std::map<std::string, std::unique_ptr<Keeper>> keepers_;
};

}  // namespace eve::zedbox
