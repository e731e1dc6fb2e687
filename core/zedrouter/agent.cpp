#include "core/zedrouter/agent.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "core/zedrouter/agent_impl.hpp"

namespace eve::zedrouter {
namespace {

using namespace std::chrono_literals;

constexpr const char* agent_name = "zedrouter";
constexpr auto error_retry = 60s;            ///< EVE's: apps in error are tried again
constexpr auto number_retention = 5min;      ///< numbers reserved for apps of an earlier life
constexpr auto adoption_wait = 60s;          ///< how long what an earlier life built waits for its configs

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

Agent::Impl::Impl(Deps deps)
    : deps_(std::move(deps)),
      app_numbers_(app_range, [this](const auto& key, const auto* entry) { store_number(key, entry, app_number_type); }),
      bridge_numbers_(bridge_range, [this](const auto& key, const auto* entry) { store_number(key, entry, bridge_number_type); }) {}

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
    deps_.network.watch(guarded_task([this] { observe(); }));
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
    adoption_timer_ = deps_.loop.after(adoption_wait, guarded_task([this] {
        adoption_timer_.reset();
        adoption_over_ = true;
        schedule();
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
        app.wanted = app.effective = app.standing = app.first;
        if (app.first) app.applied = config;
        app.status.UUIDandVersion = config.UUIDandVersion;
        if (!collected_ && !collect_timer_) {
            collect_timer_ = deps_.loop.after(number_retention, guarded_task([this] {
                collect_timer_.reset();
                collected_ = true;
                app_numbers_.collect(started_);
                bridge_numbers_.collect(started_);
                for (auto& [instance, numbers] : interface_numbers_) numbers.collect(started_);
                std::vector<std::string> gone;
                for (const auto& [key, record] : pub_generators_->items())
                    if (!tables_.apps.contains(record->UUID)) gone.push_back(key);
                for (const auto& key : gone) (void)pub_generators_->unpublish(key);  // it is there
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

void Agent::Impl::schedule() {
    if (scheduled_) return;
    scheduled_ = true;
    deps_.loop.post(guarded_task([this] {
        scheduled_ = false;
        reconcile();
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

/// Networks that were deleted while apps used them, in an earlier life: they stay until the last app leaves. And apps that were deleted while
/// we were away: their interfaces may stand until the host is as we want it.
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
    for (const auto& [key, record] : pub_apps_->items()) {
        const auto& uuid = record->UUIDandVersion.UUID;
        if (tables_.apps.contains(uuid)) continue;
        auto& app = tables_.apps[uuid];
        app.status = *record;
        app.deleted = app.standing = true;
        app.order = ++arrivals_;
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
        if (app.deleted && !app.wanted && !app.standing) {
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
    // Records of what is gone now, or was in an earlier life and whose configs did not come.
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
        error_timer_ = deps_.loop.after(error_retry, guarded_task([this] {
            error_timer_.reset();
            schedule();
        }));
    }
}

Agent::Agent(Deps deps) : impl_(std::make_shared<Impl>(std::move(deps))) { impl_->start(); }

Agent::~Agent() { impl_->stop(); }

}  // namespace eve::zedrouter
