#include "core/zedrouter/agent.hpp"

#include <algorithm>
#include <limits>
#include <optional>
#include <set>
#include <utility>

#include "core/types/config_items.hpp"
#include "core/types/node.hpp"
#include "core/zedrouter/state.hpp"

namespace eve::zedrouter {
namespace {

using namespace std::chrono_literals;

constexpr const char* agent_name = "zedrouter";
constexpr const char* lane = "zedrouter.network";
constexpr auto error_retry = 60s;            ///< EVE's: apps in error are tried again
constexpr auto first_backoff = 1s;           ///< after an apply that failed in part or whole
constexpr auto backoff_max = 60s;
constexpr auto lease_retention = 5min;       ///< a lease that vanished from the file is believed this long
constexpr auto number_retention = 5min;      ///< numbers reserved for apps of an earlier life
constexpr auto adoption_wait = 60s;          ///< how long what an earlier life built waits for its configs
constexpr auto apply_limit = 30s;

const char* const app_number_type = "appNum";
const char* const bridge_number_type = "bridgeNum";
const char* const interface_number_type = "appNumOnUnet";
const char* const mac_generator_type = "macGenerator";

constexpr NumberAllocator::Range app_range{1, 255};
constexpr NumberAllocator::Range bridge_range{1, 255};
constexpr NumberAllocator::Range interface_range{0, 255};

/// Whether the record is of a network that apps were connected to or could be: up, or silenced by a collision of its subnet.
bool stood(const types::NetworkInstanceStatus& status) {
    return status.Activated || (types::has_error(status.IPConflictErr) && !status.Vifs.empty());
}

}  // namespace

class Agent::Impl : public std::enable_shared_from_this<Agent::Impl> {
public:
    explicit Impl(Deps deps)
        : deps_(std::move(deps)),
          app_numbers_(app_range, [this](const auto& key, const auto* entry) { store_number(key, entry, app_number_type); }),
          bridge_numbers_(bridge_range, [this](const auto& key, const auto* entry) { store_number(key, entry, bridge_number_type); }) {}

    void start();
    void stop() {
        stopped_ = true;
        for (const auto& timer : {retry_timer_, error_timer_, lease_timer_, adoption_timer_, collect_timer_})
            if (timer) deps_.loop.cancel(*timer);
    }

private:
    template <class Method> auto guarded(Method method) {
        return [self = weak_from_this(), method] {
            if (const auto agent = self.lock(); agent && !agent->stopped_) method(*agent);
        };
    }

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
    void observe();
    void note_leases();
    void apply(Plan plan);
    void applied(const HostNetwork& network, const std::map<types::Uuid, types::AppNetworkConfig>& configs, const std::set<types::Uuid>& instances,
                 Result<std::vector<ItemFailure>> result);
    void note_in_force();
    void note_effective(const std::map<types::Uuid, types::AppNetworkConfig>& configs, const std::set<types::Uuid>& instances);
    void note_failures(const std::vector<ItemFailure>& failures);
    void retry_later();
    void publish();
    void log_refused(const std::vector<std::string>& refused);

