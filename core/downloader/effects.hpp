#pragma once
// What the downloader needs of the world: one transfer at a time per call, and the directory of pending files. Plain blocking calls, made in
// lanes. storage/ implements them on Linux, tests/doubles in simulation.

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/loop/loop.hpp"
#include "eve/result.hpp"

namespace eve::downloader {

/// One object to receive into one file.
struct FetchRequest {
    std::string url;                           ///< http:// or https://, complete, query included byte for byte
    std::string fallback_url;                  ///< of the same server, asked when `url` is not found; empty: none
    std::string authorization;                 ///< value of the Authorization header; a secret; empty: none
    std::string registry_scope;                ///< of a container registry: what a token is asked for; empty: not a registry
    std::string user;                          ///< for the registry or its token server; secrets
    std::string password;
    std::vector<std::string> ca_certificates;  ///< PEM, trusted beside the system's
    std::string source_address;                ///< local address to send from; empty: the kernel's choice
    std::string target;                        ///< absolute path of the pending file
    std::uint64_t size_max = 0;                ///< 0: no limit
    std::chrono::seconds stall_limit{600};     ///< no progress for so long ends the attempt
    bool start_over = false;                   ///< what an earlier attempt left is thrown away
};

struct FetchProgress {
    std::uint64_t current = 0;
    std::uint64_t total = 0;  ///< 0: the server did not say
    friend bool operator==(const FetchProgress&, const FetchProgress&) = default;
};

/// What was received: all of it is in the target file and durable.
struct FetchOutcome {
    std::uint64_t size = 0;
    std::string sha256;  ///< of the whole file, lower-case hex, computed while receiving
    std::string content_type;
};

class Transport {
public:
    virtual ~Transport() = default;
    /// The object of `request.url` is in `request.target`, with its digest noted beside it, when this returns success. What an interrupted call
    /// left is continued if the server still serves the same content. `progress` is called in the lane. [lane]
    ///
    /// Errors: unavailable - network or server, try again (retry_after: the server's wish); timed_out - no progress; resource_exhausted - no space;
    ///         cancelled; not_found, permission_denied - the server says so; failed_precondition - larger than size_max, or a redirect that is not
    ///         followed; invalid_argument, unsupported - the URL.
    virtual Result<FetchOutcome> fetch(const FetchRequest& request, const std::function<void(FetchProgress)>& progress,
                                       const LaneContext& context) = 0;
    /// The digest of what a registry has under `request.url`, a manifest: 64 lower-case hex digits of the very bytes it served. `target` is not used.
    /// [lane]
    ///
    /// Errors: those of fetch; failed_precondition - longer than a manifest may be.
    virtual Result<std::string> resolve(const FetchRequest& request, const LaneContext& context) = 0;
};

/// The directory that transfers write into.
class PendingFiles {
public:
    virtual ~PendingFiles() = default;
    /// The target, its progress and its digest note are gone. Nothing there is success. [lane]
    virtual Status remove(const std::string& target) = 0;
    /// Every pending file is removed that belongs to none of `targets`; returns how many. [lane]
    virtual Result<std::uint64_t> remove_others(const std::vector<std::string>& targets) = 0;
};

}  // namespace eve::downloader
