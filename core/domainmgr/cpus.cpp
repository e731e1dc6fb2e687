#include "core/domainmgr/cpus.hpp"

#include <algorithm>

namespace eve::domainmgr {

Result<CpuAllocator> CpuAllocator::make(std::uint32_t total, std::uint32_t reserved) {
    if (reserved >= total)
        return Error{.code = Code::invalid_argument,
                     .what = std::to_string(reserved) + " of " + std::to_string(total) + " CPUs are reserved for the node: none is left for apps"};
    return CpuAllocator(total, reserved);
}

bool CpuAllocator::is_taken(std::uint32_t cpu) const {
    return std::any_of(taken_.begin(), taken_.end(),
                       [&](const auto& app) { return std::find(app.second.begin(), app.second.end(), cpu) != app.second.end(); });
}

Result<std::vector<std::uint32_t>> CpuAllocator::allocate(const types::Uuid& app, std::uint32_t count) {
    if (has(app)) return Error{.code = Code::already_exists, .what = "the app has CPUs of its own already"};
    std::vector<std::uint32_t> found;
    for (auto cpu = reserved_; cpu < total_ && found.size() < count; ++cpu)
        if (!is_taken(cpu)) found.push_back(cpu);
    if (found.size() < count)
        return Error{.code = Code::resource_exhausted,
                     .what = std::to_string(count) + " CPUs of its own are wanted, " + std::to_string(found.size()) + " are free"};
    taken_[app] = found;
    return found;
}

Status CpuAllocator::free(const types::Uuid& app) {
    if (taken_.erase(app) == 0) return Error{.code = Code::not_found, .what = "the app has no CPUs of its own"};
    return {};
}

std::vector<std::uint32_t> CpuAllocator::own(const types::Uuid& app) const {
    const auto found = taken_.find(app);
    return found == taken_.end() ? std::vector<std::uint32_t>{} : found->second;
}

std::vector<std::uint32_t> CpuAllocator::shared() const {
    std::vector<std::uint32_t> left;
    for (std::uint32_t cpu = 0; cpu < total_; ++cpu)
        if (!is_taken(cpu)) left.push_back(cpu);
    return left;
}

}  // namespace eve::domainmgr
