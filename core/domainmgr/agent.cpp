#include "core/domainmgr/agent.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/domainmgr/cloud_init.hpp"
#include "core/domainmgr/devices.hpp"
#include "core/domainmgr/metrics.hpp"
#include "core/domainmgr/plan.hpp"
#include "core/domainmgr/runtime_set.hpp"
#include "core/domainmgr/translate.hpp"
#include "core/domainmgr/usb_rules.hpp"
#include "core/types/config_items.hpp"
#include "core/types/node.hpp"
#include "core/types/vmm_overhead.hpp"

namespace eve::domainmgr {

namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

constexpr const char* agent_name = "domainmgr";
constexpr const char* global_key = "global";
constexpr const char* vault_name = "Application Data Store";

constexpr nanoseconds poll_max = 30s;
constexpr nanoseconds poll_min = 9s;
constexpr nanoseconds usb_interval = 2s;  ///< between looks at what is plugged in, while an app may want it
constexpr nanoseconds probe_retry = 5s;
constexpr nanoseconds list_interval = 5min;
constexpr nanoseconds orphan_grace = 2min;  ///< after the first table of configs, where its publisher sets no marker
constexpr nanoseconds step_limit = 30s;
constexpr nanoseconds look_limit = 10s;
constexpr nanoseconds files_limit = 2min;

/// The limits of a lane as the limits of a call.
class LaneCall final : public CallContext {
public:
    LaneCall(const LaneContext& lane, const Clock& clock, std::uint64_t id) : lane_(lane), clock_(clock), id_(id) {}
    std::uint64_t id() const override { return id_; }
    nanoseconds time_left() const override { return std::max(nanoseconds{0}, lane_.deadline() - clock_.now()); }
    bool cancelled() const override { return lane_.cancelled(); }
    int cancel_fd() const override { return lane_.cancel_fd(); }

private:
    const LaneContext& lane_;
    const Clock& clock_;
    std::uint64_t id_;
};

struct Entry {
    Domain domain;
    RuntimeSlot* runtime = nullptr;
    bool busy = false;      ///< a step is under way
    bool queued = false;    ///< waits for a place at its runtime
    bool orphan = false;    ///< no config asked for it
    bool evidence = false;  ///< an old record of it is published until it was seen
    bool marked = false;    ///< as active, for zedmanager after a reboot
    std::string cloud_init_path;
    Devices::Lent lent;     ///< valid while prepared
    std::optional<TimerId> timer;
    types::SwState logged_state{};
    std::string logged_error;
};

std::string uuid_of(const Entry& entry) { return entry.domain.config.UUIDandVersion.UUID.to_string(); }

}  // namespace

class Agent::Impl {
public:
    explicit Impl(Deps deps);
    ~Impl() { deps_.runtimes.on_event({}); }

private:
    // What others publish.
    void gate_changed();
    bool network_ready() const;
    bool gate_is_open() const;
    void publish_adapters();
    void on_domain_config(const std::string& key, const types::DomainConfig& config);
    void on_domain_config_gone(const std::string& key);
    void configs_complete();

    // Runtimes.
    void probe();
    void on_probed(Result<std::vector<Runtime>> found);
    void list_all();
    void list(RuntimeSlot& slot);
    void on_listed(RuntimeSlot& slot, Result<std::vector<DomainInfo>> listed);
    void adopt_orphan(RuntimeSlot& slot, const DomainInfo& info);
    void on_runtime_event(const std::string& uuid);

    // One domain.
    Entry* find(const std::string& uuid);
    void kick(const std::string& uuid);
    void run(Entry& entry, Step step);
    void call(Entry& entry, Step step, nanoseconds limit, std::function<Result<DomainInfo>(Hypervisor&, const CallContext&)> work);
    void look(Entry& entry);
    void prepare(Entry& entry);
    void borrow(const std::string& uuid, std::uint64_t revision, const std::string& cloud_init_path);
    void give_back_devices(Entry& entry);
    void usb_round();
    void usb_act(const UsbAction& action);
    void create(Entry& entry);
    void release(Entry& entry);
    void finished(const std::string& uuid, RuntimeSlot* slot, Step step, Result<DomainInfo> result);
    void settle(const std::string& uuid);
    void publish(Entry& entry);
    void publish_notes(Entry& entry);
    void log_changes(Entry& entry);
    void mark_active(const types::Uuid& app);

    // Figures.
    void measure();
    void on_host_memory(Result<types::HostMemory> memory);
    void on_stats(Result<Stats> stats);

