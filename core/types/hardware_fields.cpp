// Field tables of hardware.hpp.

#include "core/types/hardware.hpp"

#include "core/types/describe.hpp"

namespace eve::types {

EVE_DESCRIBE(PciFunction, (), (Address, Vendor, Device, DeviceClass, Driver, Group, Interfaces, Disks, Bridge, Use, Why))
EVE_DESCRIBE(PciInventory, (), (Known, Trouble, IOVirtualization, Devices))

}  // namespace eve::types
