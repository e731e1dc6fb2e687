#pragma once
// What Xen is told of a domain: from a DomainSpec and what is known of the machine, purely. The fields are those of xl.cfg; nothing of
// libxl is in here, so that everything up to the copy into libxl's records is tested without it.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "eve/domain.hpp"
#include "eve/result.hpp"
#include "records.hpp"

namespace eve::xen {

enum class DomainType : std::uint8_t { unknown, pv, pvh, hvm };

/// What a kernel's file says of itself; a file that is no ELF file (a bzImage) says nothing.
struct KernelNotes {
    bool elf = false;
    bool pv_entry = false;
    bool pvh_entry = false;
};
/// Reads the Xen notes of an ELF file's first bytes.
KernelNotes kernel_notes(std::string_view file);

/// What the plan depends on, besides the spec.
struct Facts {
    bool hvm = false;            ///< the CPU virtualizes: PVH and HVM domains can be made
    bool directio = false;       ///< there is an IOMMU: devices can be assigned
    KernelNotes kernel;          ///< of the spec's kernel
    bool pvh_firmware = false;   ///< the files that the settings name are there
    bool uefi_firmware = false;
    bool spec_firmware = false;  ///< the file that the spec names is there
    std::vector<std::string> usb_controllers;  ///< of the spec's PCI adapters
    std::string directory;       ///< of the domain, for its sockets and logs
};

struct XenDisk {
    std::string path;
    std::string format;  ///< raw, qcow, qcow2, vhd
    std::string vdev;    ///< xvda
    bool read_only = false;
    bool cdrom = false;
    friend bool operator==(const XenDisk&, const XenDisk&) = default;
};

struct XenNic {
    std::string name;
    std::string bridge;
    std::string mac;
    std::uint32_t mtu = 0;
    bool emulated = false;  ///< an emulated NIC beside the paravirtual one; its tap is "<name>-emu"
    std::string script;
    friend bool operator==(const XenNic&, const XenNic&) = default;
};

struct XenPci {
    std::uint32_t domain = 0;
    std::uint32_t bus = 0;
    std::uint32_t device = 0;
    std::uint32_t function = 0;
    bool permissive = false;
    bool relaxed_memory = false;
    friend bool operator==(const XenPci&, const XenPci&) = default;
};

struct XenScreen {
    std::string listen;
    std::uint32_t display = 0;
    Secret password;
    friend bool operator==(const XenScreen&, const XenScreen&) = default;
};

struct XenConfig {
    std::string name;
    std::string uuid;
    DomainType type = DomainType::unknown;
    std::string kernel;
    std::string ramdisk;
    std::string command_line;
    std::string uefi;            ///< HVM: firmware instead of the BIOS
    std::uint64_t memory_kib = 0;
    std::uint64_t memory_max_kib = 0;
    std::uint32_t vcpus = 0;
    std::uint32_t vcpus_max = 0;
    std::vector<std::vector<std::uint32_t>> affinity;  ///< of each virtual CPU: CPUs of the host; empty: any
    bool ahci = false;
    std::vector<XenDisk> disks;
    std::vector<XenNic> nics;
    std::vector<XenPci> pcis;
    std::vector<std::string> serials;  ///< HVM: QEMU's character devices
    std::optional<XenScreen> screen;
    friend bool operator==(const XenConfig&, const XenConfig&) = default;
};

struct Planned {
    XenConfig config;
    std::vector<std::string> notes;  ///< each taking-away or substitute one sentence
    std::string console_path;        ///< unix socket, or empty
    std::string console_log_path;    ///< or empty
};

/// The domain as Xen shall make it. The spec was validated.
///
/// Errors: failed_precondition - this machine cannot run it: no hardware virtualization, no firmware, no IOMMU.
/// Source: EVE pkg/pillar/hypervisor/xen.go, createDomConfig; xen-tools' xen-start for the choice of PVH.
Result<Planned> plan(const DomainSpec& spec, const Facts& facts, const Settings& settings);

/// The same in the words of xl.cfg, for people: without passwords.
std::string config_text(const XenConfig& config);

/// "0000:03:00.0" or "03:00.0"; nothing if it is neither.
std::optional<XenPci> pci_address(std::string_view text);

}  // namespace eve::xen
