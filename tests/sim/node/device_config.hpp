#pragma once
// The device config that a controller would write for some apps, as the text of zedagent's file: datastore, content tree, volumes, networks, apps.
// And the ways in which such a file can be bad.

#include <cstdint>
#include <map>
#include <string>

#include "core/types/app.hpp"
#include "tests/doubles/prng.hpp"

namespace eve::sim {

using Apps = std::map<std::string, types::AppInstanceConfig>;  ///< by UUID

struct DeviceWish {
    Apps apps;
    std::string content_sha256;  ///< of what http://images.example/disk serves
    std::uint64_t revision = 0;  ///< makes each config another one
};
/// Protobuf JSON. Volumes whose UUID ends in an odd byte are blank, others come from the server.
std::string device_config(const DeviceWish& wish);

/// `good`, spoilt so that no node may take anything of it.
std::string spoil(Prng& prng, const std::string& good);

}  // namespace eve::sim
