#include "core/zedmanager/agent.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "core/types/config_items.hpp"
#include "core/types/node.hpp"
#include "core/zedmanager/ledger.hpp"
#include "core/zedmanager/step.hpp"

namespace eve::zedmanager {

namespace {

constexpr std::string_view kAgent = "zedmanager";
constexpr std::string_view kPurgeCounterType = "purgeCmdCounter";
constexpr std::string_view kGlobal = "global";
constexpr std::uint64_t kMib = 1024 * 1024;

TopicName topic_of(std::string_view agent) { return {.agent = std::string(agent)}; }

bool first_config(types::ConfigGetStatus status) {
    return status == types::ConfigGetStatus::ConfigGetSuccess || status == types::ConfigGetStatus::ConfigGetReadSaved;
}

}  // namespace

class Agent::Impl {
public:
    explicit Impl(Deps deps) : deps_(deps) {
        statuses_ = deps_.bus.publish<types::AppInstanceStatus>(topic_of(kAgent));
        summaries_ = deps_.bus.publish<types::AppInstanceSummary>(topic_of(kAgent));
        references_ = deps_.bus.publish<types::VolumeRefConfig>(topic_of(kAgent));
        networks_ = deps_.bus.publish<types::AppNetworkConfig>(topic_of(kAgent));
        domains_ = deps_.bus.publish<types::DomainConfig>(topic_of(kAgent));
        purges_ = deps_.bus.publish<types::UuidToNum>({.agent = std::string(kAgent), .persistent = true});
        reload();
        subscribe();
    }
    ~Impl() {
        *alive_ = false;
        if (timer_) deps_.loop.cancel(*timer_);
    }

private:
    // ---- the start

    AppState& app(const std::string& key) {
        auto [entry, added] = apps_.try_emplace(key);
        if (added) {
            if (const auto* purge = purges_->get(key)) entry->second.purge_counter = static_cast<std::uint32_t>(purge->Number);
        }
        return entry->second;
    }

    /// Takes up what an earlier life published.
    void reload() {
        for (const auto& [key, status] : statuses_->items()) {
            app(key).status = *status;
            app(key).reloaded = true;
        }
        for (const auto& [key, reference] : references_->items()) {
            auto& state = app(reference->AppUUID.to_string());
            state.volume_refs[key] = *reference;
            state.reloaded = true;
        }
        for (const auto& [key, network] : networks_->items()) {
            app(key).network = *network;
            app(key).reloaded = true;
        }
        for (const auto& [key, domain] : domains_->items()) {
            app(key).domain = *domain;
            app(key).reloaded = true;
        }
    }

    /// Counters of apps that were deleted while the node was down: nothing else is left of them. After the whole config was seen.
    void forget_purges() {
        std::vector<std::string> unknown;
        for (const auto& [key, record] : purges_->items())
            if (!apps_.contains(key) && config_->get(key) == nullptr) unknown.push_back(key);
        for (const auto& key : unknown) drop(*purges_, key);
    }

    template <class T> Handlers<T> mark_by_key() {
        Handlers<T> handlers;
        handlers.created = [this](const std::string& key, const T&) { mark(key); };
        handlers.deleted = [this](const std::string& key, const T&) { mark(key); };
        handlers.synchronized = [this] { mark_all(); };
        return handlers;
    }

    template <class T, class Changed> Handlers<T> global(Changed changed) {
        Handlers<T> handlers;
        handlers.created = [changed](const std::string&, const T& now) { changed(now); };
        return handlers;
    }

    void subscribe() {
        onboarding_ = deps_.bus.subscribe<types::OnboardingStatus>({.agent = "zedclient", .persistent = true},
                                                                   global<types::OnboardingStatus>([this](const auto&) { mark_all(); }));
        items_ = deps_.bus.subscribe<types::ConfigItemValueMap>(
            topic_of("zedagent"), global<types::ConfigItemValueMap>([this](const auto& now) { take_items(now); }));
        zedagent_ = deps_.bus.subscribe<types::ZedAgentStatus>(topic_of("zedagent"),
                                                               global<types::ZedAgentStatus>([this](const auto& now) { take_zedagent(now); }));
        memory_ = deps_.bus.subscribe<types::HostMemory>(topic_of("domainmgr"), global<types::HostMemory>([this](const auto&) { mark_waiting(); }));

        auto references = Handlers<types::VolumeRefStatus>{};
        references.created = [this](const std::string&, const auto& now) { mark(now.AppUUID.to_string()); };
        references.deleted = [this](const std::string&, const auto& last) { mark(last.AppUUID.to_string()); };
        volumes_ = deps_.bus.subscribe<types::VolumeRefStatus>(topic_of("volumemgr"), std::move(references));

        auto networks = mark_by_key<types::AppNetworkStatus>();
        networks.restarted = [this](int counter) {
            if (counter > 0) domain_marker_due_ = true;
            mark_all();
        };
        network_ = deps_.bus.subscribe<types::AppNetworkStatus>(topic_of("zedrouter"), std::move(networks));
        domain_ = deps_.bus.subscribe<types::DomainStatus>(topic_of("domainmgr"), mark_by_key<types::DomainStatus>());

        auto configs = mark_by_key<types::AppInstanceConfig>();
        configs.restarted = [this](int counter) {
            if (counter > 0) {
                network_marker_due_ = true;
                forget_purges();
            }
            mark_all();
        };
        config_ = deps_.bus.subscribe<types::AppInstanceConfig>(topic_of("zedagent"), std::move(configs));
    }

