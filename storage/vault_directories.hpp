#pragma once
// The directories for data at rest, in clear text.

#include <utility>

#include "core/loop/root.hpp"
#include "core/vaultmgr/effects.hpp"

namespace eve::storage {

class VaultDirectories final : public vaultmgr::VaultDirectories {
public:
    explicit VaultDirectories(Root root) : root_(std::move(root)) {}
    Status make() override;
    bool has_tpm() override;

private:
    Root root_;
};

}  // namespace eve::storage
