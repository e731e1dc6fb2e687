#include "core/types/oci.hpp"

#include <algorithm>
#include <array>

#include "core/types/describe.hpp"

namespace eve::types {
namespace {

constexpr std::string_view sha_prefix = "sha256:";

/// An index or a manifest, before it is known which.
struct OciDocument {
    std::int64_t schemaVersion = 0;
    std::string mediaType;
    std::optional<OciDescriptor> config;
    std::vector<OciDescriptor> layers;
    std::vector<OciDescriptor> manifests;
    std::vector<std::map<std::string, std::string>> fsLayers;
    EVE_RECORD(OciDocument)
};
EVE_DESCRIBE(OciDocument, (), (schemaVersion, mediaType, config, layers, manifests, fsLayers))

struct Known {
    std::string_view media_type;
    OciKind kind;
    OciPacking packing = OciPacking::none;
};
constexpr std::array known{
    Known{oci_media_index, OciKind::index},
    Known{docker_media_list, OciKind::index},
    Known{oci_media_manifest, OciKind::manifest},
    Known{docker_media_manifest, OciKind::manifest},
    Known{oci_media_config, OciKind::config},
    Known{docker_media_config, OciKind::config},
    Known{oci_media_layer, OciKind::layer},
    Known{"application/vnd.oci.image.layer.v1.tar+gzip", OciKind::layer, OciPacking::gzip},
    Known{"application/vnd.oci.image.layer.v1.tar+zstd", OciKind::layer, OciPacking::zstd},
    Known{"application/vnd.oci.image.layer.nondistributable.v1.tar", OciKind::layer},
    Known{"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", OciKind::layer, OciPacking::gzip},
    Known{"application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", OciKind::layer, OciPacking::zstd},
    Known{"application/vnd.docker.image.rootfs.diff.tar", OciKind::layer},
    Known{"application/vnd.docker.image.rootfs.diff.tar.gzip", OciKind::layer, OciPacking::gzip},
    Known{"application/vnd.docker.image.rootfs.diff.tar.zstd", OciKind::layer, OciPacking::zstd},
    Known{"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", OciKind::layer, OciPacking::gzip},
};

/// Without parameters and in lower case: "Application/JSON; charset=utf-8" is "application/json".
std::string plain_type(std::string_view media_type) {
    std::string plain(media_type.substr(0, media_type.find(';')));
    while (!plain.empty() && plain.back() == ' ') plain.pop_back();
    for (char& c : plain)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
    return plain;
}

/// Text of an image in a message: short and printable.
std::string quoted(std::string_view text) {
    std::string out = "'";
    for (const char c : text.substr(0, 80)) out += static_cast<unsigned char>(c) >= 0x20 && static_cast<unsigned char>(c) < 0x7f ? c : '?';
    return out + "'";
}

Error bad(std::string what) { return Error{.code = Code::invalid_argument, .what = std::move(what)}; }

/// Servers that know no better serve manifests as these.
bool says_nothing(std::string_view plain) {
    return plain.empty() || plain == "application/json" || plain == "application/octet-stream" || plain == "text/plain" || plain == "binary/octet-stream";
}

Status check(const OciDescriptor& descriptor, const std::string& name, OciKind kind, std::uint64_t size_max) {
    if (oci_sha256(descriptor.digest).empty()) return bad(name + " has the digest " + quoted(descriptor.digest) + ", which is not sha256");
    if (oci_kind(descriptor.mediaType) != kind) return bad(name + " has the media type " + quoted(descriptor.mediaType));
    if (descriptor.size == 0 || descriptor.size > size_max) return bad(name + " says to have " + std::to_string(descriptor.size) + " bytes");
    return {};
}

Result<OciDocument> read(std::string_view json, std::string_view media_type, OciKind& kind) {
    if (json.size() > oci_manifest_bytes_max) return bad("the manifest is longer than " + std::to_string(oci_manifest_bytes_max) + " bytes");
    auto document = from_json<OciDocument>(json);
    if (!document) return bad("the manifest cannot be read: " + document.error().what);
    const std::string said = plain_type(media_type), own = plain_type(document->mediaType);
    if (!document->fsLayers.empty() || said.find("manifest.v1+") != std::string::npos || said.find("manifest.v1.") != std::string::npos) {
        if (oci_kind(said) != OciKind::manifest || !document->fsLayers.empty())
            return Error{.code = Code::unsupported, .what = "Docker's first form of manifests (schema 1) is not read"};
    }
    if (document->schemaVersion != 2) return bad("the manifest is of schema version " + std::to_string(document->schemaVersion) + ", not 2");
    if (!says_nothing(said) && !own.empty() && said != own)
        return bad("the manifest says to be " + quoted(own) + " and was announced as " + quoted(said));
    const std::string& type = own.empty() && !says_nothing(said) ? said : own;
    const bool index = !document->manifests.empty(), manifest = document->config.has_value() || !document->layers.empty();
    if (index && manifest) return bad("the manifest has both layers and other manifests");
    if (!index && !manifest && oci_kind(type) != OciKind::index) return bad("the manifest has neither layers nor other manifests");
    kind = index || !manifest ? OciKind::index : OciKind::manifest;
    if (!type.empty() && oci_kind(type) != kind)
        return bad("the manifest says to be " + quoted(type) + " and is " + (kind == OciKind::index ? "an index" : "a manifest"));
    return document;
}

}  // namespace

EVE_DESCRIBE(OciPlatform, (), (architecture, os))
EVE_DESCRIBE(OciDescriptor, (), (mediaType, digest, size, platform, annotations), omitempty("platform", "annotations"))
EVE_DESCRIBE(OciManifest, (), (schemaVersion, mediaType, config, layers))
EVE_DESCRIBE(OciIndex, (), (schemaVersion, mediaType, manifests))
EVE_DESCRIBE(OciRootFs, (), (type, diff_ids))
EVE_DESCRIBE(OciConfig, (), (architecture, os, rootfs))
EVE_DESCRIBE(OciToken, (), (token, access_token))

OciKind oci_kind(std::string_view media_type) {
    const std::string plain = plain_type(media_type);
    for (const auto& entry : known)
        if (entry.media_type == plain) return entry.kind;
    return OciKind::other;
}

std::optional<OciPacking> oci_packing(std::string_view media_type) {
    const std::string plain = plain_type(media_type);
    for (const auto& entry : known)
        if (entry.media_type == plain && entry.kind == OciKind::layer) return entry.packing;
    return std::nullopt;
}

std::string oci_sha256(std::string_view digest) {
    if (!digest.starts_with(sha_prefix)) return {};
    digest.remove_prefix(sha_prefix.size());
    if (digest.size() != 64 || digest.find_first_not_of("0123456789abcdef") != std::string_view::npos) return {};
    return std::string(digest);
}

OciTarget oci_here() {
#if defined(__aarch64__)
    return {.architecture = "arm64"};
#elif defined(__riscv)
    return {.architecture = "riscv64"};
#else
    return {.architecture = "amd64"};
#endif
}

Result<OciKind> oci_document_kind(std::string_view json, std::string_view media_type) {
    OciKind kind{};
    if (auto document = read(json, media_type, kind); !document) return std::move(document).error();
    return kind;
}

Result<OciDescriptor> choose_oci_manifest(std::string_view json, std::string_view media_type, const OciTarget& target) {
    OciKind kind{};
    auto document = read(json, media_type, kind);
    if (!document) return std::move(document).error();
    if (kind != OciKind::index) return bad("a manifest is where an index was announced");
    if (document->manifests.size() > oci_platforms_max) return bad("the index names " + std::to_string(document->manifests.size()) + " manifests");
    for (const auto& entry : document->manifests) {
        if (!entry.platform || entry.platform->os != "linux" || entry.platform->architecture != target.architecture) continue;
        if (oci_kind(entry.mediaType) == OciKind::index) return bad("the index names another index");
        if (auto checked = check(entry, "the manifest for linux/" + target.architecture, OciKind::manifest, oci_manifest_bytes_max); !checked)
            return std::move(checked).error();
        return entry;
    }
    return Error{.code = Code::unsupported, .what = "no manifest found for this platform (linux/" + target.architecture + ")"};
}

Result<OciManifest> parse_oci_manifest(std::string_view json, std::string_view media_type) {
    OciKind kind{};
    auto document = read(json, media_type, kind);
    if (!document) return std::move(document).error();
    if (kind != OciKind::manifest) return bad("an index is where a manifest was announced");
    if (!document->config) return bad("the manifest names no config");
    if (auto checked = check(*document->config, "the config", OciKind::config, oci_manifest_bytes_max); !checked) return std::move(checked).error();
    if (document->layers.empty()) return bad("the manifest names no layer");
    if (document->layers.size() > oci_layers_max) return bad("the image has " + std::to_string(document->layers.size()) + " layers");
    for (std::size_t i = 0; i < document->layers.size(); ++i)
        if (auto checked = check(document->layers[i], "layer " + std::to_string(i + 1), OciKind::layer, oci_blob_bytes_max); !checked)
            return std::move(checked).error();
    // Content that is a layer under one name and the config under another would be checked as one and used as the other.
    for (const auto& layer : document->layers)
        if (layer.digest == document->config->digest) return bad("the config is also a layer");
    for (const auto& layer : document->layers)
        for (const auto& other : document->layers)
            if (layer.digest == other.digest && (layer.size != other.size || layer.mediaType != other.mediaType))
                return bad("a layer is named twice, with another size or media type");
    return OciManifest{.schemaVersion = document->schemaVersion,
                       .mediaType = document->mediaType,
                       .config = *std::move(document->config),
                       .layers = std::move(document->layers)};
}

Result<OciConfig> parse_oci_config(std::string_view json, std::size_t layers, const OciTarget& target) {
    if (json.size() > oci_manifest_bytes_max) return bad("the image's config is longer than " + std::to_string(oci_manifest_bytes_max) + " bytes");
    auto config = from_json<OciConfig>(json);
    if (!config) return bad("the image's config cannot be read: " + config.error().what);
    if (!config->os.empty() && config->os != "linux")
        return Error{.code = Code::unsupported, .what = "the image is for " + quoted(config->os) + ", not for linux"};
    if (!config->architecture.empty() && config->architecture != target.architecture)
        return Error{.code = Code::unsupported, .what = "the image is for " + quoted(config->architecture) + ", this node is " + target.architecture};
    if (config->rootfs.diff_ids.size() != layers)
        return bad("the image's config names " + std::to_string(config->rootfs.diff_ids.size()) + " layers, its manifest " + std::to_string(layers));
    for (const auto& id : config->rootfs.diff_ids)
        if (oci_sha256(id).empty()) return bad("the image's config names the layer " + quoted(id) + ", which is not sha256");
    return config;
}

}  // namespace eve::types
