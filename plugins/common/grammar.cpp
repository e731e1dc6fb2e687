#include "common/grammar.hpp"

#include <algorithm>

namespace eve::plugins {
namespace {

bool digit(char c) { return c >= '0' && c <= '9'; }
bool lower_hex(char c) { return digit(c) || (c >= 'a' && c <= 'f'); }
bool hex(char c) { return lower_hex(c) || (c >= 'A' && c <= 'F'); }
bool word(char c) { return digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' || c == '-' || c == '_'; }

/// Of this size, hexadecimal digits everywhere but where a separator must stand.
bool grouped_hex(std::string_view text, std::size_t size, char separator, auto&& separates) {
    if (text.size() != size) return false;
    for (std::size_t at = 0; at < size; ++at)
        if (separates(at) ? text[at] != separator : !hex(text[at])) return false;
    return true;
}

}  // namespace

bool valid_uuid(std::string_view text) {
    return grouped_hex(text, 36, '-', [](std::size_t at) { return at == 8 || at == 13 || at == 18 || at == 23; });
}

bool valid_mac(std::string_view text) {
    if (!grouped_hex(text, 17, ':', [](std::size_t at) { return at % 3 == 2; })) return false;
    return std::string_view("02468aceACE").find(text[1]) != std::string_view::npos;
}

bool valid_name(std::string_view text) {
    return !text.empty() && text.size() <= 127 && text.front() != '.' && std::all_of(text.begin(), text.end(), word);
}

bool valid_pci_address(std::string_view text) {
    const auto all_hex = [](std::string_view digits) { return std::all_of(digits.begin(), digits.end(), lower_hex); };
    const auto domain = text.find(':');
    if (domain == std::string_view::npos || domain < 4 || domain > 8 || !all_hex(text.substr(0, domain))) return false;
    const auto rest = text.substr(domain + 1);
    return rest.size() == 7 && all_hex(rest.substr(0, 2)) && rest[2] == ':' && all_hex(rest.substr(3, 2)) && rest[5] == '.' && rest[6] >= '0' && rest[6] <= '7';
}

bool printable(std::string_view text, std::size_t size_max) {
    return text.size() <= size_max && std::all_of(text.begin(), text.end(), [](unsigned char c) { return c >= 0x20 && c != 0x7f; });
}

}  // namespace eve::plugins
