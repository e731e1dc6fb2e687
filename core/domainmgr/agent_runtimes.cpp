#include "core/domainmgr/agent_impl.hpp"

namespace eve::domainmgr {

void Agent::Impl::probe() {
    if (probe_timer_) deps_.loop.cancel(*std::exchange(probe_timer_, std::nullopt));
    submit("domainmgr/runtimes", step_limit, [&runtimes = deps_.runtimes](const LaneContext& lane) { return runtimes.probe(lane); },
           [this](Result<std::vector<Runtime>> found) { on_probed(std::move(found)); });
}

void Agent::Impl::probe_at(Instant when) {
    if (probe_timer_) deps_.loop.cancel(*probe_timer_);
    probe_at_ = when;
    probe_timer_ = deps_.loop.at(when, later([this] {
        probe_timer_.reset();
        probe();
    }));
}

void Agent::Impl::runtime_is_missed() {
    const Instant when = deps_.loop.now() + probe_waited;
    if (probe_timer_ && when < probe_at_) probe_at(when);  // without a timer it is being done
}

void Agent::Impl::on_probed(Result<std::vector<Runtime>> found) {
    std::vector<std::string> added;
    if (!found) deps_.log.write(Level::error, "runtimes.probe_failed", {{"error", found.error().what}});
    else added = runtimes_.update(*std::move(found));
    for (const auto& slot : runtimes_.slots())
        if (std::find(added.begin(), added.end(), slot->id()) != added.end())
            deps_.log.write(Level::info, "runtime.usable", {{"runtime", slot->id()}, {"reason", slot->runtime().probe.reason}});
    if (runtimes_.empty()) deps_.log.write(Level::warn, "runtimes.none", {});
    probe_at(deps_.loop.now() + std::exchange(probe_wait_, std::min(2 * probe_wait_, probe_last)));
    devices_.on_probed();
    if (std::exchange(probed_, true) && added.empty()) return;
    (void)capabilities_->publish(global_key, runtimes_.capabilities());
    list_all();
    std::vector<std::string> waiting;
    for (const auto& [uuid, entry] : domains_)
        if (entry.runtime == nullptr) waiting.push_back(uuid);
    for (const auto& uuid : waiting) {
        Entry* entry = find(uuid);
        if (entry == nullptr) continue;
        entry->runtime = runtime_of(uuid, *entry);
        if (entry->runtime == nullptr) continue;
        entry->domain.history.not_before.reset();
        on_hint(entry->domain, now());
        kick(uuid);
    }
}

RuntimeSlot* Agent::Impl::runtime_of(const std::string& uuid, const Entry& entry) const {
    if (const auto found = found_.find(uuid); found != found_.end()) return found->second;
    // Another that serves the mode would say that it knows no such domain.
    if (const auto had = had_by(uuid, entry); !had.empty()) return runtimes_.find(had);
    const auto& domain = entry.domain;
    return runtimes_.choose(runtime_mode(domain.desired.known ? domain.config.VirtualizationMode : domain.status.VirtualizationMode));
}

std::string Agent::Impl::had_by(const std::string& uuid, const Entry& entry) const {
    if (!entry.evidence || entry.domain.history.seen || entry.domain.status.State == types::SwState::HALTED) return {};
    const auto* notes = notes_->get(uuid);
    return notes == nullptr ? std::string() : notes->Runtime;
}

void Agent::Impl::list_all() {
    if (lists_pending_ > 0) {
        list_again_ = true;  // there may be a runtime that it has not asked
        return;
    }
    list_again_ = false;
    lists_pending_ = runtimes_.slots().size();
    if (lists_pending_ == 0) {
        listed_ = true;
        gate_changed();
        return;
    }
    listing_.begin();
    for (const auto& slot : runtimes_.slots()) list(*slot);
}

void Agent::Impl::list(RuntimeSlot& slot) {
    if (!slot.enter(later([this, &slot] { list(slot); }))) return;
    submit(
        "runtime/" + slot.id(), look_limit,
        [hypervisor = slot.runtime().hypervisor, &clock = deps_.loop.clock(), id = ++calls_](const LaneContext& lane) {
            return hypervisor->list(LaneCall(lane, clock, id));
        },
        [this, &slot](Result<std::vector<DomainInfo>> listed) {
            on_listed(slot, std::move(listed));
            slot.leave();
        });
}

void Agent::Impl::on_listed(RuntimeSlot& slot, Result<std::vector<DomainInfo>> listed) {
    if (!listed) {
        deps_.log.write(Level::warn, "runtime.list_failed", {{"runtime", slot.id()}, {"error", listed.error().what}});
        listing_.failed();
    } else {
        for (const auto& info : *listed) {
            const std::string& uuid = info.id.value;
            listing_.add(info);
            found_[uuid] = &slot;
            if (info.presence == Presence::absent) continue;
            // A list that is older than its end does not bring it back.
            if (const Entry* known = find(uuid); known == nullptr || known->domain.observed.presence != Presence::absent) adopt_cpus(info);
            if (Entry* entry = find(uuid)) {
                if (entry->runtime == nullptr) entry->runtime = &slot;
            } else if (configs_complete_) {
                adopt_orphan(slot, info);
            }
        }
    }
    if (--lists_pending_ > 0) return;
    listing_.complete(deps_.loop.now());
    listed_ = true;
    if (list_timer_) deps_.loop.cancel(*list_timer_);
    list_timer_ = deps_.loop.after(list_interval, later([this] {
        list_timer_.reset();
        list_all();
    }));
    gate_changed();
    if (list_again_) list_all();
}

void Agent::Impl::adopt_orphan(RuntimeSlot& slot, const DomainInfo& info) {
    deps_.log.write(Level::warn, "domain.orphan", {{"domain", info.id.value}, {"runtime", slot.id()}, {"state", static_cast<int>(info.state)}});
    Entry& entry = domains_[info.id.value];
    entry.orphan = true;
    entry.runtime = &slot;
    entry.domain.config.UUIDandVersion.UUID = types::Uuid::parse_or_nil(info.id.value);
    on_config_gone(entry.domain, now());
    entry.domain.history.purged = true;  // what it wrote stays: nobody said that the app was deleted
    kick(info.id.value);
}

void Agent::Impl::on_runtime_event(const std::string& uuid) {
    std::vector<std::string> hinted;
    if (!uuid.empty()) {
        hinted.push_back(uuid);
        listing_.doubt(uuid);
    } else {
        for (const auto& [each, entry] : domains_) hinted.push_back(each);
        list_all();
    }
    for (const auto& each : hinted) {
        Entry* entry = find(each);
        if (entry == nullptr) continue;
        on_hint(entry->domain, now());
        kick(each);
    }
}

}  // namespace eve::domainmgr
