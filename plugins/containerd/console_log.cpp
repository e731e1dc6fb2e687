// console-log: what one container writes, kept in a log of limited size. containerd's shim starts it with the container and it ends with the last
// who can write, whatever becomes of the node, of the plugin or of containerd: a log that nobody watched would fill the disk.
//
// Descriptors: 3 the container's output, 4 its errors, 5 closed once all is ready. Arguments: "log" PATH "size" BYTES, as containerd makes
// them of a URI. It must never be the reason why a container cannot write: what finds no place is dropped.

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/files.hpp"
#include "common/unique_fd.hpp"

namespace {

using eve::plugins::UniqueFd;

constexpr int output_fd = 3;
constexpr int errors_fd = 4;
constexpr int ready_fd = 5;
constexpr std::size_t piece_size = 64 * 1024;  // what a pipe holds
/// Who writes more waits: otherwise a container without a limit of its own could keep a CPU of the node's share busy with its log.
constexpr std::size_t bytes_per_slice = 3 * 1024 * 1024 + 256 * 1024;
constexpr std::int64_t slice_ms = 100;
constexpr off_t size_default = 1024 * 1024;

std::int64_t now_ms() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1'000'000;
}

class Log {
public:
    Log(const std::string& path, off_t size_max) : size_max_(size_max) {
        const auto slash = path.rfind('/');
        if (slash == std::string::npos) return;
        name_ = path.substr(slash + 1);
        directory_ = UniqueFd(::open(path.substr(0, slash + 1).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
        if (!directory_) return;
        file_ = UniqueFd(::openat(directory_.get(), name_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
        if (file_) size_ = ::lseek(file_.get(), 0, SEEK_END);
    }
    void append(std::string_view text) {
        while (file_ && !text.empty()) {
            const auto wrote = ::write(file_.get(), text.data(), text.size());
            if (wrote < 0 && errno == EINTR) continue;
            if (wrote <= 0) break;  // the disk is full: dropped
            text.remove_prefix(static_cast<std::size_t>(wrote));
            size_ += wrote;
        }
        if (size_ <= size_max_) return;
        eve::plugins::rotate_log(directory_.get(), name_, size_max_);
        size_ = 0;
    }

private:
    off_t size_max_;
    off_t size_ = 0;
    std::string name_;
    UniqueFd directory_;
    UniqueFd file_;
};

void drop_rights() {
    // Neither more programs nor other files: it holds what it needs.
    const rlimit none{};
    ::setrlimit(RLIMIT_NPROC, &none);
    ::setrlimit(RLIMIT_CORE, &none);
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    std::array<__user_cap_data_struct, 2> nothing{};
    ::syscall(SYS_capset, &header, nothing.data());
}

/// True when something was read.
bool take(int& fd, std::vector<char>& buffer, Log& log, std::size_t& slice) {
    const auto got = ::read(fd, buffer.data(), buffer.size());
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) return false;
    if (got <= 0) {
        ::close(fd);
        fd = -1;
        return false;
    }
    log.append({buffer.data(), static_cast<std::size_t>(got)});
    slice += static_cast<std::size_t>(got);
    return true;
}

void serve(Log& log, int end) {
    std::vector<char> buffer(piece_size);
    std::array<int, 2> from{output_fd, errors_fd};
    for (const int fd : from) ::fcntl(fd, F_SETFL, O_NONBLOCK);
    std::int64_t slice_began = now_ms();
    std::size_t slice = 0;
    while (from[0] >= 0 || from[1] >= 0) {
        const auto left = slice_began + slice_ms - now_ms();
        if (left <= 0) {
            slice_began = now_ms();
            slice = 0;
        }
        const bool waits = slice >= bytes_per_slice;
        std::array<pollfd, 3> polled{pollfd{.fd = end, .events = POLLIN, .revents = 0}, pollfd{.fd = waits ? -1 : from[0], .events = POLLIN, .revents = 0},
                                     pollfd{.fd = waits ? -1 : from[1], .events = POLLIN, .revents = 0}};
        if (::poll(polled.data(), polled.size(), waits ? static_cast<int>(std::max<std::int64_t>(1, left)) : -1) < 0 && errno != EINTR) return;
        for (std::size_t i = 0; i < from.size(); ++i)
            if (polled[i + 1].revents != 0) take(from[i], buffer, log, slice);
        if (polled[0].revents == 0) continue;
        // The container is being removed: what is in the pipes is the last of it.
        for (int& fd : from)
            while (fd >= 0 && take(fd, buffer, log, slice)) {}
        return;
    }
}

}  // namespace

int main(int argc, char** argv) {
    std::string path;
    off_t size_max = size_default;
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string_view name = argv[i], value = argv[i + 1];
        if (name == "log") path = value;
        if (name == "size") std::from_chars(value.data(), value.data() + value.size(), size_max);
    }
    ::close_range(ready_fd + 1, ~0U, 0);  // the shim's, which are not for us
    sigset_t ends;
    ::sigemptyset(&ends);
    ::sigaddset(&ends, SIGTERM);
    ::sigprocmask(SIG_BLOCK, &ends, nullptr);
    const UniqueFd end(::signalfd(-1, &ends, SFD_CLOEXEC));
    Log log(path, size_max);
    drop_rights();
    ::close(ready_fd);
    serve(log, end.get());
}
