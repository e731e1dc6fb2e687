#pragma once
// What runs: the records of domainmgr, and the hardware that it may hand to a guest.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/types/common.hpp"

namespace eve::types {

enum class VmMode : std::uint8_t {
    PV = 0,
    HVM = 1,
    Filler = 2,
    FML = 3,
    NOHYPER = 4,
    LEGACY = 5,
};

enum class CrashHandlingState : std::uint8_t {
    CrashNone = 0,
    CrashCaptureInProgress = 1,
    CrashCaptured = 2,
    CrashHeld = 3,
};

enum class PhyIoMemberUsage : std::int32_t {
    PhyIoUsageNone = 0,
    PhyIoUsageMgmtAndApps = 1,
    PhyIoUsageShared = 2,
    PhyIoUsageDedicated = 3,
    PhyIoUsageDisabled = 4,
    PhyIoUsageMgmtOnly = 5,
};

enum class PhyIoType : std::int32_t {
    PhyIoNoop = 0,
    PhyIoNetEth = 1,
    PhyIoUSB = 2,
    PhyIoCOM = 3,
    PhyIoAudio = 4,
    PhyIoNetWLAN = 5,
    PhyIoNetWWAN = 6,
    PhyIoHDMI = 7,
    PhyIoNVMEStorage = 9,
    PhyIoSATAStorage = 10,
    PhyIoNetEthPF = 11,
    PhyIoNetEthVF = 12,
    PhyIoUSBController = 13,
    PhyIoUSBDevice = 14,
    PhyIoCAN = 15,
    PhyIoVCAN = 16,
    PhyIoLCAN = 17,
    PhyIoOther = 255,
};

struct VmConfig {
    std::string Kernel;
    std::string Ramdisk;
    std::int64_t Memory = 0;
    std::int64_t MaxMem = 0;
    std::int64_t VCpus = 0;
    std::int64_t MaxCpus = 0;
    std::string RootDev;
    std::string ExtraArgs;
    std::string BootLoader;
    std::vector<std::uint32_t> CPUs;
    std::string DeviceTree;
    std::vector<std::string> DtDev;
    std::vector<std::int64_t> IRQs;
    std::vector<std::string> IOMem;
    VmMode VirtualizationMode = {};
    bool EnableVnc = false;
    std::uint32_t VncDisplay = 0;
    std::string VncPasswd;
    bool CPUsPinned = false;
    std::int64_t VMMMaxMem = 0;
    bool EnableVncShimVM = false;
    bool EnforceNetworkInterfaceOrder = false;
    bool EnableOemWinLicenseKey = false;
    bool DisableVirtualTPM = false;
    types::BootOrder BootOrder = {};
    EVE_RECORD(VmConfig)
};

struct PodIPAddress {
    std::optional<IpNet> Address;
    IpAddress Gateway;
    EVE_RECORD(PodIPAddress)
};

struct PodRoute {
    std::optional<IpNet> Dst;
    IpAddress GW;
    EVE_RECORD(PodRoute)
};

struct PodDNS {
    std::vector<std::string> Nameservers;
    std::string Domain;
    std::vector<std::string> Search;
    std::vector<std::string> Options;
    EVE_RECORD(PodDNS)
};

struct PodIPAMConfig {
    std::vector<PodIPAddress> IPs;
    std::vector<PodRoute> Routes;
    PodDNS DNS;
    EVE_RECORD(PodIPAMConfig)
};

struct PodVIF {
    std::string GuestIfName;
    PodIPAMConfig IPAM;
    EVE_RECORD(PodVIF)
};

struct VifConfig {
    std::string Bridge;
    std::string Vif;
    MacAddress Mac;
    std::uint16_t MTU = 0;
    PodVIF PodVif;
    std::uint32_t VifOrder = 0;
    EVE_RECORD(VifConfig)
};

struct VifInfo : VifConfig {
    std::string VifUsed;
    EVE_RECORD(VifInfo)
};

struct DiskConfig {
    std::string VolumeKey;
    std::string FileLocation;
    bool ReadOnly = false;
    types::Format Format = {};
    std::string MountDir;
    std::string DisplayName;
    std::string WWN;
    types::Target Target = {};
    std::string CustomMeta;
    EVE_RECORD(DiskConfig)
};

struct DmiSystemInfo {
    std::string Manufacturer;
    std::string ProductName;
    std::string Version;
    std::string SerialNumber;
    std::string UUID;
    std::string SKUNumber;
    std::string Family;
    EVE_RECORD(DmiSystemInfo)
};

struct OemWindowsLicenseKeyInfoQemu {
    std::vector<std::string> DomainArguments;
    EVE_RECORD(OemWindowsLicenseKeyInfoQemu)
};

struct OemWindowsLicenseKeyInfoXen {
    EVE_RECORD(OemWindowsLicenseKeyInfoXen)
};

struct OemWindowsLicenseKeyInfo {
    DmiSystemInfo SystemInfo;
    OemWindowsLicenseKeyInfoQemu Qemu;
    OemWindowsLicenseKeyInfoXen Xen;
    EVE_RECORD(OemWindowsLicenseKeyInfo)
};

struct DomainConfig : VmConfig, CipherBlockStatus {
    types::UUIDandVersion UUIDandVersion;
    std::string DisplayName;
    bool Activate = false;
    bool UserActivate = false;
    std::int64_t AppNum = 0;
    bool DisableLogs = false;
    std::string GPUConfig;
    std::vector<DiskConfig> DiskConfigList;
    std::vector<VifConfig> VifList;
    std::vector<IoAdapter> IoAdapterList;
    std::string KubeImageName;
    std::uint32_t PurgeCounter = 0;
    std::uint32_t RestartCounter = 0;
    bool IsDNidNode = false;
    Affinity AffinityType = {};
    std::optional<std::string> CloudInitUserData;
    types::MetaDataType MetaDataType = {};
    bool Service = false;
    std::uint32_t CloudInitVersion = 0;
    types::OemWindowsLicenseKeyInfo OemWindowsLicenseKeyInfo;
    AppRuntimeType DeploymentType = {};
    EVE_RECORD(DomainConfig)
};

struct DiskStatus {
    std::string VolumeKey;
    bool ReadOnly = false;
    std::string FileLocation;
    types::Format Format = {};
    std::string MountDir;
    std::string DisplayName;
    std::string Devtype;
    std::string Vdev;
    std::string WWN;
    std::string CustomMeta;
    EVE_RECORD(DiskStatus)
};

struct WritableFile {
    std::string Path;
    std::string Content;
    std::string Encoding;
    std::string Permissions;
    EVE_RECORD(WritableFile)
};

struct DomainStatus : ErrorAndTime, VmConfig {
    types::UUIDandVersion UUIDandVersion;
    std::string DisplayName;
    SwState State = {};
    bool Activated = false;
    std::int64_t AppNum = 0;
    std::uint32_t PurgeCounter = 0;
    std::uint32_t RestartCounter = 0;
    bool PendingAdd = false;
    bool PendingModify = false;
    bool PendingDelete = false;
    std::string DomainName;
    std::int64_t DomainId = 0;
    Time BootTime;
    std::vector<DiskStatus> DiskStatusList;
    std::vector<VifInfo> VifList;
    std::vector<IoAdapter> IoAdapterList;
    bool DisableLogs = false;
    std::int64_t TriedCount = 0;
    bool ConfigFailed = false;
    bool BootFailed = false;
    bool AdaptersFailed = false;
    std::string OCIConfigDir;
    std::map<std::string, std::string> EnvVariables;
    std::vector<WritableFile> WritableFiles;
    bool Service = false;
    bool VirtualTPM = false;
    std::string FmlCustomResolution;
    bool IsDNidNode = false;
    std::string NodeName;
    bool PassthroughWindowsLicenseKey = false;
    AppRuntimeType DeploymentType = {};
    SwState KubeTrustLoggedState = {};
    CrashHandlingState CrashState = {};
    std::string CrashRunState;
    std::string GuestCoreDumpPath;
    bool LastDumpTaken = false;
    Time HoldUntil;
    std::string GdbSocket;
    EVE_RECORD(DomainStatus)
};

struct DomainMetric {
    types::UUIDandVersion UUIDandVersion;
    std::uint64_t CPUTotalNs = 0;
    std::uint32_t CPUScaled = 0;
    std::uint32_t AllocatedMB = 0;
    std::uint32_t UsedMemory = 0;
    std::uint32_t MaxUsedMemory = 0;
    std::uint32_t AvailableMemory = 0;
    double UsedMemoryPercent = 0;
    Time LastHeard;
    bool Activated = false;
    std::string NodeName;
    EVE_RECORD(DomainMetric)
};

struct HostMemory {
    std::uint64_t TotalMemoryMB = 0;
    std::uint64_t FreeMemoryMB = 0;
    std::uint64_t UsedEveMB = 0;
    std::uint64_t KmemUsedEveMB = 0;
    std::uint32_t Ncpus = 0;
    EVE_RECORD(HostMemory)
};

struct Capabilities {
    bool HWAssistedVirtualization = false;
    bool IOVirtualization = false;
    bool CPUPinning = false;
    bool UseVHost = false;
    EVE_RECORD(Capabilities)
};

struct IoBundleErrorBase {
    std::string ErrStr;
    std::string TypeStr;
    bool Warning = false;
    bool GroupScoped = false;
    EVE_RECORD(IoBundleErrorBase)
};

struct IOBundleError {
    std::vector<IoBundleErrorBase> Errors;
    Time TimeOfError;
    EVE_RECORD(IOBundleError)
};

struct VfInfo {
    std::uint8_t Index = 0;
    std::uint16_t VlanID = 0;
    std::string PFIface;
    EVE_RECORD(VfInfo)
};

struct IoBundle {
    IoType Type = {};
    std::string Phylabel;
    std::string Logicallabel;
    std::string AssignmentGroup;
    std::string ParentAssignmentGroup;
    PhyIoMemberUsage Usage = {};
    std::uint8_t Cost = 0;
    std::string Ifname;
    std::string PciLong;
    std::string Irq;
    std::string Ioports;
    std::string Serial;
    std::string UsbAddr;
    std::string UsbProduct;
    std::string Unique;
    std::string MacAddr;
    Uuid UsedByUUID;
    bool IsPCIBack = false;
    bool IsPort = false;
    bool KeepInHost = false;
    IOBundleError Error;
    VFList Vfs;
    VfInfo VfParams;
    std::map<std::string, std::string> Cbattr;
    EVE_RECORD(IoBundle)
};

struct AssignableAdapters {
    bool Initialized = false;
    std::vector<IoBundle> IoBundleList;
    EVE_RECORD(AssignableAdapters)
};

struct PhysicalAddress {
    std::string PciLong;
    std::string Ifname;
    std::string Serial;
    std::string Irq;
    std::string Ioports;
    std::string UsbAddr;
    std::string UsbProduct;
    std::string UnknownType;
    EVE_RECORD(PhysicalAddress)
};

struct PhyIOUsagePolicy {
    bool FreeUplink = false;
    EVE_RECORD(PhyIOUsagePolicy)
};

struct PhysicalIOAdapter {
    PhyIoType Ptype = {};
    std::string Phylabel;
    PhysicalAddress Phyaddr;
    std::string Logicallabel;
    std::string Assigngrp;
    std::string Parentassigngrp;
    PhyIoMemberUsage Usage = {};
    PhyIOUsagePolicy UsagePolicy;
    VFList Vfs;
    std::map<std::string, std::string> Cbattr;
    EVE_RECORD(PhysicalIOAdapter)
};

struct PhysicalIOAdapterList {
    bool Initialized = false;
    std::vector<PhysicalIOAdapter> AdapterList;
    EVE_RECORD(PhysicalIOAdapterList)
};

struct ProcessMetric {
    std::int32_t Pid = 0;
    std::string Name;
    bool UserProcess = false;
    bool Watched = false;
    std::int32_t NumFDs = 0;
    std::int32_t NumThreads = 0;
    double UserTime = 0;
    double SystemTime = 0;
    double CPUPercent = 0;
    Time CreateTime;
    std::uint64_t VMBytes = 0;
    std::uint64_t RssBytes = 0;
    float MemoryPercent = 0;
    std::string Stack;
    EVE_RECORD(ProcessMetric)
};

/// Ours, not EVE's: what somebody at the bench wants to know of a domain and no record of EVE has a place for. Key: the app's UUID.
struct DomainNotes {
    Uuid AppUUID;
    std::vector<std::string> Notes;  ///< what the runtime took away or does without, each one sentence
    std::string Runtime;             ///< id of the plugin that runs it
    std::string ConsolePath;         ///< unix socket, or empty
    std::string ConsoleLogPath;
    std::string VncAddress;
    EVE_RECORD(DomainNotes)
};

}  // namespace eve::types
