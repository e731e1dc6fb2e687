#include "core/domainmgr/agent_impl.hpp"
#include "core/types/vault.hpp"

namespace eve::domainmgr {

Agent::Impl::Impl(Deps deps)
    : deps_(std::move(deps)),
      marks_(deps_.lanes, deps_.host),
      devices_({.loop = deps_.loop,
                .lanes = deps_.lanes,
                .log = deps_.log,
                .runtimes = deps_.runtimes,
                .changed = [this] { publish_adapters(); }}) {
    auto& bus = deps_.bus;
    status_ = bus.publish<types::DomainStatus>({.agent = agent_name});
    notes_ = bus.publish<types::DomainNotes>({.agent = agent_name});
    metrics_ = bus.publish<types::DomainMetric>({.agent = agent_name});
    memory_ = bus.publish<types::HostMemory>({.agent = agent_name});
    capabilities_ = bus.publish<types::Capabilities>({.agent = agent_name});
    adapters_ = bus.publish<types::AssignableAdapters>({.agent = agent_name});
    inventory_ = bus.publish<types::PciInventory>({.agent = agent_name});
    status_->clear_restarted();

    const auto on_items = [this](const std::string& key, const types::ConfigItemValueMap& values) {
        if (key != global_key) return;
        items_ = types::ConfigItems(values);
        have_items_ = true;
        devices_.on_access(items_.boolean("debug.enable.usb"), items_.boolean("debug.enable.vga"));
        gate_changed();
    };
    item_values_ = bus.subscribe<types::ConfigItemValueMap>({.agent = "zedagent"}, {.created = on_items, .synchronized = [this] { gate_changed(); }});
    model_ = bus.subscribe<types::PhysicalIOAdapterList>(
        {.agent = "zedagent"}, {.created = [this](const std::string&, const types::PhysicalIOAdapterList& model) {
            devices_.on_model(model);
            gate_changed();
        }});
    network_ = bus.subscribe<types::DeviceNetworkStatus>(
        {.agent = "nim"}, {.created = [this](const std::string& key, const types::DeviceNetworkStatus& network) {
            if (key == global_key) devices_.on_network(network);
            gate_changed();
        }});
    onboarding_ = bus.subscribe<types::OnboardingStatus>(
        {.agent = "zedclient", .persistent = true}, {.created = [this](const std::string&, const types::OnboardingStatus&) { gate_changed(); }});
    vault_ = bus.subscribe<types::VaultStatus>({.agent = "vaultmgr"},
                                               {.created = [this](const std::string&, const types::VaultStatus&) { gate_changed(); }});
    zedagent_ = bus.subscribe<types::ZedAgentStatus>(
        {.agent = "zedagent"}, {.created = [this](const std::string&, const types::ZedAgentStatus& status) {
            going_down_ = status.RebootCmd || status.ShutdownCmd || status.PoweroffCmd;
        }});

    deps_.runtimes.on_event([this, alive = std::weak_ptr<char>(alive_)](const DomainEvent& event) {
        // Any thread: the loop does the rest.
        deps_.loop.post([this, alive, id = event.domain.value] {
            if (!alive.expired()) on_runtime_event(id);
        });
    });
    measure();
    probe();
}

bool Agent::Impl::network_ready() const {
    const auto* network = network_->get(global_key);
    return network != nullptr && !network->DPCKey.empty() && !network->Ports.empty();
}

bool Agent::Impl::gate_is_open() const {
    const auto* model = model_->get(global_key);
    const auto* onboarding = onboarding_->get(global_key);
    const auto* vault = vault_->get(vault_name);
    return have_items_ && item_values_->synchronized() && probed_ && listed_ && model != nullptr && model->Initialized && network_ready() &&
           onboarding != nullptr && !onboarding->DeviceUUID.is_nil() && vault != nullptr && types::is_ready(*vault) &&
           memory_->get(global_key) != nullptr;
}

void Agent::Impl::gate_changed() {
    if (configs_ || !gate_is_open()) return;
    deps_.log.write(Level::info, "domainmgr.ready", {{"runtimes", runtimes_.slots().size()}});
    configs_ = deps_.bus.subscribe<types::DomainConfig>(
        {.agent = "zedmanager"},
        {.created = [this](const std::string& key, const types::DomainConfig& config) { on_domain_config(key, config); },
         .deleted = [this](const std::string& key, const types::DomainConfig&) { on_domain_config_gone(key); },
         .restarted =
             [this](int counter) {
                 if (counter == 0) return;
                 status_->signal_restarted();
                 if (configs_ && configs_->synchronized()) configs_complete();
             },
         .synchronized =
             [this] {
                 if (configs_->restart_counter() != 0) configs_complete();
                 else deps_.loop.after(orphan_grace, later([this] { configs_complete(); }));
             }});
}

void Agent::Impl::publish_adapters() {
    if (!devices_.ready()) return;
    if (auto done = adapters_->publish(global_key, devices_.table()); !done)
        deps_.log.write(Level::error, "domainmgr.publish_failed", {{"topic", "AssignableAdapters"}, {"error", done.error().what}});
    if (auto done = inventory_->publish(global_key, devices_.inventory()); !done)
        deps_.log.write(Level::error, "domainmgr.publish_failed", {{"topic", "PciInventory"}, {"error", done.error().what}});
}

void Agent::Impl::on_domain_config(const std::string& key, const types::DomainConfig& config) {
    const std::string uuid = config.UUIDandVersion.UUID.to_string();
    if (key != uuid || config.UUIDandVersion.UUID.is_nil()) {
        deps_.log.write(Level::error, "domain.config_refused", {{"key", key}, {"uuid", uuid}, {"reason", "the key is not the app's UUID"}});
        return;
    }
    auto [at, added] = domains_.try_emplace(uuid);
    Entry& entry = at->second;
    if (added) {
        if (const auto* old = status_->get(uuid)) {
            entry.domain.status = *old;
            entry.domain.history.released = false;  // its files may be there
            entry.evidence = true;
        }
    }
    entry.orphan = false;
    on_config(entry.domain, config, now());
    if (entry.runtime == nullptr) entry.runtime = runtime_of(uuid, entry);
    const bool can_be_told = entry.runtime != nullptr || had_by(uuid, entry).empty();
    if (const auto seen = added && can_be_told ? listing_.answer(uuid, deps_.loop.now()) : std::nullopt) {
        on_seen(entry.domain, *seen, policy(), now(), next_look());
        // One that was running before us has its devices already.
        if (seen->presence == Presence::present) devices_.adopt(config.UUIDandVersion.UUID, config.IoAdapterList);
    }
    settle(uuid);
}

void Agent::Impl::on_domain_config_gone(const std::string& key) {
    Entry* entry = find(key);
    if (entry == nullptr) return;
    on_config_gone(entry->domain, now());
    settle(key);
}

void Agent::Impl::configs_complete() {
    if (configs_complete_) return;
    configs_complete_ = true;
    // Records of apps whose config went while nobody listened: deleted as if it went now. The record stands until the domain is gone, because
    // zedmanager takes the network and the volumes away when the record goes.
    std::vector<std::string> deleted;
    for (const auto& [key, status] : status_->items())
        if (!domains_.contains(key)) deleted.push_back(key);
    for (const auto& key : deleted) {
        if (status_->get(key)->UUIDandVersion.UUID.to_string() != key) {
            deps_.log.write(Level::warn, "domain.record_dropped", {{"key", key}, {"reason", "the key is not the app's UUID"}});
            (void)status_->unpublish(key);
            continue;
        }
        Entry& entry = domains_[key];
        entry.domain.status = *status_->get(key);
        entry.domain.config.UUIDandVersion = entry.domain.status.UUIDandVersion;
        entry.domain.history.released = false;  // its files may be there
        entry.evidence = true;
        entry.runtime = runtime_of(key, entry);
        on_config_gone(entry.domain, now());
        settle(key);
    }
    list_all();
}

Agent::Agent(Deps deps) : impl_(std::make_unique<Impl>(std::move(deps))) {}
Agent::~Agent() = default;

}  // namespace eve::domainmgr
