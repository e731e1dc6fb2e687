#pragma once
// What an operator reads of an error: what happened, and what to do about it.

#include <string>

#include "eve/result.hpp"

namespace eve::types {

inline std::string error_text(const Error& error) { return error.hint.empty() ? error.what : error.what + " (" + error.hint + ")"; }

}  // namespace eve::types
