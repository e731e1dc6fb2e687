#pragma once
// A server, a disk and what storage/ does with both, in memory: what downloader, verifier and volumemgr see of the world. Contents are texts, hashed
// by a function that is not SHA-256 but looks like it. Faults are drawn from a seed: errors, replies that are lost after the deed, wrong bytes.

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/downloader/effects.hpp"
#include "core/verifier/effects.hpp"
#include "core/volumemgr/effects.hpp"
#include "tests/doubles/prng.hpp"

namespace eve {

class SimStorage final : public downloader::Transport,
                         public downloader::PendingFiles,
                         public verifier::VerifyFiles,
                         public volumemgr::ContentStore,
                         public volumemgr::VolumeFiles {
public:
    struct Faults {
        unsigned fail_percent = 0;        ///< an effect does nothing and says so
        unsigned lost_reply_percent = 0;  ///< it is done, and said not to be
        unsigned wrong_percent = 0;       ///< a transfer brings other bytes
    };
    explicit SimStorage(Prng prng) : prng_(prng) {}

    void set_faults(Faults faults) { faults_ = faults; }
    /// 64 hex digits that stand for `content`.
    static std::string digest(const std::string& content);
    /// What the server has, by URL; returns its digest.
    std::string serve(const std::string& url, std::string content);

    Result<downloader::FetchOutcome> fetch(const downloader::FetchRequest& request, const std::function<void(downloader::FetchProgress)>& progress,
                                           const LaneContext& context) override;
    Result<std::string> resolve(const downloader::FetchRequest& request, const LaneContext& context) override;
    Status remove(const std::string& target) override;
    Result<std::uint64_t> remove_others(const std::vector<std::string>& targets) override;
    Result<verifier::VerifiedFile> verify(const verifier::VerifyRequest& request, const LaneContext& context) override;
    Status forget(const std::string& sha256) override;
    Result<std::vector<verifier::VerifiedFile>> recheck(const LaneContext& context) override;
    Result<std::vector<volumemgr::StoredImage>> images() override;
    Status ingest(const std::string& image, const std::vector<volumemgr::IncomingBlob>& blobs, const LaneContext& context) override;
    Result<std::string> read(const std::string& sha256, const std::string& path, std::uint64_t bytes_max) override;
    Status remove(const std::string& image, const std::vector<std::string>& blobs) override;
    Result<std::uint64_t> collect(const std::vector<std::string>& keep) override;
    Status recover() override;
    Result<std::vector<volumemgr::FoundVolume>> scan() override;
    Result<volumemgr::VolumeFacts> inspect(const std::string& path, types::Format format) override;
    Result<volumemgr::VolumeFacts> create(const volumemgr::VolumeOrder& order, const std::function<void(unsigned)>& progress,
                                          const LaneContext& context) override;
    Status destroy(const std::string& path) override;
    Result<volumemgr::DiskSpace> space(const LaneContext& context) override;

    struct VolumeFile {
        std::string content;  ///< empty: blank
        std::uint64_t size = 0;
        types::Uuid id;
        std::int64_t generation = 0;
        types::Format format = {};
    };
    std::map<std::string, std::string> served;    ///< URL to content
    std::map<std::string, std::string> pending;   ///< path to content
    std::map<std::string, std::string> verified;  ///< path to content
    std::map<std::string, std::string> media_types;
    std::map<std::string, std::string> blobs;  ///< digest to content
    std::map<std::string, volumemgr::StoredImage> stored;
    std::map<std::string, VolumeFile> volumes;  ///< by path
    std::set<std::string> half_made;            ///< paths a crash left
    std::uint64_t total_bytes = std::uint64_t{100} << 30;
    unsigned looks_at_the_disk = 0;
    std::size_t transfers = 0, resolves = 0, creates = 0, destroys = 0;
    std::string fail_creates;  ///< while not empty, creation fails with this text
    Code fail_code = Code::unavailable;
    std::optional<Error> fail_verify;  ///< while set, every verification fails with it

private:
    /// Draws whether this call does nothing.
    bool fails() { return prng_.chance(faults_.fail_percent); }
    bool reply_lost() { return prng_.chance(faults_.lost_reply_percent); }
    static Error broken() { return Error{.code = Code::unavailable, .what = "simulated failure"}; }
    static Error lost() { return Error{.code = Code::timed_out, .what = "simulated lost reply"}; }

    Prng prng_;
    Faults faults_;
};

}  // namespace eve
