#pragma once
// From the user data of an app to the files of its CIDATA disk. Pure.

#include <optional>
#include <string>
#include <string_view>

#include "core/domainmgr/effects.hpp"
#include "core/types/domain.hpp"
#include "eve/result.hpp"

namespace eve::domainmgr {

/// The disk that the app shall see, or none if it has no user data or gets it otherwise (MetaDataType None, OpenStack).
///
/// Errors: invalid_argument - the user data is not base64, or is encrypted and no clear text stands beside it.
/// Source: EVE pkg/pillar/cmd/domainmgr/domainmgr.go createCloudInitISO.
Result<std::optional<CloudInitDisk>> cloud_init_disk(const types::DomainConfig& config);

/// Whether cloud-init text sets the host's name itself, so that the metadata must not.
bool sets_hostname(std::string_view user_data);

}  // namespace eve::domainmgr
