#pragma once
// Starting a guest's process under a keeper (core/plugin/keeper.cpp).

#include <chrono>
#include <string>

#include "eve/host.hpp"
#include "eve/result.hpp"

namespace eve::plugin {

struct KeeperOptions {
    std::string executable;
    std::string cgroup_parent = "eve-user-apps";  ///< under the top of each hierarchy; empty: no cgroups
    std::chrono::nanoseconds limit = std::chrono::seconds{20};
};

/// As HostServices::spawn. [any-thread]
Result<SpawnedProcess> spawn_kept(const KeeperOptions& keeper, const GuestProcess& process);

}  // namespace eve::plugin
