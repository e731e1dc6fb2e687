#pragma once
// How long a step may take: as in every plugin.

#include "common/limit.hpp"

namespace eve::kvm {
using plugins::Limit;
}
