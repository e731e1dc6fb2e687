#pragma once
// The terminal's side of a guest's console.

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "eve/result.hpp"

namespace eve::evectl {

/// Joins the terminal with the console's unix socket until the person types Ctrl-] or the guest's end closes. Errors: unavailable - nobody
/// listens there.
Status attach_console(const std::string& socket_path);

enum class Follow { no, yes };
/// Gives a file to `sink` from `tail_bytes` before its end, which may lie in the older part "<path>.1"; with Follow::yes goes on with what is
/// added, also after rotation, until `sink` says no. Errors: not_found.
Status read_file(const std::string& path, std::size_t tail_bytes, Follow follow, const std::function<bool(std::string_view)>& sink);

}  // namespace eve::evectl
