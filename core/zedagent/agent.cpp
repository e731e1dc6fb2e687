#include "core/zedagent/agent.hpp"

#include <set>
#include <utility>
#include <vector>

namespace eve::zedagent {
namespace {

constexpr const char* agent_name = "zedagent";
constexpr const char* lane = "zedagent/config";
constexpr const char* global_key = "global";

template <class T> std::unique_ptr<Publication<T>> topic(Bus& bus) { return bus.publish<T>({.agent = agent_name}); }

std::string uuid_key(const types::DatastoreConfig& store) { return store.UUID.to_string(); }
std::string network_key(const types::NetworkXObjectConfig& network) { return network.UUID.to_string(); }
std::string instance_key(const types::NetworkInstanceConfig& network) { return network.UUID.to_string(); }
std::string content_key(const types::ContentTreeConfig& tree) { return tree.ContentID.to_string(); }
std::string app_key(const types::AppInstanceConfig& app) { return app.UUIDandVersion.UUID.to_string(); }

}  // namespace

Agent::Agent(Deps deps)
    : deps_(deps),
      items_(topic<types::ConfigItemValueMap>(deps.bus)),
      agent_status_(topic<types::ZedAgentStatus>(deps.bus)),
      datastores_(topic<types::DatastoreConfig>(deps.bus)),
      physical_io_(topic<types::PhysicalIOAdapterList>(deps.bus)),
      networks_(topic<types::NetworkXObjectConfig>(deps.bus)),
      ports_(topic<types::DevicePortConfig>(deps.bus)),
      network_instances_(topic<types::NetworkInstanceConfig>(deps.bus)),
      content_trees_(topic<types::ContentTreeConfig>(deps.bus)),
      volumes_(topic<types::VolumeConfig>(deps.bus)),
      apps_(topic<types::AppInstanceConfig>(deps.bus)),
      config_status_(topic<ConfigStatus>(deps.bus)) {
    begin();
}

Agent::~Agent() {
    deps_.watch.stop();
    for (const auto& timer : {next_look_, backup_, retry_save_})
        if (timer) deps_.loop.cancel(*timer);
}

Agent::Candidate Agent::read(const Result<std::string>& bytes, const ParseContext& context) {
    Candidate out;
    if (!bytes) {
        out.error = bytes.error();
        return out;
    }
    out.bytes = *bytes;
    out.digest = config_digest(out.bytes);
    out.parsed = parse(out.bytes, context);
    return out;
}

/// The saved config is read even where the file is good: a bad item of the file falls back to what was in force.
void Agent::begin() {
    deps_.watch.start(if_alive([this] { look(); }));
    reading_ = true;
    deps_.lanes.submit(
        lane,
        [&files = deps_.files, now = deps_.loop.clock().wall_now()](const LaneContext&) {
            Candidate saved = read(files.read_checkpoint(Checkpoint::last), {.now = now});
            bool is_backup = false;
            if (!saved.parsed || !*saved.parsed) {
                auto backup = read(files.read_checkpoint(Checkpoint::backup), {.now = now});
                is_backup = backup.parsed && *backup.parsed;
                if (is_backup) saved = std::move(backup);
            }
            const auto* before = saved.parsed && *saved.parsed ? &(*saved.parsed)->items : nullptr;
            auto file = read(files.read_config(), {.now = now, .items_before = before});
            return Start{.local = files.read_checkpoint(Checkpoint::local_commands),
                         .file = std::move(file),
                         .saved = std::move(saved),
                         .saved_is_backup = is_backup};
        },
        if_alive([this](Start start) { on_start(std::move(start)); }));
}

void Agent::on_start(Start start) {
    load_local(start.local);
    const bool saved = start.saved.parsed && *start.saved.parsed;
    if (!saved && start.saved.error.code != Code::not_found) {
        const auto& error = start.saved.parsed ? start.saved.parsed->error() : start.saved.error;
        deps_.log.write(Level::error, "config.checkpoint_unusable", {{"error", error.what}});
    }
    if (saved) {
        config_ = **start.saved.parsed;
        keep_times(*config_, published());
        if (!start.saved_is_backup) saved_digest_ = start.saved.digest;
        add_local_counters(*config_, saved_counters_);
    }
    get_status_ = saved ? types::ConfigGetStatus::ConfigGetReadSaved : types::ConfigGetStatus::ConfigGetFail;

    bool accepted = false;
    if (start.file.parsed && *start.file.parsed) {
        accepted = accept(std::move(start.file), Source::file);
    } else if (start.file.parsed) {
        refuse(start.file.parsed->error(), start.file.digest);
    } else if (start.file.error.code != Code::not_found) {
        refuse(start.file.error, "");
    }
    if (!accepted && saved) {
        note_accepted(*config_, start.saved.digest, Source::checkpoint);
        publish_config();
        deps_.log.write(Level::info, "config.checkpoint_in_force", {{"digest", start.saved.digest}});
    }
    if (!accepted && !saved) {
        publish_items();
        publish_agent_status();
        static_cast<void>(config_status_->publish(global_key, status_));
        deps_.log.write(Level::info, "config.none");
    }
    commands_ = deps_.bus.subscribe<types::LocalAppCommand>(
        {.agent = "zedclient"},
        {.created = [this](const std::string& key, const types::LocalAppCommand& command) { on_command(key, command); }});
    reading_ = false;
    arm_next_look();
    if (look_again_) look();
}

void Agent::arm_next_look() {
    if (next_look_) deps_.loop.cancel(*next_look_);
    const types::ConfigItems items(config_ ? config_->items : types::default_config_items());
    next_look_ = deps_.loop.after(items.seconds("timer.config.interval"), [this] {
        next_look_.reset();
        look();
    });
}

void Agent::look() {
    look_again_ = reading_;
    if (reading_) return;
    reading_ = true;
    deps_.lanes.submit(
        lane,
        [&files = deps_.files, now = deps_.loop.clock().wall_now(), seen = status_.Digest,
         before = config_ ? std::make_shared<types::ConfigItemValueMap>(config_->items) : nullptr](const LaneContext&) {
            auto bytes = files.read_config();
            if (bytes && config_digest(*bytes) == seen) {
                Candidate same;
                same.digest = seen;
                return same;
            }
            return read(bytes, {.now = now, .items_before = before.get()});
        },
        if_alive([this](Candidate candidate) { on_read(std::move(candidate)); }));
}

void Agent::on_read(Candidate candidate) {
    reading_ = false;
    if (candidate.parsed && *candidate.parsed) {
        accept(std::move(candidate), Source::file);
    } else if (candidate.parsed) {
        refuse(candidate.parsed->error(), candidate.digest);
    } else if (candidate.digest.empty()) {  // else: the same bytes as before
        const bool gone = candidate.error.code == Code::not_found;
        if (!gone || !status_.Digest.empty()) {
            if (gone) candidate.error.hint = "the config in force stays; write the file again, or evectl apply it";
            refuse(candidate.error, "");
        }
    }
    arm_next_look();
    if (look_again_) look();
}

void Agent::refuse(const Error& error, const std::string& digest) {
    auto status = status_;
    status.Accepted = false;
    status.Digest = digest;
    status.Error = error.what;
    status.Field = error.field;
    status.Remedy = error.hint;
    status.ReadTime = status_.ReadTime;
    if (status == status_) return;  // found again
    status.ReadTime = wall_now();
    status_ = std::move(status);
    deps_.log.write(Level::error, "config.refused", {{"error", error.what}, {"field", error.field}, {"remedy", error.hint}});
    static_cast<void>(config_status_->publish(global_key, status_));
}

bool Agent::accept(Candidate candidate, Source source) {
    DeviceConfig config = **std::move(candidate.parsed);
    if (config_ && config_->timestamp && config.timestamp && *config.timestamp < *config_->timestamp) {
        refuse(Error{.code = Code::failed_precondition,
                     .what = "the config of " + config.timestamp->to_string() + " is older than the one in force (" +
                             config_->timestamp->to_string() + ")",
                     .field = "configTimestamp",
                     .hint = "give it a later configTimestamp"},
               candidate.digest);
        return false;
    }
    keep_times(config, published());
    config_ = std::move(config);
    forget_local_of_removed();
    add_local_counters(*config_, saved_counters_);
    get_status_ = types::ConfigGetStatus::ConfigGetSuccess;
    note_accepted(*config_, candidate.digest, source);
    for (const auto& item : config_->item_problems) deps_.log.write(Level::warn, "config.item_refused", {{"item", item.name}, {"error", item.error}});
    for (const auto& field : config_->unknown_fields) deps_.log.write(Level::warn, "config.field_unknown", {{"field", field}});
    deps_.log.write(Level::info, "config.accepted", {{"digest", candidate.digest}, {"version", config_->id.Version}, {"apps", config_->apps.size()}});
    publish_config();
    save_checkpoint(std::move(candidate.bytes), candidate.digest);
    return true;
}

void Agent::note_accepted(const DeviceConfig& config, const std::string& digest, Source source) {
    const auto now = wall_now();
    if (source == Source::file) {
        status_.Accepted = true;
        status_.Digest = digest;
        status_.ReadTime = now;
        status_.Error.clear();
        status_.Field.clear();
        status_.Remedy.clear();
    }
    status_.Source = source == Source::file ? "file" : "checkpoint";
    status_.InForceDigest = digest;
    status_.InForceSince = now;
    status_.DeviceUUID = config.id.UUID;
    status_.Version = config.id.Version;
    status_.DeviceName = config.device_name;
    status_.MaintenanceMode = in_maintenance();
    status_.ConfigItemErrors.clear();
    for (const auto& item : config.item_problems) {
        ConfigItemError error;
        error.Name = item.name;
        error.Error = item.error;
        error.Unknown = item.unknown;
        status_.ConfigItemErrors.push_back(std::move(error));
    }
    status_.UnknownFields = config.unknown_fields;
    status_.NotActedOn = config.not_acted_on;
    status_.Problems.clear();
}

void Agent::save_checkpoint(std::string bytes, const std::string& digest) {
    if (digest == saved_digest_) return;
    deps_.lanes.submit(
        lane, [&files = deps_.files, bytes](const LaneContext&) { return files.write_checkpoint(Checkpoint::last, bytes); },
        if_alive([this, digest](Status saved) {
            if (saved) saved_digest_ = digest;
            else deps_.log.write(Level::error, "config.checkpoint_failed", {{"error", saved.error().what}});
        }));
    arm_backup(std::move(bytes));
}

/// A config that was in force for the time of an OS test becomes the one to fall back to.
void Agent::arm_backup(std::string bytes) {
    if (backup_) deps_.loop.cancel(*backup_);
    const auto trusted_after = types::ConfigItems(config_->items).seconds("timer.test.baseimage.update");
    backup_ = deps_.loop.after(trusted_after, [this, bytes = std::move(bytes)] {
        backup_.reset();
        deps_.lanes.submit(
            lane, [&files = deps_.files, bytes](const LaneContext&) { return files.write_checkpoint(Checkpoint::backup, bytes); },
            if_alive([this](Status saved) {
                if (!saved) deps_.log.write(Level::warn, "config.backup_failed", {{"error", saved.error().what}});
            }));
    });
}

// ---- Publishing

bool Agent::in_maintenance() const {
    if (!config_) return false;
    switch (types::ConfigItems(config_->items).tri_state("maintenance.mode")) {
        case types::TriState::TS_ENABLED: return true;
        case types::TriState::TS_DISABLED: return false;
        case types::TriState::TS_NONE: break;
    }
    return config_->maintenance_mode;
}

/// What stands on the topics, also from an earlier life of this agent, as far as its times are of interest.
DeviceConfig Agent::published() const {
    DeviceConfig out;
    const auto copy = [](const auto& topic, auto& records) {
        for (const auto& [key, record] : topic.items()) records.push_back(*record);
    };
    copy(*datastores_, out.datastores);
    copy(*networks_, out.networks);
    copy(*network_instances_, out.network_instances);
    copy(*apps_, out.apps);
    if (const auto* ports = ports_->get(agent_name)) out.ports = *ports;
    return out;
}

void Agent::problem(const std::string& what, const Error& error) {
    deps_.log.write(Level::error, "config.publish_failed", {{"record", what}, {"error", error.what}});
    if (status_.Problems.size() < notices_max) status_.Problems.push_back(what + ": " + error.what);
}

template <class Record, class Key> void Agent::remove_others(Publication<Record>& topic, const std::vector<Record>& wanted, Key key) {
    std::set<std::string> keep;
    for (const auto& record : wanted) keep.insert(key(record));
    std::vector<std::string> gone;
    for (const auto& [name, record] : topic.items())
        if (!keep.contains(name)) gone.push_back(name);
    for (const auto& name : gone)
        if (auto done = topic.unpublish(name); !done) problem(name, done.error());
}

template <class Record, class Key> void Agent::put(Publication<Record>& topic, const std::vector<Record>& wanted, Key key) {
    for (const auto& record : wanted)
        if (auto done = topic.publish(key(record), record); !done) problem(key(record), done.error());
}

void Agent::put_apps() {
    for (const auto& app : config_->apps) {
        auto done = apps_->publish(app_key(app), app);
        if (!done && done.error().code == Code::resource_exhausted) done = apps_->publish(app_key(app), without_large_parts(app));
        if (!done) problem(app_key(app), done.error());
    }
}

void Agent::publish_items() {
    const auto items = config_ ? config_->items : types::default_config_items();
    if (auto done = items_->publish(global_key, items); !done) problem("ConfigItemValueMap", done.error());
    items_->signal_restarted();
}

void Agent::publish_agent_status() {
    types::ZedAgentStatus status;
    status.Name = agent_name;
    status.ConfigGetStatus = get_status_;
    if (config_) {
        const types::ConfigItems items(config_->items);
        status.MaintenanceMode = in_maintenance();
        if (status.MaintenanceMode) status.MaintenanceModeReasons = {types::MaintenanceModeReason::MAINTENANCE_MODE_REASON_USER_REQUESTED};
        status.ForceFallbackCounter = items.number("force.fallback.counter");
        status.CurrentProfile = config_->global_profile;
        status.AirgapMode = items.tri_state("airgap.mode") == types::TriState::TS_ENABLED;
        status.DeviceState =
            status.MaintenanceMode ? types::DeviceState::DEVICE_STATE_MAINTENANCE_MODE : types::DeviceState::DEVICE_STATE_ONLINE;
    } else {
        status.DeviceState = types::DeviceState::DEVICE_STATE_BOOTING;
    }
    if (auto done = agent_status_->publish(agent_name, status); !done) problem("ZedAgentStatus", done.error());
}

/// What goes is taken away from the top down (apps before what they stand on), what comes is built from the ground up. In maintenance mode
/// only the config items apply, as in EVE: everything else stays as it is.
void Agent::publish_config() {
    publish_items();
    publish_agent_status();
    if (!in_maintenance()) {
        remove_others(*apps_, config_->apps, app_key);
        remove_others(*volumes_, config_->volumes, volume_key);
        remove_others(*content_trees_, config_->content_trees, content_key);
        remove_others(*network_instances_, config_->network_instances, instance_key);
        remove_others(*networks_, config_->networks, network_key);
        remove_others(*datastores_, config_->datastores, uuid_key);

        put(*datastores_, config_->datastores, uuid_key);
        if (auto done = physical_io_->publish(global_key, config_->physical_io); !done) problem("PhysicalIOAdapterList", done.error());
        put(*networks_, config_->networks, network_key);
        if (auto done = ports_->publish(agent_name, config_->ports); !done) problem("DevicePortConfig", done.error());
        put(*network_instances_, config_->network_instances, instance_key);
        put(*content_trees_, config_->content_trees, content_key);
        put(*volumes_, config_->volumes, volume_key);
        put_apps();
        signal_all();
    }
    if (auto done = config_status_->publish(global_key, status_); !done) problem("ConfigStatus", done.error());
}

/// The markers come after every batch, not only the first: volumemgr starts no new volume before the marker that follows its config.
void Agent::signal_all() {
    datastores_->signal_restarted();
    physical_io_->signal_restarted();
    networks_->signal_restarted();
    ports_->signal_restarted();
    network_instances_->signal_restarted();
    content_trees_->signal_restarted();
    volumes_->signal_restarted();
    apps_->signal_restarted();
}

// ---- Local commands

void Agent::load_local(const Result<std::string>& bytes) {
    if (!bytes) {
        if (bytes.error().code != Code::not_found) deps_.log.write(Level::error, "config.local_commands_unreadable", {{"error", bytes.error().what}});
        return;
    }
    auto read = from_json<LocalCommands>(*bytes);
    if (read) {
        local_ = *std::move(read);
        saved_counters_ = local_counters();
        return;
    }
    deps_.log.write(Level::error, "config.local_commands_unreadable", {{"error", read.error().what}});
}

LocalCounters Agent::local_counters() const {
    LocalCounters out;
    for (const auto& [key, counters] : local_.AppCounters)
        if (counters) out.apps[types::Uuid::parse_or_nil(key)] = *counters;
    for (const auto& [key, counter] : local_.VolumeGenCounters) out.volumes[types::Uuid::parse_or_nil(key)] = counter;
    return out;
}

void Agent::forget_local_of_removed() {
    std::set<std::string> apps;
    std::set<std::string> volumes;
    for (const auto& app : config_->apps) apps.insert(app_key(app));
    for (const auto& volume : config_->volumes) volumes.insert(volume.VolumeID.to_string());
    const auto gone_app = [&](const auto& entry) { return !apps.contains(entry.first); };
    const auto gone_volume = [&](const auto& entry) { return !volumes.contains(entry.first); };
    const auto removed = std::erase_if(local_.AppCommands, gone_app) + std::erase_if(local_.AppCounters, gone_app) +
                         std::erase_if(local_.VolumeGenCounters, gone_volume);
    if (removed == 0) return;
    std::erase_if(saved_counters_.apps, [&](const auto& entry) { return !apps.contains(entry.first.to_string()); });
    std::erase_if(saved_counters_.volumes, [&](const auto& entry) { return !volumes.contains(entry.first.to_string()); });
    save_local();
}

/// A request is its command and its timestamp; the same one again was accepted already.
void Agent::on_command(const std::string& key, const types::LocalAppCommand& command) {
    const types::AppInstanceConfig* app = nullptr;
    if (config_)
        for (const auto& each : config_->apps)
            if (app_key(each) == key) app = &each;
    if (app == nullptr) {
        deps_.log.write(Level::warn, "config.local_command_unknown_app", {{"app", key}});
        return;
    }
    auto& accepted = local_.AppCommands[key];
    if (accepted && accepted->Command == command.Command && accepted->LocalServerTimestamp == command.LocalServerTimestamp) return;
    const auto now = wall_now();
    auto& counters = local_.AppCounters[key];
    if (!counters) counters.emplace();
    switch (command.Command) {
        case types::AppCommand::AppCommandRestart:
            ++counters->RestartCmd.Counter;
            counters->RestartCmd.ApplyTime = now.to_string();
            break;
        case types::AppCommand::AppCommandPurge:
            ++counters->PurgeCmd.Counter;
            counters->PurgeCmd.ApplyTime = now.to_string();
            for (const auto& ref : app->VolumeRefConfigList) ++local_.VolumeGenCounters[ref.VolumeID.to_string()];
            break;
        default: deps_.log.write(Level::warn, "config.local_command_unknown", {{"app", key}, {"command", static_cast<int>(command.Command)}}); return;
    }
    accepted = command;
    accepted->DeviceTimestamp = now;
    accepted->Completed = false;
    deps_.log.write(Level::info, "config.local_command", {{"app", key}, {"command", static_cast<int>(command.Command)}});
    save_local();
}

/// First the file, then the records: a counter that agents saw is never lost.
void Agent::save_local() {
    if (retry_save_) deps_.loop.cancel(*std::exchange(retry_save_, std::nullopt));
    deps_.lanes.submit(
        lane, [&files = deps_.files, bytes = to_json(local_), counters = local_counters()](const LaneContext&) {
            return std::make_pair(files.write_checkpoint(Checkpoint::local_commands, bytes), counters);
        },
        if_alive([this](std::pair<Status, LocalCounters> saved) {
            if (!saved.first) {
                deps_.log.write(Level::error, "config.local_commands_not_saved", {{"error", saved.first.error().what}});
                if (!retry_save_) retry_save_ = deps_.loop.after(save_retry, [this] { save_local(); });
                return;
            }
            saved_counters_ = std::move(saved.second);
            if (!config_) return;
            add_local_counters(*config_, saved_counters_);
            publish_volumes_and_apps();
        }));
}

void Agent::publish_volumes_and_apps() {
    if (in_maintenance()) return;
    remove_others(*volumes_, config_->volumes, volume_key);
    put(*volumes_, config_->volumes, volume_key);
    put_apps();
    volumes_->signal_restarted();
}

}  // namespace eve::zedagent
