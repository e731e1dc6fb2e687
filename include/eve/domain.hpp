#pragma once
// What crosses between the node and a runtime of domains (a hypervisor, a container runtime): what a domain shall be, what was seen of it,
// and what a runtime says of itself. Plain values. As JSON (docs of eve/abi.h): names are these names, `Bytes` gain the suffix `_bytes`,
// durations `_ns`; a default is left out. Enumerator 0 of every enum is `unknown`.

#include <chrono>
#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "eve/result.hpp"

namespace eve {
EVE_SDK_NAMESPACE {

template <class Tag> struct Id {
    std::string value;
    friend auto operator<=>(const Id&, const Id&) = default;
};
/// Names a domain on its node, for ever: the UUID of the app, in its canonical text form.
using DomainId = Id<struct DomainTag>;

struct Bytes {
    std::uint64_t n = 0;
    friend auto operator<=>(const Bytes&, const Bytes&) = default;
};
constexpr Bytes operator""_KiB(unsigned long long n) { return Bytes{n << 10}; }
constexpr Bytes operator""_MiB(unsigned long long n) { return Bytes{n << 20}; }
constexpr Bytes operator""_GiB(unsigned long long n) { return Bytes{n << 30}; }

/// Text that is written to no log and shown to nobody.
struct Secret {
    std::string value;
    friend bool operator==(const Secret&, const Secret&) = default;
};

/// What the node gave with a domain and gets back in each DomainInfo: at most 32, 4 KiB together.
using Labels = std::map<std::string, std::string>;

// ---- what a domain shall be ----

/// How a domain is virtualised. The five of EVE: PV, HVM, LEGACY, FML and NOHYPER (container).
enum class VirtualizationMode : std::uint8_t { unknown, pv, hvm, legacy, fml, container };

enum class DiskFormat : std::uint8_t { unknown, raw, qcow, qcow2, vhd, vmdk, ova, vhdx, iso, container };

/// What the content is for. `app_custom` is not attached: the app fetches it from the metadata server.
enum class DiskTarget : std::uint8_t { unknown, disk, kernel, initrd, ramdisk, app_custom };

struct Disk {
    std::string id;           ///< the volume's key ("<uuid>#<generation>"), or another name that is unique in the domain ("cloud-init")
    std::string path;         ///< absolute; a file, a block device, or for `container` the prepared root file system's directory
    DiskFormat format = DiskFormat::unknown;
    bool read_only = false;
    bool cdrom = false;       ///< presented as a CD-ROM; an `iso` always is
    DiskTarget target = DiskTarget::disk;
    std::string wwn;          ///< of a vhost-scsi target that exports the volume, or empty
    std::string mount_dir;    ///< where a container wants it, absolute, or empty; "/" or empty for the container's root file system
    std::string name;         ///< the user's of the volume, by which a container finds it, or empty
    friend bool operator==(const Disk&, const Disk&) = default;
};

/// A file that the guest finds when it starts, beneath the root file system of a container: no link there leads out of it.
struct GuestFile {
    std::string path;          ///< absolute in the guest; directories on the way are made
    Secret content;            ///< base64
    std::uint32_t mode = 0;    ///< permission bits; 0: 0644
    friend bool operator==(const GuestFile&, const GuestFile&) = default;
};

struct Vif {
    std::string name;                    ///< of the host's interface; the runtime makes it in create() and removes it in destroy()
    std::string bridge;                  ///< exists already, with all rules for `name` in place
    std::string mac;                     ///< "02:16:3e:00:00:01"
    std::uint32_t mtu = 0;               ///< bytes; 0: the default
    std::optional<std::uint32_t> order;  ///< of all network devices of the domain, when their order is enforced
    friend bool operator==(const Vif&, const Vif&) = default;
};

/// `interface`: a network interface of the host that is moved into a container and back.
enum class AdapterKind : std::uint8_t { unknown, pci, usb, serial, can, interface };

/// A device of the host given to a domain; it was reserved before.
struct Adapter {
    AdapterKind kind = AdapterKind::unknown;
    std::string name;                    ///< EVE's logical label
    std::string address;                 ///< PCI "0000:03:00.0"; USB "1:2"; serial "/dev/ttyS1"; CAN and `interface`: the interface
    bool network = false;                ///< a network device, for the order
    std::optional<std::uint32_t> order;
    friend bool operator==(const Adapter&, const Adapter&) = default;
};

/// `unknown`: the firmware's own.
enum class BootOrder : std::uint8_t { unknown, usb, nousb };

struct Vnc {
    bool enabled = false;
    std::uint32_t display = 0;  ///< TCP port 5900 + display; taken means failed_precondition, never another port
    Secret password;
    friend bool operator==(const Vnc&, const Vnc&) = default;
};

/// Everything a runtime must know to make a domain. A field that it doesn't know or can't honour is refused, never ignored.
struct DomainSpec {
    DomainId id;
    std::uint64_t revision = 0;    ///< counts what the node asked for under this id; create() is idempotent per (id, revision)
    std::string name;              ///< of processes and directories, EVE's "<uuid>.<version>.<number>": [0-9a-zA-Z._-], at most 127 bytes
    std::string display_name;      ///< the user's, for people only
    Labels labels;

    VirtualizationMode mode = VirtualizationMode::unknown;
    Bytes memory;                  ///< of the guest
    Bytes memory_max;              ///< 0: as `memory`
    Bytes memory_overhead;         ///< of the VMM, on top; the limit of the cgroup is both together; 0: no limit
    std::uint32_t vcpus = 0;       ///< 1 or more
    std::uint32_t vcpus_max = 0;   ///< 0: as `vcpus`
    std::vector<std::uint32_t> cpus;  ///< CPUs of the host that it may run on; empty: any
    bool cpus_pinned = false;      ///< each virtual CPU stays on one of `cpus`

    std::string kernel;            ///< paths; empty: none
    std::string ramdisk;
    std::string device_tree;
    std::string extra_args;        ///< the kernel's command line
    std::string root_device;
    std::string firmware;          ///< EVE's boot loader: a path, or empty for the mode's default
    std::string resolution;        ///< of the firmware's screen in fml ("1280x800"), or empty
    BootOrder boot_order = BootOrder::unknown;
    std::string gpu;               ///< EVE's GPUConfig: "legacy" or empty
    bool openstack_metadata = false;  ///< the guest shall take the host for OpenStack (SMBIOS), to look for its metadata
    bool oem_license = false;      ///< the host's OEM licence tables are shown to the guest
    bool virtual_tpm = false;

    std::vector<Disk> disks;       ///< in the order in which the guest sees them
    std::vector<Vif> vifs;
    std::vector<Adapter> adapters;
    bool network_order_enforced = false;  ///< by Vif::order and Adapter::order

    Vnc vnc;
    bool console_log_disabled = false;
    std::vector<std::string> vmm_args;  ///< in pairs, of the VMM itself; what the runtime's own list does not allow is refused

    std::map<std::string, std::string> env;  ///< of a container, beside and before its image's; may hold secrets: written to no log
    std::vector<GuestFile> files;            ///< of a container

    std::map<std::string, std::string> hints;  ///< advice; a runtime ignores what it doesn't know

    friend bool operator==(const DomainSpec&, const DomainSpec&) = default;
};

/// Something in a DomainSpec that a runtime will not do.
struct Problem {
    std::string field;  ///< ".disks[1].format"
    std::string what;   ///< one sentence
    std::string hint;   ///< what to do about it, or empty
    friend bool operator==(const Problem&, const Problem&) = default;
};

// ---- what was seen of a domain ----

/// Whether anything of a domain exists: a record, a process, a device. `absent` only when proven.
enum class Presence : std::uint8_t { unknown, absent, present };

/// `unknown`: nobody can tell now (a monitor that doesn't answer); the last state may still hold, nothing may be torn down for it.
/// `halted`: the guest ended by itself or by request. `broken`: it ended otherwise, or its VMM can't go on; `reason` says how.
enum class DomainState : std::uint8_t { unknown, defined, starting, running, paused, halting, halted, broken };

/// How the guest's process ended. `code` and `signal` absent: nobody was there to see.
struct ExitStatus {
    std::optional<std::int32_t> code;
    std::optional<std::int32_t> signal;
    bool oom = false;  ///< killed by the kernel for want of memory
    friend bool operator==(const ExitStatus&, const ExitStatus&) = default;
};

/// One observation of one domain.
struct DomainInfo {
    DomainId id;
    std::uint64_t revision = 0;
    std::string name;
    Labels labels;
    Presence presence = Presence::unknown;
    DomainState state = DomainState::unknown;
    std::string reason;              ///< why it is in this state, one sentence, or empty
    std::int64_t pid = 0;            ///< of the guest's process; 0: none known. Never a proof of absence: that is `presence`
    std::optional<ExitStatus> exit;
    std::string started_at;          ///< RFC 3339, UTC, or empty
    std::string console_path;        ///< unix socket, or empty
    std::string console_log_path;    ///< or empty
    std::string vnc_address;         ///< "127.0.0.1:5901", or empty
    std::vector<std::string> notes;  ///< each taking-away or degradation one sentence for the operator
    friend bool operator==(const DomainInfo&, const DomainInfo&) = default;
};

/// What a domain has used.
struct DomainStats {
    DomainId id;
    std::chrono::nanoseconds cpu{};  ///< sum over its virtual CPUs since it started
    Bytes memory_allocated;
    Bytes memory_used;
    Bytes memory_used_max;
    friend bool operator==(const DomainStats&, const DomainStats&) = default;
};

/// What the runtime knows of the host better than the kernel does (Xen). Zero: ask the kernel.
struct HostStats {
    Bytes memory_total;
    Bytes memory_free;
    std::uint32_t cpus = 0;
    friend bool operator==(const HostStats&, const HostStats&) = default;
};

struct Stats {
    HostStats host;
    std::vector<DomainStats> domains;
    friend bool operator==(const Stats&, const Stats&) = default;
};

// ---- what a runtime says of itself ----

enum class ProbeVerdict : std::uint8_t {
    unknown,
    supported,  ///< it will work here
    declined,   ///< this machine is not for it (no such hypervisor): not a fault
    broken,     ///< it should work here and doesn't
};

struct ProbeReport {
    ProbeVerdict verdict = ProbeVerdict::unknown;
    std::string reason;              ///< one sentence
    std::vector<std::string> notes;  ///< what was found missing and how it copes, each one sentence
    friend bool operator==(const ProbeReport&, const ProbeReport&) = default;
};

/// What a runtime can do on this machine. The node sets no field of a spec whose capability is absent; validate() reports it nevertheless.
struct Capabilities {
    bool hw_virtualization = false;  ///< guests run on the CPU, not emulated
    bool io_virtualization = false;  ///< an IOMMU is there and used
    bool cpu_pinning = false;
    bool vhost = false;
    bool vnc = false;
    bool console = false;            ///< DomainInfo::console_path
    bool console_log = false;
    bool stop_ask = false;           ///< StopMode::ask works, but for guests of `modes_without_ask`
    bool exit_status = false;        ///< how a guest's process ended is known, also after a restart
    bool memory_limit = false;       ///< a cgroup holds memory + overhead
    bool boot_order = false;
    bool network_order = false;
    bool virtual_tpm = false;
    bool oem_license = false;
    bool pci = false;
    bool usb = false;
    bool serial = false;
    bool can = false;
    bool vmm_args = false;           ///< DomainSpec::vmm_args
    bool interfaces = false;         ///< AdapterKind::interface
    friend bool operator==(const Capabilities&, const Capabilities&) = default;
};

struct Limits {
    std::uint32_t calls_in_flight_max = 1;  ///< how many calls may overlap; all methods count
    std::uint32_t domains_max = 0;          ///< 0 in the rest: no limit of its own
    std::uint32_t vcpus_max = 0;
    std::uint32_t disks_max = 0;
    std::uint32_t vifs_max = 0;
    std::uint32_t adapters_max = 0;
    friend bool operator==(const Limits&, const Limits&) = default;
};

/// The answer of `describe`. What the plugin's author declares with EVE_PLUGIN (id, version, methods) is filled in by the SDK.
struct Description {
    std::string id;                           ///< "org.lfedge.eve.kvm"
    std::string version;
    std::vector<std::string> methods;         ///< "hypervisor/1.create"; the node calls no other
    std::vector<VirtualizationMode> modes;
    std::vector<VirtualizationMode> modes_without_ask;  ///< guests of these modes cannot be asked to halt
    std::vector<DiskFormat> disk_formats;
    Capabilities capabilities;
    Limits limits;
    std::string pci_binding;                  ///< "vfio-pci", "pciback", or empty
    std::string config_schema;                ///< a JSON schema of the plugin's own config, as text, or empty
    friend bool operator==(const Description&, const Description&) = default;
};

}  // EVE_SDK_NAMESPACE
}  // namespace eve
