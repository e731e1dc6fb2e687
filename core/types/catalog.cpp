#include "core/types/catalog.hpp"

#include <algorithm>

#include "core/types/app.hpp"
#include "core/types/hardware.hpp"
#include "core/types/node.hpp"

namespace eve::types {

namespace {

template <class... Records> std::vector<const TypeInfo*> tables() { return {&type_info<Records>()...}; }

}  // namespace

const std::vector<const TypeInfo*>& all_records() {
    static const std::vector<const TypeInfo*> all = tables<
        ACE, ACEAction, ACEMatch, AddrInfo, AppAndImageToHash, AppDiskMetric, AppInstMetaData, AppInstanceConfig, AppInstanceOpsCmd,
        AppInstanceStatus, AppInstanceSummary, AppInterfaceKey, AppInterfaceToNum, AppMACGenerator, AppNetAdapterConfig,
        AppNetAdapterStatus, AppNetworkConfig, AppNetworkStatus, AppPod, AssignableAdapters, AssignedAddr, AssignedAddrs,
        BaseOSMgrStatus, BlobStatus, BondARPMonitorStatus, BondArpMonitor, BondConfig, BondLACPStatus, BondMIIMonitor,
        BondMIIMonitorStatus, BondMemberLACPStatus, BondMemberStatus, BondStatus, Capabilities, CellNetPortConfig,
        CellularAccessPoint, CertMetaData, CipherBlockStatus, CipherContext, ConfigItemStatus, ConfigItemValue, ConfigItemValueMap,
        ConnectivityProbe, ContentTreeConfig, ContentTreeStatus, ControllerCert, DNSNameToIP, DNSReq, DatastoreConfig,
        DeferredContentDeleteStatus, DeprecatedCellConfig, DeviceNetworkStatus, DeviceOpsCmd, DevicePortConfig,
        DevicePortConfigList, DhcpConfig, DiskConfig, DiskMetric, DiskStatus, DmiSystemInfo, DomainConfig, DomainMetric, DomainNotes,
        DomainStatus, DownloaderConfig, DownloaderStatus, EdgeNodeCert, EdgeNodeInfo, EncryptionBlock, ErrorAndTime,
        ErrorAndTimeWithSource, ErrorDescription, ErrorEntity, EthVF, FlowRec, FlowScope, GlobalStatus, HostMemory, IOBundleError,
        IPFlow, IPInfo, IPRange, IPRouteConfig, IPRouteInfo, IPRouteStatus, IPTuple, IoAdapter, IoBundle, IoBundleErrorBase,
        L2LinkConfig, LedBlinkCounter, LocalAppCommand, LocalAppCounters, NIPortProbe, NetworkInstanceConfig, NetworkInstanceInfo,
        NetworkInstanceMetrics, NetworkInstanceStatus, NetworkMetric, NetworkMetrics, NetworkPortConfig, NetworkPortStatus,
        NetworkXObjectConfig, NodeAgentStatus, OemWindowsLicenseKeyInfo, OemWindowsLicenseKeyInfoQemu, OemWindowsLicenseKeyInfoXen,
        OnboardingStatus, PNACConfig, PNACStatus, PciFunction, PciInventory, PhyIOUsagePolicy, PhysicalAddress, PhysicalIOAdapter, PhysicalIOAdapterList,
        PodDNS, PodIPAMConfig, PodIPAddress, PodRoute, PodVIF, PortConfigSource, ProbeIntfMetrics, ProbeMetrics, ProcessMetric,
        ProxyConfig, ProxyEntry, RadioSilence, ResolveConfig, ResolveStatus, STPConfig, ServiceInitStatus, SnapshotConfig, SnapshotDesc,
        SnapshotInstanceStatus, SnapshottingStatus, TestResults, TpmSanityStatus, UEvent, UUIDPairAndIfIdxToNum, UUIDandVersion,
        UuidToNum, UuidToNumKey, VFList, VLANConfig, VaultConfig, VaultStatus, VaultTrimStatus, VerifyImageConfig,
        VerifyImageStatus, VfInfo, VifConfig, VifInfo, VifNameMac, VlanAccessPort, VlanMetrics, VmConfig, VolumeConfig,
        VolumeCreatePending, VolumeMgrStatus, VolumeRefConfig, VolumeRefStatus, VolumeStatus, VolumesSnapshotConfig,
        VolumesSnapshotStatus, WifiConfig, WirelessConfig, WirelessStatus, WritableFile, WwanBearer, WwanCellModule,
        WwanCleartextCredentials, WwanIPSettings, WwanNetworkStatus, WwanPhysAddrs, WwanProbe, WwanProfile, WwanProvider,
        WwanSimCard, ZbootConfig, ZbootStatus, ZedAgentStatus>();
    return all;
}

const TypeInfo* find_record(std::string_view name) {
    const auto& all = all_records();
    const auto found = std::find_if(all.begin(), all.end(), [&](const TypeInfo* type) { return type->name == name; });
    return found == all.end() ? nullptr : *found;
}

}  // namespace eve::types
