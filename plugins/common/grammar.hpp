#pragma once
// How the names and addresses of a DomainSpec must be written, for every plugin that checks one.

#include <cstddef>
#include <string_view>

namespace eve::plugins {

/// 8-4-4-4-12 hexadecimal digits of either case.
bool valid_uuid(std::string_view text);
/// Six pairs of hexadecimal digits between colons, of one interface, not of a group.
bool valid_mac(std::string_view text);
/// 1 to 127 letters, digits, dots, dashes or underscores, the first no dot: it can be a file's name.
bool valid_name(std::string_view text);
/// domain:bus:slot.function with a domain of 4 to 8 digits, all hexadecimal and lower case as sysfs writes them.
bool valid_pci_address(std::string_view text);
/// No longer than that, and without control characters.
bool printable(std::string_view text, std::size_t size_max);

}  // namespace eve::plugins
