#include "core/zedmanager/summary.hpp"

#include <limits>

namespace eve::zedmanager {

types::AppInstanceSummary summarize(const std::vector<AppOutlook>& apps) {
    types::AppInstanceSummary summary;
    const auto count = [](std::uint8_t& counter) {
        if (counter < std::numeric_limits<std::uint8_t>::max()) ++counter;
    };
    for (const auto& app : apps) {
        if (!app.status.Error.empty())
            count(summary.TotalError);
        else if (app.wanted && app.status.Activated)
            count(summary.TotalRunning);
        else if (app.status.Activated)
            count(summary.TotalStopping);
        else if (app.wanted)
            count(summary.TotalStarting);
    }
    return summary;
}

}  // namespace eve::zedmanager
