#include "core/zedmanager/step.hpp"

#include <algorithm>
#include <set>

#include "core/types/vmm_overhead.hpp"
#include "core/zedmanager/problems.hpp"

namespace eve::zedmanager {

namespace {

using types::Inprogress;
using types::SwState;

constexpr std::string_view kBootOrderRetry = "applied when application is restarted";

bool pending(const types::DomainStatus& domain) { return domain.PendingAdd || domain.PendingModify || domain.PendingDelete; }
bool pending(const types::AppNetworkStatus& network) { return network.PendingAdd || network.PendingModify || network.PendingDelete; }

/// A state in which a guest holds, or may hold, its memory and disks.
bool alive(SwState state) {
    switch (state) {
        case SwState::BOOTING:
        case SwState::RUNNING:
        case SwState::PAUSING:
        case SwState::PAUSED:
        case SwState::HALTING:
        case SwState::UNKNOWN: return true;
        default: return false;
    }
}

std::string join(const std::vector<std::string>& texts, std::string_view separator) {
    std::string whole;
    for (const auto& text : texts) whole += (whole.empty() ? std::string() : std::string(separator)) + text;
    return whole;
}

types::ErrorDescription error_of(std::string text) { return {.Error = std::move(text), .ErrorSeverity = types::ErrorSeverity::ErrorSeverityError}; }

/// One step under construction. Each part reads `seen_` and `node_` and changes `s_`.
class Step {
public:
    Step(const AppState& state, const Observed& seen, const NodeView& node) : s_(state), seen_(seen), node_(node) {}

    Decision run() {
        if (seen_.config == nullptr && seen_.config_absent) s_.removing = true;
        if (s_.removing) {
            remove();
        } else if (seen_.config != nullptr) {
            take_config();
            if (s_.accepted) advance();
            problems_.add(error_of(seen_.publish_fault), source_app_status);
            problems_.write(s_.status, node_.now);
        }
        return {std::move(s_), wake_at_};
    }

private:
    const types::AppInstanceConfig& config() const { return *seen_.config; }
    bool wanted() const { return wanted_active(config(), node_.profile); }
    bool domain_shall_run() const { return s_.domain && s_.domain->Activate; }

    void wake(Instant when) {
        if (!wake_at_ || when < *wake_at_) wake_at_ = when;
    }

    /// True once `asked` is old enough that what stood then may be believed now.
    template <class T> bool settled(const Asked<T>& asked) {
        if (node_.at >= asked.at + halt_settle_time) return true;
        wake(asked.at + halt_settle_time);
        return false;
    }

    // ---- which config is in force

    void take_config() {
        const auto broken = faults(config());
        if (!s_.accepted && s_.reloaded && s_.status.FixedResources.Memory != 0) s_.accepted = from_records();
        if (!s_.accepted) {
            take_first_config(broken);
            return;
        }
        if (broken.empty()) {
            take_change();
        } else {
            problems_.add(error_of(join(broken, "\n")), source_app_status);
        }
        start_time();
    }

    void take_first_config(const std::vector<std::string>& broken) {
        s_.status.UUIDandVersion = config().UUIDandVersion;
        s_.status.DisplayName = config().DisplayName;
        if (s_.status.State == SwState{}) s_.status.State = SwState::INITIAL;
        if (!broken.empty()) {
            problems_.add(error_of(join(broken, "\n")), source_app_status);
            return;
        }
        s_.accepted = accept(config());
        accept_identity();
        if (!s_.purge_counter)
            s_.purge_counter = s_.accepted->purge_counter;
        else if (*s_.purge_counter != s_.accepted->purge_counter)  // a purge that came while the node was down, or did not get to its end
            start_purge();
        start_time();
    }

