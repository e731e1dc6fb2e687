#include "core/volumemgr/plan.hpp"

#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <limits>

#include "core/types/oci.hpp"

namespace eve::volumemgr {
namespace {

constexpr std::uint64_t mebibyte = std::uint64_t{1} << 20;

std::string sha256_hex(const std::string& bytes) {
    std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
    SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), digest.data());
    static constexpr char digits[] = "0123456789abcdef";
    std::string text;
    for (const unsigned char byte : digest) {
        text += digits[byte >> 4];
        text += digits[byte & 15];
    }
    return text;
}

std::uint64_t add(std::uint64_t a, std::uint64_t b) {
    return a > std::numeric_limits<std::uint64_t>::max() - b ? std::numeric_limits<std::uint64_t>::max() : a + b;
}

}  // namespace

std::string volume_key(const types::Uuid& id, std::int64_t generation, std::int64_t local_generation) {
    // Wraps as Go's addition does; both are the controller's numbers.
    return id.to_string() + "#" +
           std::to_string(static_cast<std::int64_t>(static_cast<std::uint64_t>(generation) + static_cast<std::uint64_t>(local_generation)));
}

std::string volume_ref_key(const types::VolumeRefConfig& config) { return volume_key(config) + "#" + config.AppUUID.to_string(); }

std::string volume_path(const std::string& persist, const types::VolumeStatus& volume) {
    return persist + (volume.Encrypted ? "/vault" : "/clear") + "/volumes/" + volume_key(volume) + "." +
           lower(types::to_string(volume.ContentFormat));
}

std::string image_name(const types::ContentTreeStatus& tree) { return tree.ContentID.to_string() + "-" + tree.RelativeURL; }

std::string pending_path(const std::string& persist, const types::BlobStatus& blob, std::uint64_t size_max) {
    std::string text;
    for (const auto& id : blob.DatastoreIDList) text.append(id.bytes().begin(), id.bytes().end());
    text += blob.RelativeURL + std::to_string(size_max);
    return persist + "/vault/downloader/pending/" + sha256_hex(text) + "." + blob.Sha256;
}

bool is_sha256(const std::string& text) { return text.size() == 64 && text.find_first_not_of("0123456789abcdefABCDEF") == std::string::npos; }

std::string lower(std::string text) {
    for (char& c : text)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
    return text;
}

MadeImage make_disk_image(const std::string& blob_sha256, std::uint64_t blob_size, const std::string& media_type) {
    MadeImage made;
    types::OciConfig config;
    config.architecture = types::oci_here().architecture;
    config.os = "linux";
    config.rootfs.diff_ids.push_back("sha256:" + blob_sha256);
    made.config = to_json(config);
    made.config_sha256 = sha256_hex(made.config);
    types::OciManifest manifest;
    manifest.mediaType = types::oci_media_manifest;
    manifest.config = {.mediaType = std::string(types::oci_media_config), .digest = "sha256:" + made.config_sha256, .size = made.config.size()};
    manifest.layers.push_back({.mediaType = media_type, .digest = "sha256:" + blob_sha256, .size = blob_size});
    made.manifest = to_json(manifest);
    made.manifest_sha256 = sha256_hex(made.manifest);
    return made;
}

std::string latch_key(const types::ContentTreeStatus& tree) {
    return types::Uuid{}.to_string() + "." + tree.ContentID.to_string() + (tree.GenerationCounter == 0 ? "" : "." + std::to_string(tree.GenerationCounter));
}

std::string resolve_key(const types::ResolveConfig& config) {
    // A key is a file's name; the image's name is the controller's.
    constexpr std::size_t name_bytes_max = 120;
    std::string name;
    for (const char c : config.Name) name += c == '/' ? "%2F" : static_cast<unsigned char>(c) < 0x20 ? "?" : std::string(1, c);
    if (name.size() > name_bytes_max) name = sha256_hex(config.Name);
    return config.DatastoreID.to_string() + "+" + name + "+" + std::to_string(config.Counter);
}

std::string with_digest(const std::string& url, const std::string& sha256) {
    if (url.find('@') != std::string::npos) return url;
    const auto slash = url.rfind('/'), colon = url.rfind(':');
    const bool tagged = colon != std::string::npos && (slash == std::string::npos || colon > slash);  // else it is a port's
    return url.substr(0, tagged ? colon : url.size()) + "@sha256:" + sha256;
}

std::string beside(const std::string& url, const std::string& sha256) { return with_digest(url.substr(0, url.find('@')), sha256); }

