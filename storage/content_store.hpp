#pragma once
// The content store: a directory laid out as the OCI image specification says, with index.json naming the images. A blob from a verified file is the
// same inode where the file system allows, so nothing is copied. Blobs of containers' images may be with a runtime that keeps content itself instead
// (kept_content.hpp); index.json is here all the same.

#include <memory>
#include <string>

#include "core/volumemgr/effects.hpp"
#include "storage/kept_content.hpp"

namespace eve::storage {

/// `directory` is made when first needed. Calls must not overlap.
std::unique_ptr<volumemgr::ContentStore> make_content_store(std::string directory, ContentKeepers keepers = {});

/// Where the blob of that digest is, in the store in `directory`.
std::string blob_path(const std::string& directory, const std::string& sha256);

}  // namespace eve::storage
