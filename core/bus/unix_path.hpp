#pragma once
// Local sockets at paths of any length: sockaddr_un holds 108 bytes, a node under a deep --root needs more. A path that is too long is reached
// through its directory's descriptor in /proc.

#include <sys/socket.h>
#include <sys/un.h>

#include <string>

#include "core/loop/unique_fd.hpp"
#include "eve/result.hpp"

namespace eve {

/// An address that names `path` for as long as this object lives.
class UnixPath {
public:
    /// Errors: not_found - no such directory; invalid_argument - the last part alone is too long.
    static Result<UnixPath> of(const std::string& path);
    const sockaddr* address() const { return reinterpret_cast<const sockaddr*>(&address_); }
    socklen_t length() const { return sizeof address_; }

private:
    UnixPath() = default;
    sockaddr_un address_{};
    UniqueFd directory_;
};

/// A connected, non-blocking socket of SOCK_STREAM or SOCK_SEQPACKET. Never waits.
/// Errors: unavailable - nobody listens; resource_exhausted - the listener's queue is full; not_found - no socket there.
Result<UniqueFd> connect_unix(const std::string& path, int type);
/// A non-blocking listener that only its owner and root can connect to. A socket that nobody listens to is replaced; the directory exists.
/// Errors: already_exists - somebody listens there.
Result<UniqueFd> listen_unix(const std::string& path, int type);
/// Root, and the user that this process is.
bool is_trusted(uid_t user);
/// Two sockets on one machine know each other's user. Of a listener it is the one that began to listen.
bool peer_is_trusted(int fd);

}  // namespace eve
