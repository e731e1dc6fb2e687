#pragma once
// The small files of this plugin are those of every plugin.

#include "common/files.hpp"

namespace eve::kvm {
using namespace plugins;
}