    Now now() const { return {deps_.loop.now(), deps_.loop.clock().wall_now()}; }
    nanoseconds between(nanoseconds low, nanoseconds high) {
        const auto span = static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(high - low).count());
        const auto& draw = deps_.random;
        return low + std::chrono::milliseconds(static_cast<std::int64_t>(draw(span + 1)));
    }
    Instant next_look() { return deps_.loop.now() + between(poll_min, poll_max); }
    Policy policy() const { return {items_.seconds("timer.boot.retry"), items_.boolean("app.broken.restart")}; }
    /// `task` for a later turn of the loop; does nothing once the agent is gone.
    template <class Task> std::function<void()> later(Task task) {
        return [alive = std::weak_ptr<char>(alive_), task = std::move(task)] {
            if (!alive.expired()) task();
        };
    }
    template <class Work, class Done> void submit(const std::string& lane, nanoseconds limit, Work work, Done done) {
        deps_.lanes.submit(
            lane, std::move(work),
            [alive = std::weak_ptr<char>(alive_), done = std::move(done)](auto result) mutable {
                if (!alive.expired()) done(std::move(result));
            },
            Lanes::Options{.time_limit = limit});
    }

    Deps deps_;
    std::shared_ptr<char> alive_ = std::make_shared<char>();  ///< watched by what may come later; this object is its only owner
    types::ConfigItems items_;
    RuntimeSet runtimes_;
    Devices devices_;
    UsbDesk desk_;
    std::optional<TimerId> usb_timer_;
    bool usb_looking_ = false;
    std::set<std::string> usb_under_way_;  ///< names of devices that are being attached or detached
    std::map<std::string, RuntimeSlot*> found_;  ///< which runtime was seen to have a domain
    std::map<std::string, Entry> domains_;
    std::uint64_t calls_ = 0;
    std::size_t lists_pending_ = 0;
    std::uint64_t probes_ = 0;
    std::optional<TimerId> list_timer_;
    bool probed_ = false;
    bool listed_ = false;
    bool have_items_ = false;
    bool configs_complete_ = false;
    bool going_down_ = false;
    std::string creating_;                ///< one create at a time on the node
    std::set<std::string> want_creating_;

    std::unique_ptr<Publication<types::DomainStatus>> status_;
    std::unique_ptr<Publication<types::DomainNotes>> notes_;
    std::unique_ptr<Publication<types::DomainMetric>> metrics_;
    std::unique_ptr<Publication<types::HostMemory>> memory_;
    std::unique_ptr<Publication<types::Capabilities>> capabilities_;
    std::unique_ptr<Publication<types::AssignableAdapters>> adapters_;
    std::unique_ptr<Publication<types::PciInventory>> inventory_;
    std::unique_ptr<Subscription<types::ConfigItemValueMap>> item_values_;
    std::unique_ptr<Subscription<types::PhysicalIOAdapterList>> model_;
    std::unique_ptr<Subscription<types::DeviceNetworkStatus>> network_;
    std::unique_ptr<Subscription<types::OnboardingStatus>> onboarding_;
    std::unique_ptr<Subscription<types::VaultStatus>> vault_;
    std::unique_ptr<Subscription<types::ZedAgentStatus>> zedagent_;
    std::unique_ptr<Subscription<types::DomainConfig>> configs_;
};

Agent::Impl::Impl(Deps deps)
    : deps_(std::move(deps)),
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

// ---------------------------------------------------------------------------------------------------------- what others publish

bool Agent::Impl::network_ready() const {
    const auto* network = network_->get(global_key);
    return network != nullptr && !network->DPCKey.empty() && !network->Ports.empty();
}

bool Agent::Impl::gate_is_open() const {
    const auto* model = model_->get(global_key);
    const auto* onboarding = onboarding_->get(global_key);
    const auto* vault = vault_->get(vault_name);
    return have_items_ && item_values_->synchronized() && probed_ && listed_ && model != nullptr && model->Initialized && network_ready() &&
           onboarding != nullptr && !onboarding->DeviceUUID.is_nil() && vault != nullptr && vault->ConversionComplete &&
           vault->Status != types::DataSecAtRestStatus::DATASEC_AT_REST_ERROR && memory_->get(global_key) != nullptr;
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
        if (const auto found = found_.find(uuid); found != found_.end()) entry.runtime = found->second;
    }
    entry.orphan = false;
    on_config(entry.domain, config, now());
    if (entry.runtime == nullptr) entry.runtime = runtimes_.choose(runtime_mode(config.VirtualizationMode));
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
        const auto found = found_.find(key);
        entry.runtime = found != found_.end() ? found->second : runtimes_.choose(runtime_mode(entry.domain.status.VirtualizationMode));
        on_config_gone(entry.domain, now());
        settle(key);
    }
    list_all();
}