Result<ImageDocument> read_image_document(const std::string& json, const std::string& media_type, Nesting nesting) {
    auto kind = types::oci_document_kind(json, media_type);
    if (!kind) return std::move(kind).error();
    const auto part = [](const types::OciDescriptor& descriptor) {
        return ImagePart{.sha256 = types::oci_sha256(descriptor.digest), .media_type = descriptor.mediaType, .size = descriptor.size};
    };
    ImageDocument document;
    if (*kind == types::OciKind::index) {
        if (nesting != Nesting::root) return Error{.code = Code::invalid_argument, .what = "the index names another index"};
        auto chosen = types::choose_oci_manifest(json, media_type, types::oci_here());
        if (!chosen) return std::move(chosen).error();
        document.media_type = types::oci_kind(media_type) == *kind ? media_type : std::string(types::oci_media_index);
        document.parts.push_back(part(*chosen));
        return document;
    }
    auto manifest = types::parse_oci_manifest(json, media_type);
    if (!manifest) return std::move(manifest).error();
    document.media_type = types::oci_kind(media_type) == *kind ? media_type : std::string(types::oci_media_manifest);
    document.parts.push_back(part(manifest->config));
    for (const auto& layer : manifest->layers) document.parts.push_back(part(layer));
    return document;
}

std::uint64_t usage_of(const types::VolumeStatus& volume, const types::VolumeConfig* config) {
    const auto current = static_cast<std::uint64_t>(std::max<std::int64_t>(volume.CurrentSize, 0));
    return config == nullptr || config->ReadOnly || config->HasNoAppReferences ? current : volume.MaxVolSize;
}

std::uint64_t reserved_for_node(const DiskSpace& space, const types::ConfigItems& items) {
    const std::uint64_t other = space.used_bytes > space.app_bytes ? space.used_bytes - space.app_bytes : 0;
    const std::uint64_t most = items.number("storage.dom0.disk.maxusagebytes");
    const std::uint64_t share = space.total_bytes / 100 * items.number("storage.dom0.disk.minusage.percent");
    // Logs have their own quota beside the rest (EVE adds its megabytes as bytes).
    const std::uint64_t logs = items.number("newlog.gzipfiles.ondisk.maxmegabytes") * mebibyte;
    return add(logs, most < other ? other : std::min(share, most));
}

std::uint64_t remaining_space(const DiskSpace& space, std::uint64_t reserved, const types::ConfigItems& items) {
    const std::uint64_t taken = add(reserved_for_node(space, items), reserved);
    return taken >= space.total_bytes ? 0 : space.total_bytes - taken;
}

bool verify_only(const types::VolumeConfig* config, const std::vector<const types::VolumeRefConfig*>& refs) {
    if (refs.empty()) return config == nullptr || !config->HasNoAppReferences;
    return std::all_of(refs.begin(), refs.end(), [](const auto* ref) { return ref->VerifyOnly; });
}

std::string needs_regeneration(const types::VolumeConfig& accepted, const types::VolumeConfig& now) {
    std::string what;
    const auto differs = [&what](bool changed, const char* name) {
        if (changed) what += (what.empty() ? "" : ", ") + std::string(name);
    };
    differs(accepted.ContentID != now.ContentID, "ContentID");
    differs(accepted.VolumeContentOriginType != now.VolumeContentOriginType, "VolumeContentOriginType");
    differs(accepted.MaxVolSize != now.MaxVolSize, "MaxVolSize");
    differs(accepted.ReadOnly != now.ReadOnly, "ReadOnly");
    return what.empty() ? what : "Need volume regeneration due to " + what + " but generation counter not incremented";
}

types::ErrorDescription aggregate(const std::vector<types::ErrorDescription>& errors, const std::string& separator) {
    types::ErrorDescription all;
    for (const auto& error : errors) {
        if (error.Error.empty()) continue;
        all.Error += (all.Error.empty() ? "" : separator) + error.Error;
        all.ErrorSeverity = std::max(all.ErrorSeverity, error.ErrorSeverity);
        all.ErrorTime = std::max(all.ErrorTime, error.ErrorTime);
        if (!error.ErrorRetryCondition.empty()) all.ErrorRetryCondition = error.ErrorRetryCondition;
        all.ErrorEntities.insert(all.ErrorEntities.end(), error.ErrorEntities.begin(), error.ErrorEntities.end());
    }
    // A retry condition is what makes an error pass for a passing one.
    if (!all.Error.empty() && all.ErrorRetryCondition.empty()) all.ErrorSeverity = types::ErrorSeverity::ErrorSeverityError;
    return all;
}

std::optional<std::chrono::seconds> retry_delay(Code code, unsigned failures) {
    constexpr std::chrono::seconds first{10}, limit{600};
    switch (code) {
        case Code::unavailable:
        case Code::timed_out:
        case Code::resource_exhausted:
        case Code::already_exists:
        case Code::not_found:
        case Code::internal: break;
        default: return std::nullopt;
    }
    auto delay = first;
    for (unsigned i = 1; i < failures && delay < limit; ++i) delay *= 2;
    return std::min(delay, limit);
}

}  // namespace eve::volumemgr
