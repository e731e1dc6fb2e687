#pragma once
// What vaultmgr needs of the world. Implemented in storage/vault_directories.cpp.

#include "eve/result.hpp"

namespace eve::vaultmgr {

/// The places for data at rest. [lane]
class VaultDirectories {
public:
    virtual ~VaultDirectories() = default;
    /// /persist/vault and /persist/clear exist, for their owner only (0700). Errors: unavailable, permission_denied, resource_exhausted.
    virtual Status make() = 0;
    /// Whether the machine has a TPM.
    virtual bool has_tpm() = 0;
};

}  // namespace eve::vaultmgr
