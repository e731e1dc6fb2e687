#pragma once
// The table of hardware that apps may ask for, from the device's model and the ports in use. Pure. No device is assigned by this build yet: the
// table says what there is and which of it is a port of the node.

#include "core/types/domain.hpp"
#include "core/types/network.hpp"

namespace eve::domainmgr {

/// One bundle for each adapter of the model. Initialized once the model is.
types::AssignableAdapters assignable_adapters(const types::PhysicalIOAdapterList& model, const types::DeviceNetworkStatus& network);

}  // namespace eve::domainmgr
