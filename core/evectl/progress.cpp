#include "core/evectl/progress.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <set>

#include "core/types/app.hpp"
#include "core/types/oci.hpp"
#include "core/types/volume.hpp"

namespace eve::evectl {
namespace {

using types::SwState;

constexpr std::size_t digest_shown = 12;
constexpr std::size_t bar_width = 24;

std::string amount(std::uint64_t bytes) {
    static constexpr std::array units{"B", "KiB", "MiB", "GiB", "TiB"};
    std::size_t unit = 0;
    std::uint64_t tenths = bytes * 10;
    for (; tenths >= 10240 && unit + 1 < units.size(); ++unit) tenths /= 1024;
    return std::to_string(tenths / 10) + (unit > 0 && tenths < 1000 ? "." + std::to_string(tenths % 10) : "") + " " + units[unit];
}

const char* kind_of(const std::string& media_type) {
    switch (types::oci_kind(media_type)) {
        case types::OciKind::index: return "index";
        case types::OciKind::manifest: return "manifest";
        case types::OciKind::config: return "config";
        case types::OciKind::layer: return "layer";
        case types::OciKind::other: return "disk";
    }
    return "disk";
}

std::uint64_t at_least_none(std::int64_t value) { return static_cast<std::uint64_t>(std::max<std::int64_t>(value, 0)); }

}  // namespace

void RateMeter::see(std::uint64_t bytes, Instant now) {
    if (!seen_.empty() && bytes < seen_.back().bytes) seen_.clear();
    seen_.push_back({bytes, now});
    while (seen_.size() > 2 && seen_[1].at + window < now) seen_.pop_front();
}

std::uint64_t RateMeter::rate() const {
    if (seen_.size() < 2) return 0;
    const auto took = seen_.back().at - seen_.front().at;
    if (took <= std::chrono::nanoseconds{0}) return 0;
    return static_cast<std::uint64_t>(static_cast<double>(seen_.back().bytes - seen_.front().bytes) / std::chrono::duration<double>(took).count());
}

std::vector<BlobProgress> blobs_of(const NodeFiles& node, const AppName& app) {
    const auto blobs = node.table<types::BlobStatus>("volumemgr");
    const auto trees = node.table<types::ContentTreeStatus>("volumemgr");
    std::set<types::Uuid> volumes;
    for (const auto& [key, ref] : node.table<types::VolumeRefStatus>("volumemgr"))
        if (ref.AppUUID.to_string() == app.uuid) volumes.insert(ref.VolumeID);
    std::set<std::string> named;
    std::vector<BlobProgress> all;
    for (const auto& [key, volume] : node.table<types::VolumeStatus>("volumemgr")) {
        if (!volumes.contains(volume.VolumeID)) continue;
        for (const auto& [tree_key, tree] : trees) {
            if (tree.ContentID != volume.ContentID) continue;
            for (const auto& sha : tree.Blobs) {
                const auto blob = std::find_if(blobs.begin(), blobs.end(), [&sha](const auto& one) { return one.second.Sha256 == sha; });
                if (blob == blobs.end() || !named.insert(sha).second) continue;
                all.push_back({.digest = "sha256:" + sha,
                               .media_type = blob->second.MediaType,
                               .state = to_string(blob->second.State),
                               .bytes = at_least_none(blob->second.CurrentSize),
                               .bytes_total = at_least_none(blob->second.TotalSize)});
            }
        }
    }
    return all;
}

void BlobRates::see(std::vector<BlobProgress>& blobs, Instant now) {
    for (auto& blob : blobs) {
        auto& meter = meters_[blob.digest];
        meter.see(blob.bytes, now);
        blob.rate = meter.rate();
    }
}

std::vector<std::string> progress_bars(const std::vector<BlobProgress>& blobs, std::size_t columns, std::size_t rows) {
    std::vector<std::string> lines;
    std::size_t waiting = 0;
    for (const auto& blob : blobs) {
        if (blob.bytes_total == 0 || blob.state != to_string(SwState::DOWNLOADING)) continue;
        if (lines.size() + 1 >= rows) {
            ++waiting;
            continue;
        }
        const auto there = std::min(blob.bytes, blob.bytes_total);
        const auto filled = static_cast<std::size_t>(static_cast<double>(there) / static_cast<double>(blob.bytes_total) * static_cast<double>(bar_width));
        const auto percent = std::to_string(there * 100 / blob.bytes_total) + "%";
        std::string line = "  " + blob.digest.substr(blob.digest.find(':') + 1, digest_shown) + " " + kind_of(blob.media_type) + " [" + std::string(filled, '#') +
                           std::string(bar_width - filled, '.') + "] " + std::string(percent.size() < 4 ? 4 - percent.size() : 0, ' ') + percent + " of " +
                           amount(blob.bytes_total);
        if (blob.rate > 0) line += ", " + amount(blob.rate) + "/s";
        lines.push_back(line.substr(0, columns));
    }
    if (waiting > 0) lines.push_back(("  and " + std::to_string(waiting) + " more").substr(0, columns));
    return lines;
}

std::string progress_json(const AppProgress& app, const std::vector<BlobProgress>& blobs) {
    nlohmann::ordered_json parts = nlohmann::ordered_json::array();
    for (const auto& blob : blobs)
        parts.push_back({{"digest", blob.digest},
                         {"media_type", blob.media_type},
                         {"state", blob.state},
                         {"bytes", blob.bytes},
                         {"bytes_total", blob.bytes_total},
                         {"bytes_per_second", blob.rate}});
    const nlohmann::ordered_json all{{"state", app.state}, {"error", app.error}, {"line", app.line}, {"blobs", parts}};
    return all.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace eve::evectl
