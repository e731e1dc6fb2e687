#pragma once
// client: the device's identity, which every other agent waits for. It is what the accepted config says; a node that never had a config makes
// one up, once. Onboarding with a controller comes with the controller.

#include <memory>

#include "core/bus/bus.hpp"
#include "core/client/effects.hpp"
#include "core/log/log.hpp"
#include "core/loop/loop.hpp"
#include "core/types/node.hpp"
#include "core/zedagent/records.hpp"

namespace eve::client {

class Agent {
public:
    struct Deps {
        Bus& bus;
        Lanes& lanes;
        Log& log;
        DeviceIdentity& identity;
    };
    explicit Agent(Deps deps);
    Agent(const Agent&) = delete;
    Agent& operator=(const Agent&) = delete;

private:
    struct Made {
        Result<types::Uuid> uuid;
        std::string model;
    };
    void on_config(const zedagent::ConfigStatus& config);
    void publish(const types::Uuid& uuid, const std::string& model);

    Deps deps_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
    std::unique_ptr<Publication<types::OnboardingStatus>> onboarding_;
    std::unique_ptr<Subscription<zedagent::ConfigStatus>> config_;
    bool making_ = false;
};

}  // namespace eve::client
