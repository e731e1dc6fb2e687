#include "core/bus/unix_path.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

namespace eve {

namespace {

Error failed(int number, const std::string& what) {
    Code code = Code::unavailable;
    if (number == ENOENT) code = Code::not_found;
    if (number == EAGAIN || number == EMFILE || number == ENFILE) code = Code::resource_exhausted;
    if (number == EADDRINUSE) code = Code::already_exists;
    if (number == EACCES || number == EPERM) code = Code::permission_denied;
    return Error{.code = code, .what = what + ": " + std::strerror(number)};
}

}  // namespace

Result<UnixPath> UnixPath::of(const std::string& path) {
    UnixPath made;
    made.address_.sun_family = AF_UNIX;
    std::string name = path;
    if (name.size() >= sizeof made.address_.sun_path) {
        const auto slash = path.rfind('/');
        if (slash == std::string::npos) return Error{.code = Code::invalid_argument, .what = "socket " + path + ": name too long"};
        made.directory_ = UniqueFd(::open(path.substr(0, slash + 1).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
        if (!made.directory_) return failed(errno, "open the directory of socket " + path);
        name = "/proc/self/fd/" + std::to_string(made.directory_.get()) + path.substr(slash);
        if (name.size() >= sizeof made.address_.sun_path) return Error{.code = Code::invalid_argument, .what = "socket " + path + ": name too long"};
    }
    name.copy(made.address_.sun_path, name.size());
    return made;
}

Result<UniqueFd> connect_unix(const std::string& path, int type) {
    auto target = UnixPath::of(path);
    if (!target) return std::move(target).error();
    UniqueFd fd(::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) return failed(errno, "socket");
    if (::connect(fd.get(), target->address(), target->length()) != 0) return failed(errno, "connect to " + path);
    return fd;
}

Result<UniqueFd> listen_unix(const std::string& path, int type) {
    constexpr int backlog = 64;
    if (const auto present = connect_unix(path, type); present || present.error().code == Code::resource_exhausted)
        return Error{.code = Code::already_exists, .what = "listen at " + path + ": another process does", .hint = "stop the other one first"};
    auto target = UnixPath::of(path);
    if (!target) return std::move(target).error();
    struct stat facts {};
    if (::lstat(path.c_str(), &facts) == 0 && S_ISSOCK(facts.st_mode)) ::unlink(path.c_str());
    UniqueFd fd(::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) return failed(errno, "socket");
    ::fchmod(fd.get(), 0600);  // what bind() creates the file with
    if (::bind(fd.get(), target->address(), target->length()) != 0) return failed(errno, "bind " + path);
    if (::listen(fd.get(), backlog) != 0) return failed(errno, "listen at " + path);
    return fd;
}

bool is_trusted(uid_t user) { return user == 0 || user == ::geteuid(); }

bool peer_is_trusted(int fd) {
    ucred peer{};
    socklen_t size = sizeof peer;
    if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
    return is_trusted(peer.uid);
}

}  // namespace eve
