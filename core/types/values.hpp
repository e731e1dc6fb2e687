#pragma once
// Value types that EVE's records are made of: the C++ of Go's uuid.UUID, time.Time, net.IP, net.IPNet, net.HardwareAddr and []byte. Each
// knows its text form; its JSON form is the codec's business.

#include <array>
#include <chrono>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/loop/loop.hpp"
#include "core/types/codec.hpp"
#include "eve/result.hpp"

namespace eve::types {

using Bytes = std::vector<std::uint8_t>;
using Duration = std::chrono::nanoseconds;

/// A UUID; all zeros is nil.
class Uuid {
public:
    constexpr Uuid() = default;
    explicit constexpr Uuid(const std::array<std::uint8_t, 16>& bytes) : bytes_(bytes) {}
    /// The UUID written as 36 characters, or as 32, in braces or as a URN, which Go reads too. Errors: invalid_argument.
    static Result<Uuid> parse(std::string_view text);
    /// As parse(); nil where that fails.
    static Uuid parse_or_nil(std::string_view text);
    /// 36 characters, lower case.
    std::string to_string() const;
    bool is_nil() const { return *this == Uuid{}; }
    const std::array<std::uint8_t, 16>& bytes() const { return bytes_; }
    friend auto operator<=>(const Uuid&, const Uuid&) = default;

private:
    std::array<std::uint8_t, 16> bytes_{};
};

/// Go's time.Time in UTC: the default is Go's zero time, 1 January of year 1.
struct Time {
    std::int64_t seconds = zero_seconds;  ///< since the Unix epoch
    std::int32_t nanoseconds = 0;         ///< 0..999,999,999

    static constexpr std::int64_t zero_seconds = -62135596800;

    constexpr Time() = default;
    constexpr Time(WallTime wall) : seconds(wall.seconds), nanoseconds(wall.nanoseconds) {}  // NOLINT: implicit, agents write clock.wall_now()
    static constexpr Time zero() { return {}; }
    /// The time written as RFC 3339, with any fraction and offset. Errors: invalid_argument.
    static Result<Time> parse(std::string_view text);
    /// RFC 3339 with as many digits of fraction as needed: "2026-08-22T10:00:00.25Z".
    std::string to_string() const;
    constexpr bool is_zero() const { return *this == Time{}; }
    friend constexpr auto operator<=>(const Time&, const Time&) = default;

    /// The interval between two times, at most Go's 292 years.
    friend Duration operator-(Time later, Time earlier);
    friend Time operator+(Time time, Duration interval);
};

/// An IPv4 or IPv6 address, or none: Go's net.IP.
class IpAddress {
public:
    IpAddress() = default;
    /// The address written as text; "" is none. Errors: invalid_argument.
    static Result<IpAddress> parse(std::string_view text);
    /// As parse(); none where that fails.
    static IpAddress parse_or_none(std::string_view text);
    static IpAddress from_v4(std::uint32_t host_order);
    /// From 4 or 16 bytes in network order; none for another length.
    static IpAddress from_bytes(const Bytes& bytes);
    /// "10.1.0.1", "fe80::1", "" for none.
    const std::string& to_string() const { return text_; }
    bool empty() const { return text_.empty(); }
    bool is_v4() const { return !empty() && text_.find(':') == std::string::npos; }
    bool is_v6() const { return text_.find(':') != std::string::npos; }
    /// An IPv4 address in host order; 0 for anything else.
    std::uint32_t v4() const;
    /// 4 or 16 bytes in network order, or none.
    Bytes bytes() const;
    /// fe80::/10 or 169.254.0.0/16.
    bool is_link_local() const;
    friend auto operator<=>(const IpAddress&, const IpAddress&) = default;

private:
    std::string text_;
};

/// An address and a mask: Go's net.IPNet. Where Go has a pointer, records hold std::optional<IpNet>.
struct IpNet {
    IpAddress IP;
    Bytes Mask;
    EVE_RECORD(IpNet)

    /// The network written as "10.1.0.0/24"; the address keeps its host part. Errors: invalid_argument.
    static Result<IpNet> parse(std::string_view text);
    /// "10.1.0.0/24"; "" where the mask is not a prefix.
    std::string to_string() const;
    /// Length of the prefix, unless the mask is not one or does not fit the address.
    std::optional<int> prefix_length() const;
    bool contains(const IpAddress& address) const;
};

/// A hardware address, usually 6 bytes, or none.
struct MacAddress {
    Bytes bytes;
    /// The address written as "02:16:3e:00:00:01" ("" is none). Errors: invalid_argument.
    static Result<MacAddress> parse(std::string_view text);
    static MacAddress parse_or_none(std::string_view text);
    /// "02:16:3e:00:00:01", lower case; "" for none.
    std::string to_string() const;
    bool empty() const { return bytes.empty(); }
    friend auto operator<=>(const MacAddress&, const MacAddress&) = default;
};

/// Any JSON value, kept as compact text; "" is null. For Go's interface{}.
struct AnyJson {
    std::string text;
    friend bool operator==(const AnyJson&, const AnyJson&) = default;
};

/// Standard base64 with padding.
std::string to_base64(const Bytes& bytes);
/// Errors: invalid_argument.
Result<Bytes> from_base64(std::string_view text);

}  // namespace eve::types
