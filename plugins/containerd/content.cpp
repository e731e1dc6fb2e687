#include "containerd/content.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

namespace eve::containerd {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds call_max = 28s;   // a call is back within 30 s
constexpr std::chrono::milliseconds step_max = 15s;   // of moving bytes: what comes after them needs time, too
constexpr std::chrono::milliseconds clear_max = 5s;
constexpr auto rival_pause = 200ms;
constexpr unsigned abort_tries = 10;
constexpr std::size_t piece = std::size_t{1} << 20;
constexpr const char* root_label = "containerd.io/gc.root";
constexpr const char* attempt_prefix = "evenode-";

bool is_digest(std::string_view text) {
    constexpr std::string_view prefix = "sha256:";
    return text.size() == prefix.size() + 64 && text.starts_with(prefix) &&
           text.find_first_not_of("0123456789abcdef", prefix.size()) == std::string_view::npos;
}
Error no_digest() { return {.code = Code::invalid_argument, .what = "not a digest: sha256: and 64 digits", .field = ".digest"}; }

/// containerd 1 asks only whether the label is there. It is meant to be a time, in later versions perhaps that of its end: it has none.
constexpr const char* for_ever = "9999-12-31T23:59:59Z";
std::map<std::string, std::string> held_labels() { return {{root_label, for_ever}}; }

ContentInfo info_of(const Blob& blob) { return {.digest = blob.digest, .size = {blob.size}, .held = blob.labels.contains(root_label)}; }

Error system_error(std::string_view what) {
    const Code code = errno == ENOSPC || errno == EDQUOT || errno == EFBIG ? Code::resource_exhausted : Code::unavailable;
    return {.code = code, .what = std::string(what) + ": " + std::strerror(errno)};
}

}  // namespace

Result<ContentInfo> ContainerdContent::stat(const CallContext& call, const std::string& digest) {
    if (!is_digest(digest)) return no_digest();
    auto blob = containerd_.blob(digest, Limit(call, call_max));
    if (!blob) return std::move(blob).error();
    return info_of(*blob);
}

