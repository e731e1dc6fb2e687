#pragma once
// How many apps start, run, stop and fail: what the LEDs and the local page show.

#include <vector>

#include "core/types/app.hpp"

namespace eve::zedmanager {

struct AppOutlook {
    const types::AppInstanceStatus& status;
    bool wanted = false;  ///< shall run: wish and profile
};

/// Counts each app once: failing, else running, stopping, starting; idle ones not at all. Counters stop at 255.
types::AppInstanceSummary summarize(const std::vector<AppOutlook>& apps);

}  // namespace eve::zedmanager
