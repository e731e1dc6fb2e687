#pragma once
// When the files below the vault may be used: what every agent waits for that keeps some there.

#include "core/types/node.hpp"

namespace eve::types {

inline bool is_ready(const VaultStatus& vault) {
    return vault.ConversionComplete && vault.Status != DataSecAtRestStatus::DATASEC_AT_REST_ERROR;
}

}  // namespace eve::types
