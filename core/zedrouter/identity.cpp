#include "core/zedrouter/identity.hpp"

#include <openssl/sha.h>

#include <array>

namespace eve::zedrouter {
namespace {

using Digest = std::array<std::uint8_t, SHA256_DIGEST_LENGTH>;

Digest sha256(const std::vector<std::uint8_t>& bytes) {
    Digest digest{};
    SHA256(bytes.data(), bytes.size(), digest.data());
    return digest;
}

std::vector<std::uint8_t> bytes_of(const types::Uuid& uuid) { return {uuid.bytes().begin(), uuid.bytes().end()}; }

}  // namespace

std::string bridge_name(int bridge_number) { return "bn" + std::to_string(bridge_number); }

std::string vif_name(int vif_number, int app_number) { return "nbu" + std::to_string(vif_number) + "x" + std::to_string(app_number); }

types::MacAddress bridge_mac(const types::Uuid& device, int bridge_number) {
    std::uint8_t a = 0x06;
    std::uint8_t b = 0x00;
    if (!device.is_nil()) {
        const auto digest = sha256(bytes_of(device));
        a = digest[0];
        b = digest[1];
    }
    return {{0x00, 0x16, 0x3e, a, b, static_cast<std::uint8_t>(bridge_number)}};
}

types::MacAddress app_mac(const MacInput& input) {
    auto bytes = bytes_of(input.app);
    const auto network = bytes_of(input.network_instance);
    bytes.insert(bytes.end(), network.begin(), network.end());
    const auto adapter = static_cast<std::uint8_t>(input.adapter_number);
    const auto app = static_cast<std::uint8_t>(input.app_number);
    bytes.push_back(adapter);
    bytes.push_back(input.generator == MacGenerator::cluster_deterministic ? 0 : app);
    const auto digest = sha256(bytes);
    if (input.type == types::NetworkInstanceType::NetworkInstanceTypeSwitch) return {{0x02, 0x16, 0x3e, digest[0], digest[1], digest[2]}};
    if (input.generator == MacGenerator::node_scoped) return {{0x00, 0x16, 0x3e, 0x00, adapter, app}};
    const auto first = static_cast<std::uint8_t>((digest[0] & 0xfe) | 0x02);  // unicast, locally administered
    return {{first, digest[1], digest[2], digest[3], digest[4], digest[5]}};
}

std::string Ipv4Net::to_string() const { return types::IpAddress::from_v4(base).to_string() + "/" + std::to_string(length); }

std::optional<Ipv4Net> ipv4_net(const std::optional<types::IpNet>& net) {
    if (!net || !net->IP.is_v4()) return std::nullopt;
    const auto length = net->prefix_length();
    if (!length || *length > 32) return std::nullopt;
    Ipv4Net result{.base = net->IP.v4(), .length = *length};
    result.base &= result.mask();
    return result;
}

bool overlap(const Ipv4Net& a, const Ipv4Net& b) { return a.contains(b.base) || b.contains(a.base); }

Result<types::IpAddress> app_ip(const AppIpInput& input) {
    const auto& config = input.network_instance;
    const auto subnet = ipv4_net(config.Subnet);
    if (!subnet) return types::IpAddress{};
    const auto start = config.DhcpRange.Start.v4();
    const auto end = config.DhcpRange.End.v4();
    if (!input.configured.empty()) {
        const auto& text = input.configured.to_string();
        const auto address = input.configured.v4();
        if (!input.configured.is_v4() || !subnet->contains(address))
            return Error{Code::invalid_argument, "static address " + text + " is not in subnet " + subnet->to_string()};
        if (start != 0 && address >= start && address <= end) {
            return Error{Code::invalid_argument, "static address " + text + " is in DhcpRange " + config.DhcpRange.Start.to_string() + "-" +
                                                     config.DhcpRange.End.to_string()};
        }
        return input.configured;
    }
    if (!input.recorded.empty()) return input.recorded;
    const auto address = start + static_cast<std::uint32_t>(input.interface_number);
    if (start == 0 || address > end || address < start)
        return Error{Code::resource_exhausted,
                     "no free IP addresses in DHCP range " + config.DhcpRange.Start.to_string() + "-" + config.DhcpRange.End.to_string()};
    return types::IpAddress::from_v4(address);
}

}  // namespace eve::zedrouter
