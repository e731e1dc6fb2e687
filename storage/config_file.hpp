#pragma once
// The device config's file, the checkpoints, and the watch over the file (inotify).

#include <functional>
#include <optional>
#include <string>

#include "core/log/log.hpp"
#include "core/loop/loop.hpp"
#include "core/loop/root.hpp"
#include "core/loop/unique_fd.hpp"
#include "core/zedagent/effects.hpp"

namespace eve::storage {

/// Where an operator or a test puts the device config, binary or JSON.
inline constexpr const char* device_config_path = "/config/device-config";

/// Files under ROOT/config and ROOT/persist/checkpoint. [lane]
class ConfigFiles final : public zedagent::ConfigFiles {
public:
    explicit ConfigFiles(Root root) : root_(std::move(root)) {}
    Result<std::string> read_config() override;
    Result<std::string> read_checkpoint(zedagent::Checkpoint which) override;
    Status write_checkpoint(zedagent::Checkpoint which, const std::string& bytes) override;

private:
    Root root_;
};

/// Tells when something in ROOT/config was written, renamed or removed. Makes the directory; when it goes, looks for it again. [loop]
class ConfigWatch final : public zedagent::ConfigWatch {
public:
    ConfigWatch(IoLoop& loop, Log& log, Root root) : loop_(loop), log_(log), root_(std::move(root)) {}
    ~ConfigWatch() override { stop(); }
    void start(std::function<void()> changed) override;
    void stop() override;

private:
    void open();
    void on_events();

    IoLoop& loop_;
    Log& log_;
    Root root_;
    std::function<void()> changed_;
    UniqueFd inotify_;
    std::optional<WatchId> watch_;
    std::optional<TimerId> retry_;
};

}  // namespace eve::storage
