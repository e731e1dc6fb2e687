#pragma once
// Why an app is not where it should be, in words, from published records only: so that evectl and the status page can say it too.

#include <string>
#include <vector>

#include "core/types/app.hpp"

namespace eve::zedmanager {

/// What was published about one app; pointers may be null and are borrowed for the call.
struct AppRecords {
    const types::AppInstanceStatus* app = nullptr;
    std::vector<const types::VolumeRefStatus*> volumes;
    const types::AppNetworkStatus* network = nullptr;
    const types::DomainStatus* domain = nullptr;
    bool wanted = true;  ///< the config says that it shall run
};

/// One sentence on what the app waits for, and one on what to do about it where something can be done. Empty: it waits for nothing.
std::string why_waiting(const AppRecords& records);

}  // namespace eve::zedmanager