    /// What was in force, from what was published: after a restart of this agent.
    Accepted from_records() const {
        Accepted accepted = accept(config());
        const auto phase = s_.status.PurgeInprogress;
        if (phase != Inprogress::DownloadAndVerify && phase != Inprogress::BringDown) {  // these two take up any config as well
            accepted.resources = s_.status.FixedResources;
            accepted.volumes.clear();
            for (const auto& volume : s_.status.VolumeRefStatusList) {
                const auto found = s_.volume_refs.find(reference_key(volume));
                types::VolumeRefConfig reference{.VolumeID = volume.VolumeID,
                                                 .GenerationCounter = volume.GenerationCounter,
                                                 .LocalGenerationCounter = volume.LocalGenerationCounter,
                                                 .AppUUID = volume.AppUUID,
                                                 .VerifyOnly = true};
                if (found != s_.volume_refs.end()) reference.MountDir = found->second.MountDir;
                accepted.volumes.push_back(std::move(reference));
            }
            if (s_.domain) accepted.adapters = s_.domain->IoAdapterList;
            if (s_.purge_counter) accepted.purge_counter = *s_.purge_counter;
        }
        if (s_.domain) accepted.restart_counter = s_.domain->RestartCounter;
        return accepted;
    }

    void accept_identity() {
        s_.status.UUIDandVersion = config().UUIDandVersion;
        s_.status.DisplayName = config().DisplayName;
        s_.status.FixedResources = s_.accepted->resources;
        s_.status.IsDesignatedNodeID = config().IsDesignatedNodeID;
    }

    void start_purge() {
        s_.status.PurgeInprogress = Inprogress::DownloadAndVerify;
        s_.status.PurgeStartedAt = node_.now;
        s_.status.RestartInprogress = Inprogress::NotInprogress;  // a purge restarts as well
    }

    /// A config that can be run, for an app that has one: what needs no command is in force at once, the rest is accepted or refused.
    void take_change() {
        auto& accepted = *s_.accepted;
        if (purge_counter(config()) != accepted.purge_counter) {
            accepted = accept(config());
            accept_identity();
            start_purge();
            return;
        }
        const auto difference = compare(accepted, config());
        bool refused = false;
        if (!difference.purge.empty()) {
            problems_.add(error_of("Need purge due to " + join(difference.purge, ", ") + " but not a purgeCmd"), source_app_status);
            refused = true;
        } else {
            accepted.volumes = config().VolumeRefConfigList;  // the same volumes, perhaps in another order
        }
        if (restart_counter(config()) != accepted.restart_counter)
            take_restart();
        else if (!difference.restart.empty())
            refused = !take_resources(difference) || refused;
        if (!refused) accept_identity();
    }

    void take_restart() {
        auto& accepted = *s_.accepted;
        accepted.resources = config().FixedResources;
        accepted.restart_counter = restart_counter(config());
        s_.status.FixedResources = accepted.resources;
        s_.status.MemOverhead = overhead();
        if (!wanted()) return;  // nothing to restart, now or later
        s_.status.RestartStartedAt = node_.now;
        const auto phase = s_.status.PurgeInprogress;  // the earlier phases of a purge bring the guest down anyway
        const bool guest_may_start = phase == Inprogress::NotInprogress || phase == Inprogress::BringUp;
        if (s_.domain && holds_memory(s_.status) && guest_may_start) s_.status.RestartInprogress = Inprogress::BringDown;
    }

    /// Whether changed resources are in force now.
    bool take_resources(const Difference& difference) {
        if (!holds_memory(s_.status)) {  // nothing runs that could be disturbed
            s_.accepted->resources = s_.status.FixedResources = config().FixedResources;
            return true;
        }
        if (difference.only_boot_order) {
            problems_.add({.Error = "The new boot order is not in force yet",
                           .ErrorSeverity = types::ErrorSeverity::ErrorSeverityWarning,
                           .ErrorRetryCondition = std::string(kBootOrderRetry)},
                          source_app_status);
            return true;
        }
        problems_.add(error_of("Need restart due to " + join(difference.restart, ", ") + " but not a restartCmd"), source_app_status);
        return false;
    }

