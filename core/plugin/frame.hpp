#pragma once
// What travels between the node and a plugin-host: calls, replies and cancellations on a SOCK_STREAM socket pair, descriptors beside them.
// No ABI: both ends ship together. The bodies pass through unread.

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "core/loop/unique_fd.hpp"
#include "eve/result.hpp"

namespace eve::plugin {

enum class FrameKind : std::uint16_t { call = 1, reply = 2, cancel = 3 };

/// As it was received; a hostile peer may have chosen every value.
struct Frame {
    FrameKind kind = FrameKind::call;
    std::int32_t status = 0;  ///< of a reply: 0 or EVE_*
    std::uint64_t id = 0;
    std::int64_t deadline_ns = std::numeric_limits<std::int64_t>::max();  ///< of a call: CLOCK_MONOTONIC
    std::string method;                                                   ///< of a call
    std::string body;
    std::vector<UniqueFd> fds;
    bool fds_lost = false;  ///< it brought some that this process had no numbers for: none is here
};

/// To be sent: everything is borrowed.
struct FrameView {
    FrameKind kind = FrameKind::call;
    std::int32_t status = 0;
    std::uint64_t id = 0;
    std::int64_t deadline_ns = std::numeric_limits<std::int64_t>::max();
    std::string_view method;
    std::string_view body;
    const int* fds = nullptr;
    std::uint32_t fd_count = 0;
};

/// The next frame, waiting for it without end. Errors: not_found - the peer closed the socket between frames; invalid_argument - not a frame,
/// or over a limit: nothing that follows can be trusted; unavailable - the socket failed.
Result<Frame> read_frame(int socket);

/// The whole frame is in the socket. Not for two threads at once. Errors: timed_out - not by `give_up_ns` (CLOCK_MONOTONIC), and what was sent
/// may be half a frame; invalid_argument - over a limit, nothing sent; unavailable - the peer is gone.
Status write_frame(int socket, const FrameView& frame, std::int64_t give_up_ns);

/// CLOCK_MONOTONIC, in which deadlines on the plugin boundary are counted.
std::int64_t monotonic_ns();
/// `ns` from now, or never if that lies beyond all time.
std::int64_t monotonic_after(std::int64_t ns);

}  // namespace eve::plugin
