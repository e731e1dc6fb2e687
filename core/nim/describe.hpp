#pragma once
// What nim says about the ports: a pure function of the config and of what the machine shows.

#include "core/nim/effects.hpp"
#include "core/types/network.hpp"

namespace eve::nim {

/// The status of the configured ports. Errors whose text did not change keep their time from `before`.
types::DeviceNetworkStatus describe(const types::DevicePortConfig& config, const Observation& seen, const types::DeviceNetworkStatus& before,
                                    types::Time now);

}  // namespace eve::nim
