#pragma once
// What a node that has come to rest owes its operator: every app is as its config says and is reported as it is.

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/types/app.hpp"
#include "tests/sim/node/world.hpp"

namespace eve::sim {

using Statuses = std::map<std::string, std::shared_ptr<const types::AppInstanceStatus>>;

/// Adds a sentence to `out` for each thing that is wrong with one app.
void complain_of_app(const types::AppInstanceConfig& config, const Statuses& statuses, const World& world, std::vector<std::string>& out);
/// Adds a sentence to `out` if all apps together have more memory than there is.
void complain_of_memory(const Statuses& statuses, const World& world, std::vector<std::string>& out);

}  // namespace eve::sim
