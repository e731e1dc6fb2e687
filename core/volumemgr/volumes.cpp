// Volumes and the references of apps to them.

#include <algorithm>
#include <utility>

#include "core/types/error_text.hpp"
#include "core/types/oci.hpp"
#include "core/volumemgr/state.hpp"

namespace eve::volumemgr {
namespace {

using types::Format;
using types::SwState;
using types::VolumeConfig;
using types::VolumeContentOriginType;
using types::VolumeRefConfig;
using types::VolumeRefStatus;
using types::VolumeStatus;
using types::VolumeSubState;

constexpr Lanes::Options copying{.time_limit = std::chrono::hours{120}};
constexpr unsigned destroys_max = 12;           ///< failed removals are tried so often, then stay visible
constexpr std::uint64_t shared_references = 2;  ///< the config's own and one app's

std::string source_volume() { return types::source_name<VolumeStatus>(); }

std::string lane_of(const std::string& key) { return "volumemgr/volume/" + key; }

types::VolumeCreatePending pending_record(const VolumeStatus& status) {
    types::VolumeCreatePending record;
    record.VolumeID = status.VolumeID;
    record.GenerationCounter = status.GenerationCounter;
    record.LocalGenerationCounter = status.LocalGenerationCounter;
    record.ContentFormat = status.ContentFormat;
    record.Encrypted = status.Encrypted;
    return record;
}

}  // namespace

/// Volumes are made only at the marker that ends a batch of config, so that what the same batch removes is removed first.
void Agent::Impl::execute_deferred() {
    if (!begun || !volumes_seen) return;
    for (const auto& key : deferred) {
        const auto* config = volume_configs->get(key);
        if (config == nullptr) continue;
        const auto [entry, fresh] = volumes.try_emplace(key);
        Volume& volume = entry->second;
        volume.config = *config;
        volume.accepted = *config;
        if (!fresh) continue;  // apps kept it alive
        fill_from_config(volume);
        deps.log.write(Level::info, "volumemgr.volume", {{"volume", key}, {"name", config->DisplayName}});
    }
    deferred.clear();
}

void Agent::Impl::fill_from_config(Volume& volume) {
    const VolumeConfig& config = *volume.config;
    VolumeStatus& status = volume.status;
    status.VolumeID = config.VolumeID;
    status.ContentID = config.ContentID;
    status.VolumeContentOriginType = config.VolumeContentOriginType;
    status.MaxVolSize = config.MaxVolSize;
    status.ReadOnly = config.ReadOnly;
    status.GenerationCounter = config.GenerationCounter;
    status.LocalGenerationCounter = config.LocalGenerationCounter;
    status.Encrypted = config.Encrypted;
    status.DisplayName = config.DisplayName;
    status.Target = config.Target;
    status.CustomMeta = config.CustomMeta;
    status.State = SwState::INITIAL;
    status.LastUse = now();
    // What an earlier life of this agent made it from, if its record is still there: changes made meanwhile must not pass unseen.
    if (const auto* before = volume_statuses->get(volume_key(status)); before != nullptr && before->State == SwState::CREATED_VOLUME) {
        volume.accepted.ContentID = before->ContentID;
        volume.accepted.VolumeContentOriginType = before->VolumeContentOriginType;
        volume.accepted.ReadOnly = before->ReadOnly;
        status.CreateTime = before->CreateTime;
        status.LastUse = before->LastUse;
        status.RefCount = before->RefCount;
        status.LastRefCountChangeTime = before->LastRefCountChangeTime;
    }
}

/// A volume that apps hold is theirs also when its config is gone: the config's next generation may have been refused. Its file says that it was
/// made, and what an earlier life of this agent published says of what.
void Agent::Impl::adopt_held() {
    if (!begun || !volumes_seen) return;
    for (const auto& [ref_key, ref] : refs->items()) {
        const std::string key = volume_key(*ref);
        if (volumes.contains(key) || volume_configs->get(key) != nullptr || !found.contains(key)) continue;
        Volume& volume = volumes[key];
        VolumeStatus& status = volume.status;
        if (const auto* before = volume_statuses->get(key)) {
            status = *before;
            volume.accepted.ContentID = before->ContentID;
            volume.accepted.VolumeContentOriginType = before->VolumeContentOriginType;
            volume.accepted.ReadOnly = before->ReadOnly;
        }
        volume.held = true;
        static_cast<types::ErrorAndTimeWithSource&>(status) = {};
        status.VolumeID = ref->VolumeID;
        status.GenerationCounter = ref->GenerationCounter;
        status.LocalGenerationCounter = ref->LocalGenerationCounter;
        status.State = SwState::INITIAL;
        status.SubState = VolumeSubState::VolumeSubStateInitial;
        status.LastUse = now();
        deps.log.write(Level::info, "volumemgr.held_volume", {{"volume", key}});
    }
}

void Agent::Impl::reconcile_volumes() {
    adopt_held();
    std::vector<std::string> finished;
    for (auto& [key, volume] : volumes) {
        const auto* config = volume_configs->get(key);
        if (config == nullptr || deferred.contains(key)) volume.config.reset();
        else volume.config = *config;
        if (volume.config && std::exchange(volume.held, false)) {  // its config is back
            if (volume.accepted.VolumeContentOriginType == VolumeContentOriginType::VCOT_UNKNOWN) volume.accepted = *volume.config;
            volume.accepted.MaxVolSize = volume.config->MaxVolSize;
        }
        const std::uint64_t references = refs_of(key).size() + (volume.config ? 1 : 0);
        if (references != volume.status.RefCount) volume.status.LastRefCountChangeTime = now();
        volume.status.RefCount = references;
        advance_volume(key, volume);
        if (references == 0 && !volume.busy && volume.status.SubState == VolumeSubState::VolumeSubStateInitial) finished.push_back(key);
    }
    for (const auto& key : finished) {
        deps.log.write(Level::info, "volumemgr.volume_gone", {{"volume", key}});
        volumes.erase(key);
        found.erase(key);
    }
    if (!finished.empty()) more_space();
}

void Agent::Impl::advance_volume(const std::string& key, Volume& volume) {
    VolumeStatus& status = volume.status;
    if (status.RefCount == 0) {
        if (volume.busy) {
            if (volume.creating && !volume.cancelling && volume.job) {
                volume.cancelling = true;
                deps.lanes.cancel(*volume.job);
            }
            return;
        }
        if (status.SubState != VolumeSubState::VolumeSubStateDeleting) volume.retry = {};
        const bool file = found.contains(key) || status.SubState != VolumeSubState::VolumeSubStateInitial;
        if (file && !volume.retry.waiting && !volume.retry.parked) destroy(key, volume);
        return;
    }
    if (volume.busy) return;
    if (status.SubState == VolumeSubState::VolumeSubStateDeleting) {
        // Wanted again while its removal failed. What is left of it cannot be trusted: the removal goes on, then it is made anew.
        if (!volume.retry.waiting && !volume.retry.parked) destroy(key, volume);
        return;
    }
    if (volume.config) {
        status.DisplayName = volume.config->DisplayName;
        const std::string refused = needs_regeneration(volume.accepted, *volume.config);
        if (!refused.empty()) raise(status, {.Error = refused}, types::source_name<VolumeConfig>());
        else if (types::is_error_source<VolumeConfig>(status)) types::clear_error_with_source(status);
    }
    if (status.State == SwState::CREATED_VOLUME) return;
    if (!volume.probed) {
        if (found.contains(key)) return probe(key, volume);
        volume.probed = true;
    }
    if (volume.retry.waiting || volume.retry.parked) return;
    const auto users = refs_of(key);
    const bool stop_at_loaded = verify_only(volume.config ? &*volume.config : nullptr, users);
    switch (status.VolumeContentOriginType) {
        case VolumeContentOriginType::VCOT_BLANK: return advance_blank(key, volume, stop_at_loaded);
        case VolumeContentOriginType::VCOT_DOWNLOAD: return advance_download(key, volume, stop_at_loaded);
        case VolumeContentOriginType::VCOT_UNKNOWN: break;
    }
    raise(status, {.Error = "volumes of this content origin are not supported"}, source_volume());
}

/// Its file is there since before: nothing is made, nothing is fetched.
void Agent::Impl::probe(const std::string& key, Volume& volume) {
    volume.busy = true;
    const FoundVolume file = found.at(key);
    deps.lanes.submit(
        lane_of(key), [&files = deps.files, file](const LaneContext&) { return files.inspect(file.path, file.format); },
        guarded([this, key, file](Result<VolumeFacts> facts) {
            Volume& seen = volumes[key];
            seen.busy = false;
            seen.probed = true;
            if (facts) {
                VolumeStatus& status = seen.status;
                status.ContentFormat = file.format;
                status.FileLocation = file.path;
                status.Encrypted = file.encrypted;
                status.State = SwState::CREATED_VOLUME;
                status.SubState = VolumeSubState::VolumeSubStateCreated;
                status.Progress = 100;
                status.TotalSize = static_cast<std::int64_t>(facts->virtual_bytes);
                status.CurrentSize = static_cast<std::int64_t>(facts->disk_bytes);
                if (status.MaxVolSize == 0) status.MaxVolSize = facts->virtual_bytes;
                if (status.CreateTime.is_zero()) status.CreateTime = now();
                if (const auto tree = trees.find(status.ContentID.to_string());
                    tree != trees.end() && status.VolumeContentOriginType == VolumeContentOriginType::VCOT_DOWNLOAD)
                    status.ReferenceName = image_name(tree->second.status);
                deps.log.write(Level::info, "volumemgr.volume_adopted", {{"volume", key}});
            } else if (facts.error().code == Code::not_found) {
                found.erase(key);
            } else {
                raise(seen.status, {.Error = "the volume's file cannot be used: " + types::error_text(facts.error())}, source_volume());
                seen.retry.parked = true;
            }
            changed();
        }));
}

/// Whether there is room for all it may grow to. Where not, it waits for others to go.
bool Agent::Impl::admitted(Volume& volume) {
    VolumeStatus& status = volume.status;
    const std::uint64_t left = left_space();
    if (settings.boolean("storage.apps.ignore.disk.check") || left >= status.MaxVolSize) {
        if (types::is_error_source<types::DiskMetric>(status)) types::clear_error_with_source(status);
        return true;
    }
    look_for_space();
    raise(status,
          {.Error = "Remaining disk space " + std::to_string(left) + " volume needs " + std::to_string(status.MaxVolSize),
           .ErrorSeverity = types::ErrorSeverity::ErrorSeverityWarning,
           .ErrorRetryCondition = "Will retry when more space will be available",
           .ErrorEntities = {{.EntityType = types::ErrorEntityType::ErrorEntityVolume, .EntityID = status.VolumeID.to_string()}}},
          types::source_name<types::DiskMetric>());
    return false;
}

void Agent::Impl::advance_blank(const std::string& key, Volume& volume, bool stop_at_loaded) {
    VolumeStatus& status = volume.status;
    if (status.MaxVolSize == 0) return raise(status, {.Error = "a blank volume needs a size"}, source_volume());
    status.State = SwState::LOADED;
    if (stop_at_loaded || !admitted(volume)) return;
    status.ContentFormat = Format::RAW;
    status.TotalSize = status.CurrentSize = static_cast<std::int64_t>(status.MaxVolSize);
    status.ReferenceName.clear();
    create(key, volume, "");
}

void Agent::Impl::advance_download(const std::string& key, Volume& volume, bool stop_at_loaded) {
    VolumeStatus& status = volume.status;
    const auto entry = trees.find(status.ContentID.to_string());
    if (entry == trees.end() || entry->second.gone) return;
    const types::ContentTreeStatus& tree = entry->second.status;
    status.Progress = tree.Progress;
    status.TotalSize = tree.TotalSize;
    status.CurrentSize = tree.CurrentSize;
    if (types::has_error(tree)) {
        status.State = std::min(tree.State, SwState::LOADED);
        types::ErrorDescription error = tree;
        error.Error = "Found error in content tree " + tree.DisplayName + " attached to volume " + status.DisplayName + ": " + tree.Error;
        error.ErrorEntities = {{.EntityType = types::ErrorEntityType::ErrorEntityContentTree, .EntityID = tree.ContentID.to_string()}};
        return raise(status, std::move(error), types::source_name<types::ContentTreeStatus>());
    }
    if (types::is_error_source<types::ContentTreeStatus>(status)) types::clear_error_with_source(status);
    const auto image = images.find(image_name(tree));
    if (tree.State != SwState::LOADED || image == images.end()) {
        status.State = std::min(tree.State, SwState::LOADED);
        return;
    }
    status.State = SwState::LOADED;
    if (stop_at_loaded || !admitted(volume)) return;
    status.ContentFormat = tree.Format;
    status.ReferenceName = image->first;
    const StoredBlob* source = &image->second.blobs.back();
    if (tree.Format == Format::CONTAINER)
        for (const auto& blob : image->second.blobs)
            if (types::oci_kind(blob.media_type) == types::OciKind::manifest) source = &blob;
    create(key, volume, source->sha256);
}

void Agent::Impl::create(const std::string& key, Volume& volume, const std::string& blob) {
    VolumeStatus& status = volume.status;
    status.State = SwState::CREATING_VOLUME;
    status.SubState = VolumeSubState::VolumeSubStatePrepareDone;
    status.Progress = 0;
    volume.busy = volume.creating = true;
    const VolumeOrder order{
        .path = volume_path(deps.persist, status), .format = status.ContentFormat, .blob_sha256 = blob, .size_bytes = status.MaxVolSize};
    (void)pending->publish(key, pending_record(status));
    auto report = [this, alive = weak_from_this(), &loop = deps.loop, key](unsigned percent) {
        loop.post([this, alive, key, percent] {
            if (!alive.lock()) return;
            const auto entry = volumes.find(key);
            if (entry == volumes.end() || !entry->second.creating) return;
            entry->second.status.Progress = percent;
            changed();
        });
    };
    // A file of an attempt whose end was not seen was never given to anyone: it makes way.
    const bool again = volume.retry.code == Code::already_exists || volume.retry.code == Code::timed_out;
    volume.job = deps.lanes.submit(
        lane_of(key),
        [&files = deps.files, order, again, report = std::move(report)](const LaneContext& context) -> Result<VolumeFacts> {
            if (again)
                if (auto destroyed = files.destroy(order.path); !destroyed) return std::move(destroyed).error();
            return files.create(order, report, context);
        },
        guarded([this, key](Result<VolumeFacts> created) {
            on_created(key, std::move(created));
            changed();
        }),
        copying);
}

void Agent::Impl::on_created(const std::string& key, Result<VolumeFacts> created) {
    Volume& volume = volumes[key];
    VolumeStatus& status = volume.status;
    volume.busy = volume.creating = volume.cancelling = false;
    volume.job.reset();
    if (created) {
        volume.retry = {};
        if (types::is_error_source<VolumeStatus>(status)) types::clear_error_with_source(status);
        status.FileLocation = volume_path(deps.persist, status);
        status.CreateTime = now();
        status.SubState = VolumeSubState::VolumeSubStateCreated;
        status.State = SwState::CREATED_VOLUME;
        status.Progress = 100;
        if (status.MaxVolSize == 0) status.MaxVolSize = created->virtual_bytes;
        status.TotalSize = static_cast<std::int64_t>(created->virtual_bytes);
        status.CurrentSize = static_cast<std::int64_t>(created->disk_bytes);
        (void)pending->unpublish(key);
        deps.log.write(Level::info, "volumemgr.volume_created", {{"volume", key}, {"path", status.FileLocation}});
        refresh_space_soon();
        return;
    }
    const Error& error = created.error();
    volume.retry.code = error.code;
    if (status.RefCount == 0) return;  // it was cancelled; what there is goes next
    ++volume.retry.failures;
    auto delay = retry_delay(error.code, volume.retry.failures);
    if (error.code == Code::cancelled) delay = std::chrono::seconds{1};  // wanted again meanwhile
    deps.log.write(Level::warn, "volumemgr.create_failed", {{"volume", key}, {"error", error.what}, {"failures", volume.retry.failures}});
    types::ErrorDescription description{
        .Error = "volume " + status.DisplayName + " could not be created: " + types::error_text(error),
        .ErrorEntities = {{.EntityType = types::ErrorEntityType::ErrorEntityVolume, .EntityID = status.VolumeID.to_string()}}};
    if (delay) {
        description.ErrorSeverity = types::ErrorSeverity::ErrorSeverityWarning;
        description.ErrorRetryCondition = "Will retry in " + std::to_string(delay->count()) + "s";
        volume.retry.waiting = true;
        wake_after(*delay, [this, key] {
            if (const auto entry = volumes.find(key); entry != volumes.end()) entry->second.retry.waiting = false;
            changed();
        });
    } else {
        volume.retry.parked = true;
        (void)pending->unpublish(key);
    }
    raise(status, std::move(description), source_volume());
}

void Agent::Impl::destroy(const std::string& key, Volume& volume) {
    volume.busy = true;
    volume.status.SubState = VolumeSubState::VolumeSubStateDeleting;
    const auto file = found.find(key);
    const std::string path = file != found.end() ? file->second.path : volume_path(deps.persist, volume.status);
    deps.lanes.submit(
        lane_of(key), [&files = deps.files, path](const LaneContext&) { return files.destroy(path); }, guarded([this, key](Status destroyed) {
            on_destroyed(key, std::move(destroyed));
            changed();
        }));
}

void Agent::Impl::on_destroyed(const std::string& key, Status destroyed) {
    Volume& volume = volumes[key];
    volume.busy = false;
    if (destroyed) {
        found.erase(key);
        if (pending->get(key) != nullptr) (void)pending->unpublish(key);
        const auto references = volume.status.RefCount;
        volume.status.SubState = VolumeSubState::VolumeSubStateInitial;
        volume.retry = {};
        if (references > 0 && volume_configs->get(key) != nullptr) {
            volume.config = *volume_configs->get(key);
            volume.accepted = *volume.config;
            volume.status = {};
            fill_from_config(volume);
            volume.status.RefCount = references;
        } else {
            volume.status.State = SwState::INITIAL;
            volume.status.FileLocation.clear();
            volume.status.Progress = 0;
            types::clear_error_with_source(volume.status);
        }
        more_space();
        return;
    }
    ++volume.destroy_failures;
    deps.log.write(Level::warn, "volumemgr.destroy_failed",
                   {{"volume", key}, {"error", destroyed.error().what}, {"failures", volume.destroy_failures}});
    volume.retry.parked = true;  // until the next look for garbage
    if (volume.destroy_failures >= destroys_max) volume.retry.waiting = true;
    raise(volume.status, {.Error = "volume could not be removed: " + types::error_text(destroyed.error())}, source_volume());
}

std::vector<const VolumeRefConfig*> Agent::Impl::refs_of(const std::string& key) const {
    std::vector<const VolumeRefConfig*> of;
    for (const auto& [ref_key, ref] : refs->items())
        if (volume_key(*ref) == key) of.push_back(ref.get());
    return of;
}

VolumeRefStatus Agent::Impl::ref_status(const VolumeRefConfig& config) const {
    VolumeRefStatus status;
    status.VolumeID = config.VolumeID;
    status.GenerationCounter = config.GenerationCounter;
    status.LocalGenerationCounter = config.LocalGenerationCounter;
    status.AppUUID = config.AppUUID;
    status.VerifyOnly = config.VerifyOnly;
    status.State = SwState::INITIAL;
    const auto entry = volumes.find(volume_key(config));
    if (entry == volumes.end()) return status;
    const VolumeStatus& volume = entry->second.status;
    status.State = volume.State;
    status.ActiveFileLocation = volume.FileLocation;
    status.ContentFormat = volume.ContentFormat;
    status.ReadOnly = volume.ReadOnly;
    status.DisplayName = volume.DisplayName;
    status.MaxVolSize = volume.MaxVolSize;
    status.WWN = volume.WWN;
    status.Target = volume.Target;
    status.CustomMeta = volume.CustomMeta;
    status.ReferenceName = volume.ReferenceName;
    const auto* domain = domains->get(config.AppUUID.to_string());
    const bool active = domain != nullptr && domain->Activated;
    const std::uint64_t users = refs_of(entry->first).size();
    if (volume.RefCount > shared_references && users > 1 && volume.ContentFormat != Format::CONTAINER && !volume.ReadOnly && !active) {
        types::set_error_with_source<VolumeRefConfig>(
            status,
            {.Error = "Multiple app instances (" + std::to_string(users) + ") are trying to use the same file-based volume " + volume.DisplayName,
             .ErrorTime = volume.LastRefCountChangeTime},
            now());
    } else if (types::has_error(volume)) {
        types::ErrorDescription error = volume;
        error.ErrorEntities = {{.EntityType = types::ErrorEntityType::ErrorEntityVolume, .EntityID = volume.VolumeID.to_string()}};
        types::set_error_with_source<VolumeStatus>(status, std::move(error), now());
    }
    return status;
}

void Agent::Impl::publish_volumes() {
    const auto log_failure = [this](const std::string& key, const Status& published) {
        if (!published) deps.log.write(Level::error, "volumemgr.publish_failed", {{"key", key}, {"error", published.error().what}});
    };
    // What an earlier life published of a volume stands until its file was looked at: an app that runs must not see its volume vanish and return.
    const auto unknown_yet = [this](const std::string& key) {
        const auto entry = volumes.find(key);
        if (entry != volumes.end()) return !entry->second.probed && found.contains(key);
        return !volumes_seen || deferred.contains(key) || (found.contains(key) && !refs->synchronized());
    };
    for (const auto& [key, volume] : volumes)
        if (!unknown_yet(key)) log_failure(key, volume_statuses->publish(key, volume.status));
    std::vector<std::string> gone;
    for (const auto& [key, status] : volume_statuses->items())
        if (!volumes.contains(key) && !unknown_yet(key)) gone.push_back(key);
    for (const auto& key : gone) (void)volume_statuses->unpublish(key);

    for (const auto& [key, config] : refs->items())
        if (ref_statuses->get(key) == nullptr || !unknown_yet(volume_key(*config))) log_failure(key, ref_statuses->publish(key, ref_status(*config)));
    gone.clear();
    for (const auto& [key, status] : ref_statuses->items())
        if (refs->get(key) == nullptr && refs->synchronized()) gone.push_back(key);
    for (const auto& key : gone) (void)ref_statuses->unpublish(key);
}

std::uint64_t Agent::Impl::reserved_space() const {
    std::uint64_t bytes = 0;
    for (const auto& [key, tree] : trees)
        if (tree.status.State >= SwState::LOADED) bytes += static_cast<std::uint64_t>(std::max<std::int64_t>(tree.status.CurrentSize, 0));
    for (const auto& [key, volume] : volumes)
        if (volume.status.State >= SwState::CREATING_VOLUME) bytes += usage_of(volume.status, volume.config ? &*volume.config : nullptr);
    return bytes;
}

std::uint64_t Agent::Impl::left_space() const { return space ? remaining_space(*space, reserved_space(), settings) : 0; }

/// Something was removed: what failed for want of space need not wait for its timer.
void Agent::Impl::more_space() {
    for (auto& [key, volume] : volumes)
        if (volume.retry.code == Code::resource_exhausted && volume.status.RefCount > 0) volume.retry.waiting = false;
    for (auto& [key, tree] : trees)
        if (tree.retry.code == Code::resource_exhausted) tree.retry.waiting = false;
    refresh_space_soon();
    changed();
}

}  // namespace eve::volumemgr
