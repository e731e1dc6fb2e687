#pragma once
// A node of the real zedmanager and scripted agents around it, and a controller that does anything. One number decides everything.

#include <memory>
#include <string>
#include <vector>

#include "core/zedmanager/agent.hpp"
#include "tests/sim/node/node.hpp"
#include "tests/sim/node/peers.hpp"

namespace eve::sim {

class ZedmanagerNode final : public Node {
public:
    explicit ZedmanagerNode(std::uint64_t number);

    std::vector<std::string> complaints() override;
    void crash_zedmanager();
    void crash_volumemgr();
    void crash_zedrouter();
    void crash_domainmgr();
    types::AppInstanceConfig some_app(std::uint8_t number) { return sim::some_app(prng, number, apps_range); }

    PeerZedagent controller{bus};

private:
    Peer::Deps deps() { return {.bus = bus, .loop = loop, .world = world, .prng = prng.fork()}; }
    static constexpr AppRange apps_range{.may_be_broken = true};
    void begin_faults() override;
    void end_faults() override { world.faults = {}; }
    void do_something() override;
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
