#include "core/zedbox/root_layout.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "storage/durable_file.hpp"

namespace eve {

Status prepare_root(const Root& root) {
    const auto run = root.path("/run");
    if (auto made = storage::DurableDirectory::make(run); !made) return std::move(made).error();
    if (root.prefix().empty()) return {};
    if (auto made = storage::DurableDirectory::make(root.prefix() + "/var"); !made) return std::move(made).error();
    const auto link = root.prefix() + "/var/run";
    if (::symlink("../run", link.c_str()) != 0 && errno != EEXIST) return storage::error_of(errno, "link " + link);
    struct stat real {};
    struct stat reached {};
    const bool known = ::stat(run.c_str(), &real) == 0 && ::stat(link.c_str(), &reached) == 0;
    if (known && real.st_dev == reached.st_dev && real.st_ino == reached.st_ino) return {};
    return Error{.code = Code::failed_precondition,
                 .what = link + " does not lead to " + run,
                 .hint = "EVE's agents use the one, ours the other: move " + link + " away"};
}

}  // namespace eve
