#pragma once
// The header of a qcow2 image, read without QEMU: an image from outside must not name another file, and must say what it is.

#include <cstdint>
#include <string_view>

#include "eve/result.hpp"

namespace eve::storage {

inline constexpr std::size_t qcow2_header_bytes = 64 * 1024;  ///< enough of the file's start: everything looked at is in the first cluster
inline constexpr std::uint64_t qcow2_virtual_bytes_max = std::uint64_t{1} << 46;

struct Qcow2Header {
    std::uint32_t version = 0;
    std::uint64_t virtual_bytes = 0;
    std::uint32_t cluster_bits = 0;
    std::uint32_t snapshots = 0;
};

/// Whether `start` begins as a qcow2 image does.
bool looks_like_qcow2(std::string_view start);

/// The header at the start of an image of which `start` are the first bytes (qcow2_header_bytes of them, or all).
///
/// Errors: invalid_argument - not a qcow2 image that stands by itself: a backing file, an external data file, encryption, damage, a feature
///         that is not known.
Result<Qcow2Header> parse_qcow2_header(std::string_view start);

}  // namespace eve::storage
