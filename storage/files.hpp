#pragma once
// Small things that every file effect needs: errors from errno with the right code, directories, small files written so that a crash leaves the
// old or the new.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/loop/loop.hpp"
#include "eve/result.hpp"

namespace eve::storage {

/// The error of the last system call: no space is resource_exhausted, ENOENT not_found, EEXIST already_exists, EACCES permission_denied, any other
/// unavailable.
Error os_error(std::string_view what);

std::string parent_directory(const std::string& path);
/// `path` and its parents exist, 0700 where they were made here.
Status make_directories(const std::string& path);
/// The names in it, sorted, without "." and "..".
Result<std::vector<std::string>> list_directory(const std::string& path);
/// All of a regular file. Errors: resource_exhausted - longer than `bytes_max`.
Result<std::string> read_small_file(const std::string& path, std::size_t bytes_max);
/// The file has this content, durably: written beside it, synced, renamed, directory synced.
Status replace_file(const std::string& path, std::string_view content);
Status sync_directory(const std::string& path);
/// Bytes that the files below `path` take on the disk; 0 for one that is absent. Looks at `context` on the way.
std::uint64_t disk_usage(const std::string& path, const LaneContext& context);

}  // namespace eve::storage
