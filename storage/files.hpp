#pragma once
// Small things that every file effect needs: errors from errno, directories, space. Files that must last are durable_file.hpp's.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/loop/loop.hpp"
#include "eve/result.hpp"

namespace eve::storage {

/// The error of the last system call.
Error os_error(std::string_view what);

std::string parent_directory(const std::string& path);
/// `path` and its parents exist, 0700 where they were made here.
Status make_directories(const std::string& path);
/// The names in it, sorted, without "." and "..".
Result<std::vector<std::string>> list_directory(const std::string& path);
Status sync_directory(const std::string& path);
/// Bytes that the files below `path` take on the disk; 0 for one that is absent. Looks at `context` on the way.
std::uint64_t disk_usage(const std::string& path, const LaneContext& context);

}  // namespace eve::storage
