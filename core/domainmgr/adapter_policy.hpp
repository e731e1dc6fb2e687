#pragma once
// Which devices stay with the host and which are held ready for guests, and what must be done about it. Pure.

#include <set>
#include <string>
#include <vector>

#include "core/domainmgr/adapters.hpp"
#include "core/types/domain.hpp"
#include "core/types/network.hpp"

namespace eve::domainmgr {

/// What the policy depends on beside the table and the machine.
struct PolicyInputs {
    types::DeviceNetworkStatus network;
    bool usb_access = true;     ///< debug.enable.usb: the host may use USB devices
    bool vga_access = true;     ///< debug.enable.vga: and the screen
};

/// KeepInHost and IsPort of every bundle, and the errors that follow from them. EVE: updatePortAndPciBackIoBundle.
void decide_places(types::AssignableAdapters& table, const Hardware& hardware, const PolicyInputs& inputs, types::Time now);

/// Devices that change hands together, by whole address.
struct Transfer {
    enum class Direction { to_guests, to_host };
    Direction direction = Direction::to_guests;
    std::vector<std::string> addresses;
    friend bool operator==(const Transfer&, const Transfer&) = default;
};
/// What is to be taken for guests and given back to the host now. A device that an app has is never in it; nor is one with a hard error, nor a
/// network device while the node tests its ports.
std::vector<Transfer> transfers(const types::AssignableAdapters& table, const Hardware& hardware, const PolicyInputs& inputs);

/// What the node needs for itself, with why, for the plugin to refuse.
std::vector<PciNeed> needs_of(const types::AssignableAdapters& table);

}  // namespace eve::domainmgr
