#include "tests/doubles/sim_storage.hpp"

#include <algorithm>

namespace eve {
namespace {

/// FNV-1a, four times with another start.
std::string fake_digest(const std::string& content) {
    static constexpr char digits[] = "0123456789abcdef";
    std::string text;
    for (std::uint64_t round = 1; round <= 4; ++round) {
        std::uint64_t hash = 14695981039346656037U * round;
        for (const char c : content) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211U;
        hash ^= hash >> 29;
        for (int shift = 60; shift >= 0; shift -= 4) text += digits[(hash >> shift) & 15];
    }
    return text;
}

}  // namespace

std::string SimStorage::digest(const std::string& content) { return fake_digest(content); }

std::string SimStorage::serve(const std::string& url, std::string content) {
    std::string sha = digest(content);
    served.insert_or_assign(url, std::move(content));
    return sha;
}

Result<downloader::FetchOutcome> SimStorage::fetch(const downloader::FetchRequest& request,
                                                   const std::function<void(downloader::FetchProgress)>& progress, const LaneContext& context) {
    ++transfers;
    if (context.cancelled()) return Error{.code = Code::cancelled, .what = "download cancelled by user"};
    auto object = served.find(request.url);
    if (object == served.end()) object = served.find(request.fallback_url);
    if (object == served.end()) return Error{.code = Code::not_found, .what = "the server answered 404"};
    if (request.size_max != 0 && object->second.size() > request.size_max) return Error{.code = Code::failed_precondition, .what = "too large"};
    progress({.current = object->second.size() / 2, .total = object->second.size()});
    if (fails()) {
        pending[request.target] = object->second.substr(0, object->second.size() / 2);
        return broken();
    }
    std::string content = object->second;
    if (prng_.chance(faults_.wrong_percent)) content += "?";
    const std::string sha = digest(content);
    pending[request.target] = content;
    if (reply_lost()) return lost();
    return downloader::FetchOutcome{.size = content.size(), .sha256 = sha, .content_type = "application/octet-stream"};
}

Result<std::string> SimStorage::resolve(const downloader::FetchRequest& request, const LaneContext&) {
    ++resolves;
    if (fails()) return broken();
    const auto object = served.find(request.url);
    if (object == served.end()) return Error{.code = Code::not_found, .what = "the server answered 404"};
    if (reply_lost()) return lost();
    return digest(object->second);
}

Result<std::string> SimStorage::read(const std::string& sha256, const std::string& path, std::uint64_t bytes_max) {
    if (fails()) return broken();
    const auto& files = path.empty() ? blobs : verified;
    const auto file = files.find(path.empty() ? sha256 : path);
    if (file == files.end()) return Error{.code = Code::not_found, .what = "no blob " + sha256};
    if (file->second.size() > bytes_max) return Error{.code = Code::resource_exhausted, .what = "too long"};
    return file->second;
}

Status SimStorage::remove(const std::string& target) {
    if (fails()) return broken();
    pending.erase(target);
    return reply_lost() ? Status(lost()) : Status{};
}

Status SimStorage::forget(const std::string& sha256) {
    if (fails()) return broken();
    verified.erase("/verified/" + sha256);
    return reply_lost() ? Status(lost()) : Status{};
}

Result<std::uint64_t> SimStorage::remove_others(const std::vector<std::string>& targets) {
    return std::erase_if(pending, [&](const auto& file) { return std::find(targets.begin(), targets.end(), file.first) == targets.end(); });
}

Result<verifier::VerifiedFile> SimStorage::verify(const verifier::VerifyRequest& request, const LaneContext&) {
    if (fails()) return broken();
    if (fail_verify) return *fail_verify;
    const std::string path = "/verified/" + request.sha256;
    const auto file = pending.find(request.pending);
    if (file == pending.end()) {
        if (!verified.contains(path)) return Error{.code = Code::not_found, .what = "no file " + request.pending};
    } else {
        const std::string content = file->second;
        pending.erase(file);
        if (digest(content) != request.sha256)
            return Error{.code = Code::failed_precondition, .what = "computed " + digest(content) + " configured " + request.sha256};
        verified[path] = content;
        media_types[path] = request.media_type;
    }
    if (reply_lost()) return lost();
    return verifier::VerifiedFile{.location = path, .sha256 = request.sha256, .media_type = request.media_type, .size = verified[path].size()};
}

Result<std::vector<verifier::VerifiedFile>> SimStorage::recheck(const LaneContext&) {
    if (fails()) return broken();
    std::vector<verifier::VerifiedFile> files;
    for (const auto& [path, content] : verified)
        files.push_back({.location = path, .sha256 = digest(content), .media_type = media_types[path], .size = content.size()});
    return files;
}

Result<std::vector<volumemgr::StoredImage>> SimStorage::images() {
    if (fails()) return broken();
    std::vector<volumemgr::StoredImage> all;
    for (const auto& [name, image] : stored)
        if (std::all_of(image.blobs.begin(), image.blobs.end(), [this](const auto& blob) { return blobs.contains(blob.sha256); }))
            all.push_back(image);
    return all;
}

Status SimStorage::ingest(const std::string& image, const std::vector<volumemgr::IncomingBlob>& incoming, const LaneContext&) {
    if (fails()) return broken();
    volumemgr::StoredImage made{.name = image, .blobs = {}};
    for (const auto& blob : incoming) {
        if (!blobs.contains(blob.sha256)) {
            if (blob.path.empty() == blob.content.empty())
                return Error{.code = Code::invalid_argument, .what = "exactly one of a file and bytes is needed"};
            if (!blob.path.empty() && !verified.contains(blob.path)) return Error{.code = Code::not_found, .what = "no file " + blob.path};
            blobs[blob.sha256] = blob.path.empty() ? blob.content : verified[blob.path];
        }
        made.blobs.push_back({.sha256 = blob.sha256, .media_type = blob.media_type, .size = blobs[blob.sha256].size()});
    }
    stored.insert_or_assign(image, std::move(made));
    return reply_lost() ? Status(lost()) : Status{};
}

Status SimStorage::remove(const std::string& image, const std::vector<std::string>& of) {
    if (fails()) return broken();
    stored.erase(image);
    for (const auto& sha : of) {
        const bool reached = std::any_of(stored.begin(), stored.end(), [&](const auto& other) {
            return std::any_of(other.second.blobs.begin(), other.second.blobs.end(), [&](const auto& blob) { return blob.sha256 == sha; });
        });
        if (!reached) blobs.erase(sha);
    }
    return reply_lost() ? Status(lost()) : Status{};
}

Result<std::uint64_t> SimStorage::collect(const std::vector<std::string>& keep) {
    if (fails()) return broken();
    std::erase_if(stored, [&](const auto& image) { return std::find(keep.begin(), keep.end(), image.first) == keep.end(); });
    std::set<std::string> reached;
    for (const auto& [name, image] : stored)
        for (const auto& blob : image.blobs) reached.insert(blob.sha256);
    return std::erase_if(blobs, [&](const auto& blob) { return !reached.contains(blob.first); });
}

Status SimStorage::recover() {
    if (fails()) return broken();
    half_made.clear();
    return {};
}

Result<std::vector<volumemgr::FoundVolume>> SimStorage::scan() {
    if (fails()) return broken();
    std::vector<volumemgr::FoundVolume> found;
    for (const auto& [path, file] : volumes)
        found.push_back({.path = path,
                         .id = file.id,
                         .generation = file.generation,
                         .format = file.format,
                         .encrypted = path.find("/vault/") != std::string::npos});
    return found;
}

Result<volumemgr::VolumeFacts> SimStorage::inspect(const std::string& path, types::Format) {
    const auto file = volumes.find(path);
    if (file == volumes.end()) return Error{.code = Code::not_found, .what = "no file " + path};
    return volumemgr::VolumeFacts{.virtual_bytes = file->second.size, .disk_bytes = file->second.content.size()};
}

Result<volumemgr::VolumeFacts> SimStorage::create(const volumemgr::VolumeOrder& order, const std::function<void(unsigned)>& progress,
                                                  const LaneContext& context) {
    ++creates;
    if (context.cancelled()) return Error{.code = Code::cancelled, .what = "copying was cancelled"};
    if (!fail_creates.empty()) return Error{.code = fail_code, .what = fail_creates};
    if (volumes.contains(order.path)) return Error{.code = Code::already_exists, .what = order.path + " exists"};
    if (fails()) {
        half_made.insert(order.path);
        return broken();
    }
    VolumeFile file{.size = order.size_bytes, .format = order.format};
    if (!order.blob_sha256.empty()) {
        const auto blob = blobs.find(order.blob_sha256);
        if (blob == blobs.end()) return Error{.code = Code::not_found, .what = "no blob " + order.blob_sha256};
        file.content = blob->second;
        file.size = std::max<std::uint64_t>(file.size, blob->second.size());
    }
    progress(50);
    const auto name = order.path.substr(order.path.rfind('/') + 1);
    file.id = types::Uuid::parse_or_nil(name.substr(0, 36));
    file.generation = std::stoll(name.substr(37));
    const volumemgr::VolumeFacts facts{.virtual_bytes = file.size, .disk_bytes = file.content.size()};
    half_made.erase(order.path);
    volumes[order.path] = std::move(file);
    if (reply_lost()) return lost();
    return facts;
}

Status SimStorage::destroy(const std::string& path) {
    ++destroys;
    if (fails()) return broken();
    volumes.erase(path);
    half_made.erase(path);
    return reply_lost() ? Status(lost()) : Status{};
}

Result<volumemgr::DiskSpace> SimStorage::space(const LaneContext&) {
    ++looks_at_the_disk;
    volumemgr::DiskSpace space{.total_bytes = total_bytes};
    for (const auto& [path, file] : volumes) space.app_bytes += file.content.size();
    space.used_bytes = space.app_bytes;
    return space;
}

}  // namespace eve
