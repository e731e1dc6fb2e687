#pragma once
// One layer of a container image onto what the layers below it left. The layer is a stranger's: whatever is in it, nothing outside the directory is
// read or written, and what should not be in an image ends it with a sentence. Runs in the unpack process only (and in tests).

#include "core/types/oci.hpp"
#include "storage/unpack/unpack.hpp"

namespace eve::storage::unpack {

inline constexpr std::uint64_t ratio_max = 200;                          ///< unpacked to packed; what is beyond is a bomb
inline constexpr std::uint64_t ratio_free_bytes = std::uint64_t{256} << 20;  ///< so much may come of anything
inline constexpr std::size_t path_bytes_max = 4000;
inline constexpr std::size_t depth_max = 200;  ///< directories in directories
inline constexpr int links_max = 40;           ///< followed for one name
inline constexpr std::size_t attributes_max = 64;
inline constexpr std::size_t attribute_bytes_max = 64 * 1024;

/// The layer open as `layer` is on top of what is in the directory open as `root`. Owners and attributes are set when this process may.
/// On an error the directory is half-done and worth nothing.
///
/// Errors: invalid_argument - what is in it is not a layer, lies, or is hostile; resource_exhausted - larger than `budget`, or no space;
/// unavailable - the disk.
Result<LayerFacts> unpack_layer(int layer, int root, types::OciPacking packing, const Budget& budget);

}  // namespace eve::storage::unpack
