#pragma once
// nim's view of the machine's interfaces, by netlink, in the network namespace that this process is in.

#include <memory>
#include <string>

#include "core/log/log.hpp"
#include "core/loop/loop.hpp"
#include "core/nim/effects.hpp"
#include "net/netlink.hpp"

namespace eve::net {

class LinuxLinkWorld final : public nim::LinkWorld {
public:
    struct Deps {
        IoLoop& loop;
        Log& log;
        std::string resolver_file = "/etc/resolv.conf";
    };
    explicit LinuxLinkWorld(Deps deps) : deps_(std::move(deps)) {}
    ~LinuxLinkWorld() override;

    Result<nim::Observation> observe() override;
    void watch(std::function<void()> changed) override;

private:
    Deps deps_;
    std::unique_ptr<Netlink> netlink_;
    std::unique_ptr<NetlinkEvents> events_;
    std::function<void()> changed_;
    WatchId watch_{};
    std::shared_ptr<bool> alive_;        // shared with the timer that waits for quiet
    bool waiting_ = false;
};

/// "nameserver" lines of a resolver's file, without loopback addresses.
std::vector<std::string> parse_name_servers(const std::string& text);

}  // namespace eve::net
