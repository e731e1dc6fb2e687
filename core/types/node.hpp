#pragma once
// The node itself: configuration items, onboarding, vault, boot, certificates: records of zedagent, nodeagent, vaultmgr and client.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/types/common.hpp"
#include "core/types/network.hpp"

namespace eve::types {

enum class ConfigGetStatus : std::uint8_t {
    ConfigGetSuccess = 1,
    ConfigGetFail = 2,
    ConfigGetTemporaryFail = 3,
    ConfigGetReadSaved = 4,
};

enum class BootReason : std::uint8_t {
    BootReasonNone = 0,
    BootReasonFirst = 1,
    BootReasonRebootCmd = 2,
    BootReasonUpdate = 3,
    BootReasonFallback = 4,
    BootReasonDisconnect = 5,
    BootReasonFatal = 6,
    BootReasonOOM = 7,
    BootReasonWatchdogHung = 8,
    BootReasonWatchdogPid = 9,
    BootReasonKernel = 10,
    BootReasonPowerFail = 11,
    BootReasonUnknown = 12,
    BootReasonVaultFailure = 13,
    BootReasonPoweroffCmd = 14,
    BootReasonKubeTransition = 15,
    BootReasonHWWatchdog = 16,
};

enum class MaintenanceModeReason : std::int32_t {
    MAINTENANCE_MODE_REASON_NONE = 0,
    MAINTENANCE_MODE_REASON_USER_REQUESTED = 1,
    MAINTENANCE_MODE_REASON_VAULT_LOCKED_UP = 2,
    MAINTENANCE_MODE_REASON_LOW_DISK_SPACE = 3,
    MAINTENANCE_MODE_REASON_TPM_ENCRYPTION_FAILURE = 4,
    MAINTENANCE_MODE_REASON_TPM_QUOTE_FAILURE = 5,
    MAINTENANCE_MODE_REASON_EDGE_NODE_CERTS_REFUSED = 6,
};

enum class DeviceState : std::uint8_t {
    DEVICE_STATE_UNSPECIFIED = 0,
    DEVICE_STATE_ONLINE = 1,
    DEVICE_STATE_REBOOTING = 2,
    DEVICE_STATE_MAINTENANCE_MODE = 3,
    DEVICE_STATE_BASEOS_UPDATING = 4,
    DEVICE_STATE_BOOTING = 5,
    DEVICE_STATE_PREPARING_POWEROFF = 6,
    DEVICE_STATE_POWERING_OFF = 7,
    DEVICE_STATE_PREPARED_POWEROFF = 8,
};

enum class AttestState : std::int32_t {
    StateNone = 0,
    StateNonceWait = 1,
    StateInternalQuoteWait = 2,
    StateInternalEscrowWait = 3,
    StateAttestWait = 4,
    StateAttestEscrowWait = 5,
    StateRestartWait = 6,
    StateComplete = 7,
    StateAny = 8,
};

enum class DataSecAtRestStatus : std::int32_t {
    DATASEC_AT_REST_UNKNOWN = 0,
    DATASEC_AT_REST_DISABLED = 1,
    DATASEC_AT_REST_ENABLED = 2,
    DATASEC_AT_REST_ERROR = 4,
};

enum class PCRStatus : std::int32_t {
    PCR_UNKNOWN = 0,
    PCR_ENABLED = 1,
    PCR_DISABLED = 2,
};

enum class ConfigItemType : std::uint8_t {
    ConfigItemTypeInvalid = 0,
    ConfigItemTypeInt = 1,
    ConfigItemTypeBool = 2,
    ConfigItemTypeString = 3,
    ConfigItemTypeTriState = 4,
};

enum class TriState : std::uint8_t {
    TS_NONE = 0,
    TS_DISABLED = 1,
    TS_ENABLED = 2,
};

enum class VaultUnlockMethod : std::uint8_t {
    VaultUnlockNone = 0,
    VaultUnlockTPMLocalSealed = 1,
    VaultUnlockControllerKey = 2,
    VaultUnlockNoTPM = 3,
    VaultUnlockRecreated = 4,
};

enum class ZCertType : std::int32_t {
    CERT_TYPE_CONTROLLER_NONE = 0,
    CERT_TYPE_CONTROLLER_SIGNING = 1,
    CERT_TYPE_CONTROLLER_INTERMEDIATE = 2,
    CERT_TYPE_CONTROLLER_ECDH_EXCHANGE = 3,
    CERT_TYPE_DEVICE_ONBOARDING = 10,
    CERT_TYPE_DEVICE_RESTRICTED_SIGNING = 11,
    CERT_TYPE_DEVICE_ENDORSEMENT_RSA = 12,
    CERT_TYPE_DEVICE_ECDH_EXCHANGE = 13,
};

enum class CertType : std::uint8_t {
    CertTypeNone = 0,
    CertTypeOnboarding = 1,
    CertTypeRestrictSigning = 2,
    CertTypeEk = 3,
    CertTypeEcdhXchange = 4,
};

enum class CertMetaDataType : std::uint8_t {
    CertMetaDataTypeNone = 0,
    CertMetaDataTypeTpm2Public = 1,
};

enum class LedBlinkCount : std::uint8_t {
    LedBlinkUndefined = 0,
    LedBlinkWaitingForIP = 1,
    LedBlinkConnectingToController = 2,
    LedBlinkConnectedToController = 3,
    LedBlinkOnboarded = 4,
    LedBlinkRadioSilence = 5,
    LedBlinkOnboardingFailure = 10,
    LedBlinkRespWithoutTLS = 12,
    LedBlinkRespWithoutOSCP = 13,
    LedBlinkInvalidControllerCert = 14,
    LedBlinkInvalidAuthContainer = 15,
    LedBlinkInvalidBootstrapConfig = 16,
    LedBlinkOnboardingFailureConflict = 17,
    LedBlinkOnboardingFailureNotFound = 18,
};

enum class EncryptionBlockUser : std::int32_t {
    ENCRYPTION_BLOCK_USER_UNSPECIFIED = 0,
    ENCRYPTION_BLOCK_USER_BINARY_ARTIFACT_METADATA = 1,
};

struct ZedAgentStatus {
    std::string Name;
    types::ConfigGetStatus ConfigGetStatus = {};
    bool RebootCmd = false;
    bool ShutdownCmd = false;
    bool PoweroffCmd = false;
    std::string RequestedRebootReason;
    BootReason RequestedBootReason = {};
    bool MaintenanceMode = false;
    std::vector<MaintenanceModeReason> MaintenanceModeReasons;
    bool EdgeNodeCertsRefused = false;
    std::uint32_t ForceFallbackCounter = 0;
    std::string CurrentProfile;
    types::RadioSilence RadioSilence;
    types::DeviceState DeviceState = {};
    types::AttestState AttestState = {};
    std::string AttestError;
    DataSecAtRestStatus VaultStatus = {};
    types::PCRStatus PCRStatus = {};
    std::string VaultErr;
    bool AirgapMode = false;
    std::string LOCUrl;
    EVE_RECORD(ZedAgentStatus)
};

struct NodeAgentStatus {
    std::string Name;
    std::string CurPart;
    bool UpdateInprogress = false;
    Duration RemainingTestTime{};
    bool DeviceReboot = false;
    bool DeviceShutdown = false;
    bool DevicePoweroff = false;
    bool AllDomainsHalted = false;
    std::string RebootReason;
    types::BootReason BootReason = {};
    std::string RebootStack;
    Time RebootTime;
    std::uint32_t RestartCounter = 0;
    std::string RebootImage;
    bool LocalMaintenanceMode = false;
    std::vector<MaintenanceModeReason> LocalMaintenanceModeReasons;
    bool HVTypeKube = false;
    bool WaitDrainInProgress = false;
    EVE_RECORD(NodeAgentStatus)
};

struct ConfigItemValue {
    std::string Key;
    ConfigItemType ItemType = {};
    std::uint32_t IntValue = 0;
    std::string StrValue;
    bool BoolValue = false;
    TriState TriStateValue = {};
    EVE_RECORD(ConfigItemValue)
};

struct ConfigItemValueMap {
    std::map<std::string, ConfigItemValue> GlobalSettings;
    std::map<std::string, std::map<std::string, ConfigItemValue>> AgentSettings;
    EVE_RECORD(ConfigItemValueMap)
};

struct ConfigItemStatus {
    std::string Value;
    AnyJson Err;
    EVE_RECORD(ConfigItemStatus)
};

struct GlobalStatus {
    std::map<std::string, ConfigItemStatus> ConfigItems;
    std::map<std::string, ConfigItemStatus> UnknownConfigItems;
    EVE_RECORD(GlobalStatus)
};

struct OnboardingStatus {
    Uuid DeviceUUID;
    std::string HardwareModel;
    EVE_RECORD(OnboardingStatus)
};

struct VaultTrimStatus {
    Time LastStartTime;
    Time LastEndTime;
    std::string LastError;
    EVE_RECORD(VaultTrimStatus)
};

struct VaultStatus : ErrorAndTime {
    std::string Name;
    DataSecAtRestStatus Status = {};
    types::PCRStatus PCRStatus = {};
    bool ConversionComplete = false;
    std::vector<std::int64_t> MismatchingPCRs;
    VaultUnlockMethod UnlockMethod = {};
    VaultTrimStatus TrimStatus;
    EVE_RECORD(VaultStatus)
};

struct VaultConfig {
    bool TpmKeyOnly = false;
    EVE_RECORD(VaultConfig)
};

struct ControllerCert {
    HashAlgorithm HashAlgo = {};
    ZCertType Type = {};
    Bytes Cert;
    Bytes CertHash;
    EVE_RECORD(ControllerCert)
};

struct CertMetaData {
    CertMetaDataType Type = {};
    Bytes Data;
    EVE_RECORD(CertMetaData)
};

struct EdgeNodeCert {
    std::uint8_t HashAlgo = 0;
    Bytes CertID;
    types::CertType CertType = {};
    Bytes Cert;
    bool IsTpm = false;
    std::vector<CertMetaData> MetaDataItems;
    EVE_RECORD(EdgeNodeCert)
};

struct ZbootStatus {
    std::string PartitionLabel;
    std::string PartitionDevname;
    std::string PartitionState;
    std::string ShortVersion;
    std::string LongVersion;
    bool CurrentPartition = false;
    bool TestComplete = false;
    EVE_RECORD(ZbootStatus)
};

struct ZbootConfig {
    std::string PartitionLabel;
    bool TestComplete = false;
    EVE_RECORD(ZbootConfig)
};

struct BaseOSMgrStatus {
    std::uint32_t CurrentRetryUpdateCounter = 0;
    EVE_RECORD(BaseOSMgrStatus)
};

struct TpmSanityStatus : ErrorAndTime {
    std::string Name;
    MaintenanceModeReason Status = {};
    EVE_RECORD(TpmSanityStatus)
};

/// zedbox's own request to start a service, over its reverse channel.
struct ServiceInitStatus {
    std::string ServiceName;
    std::vector<std::string> CmdArgs;
    EVE_RECORD(ServiceInitStatus)
};

struct LedBlinkCounter {
    LedBlinkCount BlinkCounter = {};
    EVE_RECORD(LedBlinkCounter)
};

struct EdgeNodeInfo {
    std::string DeviceName;
    Uuid DeviceID;
    std::string ProjectName;
    Uuid ProjectID;
    std::string EnterpriseName;
    std::string EnterpriseID;
    EVE_RECORD(EdgeNodeInfo)
};

struct DeviceOpsCmd {
    std::uint32_t Counter = 0;
    bool DesiredState = false;
    std::string OpsTime;
    EVE_RECORD(DeviceOpsCmd)
};

struct UEvent {
    std::string Action;
    std::string Obj;
    std::map<std::string, std::string> Env;
    EVE_RECORD(UEvent)
};

struct EncryptionBlock {
    std::string DsAPIKey;
    std::string DsPassword;
    std::string WifiUserName;
    std::string WifiPassword;
    std::string CellularNetUsername;
    std::string CellularNetPassword;
    std::string CellularNetAttachUsername;
    std::string CellularNetAttachPassword;
    std::string ProtectedUserData;
    std::string ClusterToken;
    EncryptionBlockUser User = {};
    std::string EncryptedData;
    Bytes GzipRegistrationManifestYaml;
    std::string SCEPChallengePassword;
    EVE_RECORD(EncryptionBlock)
};

}  // namespace eve::types
