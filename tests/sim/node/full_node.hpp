#pragma once
// A node of which every agent between the controller's records and the hypervisor is real: zedmanager, volumemgr, downloader, verifier, zedrouter,
// domainmgr. Below them are one simulated server and disk, network and hypervisor, which fail, lie dead and lose replies by seed.

#include <memory>
#include <string>
#include <vector>

#include "core/domainmgr/agent.hpp"
#include "core/downloader/agent.hpp"
#include "core/types/app.hpp"
#include "core/types/node.hpp"
#include "core/verifier/agent.hpp"
#include "core/volumemgr/agent.hpp"
#include "core/zedmanager/agent.hpp"
#include "core/zedrouter/agent.hpp"
#include "tests/doubles/fake_domain_world.hpp"
#include "tests/doubles/fake_network_world.hpp"
#include "tests/doubles/fake_record_store.hpp"
#include "tests/doubles/sim_loop.hpp"
#include "tests/doubles/sim_storage.hpp"
#include "tests/sim/node/world.hpp"

namespace eve::sim {

/// Drops what is logged, or says it, for one seed under study (EVE_SIM_LOG=1).
class SimLog final : public Log {
public:
    explicit SimLog(const Clock& clock);
    using Log::write;
    void write(Level level, std::string_view event, Fields fields) override;

private:
    const Clock& clock_;
    bool speak_;
};

/// A hypervisor whose calls fail, or succeed and say that they did not, and that tells when a guest is started.
class SimHypervisor final : public testing::FakeHypervisor {
public:
    explicit SimHypervisor(Prng prng) : prng_(prng) {}
    unsigned fail_percent = 0;
    unsigned lost_reply_percent = 0;
    std::function<void(const DomainSpec&)> on_create;
    std::function<void(const DomainSpec&)> on_start;
    std::function<void(const DomainSpec&)> on_destroy;

    Result<DomainInfo> create(const CallContext& call, const DomainSpec& spec) override;
    Result<DomainInfo> start(const CallContext& call, const DomainId& id) override;
    Result<DomainInfo> stop(const CallContext& call, const DomainId& id, StopMode mode) override;
    Result<DomainInfo> destroy(const CallContext& call, const DomainId& id, DestroyMode mode) override;

private:
    template <class Effect> Result<DomainInfo> attempt(Effect effect);

    Prng prng_;
};

/// The records that zedagent, client, nim and vaultmgr publish, from a wish for apps.
class Controller {
public:
    Controller(Bus& bus, SimStorage& storage);
    /// Publishes datastores, trees, volumes, networks and apps as one config, in zedagent's order, with its markers.
    void apply(const std::map<std::string, types::AppInstanceConfig>& apps);

    std::map<std::string, types::AppInstanceConfig> apps;

    static types::Uuid uuid(std::uint8_t kind, std::uint8_t number);
    static types::Uuid network_instance() { return uuid(0xee, 1); }

private:
    template <class T> void sync(Publication<T>& publication, const std::map<std::string, T>& wanted);
    types::VolumeConfig volume(const types::VolumeRefConfig& reference) const;

    std::string digest_;
    std::unique_ptr<Publication<types::ConfigItemValueMap>> items_;
    std::unique_ptr<Publication<types::ZedAgentStatus>> agent_status_;
    std::unique_ptr<Publication<types::OnboardingStatus>> onboarding_;
    std::unique_ptr<Publication<types::VaultStatus>> vault_;
    std::unique_ptr<Publication<types::DeviceNetworkStatus>> network_;
    std::unique_ptr<Publication<types::PhysicalIOAdapterList>> model_;
    std::unique_ptr<Publication<types::DatastoreConfig>> datastores_;
    std::unique_ptr<Publication<types::ContentTreeConfig>> trees_;
    std::unique_ptr<Publication<types::VolumeConfig>> volumes_;
    std::unique_ptr<Publication<types::NetworkInstanceConfig>> instances_;
    std::unique_ptr<Publication<types::AppInstanceConfig>> configs_;
};

class FullNode {
public:
    explicit FullNode(std::uint64_t seed);
    ~FullNode();

    void chaos();
    void heal();
    std::vector<std::string> complaints();
    void run_for(std::chrono::nanoseconds time);
    /// Each agent can die alone and come back.
    enum class AgentName : std::uint8_t { zedmanager, volumemgr, downloader, verifier, zedrouter, domainmgr };
    static constexpr int agents_count = 6;
    void crash(AgentName agent);
    void crash_all();
    types::AppInstanceConfig some_app(std::uint8_t number);

    World world;
    Prng prng;
    SimClock clock;
    SimLoop loop{clock};
    SimLog log{clock};
    FakeRecordStore store;
    Bus bus{{.loop = loop, .log = log, .store = &store}};
    SimStorage storage{prng.fork()};
    FakeNetworkWorld network;
    FakeDomainHost host;
    std::shared_ptr<SimHypervisor> hypervisor = std::make_shared<SimHypervisor>(prng.fork());
    FakeRuntimes runtimes;
    Controller controller{bus, storage};

private:
    /// One process: what of it is in the loop and in lanes dies with it.
    template <class Agent> struct Process {
        Process(FullNode& node, Prng prng_of_lanes) : loop(node.loop), lanes(node.loop, prng_of_lanes) {}
        ~Process() {
            agent.reset();
            lanes.drop_everything();
            loop.crash();
        }
        SimProcess loop;
        SimLanes lanes;
        std::unique_ptr<Agent> agent;
    };
    template <class Agent, class Make> void begin(std::unique_ptr<Process<Agent>>& process, Make make);
    void begin_zedmanager();
    void begin_volumemgr();
    void begin_downloader();
    void begin_verifier();
    void begin_zedrouter();
    void begin_domainmgr();
    void watch_hypervisor();
    void look_at_world();
    void do_something();
    void change(types::AppInstanceConfig config);

    std::uint32_t version_ = 0;
    std::size_t seen_ = 0;
    std::unique_ptr<Process<zedmanager::Agent>> zedmanager_;
    std::unique_ptr<Process<volumemgr::Agent>> volumemgr_;
    std::unique_ptr<Process<downloader::Agent>> downloader_;
    std::unique_ptr<Process<verifier::Agent>> verifier_;
    std::unique_ptr<Process<zedrouter::Agent>> zedrouter_;
    std::unique_ptr<Process<domainmgr::Agent>> domainmgr_;
    std::unique_ptr<Subscription<types::AppInstanceStatus>> statuses_;
    std::unique_ptr<Subscription<types::AppNetworkStatus>> networks_;
    std::unique_ptr<Subscription<types::DomainStatus>> domains_;
    std::unique_ptr<Subscription<types::VolumeStatus>> volume_statuses_;
};

}  // namespace eve::sim
