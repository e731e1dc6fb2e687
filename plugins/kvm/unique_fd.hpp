#pragma once
// A descriptor that is closed with its owner: as in every plugin.

#include "common/unique_fd.hpp"

namespace eve::kvm {
using plugins::UniqueFd;
}
