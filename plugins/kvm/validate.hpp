#pragma once
// What of a domain's spec this plugin will not do, and what it accepts without an effect. Pure.

#include <string>
#include <vector>

#include "qemu_config.hpp"

namespace eve::kvm {

/// What the answer depends on beside the spec.
struct Offer {
    Architecture architecture = Architecture::x86_64;
    bool firmware_resolutions = false;  ///< templates of UEFI variables by resolution are configured
    bool iommu = false;                 ///< PCI devices can be given to guests
};

inline constexpr std::uint32_t vcpus_max = 240;
inline constexpr Bytes container_memory_min = 112_MiB;  // with its kernel, which takes half of it

/// Every reason to refuse `spec`; empty: none.
std::vector<Problem> problems_of(const DomainSpec& spec, const Offer& offer);

/// A sentence for each field that has no effect on a guest of QEMU.
std::vector<std::string> without_effect(const DomainSpec& spec, const Offer& offer);

}  // namespace eve::kvm
