#pragma once
// Blobs of the content store that are not in its directory but with a runtime that keeps content itself (content/1). Which runtimes those are
// stands in the directory, durably and before anything is written there: after a change of mind, what they hold is still found, and let go.

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/loop/loop.hpp"
#include "core/loop/unique_fd.hpp"
#include "eve/content.hpp"
#include "eve/result.hpp"

namespace eve::storage {

/// The runtimes that may keep content.
struct ContentKeepers {
    /// The one of that name; it answers unavailable while there is none. It lives as long as the store. [any-thread]
    std::function<Content&(const std::string& name)> find;
    std::string into;  ///< the one that new images of containers go to; empty: none, they go to the directory
};

/// What runtimes hold of one store. Calls may overlap, but for those that change something.
class KeptContent {
public:
    KeptContent(std::string directory, ContentKeepers keepers) : directory_(std::move(directory)), keepers_(std::move(keepers)) {}

    const std::string& into() const { return keepers_.into; }
    /// Those that something was ever given to, the one for new images first. Errors: unavailable.
    Result<std::vector<std::string>> names() const;

    struct Listed {
        std::map<std::string, std::uint64_t> blobs;  ///< size by sha256
        std::optional<Error> unknown;                ///< somebody did not answer: there may be more
    };
    /// What all of them have.
    Listed list(const LaneContext& context) const;
    /// The size of one blob. Errors: not_found; unavailable - one that may have it does not answer.
    Result<std::uint64_t> size(const std::string& sha256, const LaneContext& context) const;
    /// A small blob, digest and all. Errors: not_found - also damaged; resource_exhausted - longer; unavailable.
    Result<std::string> read(const std::string& sha256, std::uint64_t bytes_max, const LaneContext& context) const;
    /// The blob in a file without a name, in `directory`. Errors: not_found; resource_exhausted; cancelled; unavailable.
    Result<UniqueFd> fetch(const std::string& sha256, const std::string& directory, const LaneContext& context) const;

    /// The blob is with the runtime for new images, held. Its digest is computed there once more.
    ///
    /// Errors: invalid_argument - another digest or size; resource_exhausted; cancelled; unavailable.
    Status put(const std::string& sha256, int source, std::uint64_t size, const LaneContext& context) const;
    /// A blob that somebody has is held. Errors: not_found; unavailable.
    Status hold(const std::string& sha256, const LaneContext& context) const;
    /// Nobody has it. Errors: unavailable.
    Status drop(const std::string& sha256, const LaneContext& context) const;
    /// Nobody has a blob but those of which `keep` says so; who has nothing left and is not for new images is not asked again. How many went.
    ///
    /// Errors: unavailable - of somebody it is not known; of the others it is done.
    Result<std::uint64_t> collect(const std::function<bool(const std::string& sha256)>& keep, const LaneContext& context) const;

private:
    Content& keeper(const std::string& name) const { return keepers_.find(name); }
    Status write_names(const std::vector<std::string>& names) const;
    Status remember_into() const;

    std::string directory_;
    ContentKeepers keepers_;
};

/// Never cancelled: for what is short.
const LaneContext& steadfast();

}  // namespace eve::storage
