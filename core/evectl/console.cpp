#include "core/evectl/console.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <vector>

#include "core/evectl/watch.hpp"

namespace eve::evectl {
namespace {

constexpr char escape_key = 0x1d;  // Ctrl-]

class RawTerminal {
public:
    RawTerminal() : raw_(isatty(STDIN_FILENO) == 1 && tcgetattr(STDIN_FILENO, &before_) == 0) {
        if (!raw_) return;
        termios raw = before_;
        cfmakeraw(&raw);
        tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    }
    ~RawTerminal() {
        if (raw_) tcsetattr(STDIN_FILENO, TCSANOW, &before_);
    }
    RawTerminal(const RawTerminal&) = delete;
    RawTerminal& operator=(const RawTerminal&) = delete;

private:
    termios before_{};
    bool raw_;
};

/// A socket's path may be longer than sun_path: connect through its directory's descriptor.
int connect_to(const std::filesystem::path& path) {
    const int directory = open(path.parent_path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0) return -1;
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
    close(directory);
    return fd;
}

bool write_all(int fd, const char* data, std::size_t size) {
    while (size > 0) {
        const ssize_t written = write(fd, data, size);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return false;
        data += written;
        size -= static_cast<std::size_t>(written);
    }
    return true;
}

}  // namespace

Status attach_console(const std::string& socket_path) {
    const int fd = connect_to(socket_path);
    if (fd < 0)
        return Error{.code = Code::unavailable,
                     .what = "no console answers at " + socket_path + ": " + std::strerror(errno),
                     .hint = "the app must be RUNNING, and one person at a time can have its console; evectl app logs shows what it printed"};
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
    return {};
}

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
        if (fd >= 0 && first && opened.st_size > static_cast<off_t>(tail_bytes)) lseek(fd, opened.st_size - static_cast<off_t>(tail_bytes), SEEK_SET);
        first = false;
        for (;;) {
            ssize_t got = 0;
            while (fd >= 0 && (got = read(fd, buffer.data(), buffer.size())) > 0)
                if (!sink({buffer.data(), static_cast<std::size_t>(got)})) {
                    close(fd);
                    return {};
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
