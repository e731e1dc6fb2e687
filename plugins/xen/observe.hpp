#pragma once
// What is seen of a domain means: from what the plugin wrote down and what Xen says, purely.

#include <optional>
#include <string>

#include "eve/domain.hpp"
#include "records.hpp"
#include "xen.hpp"

namespace eve::xen {

struct Observation {
    DomainState state = DomainState::unknown;
    std::string reason;
    friend bool operator==(const Observation&, const Observation&) = default;
};

/// The state of a domain of this record. `seen`: Xen's word, absent when Xen has no such domain; `device_model`: it lives, if there is one.
Observation observe(const DomainRecord& record, const std::optional<SeenDomain>& seen, bool device_model);

/// Whether it asked to be rebooted: then the one who watches makes it again.
bool wants_reboot(const DomainRecord& record, const std::optional<SeenDomain>& seen);

}  // namespace eve::xen
