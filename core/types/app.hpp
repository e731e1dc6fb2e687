#pragma once
// App instances as the controller wants them and as zedmanager reports them.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/types/domain.hpp"
#include "core/types/network.hpp"
#include "core/types/volume.hpp"

namespace eve::types {

enum class SnapshotType : std::int32_t {
    SnapshotTypeUnspecified = 0,
    SnapshotTypeAppUpdate = 1,
    SnapshotTypeImmediate = 2,
};

enum class Inprogress : std::uint8_t {
    NotInprogress = 0,
    DownloadAndVerify = 1,
    BringDown = 2,
    RecreateVolumes = 3,
    BringUp = 4,
};

enum class SnapshotWhen : std::uint8_t {
    NoSnapshotTake = 0,
    SnapshotImmediate = 1,
    SnapshotOnUpgrade = 2,
};

enum class AppCommand : std::uint8_t {
    AppCommandUnspecified = 0,
    AppCommandRestart = 1,
    AppCommandPurge = 2,
};

enum class AppInstMetaDataType : std::uint8_t {
    AppInstMetaDataTypeNone = 0,
    AppInstMetaDataTypeKubeConfig = 1,
    AppInstMetaDataCustomStatus = 2,
};

struct SnapshotDesc {
    std::string SnapshotID;
    types::SnapshotType SnapshotType = {};
    EVE_RECORD(SnapshotDesc)
};

struct SnapshotConfig {
    std::string ActiveSnapshot;
    std::uint32_t MaxSnapshots = 0;
    AppInstanceOpsCmd RollbackCmd;
    std::vector<SnapshotDesc> Snapshots;
    EVE_RECORD(SnapshotConfig)
};

struct AppInstanceConfig : CipherBlockStatus {
    types::UUIDandVersion UUIDandVersion;
    std::string DisplayName;
    std::vector<std::string> Errors;
    VmConfig FixedResources;
    bool DisableLogs = false;
    std::vector<VolumeRefConfig> VolumeRefConfigList;
    bool Activate = false;
    std::vector<AppNetAdapterConfig> AppNetAdapterList;
    std::vector<IoAdapter> IoAdapterList;
    AppInstanceOpsCmd RestartCmd;
    AppInstanceOpsCmd PurgeCmd;
    AppInstanceOpsCmd LocalRestartCmd;
    AppInstanceOpsCmd LocalPurgeCmd;
    std::optional<std::string> CloudInitUserData;
    bool RemoteConsole = false;
    IpAddress CollectStatsIPAddr;
    types::MetaDataType MetaDataType = {};
    std::vector<std::string> ProfileList;
    Duration Delay{};
    bool Service = false;
    std::uint32_t CloudInitVersion = 0;
    SnapshotConfig Snapshot;
    bool AllowToDiscover = false;
    bool IsDesignatedNodeID = false;
    Affinity AffinityType = {};
    AppRuntimeType DeploymentType = {};
    BootOrder ControllerBootOrder = {};
    types::BootOrderSource BootOrderSource = {};
    EVE_RECORD(AppInstanceConfig)
};

struct SnapshotInstanceStatus {
    SnapshotDesc Snapshot;
    bool Reported = false;
    Time TimeTriggered;
    Time TimeCreated;
    Uuid AppInstanceID;
    UUIDandVersion ConfigVersion;
    ErrorDescription Error;
    EVE_RECORD(SnapshotInstanceStatus)
};

struct SnapshottingStatus {
    std::uint32_t MaxSnapshots = 0;
    std::vector<SnapshotInstanceStatus> RequestedSnapshots;
    std::vector<SnapshotInstanceStatus> AvailableSnapshots;
    std::vector<SnapshotDesc> SnapshotsToBeDeleted;
    std::vector<VolumesSnapshotConfig> PreparedVolumesSnapshotConfigs;
    SnapshotWhen SnapshotTakenType = {};
    bool HasRollbackRequest = false;
    std::string ActiveSnapshot;
    bool RollbackInProgress = false;
    EVE_RECORD(SnapshottingStatus)
};

struct AppInstanceStatus : ErrorAndTimeWithSource {
    types::UUIDandVersion UUIDandVersion;
    std::string DisplayName;
    std::string DomainName;
    bool Activated = false;
    bool ActivateInprogress = false;
    VmConfig FixedResources;
    std::vector<VolumeRefStatus> VolumeRefStatusList;
    std::vector<AppNetAdapterStatus> AppNetAdapters;
    Time BootTime;
    std::vector<IoAdapter> IoAdapterList;
    Inprogress RestartInprogress = {};
    Time RestartStartedAt;
    Inprogress PurgeInprogress = {};
    Time PurgeStartedAt;
    SwState State = {};
    bool MissingNetwork = false;
    bool MissingMemory = false;
    bool NoBootPriority = false;
    Time StartTime;
    SnapshottingStatus SnapStatus;
    std::uint64_t MemOverhead = 0;
    bool NoUploadStatsToController = false;
    bool IsDesignatedNodeID = false;
    EVE_RECORD(AppInstanceStatus)
};

struct AppInstanceSummary {
    types::UUIDandVersion UUIDandVersion;
    std::uint8_t TotalStarting = 0;
    std::uint8_t TotalRunning = 0;
    std::uint8_t TotalStopping = 0;
    std::uint8_t TotalError = 0;
    EVE_RECORD(AppInstanceSummary)
};

struct LocalAppCommand {
    AppCommand Command = {};
    std::uint64_t LocalServerTimestamp = 0;
    Time DeviceTimestamp;
    bool Completed = false;
    std::uint64_t LastCompletedTimestamp = 0;
    EVE_RECORD(LocalAppCommand)
};

struct LocalAppCounters {
    AppInstanceOpsCmd RestartCmd;
    AppInstanceOpsCmd PurgeCmd;
    EVE_RECORD(LocalAppCounters)
};

struct AppInstMetaData {
    Uuid AppInstUUID;
    Bytes Data;
    AppInstMetaDataType Type = {};
    EVE_RECORD(AppInstMetaData)
};

}  // namespace eve::types
