// Field tables of app.hpp: the order, the keys and the tags that Go programs see.

#include "core/types/app.hpp"

#include "core/types/describe.hpp"

namespace eve::types {

EVE_DESCRIBE(SnapshotDesc, (), (SnapshotID, SnapshotType))
EVE_DESCRIBE(SnapshotConfig, (), (ActiveSnapshot, MaxSnapshots, RollbackCmd, Snapshots))
EVE_DESCRIBE(AppInstanceConfig, (CipherBlockStatus), (UUIDandVersion, DisplayName, Errors, FixedResources, DisableLogs, VolumeRefConfigList,
    Activate, AppNetAdapterList, IoAdapterList, RestartCmd, PurgeCmd, LocalRestartCmd, LocalPurgeCmd, CloudInitUserData, RemoteConsole,
    CollectStatsIPAddr, MetaDataType, ProfileList, Delay, Service, CloudInitVersion, Snapshot, AllowToDiscover, IsDesignatedNodeID, AffinityType,
    DeploymentType, ControllerBootOrder, BootOrderSource), key("CloudInitUserData", "pubsub-large-CloudInitUserData"),
    embedded("CipherBlockStatus", "MetaDataType"))
EVE_DESCRIBE(SnapshotInstanceStatus, (), (Snapshot, Reported, TimeTriggered, TimeCreated, AppInstanceID, ConfigVersion, Error))
EVE_DESCRIBE(SnapshottingStatus, (), (MaxSnapshots, RequestedSnapshots, AvailableSnapshots, SnapshotsToBeDeleted, PreparedVolumesSnapshotConfigs,
    SnapshotTakenType, HasRollbackRequest, ActiveSnapshot, RollbackInProgress))
EVE_DESCRIBE(AppInstanceStatus, (ErrorAndTimeWithSource), (UUIDandVersion, DisplayName, DomainName, Activated, ActivateInprogress, FixedResources,
    VolumeRefStatusList, AppNetAdapters, BootTime, IoAdapterList, RestartInprogress, RestartStartedAt, PurgeInprogress, PurgeStartedAt, State,
    MissingNetwork, MissingMemory, NoBootPriority, StartTime, SnapStatus, MemOverhead, NoUploadStatsToController, IsDesignatedNodeID),
    embedded("ErrorAndTimeWithSource", "StartTime"))
EVE_DESCRIBE(AppInstanceSummary, (), (UUIDandVersion, TotalStarting, TotalRunning, TotalStopping, TotalError))
EVE_DESCRIBE(LocalAppCommand, (), (Command, LocalServerTimestamp, DeviceTimestamp, Completed, LastCompletedTimestamp))
EVE_DESCRIBE(LocalAppCounters, (), (RestartCmd, PurgeCmd))
EVE_DESCRIBE(AppInstMetaData, (), (AppInstUUID, Data, Type))

}  // namespace eve::types
