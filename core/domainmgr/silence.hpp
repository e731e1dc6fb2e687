#pragma once
// A domain that lives and does not answer: its monitor hangs, or whoever manages it does. The guest may be well, so nothing is done to it; the
// operator is told what can be done. Pure.

#include "core/domainmgr/plan.hpp"

namespace eve::domainmgr {

namespace limits {
inline constexpr std::chrono::seconds silence_told_after{10};  ///< a busy machine is silent for a moment, too
}  // namespace limits

/// The domain, which should run, is there, and nobody could say how it is. Looked at again soon; an error once that lasts.
void note_silence(Domain& domain, const std::string& reason, Now now);
/// It answered, or is not meant to run any more: the error that said otherwise is gone. Another that came meanwhile stays.
void end_silence(Domain& domain);

}  // namespace eve::domainmgr
