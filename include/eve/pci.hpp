#pragma once
// Assignment of PCI devices: who can be taken from the host and given to a guest, and the taking and giving back (pci/1). One plugin for
// each way of binding (vfio-pci, pciback); a hypervisor's `describe` names the binding that its guests need.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "eve/domain.hpp"
#include "eve/host.hpp"
#include "eve/result.hpp"

namespace eve {
EVE_SDK_NAMESPACE {

/// What a device is to the host while no guest has it. `essential`: the host lives on it (its disk, its management port): never taken.
enum class PciUse : std::uint8_t { unknown, idle, bound, essential, reserved, assigned };

/// One PCI function as it was seen. Addresses are always whole: "0000:03:00.0".
struct PciDevice {
    std::string address;
    std::string vendor;             ///< four hexadecimal digits: "8086"
    std::string device;
    std::string device_class;       ///< six: "020000"
    std::string driver;             ///< bound now, or empty
    std::string driver_override;    ///< or empty
    std::string group;              ///< of the IOMMU, or empty: there is none
    std::string parent;             ///< the bridge that it is behind, or empty: on the root bus
    std::string physical_function;  ///< of a virtual function
    std::string unique;             ///< firmware's name of the slot (target of firmware_node), or empty
    std::vector<std::string> interfaces;  ///< network interfaces that it makes on the host now
    std::vector<std::string> macs;        ///< of `interfaces`, in their order
    std::vector<std::string> disks;       ///< block devices that it makes on the host now
    bool bridge = false;
    bool boot_vga = false;
    std::uint32_t functions_max = 0;      ///< virtual functions that it can be split into
    std::uint32_t functions = 0;          ///< that it is split into
    Bytes memory;                         ///< of its memory BARs together
    PciUse use = PciUse::unknown;
    std::string why;                      ///< why it cannot be reserved now, one sentence, or empty
    friend bool operator==(const PciDevice&, const PciDevice&) = default;
};

/// Devices that the IOMMU cannot tell apart: one guest at a time can have any of them.
struct PciGroup {
    std::string id;                    ///< the kernel's number
    std::vector<std::string> devices;  ///< addresses, bridges too
    bool viable = false;               ///< every device but bridges is bound for guests or to nothing
    std::string holder;                ///< who has it open ("qemu-system-x86, pid 77"), or empty
    friend bool operator==(const PciGroup&, const PciGroup&) = default;
};

/// A device wanted for a guest. `mac` and `vlan` are set on a virtual function through its physical one, and cleared at the release.
struct PciClaim {
    std::string address;
    std::string mac;
    std::uint32_t vlan = 0;
    friend bool operator==(const PciClaim&, const PciClaim&) = default;
};

/// A device that the node needs for itself, and what for ("eth0 is a management port").
struct PciNeed {
    std::string address;
    std::string why;
    friend bool operator==(const PciNeed&, const PciNeed&) = default;
};

/// What is reserved together.
struct PciSet {
    std::vector<PciClaim> devices;
    std::vector<PciNeed> needs;  ///< of the node: a set that would take one of them away is refused
    friend bool operator==(const PciSet&, const PciSet&) = default;
};

/// A physical function and the number of virtual functions wanted of it.
struct PciSplit {
    std::string address;
    std::uint32_t functions = 0;
    friend bool operator==(const PciSplit&, const PciSplit&) = default;
};

/// The answer of `describe`. `id`, `version` and `methods` are filled in by the SDK.
struct PciDescription {
    std::string id;
    std::string version;
    std::vector<std::string> methods;
    std::vector<std::string> bindings;  ///< that it offers here: "vfio-pci", "pciback"
    bool iommu = false;                 ///< there is one and it is used
    Limits limits;
    std::string config_schema;
    friend bool operator==(const PciDescription&, const PciDescription&) = default;
};

/// Assignment of PCI devices.
///
/// Holds for every method what eve/hypervisor.hpp says of its methods. Addresses without a PCI domain are refused, not guessed. A call that
/// fails has changed nothing: every device has the driver and the override that it had before; where even that could not be done, the error
/// says so and names the devices.
class Pci {
public:
    virtual ~Pci() = default;

    /// What this plugin can do here. Has no effect. [lane]
    ///
    /// Errors: none expected.
    virtual Result<PciDescription> describe(const CallContext& call) = 0;

    /// Whether devices can be assigned on this machine, and what it has to do without. Has no effect. [lane]
    ///
    /// Errors: none expected: what is wrong is the verdict.
    virtual Result<ProbeReport> probe(const CallContext& call) = 0;

    /// Every group of the IOMMU; empty without one. Has no effect. [lane]
    ///
    /// Errors: unavailable - sysfs cannot be read.
    virtual Result<std::vector<PciGroup>> groups(const CallContext& call) = 0;

    /// Every device of the set is bound for guests, seen in its driver link, and nothing else has changed. Devices that are so already are left
    /// alone, but for the MAC and VLAN of virtual functions. All or nothing. Returns the devices as they are then. [lane]
    ///
    /// Errors: invalid_argument - not an address, twice in the set, a MAC for what is no virtual function; not_found - no such device;
    ///         failed_precondition - the host needs it, a guest has it, its group holds a device that stays with the host, or the machine lacks
    ///         something (a driver, interrupt remapping); unsupported - no IOMMU; unavailable - the kernel did not bind it, or an unbind has not
    ///         returned: everything else of the set was given back.
    /// Source: EVE pkg/pillar/hypervisor/kvm.go PCIReserve; EVE verifies nothing and leaves the override behind.
    virtual Result<std::vector<PciDevice>> reserve(const CallContext& call, const PciSet& set) = 0;

    /// No device of the set is bound for guests: each has the driver that the kernel chooses for it, or none. Their overrides, MACs and VLANs
    /// are cleared. Releasing what is not reserved, or is gone, succeeds. All or nothing. Returns the devices that are there. [lane]
    ///
    /// Errors: invalid_argument; failed_precondition - a guest has one of them; unavailable - as reserve().
    virtual Result<std::vector<PciDevice>> release(const CallContext& call, const std::vector<std::string>& addresses) = 0;

    /// Every PCI function of the machine. Has no effect. [lane]
    ///
    /// Errors: unavailable - sysfs cannot be read.
    virtual Result<std::vector<PciDevice>> list(const CallContext& call) = 0;

    /// The physical function has so many virtual functions, none of which a host driver took; returns them in the order of their numbers.
    /// One that has that number already is not touched. [lane]
    ///
    /// Errors: invalid_argument - more than it can have; not_found; unsupported - it has none; failed_precondition - it has another number and
    ///         one of them is in use; unavailable - the kernel did not make them.
    /// Source: EVE pkg/pillar/cmd/domainmgr/domainmgr.go setupVfs.
    virtual Result<std::vector<PciDevice>> split(const CallContext& call, const PciSplit& wanted) = 0;
};

}  // EVE_SDK_NAMESPACE
}  // namespace eve
