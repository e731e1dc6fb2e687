#include "core/domainmgr/plan.hpp"

#include <algorithm>
#include <charconv>

#include "core/domainmgr/silence.hpp"
#include "core/domainmgr/translate.hpp"

namespace eve::domainmgr {

namespace {

using types::ErrorSeverity;
using types::SwState;

bool has_ended(DomainState state) { return state == DomainState::halted || state == DomainState::broken; }

std::chrono::seconds stop_budget(const Desired& desired, const Stop& stop) {
    if (stop.impatient) return limits::stop_impatient;
    return desired.mode == types::VmMode::PV ? limits::stop_patient_pv : limits::stop_patient;
}

/// `step` now, or when `not_before` has come.
Plan when_due(Step step, const std::optional<Instant>& not_before, Instant now) {
    if (not_before && now < *not_before) return {.wake_at = not_before};
    return {.step = step};
}

/// Look if it is time, else wait for the sooner of that and `also`.
Plan poll(const History& history, Instant now, std::optional<Instant> also = std::nullopt) {
    if (now >= history.look_at) return {.step = Step::look};
    return {.wake_at = also ? std::min(*also, history.look_at) : history.look_at};
}

/// Ask, cut, destroy: one deadline for all.
Plan plan_stop(const Desired& desired, const Observed& observed, const History& history, Instant now) {
    if (has_ended(observed.state) || observed.state == DomainState::defined) return when_due(Step::destroy, history.destroy_after, now);
    const Stop stop = history.stop.value_or(Stop{.began = now});
    const Instant ask_until = stop.began + stop_budget(desired, stop) - limits::cut_reserve;
    if (desired.can_be_asked && !stop.cannot_be_asked && !stop.cut && now < ask_until) {
        if (!stop.asked || now >= *stop.asked + limits::ask_again) return {.step = Step::ask};
        return poll(history, now, std::min(*stop.asked + limits::ask_again, ask_until));
    }
    if (!stop.cut) return {.step = Step::cut};
    const Instant destroy_at = *stop.cut + limits::cut_wait;
    if (now < destroy_at) return poll(history, now, destroy_at);
    return when_due(Step::destroy, history.destroy_after, now);
}

Plan plan_unwanted_absent(const Desired& desired, const History& history, Instant now) {
    if (!desired.known && !history.purged) return when_due(Step::purge, history.destroy_after, now);
    if (!history.released) return {.step = Step::release};
    return {};
}

}  // namespace

std::string_view to_string(Step step) {
    switch (step) {
        case Step::none: return "nothing";
        case Step::look: return "look at";
        case Step::prepare: return "prepare";
        case Step::create: return "create";
        case Step::start: return "start";
        case Step::ask: return "ask to stop";
        case Step::cut: return "cut the power of";
        case Step::destroy: return "destroy";
        case Step::purge: return "purge";
        case Step::release: return "release";
    }
    return "?";
}

Plan plan(const Desired& desired, const Observed& observed, const History& history, Instant now) {
    if (history.look || observed.presence == Presence::unknown) return poll(history, now);
    const bool absent = observed.presence == Presence::absent;
    if (history.loss && !absent) return when_due(Step::destroy, history.destroy_after, now);
    if (absent && !desired.wanted()) return plan_unwanted_absent(desired, history, now);
    if (!absent && (history.stop || !desired.wanted())) return plan_stop(desired, observed, history, now);
    if (absent) {
        if (history.parked) return {};
        return when_due(history.prepared ? Step::create : Step::prepare, history.not_before, now);
    }
    if (observed.state == DomainState::defined) {
        // Left by a life that did not get as far as starting it: usable only if it is what is wanted now.
        if (observed.revision != desired.revision) return when_due(Step::destroy, history.destroy_after, now);
        return when_due(Step::start, history.not_before, now);
    }
    if (has_ended(observed.state)) return when_due(Step::destroy, history.destroy_after, now);
    return poll(history, now);
}

// ------------------------------------------------------------------------------------------------------------------ what happened

namespace {

std::string seconds_text(std::chrono::seconds time) {
    // As Go prints a duration, which is what EVE's operators read: 10m0s.
    const auto count = time.count();
    std::string text;
    if (count >= 3600) text += std::to_string(count / 3600) + "h";
    if (count >= 60) text += std::to_string(count / 60 % 60) + "m";
    return text + std::to_string(count % 60) + "s";
}

std::string retry_text(std::chrono::seconds delay) { return "will retry in " + seconds_text(delay); }

std::string error_text(const Error& error) { return error.hint.empty() ? error.what : error.what + " (" + error.hint + ")"; }

void set_error(types::DomainStatus& status, std::string text, ErrorSeverity severity, std::string retry, Now now) {
    types::ErrorDescription description;
    description.Error = std::move(text);
    description.ErrorSeverity = severity;
    description.ErrorRetryCondition = std::move(retry);
    // An error that stays keeps its time, or every poll would be news.
    if (status.Error == description.Error && status.ErrorRetryCondition == description.ErrorRetryCondition) description.ErrorTime = status.ErrorTime;
    types::set_error(static_cast<types::ErrorDescription&>(static_cast<types::ErrorAndTime&>(status)), std::move(description), now.wall);
}

void clear_error(types::DomainStatus& status) {
    types::clear_error(static_cast<types::ErrorDescription&>(static_cast<types::ErrorAndTime&>(status)));
    status.ConfigFailed = status.BootFailed = status.AdaptersFailed = false;
}

/// What of the config shows in the status of a domain that does not run: the next life's.
void copy_config(Domain& domain) {
    const auto& config = domain.config;
    auto& status = domain.status;
    status.UUIDandVersion = config.UUIDandVersion;
    status.DisplayName = config.DisplayName;
    status.AppNum = config.AppNum;
    status.DomainName = domain_name(config);
    static_cast<types::VmConfig&>(status) = config;
    status.DisableLogs = config.DisableLogs;
    status.PurgeCounter = config.PurgeCounter;
    status.RestartCounter = config.RestartCounter;
    status.IoAdapterList = config.IoAdapterList;
    status.Service = config.Service;
    status.IsDNidNode = config.IsDNidNode;
    status.DeploymentType = config.DeploymentType;
    status.VifList = vif_infos(config);
    status.DiskStatusList = disk_statuses(config, "");
}

std::uint32_t counter_of(const DomainInfo& info, const char* label, std::uint32_t otherwise) {
    const auto found = info.labels.find(label);
    if (found == info.labels.end()) return otherwise;
    std::uint32_t number = 0;
    const auto& text = found->second;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
    return failure == std::errc{} && end == text.data() + text.size() ? number : otherwise;
}

void retry_in(Domain& domain, std::chrono::seconds delay, Now now) {
    domain.history.not_before = now.instant + delay;
    domain.history.prepared = false;
    domain.history.create_tries = 0;
    domain.status.BootFailed = true;
    ++domain.status.TriedCount;
}

void boot_failed(Domain& domain, std::string text, const Policy& policy, Now now) {
    retry_in(domain, policy.boot_retry, now);
    set_error(domain.status, std::move(text), ErrorSeverity::ErrorSeverityWarning, retry_text(policy.boot_retry), now);
}

void park(Domain& domain, std::string text, Now now) {
    domain.history.parked = true;
    domain.history.prepared = false;  // what it was lent is not kept from others
    domain.history.not_before.reset();
    set_error(domain.status, std::move(text), ErrorSeverity::ErrorSeverityError, {}, now);
}

/// Forgets what belongs to one life of the domain.
void end_life(Domain& domain) {
    auto& history = domain.history;
    history.started = history.prepared = false;
    history.starting_since.reset();
    history.running_since.reset();
    history.halting_since.reset();
    history.stop.reset();
    history.loss.reset();
    history.destroy_after.reset();
    history.destroy_tries = 0;
    domain.status.Activated = false;
    domain.status.DomainId = 0;
}

/// The wanted domain ended and nothing of it is left: what it counts as, and when it is tried again.
void settle_loss(Domain& domain, const Loss& loss, const Policy& policy, Now now) {
    auto& history = domain.history;
    if (loss.restart_now) {
        end_life(domain);
        domain.status.State = SwState::INSTALLED;
        clear_error(domain.status);
        return;
    }
    const bool steady = history.running_since && now.instant - *history.running_since >= policy.boot_retry;
    end_life(domain);
    domain.status.State = loss.state;
    if (loss.state != SwState::BROKEN) {
        history.broken_in_row = 0;
        boot_failed(domain, loss.why, policy, now);
        return;
    }
    if (!policy.restart_broken) {
        park(domain, loss.why, now);
        return;
    }
    history.broken_in_row = steady ? 1 : history.broken_in_row + 1;
    const std::uint32_t doublings = std::min(history.broken_in_row - 1, 31U);
    const auto factor = std::min(std::uint64_t{1} << doublings, std::uint64_t{limits::broken_backoff_max});
    const auto delay = policy.boot_retry * static_cast<std::int64_t>(factor);
    retry_in(domain, delay, now);
    set_error(domain.status, loss.why, ErrorSeverity::ErrorSeverityError, retry_text(delay), now);
}

std::string signal_text(std::int32_t signal) {
    static constexpr std::pair<std::int32_t, const char*> names[] = {
        {1, "SIGHUP"}, {2, "SIGINT"}, {3, "SIGQUIT"}, {4, "SIGILL"}, {6, "SIGABRT"}, {7, "SIGBUS"}, {8, "SIGFPE"}, {9, "SIGKILL"},
        {11, "SIGSEGV"}, {13, "SIGPIPE"}, {15, "SIGTERM"}, {24, "SIGXCPU"}, {25, "SIGXFSZ"}, {31, "SIGSYS"}};
    const auto* found = std::find_if(std::begin(names), std::end(names), [&](const auto& row) { return row.first == signal; });
    const std::string number = "signal " + std::to_string(signal);
    return found == std::end(names) ? number : number + " (" + found->second + ")";
}

std::string broken_text(const DomainInfo& info) {
    std::string text = "the virtual machine ended unexpectedly";
    if (info.exit && info.exit->oom) text = "the virtual machine was killed by the kernel for want of memory";
    else if (info.exit && info.exit->signal) text = "the virtual machine was killed by " + signal_text(*info.exit->signal);
    else if (info.exit && info.exit->code && *info.exit->code != 0) text += " with exit code " + std::to_string(*info.exit->code);
    if (info.reason.empty()) return text;
    // The runtime's own words, and the signal or the want of memory if they leave it out.
    if (info.exit && info.exit->oom) return info.reason.find("memory") == std::string::npos ? text + ": " + info.reason : info.reason;
    const bool unsaid = info.exit && info.exit->signal && info.reason.find("signal " + std::to_string(*info.exit->signal)) == std::string::npos;
    return unsaid ? text + ": " + info.reason : info.reason;
}

void lose(Domain& domain, SwState state, std::string why) {
    if (!domain.history.loss) domain.history.loss = Loss{state, std::move(why), !domain.history.seen};
    // It stays Activated until nothing of it is left: its memory and volumes are still in use.
    domain.status.State = state == SwState::BROKEN ? SwState::BROKEN : SwState::HALTING;
}

/// It runs, whoever started it.
void seen_running(Domain& domain, const DomainInfo& info, std::int64_t pid_before, Now now) {
    auto& history = domain.history;
    auto& status = domain.status;
    const bool fresh = !status.Activated;
    const bool rebooted = !fresh && info.pid != 0 && pid_before != 0 && info.pid != pid_before;
    const bool started_here = history.starting_since.has_value();
    history.not_before.reset();
    history.parked = false;
    history.create_tries = 0;
    history.halting_since.reset();
    history.starting_since.reset();
    if (!history.running_since || rebooted) history.running_since = now.instant;
    if (fresh || rebooted || !history.seen) {
        // Found running by a node that had been away: an old record knows since when, or the runtime does.
        const auto since = types::Time::parse(info.started_at);
        const bool recorded = !history.seen && !rebooted && !status.BootTime.is_zero();
        if (!recorded) status.BootTime = since.ok() && !started_here && !rebooted ? *since : now.wall;
        status.PurgeCounter = counter_of(info, label_purge, status.PurgeCounter);
        status.RestartCounter = counter_of(info, label_restart, status.RestartCounter);
    }
    history.started = true;
    if (fresh) clear_error(status);
    status.Activated = true;
    status.State = info.state == DomainState::paused ? SwState::PAUSED : SwState::RUNNING;
}

/// It should come up and has not yet.
void seen_starting(Domain& domain, Now now) {
    auto& history = domain.history;
    if (!domain.status.Activated) domain.status.State = SwState::BOOTING;
    if (!history.starting_since) history.starting_since = now.instant;
    if (now.instant - *history.starting_since >= limits::start_wait)
        lose(domain, SwState::BROKEN, "the domain was started and does not run after " + seconds_text(limits::start_wait));
}

void seen_wanted(Domain& domain, const DomainInfo& info, std::int64_t pid_before, Now now) {
    auto& history = domain.history;
    // What ended before it was started is no life that was lost, only the remains of a creation.
    if (has_ended(info.state) && !history.started && !domain.status.Activated) return;
    if (info.state != DomainState::unknown) end_silence(domain);
    switch (info.state) {
        case DomainState::running:
        case DomainState::paused: seen_running(domain, info, pid_before, now); return;
        case DomainState::halted:
            lose(domain, SwState::HALTED, info.reason.empty() ? "the guest powered itself off" : info.reason);
            return;
        case DomainState::broken: lose(domain, SwState::BROKEN, broken_text(info)); return;
        case DomainState::halting:
            domain.status.State = SwState::HALTING;
            if (!history.halting_since) history.halting_since = now.instant;
            if (now.instant - *history.halting_since >= limits::halting_wait)
                lose(domain, SwState::HALTED, "the guest began to power off and did not end");
            return;
        case DomainState::starting: seen_starting(domain, now); return;
        case DomainState::unknown:
            // Nobody can tell: of a domain that ran the last state may still hold.
            note_silence(domain, info.reason, now);
            if (!domain.status.Activated && history.started) seen_starting(domain, now);
            return;
        case DomainState::defined: domain.status.Activated = false; return;
    }
}

}  // namespace

void on_config(Domain& domain, const types::DomainConfig& config, Now now) {
    auto& history = domain.history;
    auto& status = domain.status;
    const bool was_known = domain.desired.known;
    const bool was_wanted = domain.desired.wanted();
    const std::uint64_t was_revision = domain.desired.revision;
    domain.config = config;
    domain.desired.known = true;
    domain.desired.active = config.Activate;
    domain.desired.revision = revision_of(config);
    domain.desired.mode = config.VirtualizationMode;
    history.purged = false;
    status.PendingDelete = false;
    if (domain.desired.wanted() == was_wanted && domain.desired.revision == was_revision && was_known) return;

    const bool lives = domain.observed.presence != Presence::absent && (status.Activated || history.started || history.stop);
    if (lives) {
        status.UUIDandVersion.Version = config.UUIDandVersion.Version;  // all that changes of a domain that runs
    } else {
        copy_config(domain);
        history.prepared = false;
    }
    if (!was_known) {
        if (status.State == SwState{}) status.State = SwState::INSTALLED;
        status.PendingAdd = true;
    }
    if (domain.desired.wanted() != was_wanted || domain.desired.revision != was_revision) history.parked = false;
    if (domain.desired.wanted() && !was_wanted) {
        history.not_before.reset();
        history.create_tries = 0;
        history.broken_in_row = 0;
    }
    if (domain.observed.presence == Presence::absent) history.stop.reset();
    if (!domain.desired.wanted()) {
        clear_error(status);
        history.not_before.reset();
        if (was_wanted && !history.stop) history.stop = Stop{.began = now.instant};
        if (domain.observed.presence == Presence::absent) {
            history.stop.reset();
            if (was_known && status.State != SwState::INSTALLED) status.State = SwState::HALTED;
        }
    }
}

void on_config_gone(Domain& domain, Now now) {
    auto& history = domain.history;
    domain.desired.known = domain.desired.active = false;
    domain.status.PendingDelete = true;
    history.parked = false;
    history.not_before.reset();
    history.purged = false;
    if (!history.stop) history.stop = Stop{.began = now.instant};
    if (!history.stop->impatient) {
        history.stop->impatient = true;
        history.stop->began = now.instant;  // the shorter deadline begins now
    }
}

void on_seen(Domain& domain, const DomainInfo& info, const Policy& policy, Now now, Instant next_look) {
    auto& history = domain.history;
    auto& status = domain.status;
    const std::int64_t pid_before = status.DomainId;
    domain.info = info;
    domain.observed = {.presence = info.presence, .state = info.state, .revision = info.revision};
    history.look = false;
    history.look_at = next_look;
    status.PendingAdd = false;
    if (info.presence == Presence::unknown) {
        history.look_at = now.instant + limits::look_retry;
        return;
    }
    const bool first = !history.seen;
    if (info.presence == Presence::absent || !domain.desired.wanted()) end_silence(domain);
    if (info.presence == Presence::present) {
        history.released = false;
        if (info.pid > 0) status.DomainId = info.pid;  // 0 is said only of what is proven absent
        if (history.stop || !domain.desired.wanted()) {
            if (!history.stop) history.stop = Stop{.began = now.instant, .impatient = !domain.desired.known};
            if (!has_ended(info.state) && info.state != DomainState::defined) status.State = SwState::HALTING;
            history.seen = true;
            history.look_at = std::min(history.look_at, now.instant + limits::stop_look);
            return;
        }
        seen_wanted(domain, info, pid_before, now);
        history.seen = true;
        const bool hurry = history.starting_since || history.halting_since;
        if (hurry) history.look_at = std::min(history.look_at, now.instant + 2 * limits::stop_look);
        return;
    }
    // Nothing of it is left.
    history.seen = true;
    if (history.stop || !domain.desired.wanted()) {
        const bool had_life = status.Activated || history.started || history.loss || history.stop;
        end_life(domain);
        if (had_life && status.State != SwState::INSTALLED) status.State = SwState::HALTED;
        if (!domain.desired.wanted()) clear_error(status);
        copy_config(domain);
        return;
    }
    if (history.loss) {
        settle_loss(domain, Loss(*history.loss), policy, now);
    } else if (status.Activated || history.started) {
        // Of the first look: what an old record says of a life that a reboot ended.
        settle_loss(domain, {SwState::BROKEN, "the domain is gone though nobody stopped it", first}, policy, now);
    }
    status.DomainId = 0;
}

void on_look_failed(Domain& domain, const Error& error, Now now) {
    domain.history.look_at = now.instant + limits::look_retry;
    if (!domain.desired.wanted() || !(domain.status.Activated || domain.history.started)) return;
    note_silence(domain, error_text(error), now);
    if (domain.history.silence_told) domain.status.PendingAdd = false;
}

void on_hint(Domain& domain, Now now) {
    domain.history.look = true;
    domain.history.look_at = now.instant;
}

void on_prepared(Domain& domain, const std::string& cloud_init_path) {
    domain.history.prepared = true;
    domain.history.released = false;
    copy_config(domain);
    domain.status.DiskStatusList = disk_statuses(domain.config, cloud_init_path);
    if (domain.status.ConfigFailed || domain.status.AdaptersFailed) clear_error(domain.status);
}

void on_prepare_failed(Domain& domain, const Error& error, Now now, std::optional<Instant> retry_at) {
    domain.status.ConfigFailed = true;
    domain.history.prepared = false;
    if (!retry_at) {
        park(domain, error_text(error), now);
        return;
    }
    domain.history.not_before = retry_at;
    set_error(domain.status, error_text(error), ErrorSeverity::ErrorSeverityError, "will be tried again while it is wanted", now);
}

void on_adapters_refused(Domain& domain, const types::ErrorDescription& error, Instant retry_at) {
    domain.status.AdaptersFailed = true;
    domain.history.prepared = false;
    domain.history.not_before = retry_at;
    auto& status = static_cast<types::ErrorDescription&>(static_cast<types::ErrorAndTime&>(domain.status));
    const auto since = status.Error == error.Error ? status.ErrorTime : error.ErrorTime;
    status = error;
    status.ErrorTime = since;  // as long as nothing new is said
}

void on_stepped(Domain& domain, Step step, Now now) {
    auto& history = domain.history;
    switch (step) {
        case Step::create:
            history.create_tries = 0;
            domain.status.State = SwState::BOOTING;
            break;
        case Step::start:
            history.started = true;
            history.starting_since = now.instant;
            domain.status.State = SwState::BOOTING;
            break;
        case Step::ask:
            if (history.stop) history.stop->asked = now.instant;
            break;
        case Step::cut:
            if (history.stop) history.stop->cut = now.instant;
            break;
        case Step::purge: history.purged = true; break;
        case Step::none:
        case Step::look:
        case Step::prepare:
        case Step::destroy:
        case Step::release: break;
    }
}

void on_step_failed(Domain& domain, Step step, const Error& error, const Policy& policy, Now now) {
    auto& history = domain.history;
    auto& status = domain.status;
    const std::string text = error_text(error);
    // Whatever failed: what is there now must be seen before anything else is done.
    history.look = true;
    history.look_at = now.instant;
    switch (step) {
        case Step::create:
            if (error.code == Code::invalid_argument || error.code == Code::unsupported || error.code == Code::permission_denied) {
                park(domain, "could not create the domain: " + text, now);
            } else if (error.code == Code::cancelled) {
                history.not_before = now.instant + limits::look_retry;
            } else if (++history.create_tries >= limits::create_tries_max || error.code == Code::resource_exhausted) {
                boot_failed(domain, "could not create the domain: " + text, policy, now);
            } else {
                history.not_before = now.instant + limits::create_retry;
            }
            return;
        case Step::start:
            // What may have happened is looked at; what has not is a failed boot, as in EVE: destroyed, BROKEN, tried again.
            // already_exists: an earlier start is still at work.
            if (error.code == Code::unavailable || error.code == Code::timed_out || error.code == Code::cancelled ||
                error.code == Code::already_exists) {
                history.started = true;
                if (!history.starting_since) history.starting_since = now.instant;
                history.not_before = now.instant + limits::look_retry;
                if (now.instant - *history.starting_since < limits::start_wait) return;
            } else if (error.code == Code::not_found) {
                return;
            }
            lose(domain, SwState::BROKEN, "could not start the domain: " + text);
            return;
        case Step::ask:
            if (!history.stop) return;
            if (error.code == Code::unsupported) history.stop->cannot_be_asked = true;
            else history.stop->asked = now.instant;
            history.look_at = now.instant + limits::stop_look;
            return;
        case Step::cut:
            if (history.stop) history.stop->cut = now.instant;
            return;
        case Step::destroy:
        case Step::purge: {
            ++history.destroy_tries;
            const auto delay = limits::destroy_retry * (std::int64_t{1} << std::min(history.destroy_tries - 1, 5U));
            history.destroy_after = now.instant + std::min<std::chrono::nanoseconds>(delay, limits::destroy_retry_max);
            set_error(status, "could not " + std::string(to_string(step)) + " the domain: " + text, ErrorSeverity::ErrorSeverityError,
                      "will be tried until it is gone", now);
            return;
        }
        case Step::none:
        case Step::look:
        case Step::prepare:
        case Step::release: return;
    }
}

void on_released(Domain& domain) { domain.history.released = true; }

}  // namespace eve::domainmgr
