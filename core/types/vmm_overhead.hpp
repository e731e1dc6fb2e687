#pragma once
// How much memory a guest costs beside its own: what the VMM needs. Used for admission (zedmanager) and for the limit of the guest's cgroup
// (domainmgr), which must be the same figure.

#include <cstdint>

#include "core/types/domain.hpp"

namespace eve::types {

/// What the estimate depends on beside the app's own resources.
struct VmmOverheadInputs {
    std::uint64_t limit_bytes = 0;  ///< memory.vmm.limit.MiB in bytes; 0: no such limit
    std::uint64_t mmio_bytes = 0;   ///< of the assigned PCI devices of type Other or HDMI that are no bridges
};

/// Bytes. The device's limit, else the app's own (VMMMaxMem), else an estimate; 0 for an app without a VMM (NOHYPER).
/// Source: EVE pkg/pillar/hypervisor/kvm.go CountMemOverhead.
std::uint64_t vmm_overhead(const VmConfig& resources, const VmmOverheadInputs& inputs);

}  // namespace eve::types
