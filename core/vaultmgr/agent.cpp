#include "core/vaultmgr/agent.hpp"

#include <utility>

namespace eve::vaultmgr {

Agent::Agent(Deps deps) : deps_(deps), status_(deps.bus.publish<types::VaultStatus>({.agent = "vaultmgr"})) { make(); }

Agent::~Agent() {
    if (retry_) deps_.loop.cancel(*retry_);
}

void Agent::make() {
    deps_.lanes.submit(
        "vaultmgr/directories",
        [&directories = deps_.directories](const LaneContext&) { return Made{directories.make(), directories.has_tpm()}; },
        [this, alive = std::weak_ptr<bool>(alive_)](Made made) {
            if (!alive.expired()) on_made(made);
        });
}

void Agent::on_made(const Made& made) {
    types::VaultStatus status;
    status.Name = default_vault;
    const auto now = types::Time(deps_.loop.clock().wall_now());
    const auto* before = status_->get(default_vault);
    if (made.status) {
        status.Status = types::DataSecAtRestStatus::DATASEC_AT_REST_DISABLED;
        status.PCRStatus = types::PCRStatus::PCR_DISABLED;
        status.UnlockMethod = types::VaultUnlockMethod::VaultUnlockNoTPM;
        status.ConversionComplete = true;
        types::set_error(
            status,
            types::ErrorDescription{.Error = made.has_tpm ? "the TPM is not in use yet: the vault is a plain directory, not encrypted"
                                                          : "TPM is either absent or not in use: the vault is a plain directory, not encrypted",
                                    .ErrorSeverity = types::ErrorSeverity::ErrorSeverityWarning},
            now);
    } else {
        status.Status = types::DataSecAtRestStatus::DATASEC_AT_REST_ERROR;
        types::set_error(
            status,
            types::ErrorDescription{.Error = made.status.error().what,
                                    .ErrorSeverity = types::ErrorSeverity::ErrorSeverityError,
                                    .ErrorRetryCondition = "will be tried again every " + std::to_string(make_retry.count()) + " seconds"},
            now);
        deps_.log.write(Level::error, "vault.failed", {{"error", made.status.error().what}});
        retry_ = deps_.loop.after(make_retry, [this] {
            retry_.reset();
            make();
        });
    }
    if (before != nullptr && before->Error == status.Error) status.ErrorTime = before->ErrorTime;
    if (auto done = status_->publish(default_vault, std::move(status)); !done)
        deps_.log.write(Level::error, "vault.publish_failed", {{"error", done.error().what}});
}

}  // namespace eve::vaultmgr
