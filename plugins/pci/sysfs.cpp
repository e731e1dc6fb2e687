#include "sysfs.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include "common/files.hpp"

namespace eve::pci {
namespace {

using plugins::UniqueFd;

constexpr std::size_t file_size_max = 64U << 10;
constexpr std::size_t names_max = 65536;
constexpr std::size_t blocked_max = 64;

struct CloseDirectory {
    void operator()(DIR* directory) const { ::closedir(directory); }
};

int open_beneath(int root, const char* path, int flags) {
    return plugins::open_resolved(root, path, static_cast<std::uint64_t>(flags), 0, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS);
}

Error failure(const std::string& path, int number) {
    Code code = Code::unavailable;
    if (number == ENOENT || number == ENOTDIR) code = Code::not_found;
    if (number == EACCES || number == EPERM || number == EROFS || number == EXDEV) code = Code::permission_denied;
    return Error{.code = code, .what = path + ": " + std::strerror(number)};
}

std::string trimmed(std::string text) {
    const auto blank = [](char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\0'; };
    while (!text.empty() && blank(text.back())) text.pop_back();
    while (!text.empty() && blank(text.front())) text.erase(0, 1);
    return text;
}

}  // namespace

std::string Sysfs::link_name(const std::string& path) {
    const auto at = target(path);
    if (!at) return {};
    return at->substr(at->rfind('/') + 1);
}

std::string Sysfs::text(const std::string& path) { return read(path).value_or({}); }

Result<std::string> DirectorySysfs::read(const std::string& path) {
    const UniqueFd file(open_beneath(root_, path.c_str(), O_RDONLY));
    if (file.get() < 0) return failure(path, errno);
    std::string text;
    std::array<char, 4096> buffer{};
    while (text.size() < file_size_max) {
        const auto got = ::read(file.get(), buffer.data(), buffer.size());
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return failure(path, errno);
        if (got == 0) break;
        text.append(buffer.data(), static_cast<std::size_t>(got));
    }
    return trimmed(std::move(text));
}

Status DirectorySysfs::write(const std::string& path, const std::string& text, std::chrono::milliseconds limit) {
    if (pending(path)) return Error{.code = Code::timed_out, .what = path + ": an earlier write has not returned yet"};
    if (blocked_.size() >= blocked_max) return Error{.code = Code::resource_exhausted, .what = "too many writes have not returned yet"};
    const char* const name = path.c_str();
    const pid_t child = ::fork();
    if (child < 0) return failure(path, errno);
    if (child == 0) {
        // Only system calls: the other threads of this process are not here.
        const int file = open_beneath(root_, name, O_WRONLY | O_TRUNC);
        if (file < 0) ::_exit(errno & 0x7f);
        ::_exit(::write(file, text.data(), text.size()) < 0 ? errno & 0x7f : 0);
    }
    const UniqueFd watch(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
    pollfd ended{.fd = watch.get(), .events = POLLIN, .revents = 0};
    if (watch.get() >= 0 && ::poll(&ended, 1, static_cast<int>(limit.count())) == 0) {
        blocked_[path] = child;
        return Error{.code = Code::timed_out, .what = path + ": the kernel has not returned after " + std::to_string(limit.count()) + " ms"};
    }
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (!WIFEXITED(status)) return Error{.code = Code::unavailable, .what = path + ": the writer was killed"};
    if (WEXITSTATUS(status) != 0) return failure(path, WEXITSTATUS(status));
    return {};
}

bool DirectorySysfs::pending(const std::string& path) {
    std::erase_if(blocked_, [](const auto& writer) { return ::waitpid(writer.second, nullptr, WNOHANG) != 0; });
    return blocked_.contains(path);
}

Result<std::string> DirectorySysfs::target(const std::string& path) {
    const UniqueFd link(open_beneath(root_, path.c_str(), O_PATH | O_NOFOLLOW));
    if (link.get() < 0) return failure(path, errno);
    std::array<char, 4096> buffer{};
    const auto size = ::readlinkat(link.get(), "", buffer.data(), buffer.size());
    if (size < 0) return failure(path, errno);
    return std::string(buffer.data(), static_cast<std::size_t>(size));
}

std::vector<std::string> DirectorySysfs::names(const std::string& path) {
    std::vector<std::string> found;
    UniqueFd directory(open_beneath(root_, path.c_str(), O_RDONLY | O_DIRECTORY));
    if (directory.get() < 0) return found;
    const std::unique_ptr<DIR, CloseDirectory> entries(::fdopendir(directory.get()));
    if (!entries) return found;
    directory.release();
    while (const dirent* entry = ::readdir(entries.get())) {
        const std::string name = entry->d_name;
        if (name != "." && name != ".." && found.size() < names_max) found.push_back(name);
    }
    std::sort(found.begin(), found.end());
    return found;
}

bool DirectorySysfs::exists(const std::string& path) {
    const UniqueFd file(open_beneath(root_, path.c_str(), O_PATH));
    return file.get() >= 0;
}

}  // namespace eve::pci
