#pragma once
// What may be on a disk after a power cut: of what was not synced, any part. Directory entries are lost or kept one by one (also the two halves
// of a rename, as on a file system without a journal), writes are lost, torn, or there in length only.

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "tests/doubles/prng.hpp"
#include "tests/unit/power_cut/recorded_disk.hpp"

namespace eve::power_cut {

struct CrashOptions {
    std::uint64_t seed = 1;
    std::size_t per_point = 100;          ///< at most, for one point in time
    std::size_t all_subsets_up_to = 64;   ///< as many as this are all tried, more are drawn
};

/// One disk, the power cut off after `point` of the recorded ops.
using CrashVisitor = std::function<void(std::size_t point, const std::map<std::string, std::string>& tree)>;

/// Visits states no two of which have the same point and tree; returns how many.
std::size_t visit_crash_states(const Image& before, const std::vector<Op>& ops, const CrashOptions& options, const CrashVisitor& visit);

/// The directory holds this tree and nothing else.
void lay_out(const std::string& root, const std::map<std::string, std::string>& tree);

}  // namespace eve::power_cut
