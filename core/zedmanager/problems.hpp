#pragma once
// What is wrong with an app right now, collected during a step and written into its one error slot at the end.

#include <string>
#include <string_view>
#include <vector>

#include "core/types/app.hpp"

namespace eve::zedmanager {

inline constexpr std::string_view source_app_config = "types.AppInstanceConfig";
inline constexpr std::string_view source_app_status = "types.AppInstanceStatus";
inline constexpr std::string_view source_network = "types.AppNetworkStatus";
inline constexpr std::string_view source_domain = "types.DomainStatus";
inline constexpr std::string_view source_volume_reference = "types.VolumeRefStatus";

/// Several errors as one, by EVE's rules: texts joined, the worst severity, the last retry condition, all entities, the latest time; nothing
/// that retries by itself is an error of full severity.
types::ErrorAndTimeWithSource combine(const std::vector<types::ErrorAndTimeWithSource>& errors, std::string_view separator);

class Problems {
public:
    void add(types::ErrorDescription error, std::string_view source);
    bool empty() const { return found_.empty(); }
    /// Writes them into `status`, the most urgent first; the time of an unchanged error stays what it was.
    void write(types::AppInstanceStatus& status, types::Time now) const;

private:
    std::vector<types::ErrorAndTimeWithSource> found_;
};

}  // namespace eve::zedmanager
