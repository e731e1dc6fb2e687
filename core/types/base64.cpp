#include "core/types/base64.hpp"

#include <array>
#include <cstddef>
#include <cstdint>

namespace eve::types {
namespace {

constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr std::uint8_t no_digit = 64;

constexpr auto digits = [] {
    std::array<std::uint8_t, 256> values{};
    values.fill(no_digit);
    for (std::size_t i = 0; i < alphabet.size(); ++i) values[static_cast<unsigned char>(alphabet[i])] = static_cast<std::uint8_t>(i);
    return values;
}();

}  // namespace

std::string base64_of(std::string_view bytes) {
    std::string out((bytes.size() + 2) / 3 * 4, '=');
    const auto byte = [&](std::size_t i) -> std::uint32_t { return i < bytes.size() ? static_cast<unsigned char>(bytes[i]) : 0U; };
    char* to = out.data();
    for (std::size_t i = 0; i < bytes.size(); i += 3, to += 4) {
        const std::uint32_t group = byte(i) << 16U | byte(i + 1) << 8U | byte(i + 2);
        to[0] = alphabet[group >> 18U];
        to[1] = alphabet[(group >> 12U) & 63U];
        if (i + 1 < bytes.size()) to[2] = alphabet[(group >> 6U) & 63U];
        if (i + 2 < bytes.size()) to[3] = alphabet[group & 63U];
    }
    return out;
}

// Strict: padding where it belongs and nothing behind it, no other characters.
std::optional<std::string> bytes_of_base64(std::string_view text) {
    if (text.size() % 4 != 0) return std::nullopt;
    const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
    const auto digit = [&](std::size_t i) -> std::uint32_t {
        return i < text.size() - padding ? digits[static_cast<unsigned char>(text[i])] : 0U;
    };
    std::string out(text.size() / 4 * 3, '\0');
    std::uint32_t all = 0;
    char* to = out.data();
    for (std::size_t i = 0; i < text.size(); i += 4, to += 3) {
        const std::uint32_t one = digit(i), two = digit(i + 1), three = digit(i + 2), four = digit(i + 3);
        all |= one | two | three | four;
        const std::uint32_t group = one << 18U | two << 12U | three << 6U | four;
        to[0] = static_cast<char>(static_cast<unsigned char>(group >> 16U));
        to[1] = static_cast<char>(static_cast<unsigned char>(group >> 8U));
        to[2] = static_cast<char>(static_cast<unsigned char>(group));
    }
    if ((all & no_digit) != 0) return std::nullopt;
    out.resize(out.size() - padding);
    return out;
}

}  // namespace eve::types
