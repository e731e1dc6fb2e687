#pragma once
// What the plugin writes down and reads back: its settings, and of each domain what another life of the plugin must know.

#include <string>
#include <string_view>
#include <vector>

#include "eve/domain.hpp"
#include "eve/host.hpp"
#include "eve/result.hpp"

namespace eve::kvm {

/// The plugin's own configuration. Every setting may be left out.
struct Settings {
    std::string qemu = "/usr/bin/qemu-system-x86_64";
    std::string machine = "pc-q35-3.1";   ///< EVE's
    std::string accel = "auto";           ///< auto: KVM where a test guest runs, else emulation; kvm; tcg
    std::string ovmf_code = "/usr/share/OVMF/OVMF_CODE_4M.fd";
    std::string ovmf_vars = "/usr/share/OVMF/OVMF_VARS_4M.fd";
    std::string ovmf_vars_dir;            ///< holds OVMF_VARS_<width>x<height>.fd; empty: resolutions are refused
    std::string virtiofsd = "/usr/lib/qemu/virtiofsd";  ///< serves the file systems of containers in virtual machines
    std::string container_vm_dir;         ///< holds kernel and initramfs of these; empty: where they are installed
    std::string vnc_listen = "127.0.0.1";
    std::uint32_t uid = 0;                ///< of every QEMU; 0: the node's guest user, else one for each domain
    std::uint32_t gid = 0;
    std::uint32_t uid_first = 1802923264; ///< domain n runs as uid_first + n where the node names no user
    Bytes console_log_max = 1_MiB;        ///< one older log of this size is kept beside it
    friend bool operator==(const Settings&, const Settings&) = default;
};

/// The settings that the node gave.
Result<Settings> read_settings(const PluginConfig& config);

/// A JSON schema of them, as text.
std::string settings_schema();

/// Of one domain, in its directory.
struct DomainRecord {
    DomainSpec spec;                 ///< without the password of its screen
    std::uint32_t number = 0;        ///< unique among the domains that exist: its vsock address and user come from it
    std::uint32_t uid = 0;
    std::vector<std::string> notes;
    friend bool operator==(const DomainRecord&, const DomainRecord&) = default;
};

Result<std::string> record_text(const DomainRecord& record);
Result<DomainRecord> read_record(std::string_view text);

}  // namespace eve::kvm
