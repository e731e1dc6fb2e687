#include "core/domainmgr/agent_impl.hpp"

#include "core/types/vmm_overhead.hpp"

namespace eve::domainmgr {

Entry* Agent::Impl::find(const std::string& uuid) {
    const auto found = domains_.find(uuid);
    return found == domains_.end() ? nullptr : &found->second;
}

void Agent::Impl::kick(const std::string& uuid) {
    Entry* entry = find(uuid);
    if (entry == nullptr || entry->busy || entry->queued) return;
    if (entry->timer) deps_.loop.cancel(*std::exchange(entry->timer, std::nullopt));
    auto& domain = entry->domain;
    if (entry->runtime != nullptr) domain.desired.can_be_asked = entry->runtime->can_ask(runtime_mode(domain.desired.mode));
    const Plan next = plan(domain.desired, domain.observed, domain.history, deps_.loop.now());
    if (next.step != Step::none) {
        run(*entry, next.step);
    } else if (next.wake_at) {
        entry->timer = deps_.loop.at(*next.wake_at, later([this, uuid] {
            if (Entry* woken = find(uuid)) woken->timer.reset();
            kick(uuid);
        }));
    }
}

void Agent::Impl::run(Entry& entry, Step step) {
    const DomainId id{uuid_of(entry)};
    switch (step) {
        case Step::none: return;
        case Step::look:
            if (!is_steady(entry) || !look_at_all(*entry.runtime)) look(entry);
            return;
        case Step::prepare: prepare(entry); return;
        case Step::create: create(entry); return;
        case Step::release: release(entry); return;
        case Step::start:
            call(entry, step, step_limit, [id](Hypervisor& hypervisor, const CallContext& context) { return hypervisor.start(context, id); });
            return;
        case Step::ask:
        case Step::cut: {
            const StopMode mode = step == Step::ask ? StopMode::ask : StopMode::cut;
            call(entry, step, step_limit,
                 [id, mode](Hypervisor& hypervisor, const CallContext& context) { return hypervisor.stop(context, id, mode); });
            return;
        }
        case Step::destroy:
        case Step::purge: {
            const DestroyMode mode = step == Step::purge ? DestroyMode::purge : DestroyMode::keep_state;
            call(entry, step, step_limit,
                 [id, mode](Hypervisor& hypervisor, const CallContext& context) { return hypervisor.destroy(context, id, mode); });
            return;
        }
    }
}

void Agent::Impl::call(Entry& entry, Step step, nanoseconds limit,
                       std::function<Result<DomainInfo>(Hypervisor&, const CallContext&)> work) {
    const std::string uuid = uuid_of(entry);
    RuntimeSlot* slot = entry.runtime;
    if (slot == nullptr) {
        // No runtime ever had it, so nothing of it can be there, unless an old record says that one had: that one is not usable now.
        Result<DomainInfo> answer = DomainInfo{.id = DomainId{uuid}, .presence = Presence::absent};
        if (!had_by(uuid, entry).empty()) {
            runtime_is_missed();
            answer = Error{.code = Code::unavailable,
                           .what = "the runtime that had it is not usable now",
                           .hint = "evectl plugins shows why; it is asked again every half a minute"};
        }
        entry.busy = true;
        deps_.loop.post(later([this, uuid, step, answer = std::move(answer)] { finished(uuid, nullptr, step, answer); }));
        return;
    }
    const bool entered = slot->enter(later([this, uuid] {
        if (Entry* waiting = find(uuid)) waiting->queued = false;
        kick(uuid);
        next_create();  // it may have been its turn, and it needs none any more
    }));
    if (!entered) {
        entry.queued = true;
        return;
    }
    entry.busy = true;
    entry.alone = false;
    entry.last_call = ++calls_;
    if (step == Step::create) creating_ = uuid;
    submit(
        "domain/" + uuid, limit,
        [hypervisor = slot->runtime().hypervisor, &clock = deps_.loop.clock(), id = calls_, work = std::move(work)](const LaneContext& lane) {
            return work(*hypervisor, LaneCall(lane, clock, id));
        },
        [this, uuid, slot, step](Result<DomainInfo> result) { finished(uuid, slot, step, std::move(result)); });
}

void Agent::Impl::look(Entry& entry) {
    const DomainId id{uuid_of(entry)};
    call(entry, Step::look, look_limit, [id](Hypervisor& hypervisor, const CallContext& context) { return hypervisor.inspect(context, id); });
}

void Agent::Impl::create(Entry& entry) {
    const std::string uuid = uuid_of(entry);
    auto& domain = entry.domain;
    if (!creating_.empty() && creating_ != uuid) {
        want_creating_.insert(uuid);
        return;
    }
    if (entry.runtime == nullptr) {
        domain.history.prepared = false;
        kick(uuid);
        return;
    }
    types::VmmOverheadInputs overhead;
    overhead.limit_bytes = std::uint64_t{items_.number("memory.vmm.limit.MiB")} << 20;
    auto translated = translate({.config = domain.config,
                                 .runtime = entry.runtime->runtime().description,
                                 .cloud_init_path = entry.cloud_init_path,
                                 .overhead_bytes = types::vmm_overhead(domain.config, overhead),
                                 .resolution = items_.text("app.fml.resolution"),
                                 .cpus = cpus_of(entry),
                                 .adapters = entry.lent.adapters,
                                 .vmm_args = entry.lent.vmm_args});
    if (!translated) {
        on_prepare_failed(domain, translated.error(), now(), std::nullopt);
        entry.busy = true;
        deps_.loop.post(later([this, uuid] {
            if (Entry* refused = find(uuid)) refused->busy = false;
            settle(uuid);
        }));
        return;
    }
    domain.notes = translated->notes;
    domain.notes.insert(domain.notes.end(), entry.lent.notes.begin(), entry.lent.notes.end());
    domain.status.VirtualTPM = translated->spec.virtual_tpm;
    domain.status.FmlCustomResolution = translated->spec.resolution;
    entry.confined_to = translated->spec.cpus;
    call(entry, Step::create, step_limit, [spec = std::move(translated->spec)](Hypervisor& hypervisor, const CallContext& context) {
        return hypervisor.create(context, spec);
    });
}

void Agent::Impl::release(Entry& entry) {
    const std::string uuid = uuid_of(entry);
    const types::Uuid app = entry.domain.config.UUIDandVersion.UUID;
    const bool deleted = !entry.domain.desired.known;
    const bool stays_marked = going_down_;
    entry.busy = true;
    entry.marked = stays_marked;
    const auto remove_files = [this, uuid, app, deleted](const Status& cleared) {
        submit(
            "domain/" + uuid, files_limit, [&host = deps_.host, app, deleted](const LaneContext&) { return deleted ? host.remove_cloud_init(app) : Status{}; },
            [this, uuid, cleared](const Status& removed) {
                Entry* released = find(uuid);
                if (released == nullptr) return;
                released->busy = false;
                // A file that does not go away is a nuisance, no reason to keep the app for ever.
                const Status& done = removed ? cleared : removed;
                if (!done) deps_.log.write(Level::warn, "domain.release_failed", {{"domain", uuid}, {"error", done.error().what}});
                on_released(released->domain);
                settle(uuid);
            });
    };
    if (stays_marked) remove_files({});
    else marks_.set(app, false, remove_files);
}

void Agent::Impl::finished(const std::string& uuid, RuntimeSlot* slot, Step step, Result<DomainInfo> result) {
    if (step == Step::create && creating_ == uuid) creating_.clear();
    if (Entry* entry = find(uuid)) {
        auto& domain = entry->domain;
        entry->busy = false;
        if (result) {
            on_stepped(domain, step, now());
            on_seen(domain, *result, policy(), now(), next_look());
            // One that was running before us has its devices and CPUs already.
            adopt_cpus(*result);
            if (result->presence == Presence::present && domain.desired.known) devices_.adopt(domain.config.UUIDandVersion.UUID, domain.config.IoAdapterList);
            if (step != Step::look)
                deps_.log.write(Level::debug, "domain.step_done",
                                {{"domain", uuid}, {"step", to_string(step)}, {"state", static_cast<int>(result->state)}});
        } else {
            deps_.log.write(Level::warn, "domain.step_failed",
                            {{"domain", uuid}, {"step", to_string(step)}, {"code", to_string(result.error().code)}, {"error", result.error().what}});
            if (step == Step::look) on_look_failed(domain, result.error(), now());
            else on_step_failed(domain, step, result.error(), policy(), now());
        }
        settle(uuid);
    }
    if (slot != nullptr) slot->leave();
    if (step == Step::create) next_create();
}

/// One of those that wait to be created is, or waits for a place at its runtime: its turn comes back here. The others are left alone: a thousand
/// that were each told of each other's turn took most of a node's start.
void Agent::Impl::next_create() {
    while (creating_.empty() && !want_creating_.empty()) {
        const std::string next = *want_creating_.begin();
        want_creating_.erase(want_creating_.begin());
        kick(next);
        if (const Entry* entry = find(next); entry != nullptr && entry->queued) return;
    }
}

void Agent::Impl::settle(const std::string& uuid) {
    Entry* entry = find(uuid);
    if (entry == nullptr) return;
    const auto& domain = entry->domain;
    const auto& history = domain.history;
    log_changes(*entry);
    // Every way out of a try to run it ends here with nothing prepared and nothing there.
    if (!entry->busy && !history.prepared && domain.observed.presence == Presence::absent) {
        give_back_devices(*entry);
        free_cpus(*entry);
    }
    if (!domain.desired.known && !entry->busy && domain.observed.presence == Presence::absent && history.purged && history.released) {
        if (entry->timer) deps_.loop.cancel(*entry->timer);
        if (!entry->orphan) {
            (void)status_->unpublish(uuid);
            if (notes_->get(uuid) != nullptr) (void)notes_->unpublish(uuid);
            if (metrics_->get(uuid) != nullptr) (void)metrics_->unpublish(uuid);
        }
        free_cpus(*entry);
        found_.erase(uuid);
        listing_.doubt(uuid);
        domains_.erase(uuid);
        deps_.log.write(Level::info, "domain.deleted", {{"domain", uuid}});
        return;
    }
    publish(*entry);
    confine(*entry);
    if (!entry->domain.config.IoAdapterList.empty()) usb_round();
    kick(uuid);
}

}  // namespace eve::domainmgr
