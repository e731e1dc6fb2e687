#pragma once
// A node of the real zedmanager and scripted agents around it, and a controller that does anything. One number decides everything.

#include <memory>
#include <string>
#include <vector>

#include "core/zedmanager/agent.hpp"
#include "tests/doubles/fake_record_store.hpp"
#include "tests/sim/node/peers.hpp"

namespace eve::sim {

/// Drops what is logged.
class QuietLog final : public Log {
public:
    using Log::write;
    void write(Level, std::string_view, Fields) override {}
};

class ZedmanagerNode {
public:
    explicit ZedmanagerNode(std::uint64_t seed);

    /// Config changes, faults, crashes of agents and guests, for a while.
    void chaos();
    /// Faults stop; nothing is changed any more; time passes.
    void heal();
    /// What is not as the config wants it, or not as it is reported; empty when the node has converged.
    std::vector<std::string> complaints() const;

    void run_for(std::chrono::nanoseconds time);
    void crash_zedmanager();
    void crash_volumemgr();
    void crash_zedrouter();
    void crash_domainmgr();
    types::AppInstanceConfig some_app(std::uint8_t number);

    World world;
    Prng prng;
    SimClock clock;
    SimLoop loop{clock};
    QuietLog log;
    FakeRecordStore store;
    Bus bus{{.loop = loop, .log = log, .store = &store}};
    PeerZedagent controller{bus};

private:
    Peer::Deps deps() { return {.bus = bus, .loop = loop, .world = world, .prng = prng.fork()}; }
    void do_something();
    void change(types::AppInstanceConfig config);

    std::unique_ptr<PeerVolumemgr> volumemgr_;
    std::unique_ptr<PeerZedrouter> zedrouter_;
    std::unique_ptr<PeerDomainmgr> domainmgr_;
    std::unique_ptr<SimProcess> process_;
    std::unique_ptr<zedmanager::Agent> agent_;
    std::uint32_t version_ = 0;

    std::unique_ptr<Subscription<types::AppInstanceStatus>> statuses_;
    std::unique_ptr<Subscription<types::VolumeRefConfig>> references_;
    std::unique_ptr<Subscription<types::DomainConfig>> domains_;
};

}  // namespace eve::sim
