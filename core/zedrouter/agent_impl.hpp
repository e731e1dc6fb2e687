#pragma once
// zedrouter from the inside: agent.cpp hears the configs and publishes, world.cpp looks at the host's network and changes it.

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/loop/while_alive.hpp"
#include "core/types/config_items.hpp"
#include "core/types/node.hpp"
#include "core/zedrouter/agent.hpp"
#include "core/zedrouter/state.hpp"

namespace eve::zedrouter {

constexpr std::chrono::seconds first_backoff{1};  ///< after an apply that failed in part or whole

class Agent::Impl : public WhileAlive<Agent::Impl> {
public:
    explicit Impl(Deps deps);
    void start();
    void stop() {
        for (const auto& timer : {retry_timer_, error_timer_, lease_timer_, adoption_timer_, collect_timer_})
            if (timer) deps_.loop.cancel(*timer);
    }

private:
    // agent.cpp
    void load();
    void subscribe_configs();
    void on_instance(const types::NetworkInstanceConfig& config);
    void on_instance_gone(const std::string& key);
    void on_app(const types::AppNetworkConfig& config, const std::string& controller);
    void on_app_gone(const std::string& key, const std::string& controller);
    void store_number(const std::string& key, const NumberEntry* entry, const char* type);
    NumberAllocator& interface_numbers(const types::Uuid& instance);
    MacGenerator mac_generator(const types::Uuid& app);

    void schedule();
    void reconcile();
    bool adopted();
    void adopt_deleted();
    void publish();

    // world.cpp
    void observe();
    void note_leases();
    void apply(Plan plan);
    void applied(const HostNetwork& network, const std::map<types::Uuid, types::AppNetworkConfig>& configs, const std::set<types::Uuid>& instances,
                 Result<std::vector<ItemFailure>> result);
    void note_in_force();
    void note_effective(const std::map<types::Uuid, types::AppNetworkConfig>& configs, const std::set<types::Uuid>& instances);
    void note_failures(const std::vector<ItemFailure>& failures);
    void retry_later();
    void log_refused(const std::vector<std::string>& refused);

    Deps deps_;
    bool scheduled_ = false;
    bool configs_subscribed_ = false;
    bool observed_ = false;
    bool observing_ = false;
    bool observe_again_ = false;
    bool applying_ = false;
    bool adoption_over_ = false;
    bool deleted_adopted_ = false;
    bool collected_ = false;
    std::uint64_t arrivals_ = 0;
    types::ConfigItems items_;
    bool items_known_ = false;
    bool ports_known_ = false;
    std::set<types::Uuid> expected_instances_;  ///< were active in an earlier life
    std::set<types::Uuid> expected_apps_;
    types::Time started_;
    Tables tables_;
    NumberAllocator app_numbers_;
    NumberAllocator bridge_numbers_;
    std::map<types::Uuid, NumberAllocator> interface_numbers_;
    std::optional<HostNetwork> attempted_;  ///< the last plan that was applied, well or not
    bool attempt_good_ = false;
    std::string last_drift_;
    std::uint64_t applies_ = 0;     ///< that have ended
    std::uint64_t seen_after_ = 0;  ///< how many of them the last look came after
    std::string apply_error_;
    std::map<std::string, std::string> failures_;  ///< by owner
    std::vector<std::string> refused_;
    std::chrono::nanoseconds backoff_ = first_backoff;
    std::optional<TimerId> retry_timer_;
    std::optional<TimerId> error_timer_;
    std::optional<TimerId> lease_timer_;
    std::optional<TimerId> adoption_timer_;
    std::optional<TimerId> collect_timer_;

    std::unique_ptr<Publication<types::AppNetworkStatus>> pub_apps_;
    std::unique_ptr<Publication<types::NetworkInstanceStatus>> pub_instances_;
    std::unique_ptr<Publication<types::UuidToNum>> pub_numbers_;
    std::unique_ptr<Publication<types::AppInterfaceToNum>> pub_interface_numbers_;
    std::unique_ptr<Publication<types::AppMACGenerator>> pub_generators_;
    std::unique_ptr<Subscription<types::ConfigItemValueMap>> sub_items_;
    std::unique_ptr<Subscription<types::OnboardingStatus>> sub_onboarding_;
    std::unique_ptr<Subscription<types::DeviceNetworkStatus>> sub_ports_;
    std::unique_ptr<Subscription<types::NetworkInstanceConfig>> sub_instances_;
    std::unique_ptr<Subscription<types::AppNetworkConfig>> sub_apps_;
    std::unique_ptr<Subscription<types::AppNetworkConfig>> sub_apps_of_zedagent_;
};

}  // namespace eve::zedrouter
