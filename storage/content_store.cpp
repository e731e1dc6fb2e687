#include "storage/content_store.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <map>
#include <optional>
#include <set>

#include "core/types/oci.hpp"
#include "storage/copy_file.hpp"
#include "storage/durable_file.hpp"
#include "storage/files.hpp"
#include "storage/hash.hpp"
#include "core/loop/unique_fd.hpp"

namespace eve::storage {
namespace {

constexpr std::size_t index_bytes_max = std::size_t{8} << 20;
constexpr std::size_t images_max = 4096;
constexpr std::string_view sha_prefix = "sha256:";
constexpr const char* blobs_annotation = "org.lfedge.eve.blobs";  ///< of an image that is not in this directory alone: all that it reaches

std::string digest_of(const std::string& sha256) { return std::string(sha_prefix) + sha256; }

/// The hex digits of "sha256:<hex>"; empty for anything else.
std::string sha_of(const std::string& digest) {
    if (!digest.starts_with(sha_prefix)) return {};
    std::string sha = digest.substr(sha_prefix.size());
    return is_sha256(sha) ? sha : std::string{};
}

/// What the annotation says, root first; nothing where there is none.
std::optional<std::vector<types::OciDescriptor>> annotated(const types::OciDescriptor& root) {
    const auto text = root.annotations.find(blobs_annotation);
    if (text == root.annotations.end()) return std::nullopt;
    auto all = from_json<types::OciIndex>(text->second);
    if (!all) return std::vector<types::OciDescriptor>{};
    return std::move(all->manifests);
}

bool is_container_image(const std::string& media_type) {
    const auto kind = types::oci_kind(media_type);
    return kind == types::OciKind::index || kind == types::OciKind::manifest;
}

class Store final : public volumemgr::ContentStore {
public:
    Store(std::string directory, ContentKeepers keepers) : directory_(std::move(directory)), kept_(directory_, std::move(keepers)) {
        if (const auto own = DurableDirectory::open(directory_)) own->remove_temporaries();  // of writes that an earlier life did not finish
    }

    Result<std::vector<volumemgr::StoredImage>> images() override {
        auto index = read_index();
        if (!index) return std::move(index).error();
        std::map<std::string, volumemgr::StoredImage> found;
        const auto kept = kept_.list(steadfast());
        for (const auto& root : index->manifests) {
            const auto name = root.annotations.find(std::string(types::oci_ref_name));
            if (name == root.annotations.end()) continue;
            volumemgr::StoredImage image{.name = name->second, .blobs = {}};
            const auto blobs = annotated(root);
            if (blobs ? whole(*blobs, kept, image.blobs) : reach(root, image.blobs, 0)) found.insert_or_assign(image.name, std::move(image));
        }
        std::vector<volumemgr::StoredImage> all;
        for (auto& [name, image] : found) all.push_back(std::move(image));
        return all;
    }

    Status ingest(const std::string& image, const std::vector<volumemgr::IncomingBlob>& blobs, const LaneContext& context) override {
        if (image.empty() || blobs.empty()) return Error{.code = Code::invalid_argument, .what = "an image needs a name and a root"};
        if (auto made = prepare(); !made) return made;
        auto index = read_index();
        if (!index) return std::move(index).error();
        const bool for_containers = is_container_image(blobs.front().media_type);
        types::OciIndex all;
        for (const auto& blob : blobs) {
            if (context.cancelled()) return Error{.code = Code::cancelled, .what = "loading was cancelled"};
            auto put = put_blob(blob, for_containers, context);
            if (!put) return std::move(put).error().in("blob " + blob.sha256.substr(0, 12));
            all.manifests.push_back({.mediaType = blob.media_type, .digest = digest_of(blob.sha256), .size = *put});
        }
        if (auto synced = sync_directory(directory_ + "/blobs/sha256"); !synced) return synced;
        forget(*index, image);
        if (index->manifests.size() >= images_max) return Error{.code = Code::resource_exhausted, .what = "the content store holds too many images"};
        types::OciDescriptor root = all.manifests.front();
        root.annotations.emplace(types::oci_ref_name, image);
        const auto keepers = kept_.names();
        if (!keepers) return keepers.error();
        if (for_containers && !keepers->empty()) root.annotations.emplace(blobs_annotation, to_json(all));
        index->manifests.push_back(std::move(root));
        return write_index(*index);
    }

    Result<std::string> read(const std::string& sha256, const std::string& from, std::uint64_t bytes_max) override {
        if (!is_sha256(sha256)) return Error{.code = Code::invalid_argument, .what = "not a sha256"};
        auto text = read_file(from.empty() ? path(sha256) : from, static_cast<std::size_t>(bytes_max));
        if (!text && text.error().code == Code::not_found && from.empty()) return kept_.read(sha256, bytes_max, steadfast());
        if (!text) return text;
        if (sha256_hex(*text) != sha256) return Error{.code = Code::not_found, .what = "blob " + sha256 + " is damaged"};
        return text;
    }

