#pragma once
// What the plugin needs of containerd's content service, as plain values and blocking calls: the part that a fake stands in for. The true one
// speaks gRPC (grpc_content.cpp).

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/limit.hpp"
#include "eve/result.hpp"

namespace eve::containerd {

using plugins::Limit;

/// A blob as containerd lists it.
struct Blob {
    std::string digest;
    std::uint64_t size = 0;
    std::map<std::string, std::string> labels;
    friend bool operator==(const Blob&, const Blob&) = default;
};

/// A blob that is being written: containerd's name for the attempt, and what it shall be.
struct BlobPlan {
    std::string attempt;
    std::string digest;
    std::uint64_t size = 0;
    std::map<std::string, std::string> labels;  ///< which it has from its first moment
    friend bool operator==(const BlobPlan&, const BlobPlan&) = default;
};

/// Where the blob is after a call of write_blob().
struct BlobProgress {
    std::uint64_t stored = 0;
    bool complete = false;
    friend bool operator==(const BlobProgress&, const BlobProgress&) = default;
};

/// containerd's content, in one of its namespaces. Blocking; any thread. Beside the codes named, each may answer unavailable - containerd is not
/// there -, timed_out and cancelled.
class ContentApi {
public:
    virtual ~ContentApi() = default;

    /// The namespace exists.
    virtual Status make_namespace(const Limit& limit) = 0;
    /// Errors: not_found.
    virtual Result<Blob> blob(const std::string& digest, const Limit& limit) = 0;
    /// All there are, in no order.
    virtual Result<std::vector<Blob>> blobs(const Limit& limit) = 0;
    /// The attempt goes on where it stands: `source` gives the bytes from a position; none ends this call, and another
    /// one goes on from there. With the last byte it is a blob.
    ///
    /// Errors: those of `source`; already_exists - as a blob; invalid_argument - the bytes have another digest or size, and the attempt stands;
    ///         failed_precondition - somebody else is at this attempt; resource_exhausted.
    virtual Result<BlobProgress> write_blob(const BlobPlan& plan, const std::function<Result<std::string>(std::uint64_t offset)>& source,
                                            const Limit& limit) = 0;
    /// `sink` gets those bytes in order, in pieces; what it answers ends the reading. The part is within the blob.
    ///
    /// Errors: those of `sink`; not_found.
    virtual Status read_blob(const std::string& digest, std::uint64_t offset, std::uint64_t size,
                             const std::function<Status(std::string_view bytes)>& sink, const Limit& limit) = 0;
    /// One label is set; an empty value takes it away. Errors: not_found.
    virtual Status label_blob(const std::string& digest, const std::string& label, const std::string& value, const Limit& limit) = 0;
    /// Errors: not_found.
    virtual Status delete_blob(const std::string& digest, const Limit& limit) = 0;
    /// Nothing is left of an attempt. Errors: not_found.
    virtual Status abort_attempt(const std::string& attempt, const Limit& limit) = 0;
    /// containerd has collected its garbage.
    virtual Status collect_garbage(const Limit& limit) = 0;
};

/// The true one: the containerd that listens on the unix socket `address`, in its namespace `name`. Connects when it is first asked.
std::unique_ptr<ContentApi> connect_content(const std::string& address, const std::string& name);

}  // namespace eve::containerd
