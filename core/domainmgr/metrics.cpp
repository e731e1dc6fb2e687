#include "core/domainmgr/metrics.hpp"

#include <algorithm>
#include <limits>

namespace eve::domainmgr {

namespace {

std::uint32_t saturated(std::uint64_t n) { return static_cast<std::uint32_t>(std::min<std::uint64_t>(n, std::numeric_limits<std::uint32_t>::max())); }

/// Bytes to KiB to MiB, each half rounded up.
std::uint32_t mib(eve::Bytes amount) {
    const std::uint64_t kib = amount.n / 1024 + (amount.n % 1024 >= 512 ? 1 : 0);
    return saturated((kib + 512) / 1024);
}

double percent(std::uint64_t part, std::uint64_t whole) {
    return whole == 0 ? 0.0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

types::DomainMetric domain_metric(const types::DomainConfig& config, const DomainStats& stats, types::Time now) {
    types::DomainMetric metric;
    metric.UUIDandVersion = config.UUIDandVersion;
    const auto cpus = static_cast<std::uint64_t>(std::max<std::int64_t>(config.VCpus, 1));
    metric.CPUTotalNs = static_cast<std::uint64_t>(std::max<std::int64_t>(stats.cpu.count(), 0)) / cpus;
    metric.CPUScaled = saturated(cpus);
    metric.AllocatedMB = mib(stats.memory_allocated);
    metric.UsedMemory = mib(stats.memory_used);
    metric.MaxUsedMemory = mib(stats.memory_used_max);
    metric.AvailableMemory = metric.AllocatedMB > metric.UsedMemory ? metric.AllocatedMB - metric.UsedMemory : 0;
    metric.UsedMemoryPercent = percent(metric.UsedMemory, metric.AllocatedMB);
    metric.LastHeard = now;
    metric.Activated = true;
    return metric;
}

types::DomainMetric inactive_metric(const types::DomainConfig& config, types::Time now) {
    types::DomainMetric metric;
    metric.UUIDandVersion = config.UUIDandVersion;
    metric.LastHeard = now;
    return metric;
}

types::DomainMetric host_metric(const types::HostMemory& memory, types::Time now) {
    types::DomainMetric metric;
    metric.AllocatedMB = saturated(memory.TotalMemoryMB);
    metric.AvailableMemory = saturated(memory.FreeMemoryMB);
    metric.UsedMemory = saturated(memory.TotalMemoryMB - std::min(memory.TotalMemoryMB, memory.FreeMemoryMB));
    metric.UsedMemoryPercent = percent(metric.UsedMemory, memory.TotalMemoryMB);
    metric.CPUScaled = memory.Ncpus;
    metric.LastHeard = now;
    metric.Activated = true;
    return metric;
}

}  // namespace eve::domainmgr
