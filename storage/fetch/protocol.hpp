#pragma once
// What the node and its fetch process say to each other over one SOCK_SEQPACKET pair: one order, then progress, then one report. Every packet is
// a kind, then fields of a length and bytes; both ends take the other for hostile.

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "eve/result.hpp"

namespace eve::storage::fetch {

inline constexpr std::size_t packet_bytes_max = 60 * 1024;
inline constexpr std::size_t field_bytes_max = 16 * 1024;
inline constexpr std::size_t authorization_bytes_max = 13 * 1024;  ///< "Bearer " and a token
inline constexpr int control_fd = 3;  ///< the socket
inline constexpr int target_fd = 4;   ///< the file that receives
inline constexpr int roots_fd = 5;    ///< PEM of the trusted roots, read only

/// What to receive. The target and the trusted roots come as descriptors.
struct Order {
    std::string url;
    std::string authorization;
    std::string source_address;
    std::string validator_etag;           ///< of the part that is there already
    std::string validator_last_modified;  ///< the same, when there was no strong ETag
    std::string fallback_url;             ///< asked when `url` is not found; empty: none
    std::string registry_scope;           ///< of a container registry: what a token is asked for; empty: no registry
    std::string user;                     ///< for the registry or its token server
    std::string password;
    std::uint64_t resume_from = 0;
    std::uint64_t size_max = 0;  ///< 0: no limit
    std::uint64_t stall_seconds = 600;
    std::uint64_t tries_max = 7;
    std::uint64_t first_delay_ms = 1000;  ///< doubles with each try that made no progress, to one minute
    friend bool operator==(const Order&, const Order&) = default;
};

/// How far it is, and by what the content can be recognised when it is continued.
struct Progress {
    std::uint64_t current = 0;
    std::uint64_t total = 0;
    std::string etag;
    std::string last_modified;
    friend bool operator==(const Progress&, const Progress&) = default;
};

struct Done {
    std::uint64_t size = 0;
    std::string sha256;
    std::string content_type;
    std::string authorization;  ///< what the registry's token server gave: it may serve the next transfer of the same scope; empty: nothing
    friend bool operator==(const Done&, const Done&) = default;
};

struct Failed {
    Code code = Code::internal;
    std::string what;
    std::uint64_t retry_after_ms = 0;  ///< 0: the server named no time
    friend bool operator==(const Failed&, const Failed&) = default;
};

using Report = std::variant<Progress, Done, Failed>;

/// The packet of `order`. Errors: invalid_argument - a field or all of them together are too long.
Result<std::string> encode(const Order& order);
Result<Order> decode_order(std::string_view packet);

/// The packet of `report`; texts that are too long are cut.
std::string encode(const Report& report);
/// Errors: invalid_argument - not a report, or one that says what cannot be.
Result<Report> decode_report(std::string_view packet);

}  // namespace eve::storage::fetch
