#pragma once
// Records of zedagent alone: what evectl shows about the config, and what is kept of local commands (EVE's own form of that file).

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/types/app.hpp"

namespace eve::zedagent {

struct ConfigItemError {
    std::string Name;
    std::string Error;
    bool Unknown = false;
    EVE_RECORD(ConfigItemError)
};

/// Topic zedagent/ConfigStatus, key "global": the answer to the last config that was read, and what is in force. Ours, not EVE's.
struct ConfigStatus {
    bool Accepted = false;  ///< the last file that was read is in force
    std::string Digest;     ///< SHA-256 of the last file that was read
    types::Time ReadTime;
    std::string Error;  ///< why it is not in force
    std::string Field;
    std::string Remedy;
    std::string Source;  ///< of the config in force: "file", "checkpoint", or "" for none
    std::string InForceDigest;
    types::Time InForceSince;
    types::Uuid DeviceUUID;
    std::string Version;
    std::string DeviceName;
    bool MaintenanceMode = false;  ///< only the config items apply
    std::vector<ConfigItemError> ConfigItemErrors;
    std::vector<std::string> UnknownFields;  ///< members that no message has
    std::vector<std::string> NotActedOn;     ///< sections that this node does nothing about
    std::vector<std::string> Problems;       ///< records that could not be published
    EVE_RECORD(ConfigStatus)
};

/// EVE's file of local commands.
struct LocalCommands {
    std::map<std::string, std::optional<types::LocalAppCommand>> AppCommands;
    std::map<std::string, std::optional<types::LocalAppCounters>> AppCounters;
    std::map<std::string, std::int64_t> VolumeGenCounters;
    EVE_RECORD(LocalCommands)
};

}  // namespace eve::zedagent
