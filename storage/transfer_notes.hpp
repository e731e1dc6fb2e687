#pragma once
// The two small files beside a pending download: how far it is (EVE's .progress, so that either program continues the other's), and what it hashed
// to while it was received. A note is evidence: it counts only while the file is exactly the one it was written for.

#include <sys/stat.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/types/codec.hpp"
#include "eve/result.hpp"

namespace eve::storage {

struct ProgressPart {
    std::int64_t i = 0;
    std::int64_t s = 0;
    EVE_RECORD(ProgressPart)
};

struct ProgressParts {
    std::int64_t PartSize = 0;
    std::vector<ProgressPart> Parts;
    EVE_RECORD(ProgressParts)
};

/// EVE's file plus the two validators, which EVE ignores.
struct ProgressFile {
    std::int64_t version = 1;
    std::string hash;  ///< SHA-256 of the JSON of `parts`
    ProgressParts parts;
    std::string etag;
    std::string last_modified;
    EVE_RECORD(ProgressFile)
};

/// What was computed over one file while it was received, and which file that was.
struct DigestNote {
    std::string sha256;
    std::uint64_t size = 0, device = 0, inode = 0;
    std::int64_t modified_s = 0, modified_ns = 0, changed_s = 0, changed_ns = 0;
    EVE_RECORD(DigestNote)
};

struct ResumePoint {
    std::uint64_t offset = 0;
    std::string etag;
    std::string last_modified;
};

std::string progress_path(const std::string& target);
std::string digest_path(const std::string& target);

std::string format_progress(const ResumePoint& point);
/// Nothing if the text is damaged, of another version or not of one stream.
std::optional<ResumePoint> parse_progress(std::string_view text);

/// The note for a file with these facts.
DigestNote make_digest_note(const struct stat& facts, std::string sha256);
/// The digest, if `text` is a note about exactly the file with these facts.
std::optional<std::string> noted_digest(std::string_view text, const struct stat& facts);

}  // namespace eve::storage
