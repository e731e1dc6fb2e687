#pragma once
// zedagent's files in memory, and a watch that a test triggers.

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/zedagent/effects.hpp"

namespace eve {

class FakeConfigFiles final : public zedagent::ConfigFiles, public zedagent::ConfigWatch {
public:
    Result<std::string> read_config() override {
        if (fault) return *fault;
        if (!config) return Error{.code = Code::not_found, .what = "no config file"};
        return *config;
    }
    Result<std::string> read_checkpoint(zedagent::Checkpoint which) override {
        const auto it = checkpoints.find(which);
        if (it == checkpoints.end()) return Error{.code = Code::not_found, .what = "no checkpoint"};
        return it->second;
    }
    Status write_checkpoint(zedagent::Checkpoint which, const std::string& bytes) override {
        if (write_fault) return *write_fault;
        checkpoints[which] = bytes;
        ++writes[which];
        return {};
    }
    void start(std::function<void()> changed) override { changed_ = std::move(changed); }
    void stop() override { changed_ = nullptr; }

    /// The file holds this now, and the watch saw it.
    void put(std::optional<std::string> bytes) {
        config = std::move(bytes);
        if (changed_) changed_();
    }

    std::optional<std::string> config;
    std::map<zedagent::Checkpoint, std::string> checkpoints;
    std::map<zedagent::Checkpoint, int> writes;
    std::optional<Error> fault;
    std::optional<Error> write_fault;

private:
    std::function<void()> changed_;
};

}  // namespace eve
