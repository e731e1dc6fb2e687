#pragma once
// Image content that a runtime keeps itself (content/1): an optional part of a hypervisor's plugin, offered where `describe` lists it. Blobs by
// their digest, nothing more: which of them make an image, and who needs it, is the node's.

#include <cstdint>
#include <string>
#include <vector>

#include "eve/domain.hpp"
#include "eve/host.hpp"
#include "eve/result.hpp"

namespace eve {
EVE_SDK_NAMESPACE {

/// A blob that is whole and has the digest it goes by: "sha256:" and 64 lower-case hexadecimal digits.
struct ContentInfo {
    std::string digest;
    Bytes size;
    bool held = false;  ///< the runtime may not take it away
    friend bool operator==(const ContentInfo&, const ContentInfo&) = default;
};

/// Content to keep. `source` is a regular file or a memfd, as long as `size`, read by position from its start, dup'ed by who needs it longer than
/// the call.
struct ContentWrite {
    std::string digest;
    Bytes size;
    Fd source;
    friend bool operator==(const ContentWrite&, const ContentWrite&) = default;
};

/// How far a write has come.
struct ContentWritten {
    Bytes stored;           ///< of the content, from its start
    bool complete = false;  ///< it is kept, and held
    friend bool operator==(const ContentWritten&, const ContentWritten&) = default;
};

/// A part of a blob, wanted in `target`: a regular file or a memfd, open for writing, in which each byte gets the position that it has in the blob.
struct ContentRead {
    std::string digest;
    Bytes offset;
    Bytes size;  ///< at most so much; 0: all the rest
    Fd target;
    friend bool operator==(const ContentRead&, const ContentRead&) = default;
};

/// What one call of read() wrote into the target, from the offset asked for.
struct ContentPart {
    Bytes size;
    friend bool operator==(const ContentPart&, const ContentPart&) = default;
};

/// Part of the list, in the order of digests.
struct ContentPage {
    std::vector<ContentInfo> contents;
    bool more = false;  ///< there are some behind the last one of these
    friend bool operator==(const ContentPage&, const ContentPage&) = default;
};
inline constexpr std::size_t content_page_max = 4096;  ///< blobs in one page

/// Whether a blob is the node's to take away, or whoever else's. `released`: the runtime may collect it at any time, or keep it.
enum class ContentHold : std::uint8_t { unknown, held, released };

struct ContentProtection {
    std::string digest;
    ContentHold hold = ContentHold::unknown;
    friend bool operator==(const ContentProtection&, const ContentProtection&) = default;
};

/// Content by digest. Holds for every method what eve/hypervisor.hpp says of its methods. What is kept here outlives plugin, runtime and machine.
/// The plugin lists nothing but what was written through this interface or what someone put where this writes; of a digest it keeps one copy,
/// however many write it. A digest of another form than ContentInfo's is invalid_argument everywhere. Any method may answer unavailable or
/// timed_out while the runtime does not answer: nothing that was held is lost by that, and the same call can be made again.
class Content {
public:
    virtual ~Content() = default;

    /// What is kept under that digest. Has no effect. [lane]
    ///
    /// Errors: not_found - nothing whole is.
    virtual Result<ContentInfo> stat(const CallContext& call, const std::string& digest) = 0;

    /// The next step of keeping `content`: as much as goes into 30 s, the rest by further calls with the same arguments, which go on where the last
    /// one ended, also after another life of the plugin. When it is complete, it is durable, held, and its digest was computed from the bytes that
    /// are kept. What is there already is only held: nothing is read. Until it is complete, nobody finds it by stat(), read() or list(). Who
    /// writes the same digest meanwhile goes on with what is there, or waits. What is half-written and nobody goes on with is gone within a day,
    /// or with remove(). [lane]
    ///
    /// Errors: invalid_argument - the source has another digest or size than said: nothing of it stays; resource_exhausted - no space: what is
    ///         there stays for the next attempt; unavailable - also: somebody else writes it, with retry_after.
    /// Why: bytes travel by descriptor, and a layer may take longer than a call may.
    virtual Result<ContentWritten> write(const CallContext& call, const ContentWrite& content) = 0;

    /// The next step of reading: of the part asked for, at least one byte is in the target, at the place that it has in the blob; the rest by
    /// further calls with a greater offset. At or behind the end: nothing, and 0. The digest is not computed again: that is the reader's. [lane]
    ///
    /// Errors: not_found; invalid_argument - no target that can be written; resource_exhausted - no space for it.
    virtual Result<ContentPart> read(const CallContext& call, const ContentRead& part) = 0;

    /// Blobs with digests behind `after` (empty: from the first), held or not, never half-written ones; at most content_page_max. Has no effect.
    /// [lane]
    ///
    /// Errors: none of its own.
    virtual Result<ContentPage> list(const CallContext& call, const std::string& after) = 0;

    /// Neither that content nor half-written content of that digest is here, and its space is given back. Removing what is not here succeeds. [lane]
    ///
    /// Errors: failed_precondition - it is held: release it first.
    virtual Status remove(const CallContext& call, const std::string& digest) = 0;

    /// The blob is held: the runtime's own garbage collection leaves it alone, and remove() refuses it. Or it is released: neither holds any more.
    /// A blob is held once, however often that is asked. Releasing what is not here succeeds. [lane]
    ///
    /// Errors: not_found - nothing to hold; invalid_argument - neither held nor released.
    virtual Status protect(const CallContext& call, const ContentProtection& protection) = 0;
};

}  // EVE_SDK_NAMESPACE
}  // namespace eve