// --------------------------------------------------------------------------------------------------------------------- runtimes

void Agent::Impl::probe() {
    ++probes_;
    submit("domainmgr/runtimes", step_limit, [&runtimes = deps_.runtimes](const LaneContext& lane) { return runtimes.probe(lane); },
           [this](Result<std::vector<Runtime>> found) { on_probed(std::move(found)); });
}

void Agent::Impl::on_probed(Result<std::vector<Runtime>> found) {
    if (!found) deps_.log.write(Level::error, "runtimes.probe_failed", {{"error", found.error().what}});
    else runtimes_.update(*std::move(found));
    for (const auto& slot : runtimes_.slots())
        deps_.log.write(Level::info, "runtime.usable", {{"runtime", slot->id()}, {"reason", slot->runtime().probe.reason}});
    if (runtimes_.empty()) {
        constexpr std::uint64_t eager_probes = 12;
        deps_.log.write(Level::warn, "runtimes.none", {{"probes", probes_}});
        deps_.loop.after(probes_ < eager_probes ? probe_retry : 12 * probe_retry, later([this] { probe(); }));
    }
    probed_ = true;
    devices_.on_probed();
    (void)capabilities_->publish(global_key, runtimes_.capabilities());
    list_all();
}

void Agent::Impl::list_all() {
    if (lists_pending_ > 0) return;
    lists_pending_ = runtimes_.slots().size();
    if (lists_pending_ == 0) {
        listed_ = true;
        gate_changed();
        return;
    }
    for (const auto& slot : runtimes_.slots()) list(*slot);
}

void Agent::Impl::list(RuntimeSlot& slot) {
    if (!slot.enter(later([this, &slot] { list(slot); }))) return;
    submit(
        "runtime/" + slot.id(), look_limit,
        [hypervisor = slot.runtime().hypervisor, &clock = deps_.loop.clock(), id = ++calls_](const LaneContext& lane) {
            return hypervisor->list(LaneCall(lane, clock, id));
        },
        [this, &slot](Result<std::vector<DomainInfo>> listed) {
            on_listed(slot, std::move(listed));
            slot.leave();
        });
}

void Agent::Impl::on_listed(RuntimeSlot& slot, Result<std::vector<DomainInfo>> listed) {
    if (!listed) {
        deps_.log.write(Level::warn, "runtime.list_failed", {{"runtime", slot.id()}, {"error", listed.error().what}});
    } else {
        for (const auto& info : *listed) {
            const std::string& uuid = info.id.value;
            found_[uuid] = &slot;
            if (info.presence == Presence::absent) continue;
            if (Entry* entry = find(uuid)) {
                if (entry->runtime == nullptr) entry->runtime = &slot;
            } else if (configs_complete_) {
                adopt_orphan(slot, info);
            }
        }
    }
    if (--lists_pending_ > 0) return;
    listed_ = true;
    if (list_timer_) deps_.loop.cancel(*list_timer_);
    list_timer_ = deps_.loop.after(list_interval, later([this] {
        list_timer_.reset();
        list_all();
    }));
    gate_changed();
}

void Agent::Impl::adopt_orphan(RuntimeSlot& slot, const DomainInfo& info) {
    deps_.log.write(Level::warn, "domain.orphan", {{"domain", info.id.value}, {"runtime", slot.id()}, {"state", static_cast<int>(info.state)}});
    Entry& entry = domains_[info.id.value];
    entry.orphan = true;
    entry.runtime = &slot;
    entry.domain.config.UUIDandVersion.UUID = types::Uuid::parse_or_nil(info.id.value);
    on_config_gone(entry.domain, now());
    entry.domain.history.purged = true;  // what it wrote stays: nobody said that the app was deleted
    kick(info.id.value);
}

void Agent::Impl::on_runtime_event(const std::string& uuid) {
    std::vector<std::string> hinted;
    if (!uuid.empty()) {
        hinted.push_back(uuid);
    } else {
        for (const auto& [each, entry] : domains_) hinted.push_back(each);
        list_all();
    }
    for (const auto& each : hinted) {
        Entry* entry = find(each);
        if (entry == nullptr) continue;
        on_hint(entry->domain, now());
        kick(each);
    }
}

