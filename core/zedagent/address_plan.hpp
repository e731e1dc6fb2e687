#pragma once
// The addresses of a local network instance: what zedrouter may rely on after zedagent checked what was given and chose the rest. Pure.

#include <cstdint>
#include <optional>

#include "core/types/network.hpp"
#include "eve/result.hpp"

namespace eve::zedagent {

/// Smallest subnet, and the size from which the default range leaves its lower half to static addresses.
inline constexpr std::uint64_t min_subnet_size = 4;
inline constexpr std::uint64_t large_subnet_size = 16;
/// zedrouter numbers the addresses it hands out with one byte.
inline constexpr std::uint64_t dhcp_range_max = 255;

/// `network`'s Gateway and DhcpRange are complete and consistent. Given are Subnet, and what the config says of the other two (none = choose).
/// Errors: invalid_argument - what was given contradicts itself; Error::field is the member of ipspec at fault.
/// Source: EVE pkg/pillar/cmd/zedagent/parseconfig.go parseIpspec.
Status plan_addresses(types::NetworkInstanceConfigFields& network);

/// `address` plus `steps`; none when it leaves the family's range.
types::IpAddress add(const types::IpAddress& address, std::int64_t steps);

/// How many addresses the subnet has, saturated; 0 when the mask is no prefix.
std::uint64_t address_count(const types::IpNet& subnet);

/// The subnet's own address (all host bits 0), and its last one (all 1).
types::IpAddress first_address(const types::IpNet& subnet);
types::IpAddress last_address(const types::IpNet& subnet);

/// Whether a <= b, in address order; both of one family.
bool not_after(const types::IpAddress& a, const types::IpAddress& b);

}  // namespace eve::zedagent
