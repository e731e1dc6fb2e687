#include "core/evectl/watch.hpp"

#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <utility>

namespace eve::evectl {

DirectoryWatch::DirectoryWatch(std::vector<std::string> directories)
    : directories_(std::move(directories)), fd_(inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {
    arm();
}

DirectoryWatch::~DirectoryWatch() {
    if (fd_ >= 0) close(fd_);
}

void DirectoryWatch::arm() {
    for (const auto& directory : directories_) {
        std::filesystem::path path = directory;
        std::error_code error;
        while (!std::filesystem::is_directory(path, error) && path.has_relative_path()) path = path.parent_path();
        inotify_add_watch(fd_, path.c_str(), IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_CLOSE_WRITE | IN_MODIFY);
    }
}

void DirectoryWatch::wait(std::chrono::milliseconds limit) {
    pollfd ready{.fd = fd_, .events = POLLIN, .revents = 0};
    if (poll(&ready, 1, static_cast<int>(limit.count())) <= 0) return;
    std::array<char, 4096> events{};
    while (read(fd_, events.data(), events.size()) > 0) {}
    arm();  // what was waited for by its parent may exist now
}

}  // namespace eve::evectl
