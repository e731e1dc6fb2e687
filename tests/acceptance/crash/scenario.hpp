#pragma once
// The script that a node is put through while its processes die: two apps are created on a local network, one ACL is changed, one app is
// restarted, both are deleted, the node is stopped. What must be true at each point is checked here, whatever was killed on the way.

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/acceptance/crash/tracer.hpp"

namespace eve::crash {

struct Bench {
    std::string root;        ///< the node's; made anew for each run
    std::string bin;         ///< folder of the executables
    std::string node_ns;     ///< names of network namespaces, with the cable between them (scripts/lab.sh)
    std::string image_url;   ///< of the datastore
    std::string image_file;  ///< in it
    std::string image_sha256;
    std::uint64_t image_size = 0;
    bool real_guests = false;  ///< QEMU, else the mock plugin with a sleeping process per guest
    std::chrono::milliseconds phase_limit{20'000};
};

/// What one run gave.
struct Outcome {
    std::vector<std::string> wrong;             ///< empty: all was as it must be
    std::vector<Hit> hits;
    std::map<std::string, std::uint64_t> counts;
    std::chrono::milliseconds slowest{0};       ///< phase
    std::string slowest_phase;
    std::chrono::milliseconds whole{0};
    int starts = 0;
    std::size_t descriptors = 0;                ///< of zedbox after everything was deleted
    std::set<std::string> files;                ///< under the root after the end
};

/// What a run has to be like, taken from runs in which nothing was killed.
struct Expectation {
    std::set<std::string> files;
    std::size_t descriptors = 0;
};

/// How trouble is made: told of each phase as it begins, with the time since the start.
struct Trouble {
    Trigger trigger;                    ///< armed before the node is started, when `armed`
    std::optional<Trigger> after;
    bool armed = false;
    std::function<void(Tracer&, const std::string& phase)> at_phase;
    std::function<void(Tracer&)> meanwhile;  ///< called all 5 ms
    std::function<void()> in_child;
};

/// One run of the script. Never throws.
Outcome run_scenario(const Bench& bench, const Trouble& trouble, const std::optional<Expectation>& expected);

/// Executables whose calls count.
const std::vector<std::string>& node_roles();

}  // namespace eve::crash
