#pragma once
// The network of a container's virtual machine: names and addresses of its interfaces, and the resolv.conf that follows from them.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "common/dhcp_interface.hpp"

namespace eve::kvm::guest {

inline constexpr const char* resolv_conf_path = "/resolv.conf";  // in the RAM disk; the container has this very file

class Network {
public:
    /// The loopback interface is up; the interfaces with these MAC addresses are eth0, eth1, ... and ask for addresses.
    static Result<Network> begin(const std::vector<std::string>& macs);

    /// Takes what came in and sends what is due.
    void serve(std::int64_t now_ns);
    std::int64_t wake_at() const;
    bool has_all_addresses() const;
    bool has_interfaces() const { return !interfaces_.empty(); }
    std::vector<int> fds() const;

private:
    explicit Network(plugins::Rtnetlink link) : link_(std::move(link)) {}

    plugins::Rtnetlink link_;
    std::vector<plugins::DhcpInterface> interfaces_;
};

}  // namespace eve::kvm::guest
