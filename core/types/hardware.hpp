#pragma once
// Ours, not EVE's: the machine's PCI devices as domainmgr sees them, for evectl adapters.

#include <string>
#include <vector>

#include "core/types/values.hpp"

namespace eve::types {

/// One PCI function; the meanings are those of eve::PciDevice.
struct PciFunction {
    std::string Address;
    std::string Vendor;
    std::string Device;
    std::string DeviceClass;
    std::string Driver;
    std::string Group;
    std::vector<std::string> Interfaces;
    std::vector<std::string> Disks;
    bool Bridge = false;
    std::string Use;  ///< "idle", "bound", "essential", "reserved", "assigned"
    std::string Why;
    EVE_RECORD(PciFunction)
};

/// Key: "global".
struct PciInventory {
    bool Known = false;      ///< they were looked at
    std::string Trouble;     ///< why none can be assigned here, or empty
    bool IOVirtualization = false;
    std::vector<PciFunction> Devices;
    EVE_RECORD(PciInventory)
};

}  // namespace eve::types
