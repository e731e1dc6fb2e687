#pragma once
// Which devices an app gets, or why it does not: looked up, checked and marked as its own before anything is bound. Pure.

#include <functional>
#include <string>
#include <vector>

#include "core/domainmgr/adapters.hpp"
#include "core/types/domain.hpp"
#include "eve/domain.hpp"

namespace eve::domainmgr {

/// What the reservation depends on beside the table.
struct ReservationInputs {
    types::Uuid app;
    bool container = false;              ///< it gets interfaces moved into it, not devices behind the IOMMU
    Capabilities runtime;                ///< of what will run it
    /// How another app is called and in which state it is; for people.
    std::function<types::SwState(const types::Uuid&)> state_of;
};

/// How one adapter of an app is handed over.
enum class Handover { pci, interface, usb, serial, can, none };
std::string_view to_string(Handover handover);
Handover handover_of(const types::IoBundle& bundle, bool container);

/// One thing that an app gets.
struct Grant {
    std::size_t index = 0;  ///< of the bundle in the table
    Handover handover = Handover::none;
    types::IoAdapter wanted;
    friend bool operator==(const Grant&, const Grant&) = default;
};

struct Reservation {
    std::vector<Grant> grants;
    types::ErrorDescription error;  ///< empty text: granted
    bool granted() const { return error.Error.empty(); }
};

/// What the app would get. Touches nothing: for `evectl adapters plan` as well.
Reservation plan_reservation(const types::AssignableAdapters& table, const Hardware& hardware, const std::vector<types::IoAdapter>& wanted,
                             const ReservationInputs& inputs);
/// The same, and what is granted is marked as the app's. All or nothing.
Reservation reserve(types::AssignableAdapters& table, const Hardware& hardware, const std::vector<types::IoAdapter>& wanted,
                    const ReservationInputs& inputs);
/// Nothing is the app's any more; whether anything was.
bool release(types::AssignableAdapters& table, const types::Uuid& app);

/// The PCI devices of a reservation, with the settings of virtual functions.
std::vector<PciClaim> claims_of(const types::AssignableAdapters& table, const Reservation& reservation);
/// The adapters as a runtime is told them. USB devices are not among them: they come when they are plugged in.
std::vector<Adapter> adapters_of(const types::AssignableAdapters& table, const Reservation& reservation, bool ordered);

}  // namespace eve::domainmgr
