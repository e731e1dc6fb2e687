#pragma once
// vaultmgr: the place for data at rest, and the truth about its protection. As EVE on a device without a TPM: the vault is a plain directory,
// its status is "disabled" and says so. Encryption comes with an issue of its own.

#include <chrono>
#include <memory>
#include <optional>

#include "core/bus/bus.hpp"
#include "core/log/log.hpp"
#include "core/loop/loop.hpp"
#include "core/types/node.hpp"
#include "core/vaultmgr/effects.hpp"

namespace eve::vaultmgr {

/// EVE's name of the vault, and the key of its status.
inline constexpr const char* default_vault = "Application Data Store";
/// Directories that could not be made are tried again after this.
inline constexpr std::chrono::seconds make_retry{10};

class Agent {
public:
    struct Deps {
        Bus& bus;
        Loop& loop;
        Lanes& lanes;
        Log& log;
        VaultDirectories& directories;
    };
    explicit Agent(Deps deps);
    ~Agent();
    Agent(const Agent&) = delete;
    Agent& operator=(const Agent&) = delete;

private:
    struct Made {
        Status status;
        bool has_tpm = false;
    };
    void make();
    void on_made(const Made& made);

    Deps deps_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
    std::unique_ptr<Publication<types::VaultStatus>> status_;
    std::optional<TimerId> retry_;
};

}  // namespace eve::vaultmgr
