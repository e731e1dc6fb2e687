#pragma once
// Records of the OCI image specification and of Docker's older forms of them: what a content store and its images are described by. Not topics.
// The readers here are the only ones: whatever a registry says is taken for hostile, and what they return can be relied on.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/types/codec.hpp"
#include "eve/result.hpp"

namespace eve::types {

inline constexpr std::string_view oci_media_index = "application/vnd.oci.image.index.v1+json";
inline constexpr std::string_view oci_media_manifest = "application/vnd.oci.image.manifest.v1+json";
inline constexpr std::string_view oci_media_config = "application/vnd.oci.image.config.v1+json";
inline constexpr std::string_view oci_media_layer = "application/vnd.oci.image.layer.v1.tar";
inline constexpr std::string_view docker_media_list = "application/vnd.docker.distribution.manifest.list.v2+json";
inline constexpr std::string_view docker_media_manifest = "application/vnd.docker.distribution.manifest.v2+json";
inline constexpr std::string_view docker_media_config = "application/vnd.docker.container.image.v1+json";
inline constexpr std::string_view oci_ref_name = "org.opencontainers.image.ref.name";

inline constexpr std::size_t oci_manifest_bytes_max = std::size_t{4} << 20;  ///< of an index, a manifest or a config
inline constexpr std::size_t oci_layers_max = 127;                           ///< what Docker and overlay file systems can stack
inline constexpr std::size_t oci_platforms_max = 1024;                       ///< entries of one index
inline constexpr std::uint64_t oci_blob_bytes_max = std::uint64_t{1} << 40;
inline constexpr std::size_t oci_media_type_bytes_max = 150;

struct OciPlatform {
    std::string architecture;
    std::string os;
    EVE_RECORD(OciPlatform)
};

struct OciDescriptor {
    std::string mediaType;
    std::string digest;  ///< "sha256:" and 64 hex digits
    std::uint64_t size = 0;
    std::optional<OciPlatform> platform;
    std::map<std::string, std::string> annotations;
    EVE_RECORD(OciDescriptor)
};

struct OciManifest {
    std::int64_t schemaVersion = 2;
    std::string mediaType;
    OciDescriptor config;
    std::vector<OciDescriptor> layers;
    EVE_RECORD(OciManifest)
};

struct OciIndex {
    std::int64_t schemaVersion = 2;
    std::string mediaType;
    std::vector<OciDescriptor> manifests;
    EVE_RECORD(OciIndex)
};

/// The layers' digests, as a config names them.
struct OciRootFs {
    std::string type = "layers";
    std::vector<std::string> diff_ids;
    EVE_RECORD(OciRootFs)
};

struct OciConfig {
    std::string architecture;
    std::string os;
    OciRootFs rootfs;
    EVE_RECORD(OciConfig)
};

/// What a registry's token server answers.
struct OciToken {
    std::string token;
    std::string access_token;
    EVE_RECORD(OciToken)
};

/// What a blob of a media type is, and how a layer is packed.
enum class OciKind : std::uint8_t { other, index, manifest, config, layer };
enum class OciPacking : std::uint8_t { none, gzip, zstd };
OciKind oci_kind(std::string_view media_type);
/// Of a layer's media type; nothing for any other.
std::optional<OciPacking> oci_packing(std::string_view media_type);

/// 64 lower-case hex digits of "sha256:<hex>"; empty for anything else.
std::string oci_sha256(std::string_view digest);

/// The os is always linux.
struct OciTarget {
    std::string architecture;
};
/// The architecture that this program was compiled for, as OCI spells it.
OciTarget oci_here();

/// The one manifest of an index that `target` runs: the first that fits. Its media type, digest and size can be.
///
/// Errors: invalid_argument - not an index of `media_type` (empty: unknown yet), or one that names what cannot be; unsupported - nothing for `target`
/// ("no manifest found for this platform").
Result<OciDescriptor> choose_oci_manifest(std::string_view json, std::string_view media_type, const OciTarget& target);

/// A manifest with one config and 1 to oci_layers_max layers, every media type, digest and size of which can be.
///
/// Errors: invalid_argument - not a manifest of `media_type` (empty: unknown yet), or one that lies or nests; unsupported - a form that is not read.
Result<OciManifest> parse_oci_manifest(std::string_view json, std::string_view media_type);

/// The config of an image of `layers` layers. Errors: invalid_argument; unsupported - made for another machine.
Result<OciConfig> parse_oci_config(std::string_view json, std::size_t layers, const OciTarget& target);

/// What `json` is by its own account, and by `media_type` if that says anything; index and manifest only.
/// Errors: invalid_argument - both or neither, or it says another thing than `media_type`; unsupported.
Result<OciKind> oci_document_kind(std::string_view json, std::string_view media_type);

}  // namespace eve::types
