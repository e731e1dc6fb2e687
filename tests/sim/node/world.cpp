#include "tests/sim/node/world.hpp"

namespace eve::sim {

void World::violation(const std::string& text) {
    constexpr std::size_t kept_max = 20;
    if (violations_.size() < kept_max) violations_.push_back(text);
}

void World::start_guest(const std::string& app, Guest guest) {
    if (guests.contains(app)) violation("a second guest of " + app + " was started");
    for (const auto& disk : guest.disks)
        if (!volumes.contains(disk)) violation("guest " + app + " was started before volume " + disk + " was created");
    if (!networks.contains(app)) violation("guest " + app + " was started before its network was up");
    guests[app] = std::move(guest);
    ++guests_started;
}

void World::end_volume(const std::string& key) {
    for (const auto& [app, guest] : guests)
        for (const auto& disk : guest.disks)
            if (disk == key) violation("volume " + key + " was destroyed under guest " + app);
    volumes.erase(key);
}

void World::check() {
    std::map<std::string, std::string> owner;
    for (const auto& [app, guest] : guests) {
        if (!networks.contains(app)) violation("guest " + app + " runs without its network");
        for (const auto& disk : guest.disks) {
            if (!volumes.contains(disk)) violation("guest " + app + " runs without its volume " + disk);
            const auto [other, first] = owner.emplace(disk, app);
            if (!first) violation("volume " + disk + " is attached to " + other->second + " and to " + app);
        }
    }
}

}  // namespace eve::sim
