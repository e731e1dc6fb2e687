// Field tables of records.hpp.

#include "core/zedagent/records.hpp"

#include "core/types/describe.hpp"

namespace eve::zedagent {

EVE_DESCRIBE(ConfigItemError, (), (Name, Error, Unknown))
EVE_DESCRIBE(ConfigStatus, (),
             (Accepted, Digest, ReadTime, Error, Field, Remedy, Source, InForceDigest, InForceSince, DeviceUUID, Version, DeviceName, MaintenanceMode,
              ConfigItemErrors, UnknownFields, NotActedOn, Problems))
EVE_DESCRIBE(LocalCommands, (), (AppCommands, AppCounters, VolumeGenCounters))

}  // namespace eve::zedagent
