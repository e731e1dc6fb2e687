#pragma once
// Content trees, blobs, volumes and what moves their bytes: the records of volumemgr, downloader and verifier.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/types/common.hpp"

namespace eve::types {

enum class VolumesSnapshotAction : std::uint8_t {
    VolumesSnapshotUnspecifiedAction = 0,
    VolumesSnapshotCreate = 1,
    VolumesSnapshotRollback = 2,
    VolumesSnapshotDelete = 3,
};

enum class VolumeContentOriginType : std::int32_t {
    VCOT_UNKNOWN = 0,
    VCOT_BLANK = 1,
    VCOT_DOWNLOAD = 2,
};

enum class VolumeSubState : std::uint8_t {
    VolumeSubStateInitial = 0,
    VolumeSubStatePreparing = 1,
    VolumeSubStatePrepareDone = 2,
    VolumeSubStateCreated = 3,
    VolumeSubStateDeleting = 4,
};

struct VolumeRefConfig {
    Uuid VolumeID;
    std::int64_t GenerationCounter = 0;
    std::int64_t LocalGenerationCounter = 0;
    Uuid AppUUID;
    std::string MountDir;
    bool VerifyOnly = false;
    EVE_RECORD(VolumeRefConfig)
};

struct VolumeRefStatus : ErrorAndTimeWithSource {
    Uuid VolumeID;
    std::int64_t GenerationCounter = 0;
    std::int64_t LocalGenerationCounter = 0;
    Uuid AppUUID;
    SwState State = {};
    std::string ActiveFileLocation;
    Format ContentFormat = {};
    bool ReadOnly = false;
    std::string DisplayName;
    std::uint64_t MaxVolSize = 0;
    bool PendingAdd = false;
    std::string WWN;
    bool VerifyOnly = false;
    types::Target Target = {};
    std::string CustomMeta;
    std::string ReferenceName;
    EVE_RECORD(VolumeRefStatus)
};

struct VolumesSnapshotConfig {
    std::string SnapshotID;
    VolumesSnapshotAction Action = {};
    std::vector<Uuid> VolumeIDs;
    Uuid AppUUID;
    EVE_RECORD(VolumesSnapshotConfig)
};

struct VolumeConfig {
    Uuid VolumeID;
    Uuid ContentID;
    types::VolumeContentOriginType VolumeContentOriginType = {};
    std::uint64_t MaxVolSize = 0;
    bool ReadOnly = false;
    std::int64_t GenerationCounter = 0;
    std::int64_t LocalGenerationCounter = 0;
    bool Encrypted = false;
    std::string DisplayName;
    bool HasNoAppReferences = false;
    types::Target Target = {};
    std::string CustomMeta;
    bool IsReplicated = false;
    bool IsNativeContainer = false;
    EVE_RECORD(VolumeConfig)
};

struct VolumeStatus : ErrorAndTimeWithSource {
    Uuid VolumeID;
    Uuid ContentID;
    types::VolumeContentOriginType VolumeContentOriginType = {};
    std::uint64_t MaxVolSize = 0;
    bool ReadOnly = false;
    std::int64_t GenerationCounter = 0;
    std::int64_t LocalGenerationCounter = 0;
    bool Encrypted = false;
    std::string DisplayName;
    SwState State = {};
    VolumeSubState SubState = {};
    std::uint64_t RefCount = 0;
    Time LastRefCountChangeTime;
    std::uint64_t Progress = 0;
    std::int64_t TotalSize = 0;
    std::int64_t CurrentSize = 0;
    std::string FileLocation;
    Time CreateTime;
    Format ContentFormat = {};
    Time LastUse;
    bool PreReboot = false;
    std::string ReferenceName;
    std::string WWN;
    types::Target Target = {};
    std::string CustomMeta;
    bool IsReplicated = false;
    bool IsNativeContainer = false;
    bool ClusterStorageTransientErr = false;
    std::int64_t ClusterStorageRetryCount = 0;
    EVE_RECORD(VolumeStatus)
};

struct VolumeCreatePending {
    Uuid VolumeID;
    std::int64_t GenerationCounter = 0;
    std::int64_t LocalGenerationCounter = 0;
    Format ContentFormat = {};
    bool Encrypted = false;
    EVE_RECORD(VolumeCreatePending)
};

struct ContentTreeConfig {
    Uuid ContentID;
    std::vector<Uuid> DatastoreIDList;
    std::string RelativeURL;
    types::Format Format = {};
    std::string ContentSha256;
    std::uint64_t MaxDownloadSize = 0;
    std::int64_t GenerationCounter = 0;
    std::string DisplayName;
    std::string CustomMeta;
    bool IsLocal = false;
    EVE_RECORD(ContentTreeConfig)
};

struct ContentTreeStatus : ErrorAndTimeWithSource {
    Uuid ContentID;
    std::vector<Uuid> DatastoreIDList;
    std::vector<std::string> DatastoreTypesList;
    bool AllDatastoresResolved = false;
    bool IsOCIRegistry = false;
    std::string RelativeURL;
    types::Format Format = {};
    std::string ContentSha256;
    std::uint64_t MaxDownloadSize = 0;
    std::int64_t GenerationCounter = 0;
    std::string DisplayName;
    bool HasResolverRef = false;
    SwState State = {};
    Time CreateTime;
    std::int64_t TotalSize = 0;
    std::int64_t CurrentSize = 0;
    std::uint64_t Progress = 0;
    std::string FileLocation;
    bool NameIsURL = false;
    std::vector<std::string> Blobs;
    bool HVTypeKube = false;
    bool IsLocal = false;
    EVE_RECORD(ContentTreeStatus)
};

struct BlobStatus : ErrorAndTimeWithSource {
    std::vector<Uuid> DatastoreIDList;
    std::string RelativeURL;
    std::string Sha256;
    std::uint64_t Size = 0;
    std::string Path;
    Bytes Content;
    SwState State = {};
    Time CreateTime;
    std::string MediaType;
    bool HasDownloaderRef = false;
    bool HasVerifierRef = false;
    std::uint64_t RefCount = 0;
    Time LastRefCountChangeTime;
    std::int64_t TotalSize = 0;
    std::int64_t CurrentSize = 0;
    std::uint64_t Progress = 0;
    std::uint32_t RetryCount = 0;
    EVE_RECORD(BlobStatus)
};

struct DownloaderConfig {
    std::string ImageSha256;
    std::vector<Uuid> DatastoreIDList;
    std::string Name;
    std::string Target;
    bool NameIsURL = false;
    std::uint64_t Size = 0;
    std::string FinalObjDir;
    std::uint64_t RefCount = 0;
    Time LastRetry;
    EVE_RECORD(DownloaderConfig)
};

struct DownloaderStatus : ErrorAndTime {
    std::string ImageSha256;
    std::vector<Uuid> DatastoreIDList;
    std::string Target;
    std::string Name;
    std::uint64_t RefCount = 0;
    Time LastUse;
    bool Expired = false;
    bool NameIsURL = false;
    SwState State = {};
    std::uint64_t ReservedSpace = 0;
    std::uint64_t Size = 0;
    std::int64_t TotalSize = 0;
    std::int64_t CurrentSize = 0;
    std::uint64_t Progress = 0;
    Time ModTime;
    std::string ContentType;
    std::int64_t RetryCount = 0;
    std::string OrigError;
    Time LastRetry;
    EVE_RECORD(DownloaderStatus)
};

struct VerifyImageConfig {
    std::string ImageSha256;
    std::string Name;
    std::string MediaType;
    std::string FileLocation;
    std::int64_t Size = 0;
    std::uint64_t RefCount = 0;
    bool Expired = false;
    EVE_RECORD(VerifyImageConfig)
};

struct VerifyImageStatus : ErrorAndTime {
    std::string ImageSha256;
    std::string Name;
    std::string FileLocation;
    std::int64_t Size = 0;
    std::string MediaType;
    bool PendingAdd = false;
    bool PendingModify = false;
    bool PendingDelete = false;
    SwState State = {};
    std::uint64_t RefCount = 0;
    bool Expired = false;
    EVE_RECORD(VerifyImageStatus)
};

struct ResolveConfig {
    Uuid DatastoreID;
    std::string Name;
    std::uint32_t Counter = 0;
    EVE_RECORD(ResolveConfig)
};

struct ResolveStatus : ErrorAndTime {
    Uuid DatastoreID;
    std::string Name;
    std::string ImageSha256;
    std::uint32_t Counter = 0;
    std::int64_t RetryCount = 0;
    std::string OrigError;
    EVE_RECORD(ResolveStatus)
};

struct DatastoreConfig : CipherBlockStatus {
    Uuid UUID;
    std::string DsType;
    std::string Fqdn;
    std::string ApiKey;
    std::string Password;
    std::string Dpath;
    std::string Region;
    std::vector<Bytes> DsCertPEM;
    EVE_RECORD(DatastoreConfig)
};

struct AppAndImageToHash {
    Uuid AppUUID;
    Uuid ImageID;
    std::string Hash;
    std::uint32_t PurgeCounter = 0;
    EVE_RECORD(AppAndImageToHash)
};

struct DeferredContentDeleteStatus {
    Uuid ContentID;
    std::int64_t GenerationCounter = 0;
    std::string ReferenceID;
    std::vector<std::string> Blobs;
    Time DeleteTime;
    EVE_RECORD(DeferredContentDeleteStatus)
};

struct DiskMetric {
    std::string DiskPath;
    std::uint64_t ReadBytes = 0;
    std::uint64_t WriteBytes = 0;
    std::uint64_t ReadCount = 0;
    std::uint64_t WriteCount = 0;
    std::uint64_t TotalBytes = 0;
    std::uint64_t UsedBytes = 0;
    std::uint64_t FreeBytes = 0;
    bool IsDir = false;
    std::string PartitionLabel;
    std::string PartitionType;
    std::string PartitionUUID;
    EVE_RECORD(DiskMetric)
};

struct AppDiskMetric {
    std::string DiskPath;
    std::uint64_t ProvisionedBytes = 0;
    std::uint64_t UsedBytes = 0;
    std::string DiskType;
    bool Dirty = false;
    EVE_RECORD(AppDiskMetric)
};

struct VolumeMgrStatus {
    std::string Name;
    bool Initialized = false;
    std::uint64_t RemainingSpace = 0;
    EVE_RECORD(VolumeMgrStatus)
};

struct VolumesSnapshotStatus : ErrorAndTimeWithSource {
    std::string SnapshotID;
    std::map<std::string, AnyJson> VolumeSnapshotMeta;
    Time TimeCreated;
    Uuid AppUUID;
    std::int64_t RefCount = 0;
    VolumesSnapshotAction ResultOfAction = {};
    EVE_RECORD(VolumesSnapshotStatus)
};

}  // namespace eve::types
