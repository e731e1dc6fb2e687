// Field tables of node.hpp: the order, the keys and the tags that Go programs see.

#include "core/types/node.hpp"

#include "core/types/describe.hpp"

namespace eve::types {

EVE_DESCRIBE(ZedAgentStatus, (), (Name, ConfigGetStatus, RebootCmd, ShutdownCmd, PoweroffCmd, RequestedRebootReason, RequestedBootReason,
    MaintenanceMode, MaintenanceModeReasons, EdgeNodeCertsRefused, ForceFallbackCounter, CurrentProfile, RadioSilence, DeviceState, AttestState,
    AttestError, VaultStatus, PCRStatus, VaultErr, AirgapMode, LOCUrl))
EVE_DESCRIBE(NodeAgentStatus, (), (Name, CurPart, UpdateInprogress, RemainingTestTime, DeviceReboot, DeviceShutdown, DevicePoweroff,
    AllDomainsHalted, RebootReason, BootReason, RebootStack, RebootTime, RestartCounter, RebootImage, LocalMaintenanceMode,
    LocalMaintenanceModeReasons, HVTypeKube, WaitDrainInProgress))
EVE_DESCRIBE(ConfigItemValue, (), (Key, ItemType, IntValue, StrValue, BoolValue, TriStateValue))
EVE_DESCRIBE(ConfigItemValueMap, (), (GlobalSettings, AgentSettings))
EVE_DESCRIBE(ConfigItemStatus, (), (Value, Err))
EVE_DESCRIBE(GlobalStatus, (), (ConfigItems, UnknownConfigItems))
EVE_DESCRIBE(OnboardingStatus, (), (DeviceUUID, HardwareModel))
EVE_DESCRIBE(VaultTrimStatus, (), (LastStartTime, LastEndTime, LastError))
EVE_DESCRIBE(VaultStatus, (ErrorAndTime), (Name, Status, PCRStatus, ConversionComplete, MismatchingPCRs, UnlockMethod, TrimStatus),
    embedded("ErrorAndTime", at_end))
EVE_DESCRIBE(VaultConfig, (), (TpmKeyOnly))
EVE_DESCRIBE(ControllerCert, (), (HashAlgo, Type, Cert, CertHash))
EVE_DESCRIBE(CertMetaData, (), (Type, Data))
EVE_DESCRIBE(EdgeNodeCert, (), (HashAlgo, CertID, CertType, Cert, IsTpm, MetaDataItems))
EVE_DESCRIBE(ZbootStatus, (), (PartitionLabel, PartitionDevname, PartitionState, ShortVersion, LongVersion, CurrentPartition, TestComplete))
EVE_DESCRIBE(ZbootConfig, (), (PartitionLabel, TestComplete))
EVE_DESCRIBE(BaseOSMgrStatus, (), (CurrentRetryUpdateCounter))
EVE_DESCRIBE(TpmSanityStatus, (ErrorAndTime), (Name, Status), embedded("ErrorAndTime", at_end))
EVE_DESCRIBE(ServiceInitStatus, (), (ServiceName, CmdArgs))
EVE_DESCRIBE(LedBlinkCounter, (), (BlinkCounter))
EVE_DESCRIBE(EdgeNodeInfo, (), (DeviceName, DeviceID, ProjectName, ProjectID, EnterpriseName, EnterpriseID))
EVE_DESCRIBE(DeviceOpsCmd, (), (Counter, DesiredState, OpsTime))
EVE_DESCRIBE(UEvent, (), (Action, Obj, Env))
EVE_DESCRIBE(EncryptionBlock, (), (DsAPIKey, DsPassword, WifiUserName, WifiPassword, CellularNetUsername, CellularNetPassword,
    CellularNetAttachUsername, CellularNetAttachPassword, ProtectedUserData, ClusterToken, User, EncryptedData, GzipRegistrationManifestYaml,
    SCEPChallengePassword))

}  // namespace eve::types
