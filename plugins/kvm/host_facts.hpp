#pragma once
// What this machine can do for guests, found by trying.

#include <chrono>

#include "degrade.hpp"

namespace eve::kvm {

/// Runs a guest of a few instructions under KVM: a loop that only a CPU gets through in time, and an instruction that emulators of nested
/// machines lack. Empty: it ran; else why not. Leaves nothing behind.
/// Why: /dev/kvm may open, make a VM and yet interpret the guest's kernel in software, where no real guest gets anywhere.
std::string why_no_kvm(std::chrono::milliseconds most);

/// All but KVM, which costs time to try; `sysfs` is a descriptor of /sys or what stands for it.
HostFacts find_host_facts(int sysfs);

/// How long a test guest may take under KVM.
inline constexpr std::chrono::milliseconds kvm_patience{1000};

}  // namespace eve::kvm
