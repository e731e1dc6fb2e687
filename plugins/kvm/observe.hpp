#pragma once
// What a QEMU's states mean. Pure.

#include <optional>
#include <string>
#include <string_view>

#include "eve/domain.hpp"

namespace eve::kvm {

struct Seen {
    DomainState state = DomainState::unknown;
    std::string reason;
    friend bool operator==(const Seen&, const Seen&) = default;
};

/// Of a QEMU that lives, by its run state (qapi/run-state.json).
Seen seen_running(std::string_view run_state);

/// Of a QEMU that ended. `cut`: we cut its power. `last_words`: the end of what it wrote on standard error.
Seen seen_ended(const ExitStatus& exit, bool cut, std::string_view last_words);

/// The last line that says something, without QEMU's time stamp and name, at most 200 bytes.
std::string last_line(std::string_view text);

}  // namespace eve::kvm
