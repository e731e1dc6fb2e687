#include "storage/usb_devices.hpp"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <optional>

namespace eve::storage {
namespace {

constexpr std::size_t devices_max = 1024;
constexpr int net_depth_max = 6;

std::string line_of(const std::filesystem::path& file) {
    std::ifstream in(file);
    std::string line;
    std::getline(in, line);
    return line;
}

std::optional<std::uint32_t> number_in(const std::filesystem::path& file) {
    const auto line = line_of(file);
    std::uint32_t number = 0;
    const auto read = std::from_chars(line.data(), line.data() + line.size(), number);
    if (read.ec != std::errc{}) return std::nullopt;
    return number;
}

/// The last part of a path that looks like a PCI address.
std::string controller_in(const std::filesystem::path& path) {
    std::string found;
    for (const auto& part : path) {
        const auto name = part.string();
        if (name.size() >= 12 && name[name.size() - 2] == '.' && name[name.size() - 5] == ':' && name[name.size() - 8] == ':') found = name;
    }
    return found;
}

/// Whether one of the device's interfaces makes a network interface; devices behind it (hubs) are not looked into.
bool makes_network(const std::filesystem::path& device, const std::string& name) {
    std::error_code failure;
    for (std::filesystem::recursive_directory_iterator entry(device, failure), end; !failure && entry != end; entry.increment(failure)) {
        const auto part = entry->path().filename().string();
        if (part == "net" && entry->is_directory(failure)) return true;
        const bool of_this = part.starts_with(name + ":") || entry.depth() > 0;
        if (!entry->is_directory(failure) || entry->is_symlink(failure) || !of_this || entry.depth() >= net_depth_max) entry.disable_recursion_pending();
    }
    return false;
}

}  // namespace

std::vector<domainmgr::UsbDevice> read_usb_devices(const std::string& directory) {
    std::vector<domainmgr::UsbDevice> found;
    std::error_code failure;
    for (std::filesystem::directory_iterator entry(directory, failure), end; !failure && entry != end && found.size() < devices_max; entry.increment(failure)) {
        const auto name = entry->path().filename().string();
        if (name.find(':') != std::string::npos || name.find('-') == std::string::npos) continue;  // interfaces; root hubs
        const auto bus = number_in(entry->path() / "busnum");
        const auto device = number_in(entry->path() / "devnum");
        const auto vendor = line_of(entry->path() / "idVendor");
        if (!bus || !device || vendor.empty()) continue;
        std::error_code gone;
        const auto real = std::filesystem::canonical(entry->path(), gone);
        if (gone) continue;
        found.push_back({.bus = *bus,
                         .device = *device,
                         .port = line_of(entry->path() / "devpath"),
                         .product = vendor + ":" + line_of(entry->path() / "idProduct"),
                         .controller = controller_in(real),
                         .hub = line_of(entry->path() / "bDeviceClass") == "09",
                         .network = makes_network(real, name)});
    }
    std::sort(found.begin(), found.end());
    return found;
}

}  // namespace eve::storage
