#include "core/client/agent.hpp"

#include <utility>

namespace eve::client {
namespace {

constexpr const char* global_key = "global";
constexpr const char* lane = "client/identity";

}  // namespace

Agent::Agent(Deps deps) : deps_(deps), onboarding_(deps.bus.publish<types::OnboardingStatus>({.agent = "zedclient", .persistent = true})) {
    config_ = deps_.bus.subscribe<zedagent::ConfigStatus>(
        {.agent = "zedagent"}, {.created = [this](const std::string& key, const zedagent::ConfigStatus& config) {
            if (key == global_key) on_config(config);
        }});
}

void Agent::on_config(const zedagent::ConfigStatus& config) {
    const auto* known = onboarding_->get(global_key);
    const bool has_identity = known != nullptr && !known->DeviceUUID.is_nil();
    if (config.DeviceUUID.is_nil() ? has_identity : has_identity && known->DeviceUUID == config.DeviceUUID) return;
    if (making_) return;  // the next change of the config, or this one's end, looks again
    making_ = true;
    deps_.lanes.submit(
        lane,
        [&identity = deps_.identity, given = config.DeviceUUID](const LaneContext&) {
            return Made{given.is_nil() ? identity.new_uuid() : Result<types::Uuid>(given), identity.hardware_model()};
        },
        [this, alive = std::weak_ptr<bool>(alive_), given = config.DeviceUUID](Made made) {
            if (alive.expired()) return;
            making_ = false;
            if (made.uuid) publish(*made.uuid, made.model);
            else deps_.log.write(Level::error, "client.no_identity", {{"error", made.uuid.error().what}});
            const auto* now = config_->get(global_key);
            if (now != nullptr && now->DeviceUUID != given) on_config(*now);
        });
}

void Agent::publish(const types::Uuid& uuid, const std::string& model) {
    types::OnboardingStatus status;
    status.DeviceUUID = uuid;
    status.HardwareModel = model;
    auto done = onboarding_->publish(global_key, status);
    if (done) deps_.log.write(Level::info, "client.identity", {{"device", uuid.to_string()}, {"model", model}});
    else deps_.log.write(Level::error, "client.identity_not_published", {{"error", done.error().what}});
}

}  // namespace eve::client
