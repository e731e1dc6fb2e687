#include "storage/files.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "storage/unique_fd.hpp"

namespace eve::storage {

Error os_error(std::string_view what) {
    const int number = errno;
    Code code = Code::unavailable;
    if (number == ENOSPC || number == EDQUOT || number == EFBIG || number == EMFILE || number == ENOMEM) code = Code::resource_exhausted;
    else if (number == ENOENT) code = Code::not_found;
    else if (number == EEXIST) code = Code::already_exists;
    else if (number == EACCES || number == EPERM || number == EROFS) code = Code::permission_denied;
    return Error{.code = code, .what = std::string(what) + ": " + std::strerror(number)};
}

std::string parent_directory(const std::string& path) {
    const auto slash = path.rfind('/');
    if (slash == std::string::npos) return ".";
    return slash == 0 ? "/" : path.substr(0, slash);
}

Status make_directories(const std::string& path) {
    struct stat facts{};
    if (stat(path.c_str(), &facts) == 0) {
        if (S_ISDIR(facts.st_mode)) return {};
        return Error{.code = Code::failed_precondition, .what = path + " is not a directory"};
    }
    if (path == "/" || path == "." || path.empty()) return os_error("make directory " + path);
    if (auto parent = make_directories(parent_directory(path)); !parent) return parent;
    if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return os_error("make directory " + path);
    return {};
}

Result<std::vector<std::string>> list_directory(const std::string& path) {
    const std::unique_ptr<DIR, int (*)(DIR*)> directory(opendir(path.c_str()), closedir);
    if (!directory) return os_error("list " + path);
    std::vector<std::string> names;
    while (const dirent* entry = readdir(directory.get())) {
        const std::string name = entry->d_name;
        if (name != "." && name != "..") names.push_back(name);
    }
    std::sort(names.begin(), names.end());
    return names;
}

Result<std::string> read_small_file(const std::string& path, std::size_t bytes_max) {
    const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    struct stat facts{};
    if (!fd.valid() || fstat(fd.get(), &facts) != 0) return os_error("read " + path);
    if (!S_ISREG(facts.st_mode)) return Error{.code = Code::failed_precondition, .what = path + " is not a file"};
    std::string text;
    char buffer[4096];
    for (;;) {
        const ssize_t got = read(fd.get(), buffer, sizeof buffer);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return os_error("read " + path);
        if (got == 0) return text;
        text.append(buffer, static_cast<std::size_t>(got));
        if (text.size() > bytes_max) return Error{.code = Code::resource_exhausted, .what = path + " is too long"};
    }
}

Status sync_directory(const std::string& path) {
    const UniqueFd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd.valid() || fsync(fd.get()) != 0) return os_error("sync " + path);
    return {};
}

Status replace_file(const std::string& path, std::string_view content) {
    const std::string temporary = path + ".tmp";
    (void)unlink(temporary.c_str());
    {
        const UniqueFd fd(open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
        if (!fd.valid()) return os_error("write " + path);
        for (std::size_t written = 0; written < content.size();) {
            const ssize_t n = write(fd.get(), content.data() + written, content.size() - written);
            if (n < 0 && errno == EINTR) continue;
            if (n <= 0) return os_error("write " + path);
            written += static_cast<std::size_t>(n);
        }
        if (fsync(fd.get()) != 0) return os_error("write " + path);
    }
    if (rename(temporary.c_str(), path.c_str()) != 0) return os_error("write " + path);
    return sync_directory(parent_directory(path));
}

std::uint64_t disk_usage(const std::string& path, const LaneContext& context) {
    struct stat facts{};
    if (context.cancelled() || lstat(path.c_str(), &facts) != 0) return 0;
    std::uint64_t bytes = static_cast<std::uint64_t>(facts.st_blocks) * 512;
    if (!S_ISDIR(facts.st_mode)) return bytes;
    const auto names = list_directory(path);
    if (!names) return bytes;
    for (const auto& name : *names) bytes += disk_usage(path + "/" + name, context);
    return bytes;
}

}  // namespace eve::storage
