#pragma once
// CPUs of domains that run: an optional part of a hypervisor's plugin (cpus/1), offered where `describe` lists it. When an app gets CPUs of its
// own, every other domain leaves them at once; when it ends, they may come back.

#include <cstdint>
#include <vector>

#include "eve/domain.hpp"
#include "eve/host.hpp"
#include "eve/result.hpp"

namespace eve {
EVE_SDK_NAMESPACE {

/// Where a domain may run.
struct CpuConfinement {
    DomainId domain;
    std::vector<std::uint32_t> cpus;  ///< of the host; empty: any
    friend bool operator==(const CpuConfinement&, const CpuConfinement&) = default;
};

/// Holds for every method what eve/hypervisor.hpp says of its methods.
class Cpus {
public:
    virtual ~Cpus() = default;

    /// Nothing of the domain runs on other CPUs than these any more: no virtual CPU, no thread of its VMM, no process of a container. Not asked
    /// for domains with `DomainSpec::cpus_pinned`. A second call with the same CPUs changes nothing. [lane]
    ///
    /// Errors: not_found - no such domain; failed_precondition - it does not run; invalid_argument - the host has no such CPU; unavailable - it
    ///         could not be done now.
    virtual Status confine(const CallContext& call, const CpuConfinement& confinement) = 0;
};

}  // EVE_SDK_NAMESPACE
}  // namespace eve