    Status remove(const std::string& image, const std::vector<std::string>& blobs) override {
        auto index = read_index();
        if (!index) return std::move(index).error();
        if (!image.empty() && forget(*index, image))
            if (auto written = write_index(*index); !written) return written;
        const std::set<std::string> reached = reachable(*index);
        for (const auto& sha256 : blobs) {
            if (!is_sha256(sha256) || reached.contains(sha256)) continue;
            if (unlink(path(sha256).c_str()) == 0) continue;
            if (errno != ENOENT) return os_error("remove blob " + sha256);
            if (auto dropped = kept_.drop(sha256, steadfast()); !dropped) return dropped;  // who does not answer is not asked for each
        }
        return {};
    }

    Result<std::uint64_t> collect(const std::vector<std::string>& keep) override {
        auto index = read_index();
        if (!index) return std::move(index).error();
        const std::set<std::string> names(keep.begin(), keep.end());
        const auto before = index->manifests.size();
        std::erase_if(index->manifests, [&names](const types::OciDescriptor& root) {
            const auto name = root.annotations.find(std::string(types::oci_ref_name));
            return name == root.annotations.end() || !names.contains(name->second);
        });
        if (index->manifests.size() != before)
            if (auto written = write_index(*index); !written) return std::move(written).error();
        auto files = list_directory(directory_ + "/blobs/sha256");
        if (!files && files.error().code != Code::not_found) return std::move(files).error();
        const std::set<std::string> reached = reachable(*index);
        std::uint64_t removed = 0;
        if (files)
            for (const auto& name : *files)
                if (!reached.contains(name) && unlink((directory_ + "/blobs/sha256/" + name).c_str()) == 0) ++removed;
        auto dropped = kept_.collect([&](const std::string& sha256) { return reached.contains(sha256); }, steadfast());
        if (!dropped) return std::move(dropped).error();
        return removed + *dropped;
    }

private:
    std::string path(const std::string& sha256) const { return blob_path(directory_, sha256); }

    Status prepare() const {
        if (auto made = make_directories(directory_ + "/blobs/sha256"); !made) return made;
        const std::string layout = directory_ + "/oci-layout";
        if (access(layout.c_str(), F_OK) == 0) return {};
        return write_durably(layout, R"({"imageLayoutVersion":"1.0.0"})");
    }

    Result<types::OciIndex> read_index() const {
        auto text = read_file(directory_ + "/index.json", index_bytes_max);
        if (!text && text.error().code == Code::not_found) return types::OciIndex{.mediaType = std::string(types::oci_media_index)};
        if (!text) return std::move(text).error();
        auto index = from_json<types::OciIndex>(*text);
        // Replaced as a whole: damage means a damaged disk. All content can be fetched again, so an empty store is the way on.
        if (!index) return types::OciIndex{.mediaType = std::string(types::oci_media_index)};
        return index;
    }

    Status write_index(const types::OciIndex& index) const { return write_durably(directory_ + "/index.json", to_json(index)); }

    static bool forget(types::OciIndex& index, const std::string& image) {
        return std::erase_if(index.manifests, [&image](const types::OciDescriptor& root) {
                   const auto name = root.annotations.find(std::string(types::oci_ref_name));
                   return name != root.annotations.end() && name->second == image;
               }) > 0;
    }

    /// Adds what `descriptor` reaches, itself first. False if something is missing or damaged.
    bool reach(const types::OciDescriptor& descriptor, std::vector<volumemgr::StoredBlob>& into, int depth) const {
        const std::string sha256 = sha_of(descriptor.digest);
        struct stat facts{};
        if (sha256.empty() || depth > 2 || stat(path(sha256).c_str(), &facts) != 0) return false;
        if (!S_ISREG(facts.st_mode) || static_cast<std::uint64_t>(facts.st_size) != descriptor.size) return false;
        into.push_back({.sha256 = sha256, .media_type = descriptor.mediaType, .size = descriptor.size});
        const auto kind = types::oci_kind(descriptor.mediaType);
        const bool is_index = kind == types::OciKind::index;
        if (!is_index && kind != types::OciKind::manifest) return true;
        const auto text = read_file(path(sha256), types::oci_manifest_bytes_max);
        if (!text || sha256_hex(*text) != sha256) return false;
        if (is_index) {
            const auto index = from_json<types::OciIndex>(*text);
            if (!index) return false;
            // An index is held with the one manifest that this machine uses.
            bool any = false;
            for (const auto& child : index->manifests)
                if (access(path(sha_of(child.digest)).c_str(), F_OK) == 0) any = reach(child, into, depth + 1) || any;
            return any;
        }
        const auto manifest = from_json<types::OciManifest>(*text);
        if (!manifest || !reach(manifest->config, into, depth + 1)) return false;
        for (const auto& layer : manifest->layers)
            if (!reach(layer, into, depth + 1)) return false;
        return true;
    }

