#pragma once
// Copies a file the cheapest way its file system knows: shared extents, then copying inside the kernel, leaving holes.

#include <functional>

#include "core/loop/loop.hpp"
#include "eve/result.hpp"

namespace eve::storage {

/// `to`, empty before, has the content of `from`. `progress` gets a percentage. Not synced.
///
/// Errors: cancelled; resource_exhausted; unavailable.
Status copy_file(int from, int to, const std::function<void(unsigned)>& progress, const LaneContext& context);

}  // namespace eve::storage
