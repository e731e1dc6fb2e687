#pragma once
// The descriptor of core/loop under this folder's name.

#include "core/loop/unique_fd.hpp"

namespace eve::storage {
using eve::UniqueFd;
}  // namespace eve::storage