    void start_time() {
        if (s_.reloaded && !s_.delay && !s_.status.StartTime.is_zero()) s_.delay = config().Delay;
        if (!node_.delay_base || s_.delay == config().Delay) return;
        s_.delay = config().Delay;
        s_.status.StartTime = *node_.delay_base + config().Delay;
    }

    // ---- the ordered pipeline

    void advance() {
        if (domain_shall_run() && seen_.domain != nullptr && seen_.domain->Activated) s_.status.Activated = true;  // also if our own record of it was lost
        volumes();
        purge();
        if (wanted())
            activate();
        else
            deactivate();
        s_.status.MissingNetwork = s_.status.State == SwState::AWAITNETWORKINSTANCE;
    }

    // ---- volumes

    /// Whether a domain may have the volume open, or be given it again, while a purge prepares its successor.
    bool used_by_domain(const std::string& key) const {
        const auto phase = s_.status.PurgeInprogress;
        if (phase != Inprogress::DownloadAndVerify && phase != Inprogress::BringDown) return false;
        return s_.domain && std::ranges::any_of(s_.domain->DiskConfigList, [&](const auto& disk) { return disk.VolumeKey == key; });
    }

    void volumes() {
        std::map<std::string, const types::VolumeRefConfig*> current;
        for (const auto& reference : s_.accepted->volumes) current[reference_key(reference)] = &reference;

        std::vector<types::VolumeRefStatus> list;
        std::map<std::string, types::VolumeRefStatus> known;
        for (auto& volume : s_.status.VolumeRefStatusList) {
            const std::string key = reference_key(volume);
            if (!current.contains(key) && used_by_domain(volume_key(volume))) list.push_back(volume);
            known[key] = std::move(volume);
        }
        for (const auto& reference : s_.accepted->volumes) {
            const auto found = known.find(reference_key(reference));
            list.push_back(found != known.end() ? found->second : first_status(reference));
        }
        std::set<std::string> kept;
        for (auto& volume : list) {
            const std::string key = reference_key(volume);
            kept.insert(key);
            const auto reported = seen_.volumes.find(key);
            if (reported != seen_.volumes.end()) volume = *reported->second;
            volume.PendingAdd = false;
            const auto reference = current.find(key);
            if (reference != current.end()) refer(key, *reference->second, volume);
        }
        s_.status.VolumeRefStatusList = std::move(list);
        std::erase_if(s_.volume_refs, [&](const auto& item) { return !kept.contains(item.first); });
        judge_volumes(current);
    }

    types::VolumeRefStatus first_status(const types::VolumeRefConfig& reference) const {
        types::VolumeRefStatus status;
        status.VolumeID = reference.VolumeID;
        status.GenerationCounter = reference.GenerationCounter;
        status.LocalGenerationCounter = reference.LocalGenerationCounter;
        status.AppUUID = reference.AppUUID;
        status.State = SwState::INITIAL;
        status.VerifyOnly = true;
        return status;
    }

    /// Publishes the reference: at first to have the content only, then, as soon as that is there and no purge forbids it, to have the volume.
    void refer(const std::string& key, const types::VolumeRefConfig& wanted_reference, const types::VolumeRefStatus& volume) {
        auto [entry, added] = s_.volume_refs.try_emplace(key, wanted_reference);
        auto& reference = entry->second;
        if (added) reference.VerifyOnly = true;
        reference.MountDir = wanted_reference.MountDir;
        const auto phase = s_.status.PurgeInprogress;
        const bool may_create = phase != Inprogress::DownloadAndVerify && phase != Inprogress::BringDown;
        if (may_create && volume.State >= SwState::LOADED) reference.VerifyOnly = false;
    }

