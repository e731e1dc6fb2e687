#pragma once
// What the node and the confine program agree on.

namespace eve::storage {

inline constexpr int confined_fd = 5;  ///< the one file
inline constexpr const char* confined_path = "/proc/self/fd/5";
inline constexpr unsigned confined_user_id = 64'902;  ///< a number that nothing else uses; the file belongs to it meanwhile

}  // namespace eve::storage
