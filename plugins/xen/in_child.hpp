#pragma once
// A step in a process of its own. libxl waits for ever when xenstored does, installs a signal handler while it has children, and ends its
// process on what it calls a disaster: a child may do all that, and is killed when its time is over.

#include <functional>
#include <string>

#include "common/limit.hpp"
#include "eve/result.hpp"

namespace eve::xen {

/// What `step` returned, called in a forked child; its text may have any bytes. `name` is for errors.
///
/// Errors: those of `step`; timed_out, cancelled - the child and what it started in its process group were killed, the effect may have
///         happened; internal - it died.
Result<std::string> in_child(const char* name, const std::function<Result<std::string>()>& step, const plugins::Limit& limit);

/// What a forked child that does not exec needs: signals as in a new process, an end with its parent.
void become_child(std::int64_t parent);

}  // namespace eve::xen
