#pragma once
// Directories that only their owner may enter, made where a socket or a file of the bus is to lie.

#include <string>
#include <string_view>

#include "core/loop/root.hpp"
#include "eve/result.hpp"

namespace eve::bus {

/// Every directory of the absolute `path` under `root` exists; what stands behind its last slash is not made. New ones are 0700.
Status make_private_directories(const Root& root, std::string_view path);

}  // namespace eve::bus
