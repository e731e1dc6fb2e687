#include "core/zedmanager/records.hpp"

#include <algorithm>
#include <set>
#include <string_view>

namespace eve::zedmanager {

namespace {

constexpr std::string_view kObsoleteBootLoader = "/usr/bin/pygrub";
constexpr std::string_view kContainerKernel = "/hostfs/boot/kernel";
constexpr std::string_view kContainerRamdisk = "/usr/lib/xen/boot/runx-initrd";
constexpr std::string_view kContainerArguments = "console=hvc0 root=9p dhcp=1";
constexpr std::string_view kSeaBios = "/usr/lib/xen/boot/seabios.bin";
constexpr std::string_view kCombinedUefi = "/usr/lib/xen/boot/ovmf.bin";
constexpr std::string_view kUefiCode = "/usr/lib/xen/boot/OVMF_CODE.fd";
constexpr std::string_view kLegacyGpu = "legacy";

template <class Reference> std::string key_of(const Reference& reference) {
    return reference.VolumeID.to_string() + "#" + std::to_string(reference.GenerationCounter + reference.LocalGenerationCounter);
}

/// All but the ACLs, which may change while the app runs.
types::AppNetAdapterConfig without_acls(types::AppNetAdapterConfig adapter) {
    adapter.ACLs.clear();
    return adapter;
}

bool same_but_acls(const std::vector<types::AppNetAdapterConfig>& a, const std::vector<types::AppNetAdapterConfig>& b) {
    return std::ranges::equal(a, b, [](const auto& x, const auto& y) { return without_acls(x) == without_acls(y); });
}

template <class Value> void note(std::vector<std::string>& changes, std::string_view name, const Value& before, const Value& now) {
    if (before == now) return;
    if constexpr (std::is_same_v<Value, std::int64_t>)
        changes.push_back(std::string(name) + " changed from " + std::to_string(before) + " to " + std::to_string(now));
    else
        changes.push_back(std::string(name) + " changed");
}

std::string joined_mtus(const types::AppNetworkStatus& network) {
    std::string text;
    for (const auto& adapter : network.AppNetAdapterList) text += (text.empty() ? "" : ",") + std::to_string(adapter.MTU);
    return text;
}

/// Defaults that every other agent relies on: kernel of a container's VM, firmware of the others.
void fill_boot_material(types::DomainConfig& domain, const DomainParts& parts) {
    if (domain.BootLoader == kObsoleteBootLoader) domain.BootLoader.clear();
    const bool container = !domain.DiskConfigList.empty() && domain.DiskConfigList.front().Format == types::Format::CONTAINER;
    if (container) {
        if (domain.Kernel.empty()) domain.Kernel = kContainerKernel;
        if (domain.Ramdisk.empty()) domain.Ramdisk = kContainerRamdisk;
        if (domain.ExtraArgs.empty()) domain.ExtraArgs = kContainerArguments;
        if (domain.EnableVnc)
            domain.ExtraArgs += " console=tty0";
        else
            domain.GPUConfig.clear();
        if (domain.BootLoader.empty()) domain.BootLoader = parts.machine == Machine::amd64 ? kSeaBios : kCombinedUefi;
        if (!parts.network.AppNetAdapterList.empty()) domain.ExtraArgs += " mtu=" + joined_mtus(parts.network);
    }
    if (!domain.BootLoader.empty()) return;
    if (domain.VirtualizationMode == types::VmMode::FML)
        domain.BootLoader = kUefiCode;
    else if (parts.machine == Machine::arm64)
        domain.BootLoader = kCombinedUefi;
}

Status fill_disks(types::DomainConfig& domain, const DomainParts& parts) {
    for (const auto& reference : parts.accepted.volumes) {
        const auto found = std::ranges::find_if(parts.status.VolumeRefStatusList,
                                                [&](const auto& volume) { return volume_key(volume) == volume_key(reference); });
        if (found == parts.status.VolumeRefStatusList.end()) continue;
        if (found->ActiveFileLocation.empty())
            return Error{.code = Code::failed_precondition, .what = "Missing ActiveFileLocation for volume " + volume_key(reference)};
        domain.DiskConfigList.push_back({.VolumeKey = volume_key(reference),
                                         .FileLocation = found->ActiveFileLocation,
                                         .ReadOnly = found->ReadOnly,
                                         .Format = found->ContentFormat,
                                         .MountDir = reference.MountDir,
                                         .DisplayName = found->DisplayName,
                                         .WWN = found->WWN,
                                         .Target = found->Target,
                                         .CustomMeta = found->CustomMeta});
        if (domain.VirtualizationMode == types::VmMode::NOHYPER && domain.KubeImageName.empty()) domain.KubeImageName = found->ReferenceName;
    }
    return {};
}

}  // namespace

std::string volume_key(const types::VolumeRefConfig& reference) { return key_of(reference); }
std::string volume_key(const types::VolumeRefStatus& reference) { return key_of(reference); }
std::string reference_key(const types::VolumeRefConfig& reference) { return key_of(reference) + "#" + reference.AppUUID.to_string(); }
std::string reference_key(const types::VolumeRefStatus& reference) { return key_of(reference) + "#" + reference.AppUUID.to_string(); }

std::uint32_t restart_counter(const types::AppInstanceConfig& config) { return config.RestartCmd.Counter + config.LocalRestartCmd.Counter; }
std::uint32_t purge_counter(const types::AppInstanceConfig& config) { return config.PurgeCmd.Counter + config.LocalPurgeCmd.Counter; }

std::vector<std::string> faults(const types::AppInstanceConfig& config) {
    std::vector<std::string> found = config.Errors;
    if (config.FixedResources.Memory <= 0) found.push_back("Invalid Memory Size - " + std::to_string(config.FixedResources.Memory));
    if (config.FixedResources.VCpus <= 0) found.push_back("Invalid Cpu count - " + std::to_string(config.FixedResources.VCpus));
    std::set<std::string> keys;
    for (const auto& reference : config.VolumeRefConfigList)
        if (!keys.insert(volume_key(reference)).second) found.push_back("Volume " + volume_key(reference) + " is referred to twice");
    return found;
}

bool wanted_active(const types::AppInstanceConfig& config, const std::string& profile) {
    if (!config.Activate) return false;
    return profile.empty() || config.ProfileList.empty() || std::ranges::find(config.ProfileList, profile) != config.ProfileList.end();
}

Accepted accept(const types::AppInstanceConfig& config) {
    return {.resources = config.FixedResources,
            .volumes = config.VolumeRefConfigList,
            .adapters = config.IoAdapterList,
            .restart_counter = restart_counter(config),
            .purge_counter = purge_counter(config)};
}

Difference compare(const Accepted& accepted, const types::AppInstanceConfig& wanted) {
    Difference difference;
    std::set<std::string> before, now;
    for (const auto& reference : accepted.volumes) before.insert(volume_key(reference));
    for (const auto& reference : wanted.VolumeRefConfigList) now.insert(volume_key(reference));
    if (before.size() != now.size())
        difference.purge.push_back("number of volumes changed from " + std::to_string(before.size()) + " to " + std::to_string(now.size()));
    for (const auto& key : now)
        if (!before.contains(key)) difference.purge.push_back("volume " + key + " is new");
    note(difference.purge, "IoAdapterList", accepted.adapters, wanted.IoAdapterList);

    const auto& a = accepted.resources;
    const auto& b = wanted.FixedResources;
    if (a == b) return difference;
    auto& changes = difference.restart;
    note(changes, "Kernel", a.Kernel, b.Kernel);
    note(changes, "Ramdisk", a.Ramdisk, b.Ramdisk);
    note(changes, "Memory", a.Memory, b.Memory);
    note(changes, "MaxMem", a.MaxMem, b.MaxMem);
    note(changes, "VCpus", a.VCpus, b.VCpus);
    note(changes, "MaxCpus", a.MaxCpus, b.MaxCpus);
    note(changes, "RootDev", a.RootDev, b.RootDev);
    note(changes, "ExtraArgs", a.ExtraArgs, b.ExtraArgs);
    note(changes, "BootLoader", a.BootLoader, b.BootLoader);
    note(changes, "VirtualizationMode", a.VirtualizationMode, b.VirtualizationMode);
    note(changes, "EnableVnc", a.EnableVnc, b.EnableVnc);
    note(changes, "VncDisplay", a.VncDisplay, b.VncDisplay);
    note(changes, "VncPasswd", a.VncPasswd, b.VncPasswd);
    note(changes, "CPUsPinned", a.CPUsPinned, b.CPUsPinned);
    note(changes, "VMMMaxMem", a.VMMMaxMem, b.VMMMaxMem);
    note(changes, "DisableVirtualTPM", a.DisableVirtualTPM, b.DisableVirtualTPM);
    types::VmConfig same_order = a;
    same_order.BootOrder = b.BootOrder;
    difference.only_boot_order = same_order == b;
    note(changes, "BootOrder", a.BootOrder, b.BootOrder);
    if (changes.empty()) changes.emplace_back("resources changed");
    return difference;
}

types::AppNetworkConfig make_network_config(const types::AppInstanceConfig& config, const types::UUIDandVersion& identity, bool activate,
                                            const types::AppNetworkConfig* before, Staging staging) {
    types::AppNetworkConfig network{.UUIDandVersion = identity,
                                    .DisplayName = config.DisplayName,
                                    .Activate = activate,
                                    .GetStatsIPAddr = config.CollectStatsIPAddr,
                                    .AppNetAdapterList = config.AppNetAdapterList,
                                    .CloudInitUserData = config.CloudInitUserData,
                                    .CipherBlockStatus = config,
                                    .MetaDataType = config.MetaDataType,
                                    .DeploymentType = config.DeploymentType};
    if (staging == Staging::apply_all || before == nullptr || same_but_acls(before->AppNetAdapterList, config.AppNetAdapterList)) return network;
    network.AppNetAdapterList = before->AppNetAdapterList;
    for (auto& adapter : network.AppNetAdapterList)
        for (const auto& wanted : config.AppNetAdapterList)
            if (wanted.Name == adapter.Name && wanted.Network == adapter.Network) adapter.ACLs = wanted.ACLs;
    return network;
}

bool describes(const types::AppNetworkStatus& status, const types::AppNetworkConfig& config) {
    return std::ranges::equal(status.AppNetAdapterList, config.AppNetAdapterList,
                              [](const auto& a, const auto& b) { return a.Name == b.Name && a.Network == b.Network; });
}

Result<types::DomainConfig> make_domain_config(const DomainParts& parts) {
    const auto& config = parts.config;
    types::DomainConfig domain;
    static_cast<types::VmConfig&>(domain) = parts.accepted.resources;
    static_cast<types::CipherBlockStatus&>(domain) = config;
    domain.UUIDandVersion = parts.status.UUIDandVersion;
    domain.DisplayName = config.DisplayName;
    domain.Activate = true;
    domain.UserActivate = true;
    domain.AppNum = parts.network.AppNum;
    domain.DisableLogs = config.DisableLogs;
    domain.GPUConfig = kLegacyGpu;
    domain.IoAdapterList = parts.accepted.adapters;
    domain.PurgeCounter = parts.accepted.purge_counter;
    domain.RestartCounter = parts.accepted.restart_counter;
    domain.IsDNidNode = config.IsDesignatedNodeID;
    domain.AffinityType = config.AffinityType;
    domain.CloudInitUserData = config.CloudInitUserData;
    domain.MetaDataType = config.MetaDataType;
    domain.Service = config.Service;
    domain.CloudInitVersion = config.CloudInitVersion;
    domain.DeploymentType = config.DeploymentType;
    for (const auto& adapter : parts.network.AppNetAdapterList) domain.VifList.push_back(adapter);
    if (auto filled = fill_disks(domain, parts); !filled) return std::move(filled).error();
    fill_boot_material(domain, parts);
    return domain;
}

}  // namespace eve::zedmanager
