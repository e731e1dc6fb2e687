#pragma once
// What a shared object exports, read from the file without loading it.

#include "eve/result.hpp"

namespace eve::plugin {

/// Whether the file is a shared object for this machine that exports an entry of ours and nothing else. A refusal is a sentence about the
/// file, with how to mend it as hint; every byte is distrusted. Errors: invalid_argument, unsupported.
Status check_exports(int file);

}  // namespace eve::plugin
