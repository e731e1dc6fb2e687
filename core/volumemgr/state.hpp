#pragma once
// What volumemgr holds between events. It is level-triggered: any event leads to one reconcile(), which looks at everything that is asked for and
// everything that is so, starts the jobs that are due, and publishes what changed. trees.cpp and volumes.cpp hold the two halves.

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/loop/while_alive.hpp"
#include "core/types/config_items.hpp"
#include "core/types/domain.hpp"
#include "core/types/node.hpp"
#include "core/types/volume.hpp"
#include "core/volumemgr/agent.hpp"
#include "core/volumemgr/plan.hpp"

namespace eve::volumemgr {

/// A job that failed, and when it is tried again: on a timer, or only when its input changes.
struct Retry {
    unsigned failures = 0;
    bool waiting = false;  ///< not before the timer
    bool parked = false;   ///< not at all
    Code code = Code::ok;
};

struct Tree {
    types::ContentTreeConfig config;
    types::ContentTreeStatus status;
    std::vector<IncomingBlob> made;  ///< the manifest and the config made for a disk image, until they are in the store
    bool busy = false;               ///< being loaded
    bool gone = false;               ///< its config went while it was busy
    Retry retry;
};

/// What an index or a manifest of a container's image says, once it was read.
struct Document {
    bool busy = false;
    bool waiting = false;  ///< for another try
    std::optional<Result<ImageDocument>> read;
};

struct Volume {
    std::optional<types::VolumeConfig> config;
    types::VolumeConfig accepted;  ///< what it was made from: changes are measured against this
    types::VolumeStatus status;
    bool held = false;    ///< taken up without a config: what `accepted` says is what is known of it
    bool probed = false;  ///< whether its file exists is known
    bool busy = false;
    bool creating = false;  ///< the job that is busy is the creation
    bool cancelling = false;
    std::optional<JobId> job;
    Retry retry;
    unsigned destroy_failures = 0;
};

struct Agent::Impl : WhileAlive<Agent::Impl> {
    explicit Impl(Deps given) : deps(given) {}

    // agent.cpp
    void start();
    void check_gates();
    void prepare();
    void begin();
    void changed();
    void reconcile();
    void publish_all();
    void refresh_space();
    void refresh_space_soon();
    void collect_garbage();
    void on_agent_status(const types::ZedAgentStatus& now);
    void check_deferred();
    types::Time now() const { return deps.loop.clock().wall_now(); }
    /// Sets the error unless it is there already, so that its time is the time it came.
    void raise(types::ErrorAndTimeWithSource& record, types::ErrorDescription error, const std::string& source);
    void rearm(std::optional<TimerId>& timer, std::chrono::seconds delay, std::function<void()> then);
    void wake_after(std::chrono::seconds delay, std::function<void()> then);

    // trees.cpp
    void reconcile_trees();
    void advance_tree(Tree& tree);
    void advance_blob(types::BlobStatus& blob, const Tree& tree);
    void follow_download(types::BlobStatus& blob, const Tree& tree);
    void follow_verification(types::BlobStatus& blob);
    bool found_verified(types::BlobStatus& blob);
    void make_image(Tree& tree);
    void apply_latch(Tree& tree);
    bool resolve_tag(Tree& tree);
    void expand_image(Tree& tree, bool& whole, std::vector<std::string>& problems);
    const Result<ImageDocument>* document_of(types::BlobStatus& blob, Nesting nesting);
    void start_over(Tree& tree);
    void load(Tree& tree);
    void on_loaded(const std::string& key, Status loaded);
    void release_tree(const Tree& tree);
    void release_image(const std::string& name, const std::vector<std::string>& blobs);
    void count_blobs();
    void settle_requests();
    std::optional<StoredBlob> find_stored(const std::string& sha256) const;
    std::vector<std::string> kept_images() const;