// ------------------------------------------------------------------------------------------------------------------- one domain

Entry* Agent::Impl::find(const std::string& uuid) {
    const auto found = domains_.find(uuid);
    return found == domains_.end() ? nullptr : &found->second;
}

void Agent::Impl::kick(const std::string& uuid) {
    Entry* entry = find(uuid);
    if (entry == nullptr || entry->busy || entry->queued) return;
    if (entry->timer) deps_.loop.cancel(*std::exchange(entry->timer, std::nullopt));
    auto& domain = entry->domain;
    if (entry->runtime != nullptr) domain.desired.can_be_asked = entry->runtime->can_ask(runtime_mode(domain.desired.mode));
    const Plan next = plan(domain.desired, domain.observed, domain.history, deps_.loop.now());
    if (next.step != Step::none) {
        run(*entry, next.step);
    } else if (next.wake_at) {
        entry->timer = deps_.loop.at(*next.wake_at, later([this, uuid] {
            if (Entry* woken = find(uuid)) woken->timer.reset();
            kick(uuid);
        }));
    }
}

void Agent::Impl::run(Entry& entry, Step step) {
    const DomainId id{uuid_of(entry)};
    switch (step) {
        case Step::none: return;
        case Step::look: look(entry); return;
        case Step::prepare: prepare(entry); return;
        case Step::create: create(entry); return;
        case Step::release: release(entry); return;
        case Step::start:
            call(entry, step, step_limit, [id](Hypervisor& hypervisor, const CallContext& context) { return hypervisor.start(context, id); });
            return;
        case Step::ask:
        case Step::cut: {
            const StopMode mode = step == Step::ask ? StopMode::ask : StopMode::cut;
            call(entry, step, step_limit,
                 [id, mode](Hypervisor& hypervisor, const CallContext& context) { return hypervisor.stop(context, id, mode); });
            return;
        }
        case Step::destroy:
        case Step::purge: {
            const DestroyMode mode = step == Step::purge ? DestroyMode::purge : DestroyMode::keep_state;
            call(entry, step, step_limit,
                 [id, mode](Hypervisor& hypervisor, const CallContext& context) { return hypervisor.destroy(context, id, mode); });
            return;
        }
    }
}

void Agent::Impl::call(Entry& entry, Step step, nanoseconds limit,
                       std::function<Result<DomainInfo>(Hypervisor&, const CallContext&)> work) {
    const std::string uuid = uuid_of(entry);
    RuntimeSlot* slot = entry.runtime;
    if (slot == nullptr) {
        // No runtime ever had it, so nothing of it can be there.
        entry.busy = true;
        deps_.loop.post(later([this, uuid, step] {
            finished(uuid, nullptr, step, DomainInfo{.id = DomainId{uuid}, .presence = Presence::absent});
        }));
        return;
    }
    const bool entered = slot->enter(later([this, uuid] {
        if (Entry* waiting = find(uuid)) waiting->queued = false;
        kick(uuid);
    }));
    if (!entered) {
        entry.queued = true;
        return;
    }
    entry.busy = true;
    if (step == Step::create) creating_ = uuid;
    submit(
        "domain/" + uuid, limit,
        [hypervisor = slot->runtime().hypervisor, &clock = deps_.loop.clock(), id = ++calls_, work = std::move(work)](const LaneContext& lane) {
            return work(*hypervisor, LaneCall(lane, clock, id));
        },
        [this, uuid, slot, step](Result<DomainInfo> result) { finished(uuid, slot, step, std::move(result)); });
}

void Agent::Impl::look(Entry& entry) {
    const DomainId id{uuid_of(entry)};
    call(entry, Step::look, look_limit, [id](Hypervisor& hypervisor, const CallContext& context) { return hypervisor.inspect(context, id); });
}

