#pragma once
// volumemgr's decisions as pure functions: names, space, who may use what, what to say of failures.

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/types/config_items.hpp"
#include "core/types/volume.hpp"
#include "core/volumemgr/effects.hpp"
#include "eve/result.hpp"

namespace eve::volumemgr {

/// "<volume>#<both counters added up>".
std::string volume_key(const types::Uuid& id, std::int64_t generation, std::int64_t local_generation);
template <class Record>
std::string volume_key(const Record& record) {
    return volume_key(record.VolumeID, record.GenerationCounter, record.LocalGenerationCounter);
}
/// "<volume>#<sum>#<app>".
std::string volume_ref_key(const types::VolumeRefConfig& config);
/// PERSIST/{vault,clear}/volumes/<id>#<sum>.<format in lower case>.
std::string volume_path(const std::string& persist, const types::VolumeStatus& volume);
/// The content store's name for a tree's image: "<content id>-<url>".
std::string image_name(const types::ContentTreeStatus& tree);
/// PERSIST/vault/downloader/pending/<sha256 of what makes the request>.<blob>: the same after a reboot, another when source or size change.
std::string pending_path(const std::string& persist, const types::BlobStatus& blob, std::uint64_t size_max);

/// Whether `text` is exactly 64 hex digits: nothing else may become part of a path.
bool is_sha256(const std::string& text);
std::string lower(std::string text);

/// An image of one disk: a manifest and a config made here, so that the store can hold it like any other image.
struct MadeImage {
    std::string manifest, manifest_sha256;
    std::string config, config_sha256;
};
MadeImage make_disk_image(const std::string& blob_sha256, std::uint64_t blob_size, const std::string& media_type);

/// Where a tag's digest is kept, so that it is resolved once: EVE's "<nil>.<content>[.<generation>]".
std::string latch_key(const types::ContentTreeStatus& tree);
/// "<datastore>+<name>+<counter>", where the name is one that a file can have.
std::string resolve_key(const types::ResolveConfig& config);
/// "nginx:1.25" with the digest in the tag's place; a name that has a digest keeps the one it has.
std::string with_digest(const std::string& url, const std::string& sha256);
/// The name of another blob beside the one that `url` names.
std::string beside(const std::string& url, const std::string& sha256);

/// A blob that an index or a manifest names.
struct ImagePart {
    std::string sha256;
    std::string media_type;
    std::uint64_t size = 0;
    friend bool operator==(const ImagePart&, const ImagePart&) = default;
};
/// What an index or a manifest is, and what of it this node needs: the manifest for its platform, or config and layers.
struct ImageDocument {
    std::string media_type;
    std::vector<ImagePart> parts;
};
enum class Nesting : std::uint8_t { root, in_index };
/// Errors: invalid_argument, unsupported - with the reason; nothing another try could mend.
Result<ImageDocument> read_image_document(const std::string& json, const std::string& media_type, Nesting nesting);

/// What a volume counts for: all it may grow to, if it is an app's to write into, else what it takes.
std::uint64_t usage_of(const types::VolumeStatus& volume, const types::VolumeConfig* config);
/// What of the disk is kept from apps.
std::uint64_t reserved_for_node(const DiskSpace& space, const types::ConfigItems& items);
/// What is left for apps when `reserved` is spoken for.
std::uint64_t remaining_space(const DiskSpace& space, std::uint64_t reserved, const types::ConfigItems& items);

/// Whether a volume is to stop at LOADED: as long as every app that refers to it says so, or none does and the config has such apps.
bool verify_only(const types::VolumeConfig* config, const std::vector<const types::VolumeRefConfig*>& refs);

/// What `now` asks for that cannot be had without a new generation: empty if nothing.
std::string needs_regeneration(const types::VolumeConfig& accepted, const types::VolumeConfig& now);

/// One text and one worst case of several errors: what a tree shows of its blobs.
types::ErrorDescription aggregate(const std::vector<types::ErrorDescription>& errors, const std::string& separator);

/// When a failed job is tried again; nothing: only when its input changes.
std::optional<std::chrono::seconds> retry_delay(Code code, unsigned failures);

}  // namespace eve::volumemgr
