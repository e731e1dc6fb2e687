#pragma once
// From the bytes of a device config (EdgeDevConfig of the EVE device API, binary or protobuf JSON) to the records that agents read. Pure.
//
// Two kinds of mistakes are kept apart. A file that cannot be a device config is refused as a whole, with the field named, and the config in
// force stays: not JSON and not protobuf, a wrong type or an unknown enum name, a missing, malformed or repeated UUID, a digest that is none,
// and a storage reference (app -> volume -> content tree -> datastore) that leads nowhere, for whose absence no record has a place and agents
// would wait for ever. A mistake within one object that its record can carry stays with the object and the rest applies, as in EVE: an app's
// Errors, an adapter's Error, a network's or network instance's ErrorAndTime, a port's LastError, a config item by name.

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/types/app.hpp"
#include "core/types/config_items.hpp"
#include "core/types/domain.hpp"
#include "core/types/network.hpp"
#include "core/types/node.hpp"
#include "core/types/volume.hpp"
#include "eve/result.hpp"

namespace eve::zedagent {

/// A larger device config is refused.
inline constexpr std::size_t config_bytes_max = std::size_t{2} << 20;
/// Of each kind of notice no more are kept.
inline constexpr std::size_t notices_max = 64;

/// A config item that did not apply as it was given.
struct ItemProblem {
    std::string name;
    std::string error;
    bool unknown = false;
    friend bool operator==(const ItemProblem&, const ItemProblem&) = default;
};

/// Everything that a device config says and this node acts on, as records.
struct DeviceConfig {
    types::UUIDandVersion id;
    std::optional<types::Time> timestamp;
    std::string device_name;
    types::ConfigItemValueMap items;
    std::vector<ItemProblem> item_problems;
    bool maintenance_mode = false;
    std::string global_profile;
    std::optional<types::DeviceOpsCmd> reboot;
    std::optional<types::DeviceOpsCmd> shutdown;
    std::vector<types::DatastoreConfig> datastores;
    types::PhysicalIOAdapterList physical_io;
    std::vector<types::NetworkXObjectConfig> networks;
    types::DevicePortConfig ports;
    std::vector<types::NetworkInstanceConfig> network_instances;
    std::vector<types::ContentTreeConfig> content_trees;
    std::vector<types::VolumeConfig> volumes;
    std::vector<types::AppInstanceConfig> apps;
    std::vector<std::string> unknown_fields;  ///< of JSON: paths of members that no message has; they are ignored
    std::vector<std::string> not_acted_on;    ///< paths of what was given and this node does nothing about
    friend bool operator==(const DeviceConfig&, const DeviceConfig&) = default;
};

struct ParseContext {
    WallTime now;                            ///< stamped on the errors that are found
    const types::ConfigItemValueMap* items_before = nullptr;  ///< what a bad item falls back to; null: the defaults
};

/// The config that `bytes` hold. Config items start from their defaults, so that an absent item reverts.
///
/// Errors: invalid_argument - refused; `field` is the path ("apps[0].volumeRefList[1].uuid"), `hint` what to do;
///         resource_exhausted - larger than config_bytes_max.
Result<DeviceConfig> parse(std::string_view bytes, const ParseContext& context);

/// SHA-256 of the bytes in hex: tells which file an answer is about.
std::string config_digest(std::string_view bytes);

/// Errors that are the same as before keep the time at which they were first found, and unchanged ports their priority.
void keep_times(DeviceConfig& now, const DeviceConfig& before);

/// What local commands have added to the controller's counters, kept over reboots.
struct LocalCounters {
    std::map<types::Uuid, types::LocalAppCounters> apps;
    std::map<types::Uuid, std::int64_t> volumes;  ///< LocalGenerationCounter by volume
    friend bool operator==(const LocalCounters&, const LocalCounters&) = default;
};
void add_local_counters(DeviceConfig& config, const LocalCounters& local);

/// What is left of an app config that is too large for a message: a sentence in Errors instead of user data, cipher data and rules.
types::AppInstanceConfig without_large_parts(types::AppInstanceConfig app);

/// "V#G": under which a volume of this generation is published.
std::string volume_key(const types::VolumeConfig& volume);

}  // namespace eve::zedagent
