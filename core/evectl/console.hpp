#pragma once
// The terminal's side of a guest's console.

#include <string>

#include "eve/result.hpp"

namespace eve::evectl {

/// Joins the terminal with the console's unix socket until the person types Ctrl-] or the guest's end closes. Errors: unavailable - nobody
/// listens there.
Status attach_console(const std::string& socket_path);

enum class Follow { no, yes };
/// Copies a file to standard output, from `tail_bytes` before its end; with Follow::yes goes on with what is added, also after rotation, until interrupted.
Status print_file(const std::string& path, std::size_t tail_bytes, Follow follow);

}  // namespace eve::evectl
