#pragma once
// The shapes in which agents run: all of a node, some alone, or EVE's daemon that waits for names.

#include <string>
#include <vector>

#include "core/zedbox/options.hpp"

namespace eve::zedbox {

/// Every agent in this process, until a signal; the exit code.
int run_node(const Options& options);
/// These agents alone, over sockets, until a signal.
int run_agents(const Options& options, const std::vector<std::string>& names);
/// EVE's daemon: starts agents as applets ask for them.
int run_on_request(const Options& options);
/// What a symbolic link with an agent's name does: tells a running zedbox, or runs the agent here if there is none.
int run_applet(const Options& options, const std::string& name, const std::vector<std::string>& arguments);

}  // namespace eve::zedbox
