#pragma once
// Descriptors and plan of a QEMU about to be started.

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "guest/order.hpp"
#include "kvm_hypervisor.hpp"

namespace eve::kvm {

struct KvmHypervisor::Prepared {
    QemuPlan plan;
    std::string config;
    std::optional<GuestOrder> order;  // of a container
    User user;
    std::vector<std::pair<UniqueFd, std::uint32_t>> fds;  // descriptor, its number in QEMU
    UniqueFd log;
};

}  // namespace eve::kvm
