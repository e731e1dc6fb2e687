#pragma once
// What the plugin writes down and reads back: its settings, and of each domain what another life of the plugin must know.

#include <string>
#include <string_view>
#include <vector>

#include "eve/domain.hpp"
#include "eve/host.hpp"
#include "eve/result.hpp"

namespace eve::xen {

/// The plugin's own configuration. Every setting may be left out.
struct Settings {
    std::string pv_type = "auto";  ///< of PV apps: pvh where CPU and kernel can, else pv (auto, EVE's way); pv
    std::string pvh_firmware = "/usr/lib/xen/boot/ovmf-pvh.bin";  ///< EVE's kernel of PV apps without one
    std::string uefi_firmware = "/usr/share/ovmf/OVMF.fd";        ///< of FML apps whose own is not there
    std::string vif_script = "/etc/xen/scripts/vif-bridge";
    std::string console_logs = "/var/log/xen/console";            ///< where xenconsoled --log=guest writes
    std::string xenstored = "/run/xenstored/socket";
    std::string vnc_listen = "127.0.0.1";
    friend bool operator==(const Settings&, const Settings&) = default;
};

/// The settings that the node gave.
Result<Settings> read_settings(const PluginConfig& config);

/// A JSON schema of them, as text.
std::string settings_schema();

/// How far a domain came. Written before each step, so that a plugin that died knows what to expect.
enum class Phase : std::uint8_t { unknown, creating, created, started, cut, rebooting };

/// Of one domain, in its directory; also kept by libxl beside the domain, should the directory get lost.
struct DomainRecord {
    DomainSpec spec;
    Phase phase = Phase::unknown;
    std::uint32_t domid = 0;               ///< Xen's number of it; 0: none yet
    ProcessIdentity device_model;          ///< pid 0: none
    std::string started_at;
    std::string failure;                   ///< why it could not be made again after a reboot
    std::uint32_t quick_reboots = 0;       ///< in a row, each soon after the one before
    std::int64_t rebooted_ns = 0;          ///< CLOCK_BOOTTIME of the last
    std::string console_path;
    std::string console_log_path;
    std::vector<std::string> notes;
    friend bool operator==(const DomainRecord&, const DomainRecord&) = default;
};

Result<std::string> record_text(const DomainRecord& record);
Result<DomainRecord> read_record(std::string_view text);

}  // namespace eve::xen
