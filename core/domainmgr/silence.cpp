#include "core/domainmgr/silence.hpp"

#include <algorithm>

namespace eve::domainmgr {

namespace {
types::ErrorDescription& error_of(Domain& domain) { return static_cast<types::ErrorAndTime&>(domain.status); }
}  // namespace

void note_silence(Domain& domain, const DomainInfo& info, Now now) {
    auto& history = domain.history;
    if (!history.silent_since) history.silent_since = now.instant;
    history.look_at = std::min(history.look_at, now.instant + limits::look_retry);
    if (history.silence_told || now.instant - *history.silent_since < limits::silence_told_after) return;
    history.silence_told = true;
    types::ErrorDescription description;
    description.Error = "the app does not answer: " + (info.reason.empty() ? "its runtime cannot tell how it is" : info.reason);
    description.ErrorSeverity = types::ErrorSeverity::ErrorSeverityError;
    description.ErrorRetryCondition =
        "it is looked at every few seconds and left alone meanwhile, since its guest may be well; if it stays like this, restart the app";
    types::set_error(error_of(domain), std::move(description), now.wall);
}

void end_silence(Domain& domain) {
    auto& history = domain.history;
    history.silent_since.reset();
    if (history.silence_told) types::clear_error(error_of(domain));
    history.silence_told = false;
}

}  // namespace eve::domainmgr
