#pragma once
// From the user data of an app to the files of its CIDATA disk. Pure.

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/domainmgr/effects.hpp"
#include "core/types/domain.hpp"
#include "eve/domain.hpp"
#include "eve/result.hpp"

namespace eve::domainmgr {

/// Whether the app is an OCI container, by itself or in a VM: its first volume says so.
bool is_container(const types::DomainConfig& config);

/// The disk that the app shall see, or none if it has no user data or gets it otherwise (a container; MetaDataType None, OpenStack).
///
/// Errors: invalid_argument - the user data is not base64, or is encrypted and no clear text stands beside it.
/// Source: EVE pkg/pillar/cmd/domainmgr/domainmgr.go createCloudInitISO.
Result<std::optional<CloudInitDisk>> cloud_init_disk(const types::DomainConfig& config);

/// What a container gets of the user data: variables, and files in its root file system. Nothing for an app that is none.
struct ContainerData {
    std::map<std::string, std::string> env;
    std::vector<GuestFile> files;
};
/// Lines of NAME=value; empty lines and lines that begin with '#' count for nothing, blanks and one pair of quotes around a value are taken off.
///
/// Errors: invalid_argument - not base64, encrypted without clear text beside it, or a line of another form; unsupported - #cloud-config.
/// Source: EVE pkg/pillar/cmd/domainmgr/domainmgr.go parseEnvVariablesFromCloudInit.
Result<ContainerData> container_data(const types::DomainConfig& config);

/// Whether cloud-init text sets the host's name itself, so that the metadata must not.
bool sets_hostname(std::string_view user_data);

}  // namespace eve::domainmgr
