#pragma once
// Takes from the fetch process what it does not need: privileges, files, and most system calls.

#include <cstdint>

#include "eve/result.hpp"

namespace eve::storage::fetch {

inline constexpr unsigned user_id = 64'901;  ///< a number that nothing else uses, so that no other process of this user exists
inline constexpr std::uint64_t memory_bytes_max = std::uint64_t{1} << 30;

/// Limits, no new privileges, another user if this one is root, and (where the kernel can) no file but what name resolution reads.
/// Errors: permission_denied - a step that must work did not.
Status drop_privileges(std::uint64_t file_bytes_max);

/// Only the system calls that a transfer makes; any other fails with EPERM. After everything else is set up.
Status filter_system_calls();

}  // namespace eve::storage::fetch
