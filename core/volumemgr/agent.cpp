#include "core/volumemgr/agent.hpp"

#include <algorithm>
#include <utility>

#include "core/types/vault.hpp"
#include "core/volumemgr/state.hpp"

namespace eve::volumemgr {
namespace {

constexpr Lanes::Options scanning{.time_limit = std::chrono::minutes{10}};
constexpr std::chrono::seconds prepare_retry{30};
constexpr std::chrono::seconds slow_look{600};
constexpr std::chrono::seconds shortage_interval{10};  ///< between looks at the disk while somebody waits for space
constexpr std::chrono::seconds settling{1};  ///< from a change to the look at the disk: the others that come with it are seen by the same look
constexpr unsigned gc_share = 10;  ///< garbage is looked for this often within timer.gc.vdisk

/// What the first look at the disk found.
struct Inventory {
    std::vector<FoundVolume> volumes;
    std::vector<StoredImage> images;
    DiskSpace space;
};

Result<Inventory> take_inventory(ContentStore& store, VolumeFiles& files, const std::vector<std::string>& half_made, const LaneContext& context) {
    Inventory inventory;
    if (auto recovered = files.recover(); !recovered) return std::move(recovered).error();
    for (const auto& path : half_made)
        if (auto destroyed = files.destroy(path); !destroyed) return std::move(destroyed).error();
    auto volumes = files.scan();
    if (!volumes) return std::move(volumes).error();
    auto images = store.images();
    if (!images) return std::move(images).error();
    auto space = files.space(context);
    if (!space) return std::move(space).error();
    return Inventory{.volumes = std::move(*volumes), .images = std::move(*images), .space = *space};
}

}  // namespace

void Agent::Impl::start() {
    auto& bus = deps.bus;
    const TopicName own{.agent = "volumemgr"}, kept{.agent = "volumemgr", .persistent = true};
    tree_statuses = bus.publish<types::ContentTreeStatus>(own);
    blob_statuses = bus.publish<types::BlobStatus>(own);
    volume_statuses = bus.publish<types::VolumeStatus>(own);
    ref_statuses = bus.publish<types::VolumeRefStatus>(own);
    downloads = bus.publish<types::DownloaderConfig>(own);
    verifications = bus.publish<types::VerifyImageConfig>(own);
    resolves = bus.publish<types::ResolveConfig>({.agent = "volumemgr"});
    latches = bus.publish<types::AppAndImageToHash>({.agent = "volumemgr", .persistent = true});
    own_status = bus.publish<types::VolumeMgrStatus>(own);
    pending = bus.publish<types::VolumeCreatePending>(kept);
    deferred_deletes = bus.publish<types::DeferredContentDeleteStatus>(kept);

    const auto on_change = [this] { changed(); };
    vault = bus.subscribe<types::VaultStatus>(
        {.agent = "vaultmgr"}, {.created = [this](const auto&, const types::VaultStatus& now) {
            vault_ready = vault_ready || types::is_ready(now);
            check_gates();
        }});
    settings_topic =
        bus.subscribe<types::ConfigItemValueMap>({.agent = "zedagent"}, {.created = [this](const auto&, const types::ConfigItemValueMap& now) {
                                                     settings = types::ConfigItems(now);
                                                     have_settings = true;
                                                     check_gates();
                                                     changed();
                                                 }});
    capabilities = bus.subscribe<types::Capabilities>({.agent = "domainmgr"}, {.created = [this](const auto&, const auto&) { check_gates(); }});
    agent_status = bus.subscribe<types::ZedAgentStatus>({.agent = "zedagent"},
                                                        {.created = [this](const auto&, const types::ZedAgentStatus& now) { on_agent_status(now); }});
    datastores = bus.subscribe<types::DatastoreConfig>({.agent = "zedagent"}, {.created = [on_change](const auto&, const auto&) { on_change(); },
                                                                               .deleted = [on_change](const auto&, const auto&) { on_change(); }});
    tree_configs = bus.subscribe<types::ContentTreeConfig>({.agent = "zedagent"}, {.created = [on_change](const auto&, const auto&) { on_change(); },
                                                                                   .deleted = [on_change](const auto&, const auto&) { on_change(); },
                                                                                   .restarted =
                                                                                       [this](int) {
                                                                                           begin();
                                                                                           changed();
                                                                                       }});
    volume_configs =
        bus.subscribe<types::VolumeConfig>({.agent = "zedagent"}, {.created =
                                                                       [this](const std::string& key, const auto&) {
                                                                           if (!volumes.contains(key)) deferred.insert(key);
                                                                           else changed();
                                                                       },
                                                                   .modified = [on_change](const auto&, const auto&, const auto&) { on_change(); },
                                                                   .deleted =
                                                                       [this](const std::string& key, const auto&) {
                                                                           deferred.erase(key);
                                                                           changed();
                                                                       },
                                                                   .restarted =
                                                                       [this](int counter) {
                                                                           if (counter == 0) return;
                                                                           volumes_seen = true;
                                                                           execute_deferred();
                                                                           changed();
                                                                       }});
    refs = bus.subscribe<types::VolumeRefConfig>({.agent = "zedmanager"}, {.created = [on_change](const auto&, const auto&) { on_change(); },
                                                                           .deleted = [on_change](const auto&, const auto&) { on_change(); },
                                                                           .synchronized = on_change});
    download_statuses = bus.subscribe<types::DownloaderStatus>(
        {.agent = "downloader"},
        {.created = [on_change](const auto&, const auto&) { on_change(); }, .deleted = [on_change](const auto&, const auto&) { on_change(); }});
    verify_statuses =
        bus.subscribe<types::VerifyImageStatus>({.agent = "verifier"}, {.created = [on_change](const auto&, const auto&) { on_change(); },
                                                                        .deleted = [on_change](const auto&, const auto&) { on_change(); },
                                                                        .restarted =
                                                                            [this](int) {
                                                                                begin();
                                                                                changed();
                                                                            }});
    resolve_statuses =
        bus.subscribe<types::ResolveStatus>({.agent = "downloader"}, {.created = [on_change](const auto&, const auto&) { on_change(); }});
    domains = bus.subscribe<types::DomainStatus>({.agent = "domainmgr"}, {.created = [on_change](const auto&, const auto&) { on_change(); },
                                                                          .deleted = [on_change](const auto&, const auto&) { on_change(); }});
}

void Agent::Impl::check_gates() {
    if (preparing || !vault_ready || !have_settings || capabilities->get("global") == nullptr) return;
    preparing = true;
    prepare();
}

/// The first act: what is on the disk. What a crash left half-made is removed before anything is adopted.
void Agent::Impl::prepare() {
    std::vector<std::string> half_made;
    for (const auto& [key, record] : pending->items()) {
        types::VolumeStatus volume;
        volume.VolumeID = record->VolumeID;
        volume.GenerationCounter = record->GenerationCounter;
        volume.LocalGenerationCounter = record->LocalGenerationCounter;
        volume.ContentFormat = record->ContentFormat;
        volume.Encrypted = record->Encrypted;
        half_made.push_back(volume_path(deps.persist, volume));
    }
    deps.lanes.submit(
        "volumemgr/store",
        [&store = deps.store, &files = deps.files, half_made](const LaneContext& context) {
            return take_inventory(store, files, half_made, context);
        },
        guarded([this](Result<Inventory> inventory) {
            if (!inventory) {
                deps.log.write(Level::error, "volumemgr.inventory_failed", {{"error", inventory.error().what}});
                deps.loop.after(prepare_retry, guarded_task([this] { prepare(); }));
                return;
            }
            std::vector<std::string> done;
            for (const auto& [key, record] : pending->items()) done.push_back(key);
            for (const auto& key : done) {
                deps.log.write(Level::warn, "volumemgr.half_made_volume_removed", {{"volume", key}});
                (void)pending->unpublish(key);
            }
            for (auto& volume : inventory->volumes) found.insert_or_assign(volume_key(volume.id, volume.generation, 0), volume);
            for (auto& image : inventory->images) images.insert_or_assign(image.name, image);
            space = inventory->space;
            prepared = true;
            begin();
        }),
        scanning);
}

/// Only when the verifier has said what it still holds and every content tree was seen: else content would be fetched again or thrown away.
void Agent::Impl::begin() {
    if (begun || !prepared || verify_statuses->restart_counter() == 0 || tree_configs->restart_counter() == 0) return;
    begun = true;
    deps.log.write(Level::info, "volumemgr.started", {{"volumes", found.size()}, {"images", images.size()}});
    execute_deferred();
    refresh_space();
    check_deferred();
    changed();
}

/// Something is not as it was: one reconcile, soon, however many things changed.
void Agent::Impl::changed() {
    if (!begun || scheduled) return;
    scheduled = true;
    deps.loop.post(guarded_task([this] {
        scheduled = false;
        reconcile();
    }));
}

void Agent::Impl::reconcile() {
    reconcile_trees();
    reconcile_volumes();
    publish_all();
}

void Agent::Impl::publish_all() {
    const auto publish = [this](auto& publication, const std::string& key, const auto& record) {
        if (auto published = publication.publish(key, record); !published)
            deps.log.write(Level::error, "volumemgr.publish_failed", {{"key", key}, {"error", published.error().what}});
    };
    const auto sweep = [](auto& publication, const auto& keep) {
        std::vector<std::string> gone;
        for (const auto& [key, record] : publication.items())
            if (!keep(key)) gone.push_back(key);
        for (const auto& key : gone) (void)publication.unpublish(key);
    };
    for (const auto& [key, tree] : trees)
        if (!tree.gone) publish(*tree_statuses, key, tree.status);
    for (const auto& [sha, blob] : blobs) {
        types::BlobStatus small = blob;
        small.Content.clear();  // only the store needs it
        publish(*blob_statuses, sha, small);
    }
    for (const auto& [key, config] : wanted_resolves) publish(*resolves, key, config);
    for (const auto& [sha, config] : wanted_downloads) publish(*downloads, sha, config);
    for (const auto& [sha, config] : wanted_verifications) publish(*verifications, sha, config);
    publish_volumes();
    sweep(*tree_statuses, [this](const std::string& key) { return trees.contains(key) && !trees.at(key).gone; });
    sweep(*blob_statuses, [this](const std::string& key) { return blobs.contains(key); });
    sweep(*resolves, [this](const std::string& key) { return wanted_resolves.contains(key); });
    sweep(*downloads, [this](const std::string& key) { return wanted_downloads.contains(key); });
    sweep(*verifications, [this](const std::string& key) { return wanted_verifications.contains(key); });
    types::VolumeMgrStatus status{.Name = "volumemgr", .Initialized = true, .RemainingSpace = left_space()};
    publish(*own_status, "volumemgr", status);
}

void Agent::Impl::refresh_space() {
    if (scanning_space) return;
    scanning_space = true;
    space_changed = false;
    deps.lanes.submit(
        "volumemgr/space", [&files = deps.files](const LaneContext& context) { return files.space(context); },
        guarded([this](Result<DiskSpace> seen) {
            scanning_space = short_of_space = false;
            if (seen) space = *seen;
            else deps.log.write(Level::warn, "volumemgr.space_unknown", {{"error", seen.error().what}});
            rearm(space_timer, space_changed ? settling : settings.seconds("timer.metric.diskscan.interval"), [this] { refresh_space(); });
            changed();
        }),
        scanning);
}

/// Something was made or removed. The whole disk is not walked for each of a hundred volumes, nor while their apps start.
void Agent::Impl::refresh_space_soon() {
    if (std::exchange(space_changed, true) || scanning_space) return;
    rearm(space_timer, settling, [this] { refresh_space(); });
}

/// Somebody waits for space, which may be made by other hands: the disk is looked at more often than its figures are wanted.
void Agent::Impl::look_for_space() {
    if (std::exchange(short_of_space, true) || scanning_space || space_changed) return;
    rearm(space_timer, std::min(shortage_interval, settings.seconds("timer.metric.diskscan.interval")), [this] { refresh_space(); });
}

void Agent::Impl::on_agent_status(const types::ZedAgentStatus& status) {
    const bool have_config =
        status.ConfigGetStatus == types::ConfigGetStatus::ConfigGetSuccess || status.ConfigGetStatus == types::ConfigGetStatus::ConfigGetReadSaved;
    if (gc_running || !have_config || status.MaintenanceMode) return;
    gc_running = true;
    wake_after(settings.seconds("timer.gc.vdisk") / gc_share, [this] { collect_garbage(); });
}

/// Files of no volume, images of no tree, blobs of no image. Never before everything that may claim them was seen.
void Agent::Impl::collect_garbage() {
    wake_after(settings.seconds("timer.gc.vdisk") / gc_share, [this] { collect_garbage(); });
    if (!begun || !volumes_seen || !refs->synchronized()) return;
    for (auto& [key, volume] : volumes)
        if (volume.status.SubState == types::VolumeSubState::VolumeSubStateDeleting) volume.retry.parked = false;
    // What is unknown is decided here, with the volumes of that moment, and removed in the lane in which a volume of that key would be made.
    deps.lanes.submit(
        "volumemgr/store", [&files = deps.files](const LaneContext&) { return files.scan(); }, guarded([this](Result<std::vector<FoundVolume>> seen) {
            if (!seen) return deps.log.write(Level::warn, "volumemgr.gc_failed", {{"error", seen.error().what}});
            for (const auto& file : *seen) {
                const std::string key = volume_key(file.id, file.generation, 0);
                if (volumes.contains(key)) continue;
                found.erase(key);
                deps.log.write(Level::info, "volumemgr.gc_volume", {{"path", file.path}});
                deps.lanes.submit(
                    "volumemgr/volume/" + key, [&files = deps.files, path = file.path](const LaneContext&) { return files.destroy(path); },
                    guarded([this](Status) { more_space(); }));
            }
        }),
        scanning);
    gc_done_once = true;
    if (!content_collected) {
        const auto keep = kept_images();
        const std::set<std::string> names(keep.begin(), keep.end());
        std::erase_if(images, [&names](const auto& entry) { return !names.contains(entry.first); });
        deps.lanes.submit(
            "volumemgr/store", [&store = deps.store, keep](const LaneContext&) { return store.collect(keep); },
            guarded([this](Result<std::uint64_t> removed) {
                content_collected = removed.ok();  // else the next look tries again
                if (!removed) deps.log.write(Level::warn, "volumemgr.gc_failed", {{"error", removed.error().what}});
                else if (*removed > 0) deps.log.write(Level::info, "volumemgr.gc_content", {{"blobs", *removed}});
            }),
            scanning);
    }
    changed();
}

void Agent::Impl::check_deferred() {
    std::vector<types::DeferredContentDeleteStatus> due;
    for (const auto& [key, record] : deferred_deletes->items())
        if (record->DeleteTime <= now()) due.push_back(*record);
    for (const auto& record : due) {
        (void)deferred_deletes->unpublish(record.ContentID.to_string());
        types::ContentTreeStatus tree;
        tree.ContentID = record.ContentID;
        tree.GenerationCounter = record.GenerationCounter;
        if (latches->get(latch_key(tree)) != nullptr) (void)latches->unpublish(latch_key(tree));
        release_image(record.ReferenceID, record.Blobs);
    }
    if (!due.empty()) changed();
    // The next one that is due, or a slow look in case the clock was set.
    auto wait = slow_look;
    for (const auto& [key, record] : deferred_deletes->items())
        wait = std::min(wait, std::chrono::duration_cast<std::chrono::seconds>(record->DeleteTime - now()) + std::chrono::seconds{1});
    rearm(deferred_timer, std::max(wait, std::chrono::seconds{1}), [this] { check_deferred(); });
}

void Agent::Impl::raise(types::ErrorAndTimeWithSource& record, types::ErrorDescription error, const std::string& source) {
    const bool same = record.Error == error.Error && record.ErrorRetryCondition == error.ErrorRetryCondition && record.ErrorSourceType == source;
    if (same) return;
    types::set_error_with_source(record, std::move(error), source, now());
}

/// One timer for one purpose: the earlier one does not fire any more.
void Agent::Impl::rearm(std::optional<TimerId>& timer, std::chrono::seconds delay, std::function<void()> then) {
    if (timer) deps.loop.cancel(*timer);
    timer = deps.loop.after(delay, guarded_task(std::move(then)));
}

void Agent::Impl::wake_after(std::chrono::seconds delay, std::function<void()> then) { deps.loop.after(delay, guarded_task(std::move(then))); }

Agent::Agent(Deps deps) : impl_(std::make_shared<Impl>(deps)) { impl_->start(); }
Agent::~Agent() = default;

}  // namespace eve::volumemgr
