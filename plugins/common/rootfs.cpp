#include "common/rootfs.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>
#include <vector>

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>

#include "common/files.hpp"
#include "common/text.hpp"

namespace eve::plugins {
namespace {

constexpr std::uint32_t default_mode = 0644;
constexpr mode_t directory_mode = 0755;
constexpr std::size_t components_max = 64;

UniqueFd open_beneath(int rootfs, const std::string& path, std::uint64_t flags, std::uint64_t mode = 0) {
    return UniqueFd(open_resolved(rootfs, path.c_str(), flags, mode, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS));
}

}  // namespace

Result<UniqueFd> open_rootfs(const std::string& path) {
    UniqueFd opened(::open(path.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!opened) return file_error(path);
    return opened;
}

Result<std::string> read_beneath(int rootfs, const std::string& path, std::size_t size_max) {
    const auto file = open_beneath(rootfs, path, O_RDONLY | O_NONBLOCK);
    struct stat status{};
    if (!file || ::fstat(file.get(), &status) != 0) return file_error(path);
    if (!S_ISREG(status.st_mode)) return Error{.code = Code::not_found, .what = path + " is no file"};
    std::string text;
    char buffer[8192];
    while (true) {
        const auto got = ::read(file.get(), buffer, sizeof buffer);
        if (got == 0) return text;
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return file_error(path);
        text.append(buffer, static_cast<std::size_t>(got));
        if (text.size() > size_max) return Error{.code = Code::failed_precondition, .what = path + " is larger than it can be"};
    }
}

Result<UniqueFd> directory_beneath(int rootfs, const std::string& path) {
    // Each step starts at the root again: a link on the way is followed as the container itself would.
    std::string so_far = ".";
    std::size_t count = 0;
    for (const auto part : parts_of(path, '/')) {
        if (part.empty() || part == ".") continue;
        if (part == ".." || ++count > components_max) return Error{.code = Code::invalid_argument, .what = path + " has a \"..\", or is too deep"};
        const auto parent = open_beneath(rootfs, so_far, O_PATH | O_DIRECTORY);
        if (!parent) return file_error(path);
        if (::mkdirat(parent.get(), std::string(part).c_str(), directory_mode) != 0 && errno != EEXIST) return file_error(path);
        so_far += "/" + std::string(part);
    }
    auto directory = open_beneath(rootfs, so_far, O_PATH | O_DIRECTORY);
    if (directory) return directory;
    auto error = file_error(path);
    error.code = Code::failed_precondition;
    return error;
}

Status write_beneath(int rootfs, const std::string& path, std::string_view content, std::uint32_t mode) {
    const auto slash = path.find_last_of('/');
    const auto name = path.substr(slash == std::string::npos ? 0 : slash + 1);
    if (name.empty() || name == "." || name == "..") return Error{.code = Code::invalid_argument, .what = "'" + path + "' names no file"};
    const auto opened = directory_beneath(rootfs, slash == std::string::npos ? "" : path.substr(0, slash));
    if (!opened) return opened.error();
    const auto& directory = *opened;
    struct stat there{};
    if (::fstatat(directory.get(), name.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISREG(there.st_mode) && !S_ISLNK(there.st_mode))
        return Error{.code = Code::failed_precondition, .what = path + " is there already and is no file"};
    const auto temporary = ".evenode-" + name.substr(0, 200);
    ::unlinkat(directory.get(), temporary.c_str(), 0);
    const UniqueFd file(::openat(directory.get(), temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!file) return file_error(path);
    auto rest = content;
    while (!rest.empty()) {
        const auto written = ::write(file.get(), rest.data(), rest.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) {
            auto error = file_error(path);
            ::unlinkat(directory.get(), temporary.c_str(), 0);
            return error;
        }
        rest.remove_prefix(static_cast<std::size_t>(written));
    }
    if (::fchmod(file.get(), mode == 0 ? default_mode : mode) != 0 ||
        ::renameat(directory.get(), temporary.c_str(), directory.get(), name.c_str()) != 0) {
        auto error = file_error(path);
        ::unlinkat(directory.get(), temporary.c_str(), 0);
        return error;
    }
    return {};
}

Result<std::string> from_base64(std::string_view text) {
    const auto value = [](char c) -> int {
        if (c >= 'A' && c <= 'Z') return c - 'A';
        if (c >= 'a' && c <= 'z') return c - 'a' + 26;
        if (c >= '0' && c <= '9') return c - '0' + 52;
        return c == '+' ? 62 : c == '/' ? 63 : -1;
    };
    const Error bad{.code = Code::invalid_argument, .what = "not base64"};
    if (text.size() % 4 != 0) return bad;
    while (text.ends_with('=')) text.remove_suffix(1);
    std::string out;
    std::uint32_t bits = 0;
    int count = 0;
    for (const char c : text) {
        const int six = value(c);
        if (six < 0) return bad;
        bits = (bits << 6 | static_cast<std::uint32_t>(six)) & 0xffffffU;
        count += 6;
        if (count < 8) continue;
        count -= 8;
        out.push_back(static_cast<char>(bits >> count & 0xffU));
    }
    return out;
}

}  // namespace eve::plugins