void Agent::Impl::prepare(Entry& entry) {
    const std::string uuid = uuid_of(entry);
    auto& domain = entry.domain;
    const auto refuse = [&](Error error, std::optional<Instant> retry_at) {
        deps_.log.write(Level::warn, "domain.prepare_failed", {{"domain", uuid}, {"error", error.what}});
        on_prepare_failed(domain, error, now(), retry_at);
        // Not from inside kick(): it is still at work on this domain.
        entry.busy = true;
        deps_.loop.post(later([this, uuid] {
            if (Entry* refused = find(uuid)) refused->busy = false;
            settle(uuid);
        }));
    };
    entry.runtime = runtimes_.choose(runtime_mode(domain.config.VirtualizationMode));
    if (entry.runtime == nullptr) {
        refuse({.code = Code::unsupported,
                .what = "no runtime of this node can run the app in its virtualization mode",
                .hint = "evectl plugins shows what each runtime offers and why others were declined"},
               next_look());
        return;
    }
    auto disk = cloud_init_disk(domain.config);
    if (!disk) {
        refuse(disk.error(), next_look());
        return;
    }
    entry.busy = true;
    const std::uint64_t revision = domain.desired.revision;
    submit(
        "domain/" + uuid, files_limit,
        [&host = deps_.host, disks = domain.config.DiskConfigList, cloud_init = *std::move(disk)](const LaneContext&) -> Result<std::string> {
            for (const auto& volume : disks) {
                // The format of the others is not trusted either: the runtime is told it and never guesses.
                if (volume.Format != types::Format::QCOW2 && volume.Format != types::Format::RAW) continue;
                auto format = host.disk_format(volume.FileLocation);
                if (!format) return std::move(format).error().in("volume " + volume.VolumeKey);
                if (volume.Format == types::Format::QCOW2 && *format != volume.Format)
                    return Error{.code = Code::failed_precondition,
                                 .what = "volume " + volume.VolumeKey + " is " + to_string(*format) + ", not " + to_string(volume.Format)};
            }
            if (!cloud_init) return std::string();
            return host.write_cloud_init(*cloud_init);
        },
        [this, uuid, revision](Result<std::string> path) {
            Entry* prepared = find(uuid);
            if (prepared == nullptr) return;
            if (path && prepared->domain.desired.wanted() && prepared->domain.desired.revision == revision) {
                borrow(uuid, revision, *path);
                return;
            }
            prepared->busy = false;
            if (!path) {
                deps_.log.write(Level::warn, "domain.prepare_failed", {{"domain", uuid}, {"error", path.error().what}});
                on_prepare_failed(prepared->domain, path.error(), now(), next_look());
            } else if (!path->empty()) {
                prepared->domain.history.released = false;
            }
            settle(uuid);
        });
}

/// USB devices come and go while their app runs, so they are looked for as long as one may get some.
void Agent::Impl::usb_round() {
    std::set<types::Uuid> running;
    for (const auto& [uuid, entry] : domains_)
        if (entry.domain.status.State == types::SwState::RUNNING && entry.runtime != nullptr && entry.runtime->runtime().usb)
            running.insert(entry.domain.config.UUIDandVersion.UUID);
    desk_.on_table(devices_.table());
    desk_.on_running(running);
    const auto& bundles = devices_.table().IoBundleList;
    const bool wanted = std::any_of(bundles.begin(), bundles.end(), [&](const types::IoBundle& bundle) {
        return is_usb_device(bundle) && running.contains(bundle.UsedByUUID);
    });
    if (usb_looking_ || (!wanted && desk_.due().empty())) return;
    usb_looking_ = true;
    submit("domainmgr/usb", look_limit, [&host = deps_.host](const LaneContext&) { return host.usb_devices(); },
           [this](Result<std::vector<UsbDevice>> plugged) {
               usb_looking_ = false;
               if (plugged) desk_.on_devices({plugged->begin(), plugged->end()});
               for (const auto& action : desk_.due()) usb_act(action);
               if (!usb_timer_)
                   usb_timer_ = deps_.loop.after(usb_interval, later([this] {
                       usb_timer_.reset();
                       usb_round();
                   }));
           });
}

void Agent::Impl::usb_act(const UsbAction& action) {
    const std::string uuid = action.domain.to_string();
    const Entry* entry = find(uuid);
    const std::string name = usb_name(action.device);
    if (entry == nullptr || entry->runtime == nullptr || !usb_under_way_.insert(name).second) return;
    const bool attach = action.kind == UsbAction::Kind::attach;
    submit(
        "domain/" + uuid, step_limit,
        [usb = entry->runtime->runtime().usb, &clock = deps_.loop.clock(), id = ++calls_, attach,
         device = UsbAttachment{.domain = DomainId{uuid}, .name = name, .bus = action.device.bus, .device = action.device.device}](const LaneContext& lane) {
            const LaneCall call(lane, clock, id);
            return attach ? usb->plug(call, device) : usb->unplug(call, device);
        },
        [this, action, attach, uuid, name](Status done) {
            usb_under_way_.erase(name);
            deps_.log.write(done ? Level::info : Level::warn, attach ? "domain.usb_attached" : "domain.usb_detached",
                            {{"domain", uuid}, {"device", name}, {"error", done ? std::string() : done.error().what}});
            // What failed is still due at the next round.
            if (done) desk_.done(action);
        });
}