    // ---- what holds for the whole node

    void take_items(const types::ConfigItemValueMap& now) {
        settings_ = ConfigItems(now);
        settings_seen_ = true;
        mark_all();
    }

    void take_zedagent(const types::ZedAgentStatus& now) {
        if (!delay_base_ && first_config(now.ConfigGetStatus)) delay_base_ = deps_.loop.clock().wall_now();
        profile_ = now.CurrentProfile;
        zedagent_seen_ = true;
        mark_all();
    }

    bool ready() const {
        const auto* onboarding = onboarding_->get(std::string(kGlobal));
        return settings_seen_ && onboarding != nullptr && !onboarding->DeviceUUID.is_nil();
    }

    std::uint64_t reserved_memory() const {
        if (const auto bytes = settings_.number("memory.eve.limit.bytes"); bytes != 0) return bytes;
        return settings_.number("memory.eve.limit.MiB") * kMib;
    }

    /// Without the names of the others: only a refusal needs them.
    MemoryView memory_without(const std::string& asking) const {
        MemoryView view;
        const auto* host = memory_->get(std::string(kGlobal));
        view.known = host != nullptr && host->TotalMemoryMB != 0;
        if (view.known) view.total = host->TotalMemoryMB * kMib;
        view.reserved = reserved_memory();
        ledger_.add_memory_without(asking, view);
        return view;
    }

    /// What the app holds and whether it is wanted, as known now.
    void book(const std::string& key) {
        const auto found = apps_.find(key);
        if (found == apps_.end()) return ledger_.erase(key);
        const auto* config = config_->get(key);
        ledger_.set(key, found->second.status, config != nullptr && wanted_active(*config, profile_));
    }

    // ---- events only mark; one pass later does the work

    void mark(const std::string& key) {
        dirty_.insert(key);
        if (posted_) return;
        posted_ = true;
        deps_.loop.post([this, alive = alive_] {
            if (*alive) pass();
        });
    }

    void mark_all() {
        for (const auto& [key, state] : apps_) mark(key);
        for (const auto& [key, config] : config_->items()) mark(key);
        mark(std::string());  // no app's key: the pass itself, for the markers
    }

    void mark_waiting() {
        for (const auto& [key, state] : apps_)
            if (state.status.MissingMemory) mark(key);
    }

    void pass() {
        posted_ = false;
        if (!ready()) return;  // what was marked is kept
        auto marked = std::move(dirty_);
        dirty_.clear();
        marked.erase(std::string());
        for (const auto& key : marked) book(key);
        for (const auto& key : in_order(marked)) look_at(key);
        publish_summary();
        pass_on_markers();
        arm_timer();
    }

    /// Who waits for memory longest is looked at first, so that nobody is overtaken for ever; the others by name.
    std::vector<std::string> in_order(const std::set<std::string>& keys) const {
        std::vector<std::pair<types::Time, std::string>> waiting;
        std::vector<std::string> order;
        for (const auto& key : keys) {
            const auto found = apps_.find(key);
            if (found != apps_.end() && found->second.status.MissingMemory)
                waiting.emplace_back(found->second.status.ErrorTime, key);
            else
                order.push_back(key);
        }
        std::ranges::sort(waiting);
        for (auto& [since, key] : waiting) order.push_back(std::move(key));
        return order;
    }

    // ---- one app

