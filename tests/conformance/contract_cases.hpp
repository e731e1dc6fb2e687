#pragma once
// What the cases of the contract run on: one plugin's file, how it is configured, and a domain that it can run.

#include <string>

#include "core/plugin/plugin.hpp"
#include "eve/domain.hpp"

namespace eve::plugin {

/// Set once by main, before the cases run.
struct Subject {
    std::string file;
    std::string config = "{}";
    DomainSpec spec;
    std::string plugin_host;
    std::string keeper;
    std::string cgroup_parent;
    std::string device;  ///< a PCI device that may be taken from the host for a while, or empty
};
Subject& subject();

}  // namespace eve::plugin
