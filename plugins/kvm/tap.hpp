#pragma once
// The host's end of a guest's network card: a tap interface that exists as long as somebody holds its descriptor.

#include <cstdint>
#include <string>

#include "eve/result.hpp"
#include "unique_fd.hpp"

namespace eve::kvm {

struct Tap {
    std::string name;
    std::string bridge;
    std::string guest_mac;   ///< the host's end gets the same with "fe" in front, so that a bridge never takes it for its own address
    std::uint32_t mtu = 0;   ///< 0: the default
};

/// The interface exists in this network namespace, is up and a port of the bridge. It goes away with the last copy of the descriptor.
///
/// Errors: already_exists - an interface has this name; failed_precondition - no such bridge, or no tun device; permission_denied.
Result<UniqueFd> open_tap(const Tap& tap);

/// No interface of this name is left in this network namespace, also one that an earlier life left behind; only a tap is removed.
///
/// Errors: failed_precondition - the name belongs to something else than a tap.
Status remove_tap(const std::string& name);

/// Whether an interface of this name exists here.
bool interface_exists(const std::string& name);

}  // namespace eve::kvm
