#include "storage/device_identity.hpp"

#include <sys/random.h>

#include <array>
#include <cerrno>

#include "storage/durable_file.hpp"

namespace eve::storage {
namespace {

constexpr std::size_t firmware_text_max = 256;

/// One line of what the firmware says of itself, without what cannot be printed.
std::string firmware_text(const char* path) {
    auto text = read_file(path, firmware_text_max);
    std::string out;
    if (!text) return out;
    for (const char c : *text)
        if (c >= ' ' && c <= '~') out += c;
    while (!out.empty() && out.back() == ' ') out.pop_back();
    return out;
}

}  // namespace

Result<types::Uuid> DeviceIdentity::new_uuid() {
    std::array<std::uint8_t, 16> bytes{};
    if (getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) return error_of(errno, "random bytes for the device's UUID");
    bytes[6] = static_cast<std::uint8_t>((bytes[6] & 0x0f) | 0x40);  // version 4
    bytes[8] = static_cast<std::uint8_t>((bytes[8] & 0x3f) | 0x80);  // RFC 4122
    return types::Uuid(bytes);
}

std::string DeviceIdentity::hardware_model() {
    const auto vendor = firmware_text("/sys/class/dmi/id/sys_vendor");
    const auto product = firmware_text("/sys/class/dmi/id/product_name");
    return vendor.empty() || product.empty() ? vendor + product : vendor + "." + product;
}

}  // namespace eve::storage
