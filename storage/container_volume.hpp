#pragma once
// A container's volume: a directory with the image's layers unpacked into rootfs/, and its config as image-config.json. Runtimes get the directory.

#include "storage/volume_files.hpp"

namespace eve::storage {

inline constexpr const char* container_root = "rootfs";
inline constexpr const char* container_config = "image-config.json";

/// The image whose manifest is `order.blob_sha256` of the store is unpacked at `order.path`, durably. It is made at `temporary`, where nothing is.
///
/// Errors: not_found - something of the image is not in the store; invalid_argument, unsupported - the image; already_exists; resource_exhausted;
/// cancelled; unavailable.
Result<volumemgr::VolumeFacts> create_container(const VolumeFilesOptions& options, const volumemgr::VolumeOrder& order, const std::string& temporary,
                                                const std::function<void(unsigned)>& progress, const LaneContext& context);

/// Errors: not_found; invalid_argument - there is no such directory at `path`.
Result<volumemgr::VolumeFacts> inspect_container(const std::string& path);

/// Neither a file nor a directory is at `path`, whatever was in it. Follows no link, enters no other file system, and needs the same few descriptors
/// however deep it is. Idempotent. Errors: failed_precondition - something is mounted in it; unavailable.
Status remove_tree(const std::string& path);

}  // namespace eve::storage