/// The last part of preparing: the devices of the host that it asks for.
void Agent::Impl::borrow(const std::string& uuid, std::uint64_t revision, const std::string& cloud_init_path) {
    Entry& entry = *find(uuid);
    const auto state_of = [this](const types::Uuid& app) {
        const Entry* other = find(app.to_string());
        return other == nullptr ? types::SwState::INITIAL : other->domain.status.State;
    };
    devices_.lend({.config = entry.domain.config,
                   .container = runtime_mode(entry.domain.config.VirtualizationMode) == VirtualizationMode::container,
                   .runtime = entry.runtime == nullptr ? eve::Capabilities{} : entry.runtime->runtime().description.capabilities,
                   .state_of = state_of},
                  [this, uuid, revision, cloud_init_path](Devices::Answer answer) {
                      Entry* asked = find(uuid);
                      if (asked == nullptr) return;
                      asked->busy = false;
                      if (!answer.lent) {
                          deps_.log.write(Level::warn, "domain.adapters_refused", {{"domain", uuid}, {"error", answer.refused.Error}});
                          on_adapters_refused(asked->domain, answer.refused, next_look());
                      } else if (asked->domain.desired.wanted() && asked->domain.desired.revision == revision) {
                          asked->cloud_init_path = cloud_init_path;
                          asked->lent = *std::move(answer.lent);
                          on_prepared(asked->domain, cloud_init_path);
                      } else if (!cloud_init_path.empty()) {
                          asked->domain.history.released = false;
                      }
                      settle(uuid);
                  });
}

/// What it was lent goes to whoever waits for it, at once.
void Agent::Impl::give_back_devices(Entry& entry) {
    entry.lent = {};
    if (entry.domain.config.IoAdapterList.empty() && entry.domain.status.IoAdapterList.empty()) return;
    if (!devices_.take_back(entry.domain.config.UUIDandVersion.UUID)) return;
    const std::string freed = uuid_of(entry);
    for (auto& [uuid, other] : domains_) {
        if (uuid == freed || !other.domain.status.AdaptersFailed) continue;
        other.domain.history.not_before = deps_.loop.now();
        deps_.loop.post(later([this, waiting = uuid] { kick(waiting); }));
    }
}

void Agent::Impl::create(Entry& entry) {
    const std::string uuid = uuid_of(entry);
    auto& domain = entry.domain;
    if (!creating_.empty() && creating_ != uuid) {
        want_creating_.insert(uuid);
        return;
    }
    if (entry.runtime == nullptr) {
        domain.history.prepared = false;
        kick(uuid);
        return;
    }
    types::VmmOverheadInputs overhead;
    overhead.limit_bytes = std::uint64_t{items_.number("memory.vmm.limit.MiB")} << 20;
    auto translated = translate({.config = domain.config,
                                 .runtime = entry.runtime->runtime().description,
                                 .cloud_init_path = entry.cloud_init_path,
                                 .overhead_bytes = types::vmm_overhead(domain.config, overhead),
                                 .resolution = items_.text("app.fml.resolution"),
                                 .adapters = entry.lent.adapters,
                                 .vmm_args = entry.lent.vmm_args});
    if (!translated) {
        on_prepare_failed(domain, translated.error(), now(), std::nullopt);
        entry.busy = true;
        deps_.loop.post(later([this, uuid] {
            if (Entry* refused = find(uuid)) refused->busy = false;
            settle(uuid);
        }));
        return;
    }
    domain.notes = translated->notes;
    domain.notes.insert(domain.notes.end(), entry.lent.notes.begin(), entry.lent.notes.end());
    domain.status.VirtualTPM = translated->spec.virtual_tpm;
    domain.status.FmlCustomResolution = translated->spec.resolution;
    call(entry, Step::create, step_limit, [spec = std::move(translated->spec)](Hypervisor& hypervisor, const CallContext& context) {
        return hypervisor.create(context, spec);
    });
}

