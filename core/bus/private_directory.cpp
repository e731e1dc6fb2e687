#include "core/bus/private_directory.hpp"

#include <sys/stat.h>

#include <cerrno>
#include <cstring>

namespace eve::bus {

Status make_private_directories(const Root& root, std::string_view path) {
    const auto whole = root.path(path);
    for (auto slash = whole.find('/', root.prefix().size() + 1); slash != std::string::npos; slash = whole.find('/', slash + 1)) {
        const auto directory = whole.substr(0, slash);
        if (::mkdir(directory.c_str(), 0700) == 0 || errno == EEXIST) continue;
        const int number = errno;
        const bool full = number == ENOSPC || number == EDQUOT;
        return Error{.code = full ? Code::resource_exhausted : Code::unavailable, .what = "make " + directory + ": " + std::strerror(number)};
    }
    return {};
}

}  // namespace eve::bus
