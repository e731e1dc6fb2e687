#include "core/domainmgr/silence.hpp"

#include <algorithm>
#include <string_view>

namespace eve::domainmgr {

namespace {
constexpr std::string_view silent = "the app does not answer: ";

types::ErrorDescription& error_of(Domain& domain) { return static_cast<types::ErrorAndTime&>(domain.status); }
}  // namespace

void note_silence(Domain& domain, const std::string& reason, Now now) {
    auto& history = domain.history;
    if (!history.silent_since) history.silent_since = now.instant;
    history.look_at = std::min(history.look_at, now.instant + limits::look_retry);
    if (history.silence_told || now.instant - *history.silent_since < limits::silence_told_after) return;
    history.silence_told = true;
    types::ErrorDescription description;
    description.Error = std::string(silent) + (reason.empty() ? "its runtime cannot tell how it is" : reason);
    description.ErrorSeverity = types::ErrorSeverity::ErrorSeverityError;
    description.ErrorRetryCondition =
        "it is looked at every few seconds and left alone meanwhile, since its guest may be well; if it stays like this, restart the app";
    types::set_error(error_of(domain), std::move(description), now.wall);
}

void end_silence(Domain& domain) {
    auto& history = domain.history;
    history.silent_since.reset();
    if (history.silence_told && error_of(domain).Error.starts_with(silent)) types::clear_error(error_of(domain));
    history.silence_told = false;
}

}  // namespace eve::domainmgr
