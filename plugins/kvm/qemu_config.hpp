#pragma once
// What QEMU is told about a domain, as data: its arguments and the sections of its configuration file (docs/system/qemu-manpage, -readconfig),
// in the form and order in which EVE's node generates them. Pure: no file is touched.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "eve/domain.hpp"
#include "eve/result.hpp"
#include "guest/order.hpp"

namespace eve::kvm {

/// `[kind "id"]` and its `name = "value"` lines.
struct Section {
    std::string kind;
    std::string id;
    std::vector<std::pair<std::string, std::string>> entries;

    /// The value of an entry, or null.
    const std::string* find(std::string_view name) const;
    std::string* find(std::string_view name);
    /// Replaces the entry, or adds it at the end.
    void set(std::string_view name, std::string value);
    /// Whether there was such an entry.
    bool remove(std::string_view name);
    friend bool operator==(const Section&, const Section&) = default;
};

/// A QEMU as it is to be started: the arguments after its name, and its configuration file.
struct QemuPlan {
    std::vector<std::string> args;
    std::vector<Section> sections;
    friend bool operator==(const QemuPlan&, const QemuPlan&) = default;
};

enum class Architecture : std::uint8_t { x86_64, aarch64 };

/// By address of a device, as the kernel numbers them.
using IommuGroups = std::map<std::string, std::string>;

/// What a domain's configuration depends on beside its spec.
struct Layout {
    Architecture architecture = Architecture::x86_64;
    std::string machine = "pc-q35-3.1";
    std::string directory;       ///< of the domain's sockets: EVE's /run/hypervisor/kvm/<name>
    std::string config_path;     ///< of the file that -readconfig reads
    std::string firmware_vars;   ///< of the domain, for fml
    std::string vnc_listen = "127.0.0.1";
    std::uint32_t vsock_cid = 4;
    std::string tpm_socket;      ///< of the domain's swtpm
    IommuGroups iommu_groups;    ///< of the host's devices that the domain gets
};

/// The limits of the guest's buses: PCI slots 4 to 0x1e are for disks, interfaces and devices; the SATA controller has six ports.
inline constexpr std::uint32_t first_slot = 4;
inline constexpr std::uint32_t last_slot = 0x1e;
inline constexpr std::uint32_t sata_ports = 6;

/// QEMU reads lines of 1,023 bytes and names of 63; what would be cut is refused.
inline constexpr std::size_t value_size_max = 900;
/// Whether a value can be carried in QEMU's configuration: not too long, no quote, no control character.
bool carried(std::string_view value);
inline constexpr std::size_t name_size_max = 63;

/// Of a container in a virtual machine, in the domain's directory: the file with the guest's report, and for the disk of that place a directory
/// with the socket of what serves its file system.
inline constexpr const char* exit_report_file = "app-exit";
inline constexpr const char* share_prefix = "fs";
inline constexpr const char* share_socket = "socket";

/// The name by which the guest finds the disk of that place: tag of a file system, or serial number.
std::string volume_source(std::size_t place);

/// QEMU's name of a disk format, empty when it has none.
std::string_view qemu_format(DiskFormat format);

/// What takes one slot of the guest's bus beside the disks: an interface, or devices that stay together: functions of one card, and what the
/// host's IOMMU cannot tell apart. Behind one bridge those have one address space in the guest; QEMU refuses a group with several.
struct Place {
    const Vif* vif = nullptr;
    std::vector<const Adapter*> functions;
    std::optional<std::uint32_t> order;
};
/// In the order of slots: interfaces, then cards as they are given; where an order is enforced, by that, and what is no network device last.
std::vector<Place> places_of(const DomainSpec& spec, const IommuGroups& groups);
/// Why the enforced order cannot be kept, naming the card and what stands between its functions; or empty.
std::string interleaved(const DomainSpec& spec);

/// The plan in EVE's form. `spec` was validated.
QemuPlan eve_plan(const DomainSpec& spec, const Layout& layout);

/// The sections as text that QEMU reads back as exactly these sections.
///
/// Errors: invalid_argument - a value holds what the format cannot carry (a quote, a control character) or is too long; `field` names it as
///         "kind.id.name".
Result<std::string> config_text(const std::vector<Section>& sections);

/// The text as QEMU reads it: what config_text() wrote comes back. For tests and for people's edits.
Result<std::vector<Section>> parse_config_text(std::string_view text);

}  // namespace eve::kvm
