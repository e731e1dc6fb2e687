#pragma once
// What the plugin tells the first process of a container's virtual machine, as a file in its RAM disk: "name=value" texts, each ended by NUL, so
// that no value needs quoting. Written by the plugin, read by the guest.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "eve/result.hpp"

namespace eve::kvm {

/// A volume beside the root file system.
struct GuestVolume {
    std::uint32_t number = 0;  ///< EVE's, of its place among the app's volumes
    std::string name;          ///< the user's, or empty
    bool block = false;        ///< a disk, found by its serial number `source`; else a file system shared by the host, with the tag `source`
    std::string source;
    std::string target;        ///< where it is mounted, or empty
    bool read_only = false;
    friend bool operator==(const GuestVolume&, const GuestVolume&) = default;
};

struct GuestOrder {
    std::string host_name;
    std::vector<std::string> args;
    std::vector<std::string> env;
    std::string cwd = "/";
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    std::vector<std::uint32_t> groups;
    std::uint32_t stop_signal = 15;
    bool read_only = false;            ///< the root file system
    std::vector<std::string> macs;     ///< of eth0, eth1, ...
    std::uint32_t address_wait_ms = 0; ///< how long the app's start waits for addresses
    std::vector<GuestVolume> volumes;
    friend bool operator==(const GuestOrder&, const GuestOrder&) = default;
};

inline constexpr const char* order_path = "order";  // in the RAM disk
inline constexpr const char* root_tag = "root";
inline constexpr const char* report_port = "org.lfedge.eve.exit";

/// Errors: invalid_argument - a value holds a NUL, or all together are too large.
Result<std::string> order_text(const GuestOrder& order);
/// Errors: invalid_argument.
Result<GuestOrder> read_order(std::string_view text);

/// A file as an archive that the kernel unpacks behind the RAM disk that it is appended to (cpio, "newc").
std::string cpio_of(std::string_view name, std::string_view content, std::uint32_t mode);

}  // namespace eve::kvm
