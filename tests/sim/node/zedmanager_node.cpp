#include "tests/sim/node/zedmanager_node.hpp"

#include <algorithm>

#include "tests/sim/node/complaints.hpp"

namespace eve::sim {

using namespace std::chrono_literals;

namespace {

constexpr std::uint8_t kAppsMax = 4;
constexpr int kThings = 12;
constexpr std::int64_t kMib = 1024;

types::Uuid uuid(std::uint8_t kind, std::uint8_t number) {
    std::array<std::uint8_t, 16> bytes{};
    bytes[0] = kind;
    bytes[15] = number;
    return types::Uuid{bytes};
}

}  // namespace

ZedmanagerNode::ZedmanagerNode(std::uint64_t seed) : prng(seed) {
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

void ZedmanagerNode::run_for(std::chrono::nanoseconds time) {
    const Instant end = clock.now() + time;
    static_cast<void>(loop.run_until(
        [this] {
            world.check();
            return !world.violations().empty();
        },
        time));
    clock.advance_to(end);
}

types::AppInstanceConfig ZedmanagerNode::some_app(std::uint8_t number) {
    types::AppInstanceConfig config;
    config.UUIDandVersion = {.UUID = uuid(0xaa, number), .Version = "1"};
    config.DisplayName = "app" + std::to_string(number);
    config.FixedResources.Memory = prng.between(1, 6) * 256 * kMib;
    config.FixedResources.VCpus = prng.between(1, 3);
    config.Activate = prng.chance(80);
    if (prng.chance(20)) config.Delay = std::chrono::seconds{prng.between(1, 120)};
    const auto volumes = prng.between(0, 3);
    for (std::uint8_t n = 0; n < volumes; ++n)
        config.VolumeRefConfigList.push_back(
            {.VolumeID = uuid(number, n), .AppUUID = config.UUIDandVersion.UUID, .VerifyOnly = true});
    types::AppNetAdapterConfig adapter;
    adapter.Name = "eth0";
    adapter.Network = uuid(0xee, 1);
    config.AppNetAdapterList.push_back(adapter);
    return config;
}

void ZedmanagerNode::change(types::AppInstanceConfig config) {
    config.UUIDandVersion.Version = std::to_string(++version_);
    const auto new_generation = [&] {
        if (!config.VolumeRefConfigList.empty())
            ++config.VolumeRefConfigList[prng.below(config.VolumeRefConfigList.size())].GenerationCounter;
    };
    switch (prng.below(10)) {
        case 0:
        case 1: config.Activate = !config.Activate; break;
        case 2: ++config.RestartCmd.Counter; break;
        case 3: ++config.LocalRestartCmd.Counter; break;
        case 4:
            ++config.PurgeCmd.Counter;
            new_generation();
            break;
        case 5:
            ++config.PurgeCmd.Counter;
            if (config.VolumeRefConfigList.size() > 1) config.VolumeRefConfigList.pop_back();
            break;
        case 6: new_generation(); break;
        case 7:
            config.FixedResources.VCpus = prng.between(1, 3);
            if (prng.chance(50)) ++config.RestartCmd.Counter;
            break;
        case 8: {
            types::AppNetAdapterConfig adapter;
            adapter.Name = "eth" + std::to_string(config.AppNetAdapterList.size());
            adapter.Network = uuid(0xee, 2);
            if (config.AppNetAdapterList.size() < 3)
                config.AppNetAdapterList.push_back(adapter);
            else
                config.AppNetAdapterList.pop_back();
            break;
        }
        default: config.FixedResources.Memory = prng.chance(10) ? 0 : prng.between(1, 6) * 256 * kMib; break;
    }
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

void ZedmanagerNode::chaos() {
    world.faults = {.start_fails = static_cast<unsigned>(prng.below(40)),
                    .volume_fails = static_cast<unsigned>(prng.below(30)),
                    .network_fails = static_cast<unsigned>(prng.below(30)),
                    .slow = static_cast<unsigned>(prng.below(8))};
    for (int n = 0; n < kThings; ++n) {
        do_something();
        if (prng.chance(30)) do_something();
        // Often at once, so that events collapse; often long after, so that the node comes to rest in between.
        run_for(std::chrono::milliseconds{prng.pick<std::int64_t>({0, 1, 40, 500, 3000, 20'000, 120'000})});
    }
}

void ZedmanagerNode::heal() {
    world.faults = {};
    run_for(1h);
}

std::vector<std::string> ZedmanagerNode::complaints() const {
    std::vector<std::string> out;
    const auto apps = controller.apps();
    for (const auto& [key, config] : apps) complain_of_app(config, statuses_->items(), world, out);
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
