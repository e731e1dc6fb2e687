#include "storage/files.hpp"

#include <sys/stat.h>

#include <cerrno>

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
    auto made = DurableDirectory::make(path);
    return made ? Status{} : Status{std::move(made).error()};
}

Result<std::vector<std::string>> list_directory(const std::string& path) {
    auto directory = DurableDirectory::open(path);
    if (!directory) return std::move(directory).error();
    return directory->list();
}

Status sync_directory(const std::string& path) {
    auto directory = DurableDirectory::open(path);
    return directory ? directory->sync() : Status{std::move(directory).error()};
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
