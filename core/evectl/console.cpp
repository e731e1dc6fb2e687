#include "core/evectl/console.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "core/evectl/terminal.hpp"
#include "core/evectl/watch.hpp"

namespace eve::evectl {
namespace {

constexpr char escape_key = 0x1d;  // Ctrl-]

/// A socket's path may be longer than sun_path: connect through its directory's descriptor.
int connect_to(int directory, const std::filesystem::path& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string through = "/proc/self/fd/" + std::to_string(directory) + "/" + path.filename().string();
    int fd = -1;
    if (through.size() < sizeof address.sun_path) {
        std::memcpy(address.sun_path, through.c_str(), through.size() + 1);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd >= 0 && connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
            close(fd);
            fd = -1;
        }
    }
    return fd;
}

/// QEMU accepts one client and lets the next wait without a word. So whoever attaches claims a name made of the console's directory, which the
/// kernel gives back when he ends, however he ends. EADDRINUSE: somebody has it.
int claim_console(int directory) {
    struct stat identity{};
    if (fstat(directory, &identity) != 0) return -1;
    const std::string name = "evenode-console-" + std::to_string(identity.st_dev) + "-" + std::to_string(identity.st_ino);
    sockaddr_un address{};  // the first byte stays 0: an abstract name, no file
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path + 1, name.data(), name.size());
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
    if (fd < 0 || bind(fd, reinterpret_cast<const sockaddr*>(&address), size) == 0) return fd;
    const int failure = errno;
    close(fd);
    errno = failure;
    return -1;
}

}  // namespace

Status attach_console(const std::string& socket_path) {
    const auto unavailable = [&](const std::string& why) {
        return Error{.code = Code::unavailable,
                     .what = "no console at " + socket_path + ": " + why,
                     .hint = "the app must be RUNNING, and one person at a time can have its console; evectl app logs shows what it printed"};
    };
    const int directory = open(std::filesystem::path(socket_path).parent_path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0) return unavailable(std::strerror(errno));
    const int claim = claim_console(directory);
    const int fd = claim < 0 ? -1 : connect_to(directory, socket_path);
    const int failure = errno;
    close(directory);
    if (claim < 0) return unavailable(failure == EADDRINUSE ? "somebody else has it" : std::strerror(failure));
    if (fd < 0) {
        close(claim);
        return unavailable(std::strerror(failure));
    }
    std::fprintf(stderr, "Connected; Ctrl-] leaves.\r\n");
    const RawTerminal raw;
    std::array<char, 4096> buffer{};
    bool typing = true;
    for (;;) {
        std::array<pollfd, 2> ready{{{.fd = fd, .events = POLLIN, .revents = 0}, {.fd = typing ? STDIN_FILENO : -1, .events = POLLIN, .revents = 0}}};
        if (poll(ready.data(), ready.size(), -1) < 0 && errno != EINTR) break;
        if (ready[0].revents != 0) {
            const ssize_t got = read(fd, buffer.data(), buffer.size());
            if (got <= 0 || !write_all(STDOUT_FILENO, buffer.data(), static_cast<std::size_t>(got))) break;
        }
        if (ready[1].revents != 0) {
            const ssize_t got = read(STDIN_FILENO, buffer.data(), buffer.size());
            if (got <= 0) {
                typing = false;
                continue;
            }
            const auto size = static_cast<std::size_t>(got);
            if (std::memchr(buffer.data(), escape_key, size) != nullptr || !write_all(fd, buffer.data(), size)) break;
        }
    }
    close(fd);
    close(claim);
    return {};
}

namespace {

/// The last `bytes` of a file that may be missing. False: the sink has enough.
bool read_end(const std::string& path, off_t bytes, const std::function<bool(std::string_view)>& sink) {
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return true;
    struct stat facts{};
    std::string text(static_cast<std::size_t>(bytes), '\0');
    const off_t from = fstat(fd, &facts) == 0 ? std::max<off_t>(0, facts.st_size - bytes) : 0;
    const ssize_t got = pread(fd, text.data(), text.size(), from);
    close(fd);
    return got <= 0 || sink({text.data(), static_cast<std::size_t>(got)});
}

}  // namespace

Status read_file(const std::string& path, std::size_t tail_bytes, Follow follow, const std::function<bool(std::string_view)>& sink) {
    DirectoryWatch watch({std::filesystem::path(path).parent_path().string()});
    std::array<char, 65536> buffer{};
    bool first = true;
    for (;;) {
        const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
        if (fd < 0 && follow == Follow::no)
            return Error{.code = Code::not_found, .what = "cannot read " + path + ": " + std::strerror(errno)};
        struct stat opened{};
        if (fd >= 0) fstat(fd, &opened);
        off_t left = follow == Follow::yes ? std::numeric_limits<off_t>::max() : opened.st_size;  // a guest that floods it would never let us end
        if (fd >= 0 && first) {
            const off_t missing = static_cast<off_t>(tail_bytes) - opened.st_size;
            if (missing > 0 && !read_end(path + ".1", missing, sink)) {
                close(fd);
                return {};
            }
            if (missing < 0) left -= lseek(fd, -missing, SEEK_SET);
        }
        first = false;
        for (;;) {
            ssize_t got = 0;
            while (fd >= 0 && left > 0 && (got = read(fd, buffer.data(), std::min(buffer.size(), static_cast<std::size_t>(left)))) > 0) {
                left -= got;
                if (!sink({buffer.data(), static_cast<std::size_t>(got)})) {
                    close(fd);
                    return {};
                }
            }
            if (follow == Follow::no) {
                close(fd);
                return {};
            }
            struct stat named{};
            const bool replaced = fd < 0 || (stat(path.c_str(), &named) == 0 && (named.st_ino != opened.st_ino || named.st_size < lseek(fd, 0, SEEK_CUR)));
            if (replaced && fd >= 0) break;
            watch.wait(std::chrono::seconds{1});
            if (fd < 0) break;
        }
        if (fd >= 0) close(fd);
    }
}

}  // namespace eve::evectl