    /// The app's state and errors from its volumes. Those that are only kept for a domain that is about to go do not count.
    void judge_volumes(const std::map<std::string, const types::VolumeRefConfig*>& current) {
        std::vector<types::ErrorAndTimeWithSource> errors;
        least_ = SwState::CREATED_VOLUME;
        for (const auto& volume : s_.status.VolumeRefStatusList) {
            if (!current.contains(reference_key(volume))) continue;
            least_ = std::min(least_, volume.State);
            if (volume.Error.empty()) continue;
            errors.push_back(volume);
            if (errors.back().ErrorSourceType.empty()) errors.back().ErrorSourceType = source_volume_reference;
        }
        if (!errors.empty()) {
            auto whole = combine(errors, "\n\n");
            const std::string source = whole.ErrorSourceType;
            problems_.add(std::move(whole), source);
        }
        loaded_ = errors.empty() && least_ >= SwState::LOADED;
        created_ = errors.empty() && least_ >= SwState::CREATED_VOLUME;
        if (s_.status.State < SwState::BOOTING) s_.status.State = created_ ? SwState::INSTALLED : least_;
    }

    // ---- purge

    void purge() {
        switch (s_.status.PurgeInprogress) {
            case Inprogress::NotInprogress: return;
            case Inprogress::DownloadAndVerify:
                if (loaded_) s_.status.PurgeInprogress = Inprogress::BringDown;
                return;
            case Inprogress::BringDown: bring_down(); return;
            case Inprogress::RecreateVolumes:
                if (created_) s_.status.PurgeInprogress = Inprogress::BringUp;
                return;
            case Inprogress::BringUp:
                if (!wanted()) s_.status.PurgeInprogress = Inprogress::NotInprogress;  // nothing to bring up
                return;
        }
    }

    void bring_down() {
        if (!domain_is_down() || !network_is_down()) {
            s_.status.State = seen_.domain != nullptr && seen_.domain->State == SwState::HALTED ? SwState::HALTED : SwState::HALTING;
            return;
        }
        s_.status.Activated = s_.status.ActivateInprogress = false;
        s_.status.PurgeInprogress = Inprogress::RecreateVolumes;
        s_.purge_counter = s_.accepted->purge_counter;
    }

    /// Halts the domain, if there is one to halt; true once it is down for certain.
    bool domain_is_down() {
        if (!s_.domain) return seen_.domain == nullptr || is_down(*seen_.domain);
        if (s_.domain->Activate || !s_.domain_asked) {
            s_.domain->Activate = false;
            s_.domain->UserActivate = wanted();
            s_.domain->RestartCounter = s_.accepted->restart_counter;
            s_.domain->PurgeCounter = s_.accepted->purge_counter;
            s_.domain_asked = Asked<types::DomainStatus>{node_.at, copy(seen_.domain)};
        }
        if (seen_.domain == nullptr || !is_down(*seen_.domain)) return false;  // silence is no answer
        const bool answered = s_.domain_asked->then != *seen_.domain && seen_.domain->Error.empty();
        return answered || settled(*s_.domain_asked);
    }

    bool network_is_down() {
        if (!s_.network) return true;
        if (s_.network->Activate || !s_.network_asked) {
            s_.network->Activate = false;
            s_.network_asked = Asked<types::AppNetworkStatus>{node_.at, copy(seen_.network)};
        }
        if (seen_.network != nullptr && (seen_.network->Activated || pending(*seen_.network))) return false;
        const bool answered = seen_.network != nullptr && s_.network_asked->then != *seen_.network;
        return answered || (seen_.network_heard && settled(*s_.network_asked));
    }

    template <class T> static std::optional<T> copy(const T* record) { return record != nullptr ? std::optional<T>(*record) : std::nullopt; }

    // ---- activation

    void activate() {
        auto& status = s_.status;
        const auto phase = status.PurgeInprogress;
        const bool purging = phase != Inprogress::NotInprogress && phase != Inprogress::BringUp;
        status.MissingMemory = false;
        if (!holds_memory(status)) {
            if (!created_ || purging || !node_.may_activate || !admitted()) return;
            status.ActivateInprogress = true;
        }
        if (phase == Inprogress::BringDown || phase == Inprogress::RecreateVolumes) return;
        if (status.RestartInprogress == Inprogress::BringDown) {
            const bool down = domain_is_down();
            follow_domain();
            if (!down) return;
            // What it comes back with may be more than there is; then it is an app that waits for memory like any other.
            const bool fits = admitted();
            status.RestartInprogress = fits ? Inprogress::BringUp : Inprogress::NotInprogress;
            if (!fits) status.Activated = status.ActivateInprogress = false;
            return;
        }
        if (!purging) {
            const bool connected = connect();
            if (connected && created_ && !delayed()) start_domain();
        }
        follow_domain();
    }

