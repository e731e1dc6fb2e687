#include "tests/sim/node/node.hpp"

#include <cstdlib>
#include <iostream>

namespace eve::sim {

using namespace std::chrono_literals;

namespace {

constexpr int kThings = 10;
constexpr std::int64_t kMib = 1024;
constexpr auto kRestLook = 5min;   ///< between two looks whether the node has come to rest
constexpr auto kRestMax = 90min;   ///< longer than any back-off
constexpr unsigned kPatientPercent = 5;  ///< of nodes that are watched for the whole time, at rest or not

}  // namespace

// ---- log

SimLog::SimLog(const Clock& clock) : clock_(clock), speak_(std::getenv("EVE_SIM_LOG") != nullptr) {}

void SimLog::write(Level, std::string_view event, Fields fields) {
    if (!speak_) return;
    std::cerr << std::chrono::duration_cast<std::chrono::milliseconds>(clock_.now().time_since_epoch()).count() << " " << event;
    for (const auto& field : fields) {
        std::cerr << " " << field.name << "=";
        std::visit([](const auto& value) { std::cerr << value; }, field.value);
    }
    std::cerr << "\n";
}

// ---- node

void Node::run_for(std::chrono::nanoseconds time) {
    const Instant end = clock.now() + time;
    static_cast<void>(loop.run_until(
        [this] {
            ++steps;
            look();
            return !world.violations().empty();
        },
        time));
    clock.advance_to(end);
}

void Node::chaos() {
    begin_faults();
    for (int n = 0; n < kThings; ++n) {
        do_something();
        if (prng.chance(30)) do_something();
        // Often at once, so that events collapse; often long after, so that the node comes to rest in between.
        run_for(std::chrono::milliseconds{prng.pick<std::int64_t>({0, 1, 40, 500, 3000, 20'000, 120'000})});
    }
}

void Node::heal() {
    end_faults();
    const bool patient = prng.chance(kPatientPercent);
    const Instant end = clock.now() + kRestMax;
    bool rests = false;
    while (clock.now() < end) {
        run_for(kRestLook);
        const bool quiet = faults().empty();
        if (quiet && rests && !patient) return;
        rests = quiet;
    }
}

std::vector<std::string> Node::faults() { return world.violations().empty() ? complaints() : world.violations(); }

// ---- apps

types::Uuid uuid(std::uint8_t kind, std::uint8_t number) {
    std::array<std::uint8_t, 16> bytes{};
    bytes[0] = kind;
    bytes[15] = number;
    return types::Uuid{bytes};
}

types::AppInstanceConfig some_app(Prng& prng, std::uint8_t number, const AppRange& range) {
    types::AppInstanceConfig config;
    config.UUIDandVersion = {.UUID = uuid(0xaa, number), .Version = "1"};
    config.DisplayName = "app" + std::to_string(number);
    config.FixedResources.Memory = prng.between(1, 6) * 256 * kMib;
    config.FixedResources.VCpus = prng.between(1, 3);
    config.FixedResources.VirtualizationMode = types::VmMode::HVM;
    config.Activate = prng.chance(80);
    if (prng.chance(20)) config.Delay = std::chrono::seconds{prng.between(1, 120)};
    const auto volumes = prng.between(range.volumes_min, range.volumes_max);
    for (std::uint8_t n = 0; n < volumes; ++n)
        config.VolumeRefConfigList.push_back({.VolumeID = uuid(static_cast<std::uint8_t>(range.volume_kind_base + number), n),
                                              .AppUUID = config.UUIDandVersion.UUID,
                                              .VerifyOnly = true});
    types::AppNetAdapterConfig adapter;
    adapter.Name = "eth0";
    adapter.Network = uuid(0xee, 1);
    config.AppNetAdapterList.push_back(adapter);
    return config;
}

void change_app(Prng& prng, types::AppInstanceConfig& config, const AppRange& range) {
    auto& volumes = config.VolumeRefConfigList;
    const auto new_generation = [&] {
        if (!volumes.empty()) ++volumes[prng.below(volumes.size())].GenerationCounter;
    };
    switch (prng.below(9)) {
        case 0:
        case 1: config.Activate = !config.Activate; break;
        case 2: ++config.RestartCmd.Counter; break;
        case 3:
            ++config.PurgeCmd.Counter;
            new_generation();
            break;
        case 4:
            ++config.PurgeCmd.Counter;
            if (volumes.size() > 1 && static_cast<std::int64_t>(volumes.size()) > range.volumes_min) volumes.pop_back();
            break;
        case 5: new_generation(); break;
        case 6:
            config.FixedResources.VCpus = prng.between(1, 3);
            if (prng.chance(50)) ++config.RestartCmd.Counter;
            break;
        case 7: {
            types::AppNetAdapterConfig adapter;
            adapter.Name = "eth" + std::to_string(config.AppNetAdapterList.size());
            adapter.Network = uuid(0xee, prng.chance(50) ? 1 : 2);
            adapter.IfIdx = static_cast<std::uint32_t>(config.AppNetAdapterList.size());
            if (config.AppNetAdapterList.size() < 3)
                config.AppNetAdapterList.push_back(adapter);
            else
                config.AppNetAdapterList.pop_back();
            if (prng.chance(50)) ++config.RestartCmd.Counter;
            break;
        }
        default: config.FixedResources.Memory = range.may_be_broken && prng.chance(10) ? 0 : prng.between(1, 6) * 256 * kMib; break;
    }
}

}  // namespace eve::sim
