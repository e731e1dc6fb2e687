#pragma once
// zedrouter's effects on Linux, in the network namespace that this process is in.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/log/log.hpp"
#include "core/loop/loop.hpp"
#include "core/zedrouter/effects.hpp"
#include "net/dnsmasq.hpp"
#include "net/netlink.hpp"
#include "net/nftables.hpp"

namespace eve::net {

class LinuxNetworkWorld final : public zedrouter::NetworkWorld {
public:
    struct Deps {
        IoLoop& loop;
        Log& log;
        std::string directory;  ///< ROOT/run/zedrouter
    };
    explicit LinuxNetworkWorld(Deps deps);
    ~LinuxNetworkWorld() override;

    Result<std::vector<zedrouter::ItemFailure>> apply(const zedrouter::HostNetwork& desired) override;
    Result<zedrouter::HostObservation> observe() override;
    void watch(std::function<void()> changed) override;

private:
    class Watcher;
    struct Seen;
    Result<Seen> look();
    Status open();
    void watch_processes();

    Deps deps_;
    std::unique_ptr<Netlink> netlink_;
    Nftables nftables_;
    std::vector<zedrouter::BridgePlan> bridges_;  ///< as last made: for what a link does not show (spanning tree, forwarded groups)
    DnsmasqSet dnsmasq_;
    std::shared_ptr<Watcher> watcher_;  // shared with what is posted to the loop, which may outlive this object by one turn
};

/// Names of bridges that only this node makes: "bn" and a number.
bool is_our_bridge_name(const std::string& name);

}  // namespace eve::net
