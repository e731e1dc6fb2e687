#pragma once
// What a DomainSpec of a virtual machine must say whoever runs it.

#include <cstdint>
#include <vector>

#include "eve/domain.hpp"
#include "eve/hypervisor.hpp"

namespace eve::plugins {

struct MachineLimits {
    Bytes memory_max;
    std::uint32_t vcpus_max = 0;
    std::size_t interface_name_max = 15;  ///< Linux's
};

/// Adds what is wrong with it, each with its field: names, amounts, disks without file or purpose, interfaces, and what no plugin here gives to a
/// guest. Which formats, devices and numbers of them there may be is each plugin's own.
void add_machine_problems(const DomainSpec& spec, const MachineLimits& limits, std::vector<Problem>& problems);

}  // namespace eve::plugins
