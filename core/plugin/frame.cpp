#include "core/plugin/frame.hpp"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "eve/abi.h"

namespace eve::plugin {
namespace {

struct Header {
    std::uint32_t body;
    std::uint16_t method;
    std::uint16_t kind;
    std::int32_t status;
    std::uint32_t fds;
    std::uint64_t id;
    std::int64_t deadline_ns;
};
static_assert(sizeof(Header) == 32);

Error failed(const char* what, int number) { return Error{.code = Code::unavailable, .what = std::string(what) + ": " + std::strerror(number)}; }
Error hostile(std::string what) { return Error{.code = Code::invalid_argument, .what = std::move(what)}; }

/// The header with the descriptors that came with it.
Result<Header> read_header(int socket, std::vector<UniqueFd>& fds, bool& lost) {
    Header header{};
    bool truncated = false;
    auto* at = reinterpret_cast<char*>(&header);
    std::size_t have = 0;
    while (have < sizeof header) {
        iovec part{.iov_base = at + have, .iov_len = sizeof header - have};
        alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * EVE_FDS_MAX)> control;
        msghdr message{};
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        message.msg_control = control.data();
        message.msg_controllen = control.size();
        const auto got = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return failed("receive", errno);
        for (auto* one = CMSG_FIRSTHDR(&message); one != nullptr; one = CMSG_NXTHDR(&message, one)) {
            if (one->cmsg_level != SOL_SOCKET || one->cmsg_type != SCM_RIGHTS) continue;
            const auto count = (one->cmsg_len - CMSG_LEN(0)) / sizeof(int);
            for (std::size_t i = 0; i < count; ++i) {
                int fd = -1;
                std::memcpy(&fd, CMSG_DATA(one) + i * sizeof(int), sizeof(int));
                fds.emplace_back(fd);
            }
        }
        truncated = truncated || (message.msg_flags & MSG_CTRUNC) != 0;
        if (fds.size() > EVE_FDS_MAX) return hostile("more descriptors than the limit");
        if (got == 0) {
            if (have == 0) return Error{.code = Code::not_found, .what = "the peer closed the connection"};
            return failed("the peer went away within a frame", ECONNRESET);
        }
        have += static_cast<std::size_t>(got);
    }
    // Fewer than were sent, and there was room for all: the kernel found no free number in this process.
    lost = truncated && fds.size() < header.fds && header.fds <= EVE_FDS_MAX;
    if (truncated && !lost) return hostile("more descriptors than the limit");
    if (lost) fds.clear();
    return header;
}

Status read_exactly(int socket, std::string& into, std::size_t size) {
    into.resize(size);
    std::size_t have = 0;
    while (have < size) {
        const auto got = ::recv(socket, into.data() + have, size - have, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return failed("receive", errno);
        if (got == 0) return failed("the peer went away within a frame", ECONNRESET);
        have += static_cast<std::size_t>(got);
    }
    return {};
}

Status check_limits(std::uint16_t kind, std::size_t method, std::size_t body, std::size_t fds) {
    const bool known = kind >= static_cast<std::uint16_t>(FrameKind::call) && kind <= static_cast<std::uint16_t>(FrameKind::cancel);
    if (!known) return hostile("a frame of unknown kind " + std::to_string(kind));
    const bool is_call = kind == static_cast<std::uint16_t>(FrameKind::call);
    const bool is_reply = kind == static_cast<std::uint16_t>(FrameKind::reply);
    if (is_call ? method == 0 || method > EVE_METHOD_SIZE_MAX : method != 0) return hostile("a frame with a method name of a wrong size");
    if (body > (is_call ? EVE_REQUEST_SIZE_MAX : is_reply ? EVE_REPLY_SIZE_MAX : 0U)) return hostile("a frame with a body over the limit");
    if (fds > (is_call || is_reply ? EVE_FDS_MAX : 0U)) return hostile("a frame with too many descriptors");
    return {};
}

}  // namespace

std::int64_t monotonic_ns() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

std::int64_t monotonic_after(std::int64_t ns) {
    const auto now = monotonic_ns();
    const auto max = std::numeric_limits<std::int64_t>::max();
    return ns >= max - now ? max : now + ns;
}

Result<Frame> read_frame(int socket) {
    Frame frame;
    const auto header = read_header(socket, frame.fds, frame.fds_lost);
    if (!header) return header.error();
    if (auto fit = check_limits(header->kind, header->method, header->body, header->fds); !fit) return std::move(fit).error();
    if (!frame.fds_lost && header->fds != frame.fds.size()) return hostile("a frame that announces other descriptors than it brings");
    frame.kind = static_cast<FrameKind>(header->kind);
    frame.status = header->status;
    frame.id = header->id;
    frame.deadline_ns = header->deadline_ns;
    if (auto read = read_exactly(socket, frame.method, header->method); !read) return std::move(read).error();
    if (frame.method.find('\0') != std::string::npos) return hostile("a method name with a NUL");
    if (auto read = read_exactly(socket, frame.body, header->body); !read) return std::move(read).error();
    return frame;
}

Status write_frame(int socket, const FrameView& frame, std::int64_t give_up_ns) {
    if (auto fit = check_limits(static_cast<std::uint16_t>(frame.kind), frame.method.size(), frame.body.size(), frame.fd_count); !fit)
        return std::move(fit).error();
    const Header header{.body = static_cast<std::uint32_t>(frame.body.size()),
                        .method = static_cast<std::uint16_t>(frame.method.size()),
                        .kind = static_cast<std::uint16_t>(frame.kind),
                        .status = frame.status,
                        .fds = frame.fd_count,
                        .id = frame.id,
                        .deadline_ns = frame.deadline_ns};
    std::string bytes(reinterpret_cast<const char*>(&header), sizeof header);
    bytes.append(frame.method).append(frame.body);

    std::size_t sent = 0;
    while (sent < bytes.size()) {
        iovec part{.iov_base = bytes.data() + sent, .iov_len = bytes.size() - sent};
        alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * EVE_FDS_MAX)> control{};
        msghdr message{};
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        if (sent == 0 && frame.fd_count > 0) {
            message.msg_control = control.data();
            message.msg_controllen = CMSG_SPACE(sizeof(int) * frame.fd_count);
            auto* rights = CMSG_FIRSTHDR(&message);
            rights->cmsg_level = SOL_SOCKET;
            rights->cmsg_type = SCM_RIGHTS;
            rights->cmsg_len = CMSG_LEN(sizeof(int) * frame.fd_count);
            std::memcpy(CMSG_DATA(rights), frame.fds, sizeof(int) * frame.fd_count);
        }
        const auto wrote = ::sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (wrote > 0) {
            sent += static_cast<std::size_t>(wrote);
            continue;
        }
        if (errno == EINTR) continue;
        const bool short_of_memory = errno == ENOMEM || errno == ENOBUFS;
        if (errno != EAGAIN && !short_of_memory) return errno == EBADF && frame.fd_count > 0 ? hostile("a descriptor that is not open") : failed("send", errno);
        const auto left_ns = give_up_ns - monotonic_ns();
        if (left_ns <= 0) return Error{.code = Code::timed_out, .what = "the peer does not read"};
        constexpr int memory_pause_ms = 20;  // nothing tells when there is some
        pollfd wait{.fd = socket, .events = POLLOUT, .revents = 0};
        const auto left_ms = std::min<std::int64_t>(left_ns / 1'000'000 + 1, short_of_memory ? memory_pause_ms : 1000);
        ::poll(&wait, short_of_memory ? 0 : 1, static_cast<int>(left_ms));
    }
    return {};
}

}  // namespace eve::plugin
