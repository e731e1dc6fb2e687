// What registries and the images in them say: challenges, documents, names, layers.

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "core/downloader/plan.hpp"
#include "core/loop/unique_fd.hpp"
#include "core/types/config_items.hpp"
#include "core/types/oci.hpp"
#include "core/volumemgr/plan.hpp"
#include "eve/exec.hpp"
#include "eve/sdk/codec.hpp"
#include "storage/container_volume.hpp"
#include "storage/fetch/auth_challenge.hpp"
#include "storage/unpack/layer.hpp"
#include "tests/doubles/temp_dir.hpp"
#include "tests/fuzz/targets.hpp"

namespace eve::fuzz {

namespace fetch = storage::fetch;
namespace unpack = storage::unpack;
namespace fs = std::filesystem;

namespace {

bool printable(std::string_view text) {
    for (const char c : text)
        if (static_cast<unsigned char>(c) <= 0x20 || static_cast<unsigned char>(c) >= 0x7f) return false;
    return true;
}

bool digest_like(const std::string& text) { return volumemgr::is_sha256(text); }

}  // namespace

void auth_challenge(std::string_view bytes) {
    for (const auto& challenge : fetch::parse_challenges(bytes)) {
        if (challenge.scheme != fetch::AuthScheme::bearer) continue;
        const auto url = fetch::token_url(challenge, "repository:a/b:pull");
        require(printable(url), "a URL has no blanks and no control characters");
        require(url.starts_with("http://") || url.starts_with("https://"), "a token server is asked over HTTP");
        require(url.find('#') == std::string::npos, "a URL has no fragment");
    }
    require(printable(fetch::parse_token(bytes)), "a token fits into a header");
}

// The first byte chooses what the registry called it, and where it stood.
void oci_document(std::string_view bytes) {
    if (bytes.empty()) return;
    const auto choice = static_cast<unsigned char>(bytes[0]);
    const std::string json(bytes.substr(1));
    constexpr std::string_view media[] = {"", types::oci_media_index, types::oci_media_manifest, types::docker_media_list, types::docker_media_manifest};
    const std::string media_type(media[choice % 5]);
    const auto nesting = (choice & 0x80) != 0 ? volumemgr::Nesting::in_index : volumemgr::Nesting::root;
    const auto document = volumemgr::read_image_document(json, media_type, nesting);
    if (document) {
        require(!document->parts.empty() && document->parts.size() <= types::oci_layers_max + 1, "it is made of some parts and of no more than may be");
        for (const auto& part : document->parts) {
            require(digest_like(part.sha256), "a part is named by a digest");
            require(part.size <= types::oci_blob_bytes_max, "a part's size can be");
            require(types::oci_kind(part.media_type) != types::OciKind::index, "an index names no index");
        }
    } else {
        require(!document.error().what.empty(), "a refusal has a sentence");
        require(document.error().code == Code::invalid_argument || document.error().code == Code::unsupported, "and nothing another try could mend");
    }
    if (const auto config = types::parse_oci_config(json, choice % 4, types::oci_here()))
        require(config->rootfs.diff_ids.size() == choice % 4, "a config has its layers' digests");
}

void image_reference(std::string_view bytes) {
    types::DatastoreConfig datastore;
    datastore.UUID = types::Uuid::parse_or_nil("d0000000-0000-0000-0000-000000000001");
    datastore.DsType = "DsContainerRegistry";
    const auto split = bytes.find('\n');
    datastore.Fqdn = "docker://registry.example:5000";
    if (split != std::string_view::npos) datastore.Fqdn = std::string(bytes.substr(0, split));
    const std::string name(split == std::string_view::npos ? bytes : bytes.substr(split + 1));
    const types::ConfigItems items;
    if (const auto source = downloader::source_of(datastore, name, false, items)) {
        require(source->url.starts_with("http://") || source->url.starts_with("https://"), "a registry is asked over HTTP");
        require(printable(source->url) && printable(source->fallback_url), "a URL has no blanks and no control characters");
        require(printable(source->registry_scope), "nor has a scope");
        require(source->url.find("/../") == std::string::npos, "and no way up");
    }
    (void)downloader::digest_in_name(name);  // whatever is there: who uses it looks whether it is one
    (void)volumemgr::with_digest(name, std::string(64, 'a'));
    (void)volumemgr::beside(name, std::string(64, 'a'));
}

// The first byte chooses the packing. Beside the root lies something that must not change.
void image_layer(std::string_view bytes) {
    if (bytes.empty()) return;
    constexpr types::OciPacking packings[] = {types::OciPacking::none, types::OciPacking::gzip, types::OciPacking::zstd};
    const TempDir beside;
    const fs::path root = beside.path() / "root", other = beside.path() / "other";
    fs::create_directories(root / "etc");
    fs::create_directory(other);
    fs::create_symlink("../../other", root / "etc/out");
    fs::create_symlink(other, root / "absolute");
    std::ofstream(other / "secret") << "unchanged";
    {
        const UniqueFd layer(::memfd_create("layer", MFD_CLOEXEC)), directory(::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        const auto rest = bytes.substr(1);
        require(::write(layer.get(), rest.data(), rest.size()) == static_cast<ssize_t>(rest.size()) && ::lseek(layer.get(), 0, SEEK_SET) == 0, "a layer");
        const unpack::Budget budget{.bytes = 1U << 20, .entries = 100};
        const auto facts = unpack::unpack_layer(layer.get(), directory.get(), packings[static_cast<unsigned char>(bytes[0]) % 3], budget);
        if (facts) require(facts->bytes <= budget.bytes && facts->entries <= budget.entries && digest_like(facts->diff_id), "within its budget");
        else require(!facts.error().what.empty(), "a refusal has a sentence");
    }
    std::string secret;
    std::ifstream(other / "secret") >> secret;
    require(secret == "unchanged" && std::distance(fs::directory_iterator(other), {}) == 1, "nothing outside the root was touched");
    require(std::distance(fs::directory_iterator(beside.path()), {}) == 2, "nothing outside the root was made");
    require(storage::remove_tree(root).ok(), "what was unpacked can be removed");
}

// What evectl, the node and a plugin say to each other in a session.
void exec_session(std::string_view bytes) {
    ExecFrames frames;
    for (std::size_t at = 0; at < bytes.size(); at += 7) {
        frames.append(bytes.substr(at, 7));
        while (true) {
            const auto frame = frames.next();
            if (!frame) return;
            if (!*frame) break;
            require((*frame)->body.size() <= exec_frame_max, "a frame is within its limit");
            if ((*frame)->kind != ExecFrame::request) continue;
            const auto request = sdk::decode<ExecRequest>((*frame)->body, sdk::Strictness::must_understand, {});
            require(!request || request->session.fd == -1, "nobody names a descriptor that he did not send");
        }
    }
}

}  // namespace eve::fuzz
