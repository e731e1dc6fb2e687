#pragma once
// Which USB device belongs to which running domain. Pure: devices plugged in, the table of adapters and the domains that run go in, in any order;
// what is to be attached and detached comes out. EVE: pkg/pillar/cmd/usbmanager.

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "core/domainmgr/effects.hpp"
#include "core/types/domain.hpp"

namespace eve::domainmgr {

/// Its name at the monitor: letters and digits.
std::string usb_name(const UsbDevice& device);

/// How well a bundle fits a device. `forbid`: while a domain has it, no device of this controller goes to anyone.
struct UsbMatch {
    enum class Verdict : std::uint8_t { no, yes, forbid };
    Verdict verdict = Verdict::no;
    int priority = 0;
};
UsbMatch usb_match(const types::IoBundle& bundle, const std::vector<types::IoBundle>& table, const UsbDevice& device);

/// The domain that shall have the device; nil: none.
types::Uuid usb_owner(const UsbDevice& device, const types::AssignableAdapters& table, const std::set<types::Uuid>& running);

struct UsbAction {
    enum class Kind : std::uint8_t { attach, detach };
    Kind kind = Kind::attach;
    types::Uuid domain;
    UsbDevice device;
    friend bool operator==(const UsbAction&, const UsbAction&) = default;
};

/// Who has what, as far as it was done.
class UsbDesk {
public:
    void on_devices(std::set<UsbDevice> devices) { devices_ = std::move(devices); }
    void on_table(types::AssignableAdapters table) { table_ = std::move(table); }
    void on_running(std::set<types::Uuid> domains);
    /// What is to be done now: detaching first. What failed stays to be done.
    std::vector<UsbAction> due() const;
    void done(const UsbAction& action);

private:
    std::set<UsbDevice> devices_;
    types::AssignableAdapters table_;
    std::set<types::Uuid> running_;
    std::map<UsbDevice, types::Uuid> attached_;
};

}  // namespace eve::domainmgr
