#pragma once
// CRC-32 as in Ethernet and zip: finds every change of a few neighbouring bytes, and all but one in 4 billion of the others.

#include <cstdint>
#include <string_view>

namespace eve::storage {

std::uint32_t checksum(std::string_view content);

}  // namespace eve::storage
