#include "common/dhcp.hpp"

#include <algorithm>
#include <bit>
#include <utility>

namespace eve::plugins {
namespace {

constexpr std::size_t options_at = 240;
constexpr std::size_t packet_max = 4096;
constexpr std::size_t list_max = 32;
constexpr std::uint32_t cookie = 0x63825363;
constexpr std::int64_t second = 1'000'000'000;
constexpr std::int64_t retry_first = second;
constexpr std::int64_t retry_max = 64 * second;
constexpr std::int64_t request_retry = second;
constexpr unsigned requests_max = 4;
constexpr std::uint32_t infinite = 0xffffffff;
constexpr std::uint32_t seconds_default = 3600;
constexpr std::uint32_t mtu_min = 576;

std::uint32_t big_endian(std::string_view bytes) {
    std::uint32_t value = 0;
    for (const char c : bytes) value = value << 8 | static_cast<unsigned char>(c);
    return value;
}

void put(std::string& out, std::uint32_t value, int bytes) {
    for (int at = bytes - 1; at >= 0; --at) out.push_back(static_cast<char>(value >> (8 * at) & 0xff));
}

void put_option(std::string& out, std::uint8_t code, std::string_view value) {
    out.push_back(static_cast<char>(code));
    out.push_back(static_cast<char>(value.size()));
    out.append(value);
}

void put_address(std::string& out, std::uint8_t code, std::uint32_t address) {
    std::string value;
    put(value, address, 4);
    put_option(out, code, value);
}

std::vector<std::uint32_t> addresses(std::string_view value) {
    std::vector<std::uint32_t> list;
    for (; value.size() >= 4 && list.size() < list_max; value.remove_prefix(4)) list.push_back(big_endian(value.substr(0, 4)));
    return list;
}

/// RFC 3442: prefix length, as many bytes of the destination as it needs, gateway.
std::vector<DhcpRoute> classless_routes(std::string_view value) {
    std::vector<DhcpRoute> routes;
    while (!value.empty() && routes.size() < list_max) {
        const auto prefix = static_cast<std::uint8_t>(value.front());
        const std::size_t bytes = (prefix + 7U) / 8U;
        if (prefix > 32 || value.size() < 1 + bytes + 4) break;
        std::uint32_t destination = big_endian(value.substr(1, bytes));
        if (bytes > 0 && bytes < 4) destination <<= 8 * (4 - bytes);
        routes.push_back({.destination = destination, .prefix = prefix, .via = big_endian(value.substr(1 + bytes, 4))});
        value.remove_prefix(1 + bytes + 4);
    }
    return routes;
}

/// A name that may stand in a file of lines.
std::string clean_name(std::string_view value) {
    while (!value.empty() && value.back() == '\0') value.remove_suffix(1);
    const bool good = std::all_of(value.begin(), value.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
    });
    return good ? std::string(value) : std::string();
}

}  // namespace

std::optional<DhcpAnswer> read_dhcp(std::string_view packet, std::uint32_t xid, const MacAddress& mac) {
    if (packet.size() < options_at || packet.size() > packet_max || packet[0] != 2 || big_endian(packet.substr(4, 4)) != xid) return std::nullopt;
    if (packet.substr(28, 6) != std::string_view(reinterpret_cast<const char*>(mac.data()), mac.size())) return std::nullopt;
    if (big_endian(packet.substr(236, 4)) != cookie) return std::nullopt;
    DhcpAnswer answer;
    auto& lease = answer.lease;
    lease.address = big_endian(packet.substr(16, 4));
    std::vector<DhcpRoute> routed;
    std::uint32_t router = 0;
    auto rest = packet.substr(options_at);
    while (!rest.empty()) {
        const auto code = static_cast<std::uint8_t>(rest[0]);
        if (code == 255) break;
        if (code == 0) {
            rest.remove_prefix(1);
            continue;
        }
        if (rest.size() < 2) return std::nullopt;
        const auto size = static_cast<std::uint8_t>(rest[1]);
        if (rest.size() < 2U + size) return std::nullopt;
        const auto value = rest.substr(2, size);
        rest.remove_prefix(2U + size);
        const bool word = size >= 4;
        if (code == 53 && size == 1 && (value[0] == 2 || value[0] == 5 || value[0] == 6)) answer.kind = static_cast<DhcpMessage>(value[0]);
        else if (code == 1 && word) lease.prefix = static_cast<std::uint8_t>(std::countl_one(big_endian(value.substr(0, 4))));
        else if (code == 3 && word) router = big_endian(value.substr(0, 4));
        else if (code == 6) lease.dns = addresses(value);
        else if (code == 15) lease.domain = clean_name(value);
        else if (code == 26 && size == 2) lease.mtu = big_endian(value) >= mtu_min ? big_endian(value) : 0;
        else if (code == 51 && word) lease.seconds = big_endian(value.substr(0, 4));
        else if (code == 54 && word) lease.server = big_endian(value.substr(0, 4));
        else if (code == 58 && word) lease.renew_after = big_endian(value.substr(0, 4));
        else if (code == 121) routed = classless_routes(value);
    }
    if (answer.kind == DhcpMessage::none) return std::nullopt;
    if (answer.kind != DhcpMessage::nak && (lease.address == 0 || lease.address == 0xffffffff)) return std::nullopt;
    if (lease.prefix == 0) lease.prefix = 32;
    if (lease.seconds == 0) lease.seconds = seconds_default;
    lease.routes = std::move(routed);
    if (lease.routes.empty() && router != 0) lease.routes.push_back({.destination = 0, .prefix = 0, .via = router});
    return answer;
}

