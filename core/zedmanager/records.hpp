#pragma once
// How zedmanager's records are made from one another: keys, what a changed config needs, and the records for zedrouter and domainmgr.

#include <string>
#include <vector>

#include "core/types/app.hpp"

namespace eve::zedmanager {

/// "<VolumeID>#<generation>": one life of a volume.
std::string volume_key(const types::VolumeRefConfig& reference);
std::string volume_key(const types::VolumeRefStatus& reference);
/// "<VolumeID>#<generation>#<AppUUID>": the key of VolumeRefConfig and VolumeRefStatus.
std::string reference_key(const types::VolumeRefConfig& reference);
std::string reference_key(const types::VolumeRefStatus& reference);

/// The sums that travel in DomainConfig: the controller's command and the local one count alike.
std::uint32_t restart_counter(const types::AppInstanceConfig& config);
std::uint32_t purge_counter(const types::AppInstanceConfig& config);

/// What makes a config one that cannot be run at all; empty if nothing does.
std::vector<std::string> faults(const types::AppInstanceConfig& config);

/// Whether the app shall run: the controller's wish, and the profile in force.
bool wanted_active(const types::AppInstanceConfig& config, const std::string& profile);

/// The part of a config that needs a command to change: resources a restart, volumes and adapters a purge.
struct Accepted {
    types::VmConfig resources;
    std::vector<types::VolumeRefConfig> volumes;
    std::vector<types::IoAdapter> adapters;
    std::uint32_t restart_counter = 0;
    std::uint32_t purge_counter = 0;

    friend bool operator==(const Accepted&, const Accepted&) = default;
};
Accepted accept(const types::AppInstanceConfig& config);

/// What differs between the config in force and a new one, in words; empty: nothing of that kind.
struct Difference {
    std::vector<std::string> restart;  ///< takes a restart
    std::vector<std::string> purge;    ///< takes a purge
    bool only_boot_order = false;      ///< all that takes a restart is the boot order
};
Difference compare(const Accepted& accepted, const types::AppInstanceConfig& wanted);

/// zedrouter's config. While `before` may not be touched (the app runs), adapters stay as they are but for their ACLs.
enum class Staging { apply_all, keep_adapters };
types::AppNetworkConfig make_network_config(const types::AppInstanceConfig& config, const types::UUIDandVersion& identity, bool activate,
                                            const types::AppNetworkConfig* before, Staging staging);

/// Whether zedrouter's status is about these adapters, and not about those of an earlier config.
bool describes(const types::AppNetworkStatus& status, const types::AppNetworkConfig& config);

enum class Machine { amd64, arm64 };
inline constexpr Machine this_machine =
#if defined(__aarch64__)
    Machine::arm64;
#else
    Machine::amd64;
#endif

/// What a domain is made of.
struct DomainParts {
    const types::AppInstanceConfig& config;
    const types::AppInstanceStatus& status;
    const types::AppNetworkStatus& network;
    const Accepted& accepted;
    Machine machine = this_machine;
};
/// domainmgr's config of an app that shall run. Errors: failed_precondition - a volume has no file yet.
/// Source: EVE pkg/pillar/cmd/zedmanager/handledomainmgr.go MaybeAddDomainConfig.
Result<types::DomainConfig> make_domain_config(const DomainParts& parts);

}  // namespace eve::zedmanager
