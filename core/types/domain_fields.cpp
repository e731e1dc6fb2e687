// Field tables of domain.hpp: the order, the keys and the tags that Go programs see.

#include "core/types/domain.hpp"

#include "core/types/describe.hpp"

namespace eve::types {

EVE_DESCRIBE(VmConfig, (), (Kernel, Ramdisk, Memory, MaxMem, VCpus, MaxCpus, RootDev, ExtraArgs, BootLoader, CPUs, DeviceTree, DtDev, IRQs, IOMem,
    VirtualizationMode, EnableVnc, VncDisplay, VncPasswd, CPUsPinned, VMMMaxMem, EnableVncShimVM, EnforceNetworkInterfaceOrder,
    EnableOemWinLicenseKey, DisableVirtualTPM, BootOrder))
EVE_DESCRIBE(PodIPAddress, (), (Address, Gateway))
EVE_DESCRIBE(PodRoute, (), (Dst, GW))
EVE_DESCRIBE(PodDNS, (), (Nameservers, Domain, Search, Options))
EVE_DESCRIBE(PodIPAMConfig, (), (IPs, Routes, DNS))
EVE_DESCRIBE(PodVIF, (), (GuestIfName, IPAM))
EVE_DESCRIBE(VifConfig, (), (Bridge, Vif, Mac, MTU, PodVif, VifOrder))
EVE_DESCRIBE(VifInfo, (VifConfig), (VifUsed))
EVE_DESCRIBE(DiskConfig, (), (VolumeKey, FileLocation, ReadOnly, Format, MountDir, DisplayName, WWN, Target, CustomMeta))
EVE_DESCRIBE(DmiSystemInfo, (), (Manufacturer, ProductName, Version, SerialNumber, UUID, SKUNumber, Family))
EVE_DESCRIBE(OemWindowsLicenseKeyInfoQemu, (), (DomainArguments))
EVE_DESCRIBE(OemWindowsLicenseKeyInfoXen, (), ())
EVE_DESCRIBE(OemWindowsLicenseKeyInfo, (), (SystemInfo, Qemu, Xen))
EVE_DESCRIBE(DomainConfig, (VmConfig, CipherBlockStatus), (UUIDandVersion, DisplayName, Activate, UserActivate, AppNum, DisableLogs, GPUConfig,
    DiskConfigList, VifList, IoAdapterList, KubeImageName, PurgeCounter, RestartCounter, IsDNidNode, AffinityType, CloudInitUserData,
    MetaDataType, Service, CloudInitVersion, OemWindowsLicenseKeyInfo, DeploymentType), embedded("VmConfig", "DisableLogs"),
    key("CloudInitUserData", "pubsub-large-CloudInitUserData"), embedded("CipherBlockStatus", "MetaDataType"))
EVE_DESCRIBE(DiskStatus, (), (VolumeKey, ReadOnly, FileLocation, Format, MountDir, DisplayName, Devtype, Vdev, WWN, CustomMeta))
EVE_DESCRIBE(WritableFile, (), (Path, Content, Encoding, Permissions))
EVE_DESCRIBE(DomainStatus, (ErrorAndTime, VmConfig), (UUIDandVersion, DisplayName, State, Activated, AppNum, PurgeCounter, RestartCounter,
    PendingAdd, PendingModify, PendingDelete, DomainName, DomainId, BootTime, DiskStatusList, VifList, IoAdapterList, DisableLogs, TriedCount,
    ConfigFailed, BootFailed, AdaptersFailed, OCIConfigDir, EnvVariables, WritableFiles, Service, VirtualTPM, FmlCustomResolution, IsDNidNode,
    NodeName, PassthroughWindowsLicenseKey, DeploymentType, KubeTrustLoggedState, CrashState, CrashRunState, GuestCoreDumpPath, LastDumpTaken,
    HoldUntil, GdbSocket), embedded("ErrorAndTime", "ConfigFailed"), embedded("VmConfig", "Service"), hidden("KubeTrustLoggedState"),
    hidden("LastDumpTaken"))
EVE_DESCRIBE(DomainMetric, (), (UUIDandVersion, CPUTotalNs, CPUScaled, AllocatedMB, UsedMemory, MaxUsedMemory, AvailableMemory, UsedMemoryPercent,
    LastHeard, Activated, NodeName))
EVE_DESCRIBE(HostMemory, (), (TotalMemoryMB, FreeMemoryMB, UsedEveMB, KmemUsedEveMB, Ncpus))
EVE_DESCRIBE(Capabilities, (), (HWAssistedVirtualization, IOVirtualization, CPUPinning, UseVHost))
EVE_DESCRIBE(IoBundleErrorBase, (), (ErrStr, TypeStr, Warning, GroupScoped), all_omitempty)
EVE_DESCRIBE(IOBundleError, (), (Errors, TimeOfError), all_omitempty)
EVE_DESCRIBE(VfInfo, (), (Index, VlanID, PFIface), all_omitempty)
EVE_DESCRIBE(IoBundle, (), (Type, Phylabel, Logicallabel, AssignmentGroup, ParentAssignmentGroup, Usage, Cost, Ifname, PciLong, Irq, Ioports,
    Serial, UsbAddr, UsbProduct, Unique, MacAddr, UsedByUUID, IsPCIBack, IsPort, KeepInHost, Error, Vfs, VfParams, Cbattr), all_omitempty)
EVE_DESCRIBE(AssignableAdapters, (), (Initialized, IoBundleList), all_omitempty)
EVE_DESCRIBE(PhysicalAddress, (), (PciLong, Ifname, Serial, Irq, Ioports, UsbAddr, UsbProduct, UnknownType))
EVE_DESCRIBE(PhyIOUsagePolicy, (), (FreeUplink))
EVE_DESCRIBE(PhysicalIOAdapter, (), (Ptype, Phylabel, Phyaddr, Logicallabel, Assigngrp, Parentassigngrp, Usage, UsagePolicy, Vfs, Cbattr))
EVE_DESCRIBE(PhysicalIOAdapterList, (), (Initialized, AdapterList))
EVE_DESCRIBE(ProcessMetric, (), (Pid, Name, UserProcess, Watched, NumFDs, NumThreads, UserTime, SystemTime, CPUPercent, CreateTime, VMBytes,
    RssBytes, MemoryPercent, Stack))
EVE_DESCRIBE(DomainNotes, (), (AppUUID, Notes, Runtime, ConsolePath, ConsoleLogPath, VncAddress))

}  // namespace eve::types
