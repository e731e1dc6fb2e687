#pragma once
// What client needs of the world. Implemented in storage/device_identity.cpp.

#include <string>

#include "core/types/values.hpp"
#include "eve/result.hpp"

namespace eve::client {

/// Who this machine is. [lane]
class DeviceIdentity {
public:
    virtual ~DeviceIdentity() = default;
    /// A UUID that nothing else has.
    virtual Result<types::Uuid> new_uuid() = 0;
    /// "vendor.product" as the firmware says, or "".
    virtual std::string hardware_model() = 0;
};

}  // namespace eve::client
