#pragma once
// Scripted stand-ins for the agents around zedmanager: they answer as EVE's do, later and in seeded disorder, and act on the World. Each can be
// destroyed and made anew at any moment, as a crash of the agent would have it.

#include <map>
#include <memory>
#include <string>

#include "core/bus/bus.hpp"
#include "core/types/app.hpp"
#include "core/types/node.hpp"
#include "tests/doubles/prng.hpp"
#include "tests/doubles/sim_loop.hpp"
#include "tests/sim/node/world.hpp"

namespace eve::sim {

/// What every stand-in has: its own share of the loop, which dies with it, and seeded delays.
class Peer {
public:
    struct Deps {
        Bus& bus;
        SimLoop& loop;
        World& world;
        Prng prng;
    };
    explicit Peer(Deps deps) : bus_(deps.bus), process_(deps.loop), world_(deps.world), prng_(deps.prng) {}
    virtual ~Peer() = default;
    Peer(const Peer&) = delete;
    Peer& operator=(const Peer&) = delete;

protected:
    /// Runs `task` after a seeded delay of at most `most`.
    void later(std::chrono::milliseconds most, Loop::Task task);

    Bus& bus_;
    SimProcess process_;
    World& world_;
    Prng prng_;
};

/// volumemgr: takes each volume from INITIAL to CREATED_VOLUME as far as its references allow, and destroys what nobody refers to.
class PeerVolumemgr final : public Peer {
public:
    explicit PeerVolumemgr(Deps deps);

private:
    struct Volume {
        types::SwState state = types::SwState::INITIAL;
        std::string error;
        bool busy = false;
    };
    void act(const std::string& volume);
    void advance(const std::string& volume);
    void report(const std::string& volume);
    void collect();

    std::map<std::string, Volume> volumes_;
    std::unique_ptr<Publication<types::VolumeRefStatus>> statuses_;
    std::unique_ptr<Subscription<types::VolumeRefConfig>> configs_;
};

/// zedrouter: makes and removes each app's network.
class PeerZedrouter final : public Peer {
public:
    explicit PeerZedrouter(Deps deps);

private:
    void act(const std::string& app);
    void make(const std::string& app, types::AppNetworkStatus status);
    void unmake(const std::string& app, bool forget);

    std::set<std::string> busy_;
    std::unique_ptr<Publication<types::AppNetworkStatus>> statuses_;
    std::unique_ptr<Subscription<types::AppNetworkConfig>> configs_;
};

/// domainmgr: one actor per domain, adoption after a restart, retries.
class PeerDomainmgr final : public Peer {
public:
    explicit PeerDomainmgr(Deps deps);
    /// The guest's process has died by itself.
    void guest_died(std::string app);

private:
    void act(const std::string& app);
    void start(const std::string& app, types::DomainStatus status);
    void halt(const std::string& app, bool forget);
    void fail(types::DomainStatus status, const std::string& error, types::SwState state);
    void adopt();

    std::set<std::string> busy_;
    bool heard_ = false;
    std::unique_ptr<Publication<types::DomainStatus>> statuses_;
    std::unique_ptr<Publication<types::HostMemory>> memory_;
    std::unique_ptr<Subscription<types::DomainConfig>> configs_;
};

/// zedagent, client and vaultmgr as far as zedmanager hears of them, driven by the test.
class PeerZedagent final {
public:
    explicit PeerZedagent(Bus& bus);
    void set(const types::AppInstanceConfig& config);
    void remove(const types::Uuid& app);
    void set_profile(const std::string& profile);

    std::map<std::string, types::AppInstanceConfig> apps() const;

private:
    std::unique_ptr<Publication<types::AppInstanceConfig>> configs_;
    std::unique_ptr<Publication<types::ConfigItemValueMap>> items_;
    std::unique_ptr<Publication<types::ZedAgentStatus>> status_;
    std::unique_ptr<Publication<types::OnboardingStatus>> onboarding_;
};

}  // namespace eve::sim