    // volumes.cpp
    void execute_deferred();
    void adopt_held();
    void reconcile_volumes();
    void advance_volume(const std::string& key, Volume& volume);
    void fill_from_config(Volume& volume);
    void probe(const std::string& key, Volume& volume);
    void advance_blank(const std::string& key, Volume& volume, bool stop_at_loaded);
    void advance_download(const std::string& key, Volume& volume, bool stop_at_loaded);
    bool admitted(Volume& volume);
    void create(const std::string& key, Volume& volume, const std::string& blob);
    void on_created(const std::string& key, Result<VolumeFacts> created);
    void destroy(const std::string& key, Volume& volume);
    void on_destroyed(const std::string& key, Status destroyed);
    void publish_volumes();
    types::VolumeRefStatus ref_status(const types::VolumeRefConfig& config) const;
    std::vector<const types::VolumeRefConfig*> refs_of(const std::string& key) const;
    std::uint64_t reserved_space() const;
    std::uint64_t left_space() const;
    void more_space();
    void look_for_space();

    Deps deps;

    std::unique_ptr<Publication<types::ContentTreeStatus>> tree_statuses;
    std::unique_ptr<Publication<types::BlobStatus>> blob_statuses;
    std::unique_ptr<Publication<types::VolumeStatus>> volume_statuses;
    std::unique_ptr<Publication<types::VolumeRefStatus>> ref_statuses;
    std::unique_ptr<Publication<types::DownloaderConfig>> downloads;
    std::unique_ptr<Publication<types::VerifyImageConfig>> verifications;
    std::unique_ptr<Publication<types::VolumeCreatePending>> pending;
    std::unique_ptr<Publication<types::DeferredContentDeleteStatus>> deferred_deletes;
    std::unique_ptr<Publication<types::VolumeMgrStatus>> own_status;
    std::unique_ptr<Publication<types::ResolveConfig>> resolves;
    std::unique_ptr<Publication<types::AppAndImageToHash>> latches;

    std::unique_ptr<Subscription<types::VaultStatus>> vault;
    std::unique_ptr<Subscription<types::ConfigItemValueMap>> settings_topic;
    std::unique_ptr<Subscription<types::Capabilities>> capabilities;
    std::unique_ptr<Subscription<types::ZedAgentStatus>> agent_status;
    std::unique_ptr<Subscription<types::DatastoreConfig>> datastores;
    std::unique_ptr<Subscription<types::ContentTreeConfig>> tree_configs;
    std::unique_ptr<Subscription<types::VolumeConfig>> volume_configs;
    std::unique_ptr<Subscription<types::VolumeRefConfig>> refs;
    std::unique_ptr<Subscription<types::DownloaderStatus>> download_statuses;
    std::unique_ptr<Subscription<types::VerifyImageStatus>> verify_statuses;
    std::unique_ptr<Subscription<types::DomainStatus>> domains;
    std::unique_ptr<Subscription<types::ResolveStatus>> resolve_statuses;

    types::ConfigItems settings;
    bool vault_ready = false, have_settings = false, preparing = false, prepared = false, begun = false, scheduled = false;
    bool volumes_seen = false;  ///< the first marker of VolumeConfig came
    bool gc_running = false, gc_done_once = false, content_collected = false, scanning_space = false, space_changed = false, short_of_space = false;
    std::optional<DiskSpace> space;
    std::optional<TimerId> space_timer, deferred_timer;

    std::map<std::string, Tree> trees;               ///< by content id
    std::map<std::string, types::BlobStatus> blobs;  ///< by digest
    std::map<std::string, Document> documents;       ///< by digest of an index or a manifest
    std::map<std::string, types::ResolveConfig> wanted_resolves;
    std::map<std::string, types::DownloaderConfig> wanted_downloads;
    std::map<std::string, types::VerifyImageConfig> wanted_verifications;
    std::set<std::string> tired_of;             ///< failed so often that the next try is an hour away
    std::set<std::string> reverify;             ///< must be forgotten by the verifier before it is asked again
    std::map<std::string, StoredImage> images;  ///< in the store, by name
    std::map<std::string, Volume> volumes;      ///< by key
    std::set<std::string> deferred;             ///< keys of VolumeConfigs that wait for the marker
    std::map<std::string, FoundVolume> found;   ///< on disk since before, by key
};

}  // namespace eve::volumemgr
