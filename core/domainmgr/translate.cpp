#include "core/domainmgr/translate.hpp"

#include <algorithm>

#include "core/domainmgr/cloud_init.hpp"
#include "core/types/codec.hpp"

namespace eve::domainmgr {

namespace {

constexpr std::size_t name_bytes_max = 127;
constexpr std::string_view cloud_init_id = "cloud-init";

std::uint64_t fnv1a(std::string_view text) {
    std::uint64_t hash = 14695981039346656037U;
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211U;
    return hash;
}

DiskFormat runtime_format(types::Format format) {
    switch (format) {
        case types::Format::RAW: return DiskFormat::raw;
        case types::Format::QCOW: return DiskFormat::qcow;
        case types::Format::QCOW2: return DiskFormat::qcow2;
        case types::Format::VHD: return DiskFormat::vhd;
        case types::Format::VMDK: return DiskFormat::vmdk;
        case types::Format::OVA: return DiskFormat::ova;
        case types::Format::VHDX: return DiskFormat::vhdx;
        case types::Format::ISO: return DiskFormat::iso;
        case types::Format::CONTAINER: return DiskFormat::container;
        case types::Format::FmtUnknown:
        case types::Format::PVC: break;
    }
    return DiskFormat::unknown;
}

DiskTarget runtime_target(types::Target target) {
    switch (target) {
        case types::Target::Kernel: return DiskTarget::kernel;
        case types::Target::Initrd: return DiskTarget::initrd;
        case types::Target::RamDisk: return DiskTarget::ramdisk;
        case types::Target::AppCustom: return DiskTarget::app_custom;
        case types::Target::TgtUnknown:
        case types::Target::Disk: break;
    }
    return DiskTarget::disk;
}

Error bad(std::string field, std::string what, std::string hint = {}) {
    return {.code = Code::invalid_argument, .what = std::move(what), .field = std::move(field), .hint = std::move(hint)};
}

Result<std::vector<Disk>> disks_of(const TranslateInputs& in) {
    std::vector<Disk> disks;
    const bool container = is_container(in.config);
    for (std::size_t i = 0; i < in.config.DiskConfigList.size(); ++i) {
        const auto& disk = in.config.DiskConfigList[i];
        const std::string field = ".DiskConfigList[" + std::to_string(i) + "]";
        const std::string name = disk.DisplayName.empty() ? disk.VolumeKey : disk.DisplayName;
        if (disk.FileLocation.empty()) return bad(field + ".FileLocation", "volume " + name + " has no file yet");
        const DiskFormat format = runtime_format(disk.Format);
        if (format == DiskFormat::unknown) return bad(field + ".Format", "volume " + name + " has a format that no guest can use");
        disks.push_back({.id = disk.VolumeKey,
                         .path = disk.FileLocation,
                         .format = format,
                         .read_only = disk.ReadOnly || format == DiskFormat::iso,
                         .cdrom = format == DiskFormat::iso,
                         .target = runtime_target(disk.Target),
                         .wwn = disk.WWN,
                         .mount_dir = container ? disk.MountDir : "",
                         .name = container ? disk.DisplayName : ""});
    }
    if (!in.cloud_init_path.empty())
        disks.push_back(
            {.id = std::string(cloud_init_id), .path = in.cloud_init_path, .format = DiskFormat::iso, .read_only = true, .cdrom = true});
    return disks;
}

Result<std::vector<Vif>> vifs_of(const TranslateInputs& in) {
    std::vector<Vif> vifs;
    const bool ordered = in.config.EnforceNetworkInterfaceOrder && in.runtime.capabilities.network_order;
    for (std::size_t i = 0; i < in.config.VifList.size(); ++i) {
        const auto& vif = in.config.VifList[i];
        const std::string field = ".VifList[" + std::to_string(i) + "]";
        if (vif.Vif.empty() || vif.Bridge.empty()) return bad(field, "a network interface has no name or no bridge");
        if (vif.Mac.empty()) return bad(field + ".Mac", "network interface " + vif.Vif + " has no MAC address");
        vifs.push_back({.name = vif.Vif,
                        .bridge = vif.Bridge,
                        .mac = vif.Mac.to_string(),
                        .mtu = vif.MTU,
                        .order = ordered ? std::optional(vif.VifOrder) : std::nullopt});
    }
    return vifs;
}

std::uint64_t kib(std::int64_t amount) { return amount > 0 ? static_cast<std::uint64_t>(amount) << 10 : 0; }

/// Fields that depend on what the runtime can do: each is set, or left out with a note, or refused.
Status add_optional(const TranslateInputs& in, DomainSpec& spec, std::vector<std::string>& notes) {
    const auto& config = in.config;
    const auto& can = in.runtime.capabilities;
    if (config.EnableVnc && can.vnc) spec.vnc = {.enabled = true, .display = config.VncDisplay, .password = {config.VncPasswd}};
    else if (config.EnableVnc) notes.emplace_back("no VNC: this runtime does not offer it");
    if (config.BootOrder != types::BootOrder::BOOT_ORDER_UNSPECIFIED) {
        if (can.boot_order) spec.boot_order = config.BootOrder == types::BootOrder::BOOT_ORDER_USB ? BootOrder::usb : BootOrder::nousb;
        else notes.emplace_back("the boot order is the firmware's own: this runtime cannot change it");
    }
    if (config.EnforceNetworkInterfaceOrder) {
        if (!can.network_order)
            return Error{.code = Code::unsupported,
                         .what = "the order of network interfaces is enforced, which this runtime cannot do",
                         .field = ".EnforceNetworkInterfaceOrder"};
        spec.network_order_enforced = true;
    }
    if (config.EnableOemWinLicenseKey) {
        if (can.oem_license && in.oem_license) spec.oem_license = true;
        else notes.emplace_back("no OEM licence is shown to the guest: this machine or runtime has none");
    }
    if (config.CPUsPinned) {
        if (!can.cpu_pinning)
            return Error{.code = Code::unsupported, .what = "the app wants CPUs of its own, which this runtime cannot give", .field = ".CPUsPinned"};
        if (in.cpus.empty()) return bad(".CPUs", "the app wants CPUs of its own and none were assigned to it");
        spec.cpus = in.cpus;
        spec.cpus_pinned = true;
        std::string list;
        for (const auto cpu : spec.cpus) list += (list.empty() ? "" : ",") + std::to_string(cpu);
        spec.labels[label_cpus] = list;
    } else if (can.cpu_pinning) {
        spec.cpus = in.cpus;
    }
    const bool container = spec.mode == VirtualizationMode::container;
    if (can.memory_limit && !container) spec.memory_overhead = eve::Bytes{in.overhead_bytes};
    if (can.virtual_tpm) spec.virtual_tpm = !config.DisableVirtualTPM && !container;
    spec.adapters = in.adapters;
    if (!in.vmm_args.empty() && !can.vmm_args)
        return Error{.code = Code::unsupported, .what = "a device needs an argument of the virtual machine monitor (" + in.vmm_args.front() +
                                                        "), which this runtime does not take"};
    spec.vmm_args = in.vmm_args;
    return {};
}

}  // namespace

VirtualizationMode runtime_mode(types::VmMode mode) {
    switch (mode) {
        case types::VmMode::HVM: return VirtualizationMode::hvm;
        case types::VmMode::FML: return VirtualizationMode::fml;
        case types::VmMode::NOHYPER: return VirtualizationMode::container;
        case types::VmMode::LEGACY: return VirtualizationMode::legacy;
        case types::VmMode::PV:
        case types::VmMode::Filler: break;
    }
    return VirtualizationMode::pv;
}

std::string domain_name(const types::DomainConfig& config) {
    std::string version = config.UUIDandVersion.Version;
    for (char& c : version) {
        const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-';
        if (!plain) c = '_';
    }
    const std::string uuid = config.UUIDandVersion.UUID.to_string();
    const std::string number = std::to_string(config.AppNum);
    const std::size_t left = name_bytes_max - uuid.size() - number.size() - 2;
    return uuid + "." + version.substr(0, left) + "." + number;
}

std::uint64_t revision_of(const types::DomainConfig& config) {
    types::DomainConfig told = config;
    // Not part of what a runtime is told, or no reason for another domain.
    told.Activate = told.UserActivate = false;
    types::clear_error(static_cast<types::ErrorAndTime&>(told));
    told.CipherContext.reset();
    // 53 bits, so that the figure survives readers that keep numbers as doubles.
    return (fnv1a(to_json(told)) & ((std::uint64_t{1} << 53) - 1)) | 1;
}

Result<Translated> translate(const TranslateInputs& in) {
    const auto& config = in.config;
    Translated out;
    DomainSpec& spec = out.spec;
    spec.id = DomainId{config.UUIDandVersion.UUID.to_string()};
    spec.revision = revision_of(config);
    spec.name = domain_name(config);
    spec.display_name = config.DisplayName;
    spec.labels = {{label_version, config.UUIDandVersion.Version.substr(0, name_bytes_max)},
                   {label_purge, std::to_string(config.PurgeCounter)},
                   {label_restart, std::to_string(config.RestartCounter)}};
    spec.mode = runtime_mode(config.VirtualizationMode);
    if (config.Service && spec.mode != VirtualizationMode::container) return bad(".Service", "a service app must be a container (NOHYPER)");
    if (config.Service)
        return Error{.code = Code::unsupported,
                     .what = "service apps, whose image brings its runtime configuration in a label, are not offered here",
                     .field = ".Service"};
    if (config.Memory <= 0) return bad(".Memory", "the app has no memory");
    if (config.VCpus <= 0) return bad(".VCpus", "the app has no CPU");
    if (config.VCpus > cpus_max || config.MaxCpus > cpus_max) return bad(".VCpus", "more CPUs than any machine has");
    spec.memory = eve::Bytes{kib(config.Memory)};
    spec.memory_max = eve::Bytes{config.MaxMem > config.Memory ? kib(config.MaxMem) : 0};
    spec.vcpus = static_cast<std::uint32_t>(config.VCpus);
    spec.vcpus_max = config.MaxCpus > config.VCpus ? static_cast<std::uint32_t>(config.MaxCpus) : 0;
    // EVE gives every app with an OCI image the kernel of a VM; a runtime that makes one for it has its own.
    if (spec.mode != VirtualizationMode::container && !is_container(config)) {
        spec.kernel = config.Kernel;
        spec.ramdisk = config.Ramdisk;
        spec.device_tree = config.DeviceTree;
        spec.extra_args = config.ExtraArgs;
        spec.root_device = config.RootDev;
        spec.firmware = config.BootLoader;
        spec.gpu = config.GPUConfig;
    }
    spec.resolution = spec.mode == VirtualizationMode::fml ? in.resolution : "";
    spec.openstack_metadata = config.MetaDataType == types::MetaDataType::MetaDataOpenStack;
    spec.console_log_disabled = config.DisableLogs;
    if (!config.DtDev.empty() || !config.IRQs.empty() || !config.IOMem.empty())
        return Error{.code = Code::unsupported, .what = "device tree, IRQ and I/O memory passthrough are not offered here", .field = ".DtDev"};
    auto disks = disks_of(in);
    if (!disks) return std::move(disks).error();
    spec.disks = *std::move(disks);
    auto data = container_data(config);
    if (!data) return std::move(data).error();
    spec.env = std::move(data->env);
    spec.files = std::move(data->files);
    auto vifs = vifs_of(in);
    if (!vifs) return std::move(vifs).error();
    spec.vifs = *std::move(vifs);
    if (auto added = add_optional(in, spec, out.notes); !added) return std::move(added).error();
    return out;
}

std::vector<types::DiskStatus> disk_statuses(const types::DomainConfig& config, const std::string& cloud_init_path) {
    std::vector<types::DiskStatus> statuses;
    const bool legacy = config.VirtualizationMode == types::VmMode::LEGACY;
    bool shared_directory = false;
    for (std::size_t i = 0; i < config.DiskConfigList.size(); ++i) {
        const auto& disk = config.DiskConfigList[i];
        types::DiskStatus status;
        status.VolumeKey = disk.VolumeKey;
        status.ReadOnly = disk.ReadOnly;
        status.FileLocation = disk.FileLocation;
        status.Format = disk.Format;
        status.MountDir = disk.MountDir;
        status.DisplayName = disk.DisplayName;
        status.WWN = disk.WWN;
        status.CustomMeta = disk.CustomMeta;
        status.Vdev = std::string("xvd") + static_cast<char>('a' + static_cast<int>(i % 25));
        if (disk.Target == types::Target::AppCustom) {
            status.Devtype = "AppCustom";
        } else if (disk.Format == types::Format::CONTAINER) {
            shared_directory = true;
        } else if (disk.Format == types::Format::ISO) {
            status.Format = types::Format::RAW;
            status.Devtype = "cdrom";
        } else {
            status.Devtype = legacy ? "legacy" : "hdd";
        }
        statuses.push_back(std::move(status));
    }
    if (shared_directory) {
        types::DiskStatus status;
        status.FileLocation = "/mnt";
        status.Devtype = "9P";
        statuses.push_back(std::move(status));
    }
    if (!cloud_init_path.empty()) {
        types::DiskStatus status;
        status.FileLocation = cloud_init_path;
        status.Format = types::Format::RAW;
        status.ReadOnly = true;
        status.Devtype = "cdrom";
        status.Vdev = "xvdz";
        statuses.push_back(std::move(status));
    }
    return statuses;
}

std::vector<types::VifInfo> vif_infos(const types::DomainConfig& config) {
    std::vector<types::VifInfo> infos;
    for (const auto& vif : config.VifList) {
        types::VifInfo info;
        static_cast<types::VifConfig&>(info) = vif;
        info.VifUsed = vif.Vif;
        infos.push_back(std::move(info));
    }
    return infos;
}

}  // namespace eve::domainmgr
