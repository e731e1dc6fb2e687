#include "core/domainmgr/agent_impl.hpp"

namespace eve::domainmgr {

bool is_steady(const Entry& entry) {
    const auto& [presence, state, revision] = entry.domain.observed;
    const auto& history = entry.domain.history;
    return entry.runtime != nullptr && !entry.busy && !entry.queued && !entry.alone && entry.domain.desired.wanted() && !history.look &&
           !history.stop && !history.loss && presence == Presence::present && (state == DomainState::running || state == DomainState::paused);
}

/// Steady domains of one runtime are seen by one call: looked at one by one, a hundred that idle would keep the node awake. False: there is
/// only one.
bool Agent::Impl::look_at_all(RuntimeSlot& slot) {
    if (rounds_.contains(&slot)) return true;
    const auto of_this = [&slot](const auto& item) { return item.second.runtime == &slot && is_steady(item.second); };
    if (std::count_if(domains_.begin(), domains_.end(), of_this) < 2) return false;
    rounds_.insert(&slot);
    deps_.loop.post(later([this, &slot] { round(slot); }));  // not from inside kick()
    return true;
}

void Agent::Impl::round(RuntimeSlot& slot) {
    if (!slot.enter(later([this, &slot] { round(slot); }))) return;
    submit(
        "runtime/" + slot.id(), look_limit,
        [hypervisor = slot.runtime().hypervisor, &clock = deps_.loop.clock(), id = ++calls_](const LaneContext& lane) {
            return hypervisor->list(LaneCall(lane, clock, id));
        },
        [this, &slot, number = calls_](Result<std::vector<DomainInfo>> listed) { on_round(slot, number, std::move(listed)); });
}

void Agent::Impl::on_round(RuntimeSlot& slot, std::uint64_t number, Result<std::vector<DomainInfo>> listed) {
    if (!listed) deps_.log.write(Level::warn, "runtime.list_failed", {{"runtime", slot.id()}, {"error", listed.error().what}});
    std::map<std::string, const DomainInfo*> seen;
    if (listed)
        for (const auto& info : *listed)
            if (info.presence == Presence::present) seen.emplace(info.id.value, &info);
    const Instant next = next_look();  // the same for all: they are looked at together again
    rounds_.erase(&slot);
    std::vector<std::string> steady;
    for (const auto& [uuid, entry] : domains_)
        if (entry.runtime == &slot && is_steady(entry)) steady.push_back(uuid);
    for (const auto& uuid : steady) {
        Entry* entry = find(uuid);
        if (entry == nullptr || !is_steady(*entry)) continue;
        const auto found = seen.find(uuid);
        if (entry->last_call > number || found == seen.end()) {
            // Out of date, or not told: nothing is concluded from that.
            entry->alone = entry->last_call < number;
            kick(uuid);
            continue;
        }
        const bool changed = *found->second != entry->domain.info;
        on_seen(entry->domain, *found->second, policy(), now(), next);
        if (changed) settle(uuid);
        else kick(uuid);
    }
    slot.leave();
}

}  // namespace eve::domainmgr
