#pragma once
// What domainmgr needs of the world: runtimes of domains, the host's memory, the few files that it owns. Blocking; called in lanes.

#include <compare>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/loop/loop.hpp"
#include "core/types/common.hpp"
#include "core/types/domain.hpp"
#include "eve/board.hpp"
#include "eve/cpus.hpp"
#include "eve/hypervisor.hpp"
#include "eve/pci.hpp"
#include "eve/result.hpp"
#include "eve/usb.hpp"

namespace eve::domainmgr {

/// A runtime that works on this machine, with what it said of itself.
struct Runtime {
    std::shared_ptr<Hypervisor> hypervisor;  ///< owned by the registry and by the calls that are under way in lanes
    Description description;
    ProbeReport probe;
    std::shared_ptr<Usb> usb;    ///< null: it takes no USB devices while a guest runs
    std::shared_ptr<Cpus> cpus;  ///< null: where a domain may run cannot be changed while it runs
};

/// Who assigns PCI devices here; null where nobody can, with the reason.
struct Assigner {
    std::shared_ptr<Pci> pci;
    std::string why_not;
};

/// The runtimes of this node, and the plugins for its devices.
class Runtimes {
public:
    virtual ~Runtimes() = default;
    /// Every runtime whose probe says `supported`, the preferred first. May be called again: runtimes come and go. [lane]
    virtual Result<std::vector<Runtime>> probe(const LaneContext& lane) = 0;
    /// `sink` hears of each event of any runtime from now on; an empty one ends that. An event without a domain means that a runtime was opened
    /// anew: everything is to be looked at. `sink` is called on any thread. [loop]
    virtual void on_event(std::function<void(const DomainEvent&)> sink) = 0;
    /// Valid after the first probe(). [lane]
    virtual Assigner assigner() = 0;
    /// Those that know this board, after the first probe(). [lane]
    virtual std::vector<std::shared_ptr<Board>> boards() = 0;
};

/// A USB device as it is plugged in.
struct UsbDevice {
    std::uint32_t bus = 0;
    std::uint32_t device = 0;   ///< its address: another one after each plugging
    std::string port;           ///< "2.1"
    std::string product;        ///< "1d6b:0002"
    std::string controller;     ///< PCI address of the controller
    bool hub = false;
    bool network = false;       ///< it makes a network interface of the host
    friend auto operator<=>(const UsbDevice&, const UsbDevice&) = default;
};
/// The content of a CIDATA disk.
struct CloudInitDisk {
    types::Uuid app;
    struct File {
        std::string path;  ///< in the disk: "user-data"; relative, no ".."
        std::string content;
    };
    std::vector<File> files;
};

/// Whether an app is among those that zedmanager starts first after a reboot.
struct ActiveMark {
    types::Uuid app;
    bool active = false;
};

/// What the host is asked for, and the files of domainmgr.
class Host {
public:
    virtual ~Host() = default;
    /// What the machine has and what is left. [lane]
    virtual Result<types::HostMemory> memory() = 0;
    /// How many CPUs, the first ones, the node keeps for itself (EVE's kernel argument eve_max_vcpus); 1 where nothing is said. [lane]
    virtual std::uint32_t reserved_cpus() = 0;
    /// The format that the content of a file or block device has; RAW if it has no mark of another. Errors: not_found. [lane]
    virtual Result<types::Format> disk_format(const std::string& path) = 0;
    /// The disk is written, in place of an older one of that app; its path. [lane]
    virtual Result<std::string> write_cloud_init(const CloudInitDisk& disk) = 0;
    /// The app's disk is gone; succeeds also if there was none. [lane]
    virtual Status remove_cloud_init(const types::Uuid& app) = 0;
    /// All these marks stand, also after a power cut; with an error some may not. [lane]
    virtual Status set_active(const std::vector<ActiveMark>& marks) = 0;
    /// Every USB device that is plugged in now. [lane]
    virtual Result<std::vector<UsbDevice>> usb_devices() = 0;
};

}  // namespace eve::domainmgr
