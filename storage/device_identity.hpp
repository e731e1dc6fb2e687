#pragma once
// The machine's identity as far as the kernel and the firmware know it.

#include "core/client/effects.hpp"

namespace eve::storage {

class DeviceIdentity final : public client::DeviceIdentity {
public:
    Result<types::Uuid> new_uuid() override;
    std::string hardware_model() override;
};

}  // namespace eve::storage
