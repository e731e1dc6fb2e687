#pragma once
// A DHCP client for interfaces of containers, without the world: what to send, what an answer means, when to ask again. Pure; times are
// nanoseconds of any steady clock, addresses IPv4 in host order.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "eve/result.hpp"

namespace eve::plugins {

struct DhcpRoute {
    std::uint32_t destination = 0;
    std::uint8_t prefix = 0;
    std::uint32_t via = 0;  ///< 0: on the link
    friend bool operator==(const DhcpRoute&, const DhcpRoute&) = default;
};

/// What a server gave.
struct DhcpLease {
    std::uint32_t address = 0;
    std::uint8_t prefix = 0;
    std::uint32_t server = 0;
    std::vector<DhcpRoute> routes;
    std::vector<std::uint32_t> dns;
    std::string domain;
    std::uint32_t mtu = 0;          ///< 0: not said
    std::uint32_t seconds = 0;
    std::uint32_t renew_after = 0;  ///< seconds; 0: not said
    friend bool operator==(const DhcpLease&, const DhcpLease&) = default;
};

enum class DhcpMessage : std::uint8_t { none = 0, discover = 1, offer = 2, request = 3, ack = 5, nak = 6 };

using MacAddress = std::array<std::uint8_t, 6>;

/// A message of a server, as far as it is for (`xid`, `mac`) and well formed; anything else is nullopt.
struct DhcpAnswer {
    DhcpMessage kind = DhcpMessage::none;
    DhcpLease lease;
    friend bool operator==(const DhcpAnswer&, const DhcpAnswer&) = default;
};
std::optional<DhcpAnswer> read_dhcp(std::string_view packet, std::uint32_t xid, const MacAddress& mac);

/// One interface's client.
class DhcpClient {
public:
    DhcpClient(const MacAddress& mac, std::string host_name, std::uint32_t xid) : mac_(mac), host_name_(std::move(host_name)), xid_(xid) {}

    struct Send {
        std::string packet;
        std::uint32_t to = 0xffffffff;
    };
    /// What is due now, if anything; then asks to be called again at wake_at().
    std::optional<Send> due(std::int64_t now_ns);
    std::int64_t wake_at() const { return wake_ns_; }
    /// What came in. True: the lease is another than before, or gone.
    bool receive(std::string_view packet, std::int64_t now_ns);
    /// The lease ran out since: true once.
    bool expire(std::int64_t now_ns);
    const std::optional<DhcpLease>& lease() const { return lease_; }

private:
    enum class Phase : std::uint8_t { discovering, requesting, bound };
    std::string packet(DhcpMessage kind, bool renewing) const;
    void restart(std::int64_t now_ns);

    MacAddress mac_;
    std::string host_name_;
    std::uint32_t xid_;
    Phase phase_ = Phase::discovering;
    std::optional<DhcpLease> offer_;
    std::optional<DhcpLease> lease_;
    std::int64_t wake_ns_ = 0;
    std::int64_t bound_ns_ = 0;
    unsigned attempts_ = 0;
};

/// "10.1.2.3".
std::string address_text(std::uint32_t address);
/// The resolv.conf of a container with these leases.
std::string resolv_conf(const std::vector<DhcpLease>& leases);

}  // namespace eve::plugins
