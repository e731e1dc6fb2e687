#include "core/domainmgr/agent_impl.hpp"

namespace eve::domainmgr {

void Agent::Impl::publish(Entry& entry) {
    // An old record stands until the domain was seen: publishing less than it says would make others act on a guess. That nobody can tell is no guess.
    const auto& history = entry.domain.history;
    if (entry.orphan || (entry.evidence && !history.seen && !history.silence_told)) return;
    const std::string uuid = uuid_of(entry);
    if (entry.domain.status.Activated && !std::exchange(entry.marked, entry.domain.status.Activated))
        mark_active(entry.domain.config.UUIDandVersion.UUID);
    if (cpus_) {
        const auto own = cpus_->own(entry.domain.config.UUIDandVersion.UUID);
        entry.domain.status.CPUs = !own.empty() ? own : entry.domain.status.Activated ? cpus_->shared() : std::vector<std::uint32_t>{};
    }
    if (auto done = status_->publish(uuid, entry.domain.status); !done)
        deps_.log.write(Level::error, "domainmgr.publish_failed", {{"domain", uuid}, {"error", done.error().what}});
    publish_notes(entry);
}

void Agent::Impl::publish_notes(Entry& entry) {
    const auto& domain = entry.domain;
    types::DomainNotes notes;
    notes.AppUUID = domain.config.UUIDandVersion.UUID;
    if (entry.runtime != nullptr) {
        notes.Runtime = entry.runtime->id();
        notes.Notes = entry.runtime->runtime().probe.notes;
    } else {
        notes.Runtime = had_by(uuid_of(entry), entry);
    }
    const auto add = [&](const std::vector<std::string>& more) {
        for (const auto& note : more)
            if (std::find(notes.Notes.begin(), notes.Notes.end(), note) == notes.Notes.end()) notes.Notes.push_back(note);
    };
    add(domain.notes);
    add(domain.info.notes);
    notes.ConsolePath = domain.info.console_path;
    notes.ConsoleLogPath = domain.info.console_log_path;
    notes.VncAddress = domain.info.vnc_address;
    // A log is worth reading after the domain that wrote it is gone.
    if (const auto* before = notes_->get(uuid_of(entry)); before != nullptr && notes.ConsoleLogPath.empty())
        notes.ConsoleLogPath = before->ConsoleLogPath;
    (void)notes_->publish(uuid_of(entry), std::move(notes));
}

void Agent::Impl::log_changes(Entry& entry) {
    const auto& status = entry.domain.status;
    if (status.State != entry.logged_state) {
        deps_.log.write(Level::info, "domain.state",
                        {{"domain", uuid_of(entry)},
                         {"name", status.DisplayName},
                         {"from", to_string(entry.logged_state)},
                         {"to", to_string(status.State)},
                         {"pid", status.DomainId}});
        entry.logged_state = status.State;
    }
    if (status.Error != entry.logged_error) {
        if (!status.Error.empty())
            deps_.log.write(status.ErrorSeverity == types::ErrorSeverity::ErrorSeverityError ? Level::error : Level::warn, "domain.error",
                            {{"domain", uuid_of(entry)}, {"error", status.Error}, {"retry", status.ErrorRetryCondition}});
        entry.logged_error = status.Error;
    }
}

void Agent::Impl::mark_active(const types::Uuid& app) {
    marks_.set(app, true, [this, app](const Status& done) {
        if (!done) deps_.log.write(Level::warn, "domain.mark_failed", {{"domain", app.to_string()}, {"error", done.error().what}});
    });
}

}  // namespace eve::domainmgr