    Observed observe(const std::string& key, const AppState& state) {
        Observed seen;
        seen.config = config_->get(key);
        if (seen.config != nullptr) heard_of_.insert(key);
        seen.config_absent = seen.config == nullptr && config_->synchronized() && (heard_of_.contains(key) || config_->restart_counter() > 0);
        const auto look_up = [&](const std::string& reference) {
            if (const auto* status = volumes_->get(reference)) seen.volumes[reference] = status;
        };
        for (const auto& volume : state.status.VolumeRefStatusList) look_up(reference_key(volume));
        if (seen.config != nullptr)
            for (const auto& volume : seen.config->VolumeRefConfigList) look_up(reference_key(volume));
        seen.network = network_->get(key);
        seen.network_heard = network_->synchronized();
        seen.domain = domain_->get(key);
        seen.domain_heard = domain_->synchronized();
        const auto fault = publish_faults_.find(key);
        if (fault != publish_faults_.end()) seen.publish_fault = fault->second;
        return seen;
    }

    NodeView node_for(const std::string& key) const {
        return {.now = deps_.loop.clock().wall_now(),
                .at = deps_.loop.now(),
                .may_activate = settings_seen_ && zedagent_seen_,
                .profile = profile_,
                .delay_base = delay_base_,
                .ignore_memory = settings_.boolean("memory.apps.ignore.check"),
                .vmm_limit = settings_.number("memory.vmm.limit.MiB") * kMib,
                .memory = memory_without(key)};
    }

    void look_at(const std::string& key) {
        const bool known = apps_.contains(key);
        if (!known && config_->get(key) == nullptr) return;
        AppState& state = app(key);
        const Observed seen = observe(key, state);
        NodeView node = node_for(key);
        Decision decision = settle(state, seen, node);
        if (decision.next.status.MissingMemory) {
            node.memory.others = ledger_.holders_without(key);
            decision = settle(state, seen, node);
        }
        const AppState before = std::exchange(state, std::move(decision.next));
        publish(key, before, state);
        note_change(before, state, known);
        if (holds_memory(before.status) && (!holds_memory(state.status) || state.gone)) mark_waiting();
        wake_at_.erase(key);
        book(key);
        if (state.gone)
            forget(key);
        else if (decision.wake_at)
            wake_at_[key] = *decision.wake_at;
    }

    void forget(const std::string& key) {
        apps_.erase(key);
        ledger_.erase(key);
        heard_of_.erase(key);
        publish_faults_.erase(key);
        if (config_->get(key) != nullptr) mark(key);  // the app came back meanwhile
    }

    // ---- publishing

    void publish(const std::string& key, const AppState& before, const AppState& now) {
        std::string fault;
        const auto check = [&](const Status& status, std::string_view what) {
            if (!status && fault.empty()) fault = std::string(what) + ": " + status.error().what;
        };
        if (before.domain && !now.domain) drop(*domains_, key);
        if (before.network && !now.network) drop(*networks_, key);
        for (const auto& [reference, config] : before.volume_refs)
            if (!now.volume_refs.contains(reference)) drop(*references_, reference);
        for (const auto& [reference, config] : now.volume_refs) check(references_->publish(reference, config), "volume reference");
        if (now.network) check(networks_->publish(key, *now.network), "network config");
        if (now.domain) check(domains_->publish(key, *now.domain), "domain config");
        publish_purge_counter(key, now);
        if (now.gone) {
            drop(*statuses_, key);
            return;
        }
        check(statuses_->publish(key, now.status), "status");
        take_fault(key, fault);
    }

    template <class T> void drop(Publication<T>& publication, const std::string& key) {
        if (publication.get(key) == nullptr) return;
        if (const auto dropped = publication.unpublish(key); !dropped)
            deps_.log.write(Level::error, "zedmanager.unpublish_failed", {{"key", key}, {"error", dropped.error().what}});
    }

    void publish_purge_counter(const std::string& key, const AppState& now) {
        const auto* stored = purges_->get(key);
        if (now.gone || !now.purge_counter) {
            drop(*purges_, key);
            return;
        }
        if (stored != nullptr && stored->Number == *now.purge_counter) return;
        types::UuidToNum record;
        if (stored != nullptr) record = *stored;
        const types::Time time = deps_.loop.clock().wall_now();
        if (stored == nullptr) record.CreateTime = time;
        record.UUID = types::Uuid::parse_or_nil(key);
        record.Number = *now.purge_counter;
        record.NumType = kPurgeCounterType;
        record.LastUseTime = time;
        record.InUse = true;
        if (const auto stored_now = purges_->publish(key, record); !stored_now)
            deps_.log.write(Level::error, "zedmanager.purge_counter_lost", {{"app", key}, {"error", stored_now.error().what}});
    }

