#pragma once
// What was measured, as DomainMetric reports it. Pure.

#include "core/types/domain.hpp"
#include "eve/domain.hpp"

namespace eve::domainmgr {

/// The metric of a running domain: CPU time as if it had one CPU, memory in MiB, rounded as EVE does.
types::DomainMetric domain_metric(const types::DomainConfig& config, const DomainStats& stats, types::Time now);
/// The metric of a domain that does not run.
types::DomainMetric inactive_metric(const types::DomainConfig& config, types::Time now);
/// The host's own metric, key and UUID nil.
types::DomainMetric host_metric(const types::HostMemory& memory, types::Time now);

}  // namespace eve::domainmgr
