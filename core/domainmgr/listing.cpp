#include "core/domainmgr/listing.hpp"

namespace eve::domainmgr {

void Listing::begin() {
    whole_ = true;
    complete_ = false;
    seen_.clear();
    doubtful_.clear();
}

void Listing::add(const DomainInfo& info) {
    if (!seen_.emplace(info.id.value, info).second) doubt(info.id.value);  // two runtimes claim it
}

void Listing::complete(Instant now) {
    complete_ = true;
    at_ = now;
}

void Listing::doubt(const std::string& domain) { doubtful_.insert(domain); }

std::optional<DomainInfo> Listing::answer(const std::string& domain, Instant now) const {
    if (!complete_ || doubtful_.contains(domain)) return std::nullopt;
    const auto found = seen_.find(domain);
    if (found == seen_.end()) {
        if (!whole_) return std::nullopt;
        return DomainInfo{.id = DomainId{domain}, .presence = Presence::absent};
    }
    if (found->second.presence != Presence::present || now - at_ > listing_believed) return std::nullopt;
    return found->second;
}

}  // namespace eve::domainmgr
