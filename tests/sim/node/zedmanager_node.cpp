#include "tests/sim/node/zedmanager_node.hpp"

#include <algorithm>

#include "tests/sim/node/complaints.hpp"

namespace eve::sim {

using namespace std::chrono_literals;

namespace {

constexpr std::uint8_t kAppsMax = 4;

}  // namespace

ZedmanagerNode::ZedmanagerNode(std::uint64_t number) : Node(number) {
    statuses_ = bus.subscribe<types::AppInstanceStatus>({.agent = "zedmanager"});
    references_ = bus.subscribe<types::VolumeRefConfig>({.agent = "zedmanager"});
    domains_ = bus.subscribe<types::DomainConfig>({.agent = "zedmanager"});
    crash_volumemgr();
    crash_zedrouter();
    crash_domainmgr();
    crash_zedmanager();
}

void ZedmanagerNode::crash_zedmanager() {
    agent_.reset();
    process_ = std::make_unique<SimProcess>(loop);
    agent_ = std::make_unique<zedmanager::Agent>(zedmanager::Agent::Deps{.bus = bus, .loop = *process_, .log = log});
}

void ZedmanagerNode::crash_volumemgr() {
    volumemgr_.reset();
    volumemgr_ = std::make_unique<PeerVolumemgr>(deps());
}

void ZedmanagerNode::crash_zedrouter() {
    zedrouter_.reset();
    zedrouter_ = std::make_unique<PeerZedrouter>(deps());
}

void ZedmanagerNode::crash_domainmgr() {
    domainmgr_.reset();
    domainmgr_ = std::make_unique<PeerDomainmgr>(deps());
}

void ZedmanagerNode::change(types::AppInstanceConfig config) {
    config.UUIDandVersion.Version = std::to_string(++version_);
    if (prng.chance(10))
        ++config.LocalRestartCmd.Counter;
    else
        change_app(prng, config, apps_range);
    controller.set(config);
}

void ZedmanagerNode::do_something() {
    const auto apps = controller.apps();
    const auto number = static_cast<std::uint8_t>(prng.below(kAppsMax));
    const auto found = apps.find(uuid(0xaa, number).to_string());
    switch (prng.below(12)) {
        case 0: crash_zedmanager(); return;
        case 1: crash_volumemgr(); return;
        case 2: crash_zedrouter(); return;
        case 3: crash_domainmgr(); return;
        case 4:
            if (!world.guests.empty()) domainmgr_->guest_died(world.guests.begin()->first);
            return;
        case 5:
            if (found != apps.end()) controller.remove(found->second.UUIDandVersion.UUID);
            return;
        default: break;
    }
    if (found == apps.end())
        controller.set(some_app(number));
    else
        change(found->second);
}

void ZedmanagerNode::begin_faults() {
    world.faults = {.start_fails = static_cast<unsigned>(prng.below(40)),
                    .volume_fails = static_cast<unsigned>(prng.below(30)),
                    .network_fails = static_cast<unsigned>(prng.below(30)),
                    .slow = static_cast<unsigned>(prng.below(8))};
}

std::vector<std::string> ZedmanagerNode::complaints() {
    std::vector<std::string> out;
    const auto apps = controller.apps();
    for (const auto& [key, config] : apps) complain_of_app(config, statuses_->items(), world, out);
    complain_of_memory(statuses_->items(), world, out);
    for (const auto& [key, status] : statuses_->items())
        if (!apps.contains(key)) out.push_back("a deleted app is still reported: " + key);
    for (const auto& [key, guest] : world.guests)
        if (!apps.contains(key)) out.push_back("a guest of a deleted app runs: " + key);
    for (const auto& [key, reference] : references_->items())
        if (!apps.contains(reference->AppUUID.to_string())) out.push_back("a volume is held for a deleted app: " + key);
    for (const auto& key : world.networks)
        if (!apps.contains(key)) out.push_back("a network is up for a deleted app: " + key);
    for (const auto& [key, domain] : domains_->items())
        if (!apps.contains(key)) out.push_back("a domain is wanted for a deleted app: " + key);
    return out;
}

}  // namespace eve::sim
