#pragma once
// Records and enumerations that several parts share: states, identities, cipher blocks, commands, persistent numbers.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/types/errors.hpp"

namespace eve::types {

enum class BootOrder : std::int32_t {
    BOOT_ORDER_UNSPECIFIED = 0,
    BOOT_ORDER_USB = 1,
    BOOT_ORDER_NOUSB = 2,
};

enum class IoType : std::uint8_t {
    IoNop = 0,
    IoNetEth = 1,
    IoUSB = 2,
    IoCom = 3,
    IoAudio = 4,
    IoNetWLAN = 5,
    IoNetWWAN = 6,
    IoHDMI = 7,
    IoNVMEStorage = 9,
    IoSATAStorage = 10,
    IoNetEthPF = 11,
    IoNetEthVF = 12,
    IoUSBController = 13,
    IoUSBDevice = 14,
    IoCAN = 15,
    IoVCAN = 16,
    IoLCAN = 17,
    IoNVME = 255,
    IoOther = 255,
};

enum class HashAlgorithm : std::int32_t {
    HASH_ALGORITHM_INVALID = 0,
    HASH_ALGORITHM_SHA256_16BYTES = 1,
    HASH_ALGORITHM_SHA256_32BYTES = 2,
};

enum class KeyExchangeScheme : std::int32_t {
    KEA_NONE = 0,
    KEA_ECDH = 1,
};

enum class EncryptionScheme : std::int32_t {
    SA_NONE = 0,
    SA_AES_256_CFB = 1,
};

enum class MetaDataType : std::uint8_t {
    MetaDataDrive = 0,
    MetaDataNone = 1,
    MetaDataOpenStack = 2,
    MetaDataDriveMultipart = 3,
};

enum class Affinity : std::uint8_t {
    PreferredDuringScheduling = 0,
    RequiredDuringScheduling = 1,
};

enum class AppRuntimeType : std::int64_t {
    AppRuntimeTypeUnSpecified = 0,
    AppRuntimeTypeDocker = 1,
};

enum class BootOrderSource : std::int64_t {
    BootOrderSourceUnspecified = 0,
    BootOrderSourceLPS = 1,
    BootOrderSourceController = 2,
    BootOrderSourceDeviceProperty = 3,
};

enum class SwState : std::uint8_t {
    INITIAL = 100,
    RESOLVING_TAG = 101,
    RESOLVED_TAG = 102,
    DOWNLOADING = 103,
    DOWNLOADED = 104,
    VERIFYING = 105,
    VERIFIED = 106,
    LOADING = 107,
    LOADED = 108,
    CREATING_VOLUME = 109,
    CREATED_VOLUME = 110,
    INSTALLED = 111,
    AWAITNETWORKINSTANCE = 112,
    START_DELAYED = 113,
    BOOTING = 114,
    RUNNING = 115,
    PAUSING = 116,
    PAUSED = 117,
    HALTING = 118,
    HALTED = 119,
    BROKEN = 120,
    UNKNOWN = 121,
    PENDING = 122,
    SCHEDULING = 123,
    FAILED = 124,
    REMOTELOADED = 125,
    MAXSTATE = 126,
};

enum class Format : std::int32_t {
    FmtUnknown = 0,
    RAW = 1,
    QCOW = 2,
    QCOW2 = 3,
    VHD = 4,
    VMDK = 5,
    OVA = 6,
    VHDX = 7,
    CONTAINER = 8,
    ISO = 9,
    PVC = 10,
};

enum class Target : std::int32_t {
    TgtUnknown = 0,
    Disk = 1,
    Kernel = 2,
    Initrd = 3,
    RamDisk = 4,
    AppCustom = 5,
};

struct UUIDandVersion {
    Uuid UUID;
    std::string Version;
    EVE_RECORD(UUIDandVersion)
};

struct EthVF {
    std::uint8_t Index = 0;
    std::string PciLong;
    std::string Mac;
    std::uint16_t VlanID = 0;
    EVE_RECORD(EthVF)
};

struct IoAdapter {
    IoType Type = {};
    std::string Name;
    EthVF EthVf;
    std::uint32_t IntfOrder = 0;
    EVE_RECORD(IoAdapter)
};

struct AppInstanceOpsCmd {
    std::uint32_t Counter = 0;
    std::string ApplyTime;
    EVE_RECORD(AppInstanceOpsCmd)
};

struct CipherContext : ErrorAndTime {
    std::string ContextID;
    HashAlgorithm HashScheme = {};
    types::KeyExchangeScheme KeyExchangeScheme = {};
    types::EncryptionScheme EncryptionScheme = {};
    Bytes ControllerCertHash;
    Bytes DeviceCertHash;
    EVE_RECORD(CipherContext)
};

struct CipherBlockStatus : ErrorAndTime {
    std::string CipherBlockID;
    std::string CipherContextID;
    Bytes InitialValue;
    Bytes CipherData;
    Bytes ClearTextHash;
    bool IsCipher = false;
    std::optional<types::CipherContext> CipherContext;
    EVE_RECORD(CipherBlockStatus)
};

struct VFList {
    std::uint8_t Count = 0;
    std::vector<EthVF> Data;
    EVE_RECORD(VFList)
};

struct UuidToNumKey {
    Uuid UUID;
    EVE_RECORD(UuidToNumKey)
};

struct UuidToNum : UuidToNumKey {
    std::int64_t Number = 0;
    std::string NumType;
    Time CreateTime;
    Time LastUseTime;
    bool InUse = false;
    EVE_RECORD(UuidToNum)
};

struct AppMACGenerator : UuidToNum {
    EVE_RECORD(AppMACGenerator)
};

struct AppInterfaceKey {
    Uuid NetInstID;
    Uuid AppID;
    std::uint32_t IfIdx = 0;
    EVE_RECORD(AppInterfaceKey)
};

struct UUIDPairAndIfIdxToNum : AppInterfaceKey {
    std::int64_t Number = 0;
    std::string NumType;
    Time CreateTime;
    Time LastUseTime;
    bool InUse = false;
    EVE_RECORD(UUIDPairAndIfIdxToNum)
};

/// The number table of app interfaces (application's MAC addresses and the like), under a topic name of its own.
struct AppInterfaceToNum : UUIDPairAndIfIdxToNum {
    EVE_RECORD(AppInterfaceToNum)
};

/// EVE's name of a state ("RUNNING"); "INVALID" for 0, "UNDEFINED(7)" for a number without a name.
std::string to_string(SwState state);
/// The state of that name, without case. Errors: invalid_argument.
Result<SwState> parse_state(std::string_view name);
/// The name of a format ("QCOW2"); "UNKNOWN" for a number without one.
std::string to_string(Format format);

}  // namespace eve::types
