#include "core/types/values.hpp"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstring>
#include <limits>

#include <arpa/inet.h>

#include "core/types/base64.hpp"
#include "core/types/describe.hpp"

namespace eve::types {

EVE_DESCRIBE(IpNet, (), (IP, Mask))

namespace {

constexpr std::size_t text_shown_max = 64;

Error bad(std::string_view what, std::string_view text) {
    return {.code = Code::invalid_argument, .what = "not " + std::string(what) + ": \"" + std::string(text.substr(0, text_shown_max)) + "\""};
}

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/// Days since the epoch of a date of the proleptic Gregorian calendar.
constexpr std::int64_t days_from_civil(std::int64_t year, unsigned month, unsigned day) {
    year -= month <= 2;
    const std::int64_t era = (year >= 0 ? year : year - 399) / 400;
    const auto year_of_era = static_cast<unsigned>(year - era * 400);
    const unsigned day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    const unsigned day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + static_cast<std::int64_t>(day_of_era) - 719468;
}

struct Date {
    std::int64_t year;
    unsigned month, day;
};

constexpr Date civil_from_days(std::int64_t days) {
    days += 719468;
    const std::int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    const auto day_of_era = static_cast<unsigned>(days - era * 146097);
    const unsigned year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    const unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const unsigned shifted = (5 * day_of_year + 2) / 153;
    const unsigned month = shifted < 10 ? shifted + 3 : shifted - 9;
    return {static_cast<std::int64_t>(year_of_era) + era * 400 + (month <= 2), month, day_of_year - (153 * shifted + 2) / 5 + 1};
}

static_assert(days_from_civil(1970, 1, 1) == 0);
static_assert(days_from_civil(1, 1, 1) * 86400 == Time::zero_seconds);

constexpr unsigned days_in_month(std::int64_t year, unsigned month) {
    if (month == 2) return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28;
    return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

/// Reads numbers and separators from the front of a text.
struct Reader {
    std::string_view rest;
    bool failed = false;

    unsigned digits(std::size_t count) {
        unsigned value = 0;
        if (rest.size() < count) failed = true;
        for (std::size_t i = 0; i < count && !failed; ++i) {
            if (rest[i] < '0' || rest[i] > '9') failed = true;
            else value = value * 10 + static_cast<unsigned>(rest[i] - '0');
        }
        if (!failed) rest.remove_prefix(count);
        return value;
    }
    bool take(char c) {
        if (rest.empty() || rest.front() != c) return false;
        rest.remove_prefix(1);
        return true;
    }
    void expect(char c) { failed = !take(c) || failed; }
};

}  // namespace

Result<Uuid> Uuid::parse(std::string_view text) {
    std::string_view inner = text;
    if (inner.starts_with("urn:uuid:")) inner.remove_prefix(9);
    if (inner.size() > 2 && inner.front() == '{' && inner.back() == '}') inner = inner.substr(1, inner.size() - 2);
    const bool dashes = inner.size() == 36;
    if (!dashes && inner.size() != 32) return bad("a UUID", text);
    std::array<std::uint8_t, 16> bytes{};
    std::size_t at = 0;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        if (dashes && (i == 4 || i == 6 || i == 8 || i == 10) && inner[at++] != '-') return bad("a UUID", text);
        const int high = hex_digit(inner[at]);
        const int low = hex_digit(inner[at + 1]);
        if (high < 0 || low < 0) return bad("a UUID", text);
        bytes[i] = static_cast<std::uint8_t>(high * 16 + low);
        at += 2;
    }
    return Uuid(bytes);
}

Uuid Uuid::parse_or_nil(std::string_view text) { return parse(text).value_or(Uuid{}); }

std::string Uuid::to_string() const {
    static constexpr char digits[] = "0123456789abcdef";
    std::array<char, 36> text{};
    std::size_t end = 0;
    for (std::size_t i = 0; i < bytes_.size(); ++i) {
        if (i == 4 || i == 6 || i == 8 || i == 10) text[end++] = '-';
        text[end++] = digits[bytes_[i] >> 4];
        text[end++] = digits[bytes_[i] & 15];
    }
    return {text.data(), end};
}

Result<Time> Time::parse(std::string_view text) {
    Reader in{text};
    const std::int64_t year = in.digits(4);
    in.expect('-');
    const unsigned month = in.digits(2);
    in.expect('-');
    const unsigned day = in.digits(2);
    in.expect('T');
    const unsigned hour = in.digits(2);
    in.expect(':');
    const unsigned minute = in.digits(2);
    in.expect(':');
    const unsigned second = in.digits(2);
    std::int32_t nanoseconds = 0;
    if (in.take('.')) {
        std::int32_t weight = 100'000'000;
        std::size_t digits = 0;
        for (; !in.rest.empty() && in.rest.front() >= '0' && in.rest.front() <= '9'; ++digits, weight /= 10)
            nanoseconds += static_cast<std::int32_t>(in.digits(1)) * weight;
        if (digits == 0) in.failed = true;
    }
    std::int64_t offset = 0;
    if (!in.take('Z')) {
        const bool west = in.take('-');
        if (!west) in.expect('+');
        const unsigned hours = in.digits(2);
        in.expect(':');
        const unsigned minutes = in.digits(2);
        if (hours > 23 || minutes > 59) in.failed = true;
        offset = (static_cast<std::int64_t>(hours) * 60 + minutes) * (west ? -60 : 60);
    }
    if (in.failed || !in.rest.empty() || month < 1 || month > 12 || day < 1 || day > days_in_month(year, month) || hour > 23 || minute > 59 ||
        second > 59)
        return bad("a time (RFC 3339)", text);
    Time time;
    time.seconds = days_from_civil(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset;
    time.nanoseconds = nanoseconds;
    return time;
}

std::string Time::to_string() const {
    constexpr std::int64_t day = 86400;
    constexpr std::int64_t last = 253402300799;  // the last second of year 9999, the last that RFC 3339 can write
    const std::int64_t shown = std::clamp(seconds, days_from_civil(0, 1, 1) * day, last);
    std::int64_t days = shown / day;
    std::int64_t of_day = shown % day;
    if (of_day < 0) {
        of_day += day;
        --days;
    }
    const Date date = civil_from_days(days);
    char text[64];
    std::snprintf(text, sizeof text, "%04d-%02u-%02uT%02d:%02d:%02d", static_cast<int>(date.year), date.month, date.day,
                  static_cast<int>(of_day / 3600), static_cast<int>(of_day / 60 % 60), static_cast<int>(of_day % 60));
    std::string out = text;
    if (nanoseconds > 0) {
        std::snprintf(text, sizeof text, ".%09d", static_cast<int>(nanoseconds));
        out += text;
        out.erase(out.find_last_not_of('0') + 1);
    }
    return out + 'Z';
}

Duration operator-(Time later, Time earlier) {
    constexpr std::int64_t limit = std::numeric_limits<std::int64_t>::max() / 1'000'000'000 - 1;
    std::int64_t seconds = 0;
    if (__builtin_sub_overflow(later.seconds, earlier.seconds, &seconds)) seconds = later.seconds < 0 ? -limit : limit;
    return std::chrono::seconds(std::clamp(seconds, -limit, limit)) + std::chrono::nanoseconds(later.nanoseconds - earlier.nanoseconds);
}

Time operator+(Time time, Duration interval) {
    const std::int64_t sum = time.nanoseconds + interval.count() % 1'000'000'000;
    time.seconds += interval.count() / 1'000'000'000;
    if (sum < 0) --time.seconds;
    if (sum >= 1'000'000'000) ++time.seconds;
    time.nanoseconds = static_cast<std::int32_t>((sum + 1'000'000'000) % 1'000'000'000);
    return time;
}

Result<IpAddress> IpAddress::parse(std::string_view text) {
    if (text.empty()) return IpAddress{};
    const std::string terminated(text);
    if (terminated.size() != std::strlen(terminated.c_str())) return bad("an IP address", text);
    std::uint8_t raw[16];
    if (inet_pton(AF_INET, terminated.c_str(), raw) == 1) return from_bytes(Bytes(raw, raw + 4));
    if (inet_pton(AF_INET6, terminated.c_str(), raw) == 1) return from_bytes(Bytes(raw, raw + 16));
    return bad("an IP address", text);
}

IpAddress IpAddress::parse_or_none(std::string_view text) { return parse(text).value_or(IpAddress{}); }

IpAddress IpAddress::from_v4(std::uint32_t host_order) {
    return from_bytes({static_cast<std::uint8_t>(host_order >> 24), static_cast<std::uint8_t>(host_order >> 16),
                       static_cast<std::uint8_t>(host_order >> 8), static_cast<std::uint8_t>(host_order)});
}

IpAddress IpAddress::from_bytes(const Bytes& bytes) {
    static constexpr std::uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    IpAddress address;
    char text[INET6_ADDRSTRLEN];
    if (bytes.size() == 4) {
        address.text_ = inet_ntop(AF_INET, bytes.data(), text, sizeof text);
    } else if (bytes.size() == 16) {
        // Go prints an IPv4 address in IPv6 form as IPv4.
        if (std::equal(std::begin(mapped), std::end(mapped), bytes.begin())) return from_bytes(Bytes(bytes.begin() + 12, bytes.end()));
        address.text_ = inet_ntop(AF_INET6, bytes.data(), text, sizeof text);
    }
    return address;
}

Bytes IpAddress::bytes() const {
    std::uint8_t raw[16];
    if (is_v4() && inet_pton(AF_INET, text_.c_str(), raw) == 1) return Bytes(raw, raw + 4);
    if (is_v6() && inet_pton(AF_INET6, text_.c_str(), raw) == 1) return Bytes(raw, raw + 16);
    return {};
}

std::uint32_t IpAddress::v4() const {
    const Bytes raw = bytes();
    if (raw.size() != 4) return 0;
    return std::uint32_t{raw[0]} << 24 | std::uint32_t{raw[1]} << 16 | std::uint32_t{raw[2]} << 8 | raw[3];
}

bool IpAddress::is_link_local() const {
    const Bytes raw = bytes();
    if (raw.size() == 4) return raw[0] == 169 && raw[1] == 254;
    return raw.size() == 16 && raw[0] == 0xfe && (raw[1] & 0xc0) == 0x80;
}

Result<IpNet> IpNet::parse(std::string_view text) {
    const auto slash = text.find('/');
    if (slash == std::string_view::npos) return bad("a network (address/length)", text);
    auto address = IpAddress::parse(text.substr(0, slash));
    const std::string_view length = text.substr(slash + 1);
    if (!address || address->empty() || length.empty() || length.size() > 3) return bad("a network (address/length)", text);
    unsigned bits = 0;
    for (const char c : length) {
        if (c < '0' || c > '9') return bad("a network (address/length)", text);
        bits = bits * 10 + static_cast<unsigned>(c - '0');
    }
    IpNet net{*address, Bytes(address->is_v4() ? 4 : 16, 0)};
    if (bits > net.Mask.size() * 8) return bad("a network (address/length)", text);
    for (std::size_t i = 0; i < net.Mask.size() && bits > 0; ++i) {
        const unsigned here = std::min(bits, 8U);
        net.Mask[i] = static_cast<std::uint8_t>(0xff00U >> here);
        bits -= here;
    }
    return net;
}

std::optional<int> IpNet::prefix_length() const {
    if (Mask.size() != IP.bytes().size() || Mask.empty()) return std::nullopt;
    int length = 0;
    bool ended = false;
    for (const std::uint8_t byte : Mask)
        for (int bit = 7; bit >= 0; --bit) {
            const bool set = (byte >> bit & 1) != 0;
            if (set && ended) return std::nullopt;
            if (set) ++length;
            else ended = true;
        }
    return length;
}

std::string IpNet::to_string() const {
    const auto length = prefix_length();
    return length ? IP.to_string() + '/' + std::to_string(*length) : std::string();
}

bool IpNet::contains(const IpAddress& address) const {
    const Bytes net = IP.bytes();
    const Bytes other = address.bytes();
    if (net.empty() || net.size() != other.size() || net.size() != Mask.size()) return false;
    for (std::size_t i = 0; i < net.size(); ++i)
        if ((net[i] & Mask[i]) != (other[i] & Mask[i])) return false;
    return true;
}

Result<MacAddress> MacAddress::parse(std::string_view text) {
    MacAddress mac;
    if (text.empty()) return mac;
    if (text.size() != 17) return bad("a MAC address", text);
    for (std::size_t i = 0; i < text.size(); i += 3) {
        const int high = hex_digit(text[i]);
        const int low = hex_digit(text[i + 1]);
        if (high < 0 || low < 0 || (i + 2 < text.size() && text[i + 2] != ':' && text[i + 2] != '-')) return bad("a MAC address", text);
        mac.bytes.push_back(static_cast<std::uint8_t>(high * 16 + low));
    }
    return mac;
}

MacAddress MacAddress::parse_or_none(std::string_view text) { return parse(text).value_or(MacAddress{}); }

std::string MacAddress::to_string() const {
    std::string text;
    for (const std::uint8_t byte : bytes) {
        char two[4];
        std::snprintf(two, sizeof two, "%02x", byte);
        if (!text.empty()) text += ':';
        text += two;
    }
    return text;
}

std::string to_base64(const Bytes& bytes) { return base64_of({reinterpret_cast<const char*>(bytes.data()), bytes.size()}); }

Result<Bytes> from_base64(std::string_view text) {
    std::string whole(text);
    std::erase_if(whole, [](char c) { return c == '\r' || c == '\n'; });  // as Go
    const auto bytes = bytes_of_base64(whole);
    if (!bytes) return bad("base64", text);
    return Bytes(bytes->begin(), bytes->end());
}

}  // namespace eve::types