    bool admitted() {
        auto& status = s_.status;
        status.MemOverhead = overhead();
        if (node_.ignore_memory) return true;
        auto refusal = refuse_memory(memory_need(status), node_.memory);
        if (!refusal) return true;
        status.MissingMemory = true;
        problems_.add(std::move(*refusal), source_app_config);
        return false;
    }

    std::uint64_t overhead() const { return types::vmm_overhead(s_.status.FixedResources, {.limit_bytes = node_.vmm_limit}); }

    /// Whether a (re)start is under way in which the app does not run yet.
    bool starting() const {
        return !s_.status.Activated || s_.status.RestartInprogress == Inprogress::BringUp || s_.status.PurgeInprogress == Inprogress::BringUp;
    }

    /// Publishes the network's config; true once the network is ready for the domain.
    bool connect() {
        const bool may_touch = starting() && !domain_shall_run();
        s_.network = make_network_config(config(), s_.status.UUIDandVersion, true, s_.network ? &*s_.network : nullptr,
                                         may_touch ? Staging::apply_all : Staging::keep_adapters);
        s_.network_asked.reset();
        const auto* network = seen_.network;
        if (network == nullptr || pending(*network)) return false;
        if (!network->Error.empty()) {
            problems_.add(*network, source_network);
            return false;
        }
        if (network->AwaitNetworkInstance) {
            if (!domain_shall_run()) s_.status.State = SwState::AWAITNETWORKINSTANCE;
            return false;
        }
        s_.status.AppNetAdapters = network->AppNetAdapterList;
        return network->Activated && describes(*network, *s_.network);
    }

    bool delayed() {
        if (!starting() || domain_shall_run() || config().Delay <= types::Duration::zero()) return false;
        auto& status = s_.status;
        if (!node_.delay_base) {
            status.State = SwState::START_DELAYED;
            return true;
        }
        auto left = status.StartTime - node_.now;
        if (left > config().Delay) {  // the wall clock was set back
            status.StartTime = node_.now + config().Delay;
            left = config().Delay;
        }
        if (left <= types::Duration::zero()) return false;
        status.State = SwState::START_DELAYED;
        wake(node_.at + left);
        return true;
    }

    void start_domain() {
        auto domain = make_domain_config({.config = config(), .status = s_.status, .network = *seen_.network, .accepted = *s_.accepted});
        if (!domain) {
            problems_.add(error_of(domain.error().what), source_domain);
            return;
        }
        if (s_.status.State == SwState::START_DELAYED || s_.status.State == SwState::AWAITNETWORKINSTANCE) s_.status.State = SwState::INSTALLED;
        s_.domain = std::move(*domain);
        s_.domain_asked.reset();
    }

    /// Copies what the domain reports; it is only ours to show while we want something of it.
    void follow_domain() {
        if (seen_.domain == nullptr || !s_.domain) return;
        auto& status = s_.status;
        const auto& domain = *seen_.domain;
        copy_domain(domain);
        const bool halting = !s_.domain->Activate;
        if (!halting) problems_.add(domain, source_domain);
        if (halting && status.RestartInprogress != Inprogress::BringDown) return;
        if (domain.State != SwState{}) status.State = domain.State;
        if (halting || pending(domain)) return;
        const bool failed = domain.State >= SwState::BOOTING && !domain.Error.empty();
        if (domain.Activated || alive(domain.State) || domain.State == SwState::BROKEN || failed) {
            status.Activated = true;
            status.ActivateInprogress = false;
        }
        if (!domain.Activated) return;
        if (status.RestartInprogress == Inprogress::BringUp) status.RestartInprogress = Inprogress::NotInprogress;
        if (status.PurgeInprogress == Inprogress::BringUp) status.PurgeInprogress = Inprogress::NotInprogress;
    }

