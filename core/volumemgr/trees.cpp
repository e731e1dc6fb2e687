// Content trees and blobs: download, verify, load, and letting go of it all.

#include <algorithm>

#include "core/types/error_text.hpp"
#include "core/types/oci.hpp"
#include "core/volumemgr/state.hpp"

namespace eve::volumemgr {
namespace {

using types::BlobStatus;
using types::ContentTreeStatus;
using types::DownloaderStatus;
using types::SwState;
using types::VerifyImageStatus;

constexpr Lanes::Options loading{.time_limit = std::chrono::hours{12}};
constexpr std::chrono::seconds release_retry{30};
constexpr std::chrono::hours exhausted_retry{1};  ///< of content whose disk failed more often than it may be fetched anew
constexpr std::string_view registry = "DsContainerRegistry";

/// Of reading an index or a manifest: what it says, or why its bytes could not be had.
struct ReadOutcome {
    Error failed;
    std::optional<Result<ImageDocument>> read;
};

std::string source_tree() { return types::source_name<ContentTreeStatus>(); }

/// Asked for in another way than what the tree was made from: another tree.
bool is_other_content(const types::ContentTreeConfig& a, const types::ContentTreeConfig& b) {
    return a.RelativeURL != b.RelativeURL || a.Format != b.Format || lower(a.ContentSha256) != lower(b.ContentSha256) || (!a.IsLocal && b.IsLocal);
}

ContentTreeStatus new_tree(const types::ContentTreeConfig& config) {
    ContentTreeStatus status;
    status.ContentID = config.ContentID;
    status.RelativeURL = config.RelativeURL;
    status.Format = config.Format;
    status.ContentSha256 = lower(config.ContentSha256);
    status.GenerationCounter = config.GenerationCounter;
    status.State = SwState::INITIAL;
    return status;
}

}  // namespace

void Agent::Impl::reconcile_trees() {
    std::vector<std::string> gone;
    for (auto& [key, tree] : trees) {
        const auto* config = tree_configs->get(key);
        if (tree.gone || config == nullptr || is_other_content(tree.config, *config)) gone.push_back(key);
    }
    for (const auto& key : gone) {
        Tree& tree = trees[key];
        if (!tree.gone) release_tree(tree);
        tree.gone = true;
        if (!tree.busy) trees.erase(key);
    }
    for (const auto& [key, config] : tree_configs->items()) {
        auto [entry, fresh] = trees.try_emplace(key);
        Tree& tree = entry->second;
        if (tree.gone) continue;  // until its job is done
        if (fresh) {
            tree.status = new_tree(*config);
            deps.log.write(Level::info, "volumemgr.content_tree",
                           {{"content", key}, {"url", config->RelativeURL.substr(0, config->RelativeURL.find('?'))}});
            if (deferred_deletes->get(key) != nullptr) (void)deferred_deletes->unpublish(key);
            apply_latch(tree);
        }
        tree.config = *config;
        tree.status.DatastoreIDList = config->DatastoreIDList;
        tree.status.MaxDownloadSize = config->MaxDownloadSize;
        tree.status.DisplayName = config->DisplayName;
        tree.status.IsLocal = config->IsLocal;
        advance_tree(tree);
    }
    count_blobs();
    settle_requests();
}

void Agent::Impl::advance_tree(Tree& tree) {
    ContentTreeStatus& status = tree.status;
    if (tree.busy || status.State == SwState::LOADED) return;
    const auto refuse = [&](std::string why) { raise(status, {.Error = std::move(why)}, source_tree()); };
    if (!status.IsLocal) {
        status.State = SwState::LOADED;
        return;
    }
    if (!status.ContentSha256.empty() && !is_sha256(status.ContentSha256)) return refuse("content sha256 is not 64 hex digits");
    status.DatastoreTypesList.clear();
    for (const auto& id : status.DatastoreIDList)
        if (const auto* datastore = datastores->get(id.to_string())) status.DatastoreTypesList.push_back(datastore->DsType);
    status.AllDatastoresResolved = status.DatastoreTypesList.size() == status.DatastoreIDList.size();
    status.IsOCIRegistry = std::find(status.DatastoreTypesList.begin(), status.DatastoreTypesList.end(), registry) != status.DatastoreTypesList.end();
    if (!status.AllDatastoresResolved) return;
    if (status.IsOCIRegistry && status.DatastoreIDList.size() > 1)
        return refuse("OCI registry along with the fallback datastores list is not supported");
    if (status.IsOCIRegistry != (status.Format == types::Format::CONTAINER))
        return refuse(status.IsOCIRegistry ? "only container images are taken from container registries by this node"
                                           : "container images are taken from container registries only");
    if (status.IsOCIRegistry && status.ContentSha256.empty() && !resolve_tag(tree)) return;
    if (status.ContentSha256.empty()) return refuse("no content sha256 defined");

    // In the store since before, under this very name.
    const auto image = images.find(image_name(status));
    if (image != images.end() && !image->second.blobs.empty() &&
        (status.IsOCIRegistry ? image->second.blobs.front() : image->second.blobs.back()).sha256 == status.ContentSha256) {
        status.Blobs.clear();
        for (const auto& stored : image->second.blobs) {
            status.Blobs.push_back(stored.sha256);
            BlobStatus& blob = blobs[stored.sha256];
            blob.Sha256 = stored.sha256;
            blob.MediaType = stored.media_type;
            blob.Size = stored.size;
            blob.TotalSize = blob.CurrentSize = static_cast<std::int64_t>(stored.size);
            blob.Progress = 100;
            blob.State = SwState::LOADED;
        }
        on_loaded(status.ContentID.to_string(), {});
        return;
    }

    if (status.Blobs.empty()) status.Blobs.push_back(status.ContentSha256);
    BlobStatus& root = blobs[status.ContentSha256];
    if (root.Sha256.empty()) {
        root.Sha256 = status.ContentSha256;
        root.State = SwState::INITIAL;
        root.CreateTime = now();
        if (!status.IsOCIRegistry) root.MediaType = types::oci_media_layer;
        if (const auto stored = find_stored(root.Sha256)) {
            root.State = SwState::LOADED;
            root.Size = stored->size;
            root.MediaType = stored->media_type;
            root.TotalSize = root.CurrentSize = static_cast<std::int64_t>(stored->size);
        }
    }
    if (root.State < SwState::DOWNLOADED) {
        root.DatastoreIDList = status.DatastoreIDList;
        root.RelativeURL = status.RelativeURL;
        root.Size = status.IsOCIRegistry ? types::oci_manifest_bytes_max : status.MaxDownloadSize;
    }
    advance_blob(root, tree);
    bool whole = true;
    std::vector<std::string> problems;
    if (status.IsOCIRegistry) expand_image(tree, whole, problems);
    if (!problems.empty()) {
        if (status.State < SwState::VERIFIED) status.State = SwState::DOWNLOADING;
        return refuse(problems.front());
    }

    status.TotalSize = status.CurrentSize = 0;
    std::vector<types::ErrorDescription> errors;
    bool verified = true;
    for (const auto& sha : status.Blobs) {
        const BlobStatus& blob = blobs[sha];
        status.TotalSize += blob.TotalSize;
        status.CurrentSize += blob.CurrentSize;
        verified = verified && blob.State >= SwState::VERIFIED;
        if (!types::has_error(blob)) continue;
        types::ErrorDescription error = blob;
        error.ErrorEntities = {{.EntityType = types::ErrorEntityType::ErrorEntityContentBlob, .EntityID = sha}};
        errors.push_back(std::move(error));
    }
    status.TotalSize = std::max(status.TotalSize, status.CurrentSize);
    status.Progress = status.TotalSize == 0
                          ? 0
                          : static_cast<std::uint64_t>(100 * (static_cast<double>(status.CurrentSize) / static_cast<double>(status.TotalSize)));
    if (!errors.empty()) {
        const std::string source = root.ErrorSourceType;
        if (status.State < SwState::VERIFIED) status.State = SwState::DOWNLOADING;
        return raise(status, aggregate(errors, " / "), source);
    }
    if (tree.retry.failures == 0 || !types::is_error_source<ContentTreeStatus>(status)) types::clear_error_with_source(status);
    if (!verified || !whole) {
        status.State = SwState::DOWNLOADING;
        return;
    }
    if (status.State < SwState::VERIFIED) status.State = SwState::VERIFIED;
    if (!status.IsOCIRegistry) make_image(tree);
    load(tree);
}

/// A container's image by a tag is, from the first time that tag was looked up, an image by digest.
void Agent::Impl::apply_latch(Tree& tree) {
    ContentTreeStatus& status = tree.status;
    if (status.Format != types::Format::CONTAINER) return;
    if (status.ContentSha256.empty()) {
        const auto* latched = latches->get(latch_key(status));
        if (latched == nullptr || !is_sha256(latched->Hash)) return;
        status.ContentSha256 = lower(latched->Hash);
    }
    status.RelativeURL = with_digest(status.RelativeURL, status.ContentSha256);
}

/// Whether the tag's digest is known now. Until then the downloader is asked.
bool Agent::Impl::resolve_tag(Tree& tree) {
    ContentTreeStatus& status = tree.status;
    types::ResolveConfig wanted;
    wanted.DatastoreID = status.DatastoreIDList.front();
    wanted.Name = status.RelativeURL;
    wanted.Counter = static_cast<std::uint32_t>(status.GenerationCounter);
    const std::string key = resolve_key(wanted);
    wanted_resolves.insert_or_assign(key, wanted);
    status.HasResolverRef = true;
    status.State = SwState::RESOLVING_TAG;
    const auto* seen = resolve_statuses->get(key);
    if (seen == nullptr || resolves->get(key) == nullptr) return false;
    if (types::has_error(*seen)) {
        raise(status, *seen, types::source_name<types::ResolveStatus>());
        return false;
    }
    if (!is_sha256(seen->ImageSha256)) return false;
    if (types::is_error_source<types::ResolveStatus>(status)) types::clear_error_with_source(status);
    types::AppAndImageToHash latch;
    latch.ImageID = status.ContentID;
    latch.Hash = lower(seen->ImageSha256);
    latch.PurgeCounter = wanted.Counter;
    (void)latches->publish(latch_key(status), latch);
    status.HasResolverRef = false;
    status.State = SwState::RESOLVED_TAG;
    apply_latch(tree);
    return true;
}

/// The image's blobs as far as they are known, root first, each a step further.
void Agent::Impl::expand_image(Tree& tree, bool& whole, std::vector<std::string>& problems) {
    ContentTreeStatus& status = tree.status;
    std::vector<std::string> list{status.ContentSha256};
    Nesting nesting = Nesting::root;
    for (std::size_t at = 0;;) {
        BlobStatus& blob = blobs[list[at]];
        if (blob.State < SwState::VERIFIED) {
            whole = false;
            break;
        }
        const auto* document = document_of(blob, nesting);
        if (document == nullptr) {
            whole = false;
            break;
        }
        if (!*document) {
            problems.push_back("image " + status.RelativeURL + ": " + document->error().what);
            break;
        }
        blob.MediaType = (*document)->media_type;
        for (const auto& part : (*document)->parts) {
            list.push_back(part.sha256);
            BlobStatus& child = blobs[part.sha256];
            if (child.Sha256.empty()) {
                child.Sha256 = part.sha256;
                child.State = SwState::INITIAL;
                child.CreateTime = now();
                child.MediaType = part.media_type;
                if (const auto stored = find_stored(part.sha256)) {
                    child.State = SwState::LOADED;
                    child.Size = stored->size;
                    child.Progress = 100;
                    child.TotalSize = child.CurrentSize = static_cast<std::int64_t>(stored->size);
                }
            }
            if (child.State < SwState::DOWNLOADED) {
                child.DatastoreIDList = status.DatastoreIDList;
                child.RelativeURL = beside(status.RelativeURL, part.sha256);
                child.Size = part.size;
            }
            advance_blob(child, tree);
            if (child.State < SwState::DOWNLOADED) child.TotalSize = static_cast<std::int64_t>(part.size);
            if (child.State >= SwState::VERIFIED && child.Size != part.size)
                problems.push_back("blob " + part.sha256 + " of image " + status.RelativeURL + " has " + std::to_string(child.Size) +
                                   " bytes, the manifest says " + std::to_string(part.size));
        }
        // An index leads to one manifest, a manifest to nothing that leads further.
        if (nesting == Nesting::in_index || types::oci_kind(blob.MediaType) != types::OciKind::index) break;
        nesting = Nesting::in_index;
        at = 1;
    }
    status.Blobs = std::move(list);
}

/// What the blob says, once it was read; nothing until then.
const Result<ImageDocument>* Agent::Impl::document_of(BlobStatus& blob, Nesting nesting) {
    Document& document = documents[blob.Sha256];
    if (document.read) return &*document.read;
    if (document.busy || document.waiting) return nullptr;
    document.busy = true;
    deps.lanes.submit(
        "volumemgr/store",
        [&store = deps.store, sha = blob.Sha256, path = blob.State >= SwState::LOADED ? std::string{} : blob.Path, type = blob.MediaType,
         nesting](const LaneContext&) {
            auto text = store.read(sha, path, types::oci_manifest_bytes_max);
            if (!text) return ReadOutcome{.failed = std::move(text).error()};
            return ReadOutcome{.read = read_image_document(*text, type, nesting)};
        },
        guarded([this, sha = blob.Sha256](ReadOutcome outcome) {
            const auto entry = documents.find(sha);
            if (entry == documents.end()) return;
            entry->second.busy = false;
            if (outcome.read) {
                entry->second.read = std::move(outcome.read);
                return changed();
            }
            deps.log.write(Level::warn, "volumemgr.read_failed", {{"blob", sha}, {"error", outcome.failed.what}});
            // What was verified is not there any more: from the start.
            if (const auto lost = blobs.find(sha); lost != blobs.end() && outcome.failed.code == Code::not_found) {
                lost->second.State = SwState::INITIAL;
                lost->second.Path.clear();
                if (lost->second.HasVerifierRef) reverify.insert(sha);
                lost->second.HasVerifierRef = false;
                if (lost->second.HasDownloaderRef) wanted_downloads[sha].LastRetry = now();
            }
            entry->second.waiting = true;
            wake_after(release_retry, [this, sha] {
                if (const auto again = documents.find(sha); again != documents.end()) again->second.waiting = false;
                changed();
            });
        }));
    return nullptr;
}

/// A blob's next step. It may be shared by several trees; `tree` is one that wants it.
void Agent::Impl::advance_blob(BlobStatus& blob, const Tree& tree) {
    if (blob.State >= SwState::VERIFIED) return;
    if (blob.State <= SwState::DOWNLOADING && found_verified(blob)) return;
    if (blob.State <= SwState::DOWNLOADING) follow_download(blob, tree);
    if (blob.State == SwState::DOWNLOADED || blob.State == SwState::VERIFYING) follow_verification(blob);
}

/// The verifier holds it since before: nothing need be fetched.
bool Agent::Impl::found_verified(BlobStatus& blob) {
    const VerifyImageStatus* seen = verify_statuses->get(blob.Sha256);
    if (seen == nullptr || seen->State != SwState::VERIFIED || seen->Expired || reverify.contains(blob.Sha256)) return false;
    blob.HasVerifierRef = true;
    blob.State = SwState::VERIFIED;
    blob.Path = seen->FileLocation;
    blob.MediaType = seen->MediaType;
    blob.Size = static_cast<std::uint64_t>(seen->Size);
    blob.TotalSize = blob.CurrentSize = seen->Size;
    blob.Progress = 100;
    types::clear_error_with_source(blob);
    return true;
}

void Agent::Impl::follow_download(BlobStatus& blob, const Tree& tree) {
    if (!blob.HasDownloaderRef) {
        if (!settings.boolean("storage.apps.ignore.disk.check") && left_space() < blob.Size) {
            look_for_space();
            return raise(blob,
                         {.Error = "Remaining disk space " + std::to_string(left_space()) + " blob needs " + std::to_string(blob.Size),
                          .ErrorSeverity = types::ErrorSeverity::ErrorSeverityWarning,
                          .ErrorRetryCondition = "Will retry when more space will be available"},
                         types::source_name<types::DiskMetric>());
        }
        if (types::is_error_source<types::DiskMetric>(blob)) types::clear_error_with_source(blob);
        blob.HasDownloaderRef = true;
    }
    blob.State = SwState::DOWNLOADING;
    const auto [entry, fresh] = wanted_downloads.try_emplace(blob.Sha256);
    types::DownloaderConfig& wanted = entry->second;
    if (const auto* before = downloads->get(blob.Sha256); fresh && before != nullptr) wanted.LastRetry = before->LastRetry;
    wanted.ImageSha256 = blob.Sha256;
    wanted.DatastoreIDList = blob.DatastoreIDList;
    wanted.Name = blob.RelativeURL;
    wanted.NameIsURL = tree.status.NameIsURL;
    wanted.Size = tree.status.IsOCIRegistry ? blob.Size : tree.status.MaxDownloadSize;
    wanted.Target = pending_path(deps.persist, blob, wanted.Size);
    wanted.RefCount = 1;

    const DownloaderStatus* seen = download_statuses->get(blob.Sha256);
    const bool current =
        seen != nullptr && !seen->Expired && seen->RefCount > 0 && seen->LastRetry == wanted.LastRetry && seen->Target == wanted.Target;
    if (!current) return;
    blob.TotalSize = seen->TotalSize;
    blob.CurrentSize = seen->CurrentSize;
    blob.Progress = seen->Progress;
    if (types::has_error(*seen)) return raise(blob, *seen, types::source_name<DownloaderStatus>());
    if (types::is_error_source<DownloaderStatus>(blob)) types::clear_error_with_source(blob);
    if (seen->State != SwState::DOWNLOADED) return;
    blob.State = SwState::DOWNLOADED;
    blob.Size = seen->Size;
    blob.Path = seen->Target;
    if (blob.MediaType.empty()) blob.MediaType = seen->ContentType.substr(0, types::oci_media_type_bytes_max);
}

void Agent::Impl::follow_verification(BlobStatus& blob) {
    // A failed verification must have been forgotten by the verifier before the next one is asked for.
    if (reverify.contains(blob.Sha256)) return;
    types::VerifyImageConfig& wanted = wanted_verifications[blob.Sha256];
    wanted.ImageSha256 = blob.Sha256;
    wanted.Name = blob.Sha256;
    wanted.MediaType = blob.MediaType;
    wanted.FileLocation = blob.Path;
    wanted.Size = static_cast<std::int64_t>(blob.Size);
    wanted.RefCount = 1;
    wanted.Expired = false;
    blob.HasVerifierRef = true;
    blob.State = SwState::VERIFYING;

    const VerifyImageStatus* seen = verify_statuses->get(blob.Sha256);
    if (seen == nullptr || seen->Expired) return;
    if (seen->State == SwState::VERIFIED) {
        blob.State = SwState::VERIFIED;
        blob.Path = seen->FileLocation;
        if (types::is_error_source<VerifyImageStatus>(blob)) types::clear_error_with_source(blob);
        return;
    }
    if (!types::has_error(*seen)) return;
    raise(blob, *seen, types::source_name<VerifyImageStatus>());
    // Wrong content is fetched so often and no more. That the disk failed says nothing about it: that is tried for as long as it is wanted.
    if (blob.RetryCount >= settings.number("blob.download.max.retries") && !tired_of.contains(blob.Sha256)) {
        if (seen->ErrorRetryCondition.empty()) return;
        tired_of.insert(blob.Sha256);
        wake_after(exhausted_retry, [this, sha = blob.Sha256] {
            if (const auto again = blobs.find(sha); again != blobs.end() && again->second.RetryCount > 0) --again->second.RetryCount;
            tired_of.erase(sha);
            changed();
        });
    }
    if (tired_of.contains(blob.Sha256)) return;
    deps.log.write(Level::warn, "volumemgr.download_again", {{"blob", blob.Sha256}, {"error", seen->Error}, {"retries", blob.RetryCount}});
    ++blob.RetryCount;
    blob.HasVerifierRef = false;
    reverify.insert(blob.Sha256);
    wanted_downloads[blob.Sha256].LastRetry = now();
    blob.State = SwState::DOWNLOADING;
    blob.CurrentSize = 0;
    blob.Progress = 0;
    types::clear_error_with_source(blob);
}

/// A disk image gets a manifest and a config, so that the store can hold it like any other image.
void Agent::Impl::make_image(Tree& tree) {
    if (tree.status.Blobs.size() != 1) return;
    const BlobStatus& root = blobs[tree.status.ContentSha256];
    const MadeImage made = make_disk_image(root.Sha256, root.Size, root.MediaType);
    const auto add = [this](const std::string& sha256, const std::string& content, std::string_view media_type) {
        BlobStatus& blob = blobs[sha256];
        if (!blob.Sha256.empty()) return;
        blob.Sha256 = sha256;
        blob.Size = content.size();
        blob.Content.assign(content.begin(), content.end());
        blob.MediaType = media_type;
        blob.State = find_stored(sha256) ? SwState::LOADED : SwState::VERIFIED;
        blob.CreateTime = now();
        blob.TotalSize = blob.CurrentSize = static_cast<std::int64_t>(content.size());
        blob.Progress = 100;
    };
    add(made.manifest_sha256, made.manifest, types::oci_media_manifest);
    add(made.config_sha256, made.config, types::oci_media_config);
    tree.status.Blobs = {made.manifest_sha256, made.config_sha256, tree.status.ContentSha256};
}

void Agent::Impl::load(Tree& tree) {
    if (tree.retry.waiting || tree.retry.parked) return;
    std::vector<IncomingBlob> incoming;
    for (const auto& sha : tree.status.Blobs) {
        BlobStatus& blob = blobs[sha];
        incoming.push_back({.sha256 = sha,
                            .media_type = blob.MediaType,
                            .path = blob.Content.empty() ? blob.Path : "",
                            .content = {blob.Content.begin(), blob.Content.end()}});
        if (blob.State == SwState::VERIFIED) blob.State = SwState::LOADING;
    }
    tree.status.State = SwState::LOADING;
    tree.status.FileLocation = blobs[tree.status.ContentSha256].Path;
    tree.busy = true;
    const std::string key = tree.status.ContentID.to_string();
    deps.lanes.submit(
        "volumemgr/store",
        [&store = deps.store, name = image_name(tree.status), incoming](const LaneContext& context) { return store.ingest(name, incoming, context); },
        guarded([this, key](Status loaded) {
            trees[key].busy = false;
            on_loaded(key, std::move(loaded));
            changed();
        }),
        loading);
}

void Agent::Impl::on_loaded(const std::string& key, Status loaded) {
    Tree& tree = trees[key];
    ContentTreeStatus& status = tree.status;
    const std::string name = image_name(status);
    if (loaded) {
        StoredImage image{.name = name, .blobs = {}};
        for (const auto& sha : status.Blobs) image.blobs.push_back({.sha256 = sha, .media_type = blobs[sha].MediaType, .size = blobs[sha].Size});
        images.insert_or_assign(name, std::move(image));
    }
    if (tree.gone) return release_image(name, status.Blobs);  // also after a failure: the deed may be done
    for (const auto& sha : status.Blobs) {
        BlobStatus& blob = blobs[sha];
        if (loaded) {
            blob.State = SwState::LOADED;
            blob.HasDownloaderRef = blob.HasVerifierRef = false;
            blob.Path.clear();
            blob.Content.clear();
        } else if (blob.State == SwState::LOADING) {
            blob.State = SwState::VERIFIED;
        }
    }
    if (loaded) {
        tree.retry = {};
        status.State = SwState::LOADED;
        status.CreateTime = now();
        status.FileLocation.clear();
        status.TotalSize = status.CurrentSize = 0;
        for (const auto& sha : status.Blobs) status.CurrentSize += static_cast<std::int64_t>(blobs[sha].Size);
        status.TotalSize = status.CurrentSize;
        status.Progress = 100;
        types::clear_error_with_source(status);
        deps.log.write(Level::info, "volumemgr.content_loaded", {{"content", key}, {"bytes", status.TotalSize}});
        return;
    }
    const Error& error = loaded.error();
    status.State = SwState::VERIFIED;
    deps.log.write(Level::warn, "volumemgr.load_failed", {{"content", key}, {"error", error.what}});
    tree.retry.code = error.code;
    ++tree.retry.failures;
    if (error.code == Code::not_found || error.code == Code::invalid_argument) {
        start_over(tree);
    }
    const auto delay = retry_delay(error.code == Code::invalid_argument ? Code::not_found : error.code, tree.retry.failures);
    types::ErrorDescription description{.Error = "load of the content failed: " + types::error_text(error),
                                        .ErrorEntities = {{.EntityType = types::ErrorEntityType::ErrorEntityContentTree, .EntityID = key}}};
    if (delay) {
        description.ErrorSeverity = types::ErrorSeverity::ErrorSeverityWarning;
        description.ErrorRetryCondition = "Will retry in " + std::to_string(delay->count()) + "s";
        tree.retry.waiting = true;
        wake_after(*delay, [this, key] {
            if (const auto again = trees.find(key); again != trees.end()) again->second.retry.waiting = false;
            changed();
        });
    } else {
        tree.retry.parked = true;
    }
    raise(status, std::move(description), source_tree());
}

/// What was verified, or lay in the store, is not there any more: all of it from the start.
void Agent::Impl::start_over(Tree& tree) {
    ContentTreeStatus& status = tree.status;
    for (const auto& sha : status.Blobs) {
        BlobStatus& blob = blobs[sha];
        if (!status.IsOCIRegistry && sha != status.ContentSha256) {
            blob = {};  // made here, and made again
            continue;
        }
        if (!blob.Content.empty()) continue;
        blob.State = SwState::INITIAL;
        blob.Path.clear();
        if (blob.HasVerifierRef) reverify.insert(sha);
        blob.HasVerifierRef = false;
        if (blob.HasDownloaderRef) wanted_downloads[sha].LastRetry = now();
    }
    status.Blobs = {status.ContentSha256};
    status.State = SwState::DOWNLOADING;
}

/// The tree is not asked for any more. Its image goes, at once or when the operator's time for it is over.
void Agent::Impl::release_tree(const Tree& tree) {
    const std::string name = image_name(tree.status), latch = latch_key(tree.status);
    deps.log.write(Level::info, "volumemgr.content_tree_gone", {{"content", tree.status.ContentID.to_string()}});
    const bool kept = settings.seconds("timer.defer.content.delete").count() > 0 && tree.status.State == SwState::LOADED;
    // The digest that its tag had stays as long as the image; another name under the same id is looked up anew.
    if (latches->get(latch) != nullptr && (!kept || tree_configs->get(tree.status.ContentID.to_string()) != nullptr)) (void)latches->unpublish(latch);
    if (tree.busy || (tree.status.State != SwState::LOADED && tree.retry.failures == 0)) return;
    const auto keep = settings.seconds("timer.defer.content.delete");
    if (keep.count() > 0 && tree.status.State == SwState::LOADED) {
        types::DeferredContentDeleteStatus record;
        record.ContentID = tree.status.ContentID;
        record.GenerationCounter = tree.status.GenerationCounter;
        record.ReferenceID = name;
        record.Blobs = tree.status.Blobs;
        record.DeleteTime = now() + keep;
        (void)deferred_deletes->publish(record.ContentID.to_string(), record);
        wake_after(std::chrono::seconds{0}, [this] { check_deferred(); });
        return;
    }
    release_image(name, tree.status.Blobs);
}

/// The image is no tree's. Blobs that another image or another tree needs stay.
void Agent::Impl::release_image(const std::string& name, const std::vector<std::string>& of) {
    for (const auto& [key, tree] : trees)
        if (!tree.gone && tree_configs->get(key) != nullptr && image_name(tree.status) == name &&
            (tree.busy || tree.status.State == SwState::LOADED) && !is_other_content(tree.config, *tree_configs->get(key)))
            return;
    images.erase(name);
    std::vector<std::string> unused;
    for (const auto& sha : of) {
        bool needed = find_stored(sha).has_value();
        for (const auto& [key, tree] : trees)
            needed = needed || (!tree.gone && tree_configs->get(key) != nullptr && image_name(tree.status) != name &&
                                std::count(tree.status.Blobs.begin(), tree.status.Blobs.end(), sha) > 0);
        if (needed) continue;
        unused.push_back(sha);
        if (const auto blob = blobs.find(sha); blob != blobs.end() && blob->second.State == SwState::LOADED) blobs.erase(blob);
    }
    deps.lanes.submit(
        "volumemgr/store", [&store = deps.store, name, unused](const LaneContext&) { return store.remove(name, unused); },
        guarded([this, name, of](Status removed) {
            if (!removed) {
                deps.log.write(Level::warn, "volumemgr.release_failed", {{"image", name}, {"error", removed.error().what}});
                wake_after(release_retry, [this, name, of] { release_image(name, of); });
            }
            more_space();
        }));
}

/// References are what the trees name, counted anew: they cannot disagree.
void Agent::Impl::count_blobs() {
    std::map<std::string, std::uint64_t> counts;
    for (const auto& [key, tree] : trees)
        for (const auto& sha : tree.status.Blobs) ++counts[sha];
    for (auto& [sha, blob] : blobs) {
        const auto count = counts.find(sha);
        const std::uint64_t references = count == counts.end() ? 0 : count->second;
        if (blob.RefCount != references) blob.LastRefCountChangeTime = now();
        blob.RefCount = references;
    }
    std::erase_if(blobs, [](const auto& entry) { return entry.second.RefCount == 0; });
    std::erase_if(documents, [this](const auto& entry) { return !entry.second.busy && !blobs.contains(entry.first); });
    std::erase_if(wanted_resolves, [this](const auto& entry) {
        return std::none_of(trees.begin(), trees.end(), [&entry](const auto& tree) {
            const ContentTreeStatus& status = tree.second.status;
            return status.HasResolverRef && status.RelativeURL == entry.second.Name &&
                   status.DatastoreIDList.front() == entry.second.DatastoreID && static_cast<std::uint32_t>(status.GenerationCounter) == entry.second.Counter;
        });
    });
}

/// What is asked of the downloader and the verifier, and how it is given back: a request that is not needed is first said to be so, and goes when
/// the other side has answered that.
void Agent::Impl::settle_requests() {
    for (const auto& [sha, record] : downloads->items()) wanted_downloads.try_emplace(sha, *record);
    for (auto request = wanted_downloads.begin(); request != wanted_downloads.end();) {
        const auto blob = blobs.find(request->first);
        if (blob != blobs.end() && blob->second.HasDownloaderRef) {
            ++request;
            continue;
        }
        const auto* seen = download_statuses->get(request->first);
        const bool told = downloads->get(request->first) != nullptr && downloads->get(request->first)->RefCount == 0;
        request->second.RefCount = 0;
        const bool answered = downloads->get(request->first) == nullptr || (told && seen != nullptr && seen->Expired);
        request = answered ? wanted_downloads.erase(request) : std::next(request);
    }

    for (const auto& [sha, record] : verifications->items()) wanted_verifications.try_emplace(sha, *record);
    // What the verifier holds from before is kept for the trees that may still ask for it, until the first look for garbage.
    for (const auto& [sha, seen] : verify_statuses->items()) {
        if (wanted_verifications.contains(sha) || seen->State != SwState::VERIFIED || seen->Expired) continue;
        types::VerifyImageConfig& echo = wanted_verifications[sha];
        echo.ImageSha256 = sha;
        echo.Name = seen->Name;
        echo.MediaType = seen->MediaType;
        echo.FileLocation = seen->FileLocation;
        echo.Size = seen->Size;
    }
    for (auto request = wanted_verifications.begin(); request != wanted_verifications.end();) {
        types::VerifyImageConfig& config = request->second;
        const auto* seen = verify_statuses->get(request->first);
        const auto blob = blobs.find(request->first);
        const bool needed = blob != blobs.end() && blob->second.HasVerifierRef && !reverify.contains(request->first);
        const bool echo = !needed && config.RefCount == 0 && !config.Expired && !gc_done_once && !reverify.contains(request->first);
        if (needed || echo) {
            config.RefCount = needed ? 1 : 0;
            config.Expired = false;
            ++request;
            continue;
        }
        const auto* told = verifications->get(request->first);
        config.RefCount = 0;
        config.Expired = true;
        const bool answered = told == nullptr || (told->Expired && (seen == nullptr || seen->Expired));
        request = answered ? wanted_verifications.erase(request) : std::next(request);
    }
    for (auto sha = reverify.begin(); sha != reverify.end();) {
        const auto* seen = verify_statuses->get(*sha);
        // A verifier that was restarted meanwhile forgets nothing: it has read the file again, and says what is right.
        const bool read_again = seen != nullptr && seen->State == SwState::VERIFIED && !seen->Expired && !types::has_error(*seen);
        const bool forgotten = !wanted_verifications.contains(*sha) && verifications->get(*sha) == nullptr && (seen == nullptr || read_again);
        sha = forgotten ? reverify.erase(sha) : std::next(sha);
        if (forgotten) changed();
    }
}

std::optional<StoredBlob> Agent::Impl::find_stored(const std::string& sha256) const {
    for (const auto& [name, image] : images)
        for (const auto& blob : image.blobs)
            if (blob.sha256 == sha256) return blob;
    return std::nullopt;
}

std::vector<std::string> Agent::Impl::kept_images() const {
    std::vector<std::string> names;
    for (const auto& [key, tree] : trees) names.push_back(image_name(tree.status));
    for (const auto& [key, record] : deferred_deletes->items())
        if (record->DeleteTime > now()) names.push_back(record->ReferenceID);
    return names;
}

}  // namespace eve::volumemgr
