#pragma once
// What must be under --root before any agent runs there, ours or EVE's.

#include "core/loop/root.hpp"
#include "eve/result.hpp"

namespace eve {

/// ROOT/run is there, and ROOT/var/run, which EVE's agents use, leads to it. Nothing is done for the machine's own root.
/// Errors: failed_precondition - ROOT/var/run is something else; others as of files.
Status prepare_root(const Root& root);

}  // namespace eve
