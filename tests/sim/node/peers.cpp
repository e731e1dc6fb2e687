#include "tests/sim/node/peers.hpp"

#include <algorithm>
#include <stdexcept>

#include "core/types/config_items.hpp"
#include "core/types/node.hpp"

namespace eve::sim {

using namespace std::chrono_literals;
using types::SwState;

namespace {

constexpr auto kQuick = 50ms;
constexpr auto kWork = 3000ms;
constexpr auto kRetry = 60s;

void must(const Status& status) {
    if (!status) throw std::runtime_error("a stand-in could not publish: " + status.error().what);
}

template <class T> void forget(Publication<T>& publication, const std::string& key) {
    if (publication.get(key) != nullptr) must(publication.unpublish(key));
}

std::string volume_of(const std::string& reference) { return reference.substr(0, reference.rfind('#')); }

types::ErrorDescription trouble(const std::string& text) {
    return {.Error = text, .ErrorSeverity = types::ErrorSeverity::ErrorSeverityWarning, .ErrorRetryCondition = "will retry in 60s"};
}

}  // namespace

void Peer::later(std::chrono::milliseconds most, Loop::Task task) {
    auto delay = std::chrono::milliseconds{prng_.between(0, most.count())};
    if (prng_.chance(world_.faults.slow)) delay *= 20;
    process_.after(delay, std::move(task));
}

// ---- volumemgr

PeerVolumemgr::PeerVolumemgr(Deps deps) : Peer(deps) {
    statuses_ = bus_.publish<types::VolumeRefStatus>({.agent = "volumemgr"});
    Handlers<types::VolumeRefConfig> handlers;
    handlers.created = [this](const std::string& key, const auto&) { later(kQuick, [this, key] { act(volume_of(key)); }); };
    handlers.deleted = [this](const std::string& key, const auto&) {
        forget(*statuses_, key);
        later(kQuick, [this] { collect(); });
    };
    handlers.synchronized = [this] { later(kQuick, [this] { collect(); }); };
    configs_ = bus_.subscribe<types::VolumeRefConfig>({.agent = "zedmanager"}, std::move(handlers));
}

void PeerVolumemgr::act(const std::string& key) {
    const bool wanted = std::ranges::any_of(configs_->items(), [&](const auto& item) { return volume_of(item.first) == key; });
    if (!wanted) return;
    auto& volume = volumes_[key];
    if (world_.volumes.contains(key)) volume = {.state = SwState::CREATED_VOLUME, .busy = volume.busy};
    report(key);
    if (volume.busy || volume.state == SwState::CREATED_VOLUME) return;
    const bool create = std::ranges::any_of(
        configs_->items(), [&](const auto& item) { return volume_of(item.first) == key && !item.second->VerifyOnly; });
    if (volume.state == SwState::LOADED && !create) return;
    volume.busy = true;
    later(kWork, [this, key] { advance(key); });
}

void PeerVolumemgr::advance(const std::string& key) {
    auto found = volumes_.find(key);
    if (found == volumes_.end()) return;
    auto& volume = found->second;
    volume.busy = false;
    if (prng_.chance(world_.faults.volume_fails)) {
        volume.error = "trouble with " + key;
        report(key);
        later(kRetry, [this, key] { act(key); });
        return;
    }
    volume.error.clear();
    switch (volume.state) {
        case SwState::INITIAL: volume.state = SwState::DOWNLOADING; break;
        case SwState::DOWNLOADING: volume.state = SwState::VERIFYING; break;
        case SwState::VERIFYING: volume.state = SwState::LOADED; break;
        case SwState::LOADED: volume.state = SwState::CREATING_VOLUME; break;
        case SwState::CREATING_VOLUME:
            volume.state = SwState::CREATED_VOLUME;
            if (!world_.lies.created_early) world_.volumes.insert(key);
            break;
        default: break;
    }
    act(key);
    collect();
}

void PeerVolumemgr::report(const std::string& key) {
    const auto& volume = volumes_[key];
    for (const auto& [reference, config] : configs_->items()) {
        if (volume_of(reference) != key) continue;
        types::VolumeRefStatus status;
        status.VolumeID = config->VolumeID;
        status.GenerationCounter = config->GenerationCounter;
        status.LocalGenerationCounter = config->LocalGenerationCounter;
        status.AppUUID = config->AppUUID;
        status.State = volume.state;
        status.VerifyOnly = config->VerifyOnly;
        status.ContentFormat = types::Format::QCOW2;
        if (volume.state == SwState::CREATED_VOLUME) status.ActiveFileLocation = "/persist/vault/volumes/" + key + ".qcow2";
        if (!volume.error.empty()) {
            static_cast<types::ErrorDescription&>(status) = trouble(volume.error);
            status.ErrorSourceType = "types.VolumeStatus";
        }
        must(statuses_->publish(reference, status));
    }
}

void PeerVolumemgr::collect() {
    std::set<std::string> wanted;
    for (const auto& [reference, config] : configs_->items()) wanted.insert(volume_of(reference));
    std::erase_if(volumes_, [&](const auto& item) { return !wanted.contains(item.first); });
    const auto existing = world_.volumes;
    for (const auto& key : existing)
        if (!wanted.contains(key)) world_.end_volume(key);
    std::vector<std::string> stale;
    for (const auto& [reference, status] : statuses_->items())
        if (configs_->get(reference) == nullptr) stale.push_back(reference);
    for (const auto& reference : stale) forget(*statuses_, reference);
}

// ---- zedrouter

PeerZedrouter::PeerZedrouter(Deps deps) : Peer(deps) {
    statuses_ = bus_.publish<types::AppNetworkStatus>({.agent = "zedrouter"});
    Handlers<types::AppNetworkConfig> handlers;
    handlers.created = [this](const std::string& key, const auto&) { later(kQuick, [this, key] { act(key); }); };
    handlers.deleted = [this](const std::string& key, const auto&) { later(kQuick, [this, key] { act(key); }); };
    handlers.synchronized = [this] {
        for (const auto& [key, status] : statuses_->items()) later(kQuick, [this, key = key] { act(key); });
    };
    handlers.restarted = [this](int) { statuses_->signal_restarted(); };
    configs_ = bus_.subscribe<types::AppNetworkConfig>({.agent = "zedmanager"}, std::move(handlers));
}

void PeerZedrouter::act(const std::string& app) {
    if (busy_.contains(app)) return;
    const auto* config = configs_->get(app);
    const auto* before = statuses_->get(app);
    if (config == nullptr) {
        if (before != nullptr) unmake(app, true);
        return;
    }
    types::AppNetworkStatus status;
    if (before != nullptr) status = *before;
    status.UUIDandVersion = config->UUIDandVersion;
    status.AppNum = 1;
    const bool same = std::ranges::equal(status.AppNetAdapterList, config->AppNetAdapterList,
                                         [](const auto& a, const auto& b) { return a.Name == b.Name && a.Network == b.Network; });
    const bool pending = status.PendingAdd || status.PendingModify || status.PendingDelete;
    if (config->Activate && (!status.Activated || !same || pending)) {
        make(app, std::move(status));
    } else if (!config->Activate && (status.Activated || before == nullptr || pending)) {
        if (before == nullptr) must(statuses_->publish(app, status));
        unmake(app, false);
    }
}

void PeerZedrouter::make(const std::string& app, types::AppNetworkStatus status) {
    (status.Activated ? status.PendingModify : status.PendingAdd) = true;
    must(statuses_->publish(app, status));
    busy_.insert(app);
    later(kWork, [this, app] {
        busy_.erase(app);
        const auto* config = configs_->get(app);
        auto done = *statuses_->get(app);
        done.PendingAdd = done.PendingModify = done.PendingDelete = false;
        static_cast<types::ErrorAndTime&>(done) = {};
        if (config == nullptr || prng_.chance(world_.faults.network_fails)) {
            static_cast<types::ErrorDescription&>(done) = trouble("no bridge for " + app);
            later(kRetry, [this, app] { act(app); });
        } else {
            done.Activated = true;
            done.AppNetAdapterList.clear();
            for (const auto& adapter : config->AppNetAdapterList) {
                types::AppNetAdapterStatus made;
                static_cast<types::AppNetAdapterConfig&>(made) = adapter;
                made.Vif = "nbu" + std::to_string(done.AppNetAdapterList.size() + 1) + "x1";
                done.AppNetAdapterList.push_back(made);
            }
            if (!world_.lies.connected_early) world_.networks.insert(app);
        }
        must(statuses_->publish(app, done));
        act(app);
    });
}

void PeerZedrouter::unmake(const std::string& app, bool forget_it) {
    auto status = *statuses_->get(app);
    (forget_it ? status.PendingDelete : status.PendingModify) = true;
    must(statuses_->publish(app, status));
    busy_.insert(app);
    later(kWork, [this, app] {
        busy_.erase(app);
        world_.networks.erase(app);
        if (configs_->get(app) == nullptr) {
            forget(*statuses_, app);
            return;
        }
        auto done = *statuses_->get(app);
        done.PendingAdd = done.PendingModify = done.PendingDelete = done.Activated = false;
        static_cast<types::ErrorAndTime&>(done) = {};
        must(statuses_->publish(app, done));
        act(app);
    });
}

// ---- domainmgr

PeerDomainmgr::PeerDomainmgr(Deps deps) : Peer(deps) {
    statuses_ = bus_.publish<types::DomainStatus>({.agent = "domainmgr"});
    memory_ = bus_.publish<types::HostMemory>({.agent = "domainmgr"});
    must(memory_->publish("global", {.TotalMemoryMB = 4096, .Ncpus = 4}));
    adopt();
    Handlers<types::DomainConfig> handlers;
    handlers.created = [this](const std::string& key, const auto&) { later(kQuick, [this, key] { act(key); }); };
    handlers.deleted = [this](const std::string& key, const auto&) { later(kQuick, [this, key] { act(key); }); };
    handlers.synchronized = [this] {
        heard_ = true;
        for (const auto& [key, status] : statuses_->items()) later(kQuick, [this, key = key] { act(key); });
    };
    configs_ = bus_.subscribe<types::DomainConfig>({.agent = "zedmanager"}, std::move(handlers));
}

/// What really runs decides, not what was written down.
void PeerDomainmgr::adopt() {
    const auto old = statuses_->items();
    for (const auto& [app, status] : old) {
        auto now = *status;
        now.PendingAdd = now.PendingModify = now.PendingDelete = false;
        const bool runs = world_.guests.contains(app);
        now.Activated = runs;
        now.DomainId = runs ? 1 : 0;
        now.State = runs ? SwState::RUNNING : SwState::HALTED;
        static_cast<types::ErrorAndTime&>(now) = {};
        must(statuses_->publish(app, now));
    }
}

void PeerDomainmgr::act(const std::string& app) {
    if (busy_.contains(app) || !heard_) return;
    const auto* config = configs_->get(app);
    const auto* before = statuses_->get(app);
    if (config == nullptr) {
        if (before != nullptr) halt(app, true);
        return;
    }
    if (before == nullptr) {
        types::DomainStatus status;
        status.UUIDandVersion = config->UUIDandVersion;
        status.State = SwState::INSTALLED;
        status.PendingAdd = true;
        must(statuses_->publish(app, status));
        later(kQuick, [this, app] { act(app); });
        return;
    }
    auto status = *before;
    const bool failed = !status.Error.empty();
    if (config->Activate && !status.Activated && !failed) {
        start(app, std::move(status));
    } else if (!config->Activate && (status.Activated || failed || status.PendingAdd || status.PendingModify)) {
        halt(app, false);
    }
}

void PeerDomainmgr::start(const std::string& app, types::DomainStatus status) {
    const auto& config = *configs_->get(app);
    Guest guest{.cpus = config.VCpus, .memory_kib = config.Memory};
    for (const auto& disk : config.DiskConfigList) guest.disks.push_back(disk.VolumeKey);
    status.State = SwState::BOOTING;
    must(statuses_->publish(app, status));
    busy_.insert(app);
    later(kWork, [this, app, guest] {
        busy_.erase(app);
        auto done = *statuses_->get(app);
        done.PendingAdd = done.PendingModify = false;
        if (prng_.chance(world_.faults.start_fails)) {
            fail(std::move(done), "no memory for " + app, SwState::HALTED);
            return;
        }
        world_.start_guest(app, guest);
        done.State = SwState::RUNNING;
        done.Activated = true;
        done.DomainId = 1;
        must(statuses_->publish(app, done));
        act(app);
    });
}

void PeerDomainmgr::fail(types::DomainStatus status, const std::string& error, SwState state) {
    const std::string app = status.UUIDandVersion.UUID.to_string();
    static_cast<types::ErrorDescription&>(status) = trouble(error);
    status.State = state;
    status.Activated = false;
    status.DomainId = 0;
    status.BootFailed = true;
    must(statuses_->publish(app, status));
    act(app);
    later(kRetry, [this, app] {
        const auto* now = statuses_->get(app);
        if (now == nullptr || now->Error.empty() || busy_.contains(app)) return;
        auto again = *now;
        static_cast<types::ErrorAndTime&>(again) = {};
        again.BootFailed = false;
        must(statuses_->publish(app, again));
        act(app);
    });
}

void PeerDomainmgr::halt(const std::string& app, bool forget_it) {
    auto status = *statuses_->get(app);
    status.State = SwState::HALTING;
    if (forget_it) status.PendingDelete = true;
    must(statuses_->publish(app, status));
    busy_.insert(app);
    later(kWork, [this, app] {
        busy_.erase(app);
        if (!world_.lies.halted_early) world_.end_guest(app);
        if (configs_->get(app) == nullptr) {
            forget(*statuses_, app);
            return;
        }
        auto done = *statuses_->get(app);
        done.PendingAdd = done.PendingModify = done.PendingDelete = done.Activated = false;
        done.State = SwState::HALTED;
        done.DomainId = 0;
        static_cast<types::ErrorAndTime&>(done) = {};
        must(statuses_->publish(app, done));
        act(app);
    });
}

void PeerDomainmgr::guest_died(std::string app) {
    world_.end_guest(app);
    later(kWork, [this, app] {
        const auto* now = statuses_->get(app);
        if (now == nullptr || busy_.contains(app) || world_.guests.contains(app) || !now->Activated) return;
        fail(*now, "the guest's process died", SwState::BROKEN);
    });
}

// ---- zedagent

PeerZedagent::PeerZedagent(Bus& bus) {
    configs_ = bus.publish<types::AppInstanceConfig>({.agent = "zedagent"});
    items_ = bus.publish<types::ConfigItemValueMap>({.agent = "zedagent"});
    status_ = bus.publish<types::ZedAgentStatus>({.agent = "zedagent"});
    onboarding_ = bus.publish<types::OnboardingStatus>({.agent = "zedclient", .persistent = true});
    must(items_->publish("global", types::default_config_items()));
    types::OnboardingStatus onboarding;
    onboarding.DeviceUUID = types::Uuid::parse_or_nil("11111111-2222-3333-4444-555555555555");
    must(onboarding_->publish("global", onboarding));
    set_profile("");
    configs_->signal_restarted();
}

void PeerZedagent::set(const types::AppInstanceConfig& config) {
    must(configs_->publish(config.UUIDandVersion.UUID.to_string(), config));
    configs_->signal_restarted();
}

void PeerZedagent::remove(const types::Uuid& app) {
    forget(*configs_, app.to_string());
    configs_->signal_restarted();
}

void PeerZedagent::set_profile(const std::string& profile) {
    types::ZedAgentStatus status;
    status.Name = "zedagent";
    status.ConfigGetStatus = types::ConfigGetStatus::ConfigGetSuccess;
    status.CurrentProfile = profile;
    must(status_->publish("zedagent", status));
}

std::map<std::string, types::AppInstanceConfig> PeerZedagent::apps() const {
    std::map<std::string, types::AppInstanceConfig> all;
    for (const auto& [key, config] : configs_->items()) all[key] = *config;
    return all;
}

}  // namespace eve::sim
