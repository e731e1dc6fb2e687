#pragma once
// Standard base64 with padding, of the bytes that a text holds: every message of the bus and every field of bytes goes through it.

#include <optional>
#include <string>
#include <string_view>

namespace eve::types {

std::string base64_of(std::string_view bytes);
/// Nothing where the text is not base64 to its last character.
std::optional<std::string> bytes_of_base64(std::string_view text);

}  // namespace eve::types
