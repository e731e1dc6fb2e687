#pragma once
// The table of hardware that apps may ask for: from the device's model and what the machine has, with everything that is wrong about each piece
// of it. Pure: the model, the machine and the last table in, the next table out.

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/types/domain.hpp"
#include "core/types/network.hpp"
#include "eve/pci.hpp"

namespace eve::domainmgr {

/// What the machine has, as the plugin for PCI devices sees it.
struct Hardware {
    bool known = false;                        ///< it was looked at; without a plugin nothing is known and nothing is missing
    std::string trouble;                       ///< why devices cannot be assigned here, or empty
    std::map<std::string, PciDevice> devices;  ///< by whole address

    const PciDevice* find(const std::string& address) const;
    /// The device that makes this network interface now; null: none.
    const PciDevice* behind(const std::string& interface) const;
    /// What makes devices inseparable: their IOMMU group, else their card. Empty for an empty address.
    std::string controller_of(const std::string& address) const;
};

/// Who says that something is wrong with a bundle. Each replaces only its own entries.
enum class Blame : std::uint8_t {
    collision,           ///< two entries of the model are one USB device
    group_conflict,      ///< two assignment groups on one controller
    own_parent,
    parent_mismatch,
    parent_without_group,
    parent_cycle,
    missing_device,
    rename,              ///< the model's interface name is not the one of its address
    model_inconsistency, ///< the model leaves out or mistypes something
    binding,             ///< taking or giving back failed
    removal,             ///< it left the model, or changed there, while in use
    port_in_use,         ///< a port of the node is wanted that an app has
};
std::string_view to_string(Blame blame);

struct Complaint {
    std::string text;
    bool warning = false;
    bool group_scoped = false;
};
/// The bundle has these errors of that source, and its other errors as before. The time stays while nothing new is said, and goes with the last.
void set_errors(types::IoBundle& bundle, Blame blame, const std::vector<Complaint>& complaints, types::Time now);
bool has_hard_error(const types::IoBundle& bundle);
/// The hard errors alone, joined.
std::string hard_errors(const types::IoBundle& bundle);

/// What is wrong with an assignment group, as one error: texts about the group once, others behind the member's label. None: empty.
types::ErrorDescription group_error(const types::AssignableAdapters& table, const std::string& group);

bool is_network(types::IoType type);
bool is_usb_controller(const types::IoBundle& bundle);
/// Given by its USB address or product, not by a PCI address of its own.
bool is_usb_device(const types::IoBundle& bundle);
/// The app that has it, or nil.
bool is_used(const types::IoBundle& bundle);

/// Indexes of what a name means: the members of the group of that name; else the bundle of that label with the whole of its group; else none.
std::vector<std::size_t> lookup(const types::AssignableAdapters& table, const std::string& name);
/// The members of the bundle's group and whatever shares a controller with one of them, each with all of its own group; sorted.
std::vector<std::size_t> expanded_group(const types::AssignableAdapters& table, const Hardware& hardware, std::size_t index);

/// The next table. What the model says counts, but for a bundle in use, which stays as it was, marked, until it is free; what was seen and who
/// has it is carried over. Addresses that the model leaves out are taken from the machine.
types::AssignableAdapters merge_model(const types::AssignableAdapters& before, const types::PhysicalIOAdapterList& model, const Hardware& hardware,
                                      types::Time now);

/// Every rule of the model, each under its own name.
void validate(types::AssignableAdapters& table, const Hardware& hardware, types::Time now);

/// A virtual function's name: "eth2vf5".
struct FunctionName {
    std::string physical;
    std::uint8_t index = 0;
};
std::optional<FunctionName> parse_function_name(std::string_view name);
std::string function_name(const std::string& physical, std::uint8_t index);
/// The bundle of one virtual function, with every name and the group made from the physical one's.
types::IoBundle function_bundle(const types::IoBundle& physical, std::uint8_t index, const PciDevice& device);

}  // namespace eve::domainmgr
