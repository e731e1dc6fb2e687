#pragma once
// Ports of the device, network instances and the network of an app: the records of nim and zedrouter.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/types/domain.hpp"

namespace eve::types {

enum class ACEDirection : std::uint8_t {
    AceDirBoth = 0,
    AceDirIngress = 1,
    AceDirEgress = 2,
};

enum class AddressSource : std::uint8_t {
    AddressSourceUndefined = 0,
    AddressSourceEVEInternal = 2,
    AddressSourceInternalDHCP = 4,
    AddressSourceExternalDHCP = 8,
    AddressSourceSLAAC = 16,
    AddressSourceStatic = 32,
};

enum class NetworkInstanceType : std::int32_t {
    NetworkInstanceTypeFirst = 0,
    NetworkInstanceTypeSwitch = 1,
    NetworkInstanceTypeLocal = 2,
    NetworkInstanceTypeCloud = 3,
    NetworkInstanceTypeHoneyPot = 5,
    NetworkInstanceTypeTransparent = 6,
    NetworkInstanceTypeLast = 255,
};

enum class AddressType : std::int32_t {
    AddressTypeNone = 0,
    AddressTypeIPV4 = 1,
    AddressTypeIPV6 = 2,
    AddressTypeCryptoIPV4 = 3,
    AddressTypeCryptoIPV6 = 4,
    AddressTypeLast = 255,
};

enum class ConnectivityProbeMethod : std::uint8_t {
    ConnectivityProbeMethodNone = 0,
    ConnectivityProbeMethodICMP = 1,
    ConnectivityProbeMethodTCP = 2,
};

enum class ChangeInProgressType : std::int32_t {
    ChangeInProgressTypeNone = 0,
    ChangeInProgressTypeCreate = 1,
    ChangeInProgressTypeModify = 2,
    ChangeInProgressTypeDelete = 3,
    ChangeInProgressTypeLast = 255,
};

enum class DevicePortConfigVersion : std::uint32_t {
    DPCInitial = 0,
    DPCIsMgmt = 1,
};

enum class DPCState : std::uint8_t {
    DPCStateNone = 0,
    DPCStateFail = 1,
    DPCStateFailWithIPAndDNS = 2,
    DPCStateSuccess = 3,
    DPCStateIPDNSWait = 4,
    DPCStatePCIWait = 5,
    DPCStateIntfWait = 6,
    DPCStateRemoteWait = 7,
    DPCStateAsyncWait = 8,
    DPCStateWwanWait = 9,
};

enum class DhcpType : std::uint8_t {
    DhcpTypeNOOP = 0,
    DhcpTypeStatic = 1,
    DhcpTypeNone = 2,
    DhcpTypeDeprecated = 3,
    DhcpTypeClient = 4,
};

enum class NetworkType : std::uint8_t {
    NetworkTypeNOOP = 0,
    NetworkTypeIPv4 = 4,
    NetworkTypeIPV6 = 6,
    NetworkTypeIpv4Only = 5,
    NetworkTypeIpv6Only = 7,
    NetworkTypeDualStack = 8,
};

enum class WirelessType : std::uint8_t {
    WirelessTypeNone = 0,
    WirelessTypeCellular = 1,
    WirelessTypeWifi = 2,
};

enum class WifiKeySchemeType : std::uint8_t {
    KeySchemeNone = 0,
    KeySchemeWpaPsk = 1,
    KeySchemeWpaEap = 2,
    KeySchemeOther = 3,
};

enum class SimType : std::int32_t {
    SimTypeUnspecified = 0,
    SimTypePhysical = 1,
    SimTypeEmbedded = 2,
};

enum class BearerType : std::int32_t {
    BearerTypeUnspecified = 0,
    BearerTypeAttach = 1,
    BearerTypeDefault = 2,
    BearerTypeDedicated = 3,
};

enum class SupplicantState : std::int32_t {
    SUPPLICANT_STATE_UNSPECIFIED = 0,
    SUPPLICANT_STATE_DISCONNECTED = 1,
    SUPPLICANT_STATE_CONNECTING = 2,
    SUPPLICANT_STATE_AUTHENTICATING = 3,
    SUPPLICANT_STATE_AUTHENTICATED = 4,
    SUPPLICANT_STATE_FAILED = 5,
    SUPPLICANT_STATE_HELD = 6,
};

enum class BondMode : std::uint8_t {
    BondModeUnspecified = 0,
    BondModeBalanceRR = 1,
    BondModeActiveBackup = 2,
    BondModeBalanceXOR = 3,
    BondModeBroadcast = 4,
    BondMode802Dot3AD = 5,
    BondModeBalanceTLB = 6,
    BondModeBalanceALB = 7,
};

enum class LacpRate : std::uint8_t {
    LacpRateUnspecified = 0,
    LacpRateSlow = 1,
    LacpRateFast = 2,
};

enum class BondLACPChurnState : std::uint8_t {
    BondLACPChurnNone = 0,
    BondLACPChurnMonitoring = 1,
    BondLACPChurnChurned = 2,
};

enum class NetworkConfigOrigin : std::uint8_t {
    NetworkConfigOriginUnspecified = 0,
    NetworkConfigOriginController = 1,
    NetworkConfigOriginBootstrap = 2,
    NetworkConfigOriginOverride = 3,
    NetworkConfigOriginLastResort = 4,
    NetworkConfigOriginTUI = 5,
    NetworkConfigOriginLOC = 6,
    NetworkConfigOriginLPS = 7,
};

enum class NetworkProxyType : std::uint8_t {
    NetworkProxyTypeHTTP = 0,
    NetworkProxyTypeHTTPS = 1,
    NetworkProxyTypeSOCKS = 2,
    NetworkProxyTypeFTP = 3,
    NetworkProxyTypeNOPROXY = 4,
};

enum class L2LinkType : std::uint8_t {
    L2LinkTypeNone = 0,
    L2LinkTypeVLAN = 1,
    L2LinkTypeBond = 2,
};

enum class EAPMethod : std::int32_t {
    EAP_METHOD_UNSPECIFIED = 0,
    EAP_METHOD_TLS = 1,
};

enum class ACLActionType : std::uint8_t {
    ACLActionNone = 0,
    ACLActionAccept = 1,
    ACLActionDrop = 2,
};

struct ACEMatch {
    std::string Type;
    std::string Value;
    EVE_RECORD(ACEMatch)
};

struct ACEAction {
    bool Drop = false;
    bool Limit = false;
    std::int64_t LimitRate = 0;
    std::string LimitUnit;
    std::int64_t LimitBurst = 0;
    bool PortMap = false;
    std::int64_t TargetPort = 0;
    EVE_RECORD(ACEAction)
};

struct ACE {
    std::vector<ACEMatch> Matches;
    std::vector<ACEAction> Actions;
    std::string Name;
    std::int32_t RuleID = 0;
    ACEDirection Dir = {};
    EVE_RECORD(ACE)
};

struct AppNetAdapterConfig {
    std::string Name;
    MacAddress AppMacAddr;
    IpAddress AppIPAddr;
    std::uint32_t IntfOrder = 0;
    std::string Error;
    Uuid Network;
    std::vector<ACE> ACLs;
    std::uint32_t AccessVlanID = 0;
    std::uint32_t IfIdx = 0;
    bool AllowToDiscover = false;
    EVE_RECORD(AppNetAdapterConfig)
};

struct AssignedAddr {
    IpAddress Address;
    AddressSource AssignedBy = {};
    EVE_RECORD(AssignedAddr)
};

struct AssignedAddrs {
    std::vector<AssignedAddr> IPv4Addrs;
    std::vector<AssignedAddr> IPv6Addrs;
    EVE_RECORD(AssignedAddrs)
};

struct AppNetAdapterStatus : AppNetAdapterConfig, VifInfo {
    MacAddress BridgeMac;
    IpAddress BridgeIPAddr;
    AssignedAddrs AssignedAddresses;
    bool IPv4Assigned = false;
    bool IPAddrMisMatch = false;
    std::string HostName;
    EVE_RECORD(AppNetAdapterStatus)
};

struct AppNetworkConfig {
    types::UUIDandVersion UUIDandVersion;
    std::string DisplayName;
    bool Activate = false;
    IpAddress GetStatsIPAddr;
    std::vector<AppNetAdapterConfig> AppNetAdapterList;
    std::optional<std::string> CloudInitUserData;
    types::CipherBlockStatus CipherBlockStatus;
    types::MetaDataType MetaDataType = {};
    AppRuntimeType DeploymentType = {};
    EVE_RECORD(AppNetworkConfig)
};

struct AppPod {
    std::string Name;
    std::string NetNsPath;
    EVE_RECORD(AppPod)
};

struct AppNetworkStatus : ErrorAndTime {
    types::UUIDandVersion UUIDandVersion;
    std::int64_t AppNum = 0;
    bool Activated = false;
    bool PendingAdd = false;
    bool PendingModify = false;
    bool PendingDelete = false;
    bool ConfigInSync = false;
    std::string DisplayName;
    types::AppPod AppPod;
    IpAddress GetStatsIPAddr;
    AppRuntimeType DeploymentType = {};
    std::vector<AppNetAdapterStatus> AppNetAdapterList;
    bool AwaitNetworkInstance = false;
    std::int64_t MACGenerator = 0;
    EVE_RECORD(AppNetworkStatus)
};

struct IPRange {
    IpAddress Start;
    IpAddress End;
    EVE_RECORD(IPRange)
};

struct DNSNameToIP {
    std::string HostName;
    std::vector<IpAddress> IPs;
    EVE_RECORD(DNSNameToIP)
};

struct ConnectivityProbe {
    ConnectivityProbeMethod Method = {};
    std::string ProbeHost;
    std::uint16_t ProbePort = 0;
    EVE_RECORD(ConnectivityProbe)
};

struct NIPortProbe {
    bool EnabledGwPing = false;
    std::uint8_t GwPingMaxCost = 0;
    ConnectivityProbe UserDefinedProbe;
    EVE_RECORD(NIPortProbe)
};

struct IPRouteConfig {
    std::optional<IpNet> DstNetwork;
    IpAddress Gateway;
    std::string OutputPortLabel;
    NIPortProbe PortProbe;
    bool PreferLowerCost = false;
    bool PreferStrongerWwanSignal = false;
    EVE_RECORD(IPRouteConfig)
};

struct STPConfig {
    std::string PortsWithBpduGuard;
    EVE_RECORD(STPConfig)
};

struct VlanAccessPort {
    std::uint16_t VlanID = 0;
    std::string PortLabel;
    EVE_RECORD(VlanAccessPort)
};

/// What a network instance's config and status have in common: the config without its error, which the status has once, as its own.
struct NetworkInstanceConfigFields : UUIDandVersion {
    std::string DisplayName;
    NetworkInstanceType Type = {};
    bool Activate = false;
    std::string PortLabel;
    AddressType IpType = {};
    std::optional<IpNet> Subnet;
    IpAddress Gateway;
    std::string DomainName;
    std::vector<std::string> NtpServers;
    std::vector<IpAddress> DnsServers;
    IPRange DhcpRange;
    std::vector<DNSNameToIP> DnsNameToIPList;
    std::uint16_t MTU = 0;
    bool PropagateConnRoutes = false;
    std::vector<IPRouteConfig> StaticRoutes;
    bool EnableFlowlog = false;
    types::STPConfig STPConfig;
    std::vector<VlanAccessPort> VlanAccessPorts;
    bool ForwardLLDP = false;
    EVE_RECORD(NetworkInstanceConfigFields)
};

struct NetworkInstanceConfig : NetworkInstanceConfigFields, ErrorAndTime {
    EVE_RECORD(NetworkInstanceConfig)
};

struct VifNameMac {
    std::string Name;
    MacAddress MacAddr;
    Uuid AppID;
    EVE_RECORD(VifNameMac)
};

struct NetworkInstanceInfo {
    std::int64_t BridgeNum = 0;
    std::string BridgeName;
    IpAddress BridgeIPAddr;
    MacAddress BridgeMac;
    std::int64_t BridgeIfindex = 0;
    std::string MirrorIfName;
    std::map<std::string, AssignedAddrs> IPAssignments;
    std::vector<VifNameMac> Vifs;
    std::map<std::uint32_t, std::uint32_t> VlanMap;
    std::uint32_t NumTrunkPorts = 0;
    EVE_RECORD(NetworkInstanceInfo)
};

struct IPRouteStatus : IPRouteConfig, ErrorAndTime {
    std::string SelectedPort;
    bool RunningPortProbing = false;
    EVE_RECORD(IPRouteStatus)
};

struct IPRouteInfo {
    AddressType IPVersion = {};
    std::optional<IpNet> DstNetwork;
    IpAddress Gateway;
    std::string OutputPort;
    Uuid GatewayApp;
    EVE_RECORD(IPRouteInfo)
};

struct NetworkInstanceStatus : NetworkInstanceConfigFields, NetworkInstanceInfo, ErrorAndTime {
    ErrorAndTime ValidationErr;
    ErrorAndTime AllocationErr;
    std::uint64_t Activate = 0;
    bool Activated = false;
    ChangeInProgressType ChangeInProgress = {};
    ErrorAndTime IPConflictErr;
    std::uint16_t MTU = 0;
    ErrorAndTime MTUConflictErr;
    std::vector<std::string> Ports;
    std::vector<std::string> CombinedNTPServers;
    std::vector<IPRouteStatus> IntendedRoutes;
    std::vector<IPRouteInfo> CurrentRoutes;
    ErrorAndTime PortErr;
    ErrorAndTime ReconcileErr;
    EVE_RECORD(NetworkInstanceStatus)
};

struct NetworkMetric {
    std::string IfName;
    std::uint64_t TxBytes = 0;
    std::uint64_t RxBytes = 0;
    std::uint64_t TxDrops = 0;
    std::uint64_t RxDrops = 0;
    std::uint64_t TxPkts = 0;
    std::uint64_t RxPkts = 0;
    std::uint64_t TxErrors = 0;
    std::uint64_t RxErrors = 0;
    std::uint64_t TxAclDrops = 0;
    std::uint64_t RxAclDrops = 0;
    std::uint64_t TxAclRateLimitDrops = 0;
    std::uint64_t RxAclRateLimitDrops = 0;
    EVE_RECORD(NetworkMetric)
};

struct NetworkMetrics {
    std::vector<NetworkMetric> MetricList;
    std::uint64_t TotalRuleCount = 0;
    EVE_RECORD(NetworkMetrics)
};

struct ProbeIntfMetrics {
    std::string IntfName;
    std::vector<IpAddress> NexthopIPs;
    bool NexthopUP = false;
    bool RemoteUP = false;
    std::uint32_t NexthopUPCnt = 0;
    std::uint32_t NexthopDownCnt = 0;
    std::uint32_t RemoteUPCnt = 0;
    std::uint32_t RemoteDownCnt = 0;
    std::uint32_t LatencyToRemote = 0;
    EVE_RECORD(ProbeIntfMetrics)
};

struct ProbeMetrics {
    std::string DstNetwork;
    std::string SelectedPort;
    std::string SelectedPortIfName;
    std::vector<std::string> RemoteEndpoints;
    std::uint32_t LocalPingIntvl = 0;
    std::uint32_t RemotePingIntvl = 0;
    std::uint32_t PortCount = 0;
    std::vector<ProbeIntfMetrics> IntfProbeStats;
    EVE_RECORD(ProbeMetrics)
};

struct VlanMetrics {
    std::uint32_t NumTrunkPorts = 0;
    std::map<std::uint32_t, std::uint32_t> VlanCounts;
    EVE_RECORD(VlanMetrics)
};

struct NetworkInstanceMetrics {
    types::UUIDandVersion UUIDandVersion;
    std::string DisplayName;
    NetworkInstanceType Type = {};
    std::string BridgeName;
    types::NetworkMetrics NetworkMetrics;
    std::vector<types::ProbeMetrics> ProbeMetrics;
    types::VlanMetrics VlanMetrics;
    EVE_RECORD(NetworkInstanceMetrics)
};

struct RadioSilence {
    bool Imposed = false;
    bool ChangeInProgress = false;
    Time ChangeRequestedAt;
    std::string ConfigError;
    EVE_RECORD(RadioSilence)
};

struct IPInfo {
    std::string IP;
    std::string Hostname;
    std::string City;
    std::string Region;
    std::string Country;
    std::string Loc;
    std::string Org;
    std::string Postal;
    EVE_RECORD(IPInfo)
};

struct AddrInfo {
    IpAddress Addr;
    Bytes Mask;
    IPInfo Geo;
    Time LastGeoTimestamp;
    EVE_RECORD(AddrInfo)
};

struct WwanCleartextCredentials {
    std::string Username;
    std::string Password;
    EVE_RECORD(WwanCleartextCredentials)
};

struct CellularAccessPoint {
    std::uint8_t SIMSlot = 0;
    bool Activated = false;
    std::string APN;
    std::string IPType;
    std::string AuthProtocol;
    WwanCleartextCredentials CleartextCredentials;
    CipherBlockStatus EncryptedCredentials;
    std::vector<std::string> PreferredPLMNs;
    std::vector<std::string> PreferredRATs;
    bool ForbidRoaming = false;
    std::string AttachAPN;
    std::string AttachIPType;
    std::string AttachAuthProtocol;
    WwanCleartextCredentials AttachCleartextCredentials;
    EVE_RECORD(CellularAccessPoint)
};

struct WwanProbe {
    bool Disable = false;
    ConnectivityProbe UserDefinedProbe;
    EVE_RECORD(WwanProbe)
};

struct CellNetPortConfig {
    std::vector<CellularAccessPoint> AccessPoints;
    WwanProbe Probe;
    bool LocationTracking = false;
    EVE_RECORD(CellNetPortConfig)
};

struct WifiConfig : CipherBlockStatus {
    std::string SSID;
    WifiKeySchemeType KeyScheme = {};
    std::string Identity;
    std::string Password;
    std::int32_t Priority = 0;
    EVE_RECORD(WifiConfig)
};

struct DeprecatedCellConfig {
    std::string APN;
    std::string ProbeAddr;
    bool DisableProbe = false;
    bool LocationTracking = false;
    EVE_RECORD(DeprecatedCellConfig)
};

struct WirelessConfig {
    WirelessType WType = {};
    CellNetPortConfig CellularV2;
    std::vector<WifiConfig> Wifi;
    std::vector<DeprecatedCellConfig> Cellular;
    EVE_RECORD(WirelessConfig)
};

struct WwanPhysAddrs {
    std::string Interface;
    std::string USB;
    std::string PCI;
    std::string Dev;
    EVE_RECORD(WwanPhysAddrs)
};

struct WwanCellModule {
    std::string Name;
    std::string IMEI;
    std::string Model;
    std::string Manufacturer;
    std::string Revision;
    std::string ControlProtocol;
    std::string OpMode;
    EVE_RECORD(WwanCellModule)
};

struct WwanSimCard {
    std::string Name;
    std::uint8_t SlotNumber = 0;
    bool SlotActivated = false;
    std::string ICCID;
    std::string IMSI;
    SimType Type = {};
    std::string State;
    EVE_RECORD(WwanSimCard)
};

struct WwanProvider {
    std::string PLMN;
    std::string Description;
    bool CurrentServing = false;
    bool Roaming = false;
    bool Forbidden = false;
    EVE_RECORD(WwanProvider)
};

struct WwanIPSettings {
    std::optional<IpNet> Address;
    IpAddress Gateway;
    std::vector<IpAddress> DNSServers;
    std::uint16_t MTU = 0;
    EVE_RECORD(WwanIPSettings)
};

struct WwanBearer {
    std::string APN;
    BearerType Type = {};
    std::string IPType;
    bool Connected = false;
    std::string ConnectionError;
    std::uint64_t ConnectedAt = 0;
    EVE_RECORD(WwanBearer)
};

struct WwanProfile {
    std::string Name;
    std::string APN;
    types::BearerType BearerType = {};
    std::string IPType;
    bool ForbidRoaming = false;
    EVE_RECORD(WwanProfile)
};

struct WwanNetworkStatus {
    std::string LogicalLabel;
    WwanPhysAddrs PhysAddrs;
    WwanCellModule Module;
    std::vector<WwanSimCard> SimCards;
    std::string ConfigError;
    std::string ProbeError;
    WwanProvider CurrentProvider;
    std::vector<WwanProvider> VisibleProviders;
    std::vector<std::string> CurrentRATs;
    std::uint64_t ConnectedAt = 0;
    WwanIPSettings IPSettings;
    bool LocationTracking = false;
    std::vector<WwanBearer> Bearers;
    std::vector<WwanProfile> Profiles;
    EVE_RECORD(WwanNetworkStatus)
};

struct WirelessStatus {
    WirelessType WType = {};
    WwanNetworkStatus Cellular;
    EVE_RECORD(WirelessStatus)
};

struct PNACStatus {
    bool Enabled = false;
    SupplicantState State = {};
    Time LastAuthTimestamp;
    ErrorDescription Error;
    EVE_RECORD(PNACStatus)
};

struct BondMIIMonitorStatus {
    bool Enabled = false;
    std::uint32_t PollingInterval = 0;
    std::uint32_t UpDelay = 0;
    std::uint32_t DownDelay = 0;
    EVE_RECORD(BondMIIMonitorStatus)
};

struct BondARPMonitorStatus {
    bool Enabled = false;
    std::uint32_t PollingInterval = 0;
    std::vector<IpAddress> IPTargets;
    std::uint32_t MissedMax = 0;
    EVE_RECORD(BondARPMonitorStatus)
};

struct BondLACPStatus {
    bool Enabled = false;
    LacpRate LACPRate = {};
    std::uint16_t ActiveAggregatorID = 0;
    MacAddress PartnerMAC;
    std::uint16_t ActorKey = 0;
    std::uint16_t PartnerKey = 0;
    EVE_RECORD(BondLACPStatus)
};

struct BondMemberLACPStatus {
    std::uint16_t AggregatorID = 0;
    BondLACPChurnState ActorChurnState = {};
    BondLACPChurnState PartnerChurnState = {};
    EVE_RECORD(BondMemberLACPStatus)
};

struct BondMemberStatus {
    std::string Logicallabel;
    bool MIIUp = false;
    std::optional<BondMemberLACPStatus> LACP;
    EVE_RECORD(BondMemberStatus)
};

struct BondStatus {
    BondMode Mode = {};
    std::string ActiveMember;
    BondMIIMonitorStatus MIIMonitor;
    BondARPMonitorStatus ARPMonitor;
    BondLACPStatus LACP;
    std::vector<BondMemberStatus> Members;
    EVE_RECORD(BondStatus)
};

struct PortConfigSource {
    NetworkConfigOrigin Origin = {};
    Time SubmittedAt;
    EVE_RECORD(PortConfigSource)
};

struct ProxyEntry {
    NetworkProxyType Type = {};
    std::string Server;
    std::uint32_t Port = 0;
    EVE_RECORD(ProxyEntry)
};

struct ProxyConfig {
    std::vector<ProxyEntry> Proxies;
    std::string Exceptions;
    std::string Pacfile;
    bool NetworkProxyEnable = false;
    std::string NetworkProxyURL;
    std::string WpadURL;
    std::vector<Bytes> ProxyCertPEM;
    EVE_RECORD(ProxyConfig)
};

struct VLANConfig {
    std::string ParentPort;
    std::uint16_t ID = 0;
    EVE_RECORD(VLANConfig)
};

struct BondMIIMonitor {
    bool Enabled = false;
    std::uint32_t Interval = 0;
    std::uint32_t UpDelay = 0;
    std::uint32_t DownDelay = 0;
    EVE_RECORD(BondMIIMonitor)
};

struct BondArpMonitor {
    bool Enabled = false;
    std::uint32_t Interval = 0;
    std::vector<IpAddress> IPTargets;
    EVE_RECORD(BondArpMonitor)
};

struct BondConfig {
    std::vector<std::string> AggregatedPorts;
    BondMode Mode = {};
    types::LacpRate LacpRate = {};
    BondMIIMonitor MIIMonitor;
    BondArpMonitor ARPMonitor;
    EVE_RECORD(BondConfig)
};

struct L2LinkConfig {
    L2LinkType L2Type = {};
    VLANConfig VLAN;
    BondConfig Bond;
    EVE_RECORD(L2LinkConfig)
};

struct TestResults {
    Time LastFailed;
    Time LastSucceeded;
    std::string LastError;
    std::string LastWarning;
    EVE_RECORD(TestResults)
};

struct NetworkPortStatus : ProxyConfig, L2LinkConfig, TestResults {
    std::string IfName;
    std::string Phylabel;
    std::string Logicallabel;
    std::string PciLong;
    std::vector<std::string> SharedLabels;
    std::string Alias;
    bool IsMgmt = false;
    bool IsL3Port = false;
    bool InvalidConfig = false;
    std::uint8_t Cost = 0;
    DhcpType Dhcp = {};
    NetworkType Type = {};
    std::optional<IpNet> ConfiguredSubnet;
    IpAddress ConfiguredIP;
    bool IgnoredDhcpIPs = false;
    std::optional<IpNet> IPv4Subnet;
    std::vector<IpNet> IPv6Subnets;
    std::string DomainName;
    std::vector<IpAddress> DNSServers;
    std::vector<std::string> NtpServers;
    std::vector<AddrInfo> AddrInfoList;
    IpAddress ClusterIPAddr;
    std::vector<IpAddress> DefaultRouters;
    bool Up = false;
    MacAddress MacAddr;
    std::uint16_t MTU = 0;
    WirelessConfig WirelessCfg;
    types::WirelessStatus WirelessStatus;
    PNACStatus PNAC;
    types::BondStatus BondStatus;
    PortConfigSource ConfigSource;
    std::string LpsConfigError;
    EVE_RECORD(NetworkPortStatus)
};

struct DeviceNetworkStatus {
    std::string DPCKey;
    DevicePortConfigVersion Version = {};
    bool Testing = false;
    DPCState State = {};
    std::int64_t CurrentIndex = 0;
    types::RadioSilence RadioSilence;
    std::vector<NetworkPortStatus> Ports;
    EVE_RECORD(DeviceNetworkStatus)
};

struct DhcpConfig {
    DhcpType Dhcp = {};
    std::string AddrSubnet;
    IpAddress Gateway;
    std::string DomainName;
    std::vector<std::string> NTPServers;
    std::vector<IpAddress> DNSServers;
    NetworkType Type = {};
    EVE_RECORD(DhcpConfig)
};

struct PNACConfig {
    bool Enabled = false;
    std::string EAPIdentity;
    types::EAPMethod EAPMethod = {};
    std::string CertEnrollmentProfileName;
    std::vector<Bytes> CACertPEM;
    EVE_RECORD(PNACConfig)
};

struct NetworkPortConfig : DhcpConfig, ProxyConfig, L2LinkConfig, TestResults {
    std::string IfName;
    std::string USBAddr;
    std::string PCIAddr;
    std::string Phylabel;
    std::string Logicallabel;
    std::vector<std::string> SharedLabels;
    std::string Alias;
    bool AllowLocalModifications = false;
    Uuid NetworkUUID;
    bool IsMgmt = false;
    bool IsL3Port = false;
    bool InvalidConfig = false;
    std::uint8_t Cost = 0;
    std::uint16_t MTU = 0;
    WirelessConfig WirelessCfg;
    PNACConfig PNAC;
    bool IgnoreDhcpNtpServers = false;
    bool IgnoreDhcpIPAddresses = false;
    bool IgnoreDhcpGateways = false;
    bool IgnoreDhcpDNSConfig = false;
    PortConfigSource ConfigSource;
    EVE_RECORD(NetworkPortConfig)
};

struct DevicePortConfig : TestResults {
    DevicePortConfigVersion Version = {};
    std::string Key;
    Time TimePriority;
    DPCState State = {};
    Time LastIPAndDNS;
    std::vector<NetworkPortConfig> Ports;
    EVE_RECORD(DevicePortConfig)
};

struct DevicePortConfigList {
    std::int64_t CurrentIndex = 0;
    std::vector<DevicePortConfig> PortConfigList;
    EVE_RECORD(DevicePortConfigList)
};

struct NetworkXObjectConfig : ErrorAndTime {
    Uuid UUID;
    NetworkType Type = {};
    DhcpType Dhcp = {};
    std::optional<IpNet> Subnet;
    IPRange DhcpRange;
    bool IgnoreDhcpIPAddresses = false;
    IpAddress Gateway;
    bool IgnoreDhcpGateways = false;
    std::string DomainName;
    std::vector<IpAddress> DNSServers;
    std::vector<DNSNameToIP> DNSNameToIPList;
    bool IgnoreDhcpDNSConfig = false;
    std::vector<std::string> NTPServers;
    bool IgnoreDhcpNtpServers = false;
    std::optional<ProxyConfig> Proxy;
    WirelessConfig WirelessCfg;
    std::uint16_t MTU = 0;
    EVE_RECORD(NetworkXObjectConfig)
};

struct FlowScope {
    Uuid AppUUID;
    std::string NetAdapterName;
    std::string BrIfName;
    Uuid NetUUID;
    std::string Sequence;
    EVE_RECORD(FlowScope)
};

struct IPTuple {
    IpAddress Src;
    IpAddress Dst;
    std::int32_t SrcPort = 0;
    std::int32_t DstPort = 0;
    std::int32_t Proto = 0;
    EVE_RECORD(IPTuple)
};

struct FlowRec {
    IPTuple Flow;
    bool Inbound = false;
    std::int32_t ACLID = 0;
    ACLActionType Action = {};
    std::int64_t StartTime = 0;
    std::int64_t StopTime = 0;
    std::int64_t TxBytes = 0;
    std::int64_t TxPkts = 0;
    std::int64_t RxBytes = 0;
    std::int64_t RxPkts = 0;
    EVE_RECORD(FlowRec)
};

struct DNSReq {
    std::string HostName;
    std::vector<IpAddress> Addrs;
    std::int64_t RequestTime = 0;
    std::int32_t ACLNum = 0;
    EVE_RECORD(DNSReq)
};

struct IPFlow {
    FlowScope Scope;
    std::vector<FlowRec> Flows;
    std::vector<DNSReq> DNSReqs;
    EVE_RECORD(IPFlow)
};

}  // namespace eve::types
