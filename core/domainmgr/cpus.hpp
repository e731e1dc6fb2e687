#pragma once
// Which CPUs of the host apps with CPUs of their own have, and which are left for everybody else. Pure.

#include <cstdint>
#include <map>
#include <vector>

#include "core/types/values.hpp"
#include "eve/result.hpp"

namespace eve::domainmgr {

class CpuAllocator {
public:
    /// The first `reserved` CPUs are the node's, never an app's own. Errors: invalid_argument - none would be left.
    static Result<CpuAllocator> make(std::uint32_t total, std::uint32_t reserved);

    /// The lowest free ones. Errors: already_exists - the app has some; resource_exhausted - not so many are free.
    Result<std::vector<std::uint32_t>> allocate(const types::Uuid& app, std::uint32_t count);
    /// Errors: not_found - it has none.
    Status free(const types::Uuid& app);
    /// An app that was found running has these.
    void adopt(const types::Uuid& app, const std::vector<std::uint32_t>& cpus) { taken_[app] = cpus; }
    bool has(const types::Uuid& app) const { return taken_.contains(app); }
    /// The app's own; empty: none.
    std::vector<std::uint32_t> own(const types::Uuid& app) const;
    bool any_taken() const { return !taken_.empty(); }
    /// Everything that no app has for itself, the node's included: where apps without CPUs of their own run.
    std::vector<std::uint32_t> shared() const;

private:
    CpuAllocator(std::uint32_t total, std::uint32_t reserved) : total_(total), reserved_(reserved) {}
    bool is_taken(std::uint32_t cpu) const;

    std::uint32_t total_;
    std::uint32_t reserved_;
    std::map<types::Uuid, std::vector<std::uint32_t>> taken_;
};

}  // namespace eve::domainmgr
