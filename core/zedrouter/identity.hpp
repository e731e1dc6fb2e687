#pragma once
// Names, MAC addresses and IP addresses of bridges and app interfaces: EVE's rules, as pure functions.

#include <cstdint>
#include <string>
#include <vector>

#include "core/types/network.hpp"
#include "eve/result.hpp"

namespace eve::zedrouter {

/// How MACs of app interfaces are made. Chosen once per app, kept for its life.
enum class MacGenerator : int { unspecified = 0, node_scoped = 1, globally_scoped = 2, cluster_deterministic = 3 };

std::string bridge_name(int bridge_number);
std::string vif_name(int vif_number, int app_number);

/// 00:16:3e:A:B:<number>, A and B from the device's UUID.
types::MacAddress bridge_mac(const types::Uuid& device, int bridge_number);

struct MacInput {
    types::Uuid app;
    types::Uuid network_instance;
    types::NetworkInstanceType type = {};
    int adapter_number = 1;  ///< 1-based
    int app_number = 1;
    MacGenerator generator = MacGenerator::globally_scoped;
};
types::MacAddress app_mac(const MacInput& input);

/// An IPv4 network as numbers in host order.
struct Ipv4Net {
    std::uint32_t base = 0;
    int length = 0;
    std::uint32_t mask() const { return length == 0 ? 0U : ~0U << (32 - length); }
    bool contains(std::uint32_t address) const { return (address & mask()) == base; }
    std::uint32_t broadcast() const { return base | ~mask(); }
    std::string to_string() const;
};
/// Nothing for IPv6 or a mask that is no prefix.
std::optional<Ipv4Net> ipv4_net(const std::optional<types::IpNet>& net);
bool overlap(const Ipv4Net& a, const Ipv4Net& b);

struct AppIpInput {
    const types::NetworkInstanceConfigFields& network_instance;
    types::IpAddress configured;    ///< static address or none
    types::IpAddress recorded;      ///< what this MAC was given before, or none
    int interface_number = 0;
};
/// The address of an app's interface on a local network instance. Errors: invalid_argument - the static one is not allowed there;
/// resource_exhausted - the range has no address of that number.
Result<types::IpAddress> app_ip(const AppIpInput& input);

}  // namespace eve::zedrouter
