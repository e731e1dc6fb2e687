#include "core/zedagent/address_plan.hpp"

#include <string>
#include <string_view>

namespace eve::zedagent {
namespace {

using types::Bytes;
using types::IpAddress;

Error refused(std::string_view field, std::string what) {
    return Error{.code = Code::invalid_argument, .what = std::move(what), .field = std::string(field)};
}

bool same_family(const IpAddress& a, const IpAddress& b) { return a.is_v4() == b.is_v4(); }

/// b - a for a <= b, saturated at one above the largest range.
std::uint64_t distance(const IpAddress& a, const IpAddress& b) {
    for (std::uint64_t n = 0; n <= dhcp_range_max; ++n)
        if (add(a, static_cast<std::int64_t>(n)) == b) return n;
    return dhcp_range_max + 1;
}

IpAddress with_host_bits(const types::IpNet& subnet, bool ones) {
    Bytes address = subnet.IP.bytes();
    if (address.size() != subnet.Mask.size()) return {};
    for (std::size_t i = 0; i < address.size(); ++i)
        address[i] = static_cast<std::uint8_t>(ones ? (address[i] | static_cast<std::uint8_t>(~subnet.Mask[i])) : (address[i] & subnet.Mask[i]));
    return IpAddress::from_bytes(address);
}

}  // namespace

IpAddress add(const IpAddress& address, std::int64_t steps) {
    Bytes bytes = address.bytes();
    std::int64_t carry = steps;
    for (std::size_t i = bytes.size(); i-- > 0 && carry != 0;) {
        const std::int64_t sum = bytes[i] + (carry % 256);
        carry /= 256;
        std::int64_t digit = sum % 256;
        carry += sum / 256;
        if (digit < 0) {
            digit += 256;
            --carry;
        }
        bytes[i] = static_cast<std::uint8_t>(digit);
    }
    return carry == 0 ? IpAddress::from_bytes(bytes) : IpAddress{};
}

std::uint64_t address_count(const types::IpNet& subnet) {
    const auto prefix = subnet.prefix_length();
    if (!prefix) return 0;
    const int host_bits = (subnet.IP.is_v4() ? 32 : 128) - *prefix;
    constexpr int host_bits_max = 62;
    return std::uint64_t{1} << (host_bits < host_bits_max ? host_bits : host_bits_max);
}

IpAddress first_address(const types::IpNet& subnet) { return with_host_bits(subnet, false); }
IpAddress last_address(const types::IpNet& subnet) { return with_host_bits(subnet, true); }

bool not_after(const IpAddress& a, const IpAddress& b) { return a.bytes() <= b.bytes(); }

Status plan_addresses(types::NetworkInstanceConfigFields& network) {
    if (!network.Subnet) return refused("subnet", "the subnet is missing");
    const auto& subnet = *network.Subnet;
    const auto first = first_address(subnet);
    auto& range = network.DhcpRange;
    if (!network.Gateway.empty() && !same_family(network.Gateway, first))
        return refused("gateway", "gateway " + network.Gateway.to_string() + " is not of the subnet's IP family");
    if (range.Start.empty()) range.End = {};
    for (const auto* end : {&range.Start, &range.End}) {
        if (end->empty()) continue;
        if (!same_family(*end, first) || !subnet.contains(*end))
            return refused("dhcpRange", "DHCP range: " + end->to_string() + " is not in subnet " + subnet.to_string());
    }
    if (!range.Start.empty() && !range.End.empty() && !not_after(range.Start, range.End))
        return refused("dhcpRange", "DHCP range: start " + range.Start.to_string() + " is after end " + range.End.to_string());

    const std::uint64_t count = address_count(subnet);
    if (count < min_subnet_size)
        return refused("subnet", "subnet " + subnet.to_string() + " is too small (" + std::to_string(count) + " addresses, " +
                                     std::to_string(min_subnet_size) + " are needed)");
    if (network.Gateway.empty()) network.Gateway = add(first, 1);
    if (range.Start.empty()) {
        const bool upper_half = count >= large_subnet_size && range.End.empty();
        range.Start = add(first, upper_half ? static_cast<std::int64_t>(count / 2) : 2);
    }
    if (range.End.empty()) range.End = add(first, static_cast<std::int64_t>(count - 2));
    if (range.Start == first) range.Start = add(range.Start, 1);
    if (range.Start == network.Gateway) range.Start = add(network.Gateway, 1);
    if (range.End == last_address(subnet)) range.End = add(range.End, -1);
    if (!not_after(range.Start, range.End)) return refused("dhcpRange", "DHCP range: no address is left beside network, gateway and broadcast");
    if (not_after(range.Start, network.Gateway) && not_after(network.Gateway, range.End))
        return refused("gateway", "gateway " + network.Gateway.to_string() + " is inside the DHCP range " + range.Start.to_string() + "-" +
                                      range.End.to_string());
    // The range counts both ends; EVE compares its size with 255 and then allows start + 255.
    if (distance(range.Start, range.End) + 1 > dhcp_range_max) range.End = add(range.Start, static_cast<std::int64_t>(dhcp_range_max));
    return {};
}

}  // namespace eve::zedagent
