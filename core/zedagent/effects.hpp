#pragma once
// What zedagent needs of the world: the device config's file and the checkpoint directory. Implemented in storage/config_file.cpp and, for
// simulation, in tests/doubles/fake_config_files.hpp.

#include <functional>
#include <string>

#include "eve/result.hpp"

namespace eve::zedagent {

/// Files of /persist/checkpoint.
enum class Checkpoint {
    last,            ///< lastconfig: the bytes of the last config that was accepted
    backup,          ///< lastconfig.bak: one that was in force for long enough to be trusted
    local_commands,  ///< appCommands: what local commands have counted up
};

/// The config's file and the checkpoints. [lane]
class ConfigFiles {
public:
    virtual ~ConfigFiles() = default;
    /// The bytes of /config/device-config. Errors: not_found; resource_exhausted - larger than zedagent reads; unavailable.
    virtual Result<std::string> read_config() = 0;
    /// Errors: not_found - never written; resource_exhausted; unavailable.
    virtual Result<std::string> read_checkpoint(Checkpoint which) = 0;
    /// Durable when this returns; a reader sees the old bytes or the new ones. Errors: unavailable; resource_exhausted - no space.
    virtual Status write_checkpoint(Checkpoint which, const std::string& bytes) = 0;
};

/// Tells that the config's file may have changed. It may tell too often; what it misses, zedagent finds at its next look. [loop]
class ConfigWatch {
public:
    virtual ~ConfigWatch() = default;
    virtual void start(std::function<void()> changed) = 0;
    virtual void stop() = 0;
};

}  // namespace eve::zedagent
