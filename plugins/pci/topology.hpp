#pragma once
// What sysfs and the mounts say about the machine's PCI devices, as values: who is bound to what, behind what, and what the host lives on.

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "eve/pci.hpp"
#include "sysfs.hpp"

namespace eve::pci {

/// The drivers that hold devices for guests.
inline constexpr std::string_view vfio_driver = "vfio-pci";
inline constexpr std::string_view pciback_driver = "pciback";
bool holds_for_guests(std::string_view driver);

/// All but the function: "0000:03:00".
std::string_view slot_of(std::string_view address);
/// "bus/pci/devices/" + address.
std::string device_path(const std::string& address);

/// The files outside sysfs that say what the host uses.
struct HostFiles {
    std::string mounts = "/proc/self/mountinfo";
    std::string swaps = "/proc/swaps";
};

/// The PCI function that a device below it belongs to, from its path in devices/; empty: to none.
std::string owner_in(std::string_view path);

/// Every device, in the order of addresses; `use` is idle, bound, essential or reserved. Who has a group open is not looked at.
std::vector<PciDevice> read_devices(Sysfs& sysfs, const HostFiles& files);

/// The devices of a group of the IOMMU.
std::vector<std::string> devices_of_group(Sysfs& sysfs, const std::string& group);

}  // namespace eve::pci
