#pragma once
// What the plugin reads and writes in a container's root file system, from outside and before it runs: always resolved beneath it, so that
// no link, ".." or absolute path that an image holds leads out.

#include <cstdint>
#include <string>
#include <string_view>

#include "eve/domain.hpp"
#include "eve/result.hpp"
#include "common/unique_fd.hpp"

namespace eve::plugins {

/// The root file system at `path`, which is itself no link.
///
/// Errors: not_found, failed_precondition.
Result<UniqueFd> open_rootfs(const std::string& path);

/// The text of a file in it. Errors: not_found - also what is no regular file.
Result<std::string> read_beneath(int rootfs, const std::string& path, std::size_t size_max);

/// The directory in it, made with those on the way where they are not there.
///
/// Errors: failed_precondition - something that is no directory is in the way; invalid_argument - a "..".
Result<UniqueFd> directory_beneath(int rootfs, const std::string& path);

/// The file is there with that content and mode, its directories with it.
///
/// Errors: failed_precondition - something that is no directory is in the way, or a device is there.
Status write_beneath(int rootfs, const std::string& path, std::string_view content, std::uint32_t mode);

/// The bytes that a base64 text stands for. Errors: invalid_argument.
Result<std::string> from_base64(std::string_view text);

}  // namespace eve::plugins
