#include "core/zedmanager/problems.hpp"

#include <algorithm>

namespace eve::zedmanager {

types::ErrorAndTimeWithSource combine(const std::vector<types::ErrorAndTimeWithSource>& errors, std::string_view separator) {
    types::ErrorAndTimeWithSource whole;
    for (const auto& error : errors) {
        if (!whole.Error.empty()) whole.Error += separator;
        whole.Error += error.Error;
        if (whole.ErrorSourceType.empty()) whole.ErrorSourceType = error.ErrorSourceType;
        whole.ErrorSeverity = std::max(whole.ErrorSeverity, error.ErrorSeverity);
        if (!error.ErrorRetryCondition.empty()) whole.ErrorRetryCondition = error.ErrorRetryCondition;
        for (const auto& entity : error.ErrorEntities)
            if (std::ranges::find(whole.ErrorEntities, entity) == whole.ErrorEntities.end()) whole.ErrorEntities.push_back(entity);
        whole.ErrorTime = std::max(whole.ErrorTime, error.ErrorTime);
    }
    if (!whole.Error.empty() && whole.ErrorRetryCondition.empty()) whole.ErrorSeverity = types::ErrorSeverity::ErrorSeverityError;
    return whole;
}

void Problems::add(types::ErrorDescription error, std::string_view source) {
    if (error.Error.empty()) return;
    if (error.ErrorSeverity == types::ErrorSeverity::ErrorSeverityUnspecified) error.ErrorSeverity = types::ErrorSeverity::ErrorSeverityError;
    types::ErrorAndTimeWithSource whole;
    static_cast<types::ErrorDescription&>(whole) = std::move(error);
    whole.ErrorSourceType = source;
    found_.push_back(std::move(whole));
}

void Problems::write(types::AppInstanceStatus& status, types::Time now) const {
    auto urgent = found_;
    std::ranges::stable_sort(urgent, {}, [](const auto& error) { return error.ErrorSourceType == source_app_status; });
    types::ErrorAndTimeWithSource whole;
    if (!urgent.empty()) {
        whole = urgent.front();
        for (std::size_t n = 1; n < urgent.size(); ++n) {
            whole.Error += "\n" + urgent[n].Error;
            whole.ErrorSeverity = std::max(whole.ErrorSeverity, urgent[n].ErrorSeverity);
            whole.ErrorEntities.insert(whole.ErrorEntities.end(), urgent[n].ErrorEntities.begin(), urgent[n].ErrorEntities.end());
        }
        if (whole.ErrorTime.is_zero()) whole.ErrorTime = status.Error == whole.Error ? status.ErrorTime : now;
    }
    static_cast<types::ErrorAndTimeWithSource&>(status) = std::move(whole);
}

}  // namespace eve::zedmanager
