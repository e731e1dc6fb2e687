#include "core/zedmanager/ledger.hpp"

#include <algorithm>
#include <limits>

#include "core/zedmanager/step.hpp"

namespace eve::zedmanager {

void Ledger::set(const std::string& app, const types::AppInstanceStatus& status, bool wanted) {
    Share now{.uuid = status.UUIDandVersion.UUID, .holds = holds_memory(status), .wanted = wanted};
    if (now.holds) now.held = memory_need(status);
    if (!status.Error.empty()) now.outlook = Outlook::failing;
    else if (status.Activated) now.outlook = wanted ? Outlook::running : Outlook::stopping;
    else if (wanted) now.outlook = Outlook::starting;
    erase(app);
    take(now);
    shares_.emplace(app, now);
}

void Ledger::erase(const std::string& app) {
    const auto found = shares_.find(app);
    if (found == shares_.end()) return;
    give_back(found->second);
    shares_.erase(found);
}

// Sums wrap around alike in both directions, so that what a config exaggerates is taken back exactly.
void Ledger::take(const Share& share) {
    used_ += share.held;
    if (!share.wanted) halting_ += share.held;
    ++outlooks_[static_cast<std::size_t>(share.outlook)];
}

void Ledger::give_back(const Share& share) {
    used_ -= share.held;
    if (!share.wanted) halting_ -= share.held;
    --outlooks_[static_cast<std::size_t>(share.outlook)];
}

void Ledger::add_memory_without(const std::string& asking, MemoryView& view) const {
    view.used = used_;
    view.halting = halting_;
    const auto own = shares_.find(asking);
    if (own == shares_.end()) return;
    view.used -= own->second.held;
    if (!own->second.wanted) view.halting -= own->second.held;
}

std::vector<types::Uuid> Ledger::holders_without(const std::string& asking) const {
    std::vector<types::Uuid> holders;
    for (const auto& [app, share] : shares_)
        if (share.holds && app != asking) holders.push_back(share.uuid);
    return holders;
}

types::AppInstanceSummary Ledger::summary() const {
    const auto count = [this](Outlook outlook) {
        constexpr std::uint32_t most = std::numeric_limits<std::uint8_t>::max();
        return static_cast<std::uint8_t>(std::min(outlooks_[static_cast<std::size_t>(outlook)], most));
    };
    types::AppInstanceSummary summary;
    summary.TotalError = count(Outlook::failing);
    summary.TotalRunning = count(Outlook::running);
    summary.TotalStopping = count(Outlook::stopping);
    summary.TotalStarting = count(Outlook::starting);
    return summary;
}

}  // namespace eve::zedmanager