std::string DhcpClient::packet(DhcpMessage kind, bool renewing) const {
    std::string out{1, 1, 6, 0};  // request, Ethernet, size of an address, hops
    put(out, xid_, 4);
    put(out, 0, 2);
    put(out, renewing ? 0 : 0x8000, 2);  // without an address only a broadcast reaches us
    put(out, renewing && lease_ ? lease_->address : 0, 4);
    out.append(12, '\0');
    out.append(reinterpret_cast<const char*>(mac_.data()), mac_.size());
    out.append(10 + 64 + 128, '\0');
    put(out, cookie, 4);
    put_option(out, 53, std::string(1, static_cast<char>(kind)));
    put_option(out, 61, std::string(1, '\1') + std::string(reinterpret_cast<const char*>(mac_.data()), mac_.size()));
    if (!host_name_.empty()) put_option(out, 12, host_name_.substr(0, 63));
    if (kind == DhcpMessage::request && !renewing && offer_) {
        put_address(out, 50, offer_->address);
        put_address(out, 54, offer_->server);
    }
    put_option(out, 55, std::string("\x01\x03\x06\x0f\x1a\x33\x36\x3a\x79", 9));
    out.push_back(static_cast<char>(255));
    constexpr std::size_t bootp_min = 300;
    if (out.size() < bootp_min) out.resize(bootp_min, '\0');
    return out;
}

void DhcpClient::restart(std::int64_t now_ns) {
    phase_ = Phase::discovering;
    offer_.reset();
    attempts_ = 0;
    wake_ns_ = now_ns;
}

std::optional<DhcpClient::Send> DhcpClient::due(std::int64_t now_ns) {
    if (now_ns < wake_ns_) return std::nullopt;
    switch (phase_) {
        case Phase::discovering:
            wake_ns_ = now_ns + std::min(retry_first << std::min(attempts_, 6U), retry_max);
            ++attempts_;
            return Send{.packet = packet(DhcpMessage::discover, false)};
        case Phase::requesting:
            if (attempts_ >= requests_max) {
                restart(now_ns);
                return due(now_ns);
            }
            ++attempts_;
            wake_ns_ = now_ns + request_retry;
            return Send{.packet = packet(DhcpMessage::request, false)};
        case Phase::bound: {
            const auto end = bound_ns_ + std::int64_t{lease_->seconds} * second;
            wake_ns_ = now_ns + std::max((end - now_ns) / 2, 10 * second);
            // In the last eighth of its time any server may answer.
            const bool any = now_ns > end - std::int64_t{lease_->seconds} * second / 8;
            return Send{.packet = packet(DhcpMessage::request, true), .to = any || lease_->server == 0 ? 0xffffffff : lease_->server};
        }
    }
    return std::nullopt;
}

bool DhcpClient::receive(std::string_view packet, std::int64_t now_ns) {
    auto answer = read_dhcp(packet, xid_, mac_);
    if (!answer) return false;
    if (answer->kind == DhcpMessage::offer && phase_ == Phase::discovering) {
        offer_ = std::move(answer->lease);
        phase_ = Phase::requesting;
        attempts_ = 0;
        wake_ns_ = now_ns;
        return false;
    }
    if (answer->kind == DhcpMessage::nak && phase_ != Phase::discovering) {
        restart(now_ns);
        return std::exchange(lease_, std::nullopt).has_value();
    }
    if (answer->kind != DhcpMessage::ack || phase_ == Phase::discovering) return false;
    auto lease = std::move(answer->lease);
    const bool changed = !lease_ || lease_->address != lease.address || lease_->prefix != lease.prefix || lease_->routes != lease.routes ||
                         lease_->dns != lease.dns || lease_->mtu != lease.mtu || lease_->domain != lease.domain;
    lease_ = std::move(lease);
    phase_ = Phase::bound;
    attempts_ = 0;
    bound_ns_ = now_ns;
    const auto renew = lease_->renew_after != 0 && lease_->renew_after < lease_->seconds ? lease_->renew_after : lease_->seconds / 2;
    wake_ns_ = lease_->seconds == infinite ? std::int64_t{1} << 62 : now_ns + std::int64_t{std::max(renew, 1U)} * second;
    return changed;
}

bool DhcpClient::expire(std::int64_t now_ns) {
    if (phase_ != Phase::bound || lease_->seconds == infinite || now_ns < bound_ns_ + std::int64_t{lease_->seconds} * second) return false;
    lease_.reset();
    restart(now_ns);
    return true;
}

std::string address_text(std::uint32_t address) {
    return std::to_string(address >> 24) + "." + std::to_string(address >> 16 & 0xff) + "." + std::to_string(address >> 8 & 0xff) + "." +
           std::to_string(address & 0xff);
}

std::string resolv_conf(const std::vector<DhcpLease>& leases) {
    std::string servers;
    std::string search;
    std::vector<std::uint32_t> known;
    constexpr std::size_t servers_max = 3;  // the resolver's own limit
    for (const auto& lease : leases) {
        if (!lease.domain.empty() && search.find(lease.domain) == std::string::npos) search += " " + lease.domain;
        for (const auto server : lease.dns) {
            if (known.size() >= servers_max || std::find(known.begin(), known.end(), server) != known.end()) continue;
            known.push_back(server);
            servers += "nameserver " + address_text(server) + "\n";
        }
    }
    return search.empty() ? servers : "search" + search + "\n" + servers;
}

}  // namespace eve::plugins
