#pragma once
// The simulated machine: what really exists (guests, volumes, networks), whatever any agent believes, and the rules that hold at every moment.

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace eve::sim {

struct Guest {
    std::vector<std::string> disks;  ///< volume keys, opened for writing
    std::int64_t cpus = 0;
    std::int64_t memory_kib = 0;
};

/// Faults per hundred occasions. All zero: the world is healed.
struct Faults {
    unsigned start_fails = 0;     ///< a guest does not start
    unsigned volume_fails = 0;    ///< a step of a volume fails, and is tried again later
    unsigned network_fails = 0;   ///< an app's network cannot be made, and is tried again later
    unsigned slow = 0;            ///< something takes twenty times as long
};

/// Lies that the rules must catch, to prove that they look: planted by the tests of the tests.
struct Lies {
    bool halted_early = false;    ///< domainmgr reports HALTED while the guest runs on
    bool created_early = false;   ///< volumemgr reports a volume that is not there
    bool connected_early = false; ///< zedrouter reports a network that is not there
};

class World {
public:
    std::map<std::string, Guest> guests;    ///< by app; each is a process that runs
    std::set<std::string> volumes;          ///< keys of volumes whose file exists and is complete
    std::set<std::string> networks;         ///< apps whose bridge ports and rules are in place
    std::uint64_t memory_bytes = std::uint64_t{4096} << 20;
    Faults faults;
    Lies lies;
    std::uint64_t guests_started = 0;
    bool volumes_need_config = false;  ///< no volume is made that the config does not name, although an app may still hold it

    /// A guest's process comes to be. What is wrong with that is a violation.
    void start_guest(const std::string& app, Guest guest);
    void end_guest(const std::string& app) { guests.erase(app); }
    void end_volume(const std::string& key);

    /// What must hold after every step.
    void check();
    /// Something was that must never be.
    void violation(const std::string& text);
    const std::vector<std::string>& violations() const { return violations_; }

private:
    std::vector<std::string> violations_;
};

}  // namespace eve::sim
