#pragma once
// Where the processes of a guest may run, changed while they do: by their control group where they have one of their own, else thread by thread.

#include <cstdint>
#include <string>
#include <vector>

#include "eve/result.hpp"

namespace eve::plugins {

/// The process `pid`, and all that is in its control group if that is its own, runs on these CPUs only; empty: any. `cgroup_root`: where the
/// hierarchies are mounted.
///
/// Errors: not_found - no such process; invalid_argument - no such CPU; unavailable - the kernel refused.
Status confine_process(std::int64_t pid, const std::vector<std::uint32_t>& cpus, const std::string& cgroup_root = "/sys/fs/cgroup");

}  // namespace eve::plugins
