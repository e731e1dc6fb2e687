#pragma once
// How far the blobs of an app's images are, and how fast they come: in a terminal a bar for each, for machines one line of JSON. No library of
// Debian 12 draws such bars for C++.

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "core/evectl/node_files.hpp"
#include "core/evectl/report.hpp"
#include "core/loop/loop.hpp"

namespace eve::evectl {

/// Speed out of what was seen: over the last few seconds, so that a pause is seen and a hiccup is not.
class RateMeter {
public:
    static constexpr std::chrono::seconds window{5};
    /// `bytes` of it were there at `now`. Less than before: it began anew.
    void see(std::uint64_t bytes, Instant now);
    /// Bytes a second; 0 as long as nothing can be said.
    std::uint64_t rate() const;

private:
    struct Seen {
        std::uint64_t bytes = 0;
        Instant at;
    };
    std::deque<Seen> seen_;
};

/// One blob of an image: a manifest, a config, a layer, a disk.
struct BlobProgress {
    std::string digest;      ///< "sha256:..."
    std::string media_type;
    std::string state;       ///< EVE's name
    std::uint64_t bytes = 0;
    std::uint64_t bytes_total = 0;
    std::uint64_t rate = 0;  ///< bytes a second
    friend bool operator==(const BlobProgress&, const BlobProgress&) = default;
};

/// The blobs of the images that the app's volumes are made of, in their order, each once; without rates.
std::vector<BlobProgress> blobs_of(const NodeFiles& node, const AppName& app);

/// A meter for each of them; the rates are filled in.
class BlobRates {
public:
    void see(std::vector<BlobProgress>& blobs, Instant now);

private:
    std::map<std::string, RateMeter> meters_;
};

/// A line with a bar for each blob that is on its way, at most `columns` wide and `rows` many; empty where nothing is.
std::vector<std::string> progress_bars(const std::vector<BlobProgress>& blobs, std::size_t columns, std::size_t rows);

/// One line: {"state","error","line","blobs":[...]}.
std::string progress_json(const AppProgress& app, const std::vector<BlobProgress>& blobs);

}  // namespace eve::evectl
