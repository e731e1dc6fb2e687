#pragma once
// What a domain may ask of this plugin, whatever the state of the machine.

#include <vector>

#include "eve/domain.hpp"

namespace eve::xen {

inline constexpr std::uint32_t vcpus_max = 128;
inline constexpr std::uint32_t disks_max = 24;  ///< xvda to xvdx
inline constexpr std::uint32_t vifs_max = 32;
inline constexpr std::uint32_t adapters_max = 32;

/// Every reason to refuse `spec`.
std::vector<Problem> problems_of(const DomainSpec& spec);

/// The code of an error for `problem`.
Code code_of(const Problem& problem);

}  // namespace eve::xen
