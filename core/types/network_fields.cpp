// Field tables of network.hpp: the order, the keys and the tags that Go programs see.

#include "core/types/network.hpp"

#include "core/types/describe.hpp"

namespace eve::types {

EVE_DESCRIBE(ACEMatch, (), (Type, Value))
EVE_DESCRIBE(ACEAction, (), (Drop, Limit, LimitRate, LimitUnit, LimitBurst, PortMap, TargetPort))
EVE_DESCRIBE(ACE, (), (Matches, Actions, Name, RuleID, Dir))
EVE_DESCRIBE(AppNetAdapterConfig, (), (Name, AppMacAddr, AppIPAddr, IntfOrder, Error, Network, ACLs, AccessVlanID, IfIdx, AllowToDiscover))
EVE_DESCRIBE(AssignedAddr, (), (Address, AssignedBy))
EVE_DESCRIBE(AssignedAddrs, (), (IPv4Addrs, IPv6Addrs))
EVE_DESCRIBE(AppNetAdapterStatus, (AppNetAdapterConfig, VifInfo), (BridgeMac, BridgeIPAddr, AssignedAddresses, IPv4Assigned, IPAddrMisMatch,
    HostName))
EVE_DESCRIBE(AppNetworkConfig, (), (UUIDandVersion, DisplayName, Activate, GetStatsIPAddr, AppNetAdapterList, CloudInitUserData,
    CipherBlockStatus, MetaDataType, DeploymentType), key("CloudInitUserData", "pubsub-large-CloudInitUserData"))
EVE_DESCRIBE(AppPod, (), (Name, NetNsPath))
EVE_DESCRIBE(AppNetworkStatus, (ErrorAndTime), (UUIDandVersion, AppNum, Activated, PendingAdd, PendingModify, PendingDelete, ConfigInSync,
    DisplayName, AppPod, GetStatsIPAddr, DeploymentType, AppNetAdapterList, AwaitNetworkInstance, MACGenerator), embedded("ErrorAndTime", at_end))
EVE_DESCRIBE(IPRange, (), (Start, End), all_omitempty)
EVE_DESCRIBE(DNSNameToIP, (), (HostName, IPs), all_omitempty)
EVE_DESCRIBE(ConnectivityProbe, (), (Method, ProbeHost, ProbePort))
EVE_DESCRIBE(NIPortProbe, (), (EnabledGwPing, GwPingMaxCost, UserDefinedProbe))
EVE_DESCRIBE(IPRouteConfig, (), (DstNetwork, Gateway, OutputPortLabel, PortProbe, PreferLowerCost, PreferStrongerWwanSignal))
EVE_DESCRIBE(STPConfig, (), (PortsWithBpduGuard))
EVE_DESCRIBE(VlanAccessPort, (), (VlanID, PortLabel))
EVE_DESCRIBE(NetworkInstanceConfigFields, (UUIDandVersion), (DisplayName, Type, Activate, PortLabel, IpType, Subnet, Gateway, DomainName,
    NtpServers, DnsServers, DhcpRange, DnsNameToIPList, MTU, PropagateConnRoutes, StaticRoutes, EnableFlowlog, STPConfig, VlanAccessPorts,
    ForwardLLDP))
EVE_DESCRIBE(NetworkInstanceConfig, (NetworkInstanceConfigFields, ErrorAndTime), ())
EVE_DESCRIBE(VifNameMac, (), (Name, MacAddr, AppID))
EVE_DESCRIBE(NetworkInstanceInfo, (), (BridgeNum, BridgeName, BridgeIPAddr, BridgeMac, BridgeIfindex, MirrorIfName, IPAssignments, Vifs, VlanMap,
    NumTrunkPorts))
EVE_DESCRIBE(IPRouteStatus, (IPRouteConfig, ErrorAndTime), (SelectedPort, RunningPortProbing), embedded("ErrorAndTime", at_end))
EVE_DESCRIBE(IPRouteInfo, (), (IPVersion, DstNetwork, Gateway, OutputPort, GatewayApp))
EVE_DESCRIBE(NetworkInstanceStatus, (NetworkInstanceConfigFields, NetworkInstanceInfo, ErrorAndTime), (ValidationErr, AllocationErr, Activate,
    Activated, ChangeInProgress, IPConflictErr, MTU, MTUConflictErr, Ports, CombinedNTPServers, IntendedRoutes, CurrentRoutes, PortErr,
    ReconcileErr), embedded("ErrorAndTime", at_end))
EVE_DESCRIBE(NetworkMetric, (), (IfName, TxBytes, RxBytes, TxDrops, RxDrops, TxPkts, RxPkts, TxErrors, RxErrors, TxAclDrops, RxAclDrops,
    TxAclRateLimitDrops, RxAclRateLimitDrops))
EVE_DESCRIBE(NetworkMetrics, (), (MetricList, TotalRuleCount))
EVE_DESCRIBE(ProbeIntfMetrics, (), (IntfName, NexthopIPs, NexthopUP, RemoteUP, NexthopUPCnt, NexthopDownCnt, RemoteUPCnt, RemoteDownCnt,
    LatencyToRemote))
EVE_DESCRIBE(ProbeMetrics, (), (DstNetwork, SelectedPort, SelectedPortIfName, RemoteEndpoints, LocalPingIntvl, RemotePingIntvl, PortCount,
    IntfProbeStats))
EVE_DESCRIBE(VlanMetrics, (), (NumTrunkPorts, VlanCounts))
EVE_DESCRIBE(NetworkInstanceMetrics, (), (UUIDandVersion, DisplayName, Type, BridgeName, NetworkMetrics, ProbeMetrics, VlanMetrics))
EVE_DESCRIBE(RadioSilence, (), (Imposed, ChangeInProgress, ChangeRequestedAt, ConfigError))
EVE_DESCRIBE(IPInfo, (), (IP, Hostname, City, Region, Country, Loc, Org, Postal), key("IP", "ip"), key("Hostname", "hostname"), key("City",
    "city"), key("Region", "region"), key("Country", "country"), key("Loc", "loc"), key("Org", "org"), key("Postal", "postal"))
EVE_DESCRIBE(AddrInfo, (), (Addr, Mask, Geo, LastGeoTimestamp))
EVE_DESCRIBE(WwanCleartextCredentials, (), (Username, Password))
EVE_DESCRIBE(CellularAccessPoint, (), (SIMSlot, Activated, APN, IPType, AuthProtocol, CleartextCredentials, EncryptedCredentials, PreferredPLMNs,
    PreferredRATs, ForbidRoaming, AttachAPN, AttachIPType, AttachAuthProtocol, AttachCleartextCredentials), omitempty("SIMSlot", "Activated",
    "APN", "IPType", "AuthProtocol", "CleartextCredentials", "PreferredPLMNs", "PreferredRATs", "ForbidRoaming", "AttachAPN", "AttachIPType",
    "AttachAuthProtocol", "AttachCleartextCredentials"))
EVE_DESCRIBE(WwanProbe, (), (Disable, UserDefinedProbe))
EVE_DESCRIBE(CellNetPortConfig, (), (AccessPoints, Probe, LocationTracking), all_omitempty)
EVE_DESCRIBE(WifiConfig, (CipherBlockStatus), (SSID, KeyScheme, Identity, Password, Priority), embedded("CipherBlockStatus", at_end),
    all_omitempty)
EVE_DESCRIBE(DeprecatedCellConfig, (), (APN, ProbeAddr, DisableProbe, LocationTracking), all_omitempty)
EVE_DESCRIBE(WirelessConfig, (), (WType, CellularV2, Wifi, Cellular), all_omitempty)
EVE_DESCRIBE(WwanPhysAddrs, (), (Interface, USB, PCI, Dev))
EVE_DESCRIBE(WwanCellModule, (), (Name, IMEI, Model, Manufacturer, Revision, ControlProtocol, OpMode))
EVE_DESCRIBE(WwanSimCard, (), (Name, SlotNumber, SlotActivated, ICCID, IMSI, Type, State))
EVE_DESCRIBE(WwanProvider, (), (PLMN, Description, CurrentServing, Roaming, Forbidden))
EVE_DESCRIBE(WwanIPSettings, (), (Address, Gateway, DNSServers, MTU))
EVE_DESCRIBE(WwanBearer, (), (APN, Type, IPType, Connected, ConnectionError, ConnectedAt))
EVE_DESCRIBE(WwanProfile, (), (Name, APN, BearerType, IPType, ForbidRoaming))
EVE_DESCRIBE(WwanNetworkStatus, (), (LogicalLabel, PhysAddrs, Module, SimCards, ConfigError, ProbeError, CurrentProvider, VisibleProviders,
    CurrentRATs, ConnectedAt, IPSettings, LocationTracking, Bearers, Profiles))
EVE_DESCRIBE(WirelessStatus, (), (WType, Cellular))
EVE_DESCRIBE(PNACStatus, (), (Enabled, State, LastAuthTimestamp, Error))
EVE_DESCRIBE(BondMIIMonitorStatus, (), (Enabled, PollingInterval, UpDelay, DownDelay))
EVE_DESCRIBE(BondARPMonitorStatus, (), (Enabled, PollingInterval, IPTargets, MissedMax))
EVE_DESCRIBE(BondLACPStatus, (), (Enabled, LACPRate, ActiveAggregatorID, PartnerMAC, ActorKey, PartnerKey))
EVE_DESCRIBE(BondMemberLACPStatus, (), (AggregatorID, ActorChurnState, PartnerChurnState))
EVE_DESCRIBE(BondMemberStatus, (), (Logicallabel, MIIUp, LACP))
EVE_DESCRIBE(BondStatus, (), (Mode, ActiveMember, MIIMonitor, ARPMonitor, LACP, Members))
EVE_DESCRIBE(PortConfigSource, (), (Origin, SubmittedAt), all_omitempty)
EVE_DESCRIBE(ProxyEntry, (), (Type, Server, Port), key("Type", "type"), key("Server", "server"), key("Port", "port"), all_omitempty)
EVE_DESCRIBE(ProxyConfig, (), (Proxies, Exceptions, Pacfile, NetworkProxyEnable, NetworkProxyURL, WpadURL, ProxyCertPEM), key("ProxyCertPEM",
    "pubsub-large-ProxyCertPEM"), omitempty("Proxies", "Exceptions", "Pacfile", "NetworkProxyEnable", "NetworkProxyURL", "WpadURL"))
EVE_DESCRIBE(VLANConfig, (), (ParentPort, ID), all_omitempty)
EVE_DESCRIBE(BondMIIMonitor, (), (Enabled, Interval, UpDelay, DownDelay), all_omitempty)
EVE_DESCRIBE(BondArpMonitor, (), (Enabled, Interval, IPTargets), all_omitempty)
EVE_DESCRIBE(BondConfig, (), (AggregatedPorts, Mode, LacpRate, MIIMonitor, ARPMonitor), all_omitempty)
EVE_DESCRIBE(L2LinkConfig, (), (L2Type, VLAN, Bond), all_omitempty)
EVE_DESCRIBE(TestResults, (), (LastFailed, LastSucceeded, LastError, LastWarning))
EVE_DESCRIBE(NetworkPortStatus, (ProxyConfig, L2LinkConfig, TestResults), (IfName, Phylabel, Logicallabel, PciLong, SharedLabels, Alias, IsMgmt,
    IsL3Port, InvalidConfig, Cost, Dhcp, Type, ConfiguredSubnet, ConfiguredIP, IgnoredDhcpIPs, IPv4Subnet, IPv6Subnets, DomainName, DNSServers,
    NtpServers, AddrInfoList, ClusterIPAddr, DefaultRouters, Up, MacAddr, MTU, WirelessCfg, WirelessStatus, PNAC, BondStatus, ConfigSource,
    LpsConfigError), embedded("ProxyConfig", "LpsConfigError"), embedded("L2LinkConfig", "LpsConfigError"), embedded("TestResults",
    "LpsConfigError"))
EVE_DESCRIBE(DeviceNetworkStatus, (), (DPCKey, Version, Testing, State, CurrentIndex, RadioSilence, Ports))
EVE_DESCRIBE(DhcpConfig, (), (Dhcp, AddrSubnet, Gateway, DomainName, NTPServers, DNSServers, Type), all_omitempty)
EVE_DESCRIBE(PNACConfig, (), (Enabled, EAPIdentity, EAPMethod, CertEnrollmentProfileName, CACertPEM), key("CACertPEM",
    "pubsub-large-ProxyCertPEM"), omitempty("EAPIdentity", "EAPMethod", "CertEnrollmentProfileName"))
EVE_DESCRIBE(NetworkPortConfig, (DhcpConfig, ProxyConfig, L2LinkConfig, TestResults), (IfName, USBAddr, PCIAddr, Phylabel, Logicallabel,
    SharedLabels, Alias, AllowLocalModifications, NetworkUUID, IsMgmt, IsL3Port, InvalidConfig, Cost, MTU, WirelessCfg, PNAC,
    IgnoreDhcpNtpServers, IgnoreDhcpIPAddresses, IgnoreDhcpGateways, IgnoreDhcpDNSConfig, ConfigSource), embedded("DhcpConfig", "WirelessCfg"),
    embedded("ProxyConfig", "WirelessCfg"), embedded("L2LinkConfig", "WirelessCfg"), embedded("TestResults", "IgnoreDhcpNtpServers"),
    all_omitempty)
EVE_DESCRIBE(DevicePortConfig, (TestResults), (Version, Key, TimePriority, State, LastIPAndDNS, Ports), embedded("TestResults", "LastIPAndDNS"),
    all_omitempty)
EVE_DESCRIBE(DevicePortConfigList, (), (CurrentIndex, PortConfigList), all_omitempty)
EVE_DESCRIBE(NetworkXObjectConfig, (ErrorAndTime), (UUID, Type, Dhcp, Subnet, DhcpRange, IgnoreDhcpIPAddresses, Gateway, IgnoreDhcpGateways,
    DomainName, DNSServers, DNSNameToIPList, IgnoreDhcpDNSConfig, NTPServers, IgnoreDhcpNtpServers, Proxy, WirelessCfg, MTU),
    embedded("ErrorAndTime", at_end), all_omitempty)
EVE_DESCRIBE(FlowScope, (), (AppUUID, NetAdapterName, BrIfName, NetUUID, Sequence))
EVE_DESCRIBE(IPTuple, (), (Src, Dst, SrcPort, DstPort, Proto))
EVE_DESCRIBE(FlowRec, (), (Flow, Inbound, ACLID, Action, StartTime, StopTime, TxBytes, TxPkts, RxBytes, RxPkts))
EVE_DESCRIBE(DNSReq, (), (HostName, Addrs, RequestTime, ACLNum))
EVE_DESCRIBE(IPFlow, (), (Scope, Flows, DNSReqs))

}  // namespace eve::types
