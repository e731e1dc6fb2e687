#pragma once
// One HTTP(S) object into one open file, received and hashed in one pass; continued by range, started over when the content changed. It trusts
// nothing a server says. Runs in the fetch process only.

#include <functional>
#include <string>

#include "storage/fetch/protocol.hpp"

namespace eve::storage::fetch {

inline constexpr int redirects_max = 5;
inline constexpr int content_changes_max = 3;               ///< then the object is called unstable
inline constexpr std::size_t header_bytes_max = 64 * 1024;  ///< of one response
inline constexpr std::size_t error_body_bytes_max = 64 * 1024;
inline constexpr std::uint64_t delay_ms_max = 60'000;  ///< a longer wish of the server is handed to the caller

struct TransferIo {
    int target = -1;    ///< opened for reading and writing
    int control = -1;   ///< its other end closing means: give up
    std::string roots;  ///< PEM of what is trusted
    std::function<void(const Progress&)> report;
};

/// Done when the whole object is in the target, else Failed. Blocks.
Report run_transfer(const Order& order, const TransferIo& io);

/// The facts of "bytes 5-9/10"; nothing if it is not such a text. `total` is 0 for "*".
struct ContentRange {
    std::uint64_t first = 0, last = 0, total = 0;
    bool unsatisfied = false;  ///< "bytes */10"
    friend bool operator==(const ContentRange&, const ContentRange&) = default;
};
std::optional<ContentRange> parse_content_range(std::string_view text);

}  // namespace eve::storage::fetch
