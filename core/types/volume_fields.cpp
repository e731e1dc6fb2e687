// Field tables of volume.hpp: the order, the keys and the tags that Go programs see.

#include "core/types/volume.hpp"

#include "core/types/describe.hpp"

namespace eve::types {

EVE_DESCRIBE(VolumeRefConfig, (), (VolumeID, GenerationCounter, LocalGenerationCounter, AppUUID, MountDir, VerifyOnly))
EVE_DESCRIBE(VolumeRefStatus, (ErrorAndTimeWithSource), (VolumeID, GenerationCounter, LocalGenerationCounter, AppUUID, State, ActiveFileLocation,
    ContentFormat, ReadOnly, DisplayName, MaxVolSize, PendingAdd, WWN, VerifyOnly, Target, CustomMeta, ReferenceName),
    embedded("ErrorAndTimeWithSource", at_end))
EVE_DESCRIBE(VolumesSnapshotConfig, (), (SnapshotID, Action, VolumeIDs, AppUUID))
EVE_DESCRIBE(VolumeConfig, (), (VolumeID, ContentID, VolumeContentOriginType, MaxVolSize, ReadOnly, GenerationCounter, LocalGenerationCounter,
    Encrypted, DisplayName, HasNoAppReferences, Target, CustomMeta, IsReplicated, IsNativeContainer))
EVE_DESCRIBE(VolumeStatus, (ErrorAndTimeWithSource), (VolumeID, ContentID, VolumeContentOriginType, MaxVolSize, ReadOnly, GenerationCounter,
    LocalGenerationCounter, Encrypted, DisplayName, State, SubState, RefCount, LastRefCountChangeTime, Progress, TotalSize, CurrentSize,
    FileLocation, CreateTime, ContentFormat, LastUse, PreReboot, ReferenceName, WWN, Target, CustomMeta, IsReplicated, IsNativeContainer,
    ClusterStorageTransientErr, ClusterStorageRetryCount), embedded("ErrorAndTimeWithSource", at_end))
EVE_DESCRIBE(VolumeCreatePending, (), (VolumeID, GenerationCounter, LocalGenerationCounter, ContentFormat, Encrypted))
EVE_DESCRIBE(ContentTreeConfig, (), (ContentID, DatastoreIDList, RelativeURL, Format, ContentSha256, MaxDownloadSize, GenerationCounter,
    DisplayName, CustomMeta, IsLocal))
EVE_DESCRIBE(ContentTreeStatus, (ErrorAndTimeWithSource), (ContentID, DatastoreIDList, DatastoreTypesList, AllDatastoresResolved, IsOCIRegistry,
    RelativeURL, Format, ContentSha256, MaxDownloadSize, GenerationCounter, DisplayName, HasResolverRef, State, CreateTime, TotalSize,
    CurrentSize, Progress, FileLocation, NameIsURL, Blobs, HVTypeKube, IsLocal), embedded("ErrorAndTimeWithSource", at_end))
EVE_DESCRIBE(BlobStatus, (ErrorAndTimeWithSource), (DatastoreIDList, RelativeURL, Sha256, Size, Path, Content, State, CreateTime, MediaType,
    HasDownloaderRef, HasVerifierRef, RefCount, LastRefCountChangeTime, TotalSize, CurrentSize, Progress, RetryCount),
    embedded("ErrorAndTimeWithSource", "RetryCount"))
EVE_DESCRIBE(DownloaderConfig, (), (ImageSha256, DatastoreIDList, Name, Target, NameIsURL, Size, FinalObjDir, RefCount, LastRetry))
EVE_DESCRIBE(DownloaderStatus, (ErrorAndTime), (ImageSha256, DatastoreIDList, Target, Name, RefCount, LastUse, Expired, NameIsURL, State,
    ReservedSpace, Size, TotalSize, CurrentSize, Progress, ModTime, ContentType, RetryCount, OrigError, LastRetry), embedded("ErrorAndTime",
    "RetryCount"))
EVE_DESCRIBE(VerifyImageConfig, (), (ImageSha256, Name, MediaType, FileLocation, Size, RefCount, Expired))
EVE_DESCRIBE(VerifyImageStatus, (ErrorAndTime), (ImageSha256, Name, FileLocation, Size, MediaType, PendingAdd, PendingModify, PendingDelete,
    State, RefCount, Expired), embedded("ErrorAndTime", "RefCount"))
EVE_DESCRIBE(ResolveConfig, (), (DatastoreID, Name, Counter))
EVE_DESCRIBE(ResolveStatus, (ErrorAndTime), (DatastoreID, Name, ImageSha256, Counter, RetryCount, OrigError), embedded("ErrorAndTime",
    "OrigError"))
EVE_DESCRIBE(DatastoreConfig, (CipherBlockStatus), (UUID, DsType, Fqdn, ApiKey, Password, Dpath, Region, DsCertPEM), embedded("CipherBlockStatus",
    at_end))
EVE_DESCRIBE(AppAndImageToHash, (), (AppUUID, ImageID, Hash, PurgeCounter))
EVE_DESCRIBE(DeferredContentDeleteStatus, (), (ContentID, GenerationCounter, ReferenceID, Blobs, DeleteTime))
EVE_DESCRIBE(DiskMetric, (), (DiskPath, ReadBytes, WriteBytes, ReadCount, WriteCount, TotalBytes, UsedBytes, FreeBytes, IsDir, PartitionLabel,
    PartitionType, PartitionUUID))
EVE_DESCRIBE(AppDiskMetric, (), (DiskPath, ProvisionedBytes, UsedBytes, DiskType, Dirty))
EVE_DESCRIBE(VolumeMgrStatus, (), (Name, Initialized, RemainingSpace))
EVE_DESCRIBE(VolumesSnapshotStatus, (ErrorAndTimeWithSource), (SnapshotID, VolumeSnapshotMeta, TimeCreated, AppUUID, RefCount, ResultOfAction),
    embedded("ErrorAndTimeWithSource", at_end))

}  // namespace eve::types
