#pragma once
// A plugin opened through the true boundary, in process or in a plugin-host, with directories of its own.

#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "core/plugin/device_clients.hpp"
#include "core/plugin/hypervisor_client.hpp"
#include "core/plugin/node_host.hpp"
#include "core/plugin/plugin.hpp"
#include "eve/sdk/kept_process.hpp"

namespace eve::plugin {

/// A directory that goes with its test.
class ScratchDir {
public:
    ScratchDir() {
        std::string pattern = (std::filesystem::temp_directory_path() / "eve-plugin-XXXXXX").string();
        if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp");
        path_ = pattern;
    }
    ~ScratchDir() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    ScratchDir(const ScratchDir&) = delete;
    ScratchDir& operator=(const ScratchDir&) = delete;
    std::string path(const std::string& name) const { return path_ + "/" + name; }

private:
    std::string path_;
};

class QuietLog final : public Log {
public:
    void write(Level, std::string_view event, Fields) override {
        const std::lock_guard lock(mutex_);
        events_.emplace_back(event);
    }
    bool has(std::string_view event) const {
        const std::lock_guard lock(mutex_);
        return std::find(events_.begin(), events_.end(), event) != events_.end();
    }

private:
    mutable std::mutex mutex_;
    std::vector<std::string> events_;
};

/// Counts and keeps the events of domains; waits with a limit.
class EventBox {
public:
    void put(DomainEvent event) {
        const std::lock_guard lock(mutex_);
        events_.push_back(std::move(event));
        came_.notify_all();
    }
    bool wait_for(std::size_t count) {
        std::unique_lock lock(mutex_);
        return came_.wait_for(lock, std::chrono::seconds{10}, [&] { return events_.size() >= count; });
    }
    std::vector<DomainEvent> all() const {
        const std::lock_guard lock(mutex_);
        return events_;
    }

private:
    mutable std::mutex mutex_;
    std::condition_variable came_;
    std::vector<DomainEvent> events_;
};

/// Deaths and returns of a plugin's host, waited for with a limit.
class ChangeBox {
public:
    void put(const std::string& trouble) {
        const std::lock_guard lock(mutex_);
        (trouble.empty() ? returns_ : deaths_) += 1;
        if (!trouble.empty()) last_ = trouble;
        came_.notify_all();
    }
    bool wait_for_returns(unsigned count) {
        std::unique_lock lock(mutex_);
        return came_.wait_for(lock, std::chrono::seconds{20}, [&] { return returns_ >= count; });
    }
    std::string last() const {
        const std::lock_guard lock(mutex_);
        return last_;
    }

private:
    mutable std::mutex mutex_;
    std::condition_variable came_;
    unsigned deaths_ = 0;
    unsigned returns_ = 0;
    std::string last_;
};

#ifndef BUILD_ROOT  // an installed eve-plugin-check names its helpers itself
#define BUILD_ROOT ""
#endif
inline std::string built(const std::string& file) { return std::string(BUILD_ROOT) + "/" + file; }

/// One opened plugin with all that it needs. Destroying and making it anew over the same directory is a restart of the node.
class OpenPlugin {
public:
    OpenPlugin(const ScratchDir& dir, const std::string& file, const std::string& config, Isolation isolation, std::string cgroup_parent = {},
               const std::string& keeper = built("bin/keeper"), const std::string& plugin_host = built("bin/plugin-host"),
               std::uint32_t calls_at_once = 1) {
        auto opened = NodeHost::open({.plugin = "under-test",
                                      .node = "test",
                                      .version = "0",
                                      .state_dir = dir.path("state"),
                                      .run_dir = dir.path("run"),
                                      .config = config,
                                      .keeper = {.executable = keeper, .cgroup_parent = std::move(cgroup_parent)}},
                                     {.log = log, .on_event = [this](DomainEvent event) { events.put(std::move(event)); }});
        if (!opened) throw std::runtime_error(opened.error().what);
        host = std::move(*opened);
        const HostProcessOptions process{.executable = plugin_host,
                                         .overtime = std::chrono::milliseconds{300},
                                         .restart_first = std::chrono::milliseconds{20},
                                         .restart_max = std::chrono::milliseconds{40},
                                         .on_change = [this](const std::string& trouble) { changes.put(trouble); }};
        const OpenOptions options{.file = file, .host = *host, .calls_in_flight_max = calls_at_once};
        auto made = isolation == Isolation::process ? open_isolated(options, process)
                                                    : open_in_process(options, {.overtime = process.overtime, .on_change = process.on_change});
        if (!made) {
            error = std::move(made).error();
            return;
        }
        plugin = std::move(*made);
        const TimedCall limit(std::chrono::seconds{30});
        const auto connect = [&](const char* interface, auto& to, auto connecting) {
            if (error || !serves(plugin->identity(), interface)) return;
            auto connected = connecting(*plugin, limit);
            if (!connected) error = std::move(connected).error();
            else to = std::move(*connected);
        };
        connect("hypervisor/1", client, HypervisorClient::connect);
        connect("pci/1", pci, PciClient::connect);
        connect("board/1", board, BoardClient::connect);
        if (client && serves(plugin->identity(), "content/1")) content = std::make_unique<ContentClient>(*plugin, client->description().methods);
        if (client && serves(plugin->identity(), "cpus/1")) cpus = std::make_unique<CpusClient>(*plugin, client->description().methods);
    }

    QuietLog log;
    EventBox events;
    ChangeBox changes;
    std::optional<Error> error;
    std::unique_ptr<NodeHost> host;
    std::unique_ptr<Plugin> plugin;
    std::unique_ptr<HypervisorClient> client;
    std::unique_ptr<PciClient> pci;      ///< null, as all clients: it does not offer the interface
    std::unique_ptr<BoardClient> board;
    std::unique_ptr<CpusClient> cpus;  ///< null: it does not offer cpus/1
    std::unique_ptr<ContentClient> content;  ///< null: it does not offer content/1
};

inline std::size_t open_descriptors() {
    std::size_t count = 0;
    for ([[maybe_unused]] const auto& fd : std::filesystem::directory_iterator("/proc/self/fd")) ++count;
    return count;
}

/// Waits until the process is gone.
inline bool wait_until_gone(const ProcessIdentity& process) {
    auto fd = sdk::open_process(process);
    if (!fd) return true;
    pollfd wait{.fd = *fd, .events = POLLIN, .revents = 0};
    const bool gone = ::poll(&wait, 1, 10'000) > 0;
    ::close(*fd);
    return gone;
}

}  // namespace eve::plugin