void Agent::Impl::release(Entry& entry) {
    const std::string uuid = uuid_of(entry);
    const types::Uuid app = entry.domain.config.UUIDandVersion.UUID;
    const bool deleted = !entry.domain.desired.known;
    const bool stays_marked = going_down_;
    entry.busy = true;
    entry.marked = stays_marked;
    submit(
        "domain/" + uuid, files_limit,
        [&host = deps_.host, app, deleted, stays_marked](const LaneContext&) -> Status {
            Status cleared = stays_marked ? Status{} : host.clear_active(app);
            if (deleted)
                if (auto removed = host.remove_cloud_init(app); !removed) return removed;
            return cleared;
        },
        [this, uuid](Status done) {
            Entry* released = find(uuid);
            if (released == nullptr) return;
            released->busy = false;
            // A file that does not go away is a nuisance, no reason to keep the app for ever.
            if (!done) deps_.log.write(Level::warn, "domain.release_failed", {{"domain", uuid}, {"error", done.error().what}});
            on_released(released->domain);
            settle(uuid);
        });
}

void Agent::Impl::finished(const std::string& uuid, RuntimeSlot* slot, Step step, Result<DomainInfo> result) {
    if (step == Step::create && creating_ == uuid) creating_.clear();
    if (Entry* entry = find(uuid)) {
        auto& domain = entry->domain;
        entry->busy = false;
        if (result) {
            on_stepped(domain, step, now());
            on_seen(domain, *result, policy(), now(), next_look());
            // One that was running before us has its devices already.
            if (result->presence == Presence::present && domain.desired.known) devices_.adopt(domain.config.UUIDandVersion.UUID, domain.config.IoAdapterList);
            if (step != Step::look)
                deps_.log.write(Level::debug, "domain.step_done",
                                {{"domain", uuid}, {"step", to_string(step)}, {"state", static_cast<int>(result->state)}});
        } else {
            deps_.log.write(Level::warn, "domain.step_failed",
                            {{"domain", uuid}, {"step", to_string(step)}, {"code", to_string(result.error().code)}, {"error", result.error().what}});
            if (step == Step::look) on_look_failed(domain, now());
            else on_step_failed(domain, step, result.error(), policy(), now());
        }
        settle(uuid);
    }
    if (slot != nullptr) slot->leave();
    if (step == Step::create) {
        const auto waiting = std::exchange(want_creating_, {});
        for (const auto& other : waiting) kick(other);
    }
}

void Agent::Impl::settle(const std::string& uuid) {
    Entry* entry = find(uuid);
    if (entry == nullptr) return;
    const auto& domain = entry->domain;
    const auto& history = domain.history;
    log_changes(*entry);
    // Every way out of a try to run it ends here with nothing prepared and nothing there.
    if (!entry->busy && !history.prepared && domain.observed.presence == Presence::absent) give_back_devices(*entry);
    if (!domain.desired.known && !entry->busy && domain.observed.presence == Presence::absent && history.purged && history.released) {
        if (entry->timer) deps_.loop.cancel(*entry->timer);
        if (!entry->orphan) {
            (void)status_->unpublish(uuid);
            if (notes_->get(uuid) != nullptr) (void)notes_->unpublish(uuid);
            if (metrics_->get(uuid) != nullptr) (void)metrics_->unpublish(uuid);
        }
        found_.erase(uuid);
        domains_.erase(uuid);
        deps_.log.write(Level::info, "domain.deleted", {{"domain", uuid}});
        return;
    }
    publish(*entry);
    if (!entry->domain.config.IoAdapterList.empty()) usb_round();
    kick(uuid);
}

void Agent::Impl::publish(Entry& entry) {
    // An old record stands until the domain was seen: publishing less than it says would make others act on a guess.
    if (entry.orphan || (entry.evidence && !entry.domain.history.seen)) return;
    const std::string uuid = uuid_of(entry);
    if (entry.domain.status.Activated && !std::exchange(entry.marked, entry.domain.status.Activated))
        mark_active(entry.domain.config.UUIDandVersion.UUID);
    if (auto done = status_->publish(uuid, entry.domain.status); !done)
        deps_.log.write(Level::error, "domainmgr.publish_failed", {{"domain", uuid}, {"error", done.error().what}});
    publish_notes(entry);
}

