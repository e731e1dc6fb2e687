#include "store.hpp"

#include <cerrno>
#include <cstring>

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

namespace eve::xen {
namespace {

using plugins::Limit;
using plugins::UniqueFd;

// Xen's public io/xs_wire.h.
constexpr std::uint32_t message_read = 2;
constexpr std::uint32_t message_write = 11;
constexpr std::uint32_t message_remove = 13;
constexpr std::uint32_t message_error = 16;
constexpr std::size_t payload_max = 4096;
struct Header {
    std::uint32_t type;
    std::uint32_t request;
    std::uint32_t transaction;
    std::uint32_t size;
};

constexpr const char* hangs = "xenstored hangs: it does not answer";

Error silent(Limit::Wait wait) {
    if (wait == Limit::Wait::cancelled) return Limit::error(wait, "xenstored");
    return {.code = Code::unavailable, .what = hangs, .hint = "look at the daemon; Xen's xenstored cannot be restarted without a reboot"};
}
Error dead(const char* why) {
    return {.code = Code::unavailable,
            .what = std::string("xenstored does not run: ") + why,
            .hint = "start Xen's daemons (xencommons); after a crash of xenstored the machine must be rebooted"};
}

}  // namespace

DaemonState daemon_state(const std::string& socket, const Limit& limit) {
    auto store = Store::open(socket, limit);
    auto answer = store ? store->read("/", limit) : Result<std::string>(std::move(store).error());
    if (answer || answer.error().code != Code::unavailable) return DaemonState::answers;
    return answer.error().what == hangs ? DaemonState::hangs : DaemonState::dead;
}

Result<Store> Store::open(const std::string& socket, const Limit& limit) {
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    if (socket.size() >= sizeof address.sun_path) return Error{.code = Code::invalid_argument, .what = socket + ": the path is too long for a socket", .field = ".xenstored"};
    std::memcpy(address.sun_path, socket.c_str(), socket.size());
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) return dead(std::strerror(errno));
    while (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        if (errno != EAGAIN && errno != EINTR) return dead((socket + ": " + std::strerror(errno)).c_str());
        // The queue of who wants to be let in is full: the daemon accepts nobody.
        if (const auto waited = limit.wait(-1, 0, std::chrono::milliseconds(20)); waited != Limit::Wait::ready) return silent(waited);
    }
    return Store(std::move(fd));
}

Status Store::move(void* bytes, std::size_t size, short direction, const Limit& limit) const {
    auto* at = static_cast<char*>(bytes);
    while (size > 0) {
        const auto moved = direction == POLLIN ? ::recv(fd_.get(), at, size, 0) : ::send(fd_.get(), at, size, MSG_NOSIGNAL);
        if (moved > 0) {
            at += moved;
            size -= static_cast<std::size_t>(moved);
        } else if (moved == 0) {
            return dead("it closed the connection");
        } else if (errno == EAGAIN) {
            if (const auto waited = limit.wait(fd_.get(), direction); waited != Limit::Wait::ready) return silent(waited);
        } else if (errno != EINTR) {
            return dead(std::strerror(errno));
        }
    }
    return {};
}

Result<std::string> Store::ask(std::uint32_t type, std::string_view body, const Limit& limit) {
    if (body.size() > payload_max) return Error{.code = Code::invalid_argument, .what = "xenstore takes no more than 4096 bytes at once"};
    Header header{.type = type, .request = 1, .transaction = 0, .size = static_cast<std::uint32_t>(body.size())};
    std::string request(reinterpret_cast<const char*>(&header), sizeof header);
    request += body;
    if (auto sent = move(request.data(), request.size(), POLLOUT, limit); !sent) return std::move(sent).error();
    if (auto received = move(&header, sizeof header, POLLIN, limit); !received) return std::move(received).error();
    if (header.size > payload_max) return Error{.code = Code::internal, .what = "xenstored answered with more than its protocol allows"};
    std::string answer(header.size, '\0');
    if (auto received = move(answer.data(), answer.size(), POLLIN, limit); !received) return std::move(received).error();
    if (header.type == type) return answer;
    answer = answer.c_str();  // the name of an errno
    if (header.type == message_error && answer == "ENOENT") return Error{.code = Code::not_found, .what = "xenstore has no such entry"};
    return Error{.code = Code::unavailable, .what = "xenstored refused: " + answer};
}

Result<std::string> Store::read(std::string_view path, const Limit& limit) { return ask(message_read, std::string(path) + '\0', limit); }

Status Store::write(std::string_view path, std::string_view value, const Limit& limit) {
    auto done = ask(message_write, std::string(path) + '\0' + std::string(value), limit);
    if (!done) return std::move(done).error();
    return {};
}

Status Store::remove(std::string_view path, const Limit& limit) {
    auto done = ask(message_remove, std::string(path) + '\0', limit);
    if (!done && done.error().code != Code::not_found) return std::move(done).error();
    return {};
}

}  // namespace eve::xen
