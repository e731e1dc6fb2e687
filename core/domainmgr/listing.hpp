#pragma once
// What the runtimes' last lists say of domains that nobody has asked about yet. A node that starts anew learns of a thousand domains with one call;
// looking at each again would be all that its start is made of.

#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "core/loop/loop.hpp"
#include "eve/domain.hpp"

namespace eve::domainmgr {

/// Domains change without us: what was seen of one is believed this long.
inline constexpr std::chrono::seconds listing_believed{2};

class Listing {
public:
    /// Every runtime is being asked anew.
    void begin();
    void add(const DomainInfo& info);
    /// A runtime did not answer: nothing is known of domains that no list names.
    void failed() { whole_ = false; }
    void complete(Instant now);
    /// Something happened to the domain since it was listed.
    void doubt(const std::string& domain);

    /// What a look at the domain would say: as it was listed a moment ago; absent if no list names it, since only this node makes domains;
    /// nothing if it must be looked at.
    std::optional<DomainInfo> answer(const std::string& domain, Instant now) const;

private:
    bool whole_ = false;
    bool complete_ = false;
    Instant at_{};
    std::map<std::string, DomainInfo> seen_;
    std::set<std::string> doubtful_;
};

}  // namespace eve::domainmgr
