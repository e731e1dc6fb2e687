#include "core/types/vmm_overhead.hpp"

#include <algorithm>

namespace eve::types {

namespace {

constexpr std::uint64_t kKib = 1024;
constexpr std::uint64_t kMib = 1024 * kKib;
constexpr std::uint64_t kUnexplained = 350 * kMib;
constexpr std::uint64_t kBinary = 20 * kMib;
constexpr std::uint64_t kPerCpu = 3 * kMib;
/// More than any machine has: keeps the arithmetic below from wrapping on nonsense from outside.
constexpr std::int64_t kMaxKib = std::int64_t{1} << 42;
constexpr std::int64_t kMaxCpus = 4096;

std::uint64_t bounded(std::int64_t value, std::int64_t most) { return static_cast<std::uint64_t>(std::clamp<std::int64_t>(value, 0, most)); }

}  // namespace

std::uint64_t vmm_overhead(const VmConfig& resources, const VmmOverheadInputs& inputs) {
    if (resources.VirtualizationMode == VmMode::NOHYPER) return 0;
    if (inputs.limit_bytes != 0) return inputs.limit_bytes;
    if (resources.VMMMaxMem > 0) return bounded(resources.VMMMaxMem, kMaxKib) * kKib;
    const std::uint64_t ram = bounded(resources.Memory, kMaxKib) * kKib;
    const std::uint64_t cpus = bounded(resources.MaxCpus != 0 ? resources.MaxCpus : resources.VCpus, kMaxCpus);
    return kUnexplained + kBinary + ram / 1000 * 25 + cpus * kPerCpu + inputs.mmio_bytes / 100;
}

}  // namespace eve::types