void Agent::Impl::publish_notes(Entry& entry) {
    const auto& domain = entry.domain;
    types::DomainNotes notes;
    notes.AppUUID = domain.config.UUIDandVersion.UUID;
    if (entry.runtime != nullptr) {
        notes.Runtime = entry.runtime->id();
        notes.Notes = entry.runtime->runtime().probe.notes;
    }
    const auto add = [&](const std::vector<std::string>& more) {
        for (const auto& note : more)
            if (std::find(notes.Notes.begin(), notes.Notes.end(), note) == notes.Notes.end()) notes.Notes.push_back(note);
    };
    add(domain.notes);
    add(domain.info.notes);
    notes.ConsolePath = domain.info.console_path;
    notes.ConsoleLogPath = domain.info.console_log_path;
    notes.VncAddress = domain.info.vnc_address;
    // A log is worth reading after the domain that wrote it is gone.
    if (const auto* before = notes_->get(uuid_of(entry)); before != nullptr && notes.ConsoleLogPath.empty())
        notes.ConsoleLogPath = before->ConsoleLogPath;
    (void)notes_->publish(uuid_of(entry), std::move(notes));
}

void Agent::Impl::log_changes(Entry& entry) {
    const auto& status = entry.domain.status;
    if (status.State != entry.logged_state) {
        deps_.log.write(Level::info, "domain.state",
                        {{"domain", uuid_of(entry)},
                         {"name", status.DisplayName},
                         {"from", to_string(entry.logged_state)},
                         {"to", to_string(status.State)},
                         {"pid", status.DomainId}});
        entry.logged_state = status.State;
    }
    if (status.Error != entry.logged_error) {
        if (!status.Error.empty())
            deps_.log.write(status.ErrorSeverity == types::ErrorSeverity::ErrorSeverityError ? Level::error : Level::warn, "domain.error",
                            {{"domain", uuid_of(entry)}, {"error", status.Error}, {"retry", status.ErrorRetryCondition}});
        entry.logged_error = status.Error;
    }
}

void Agent::Impl::mark_active(const types::Uuid& app) {
    submit("domain/" + app.to_string(), files_limit, [&host = deps_.host, app](const LaneContext&) { return host.mark_active(app); },
           [this, app](Status done) {
               if (!done) deps_.log.write(Level::warn, "domain.mark_failed", {{"domain", app.to_string()}, {"error", done.error().what}});
           });
}

// ---------------------------------------------------------------------------------------------------------------------- figures

void Agent::Impl::measure() {
    submit("domainmgr/host", look_limit, [&host = deps_.host](const LaneContext&) { return host.memory(); },
           [this](Result<types::HostMemory> memory) { on_host_memory(std::move(memory)); });
    for (const auto& slot : runtimes_.slots()) {
        RuntimeSlot* runtime = slot.get();
        // A runtime that is busy is not made to wait for figures: the next round comes soon.
        if (!runtime->try_enter()) continue;
        submit(
            "runtime/" + runtime->id(), look_limit,
            [hypervisor = runtime->runtime().hypervisor, &clock = deps_.loop.clock(), id = ++calls_](const LaneContext& lane) {
                return hypervisor->stats(LaneCall(lane, clock, id));
            },
            [this, runtime](Result<Stats> stats) {
                on_stats(std::move(stats));
                runtime->leave();
            });
    }
    constexpr nanoseconds before_config = 10s;
    const nanoseconds interval = have_items_ ? nanoseconds(items_.seconds("timer.metric.interval")) / 4 : before_config / 4;
    deps_.loop.after(between(interval * 3 / 10, interval), later([this] { measure(); }));
}

void Agent::Impl::on_host_memory(Result<types::HostMemory> memory) {
    if (!memory) {
        deps_.log.write(Level::warn, "host.memory_unknown", {{"error", memory.error().what}});
        return;
    }
    (void)memory_->publish(global_key, *memory);
    (void)metrics_->publish(types::Uuid{}.to_string(), host_metric(*memory, deps_.loop.clock().wall_now()));
    gate_changed();
}

void Agent::Impl::on_stats(Result<Stats> stats) {
    if (!stats) return;  // asked again soon; a runtime that does not measure is no fault
    const types::Time wall = deps_.loop.clock().wall_now();
    std::set<std::string> heard;
    for (const auto& one : stats->domains) {
        const Entry* entry = find(one.id.value);
        if (entry == nullptr || entry->orphan || !entry->domain.status.Activated) continue;
        heard.insert(one.id.value);
        (void)metrics_->publish(one.id.value, domain_metric(entry->domain.config, one, wall));
    }
    for (const auto& [uuid, entry] : domains_)
        if (const auto* metric = metrics_->get(uuid); metric != nullptr && metric->Activated && !entry.domain.status.Activated)
            (void)metrics_->publish(uuid, inactive_metric(entry.domain.config, wall));
}

Agent::Agent(Deps deps) : impl_(std::make_unique<Impl>(std::move(deps))) {}
Agent::~Agent() = default;

}  // namespace eve::domainmgr
