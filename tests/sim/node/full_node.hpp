#pragma once
// A node of which every agent is real. Above them is the file of the device config, written by a controller that also writes nonsense; below them
// one simulated server and disk, machine, network and hypervisor, which fail, lie dead and lose replies by seed.

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/client/agent.hpp"
#include "core/domainmgr/agent.hpp"
#include "core/downloader/agent.hpp"
#include "core/nim/agent.hpp"
#include "core/types/app.hpp"
#include "core/types/node.hpp"
#include "core/vaultmgr/agent.hpp"
#include "core/verifier/agent.hpp"
#include "core/volumemgr/agent.hpp"
#include "core/zedagent/agent.hpp"
#include "core/zedmanager/agent.hpp"
#include "core/zedrouter/agent.hpp"
#include "tests/doubles/fake_config_files.hpp"
#include "tests/doubles/fake_domain_world.hpp"
#include "tests/doubles/fake_network_world.hpp"
#include "tests/doubles/sim_storage.hpp"
#include "tests/sim/node/coverage.hpp"
#include "tests/sim/node/device_config.hpp"
#include "tests/sim/node/node.hpp"

namespace eve::sim {

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

/// What the small agents see of the machine: one port, directories, a serial number.
class SimMachine final : public nim::LinkWorld, public vaultmgr::VaultDirectories, public client::DeviceIdentity {
public:
    explicit SimMachine(Prng prng) : prng_(prng) {}
    unsigned fail_percent = 0;
    bool port_is_up = true;

    Result<nim::Observation> observe() override;
    void watch(std::function<void()> changed) override { changed_ = std::move(changed); }
    void set_port(bool up);
    Status make() override;
    bool has_tpm() override { return false; }
    Result<types::Uuid> new_uuid() override;
    std::string hardware_model() override { return "a.machine"; }

private:
    Status attempt();

    Prng prng_;
    std::function<void()> changed_;
};

/// Who writes the device config's file and, at the bench, commands of evectl.
class Controller {
public:
    Controller(Bus& bus, SimStorage& storage);
    /// The file now asks for these apps.
    void apply(const Apps& apps);
    /// The file is replaced by something that no node may take, or is gone.
    void spoil_file(Prng& prng);
    /// The same file again, unspoilt.
    void repair_file();
    void command(const types::Uuid& app, types::AppCommand command);
    /// Of files that are written, so many in a hundred are not noticed.
    unsigned unnoticed_percent = 0;

    DeviceWish wish;  ///< the last good one
    std::set<std::string> deleted;  ///< apps that some config did not name any more
    FakeConfigFiles files;

private:
    void write(std::optional<std::string> text);

    Prng prng_{1};
    std::uint64_t commands_ = 0;
    std::unique_ptr<Publication<types::LocalAppCommand>> requests_;
};

class FullNode final : public Node {
public:
    explicit FullNode(std::uint64_t number);
    ~FullNode() override;

    std::vector<std::string> complaints() override;
    /// Each agent can die alone and come back.
    enum class AgentName : std::uint8_t { zedagent, client, vaultmgr, nim, zedmanager, volumemgr, downloader, verifier, zedrouter, domainmgr };
    static constexpr int agents_count = 10;
    void crash(AgentName agent);
    void crash_all();
    types::AppInstanceConfig some_app(std::uint8_t number) { return sim::some_app(prng, number, apps_range); }

    SimStorage storage{prng.fork()};
    FakeNetworkWorld network;
    FakeDomainHost host;
    SimMachine machine{prng.fork()};
    std::shared_ptr<SimHypervisor> hypervisor = std::make_shared<SimHypervisor>(prng.fork());
    FakeRuntimes runtimes;
    Controller controller{bus, storage};
    Coverage coverage;

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

    static constexpr AppRange apps_range{.volumes_min = 1, .volumes_max = 2, .volume_kind_base = 1};
    void begin_faults() override;
    void end_faults() override;
    void do_something() override;
    void look() override;
    void watch_hypervisor();
    void watch_states();
    template <class T, class Name> std::unique_ptr<Subscription<T>> watch(const std::string& agent, const std::string& what, Name name);
    void complain_of_config(std::vector<std::string>& out) const;

    std::uint32_t version_ = 0;
    std::size_t seen_ = 0;
    std::unique_ptr<Process<zedagent::Agent>> zedagent_;
    std::unique_ptr<Process<client::Agent>> client_;
    std::unique_ptr<Process<vaultmgr::Agent>> vaultmgr_;
    std::unique_ptr<Process<nim::Agent>> nim_;
    std::unique_ptr<Process<zedmanager::Agent>> zedmanager_;
    std::unique_ptr<Process<volumemgr::Agent>> volumemgr_;
    std::unique_ptr<Process<downloader::Agent>> downloader_;
    std::unique_ptr<Process<verifier::Agent>> verifier_;
    std::unique_ptr<Process<zedrouter::Agent>> zedrouter_;
    std::unique_ptr<Process<domainmgr::Agent>> domainmgr_;
    std::unique_ptr<Subscription<zedagent::ConfigStatus>> config_;
    std::unique_ptr<Subscription<types::AppInstanceConfig>> apps_;
    std::unique_ptr<Subscription<types::AppInstanceStatus>> statuses_;
    std::unique_ptr<Subscription<types::AppNetworkStatus>> networks_;
    std::unique_ptr<Subscription<types::NetworkInstanceStatus>> instances_;
    std::unique_ptr<Subscription<types::DomainStatus>> domains_;
    std::unique_ptr<Subscription<types::ContentTreeStatus>> trees_;
    std::unique_ptr<Subscription<types::VolumeStatus>> volumes_;
};

}  // namespace eve::sim
