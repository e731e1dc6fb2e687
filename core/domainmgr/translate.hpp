#pragma once
// From EVE's DomainConfig to what a runtime is asked for, and to the parts of DomainStatus that follow from the config alone. Pure: the one
// place where the two vocabularies meet.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/types/domain.hpp"
#include "eve/domain.hpp"
#include "eve/result.hpp"

namespace eve::domainmgr {

/// Names of the labels that every domain carries, so that a restarted node knows what it finds.
inline constexpr const char* label_version = "eve.version";
inline constexpr const char* label_purge = "eve.purge";
inline constexpr const char* label_restart = "eve.restart";
inline constexpr const char* label_cpus = "eve.cpus";  ///< of a domain with CPUs of its own: "2,3"
inline constexpr std::int64_t cpus_max = 4096;         ///< more than any machine has

/// What the spec depends on beside the app's config.
struct TranslateInputs {
    const types::DomainConfig& config;
    const Description& runtime;
    std::string cloud_init_path;        ///< of the CIDATA disk, or empty
    std::uint64_t overhead_bytes = 0;   ///< of the VMM
    std::string resolution;             ///< app.fml.resolution
    std::vector<std::uint32_t> cpus;    ///< of the host: its own if it wants some, else where it may run; empty: any
    bool oem_license = false;           ///< the host has one to show
    std::vector<Adapter> adapters;      ///< that it was lent
    std::vector<std::string> vmm_args;  ///< that the board's plugin wants for them
};
struct Translated {
    DomainSpec spec;
    std::vector<std::string> notes;  ///< what the app asked for and this runtime does without, each one sentence
};
/// The spec of a domain, its revision included.
///
/// Errors: invalid_argument - the config contradicts itself, with the field; unsupported - the runtime lacks what the app cannot do without.
Result<Translated> translate(const TranslateInputs& inputs);

/// EVE's name of a domain: "<uuid>.<version>.<app number>", with every character that a runtime may not take replaced.
std::string domain_name(const types::DomainConfig& config);
/// The mode as runtimes know it; numbers that EVE does not define are PV, as there.
VirtualizationMode runtime_mode(types::VmMode mode);
/// A figure that changes whenever what the runtime would be told changes. Never 0.
std::uint64_t revision_of(const types::DomainConfig& config);
/// The disks as DomainStatus shows them, cloud-init included.
std::vector<types::DiskStatus> disk_statuses(const types::DomainConfig& config, const std::string& cloud_init_path);
std::vector<types::VifInfo> vif_infos(const types::DomainConfig& config);

}  // namespace eve::domainmgr
