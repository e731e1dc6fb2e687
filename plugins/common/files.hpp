#pragma once
// Small files in the plugin's own directories, by descriptor: no path of these directories is ever put together.

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "eve/result.hpp"
#include "common/unique_fd.hpp"

namespace eve::plugins {

/// An error that names what could not be done and why (errno).
Error file_error(const std::string& what);

/// openat2() that cannot lead out of `directory`: `resolve` is RESOLVE_BENEATH or RESOLVE_IN_ROOT with what else is wanted. The kernel gives up on
/// ".." with EAGAIN whenever anything at all is renamed or mounted meanwhile: it is asked again. -1 and errno on failure. Only system calls.
int open_resolved(int directory, const char* path, std::uint64_t flags, std::uint64_t mode, std::uint64_t resolve);

/// The directory, made if it is not there.
Result<UniqueFd> make_directory(int parent, const std::string& name);
/// The directory; not_found if there is none.
Result<UniqueFd> open_directory(int parent, const std::string& name);
/// The names in it, sorted, without "." and "..".
Result<std::vector<std::string>> names_in(int directory);

/// The file holds `text`, whole or not at all.
Status write_file(int directory, const std::string& name, std::string_view text);
/// The file's text; not_found if there is none.
Result<std::string> read_file(int directory, const std::string& name, std::size_t size_max);
/// The last `size` bytes of a file, or what there is of it; empty if it cannot be read.
std::string tail_of(int directory, const std::string& name, std::size_t size);
bool file_exists(int directory, const std::string& name);
/// Everything in the directory is gone: files, sockets and one level of directories.
Status empty_directory(int directory);

/// A sealed file in memory that anybody may read through its descriptor.
Result<UniqueFd> memory_file(const char* name, std::string_view text);
/// The same with the content of a file.
Result<UniqueFd> memory_copy(const char* name, const std::string& path);

/// A log that grew beyond `size_max` starts anew; its last part is kept as "<name>.1". Writers append and do not notice.
void rotate_log(int directory, const std::string& name, off_t size_max);

/// A listening unix socket `name` in the directory; a path of any length works.
Result<UniqueFd> listen_at(int directory, const std::string& name);

/// The absolute path of an open directory, or empty.
std::string path_of(int directory);

}  // namespace eve::plugins