    /// A record that could not be published is the app's error until it can.
    void take_fault(const std::string& key, const std::string& fault) {
        auto found = publish_faults_.find(key);
        const std::string before = found == publish_faults_.end() ? std::string() : found->second;
        if (before == fault) return;
        if (fault.empty())
            publish_faults_.erase(key);
        else
            publish_faults_[key] = fault;
        mark(key);
    }

    void publish_summary() {
        const auto published = summaries_->publish(types::Uuid{}.to_string(), ledger_.summary());
        if (!published) deps_.log.write(Level::error, "zedmanager.summary_failed", {{"error", published.error().what}});
    }

    /// zedrouter and domainmgr learn that a set is complete once what came of it was published.
    void pass_on_markers() {
        if (std::exchange(network_marker_due_, false)) networks_->signal_restarted();
        if (std::exchange(domain_marker_due_, false)) domains_->signal_restarted();
    }

    void note_change(const AppState& before, const AppState& now, bool known) {
        const std::string id = now.status.UUIDandVersion.UUID.to_string();
        if (now.gone) {
            deps_.log.write(Level::info, "app.removed", {{"app", id}, {"name", now.status.DisplayName}});
            return;
        }
        if (!known || before.status.State != now.status.State)
            deps_.log.write(Level::info, "app.state",
                            {{"app", id},
                             {"name", now.status.DisplayName},
                             {"from", known ? to_string(before.status.State) : std::string("none")},
                             {"to", to_string(now.status.State)}});
        if (before.status.PurgeInprogress != now.status.PurgeInprogress || before.status.RestartInprogress != now.status.RestartInprogress)
            deps_.log.write(Level::info, "app.command",
                            {{"app", id},
                             {"restart", static_cast<int>(now.status.RestartInprogress)},
                             {"purge", static_cast<int>(now.status.PurgeInprogress)}});
        if (before.status.Error != now.status.Error && !now.status.Error.empty())
            deps_.log.write(Level::warn, "app.error", {{"app", id}, {"error", now.status.Error}, {"source", now.status.ErrorSourceType}});
    }

    // ---- waiting

    void arm_timer() {
        if (timer_) deps_.loop.cancel(*timer_);
        timer_.reset();
        if (wake_at_.empty()) return;
        const auto first = std::ranges::min_element(wake_at_, {}, [](const auto& item) { return item.second; });
        timer_ = deps_.loop.at(first->second, [this, alive = alive_] {
            if (*alive) wake();
        });
    }

    void wake() {
        timer_.reset();
        const Instant now = deps_.loop.now();
        for (const auto& [key, when] : wake_at_)
            if (when <= now) mark(key);
    }

    Deps deps_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // shared with tasks on the loop that may outlive this agent

    std::map<std::string, AppState> apps_;
    Ledger ledger_;
    std::set<std::string> heard_of_;  // whose config was seen in this life
    std::map<std::string, std::string> publish_faults_;
    std::set<std::string> dirty_;
    std::map<std::string, Instant> wake_at_;
    bool posted_ = false;
    std::optional<TimerId> timer_;

    ConfigItems settings_;
    bool settings_seen_ = false;
    bool zedagent_seen_ = false;
    std::string profile_;
    std::optional<types::Time> delay_base_;
    bool network_marker_due_ = false;
    bool domain_marker_due_ = false;

    std::unique_ptr<Publication<types::AppInstanceStatus>> statuses_;
    std::unique_ptr<Publication<types::AppInstanceSummary>> summaries_;
    std::unique_ptr<Publication<types::VolumeRefConfig>> references_;
    std::unique_ptr<Publication<types::AppNetworkConfig>> networks_;
    std::unique_ptr<Publication<types::DomainConfig>> domains_;
    std::unique_ptr<Publication<types::UuidToNum>> purges_;

    std::unique_ptr<Subscription<types::OnboardingStatus>> onboarding_;
    std::unique_ptr<Subscription<types::ConfigItemValueMap>> items_;
    std::unique_ptr<Subscription<types::ZedAgentStatus>> zedagent_;
    std::unique_ptr<Subscription<types::HostMemory>> memory_;
    std::unique_ptr<Subscription<types::VolumeRefStatus>> volumes_;
    std::unique_ptr<Subscription<types::AppNetworkStatus>> network_;
    std::unique_ptr<Subscription<types::DomainStatus>> domain_;
    std::unique_ptr<Subscription<types::AppInstanceConfig>> config_;
};

Agent::Agent(Deps deps) : impl_(std::make_unique<Impl>(deps)) {}
Agent::~Agent() = default;

}  // namespace eve::zedmanager