Result<ContentWritten> ContainerdContent::write(const CallContext& call, const ContentWrite& content) {
    if (!is_digest(content.digest)) return no_digest();
    const Limit limit(call, call_max);
    const auto kept = [&](const Blob& blob) -> Result<ContentWritten> {
        if (blob.size != content.size.n)
            return Error{.code = Code::invalid_argument,
                         .what = "it is kept already, with " + std::to_string(blob.size) + " bytes",
                         .field = ".size_bytes"};
        if (!blob.labels.contains(root_label))
            if (auto held = containerd_.label_blob(content.digest, root_label, for_ever, limit); !held) return std::move(held).error();
        return ContentWritten{.stored = content.size, .complete = true};
    };
    if (const auto there = containerd_.blob(content.digest, limit)) return kept(*there);
    else if (there.error().code != Code::not_found) return there.error();

    struct stat facts{};
    if (::fstat(content.source.fd, &facts) != 0 || !S_ISREG(facts.st_mode) || static_cast<std::uint64_t>(facts.st_size) != content.size.n)
        return Error{.code = Code::invalid_argument, .what = "the source is no file of the size said", .field = ".source"};
    if (auto made = containerd_.make_namespace(limit); !made) return std::move(made).error();

    const BlobPlan plan{.attempt = attempt_prefix + content.digest, .digest = content.digest, .size = content.size.n, .labels = held_labels()};
    const Limit step = limit.within(std::min<std::chrono::nanoseconds>(step_max, limit.left() / 2));
    const auto source = [&](std::uint64_t offset) -> Result<std::string> {
        if (step.cancelled()) return Error{.code = Code::cancelled, .what = "the caller gave up"};
        if (step.left() <= 0ns) return std::string{};
        std::string bytes(static_cast<std::size_t>(std::min<std::uint64_t>(piece, content.size.n - offset)), '\0');
        ssize_t got = 0;
        do got = ::pread(content.source.fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
        while (got < 0 && errno == EINTR);
        if (got < 0) return system_error("read the source");
        if (got == 0) return Error{.code = Code::invalid_argument, .what = "the source ends before its size", .field = ".source"};
        bytes.resize(static_cast<std::size_t>(got));
        return bytes;
    };
    auto written = containerd_.write_blob(plan, source, limit);
    if (written) return ContentWritten{.stored = {written->stored}, .complete = written->complete};
    auto error = std::move(written).error();
    if (error.code == Code::already_exists)
        if (const auto there = containerd_.blob(content.digest, limit)) return kept(*there);
    if (error.code == Code::failed_precondition) {
        error.code = Code::unavailable;
        error.retry_after = rival_pause;
    }
    if (error.code == Code::invalid_argument) {
        // Whoever gave up, what lied goes.
        const auto gone = containerd_.abort_attempt(plan.attempt, Limit(clear_max, -1));
        if (!gone && gone.error().code != Code::not_found) return gone.error();
    }
    return error;
}

Result<ContentPart> ContainerdContent::read(const CallContext& call, const ContentRead& part) {
    if (!is_digest(part.digest)) return no_digest();
    const Limit limit(call, call_max);
    const auto blob = containerd_.blob(part.digest, limit);
    if (!blob) return blob.error();
    if (const int mode = ::fcntl(part.target.fd, F_GETFL); mode < 0 || (mode & O_ACCMODE) == O_RDONLY)
        return Error{.code = Code::invalid_argument, .what = "the target cannot be written", .field = ".target"};
    if (part.offset.n >= blob->size) return ContentPart{};
    std::uint64_t size = blob->size - part.offset.n;
    if (part.size.n > 0) size = std::min(size, part.size.n);
    const Limit step = limit.within(std::min<std::chrono::nanoseconds>(step_max, limit.left() / 2));
    std::uint64_t done = 0;
    std::optional<Error> failed;
    const auto sink = [&](std::string_view bytes) -> Status {
        while (!bytes.empty()) {
            const auto put = ::pwrite(part.target.fd, bytes.data(), bytes.size(), static_cast<off_t>(part.offset.n + done));
            if (put < 0 && errno == EINTR) continue;
            if (put < 0) return *(failed = system_error("write the target"));
            bytes.remove_prefix(static_cast<std::size_t>(put));
            done += static_cast<std::uint64_t>(put);
        }
        if (step.left() <= 0ns) return Error{.code = Code::timed_out, .what = "the step is over"};
        return {};
    };
    const auto read = containerd_.read_blob(part.digest, part.offset.n, size, sink, limit);
    if (failed) return *failed;
    // What has arrived has arrived.
    if (!read && done == 0) return read.error();
    return ContentPart{.size = {done}};
}

Result<ContentPage> ContainerdContent::list(const CallContext& call, const std::string& after) {
    if (!after.empty() && !is_digest(after)) return no_digest();
    auto blobs = containerd_.blobs(Limit(call, call_max));
    if (!blobs) return std::move(blobs).error();
    std::erase_if(*blobs, [&](const Blob& blob) { return !is_digest(blob.digest) || blob.digest <= after; });
    std::sort(blobs->begin(), blobs->end(), [](const Blob& a, const Blob& b) { return a.digest < b.digest; });
    ContentPage page{.contents = {}, .more = blobs->size() > content_page_max};
    blobs->resize(std::min(blobs->size(), content_page_max));
    for (const auto& blob : *blobs) page.contents.push_back(info_of(blob));
    return page;
}

Status ContainerdContent::remove(const CallContext& call, const std::string& digest) {
    if (!is_digest(digest)) return no_digest();
    const Limit limit(call, call_max);
    const auto blob = containerd_.blob(digest, limit);
    if (!blob && blob.error().code != Code::not_found) return blob.error();
    if (blob && blob->labels.contains(root_label)) return Error{.code = Code::failed_precondition, .what = "it is held: release it first"};
    const auto gone = [](const Status& status) { return status || status.error().code == Code::not_found; };
    // A writer that was given up a moment ago may still be in containerd, and put files back while they are removed.
    auto aborted = containerd_.abort_attempt(attempt_prefix + digest, limit);
    for (unsigned i = 1; !aborted && aborted.error().code == Code::failed_precondition && i < abort_tries; ++i) {
        if (const auto wait = limit.wait(-1, 0, rival_pause); wait != Limit::Wait::ready) return Limit::error(wait, "removing what is half-written");
        aborted = containerd_.abort_attempt(attempt_prefix + digest, limit);
    }
    if (!gone(aborted)) {
        auto error = std::move(aborted).error();
        if (error.code == Code::failed_precondition) error.code = Code::unavailable;
        return error;
    }
    if (!blob) return {};
    if (auto deleted = containerd_.delete_blob(digest, limit); !gone(deleted)) return deleted;
    // Until then it is only not listed any more: its bytes are there.
    return containerd_.collect_garbage(limit);
}

Status ContainerdContent::protect(const CallContext& call, const ContentProtection& protection) {
    if (!is_digest(protection.digest)) return no_digest();
    const Limit limit(call, call_max);
    if (protection.hold == ContentHold::held) return containerd_.label_blob(protection.digest, root_label, for_ever, limit);
    if (protection.hold != ContentHold::released) return Error{.code = Code::invalid_argument, .what = "neither held nor released", .field = ".hold"};
    auto released = containerd_.label_blob(protection.digest, root_label, {}, limit);
    if (!released && released.error().code == Code::not_found) return {};
    return released;
}

}  // namespace eve::containerd
