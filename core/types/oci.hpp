#pragma once
// Records of the OCI image specification: what a content store and its images are described by. Not topics.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/types/codec.hpp"

namespace eve::types {

inline constexpr std::string_view oci_media_index = "application/vnd.oci.image.index.v1+json";
inline constexpr std::string_view oci_media_manifest = "application/vnd.oci.image.manifest.v1+json";
inline constexpr std::string_view oci_media_config = "application/vnd.oci.image.config.v1+json";
inline constexpr std::string_view oci_media_layer = "application/vnd.oci.image.layer.v1.tar";
inline constexpr std::string_view oci_ref_name = "org.opencontainers.image.ref.name";

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

}  // namespace eve::types
