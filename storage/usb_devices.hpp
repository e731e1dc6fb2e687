#pragma once
// The USB devices that are plugged in, from sysfs.

#include <string>
#include <vector>

#include "core/domainmgr/effects.hpp"

namespace eve::storage {

/// Every device below `directory` (/sys/bus/usb/devices), root hubs left out. One that vanishes meanwhile is left out too.
std::vector<domainmgr::UsbDevice> read_usb_devices(const std::string& directory);

}  // namespace eve::storage