    Deps deps_;
    bool stopped_ = false;
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

void Agent::Impl::start() {
    started_ = deps_.loop.clock().wall_now();
    pub_apps_ = deps_.bus.publish<types::AppNetworkStatus>({.agent = agent_name});
    pub_instances_ = deps_.bus.publish<types::NetworkInstanceStatus>({.agent = agent_name});
    pub_numbers_ = deps_.bus.publish<types::UuidToNum>({.agent = agent_name, .persistent = true});
    pub_interface_numbers_ = deps_.bus.publish<types::AppInterfaceToNum>({.agent = agent_name, .persistent = true});
    pub_generators_ = deps_.bus.publish<types::AppMACGenerator>({.agent = agent_name, .persistent = true});
    tables_.app_numbers = &app_numbers_;
    tables_.bridge_numbers = &bridge_numbers_;
    tables_.interface_numbers = [this](const types::Uuid& instance) -> NumberAllocator& { return interface_numbers(instance); };
    tables_.mac_generator = [this](const types::Uuid& app) { return mac_generator(app); };
    load();

    sub_items_ = deps_.bus.subscribe<types::ConfigItemValueMap>({.agent = "zedagent"}, {.created = [this](const std::string& key, const auto& now) {
        if (key != "global") return;
        items_ = types::ConfigItems(now);
        items_known_ = true;
        subscribe_configs();
        schedule();
    }});
    sub_onboarding_ = deps_.bus.subscribe<types::OnboardingStatus>({.agent = "zedclient", .persistent = true},
                                                                   {.created = [this](const std::string&, const auto& now) {
                                                                       if (now.DeviceUUID.is_nil()) return;
                                                                       tables_.device = now.DeviceUUID;
                                                                       subscribe_configs();
                                                                       schedule();
                                                                   }});
    deps_.network.watch(guarded([](Impl& agent) { agent.observe(); }));
    observe();
}

void Agent::Impl::load() {
    for (const auto& [key, record] : pub_numbers_->items()) {
        const NumberEntry entry{.number = static_cast<int>(record->Number), .created = record->CreateTime, .last_used = record->LastUseTime};
        if (record->NumType == app_number_type) app_numbers_.restore(key, entry);
        if (record->NumType == bridge_number_type) bridge_numbers_.restore(key, entry);
    }
    for (const auto& [key, record] : pub_interface_numbers_->items()) {
        interface_numbers(record->NetInstID)
            .restore(interface_key(record->AppID, record->IfIdx),
                     {.number = static_cast<int>(record->Number), .created = record->CreateTime, .last_used = record->LastUseTime});
    }
    for (const auto& [key, record] : pub_instances_->items())
        if (stood(*record)) expected_instances_.insert(record->UUID);
    for (const auto& [key, record] : pub_apps_->items())
        if (record->Activated) expected_apps_.insert(record->UUIDandVersion.UUID);
}

void Agent::Impl::subscribe_configs() {
    if (configs_subscribed_ || !items_known_ || tables_.device.is_nil()) return;
    configs_subscribed_ = true;
    adoption_timer_ = deps_.loop.after(adoption_wait, guarded([](Impl& agent) {
        agent.adoption_timer_.reset();
        agent.adoption_over_ = true;
        agent.schedule();
    }));
    sub_ports_ = deps_.bus.subscribe<types::DeviceNetworkStatus>({.agent = "nim"}, {.created = [this](const std::string& key, const auto& now) {
        if (key != "global") return;
        tables_.ports = now;
        ports_known_ = true;
        schedule();
    }});
    sub_instances_ = deps_.bus.subscribe<types::NetworkInstanceConfig>(
        {.agent = "zedagent"}, {.created = [this](const std::string&, const auto& now) { on_instance(now); },
                                .deleted = [this](const std::string& key, const auto&) { on_instance_gone(key); },
                                .restarted =
                                    [this](int) {
                                        pub_instances_->signal_restarted();
                                        schedule();
                                    },
                                .synchronized = [this] { schedule(); }});
    const auto subscribe_apps = [this](const std::string& controller) {
        return deps_.bus.subscribe<types::AppNetworkConfig>(
            {.agent = controller}, {.created = [this, controller](const std::string&, const auto& now) { on_app(now, controller); },
                                    .deleted = [this, controller](const std::string& key, const auto&) { on_app_gone(key, controller); },
                                    .restarted =
                                        [this, controller](int) {
                                            if (controller == "zedmanager") pub_apps_->signal_restarted();
                                            schedule();
                                        },
                                    .synchronized = [this] { schedule(); }});
    };
    sub_apps_ = subscribe_apps("zedmanager");
    sub_apps_of_zedagent_ = subscribe_apps("zedagent");
}

void Agent::Impl::on_instance(const types::NetworkInstanceConfig& config) {
    auto [found, fresh] = tables_.instances.try_emplace(config.UUID);
    auto& instance = found->second;
    if (fresh) {
        instance.order = ++arrivals_;
        const auto* old = pub_instances_->get(config.UUID.to_string());
        if (old) instance.status = *old;
        instance.first = old && stood(*old);
        instance.wanted = instance.effective = instance.first;  // it was up, and is until we see otherwise
        if (instance.first) static_cast<types::NetworkInstanceConfigFields&>(instance.accepted) = *old;
        deps_.log.write(Level::info, "network_instance.configured", {{"network_instance", config.UUID.to_string()}, {"name", config.DisplayName}});
    }
    instance.desired = config;
    instance.deleted = false;
    schedule();
}

void Agent::Impl::on_instance_gone(const std::string& key) {
    const auto found = tables_.instances.find(types::Uuid::parse_or_nil(key));
    if (found == tables_.instances.end()) return;
    found->second.deleted = true;
    schedule();
}

void Agent::Impl::on_app(const types::AppNetworkConfig& config, const std::string& controller) {
    const auto& uuid = config.UUIDandVersion.UUID;
    auto [found, fresh] = tables_.apps.try_emplace(uuid);
    auto& app = found->second;
    if (fresh) {
        app.order = ++arrivals_;
        const auto* old = pub_apps_->get(uuid.to_string());
        if (old) app.status = *old;
        app.first = old && old->Activated;
        app.wanted = app.effective = app.first;
        if (app.first) app.applied = config;
        app.status.UUIDandVersion = config.UUIDandVersion;
        if (!collected_ && !collect_timer_) {
            collect_timer_ = deps_.loop.after(number_retention, guarded([](Impl& agent) {
                agent.collect_timer_.reset();
                agent.collected_ = true;
                agent.app_numbers_.collect(agent.started_);
                agent.bridge_numbers_.collect(agent.started_);
                for (auto& [instance, numbers] : agent.interface_numbers_) numbers.collect(agent.started_);
                std::vector<std::string> gone;
                for (const auto& [key, record] : agent.pub_generators_->items())
                    if (!agent.tables_.apps.contains(record->UUID)) gone.push_back(key);
                for (const auto& key : gone) (void)agent.pub_generators_->unpublish(key);  // it is there
            }));
        }
    }
    app.config = config;
    app.config.CloudInitUserData.reset();  // large, secret, and none of our business
    app.controller = controller;
    app.deleted = false;
    schedule();
}

void Agent::Impl::on_app_gone(const std::string& key, const std::string& controller) {
    const auto found = tables_.apps.find(types::Uuid::parse_or_nil(key));
    if (found == tables_.apps.end() || found->second.controller != controller) return;
    found->second.deleted = true;
    schedule();
}

void Agent::Impl::store_number(const std::string& key, const NumberEntry* entry, const char* type) {
    if (!entry) {
        (void)pub_numbers_->unpublish(key);  // not_found: never stored
        return;
    }
    types::UuidToNum record;
    record.UUID = types::Uuid::parse_or_nil(key);
    record.Number = entry->number;
    record.NumType = type;
    record.CreateTime = entry->created;
    record.LastUseTime = entry->last_used;
    record.InUse = entry->in_use;
    if (auto stored = pub_numbers_->publish(key, std::move(record)); !stored)
        deps_.log.write(Level::error, "number.not_stored", {{"key", key}, {"error", stored.error().what}});
}

NumberAllocator& Agent::Impl::interface_numbers(const types::Uuid& instance) {
    const auto found = interface_numbers_.find(instance);
    if (found != interface_numbers_.end()) return found->second;
    auto changed = [this, instance](const std::string& key, const NumberEntry* entry) {
        const auto record_key = instance.to_string() + "-" + key;
        if (!entry) {
            (void)pub_interface_numbers_->unpublish(record_key);  // not_found: never stored
            return;
        }
        constexpr std::size_t uuid_size = 36;
        types::AppInterfaceToNum record;
        record.NetInstID = instance;
        record.AppID = types::Uuid::parse_or_nil(key.substr(0, uuid_size));
        record.IfIdx = static_cast<std::uint32_t>(std::strtoul(key.c_str() + uuid_size + 1, nullptr, 10));
        record.Number = entry->number;
        record.NumType = interface_number_type;
        record.CreateTime = entry->created;
        record.LastUseTime = entry->last_used;
        record.InUse = entry->in_use;
        if (auto stored = pub_interface_numbers_->publish(record_key, std::move(record)); !stored)
            deps_.log.write(Level::error, "number.not_stored", {{"key", record_key}, {"error", stored.error().what}});
    };
    return interface_numbers_.emplace(instance, NumberAllocator(interface_range, std::move(changed))).first->second;
}

MacGenerator Agent::Impl::mac_generator(const types::Uuid& app) {
    const auto key = app.to_string();
    if (const auto* stored = pub_generators_->get(key)) {
        if (stored->Number >= 1 && stored->Number <= 3) return static_cast<MacGenerator>(stored->Number);
    }
    const auto generator = items_.boolean("network.local.legacy.mac.address") ? MacGenerator::node_scoped : MacGenerator::globally_scoped;
    types::AppMACGenerator record;
    record.UUID = app;
    record.Number = static_cast<int>(generator);
    record.NumType = mac_generator_type;
    record.CreateTime = record.LastUseTime = tables_.now;
    record.InUse = true;
    if (auto stored = pub_generators_->publish(key, std::move(record)); !stored)
        deps_.log.write(Level::error, "number.not_stored", {{"key", key}, {"error", stored.error().what}});
    return generator;
}

void Agent::Impl::observe() {
    if (observing_) {
        observe_again_ = true;
        return;
    }
    observing_ = true;
    deps_.lanes.submit(
        lane, [&network = deps_.network](const LaneContext&) { return network.observe(); },
        [self = weak_from_this(), applies = applies_](Result<HostObservation> seen) {
            const auto agent = self.lock();
            if (!agent || agent->stopped_) return;
            agent->observing_ = false;
            if (seen) {
                agent->seen_after_ = applies;
                agent->tables_.seen = std::move(*seen);
                agent->observed_ = true;
                agent->note_leases();
                agent->schedule();
            } else {
                agent->deps_.log.write(Level::error, "network.not_observed", {{"error", seen.error().what}});
                agent->retry_later();
            }
            if (std::exchange(agent->observe_again_, false)) agent->observe();
        });
}

void Agent::Impl::note_leases() {
    const auto now = deps_.loop.now();
    std::size_t present = 0;
    for (const auto& [bridge, leases] : tables_.seen.leases) {
        for (const auto& lease : leases) {
            tables_.leases[lease.host_name + " " + lease.mac] = {.address = lease.address, .last_seen = now};
            ++present;
        }
    }
    std::erase_if(tables_.leases, [&](const auto& item) { return now - item.second.last_seen > lease_retention; });
    if (tables_.leases.size() > present && !lease_timer_) {
        lease_timer_ = deps_.loop.after(lease_retention + 1s, guarded([](Impl& agent) {
            agent.lease_timer_.reset();
            agent.note_leases();
            agent.schedule();
        }));
    }
}

void Agent::Impl::schedule() {
    if (scheduled_ || stopped_) return;
    scheduled_ = true;
    deps_.loop.post(guarded([](Impl& agent) {
        agent.scheduled_ = false;
        agent.reconcile();
    }));
}

/// Whether what an earlier life built may be changed: everything that was up has its config again, or will not get one.
bool Agent::Impl::adopted() {
    if (adoption_over_) return true;
    if (!sub_instances_->synchronized()) return expected_instances_.empty() && expected_apps_.empty();
    const bool instances_complete = sub_instances_->restart_counter() > 0;
    const bool apps_complete = sub_apps_->restart_counter() > 0;
    for (const auto& uuid : expected_instances_)
        if (!instances_complete && !tables_.instances.contains(uuid)) return false;
    for (const auto& uuid : expected_apps_)
        if (!apps_complete && !tables_.apps.contains(uuid)) return false;
    adoption_over_ = true;
    if (adoption_timer_) deps_.loop.cancel(*adoption_timer_);
    adoption_timer_.reset();
    return true;
}

/// Networks that were deleted while apps used them, in an earlier life: they stay until the last app leaves.
void Agent::Impl::adopt_deleted() {
    if (std::exchange(deleted_adopted_, true)) return;
    for (const auto& [key, record] : pub_instances_->items()) {
        if (!stood(*record) || tables_.instances.contains(record->UUID)) continue;
        auto& instance = tables_.instances[record->UUID];
        static_cast<types::NetworkInstanceConfigFields&>(instance.accepted) = *record;
        instance.desired = instance.accepted;
        instance.status = *record;
        instance.deleted = instance.wanted = instance.effective = true;
        instance.order = ++arrivals_;
    }
}

void Agent::Impl::reconcile() {
    if (!configs_subscribed_ || !observed_ || !adopted()) return;
    if (!ports_known_ && tables_.instances.empty() && tables_.apps.empty()) return;
    adopt_deleted();
    tables_.now = deps_.loop.clock().wall_now();
    decide_instances(tables_);
    decide_apps(tables_);
    const PlanOptions options{.clamp_mss = items_.boolean("app.enable.tcp.mss.clamping"),
                              .run_directory = deps_.run_directory,
                              .log_dhcp = items_.agent_log_level(agent_name) == "debug",
                              .log_dns = items_.agent_log_level(agent_name) == "trace"};
    auto plan = plan_host_network(make_plan_input(tables_, options));
    log_refused(plan.refused);

    if (!applying_ && attempted_ && attempt_good_ && plan.network == *attempted_) note_in_force();
    publish();
    if (applying_) return;  // its end comes back here
    if (attempted_ && plan.network == *attempted_) {
        if (retry_timer_) return;  // it failed or did not hold a moment ago
        if (attempt_good_ && seen_after_ < applies_) return;  // the look at what the last one did is on its way
        const auto drift = attempt_good_ ? find_drift(plan.network, tables_.seen) : std::string();
        const bool again = drift == std::exchange(last_drift_, drift);
        if (attempt_good_ && drift.empty()) {
            backoff_ = first_backoff;
            return;
        }
        if (!drift.empty()) {
            deps_.log.write(Level::info, "network.drifted", {{"what", drift}});
            if (again) retry_later();  // it did not help a moment ago
        }
    }
    apply(std::move(plan));
}

void Agent::Impl::apply(Plan plan) {
    applying_ = true;
    std::set<types::Uuid> instances;
    std::map<types::Uuid, types::AppNetworkConfig> configs;
    for (const auto& [uuid, instance] : tables_.instances)
        if (instance.wanted) instances.insert(uuid);
    for (const auto& [uuid, app] : tables_.apps)
        if (app.wanted) configs[uuid] = types::has_error(app.status) ? app.applied : app.config;
    auto network = std::make_shared<const HostNetwork>(std::move(plan.network));
    deps_.lanes.submit(
        lane, [&world = deps_.network, network](const LaneContext&) { return world.apply(*network); },
        [self = weak_from_this(), network, configs = std::move(configs), instances = std::move(instances)](Result<std::vector<ItemFailure>> result) {
            if (const auto agent = self.lock(); agent && !agent->stopped_) agent->applied(*network, configs, instances, std::move(result));
        },
        {.time_limit = apply_limit});
}

void Agent::Impl::applied(const HostNetwork& network, const std::map<types::Uuid, types::AppNetworkConfig>& configs,
                          const std::set<types::Uuid>& instances, Result<std::vector<ItemFailure>> result) {
    applying_ = false;
    ++applies_;
    attempted_ = network;
    attempt_good_ = result && result->empty();
    if (!result) {
        apply_error_ = result.error().what;
        deps_.log.write(Level::error, "network.not_applied", {{"error", result.error().what}, {"hint", result.error().hint}});
        failures_.clear();
        retry_later();
        schedule();
        return;
    }
    apply_error_.clear();
    note_failures(*result);
    if (!result->empty()) retry_later();
    note_effective(configs, instances);
    observe();  // the interfaces' numbers
    schedule();
}

/// What is wanted needs no more than what is there: apps without interfaces, a new version of the same.
void Agent::Impl::note_in_force() {
    std::set<types::Uuid> instances;
    std::map<types::Uuid, types::AppNetworkConfig> configs;
    for (const auto& [uuid, instance] : tables_.instances)
        if (instance.wanted) instances.insert(uuid);
    for (const auto& [uuid, app] : tables_.apps)
        if (app.wanted) configs[uuid] = types::has_error(app.status) ? app.applied : app.config;
    note_effective(configs, instances);
}

void Agent::Impl::note_effective(const std::map<types::Uuid, types::AppNetworkConfig>& configs, const std::set<types::Uuid>& instances) {
    bool changed = false;
    for (auto& [uuid, instance] : tables_.instances) {
        const bool now = instances.contains(uuid);
        changed = changed || now != instance.effective;
        if (now != instance.effective) {
            deps_.log.write(Level::info, now ? "network_instance.activated" : "network_instance.deactivated",
                            {{"network_instance", uuid.to_string()}, {"bridge", instance.status.BridgeName}});
        }
        instance.effective = now;
    }
    for (auto& [uuid, app] : tables_.apps) {
        const auto found = configs.find(uuid);
        const bool now = found != configs.end();
        changed = changed || now != app.effective;
        if (now != app.effective)
            deps_.log.write(Level::info, now ? "app_network.activated" : "app_network.deactivated",
                            {{"app", uuid.to_string()}, {"number", app.status.AppNum}});
        app.effective = now;
        if (now) app.applied = found->second;
    }
    if (changed) schedule();  // apps may have waited for it
}

void Agent::Impl::note_failures(const std::vector<ItemFailure>& failures) {
    std::map<std::string, std::string> now;
    for (const auto& failure : failures) {
        auto& text = now[failure.owner];
        text += (text.empty() ? "failed items: " : "; ") + failure.item + " (" + failure.error.what +
                (failure.error.hint.empty() ? "" : "; " + failure.error.hint) + ")";
        if (!failures_.contains(failure.owner))
            deps_.log.write(Level::warn, "network.item_failed",
                            {{"owner", failure.owner}, {"item", failure.item}, {"error", failure.error.what}, {"hint", failure.error.hint}});
    }
    failures_ = std::move(now);
}

void Agent::Impl::retry_later() {
    if (retry_timer_) return;
    retry_timer_ = deps_.loop.after(backoff_, guarded([](Impl& agent) {
        agent.retry_timer_.reset();
        if (!agent.observed_) agent.observe();
        agent.schedule();
    }));
    backoff_ = std::min<std::chrono::nanoseconds>(backoff_ * 2, backoff_max);
}

void Agent::Impl::log_refused(const std::vector<std::string>& refused) {
    for (const auto& text : refused)
        if (std::find(refused_.begin(), refused_.end(), text) == refused_.end()) deps_.log.write(Level::warn, "acl.refused", {{"rule", text}});
    refused_ = refused;
}

void Agent::Impl::publish() {
    for (auto at = tables_.instances.begin(); at != tables_.instances.end();) {
        auto& [uuid, instance] = *at;
        const auto key = uuid.to_string();
        auto& status = instance.status;
        if (instance.deleted && !instance.wanted && !instance.effective) {
            if (pub_instances_->get(key)) (void)pub_instances_->unpublish(key);  // it is there
            bridge_numbers_.release(key);
            interface_numbers(uuid).collect(types::Time(WallTime{std::numeric_limits<std::int64_t>::max(), 0}));
            interface_numbers_.erase(uuid);
            deps_.log.write(Level::info, "network_instance.deleted", {{"network_instance", key}});
            at = tables_.instances.erase(at);
            continue;
        }
        std::string failed = apply_error_.empty() || !instance.wanted ? std::string() : apply_error_;
        for (const auto& owner : {key, std::string()})
            if (const auto found = failures_.find(owner); found != failures_.end() && instance.wanted)
                failed += (failed.empty() ? "" : "; ") + found->second;
        keep_error(status.ReconcileErr, failed, tables_.now);
        combine_errors(status);
        status.NetworkInstanceStatus::Activated = instance.wanted && instance.effective && !instance.suspended;
        using types::ChangeInProgressType;
        if (instance.deleted) status.ChangeInProgress = ChangeInProgressType::ChangeInProgressTypeDelete;
        else if (instance.wanted && !instance.effective) status.ChangeInProgress = ChangeInProgressType::ChangeInProgressTypeCreate;
        else status.ChangeInProgress = ChangeInProgressType::ChangeInProgressTypeNone;
        if (auto published = pub_instances_->publish(key, status); !published)
            deps_.log.write(Level::error, "status.not_published", {{"key", key}, {"error", published.error().what}});
        ++at;
    }
    bool errors = false;
    for (auto at = tables_.apps.begin(); at != tables_.apps.end();) {
        auto& [uuid, app] = *at;
        const auto key = uuid.to_string();
        auto& status = app.status;
        if (app.deleted && !app.wanted && !app.effective) {
            if (pub_apps_->get(key)) (void)pub_apps_->unpublish(key);          // it is there
            if (pub_generators_->get(key)) (void)pub_generators_->unpublish(key);  // it is there
            forget_app(tables_, app);
            at = tables_.apps.erase(at);
            schedule();  // somebody may have waited for its number or for the end of its network instance
            continue;
        }
        status.Activated = app.wanted && app.effective;
        status.PendingDelete = app.deleted;
        status.PendingAdd = !app.deleted && app.wanted && !app.effective;
        status.ConfigInSync = app.effective && app.applied == app.config;
        status.PendingModify = !app.deleted && app.effective && (!app.wanted || (!status.ConfigInSync && !types::has_error(status)));
        errors = errors || (app.config.Activate && types::has_error(status));
        if (auto published = pub_apps_->publish(key, status); !published)
            deps_.log.write(Level::error, "status.not_published", {{"key", key}, {"error", published.error().what}});
        ++at;
    }
    // Records of an earlier life whose configs did not come.
    std::vector<std::string> stale;
    for (const auto& [key, record] : pub_instances_->items())
        if (!tables_.instances.contains(types::Uuid::parse_or_nil(key))) stale.push_back(key);
    for (const auto& key : stale) {
        (void)pub_instances_->unpublish(key);  // it is there
        bridge_numbers_.release(key);
    }
    stale.clear();
    for (const auto& [key, record] : pub_apps_->items())
        if (!tables_.apps.contains(types::Uuid::parse_or_nil(key))) stale.push_back(key);
    for (const auto& key : stale) (void)pub_apps_->unpublish(key);  // it is there
    if (errors && !error_timer_) {
        error_timer_ = deps_.loop.after(error_retry, guarded([](Impl& agent) {
            agent.error_timer_.reset();
            agent.schedule();
        }));
    }
}

Agent::Agent(Deps deps) : impl_(std::make_shared<Impl>(std::move(deps))) { impl_->start(); }

Agent::~Agent() { impl_->stop(); }

}  // namespace eve::zedrouter