    /// Whether all of it is somewhere; adds it. Who does not answer is believed to have what was given to it.
    bool whole(const std::vector<types::OciDescriptor>& all, const KeptContent::Listed& kept, std::vector<volumemgr::StoredBlob>& into) const {
        for (const auto& blob : all) {
            const std::string sha256 = sha_of(blob.digest);
            if (sha256.empty()) return false;
            struct stat facts{};
            const bool here = stat(path(sha256).c_str(), &facts) == 0 && static_cast<std::uint64_t>(facts.st_size) == blob.size;
            const auto there = kept.blobs.find(sha256);
            if (!here && !kept.unknown && (there == kept.blobs.end() || there->second != blob.size)) return false;
            into.push_back({.sha256 = sha256, .media_type = blob.mediaType, .size = blob.size});
        }
        return !all.empty();
    }

    std::set<std::string> reachable(const types::OciIndex& index) const {
        std::set<std::string> all;
        for (const auto& root : index.manifests) {
            if (const auto known = annotated(root)) {
                for (const auto& blob : *known) all.insert(sha_of(blob.digest));
                continue;
            }
            std::vector<volumemgr::StoredBlob> blobs;
            (void)reach(root, blobs, 0);
            for (const auto& blob : blobs) all.insert(blob.sha256);
        }
        return all;
    }

    /// The blob's size, when it is in the store.
    Result<std::uint64_t> put_blob(const volumemgr::IncomingBlob& blob, bool for_containers, const LaneContext& context) const {
        if (!is_sha256(blob.sha256)) return Error{.code = Code::invalid_argument, .what = "not a sha256"};
        const std::string to = path(blob.sha256);
        struct stat facts{};
        if (stat(to.c_str(), &facts) == 0) return static_cast<std::uint64_t>(facts.st_size);
        if (for_containers) {
            const auto held = kept_.hold(blob.sha256, context);
            if (held) return kept_.size(blob.sha256, context);
            if (blob.path.empty() && blob.content.empty() && held.error().code != Code::not_found) return held.error();
        }
        if (blob.path.empty() == blob.content.empty())
            return Error{.code = Code::invalid_argument, .what = "exactly one of a file and bytes is needed"};
        if (!blob.content.empty() && sha256_hex(blob.content) != blob.sha256)
            return Error{.code = Code::failed_precondition, .what = "the bytes have another digest"};
        if (for_containers && !kept_.into().empty()) return give(blob, context);
        auto written = blob.content.empty() ? put_file(blob.path, to, context) : write_durably(to, blob.content);
        if (!written) return std::move(written).error();
        if (stat(to.c_str(), &facts) != 0) return os_error("look at " + to);
        return static_cast<std::uint64_t>(facts.st_size);
    }

    /// The blob goes to the runtime that keeps it.
    Result<std::uint64_t> give(const volumemgr::IncomingBlob& blob, const LaneContext& context) const {
        const UniqueFd source(blob.content.empty() ? open(blob.path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : memfd_create("blob", MFD_CLOEXEC));
        if (!source) return os_error("open " + blob.path);
        if (!blob.content.empty() && write(source.get(), blob.content.data(), blob.content.size()) != static_cast<ssize_t>(blob.content.size()))
            return os_error("memory for a blob");
        struct stat facts{};
        if (fstat(source.get(), &facts) != 0) return os_error("look at " + blob.path);
        const auto size = static_cast<std::uint64_t>(facts.st_size);
        if (auto put = kept_.put(blob.sha256, source.get(), size, context); !put) return std::move(put).error();
        return size;
    }

    static Status put_file(const std::string& from, const std::string& to, const LaneContext& context) {
        const UniqueFd source(open(from.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
        if (!source) return os_error("open " + from);
        if (link(from.c_str(), to.c_str()) == 0) return {};
        const std::string temporary = to + ".tmp";
        (void)unlink(temporary.c_str());
        auto copied = copy_to(source.get(), temporary, context);
        if (!copied || rename(temporary.c_str(), to.c_str()) != 0) {
            const Error error = copied ? os_error("keep " + to) : std::move(copied).error();
            (void)unlink(temporary.c_str());
            return error;
        }
        return {};
    }

    static Status copy_to(int source, const std::string& temporary, const LaneContext& context) {
        const UniqueFd fd(open(temporary.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0400));
        if (!fd) return os_error("write " + temporary);
        if (auto copied = copy_file(source, fd.get(), {}, context); !copied) return copied;
        return fsync(fd.get()) == 0 ? Status{} : Status(os_error("write " + temporary));
    }

    std::string directory_;
    KeptContent kept_;
};

}  // namespace

std::unique_ptr<volumemgr::ContentStore> make_content_store(std::string directory, ContentKeepers keepers) {
    return std::make_unique<Store>(std::move(directory), std::move(keepers));
}

std::string blob_path(const std::string& directory, const std::string& sha256) { return directory + "/blobs/sha256/" + sha256; }

}  // namespace eve::storage