    void copy_domain(const types::DomainStatus& domain) {
        auto& status = s_.status;
        status.DomainName = domain.DomainName;
        status.BootTime = domain.BootTime;
        status.IoAdapterList = domain.IoAdapterList;
        for (auto& adapter : status.AppNetAdapters)
            for (const auto& vif : domain.VifList)
                if (vif.Vif == adapter.Vif) adapter.VifUsed = vif.VifUsed;
    }

    // ---- no longer wanted

    void deactivate() {
        auto& status = s_.status;
        status.MissingMemory = false;
        status.RestartInprogress = Inprogress::NotInprogress;
        if (status.PurgeInprogress == Inprogress::BringDown) return;
        const bool down = domain_is_down();
        if (s_.domain) s_.domain->RestartCounter = s_.accepted->restart_counter;  // a restart of what does not run is done
        if (seen_.domain != nullptr && s_.domain) {
            copy_domain(*seen_.domain);
            if (!down && alive(seen_.domain->State)) status.State = seen_.domain->State;
            if (seen_.domain->Activated && !pending(*seen_.domain) && seen_.domain->State != SwState::HALTING)
                problems_.add(*seen_.domain, source_domain);  // it could not be halted
        }
        if (!down) return;
        status.Activated = status.ActivateInprogress = false;
        if (status.State >= SwState::INSTALLED) status.State = SwState::HALTED;
    }

    // ---- deleted

    void remove() {
        auto& status = s_.status;
        status.RestartInprogress = status.PurgeInprogress = Inprogress::NotInprogress;
        status.MissingMemory = status.NoBootPriority = false;
        if (s_.domain) {
            s_.domain.reset();
            s_.domain_asked = Asked<types::DomainStatus>{node_.at, copy(seen_.domain)};
        }
        if (seen_.domain != nullptr) {
            if (alive(seen_.domain->State)) status.State = SwState::HALTING;
            problems_.add(*seen_.domain, source_domain);
        }
        problems_.write(status, node_.now);
        if (!gone_now(seen_.domain, seen_.domain_heard, s_.domain_asked)) return;
        if (s_.network) {
            s_.network.reset();
            s_.network_asked = Asked<types::AppNetworkStatus>{node_.at, copy(seen_.network)};
        }
        if (!gone_now(seen_.network, seen_.network_heard, s_.network_asked)) return;
        status.Activated = status.ActivateInprogress = false;
        s_.volume_refs.clear();
        s_.purge_counter.reset();
        s_.gone = true;
    }

    template <class T> bool gone_now(const T* record, bool heard, const std::optional<Asked<T>>& asked) {
        if (record != nullptr || !heard) return false;
        return !asked || asked->then || settled(*asked);
    }

    AppState s_;
    const Observed& seen_;
    const NodeView& node_;
    Problems problems_;
    std::optional<Instant> wake_at_;
    SwState least_ = SwState::INITIAL;
    bool loaded_ = false;
    bool created_ = false;
};

}  // namespace

bool is_down(const types::DomainStatus& domain) {
    return !domain.Activated && !pending(domain) && !alive(domain.State) && domain.DomainId == 0;
}

std::uint64_t memory_need(const types::AppInstanceStatus& status) {
    return (static_cast<std::uint64_t>(std::max<std::int64_t>(status.FixedResources.Memory, 0)) << 10) + status.MemOverhead;
}

Decision step(const AppState& state, const Observed& seen, const NodeView& node) { return Step(state, seen, node).run(); }

Decision settle(const AppState& state, const Observed& seen, const NodeView& node) {
    Decision decision = step(state, seen, node);
    for (int n = 1; n < steps_max; ++n) {
        Decision next = step(decision.next, seen, node);
        const bool settled = next.next == decision.next;
        decision = std::move(next);
        if (settled || decision.next.gone) break;
    }
    return decision;
}

}  // namespace eve::zedmanager
