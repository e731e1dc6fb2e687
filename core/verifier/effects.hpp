#pragma once
// What the verifier needs of the world: its two directories, and hashing. No network is behind any of it. Plain blocking calls, made in lanes.
// storage/ implements them on Linux, tests/doubles in simulation.

#include <cstdint>
#include <string>
#include <vector>

#include "core/loop/loop.hpp"
#include "eve/result.hpp"

namespace eve::verifier {

struct VerifyRequest {
    std::string pending;     ///< absolute path of the file that was received
    std::string sha256;      ///< what it must be: 64 lower-case hex digits
    std::string media_type;  ///< kept in the file's name, since records do not survive a reboot
};

/// One file under verified/, as it was found.
struct VerifiedFile {
    std::string location;
    std::string sha256;
    std::string media_type;
    std::uint64_t size = 0;
};

class VerifyFiles {
public:
    virtual ~VerifyFiles() = default;
    /// `pending` is out of the receiver's reach, was found to have `sha256`, and lies under verified/, read-only, when this returns success. A digest
    /// that was noted while receiving is taken instead of reading again, if the file is exactly the one that was noted. [lane]
    ///
    /// Errors: failed_precondition - another digest ("computed X configured Y"): the file is gone; not_found - no pending file; cancelled;
    ///         resource_exhausted, unavailable - the disk.
    virtual Result<VerifiedFile> verify(const VerifyRequest& request, const LaneContext& context) = 0;
    /// What is under verified/ and still has its digest, each file read again; what has not, or has no name of a verified file, is removed, and
    /// so is all that a verification left half-done. [lane]
    virtual Result<std::vector<VerifiedFile>> recheck(const LaneContext& context) = 0;
    /// Nothing of that digest is in either directory. Idempotent. [lane]
    virtual Status forget(const std::string& sha256) = 0;
};

}  // namespace eve::verifier
