// Field tables of common.hpp: the order, the keys and the tags that Go programs see.

#include "core/types/common.hpp"

#include "core/types/describe.hpp"

namespace eve::types {

EVE_DESCRIBE(UUIDandVersion, (), (UUID, Version))
EVE_DESCRIBE(EthVF, (), (Index, PciLong, Mac, VlanID), all_omitempty)
EVE_DESCRIBE(IoAdapter, (), (Type, Name, EthVf, IntfOrder))
EVE_DESCRIBE(AppInstanceOpsCmd, (), (Counter, ApplyTime))
EVE_DESCRIBE(CipherContext, (ErrorAndTime), (ContextID, HashScheme, KeyExchangeScheme, EncryptionScheme, ControllerCertHash, DeviceCertHash),
    embedded("ErrorAndTime", at_end))
EVE_DESCRIBE(CipherBlockStatus, (ErrorAndTime), (CipherBlockID, CipherContextID, InitialValue, CipherData, ClearTextHash, IsCipher,
    CipherContext), key("CipherData", "pubsub-large-CipherData"), embedded("ErrorAndTime", at_end))
EVE_DESCRIBE(VFList, (), (Count, Data), all_omitempty)
EVE_DESCRIBE(UuidToNumKey, (), (UUID))
EVE_DESCRIBE(UuidToNum, (UuidToNumKey), (Number, NumType, CreateTime, LastUseTime, InUse))
EVE_DESCRIBE(AppMACGenerator, (UuidToNum), ())
EVE_DESCRIBE(AppInterfaceKey, (), (NetInstID, AppID, IfIdx), key("NetInstID", "BaseID"))
EVE_DESCRIBE(UUIDPairAndIfIdxToNum, (AppInterfaceKey), (Number, NumType, CreateTime, LastUseTime, InUse))
EVE_DESCRIBE(AppInterfaceToNum, (UUIDPairAndIfIdxToNum), ())

}  // namespace eve::types
