#pragma once
// The members and enumerators of what crosses the plugin boundary, for eve/sdk/codec.hpp. A member that is not listed does not travel.
// Included by glue only (Boost.Describe).

#include <boost/describe.hpp>

#include "eve/board.hpp"
#include "eve/content.hpp"
#include "eve/cpus.hpp"
#include "eve/exec.hpp"
#include "eve/host.hpp"
#include "eve/hypervisor.hpp"
#include "eve/pci.hpp"
#include "eve/usb.hpp"

namespace eve {
EVE_SDK_NAMESPACE {

BOOST_DESCRIBE_ENUM(VirtualizationMode, unknown, pv, hvm, legacy, fml, container)
BOOST_DESCRIBE_ENUM(DiskFormat, unknown, raw, qcow, qcow2, vhd, vmdk, ova, vhdx, iso, container)
BOOST_DESCRIBE_ENUM(DiskTarget, unknown, disk, kernel, initrd, ramdisk, app_custom)
BOOST_DESCRIBE_ENUM(AdapterKind, unknown, pci, usb, serial, can, interface)
BOOST_DESCRIBE_ENUM(BootOrder, unknown, usb, nousb)
BOOST_DESCRIBE_ENUM(Presence, unknown, absent, present)
BOOST_DESCRIBE_ENUM(DomainState, unknown, defined, starting, running, paused, halting, halted, broken)
BOOST_DESCRIBE_ENUM(ProbeVerdict, unknown, supported, declined, broken)
BOOST_DESCRIBE_ENUM(StopMode, unknown, ask, cut)
BOOST_DESCRIBE_ENUM(DestroyMode, unknown, keep_state, purge)
BOOST_DESCRIBE_ENUM(LogLevel, unknown, debug, info, warn, error)
BOOST_DESCRIBE_ENUM(DomainEventKind, unknown, changed, exited, rebooted, io_error)
BOOST_DESCRIBE_ENUM(PciUse, unknown, idle, bound, essential, reserved, assigned)
BOOST_DESCRIBE_ENUM(BoardStep, unknown, bind, unbind, reset, power)
BOOST_DESCRIBE_ENUM(ContentHold, unknown, held, released)

BOOST_DESCRIBE_STRUCT(Disk, (), (id, path, format, read_only, cdrom, target, wwn, mount_dir, name))
BOOST_DESCRIBE_STRUCT(GuestFile, (), (path, content, mode))
BOOST_DESCRIBE_STRUCT(Vif, (), (name, bridge, mac, mtu, order))
BOOST_DESCRIBE_STRUCT(Adapter, (), (kind, name, address, network, order))
BOOST_DESCRIBE_STRUCT(Vnc, (), (enabled, display, password))
BOOST_DESCRIBE_STRUCT(DomainSpec, (),
                      (id, revision, name, display_name, labels, mode, memory, memory_max, memory_overhead, vcpus, vcpus_max, cpus, cpus_pinned,
                       kernel, ramdisk, device_tree, extra_args, root_device, firmware, resolution, boot_order, gpu, openstack_metadata,
                       oem_license, virtual_tpm, disks, vifs, adapters, network_order_enforced, vnc, console_log_disabled, vmm_args, env,
                       files, hints))
BOOST_DESCRIBE_STRUCT(Problem, (), (field, what, hint))
BOOST_DESCRIBE_STRUCT(ExitStatus, (), (code, signal, oom))
BOOST_DESCRIBE_STRUCT(DomainInfo, (),
                      (id, revision, name, labels, presence, state, reason, pid, exit, started_at, console_path, console_log_path, vnc_address,
                       notes))
BOOST_DESCRIBE_STRUCT(DomainStats, (), (id, cpu, memory_allocated, memory_used, memory_used_max))
BOOST_DESCRIBE_STRUCT(HostStats, (), (memory_total, memory_free, cpus))
BOOST_DESCRIBE_STRUCT(Stats, (), (host, domains))
BOOST_DESCRIBE_STRUCT(ProbeReport, (), (verdict, reason, notes))
BOOST_DESCRIBE_STRUCT(Capabilities, (),
                      (hw_virtualization, io_virtualization, cpu_pinning, vhost, vnc, console, console_log, stop_ask, exit_status, memory_limit,
                       boot_order, network_order, virtual_tpm, oem_license, pci, usb, serial, can, vmm_args, interfaces))
BOOST_DESCRIBE_STRUCT(Limits, (), (calls_in_flight_max, domains_max, vcpus_max, disks_max, vifs_max, adapters_max))
BOOST_DESCRIBE_STRUCT(Description, (),
                      (id, version, methods, modes, modes_without_ask, disk_formats, capabilities, limits, pci_binding, config_schema))
BOOST_DESCRIBE_STRUCT(DomainEvent, (), (domain, kind, state, seq))
BOOST_DESCRIBE_STRUCT(PassedFd, (), (fd, as))
BOOST_DESCRIBE_STRUCT(CgroupLimits, (), (memory_max, cpu_percent_max, cpus))
BOOST_DESCRIBE_STRUCT(GuestProcess, (),
                      (name, argv, env, cwd, run_dir, stdin_fd, stdout_fd, stderr_fd, fds, uid, gid, groups, capabilities, cgroup, core_max,
                       memlock_max, files_max, log_max))
BOOST_DESCRIBE_STRUCT(ProcessIdentity, (), (pid, start_ticks))
BOOST_DESCRIBE_STRUCT(SpawnedProcess, (), (guest, keeper, cgroup, notes))
BOOST_DESCRIBE_STRUCT(HostDescription, (), (version, methods, guest_uid, guest_gid))
BOOST_DESCRIBE_STRUCT(PciDevice, (),
                      (address, vendor, device, device_class, driver, driver_override, group, parent, physical_function, unique, interfaces, macs,
                       disks, bridge, boot_vga, functions_max, functions, memory, use, why))
BOOST_DESCRIBE_STRUCT(PciGroup, (), (id, devices, viable, holder))
BOOST_DESCRIBE_STRUCT(PciClaim, (), (address, mac, vlan))
BOOST_DESCRIBE_STRUCT(PciNeed, (), (address, why))
BOOST_DESCRIBE_STRUCT(PciSet, (), (devices, needs))
BOOST_DESCRIBE_STRUCT(PciSplit, (), (address, functions))
BOOST_DESCRIBE_STRUCT(PciDescription, (), (id, version, methods, bindings, iommu, limits, config_schema))
BOOST_DESCRIBE_STRUCT(BoardDevice, (), (vendor, device, address, quirks, steps))
BOOST_DESCRIBE_STRUCT(BoardMoment, (), (step, device))
BOOST_DESCRIBE_STRUCT(BoardDomain, (), (id, name, mode, devices))
BOOST_DESCRIBE_STRUCT(BoardAdjustment, (), (vmm_args, notes))
BOOST_DESCRIBE_STRUCT(BoardDescription, (), (id, version, methods, limits, config_schema))
BOOST_DESCRIBE_STRUCT(UsbAttachment, (), (domain, name, bus, device))
BOOST_DESCRIBE_STRUCT(ExecRequest, (), (domain, argv, env, directory, terminal, rows, columns, session))
BOOST_DESCRIBE_STRUCT(ExecStarted, (), (pid))
BOOST_DESCRIBE_STRUCT(CpuConfinement, (), (domain, cpus))
BOOST_DESCRIBE_STRUCT(ContentInfo, (), (digest, size, held))
BOOST_DESCRIBE_STRUCT(ContentWrite, (), (digest, size, source))
BOOST_DESCRIBE_STRUCT(ContentWritten, (), (stored, complete))
BOOST_DESCRIBE_STRUCT(ContentRead, (), (digest, offset, size, target))
BOOST_DESCRIBE_STRUCT(ContentPart, (), (size))
BOOST_DESCRIBE_STRUCT(ContentPage, (), (contents, more))
BOOST_DESCRIBE_STRUCT(ContentProtection, (), (digest, hold))
BOOST_DESCRIBE_STRUCT(Entity, (), (kind, id))
BOOST_DESCRIBE_STRUCT(LogField, (), (name, value))

/// Bodies of requests and replies that are no record of an interface.
namespace message {
struct Empty {
    friend bool operator==(const Empty&, const Empty&) = default;
};
struct WithSpec {
    DomainSpec spec;
    friend bool operator==(const WithSpec&, const WithSpec&) = default;
};
struct WithId {
    DomainId id;
    friend bool operator==(const WithId&, const WithId&) = default;
};
struct Stop {
    DomainId id;
    StopMode mode = StopMode::unknown;
    friend bool operator==(const Stop&, const Stop&) = default;
};
struct Destroy {
    DomainId id;
    DestroyMode mode = DestroyMode::unknown;
    friend bool operator==(const Destroy&, const Destroy&) = default;
};
struct Problems {
    std::vector<Problem> problems;
    friend bool operator==(const Problems&, const Problems&) = default;
};
struct Observed {
    DomainInfo domain;
    friend bool operator==(const Observed&, const Observed&) = default;
};
struct Observations {
    std::vector<DomainInfo> domains;
    friend bool operator==(const Observations&, const Observations&) = default;
};
struct PciGroups {
    std::vector<PciGroup> groups;
    friend bool operator==(const PciGroups&, const PciGroups&) = default;
};
struct PciDevices {
    std::vector<PciDevice> devices;
    friend bool operator==(const PciDevices&, const PciDevices&) = default;
};
struct PciAddresses {
    std::vector<std::string> devices;
    friend bool operator==(const PciAddresses&, const PciAddresses&) = default;
};
struct BoardDevices {
    std::vector<BoardDevice> devices;
    friend bool operator==(const BoardDevices&, const BoardDevices&) = default;
};
struct ContentDigest {
    std::string digest;
    friend bool operator==(const ContentDigest&, const ContentDigest&) = default;
};
struct ContentAfter {
    std::string after;
    friend bool operator==(const ContentAfter&, const ContentAfter&) = default;
};
struct LogEvent {
    LogLevel level = LogLevel::unknown;
    std::string event;
    std::vector<LogField> fields;
    friend bool operator==(const LogEvent&, const LogEvent&) = default;
};
/// PluginConfig but for `config`, which is an object of the plugin's own.
struct Open {
    std::string node;
    Fd state_dir;
    Fd run_dir;
    Fd sysfs;
    friend bool operator==(const Open&, const Open&) = default;
};
/// An Error but for its code, which is the call's number.
struct Failure {
    std::string code;
    std::string what;
    std::string field;
    std::string hint;
    std::optional<std::chrono::milliseconds> retry_after;
    std::vector<Entity> entities;
    friend bool operator==(const Failure&, const Failure&) = default;
};
BOOST_DESCRIBE_STRUCT(Empty, (), ())
BOOST_DESCRIBE_STRUCT(WithSpec, (), (spec))
BOOST_DESCRIBE_STRUCT(WithId, (), (id))
BOOST_DESCRIBE_STRUCT(Stop, (), (id, mode))
BOOST_DESCRIBE_STRUCT(Destroy, (), (id, mode))
BOOST_DESCRIBE_STRUCT(Problems, (), (problems))
BOOST_DESCRIBE_STRUCT(Observed, (), (domain))
BOOST_DESCRIBE_STRUCT(Observations, (), (domains))
BOOST_DESCRIBE_STRUCT(PciGroups, (), (groups))
BOOST_DESCRIBE_STRUCT(PciDevices, (), (devices))
BOOST_DESCRIBE_STRUCT(PciAddresses, (), (devices))
BOOST_DESCRIBE_STRUCT(BoardDevices, (), (devices))
BOOST_DESCRIBE_STRUCT(ContentDigest, (), (digest))
BOOST_DESCRIBE_STRUCT(ContentAfter, (), (after))
BOOST_DESCRIBE_STRUCT(LogEvent, (), (level, event, fields))
BOOST_DESCRIBE_STRUCT(Open, (), (node, state_dir, run_dir, sysfs))
BOOST_DESCRIBE_STRUCT(Failure, (), (code, what, field, hint, retry_after, entities))
}  // namespace message

}  // EVE_SDK_NAMESPACE
}  // namespace eve
