#pragma once
// The disk by which a guest finds its cloud-init: ISO 9660 with Joliet and Rock Ridge, label cidata.

#include <string>

#include "core/domainmgr/effects.hpp"
#include "eve/result.hpp"

namespace eve::storage {

inline constexpr std::size_t cidata_bytes_max = std::size_t{64} << 20;
inline constexpr std::size_t cidata_files_max = 1024;

/// The image's bytes. Errors: invalid_argument - a path that leaves the disk, or too much; internal.
Result<std::string> cidata_image(const domainmgr::CloudInitDisk& disk);

}  // namespace eve::storage
