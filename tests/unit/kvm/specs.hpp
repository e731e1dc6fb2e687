#pragma once
// The specs that the golden files were made of.

#include "eve/domain.hpp"
#include "qemu_config.hpp"

namespace eve::kvm::test {

inline constexpr const char* app_id = "6ba7b810-9dad-11d1-80b4-00c04fd430c8";

/// EVE's worked example: HVM, 1 GiB, two CPUs, a disk, an ISO, cloud-init, an interface, a NIC of the host and COM1, a TPM.
inline DomainSpec worked_example() {
    const std::string name = std::string(app_id) + ".1.3";
    return {.id = {app_id},
            .revision = 1,
            .name = name,
            .mode = VirtualizationMode::hvm,
            .memory = Bytes{1048576ULL << 10},
            .vcpus = 2,
            .virtual_tpm = true,
            .disks = {{.id = "v1#0", .path = "/persist/vault/volumes/v1#0.raw", .format = DiskFormat::raw},
                      {.id = "v2#0", .path = "/persist/vault/volumes/v2#0.iso", .format = DiskFormat::iso, .read_only = true},
                      {.id = "cloud-init", .path = std::string("/run/domainmgr/cloudinit/") + app_id + ".cidata", .format = DiskFormat::raw, .read_only = true,
                       .cdrom = true}},
            .vifs = {{.name = "nbu1x3", .bridge = "bn1", .mac = "02:16:3e:01:00:03", .mtu = 1500}},
            .adapters = {{.kind = AdapterKind::pci, .name = "eth3", .address = "0000:03:00.0", .network = true},
                         {.kind = AdapterKind::serial, .name = "COM1", .address = "/dev/ttyS0"}}};
}

/// The same without what this plugin refuses.
inline DomainSpec accepted_example() {
    auto spec = worked_example();
    spec.virtual_tpm = false;
    spec.adapters.clear();
    return spec;
}

inline Layout eve_layout() {
    const auto directory = "/run/hypervisor/kvm/" + std::string(app_id) + ".1.3";
    return {.directory = directory,
            .config_path = "/run/domainmgr/xen/xen3.cfg",
            .firmware_vars = "/persist/vault/ovmf/" + std::string(app_id) + "_OVMF_VARS.fd",
            .vsock_cid = 4,
            .tpm_socket = std::string("/run/swtpm/") + app_id + ".ctrl.sock"};
}

}  // namespace eve::kvm::test
