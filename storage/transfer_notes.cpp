#include "storage/transfer_notes.hpp"

#include "core/types/describe.hpp"
#include "storage/hash.hpp"

namespace eve::storage {

EVE_DESCRIBE(ProgressPart, (), (i, s))
EVE_DESCRIBE(ProgressParts, (), (PartSize, Parts))
EVE_DESCRIBE(ProgressFile, (), (version, hash, parts, etag, last_modified))
EVE_DESCRIBE(DigestNote, (), (sha256, size, device, inode, modified_s, modified_ns, changed_s, changed_ns))

std::string progress_path(const std::string& target) { return target + ".progress"; }
std::string digest_path(const std::string& target) { return target + ".digest"; }

std::string format_progress(const ResumePoint& point) {
    ProgressFile file;
    file.parts.PartSize = 0;
    file.parts.Parts.push_back({.i = 0, .s = static_cast<std::int64_t>(point.offset)});
    file.hash = sha256_hex(to_json(file.parts));
    file.etag = point.etag;
    file.last_modified = point.last_modified;
    return to_json(file);
}

std::optional<ResumePoint> parse_progress(std::string_view text) {
    const auto file = from_json<ProgressFile>(text);
    if (!file || file->version != 1 || file->parts.Parts.size() != 1) return std::nullopt;
    const ProgressPart& part = file->parts.Parts.front();
    if (part.i != 0 || part.s < 0 || file->hash != sha256_hex(to_json(file->parts))) return std::nullopt;
    return ResumePoint{.offset = static_cast<std::uint64_t>(part.s), .etag = file->etag, .last_modified = file->last_modified};
}

DigestNote make_digest_note(const struct stat& facts, std::string sha256) {
    DigestNote note;
    note.sha256 = std::move(sha256);
    note.size = static_cast<std::uint64_t>(facts.st_size);
    note.device = facts.st_dev;
    note.inode = facts.st_ino;
    note.modified_s = facts.st_mtim.tv_sec;
    note.modified_ns = facts.st_mtim.tv_nsec;
    note.changed_s = facts.st_ctim.tv_sec;
    note.changed_ns = facts.st_ctim.tv_nsec;
    return note;
}

std::optional<std::string> noted_digest(std::string_view text, const struct stat& facts) {
    const auto note = from_json<DigestNote>(text);
    if (!note || !is_sha256(note->sha256) || !(*note == make_digest_note(facts, note->sha256))) return std::nullopt;
    return note->sha256;
}

}  // namespace eve::storage
