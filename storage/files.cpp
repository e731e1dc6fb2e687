#include "storage/files.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "core/loop/unique_fd.hpp"
#include "storage/durable_file.hpp"

namespace eve::storage {

Error os_error(std::string_view what) {
    const int number = errno;
    Error error = error_of(number, std::string(what));
    if (number == EFBIG) error.code = Code::resource_exhausted;
    return error;
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

Status sync_directory(const std::string& path) {
    const UniqueFd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd.valid() || fsync(fd.get()) != 0) return os_error("sync " + path);
    return {};
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
