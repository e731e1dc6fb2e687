#pragma once
// What of a domain's spec this plugin will not do, and what a container's states mean. Pure.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "containerd/containerd_api.hpp"
#include "eve/domain.hpp"

namespace eve::containerd {

inline constexpr std::uint32_t vcpus_max = 4096;
inline constexpr std::uint32_t disks_max = 256;
inline constexpr std::uint32_t vifs_max = 64;

/// Every reason to refuse `spec`; empty: none.
std::vector<Problem> problems_of(const DomainSpec& spec);
/// What create() answers for it.
Code code_of(const Problem& problem);
/// Whether the text can name a container, its directory and its control group.
bool valid_name(std::string_view name);

struct Seen {
    DomainState state = DomainState::unknown;
    std::string reason;
    std::optional<ExitStatus> exit;
    friend bool operator==(const Seen&, const Seen&) = default;
};
/// What a task's state means. `asked`: it was told to stop. containerd tells how a process ended in one number: above 128 it counts as the
/// number of a signal.
Seen seen(const Task& task, bool asked, bool oom);

}  // namespace eve::containerd
