#include "core/domainmgr/agent_impl.hpp"

namespace eve::domainmgr {

void Agent::Impl::probe() {
    ++probes_;
    submit("domainmgr/runtimes", step_limit, [&runtimes = deps_.runtimes](const LaneContext& lane) { return runtimes.probe(lane); },
           [this](Result<std::vector<Runtime>> found) { on_probed(std::move(found)); });
}

void Agent::Impl::on_probed(Result<std::vector<Runtime>> found) {
    if (!found) deps_.log.write(Level::error, "runtimes.probe_failed", {{"error", found.error().what}});
    else runtimes_.update(*std::move(found));
    for (const auto& slot : runtimes_.slots())
        deps_.log.write(Level::info, "runtime.usable", {{"runtime", slot->id()}, {"reason", slot->runtime().probe.reason}});
    if (runtimes_.empty()) {
        constexpr std::uint64_t eager_probes = 12;
        deps_.log.write(Level::warn, "runtimes.none", {{"probes", probes_}});
        deps_.loop.after(probes_ < eager_probes ? probe_retry : 12 * probe_retry, later([this] { probe(); }));
    }
    probed_ = true;
    devices_.on_probed();
    (void)capabilities_->publish(global_key, runtimes_.capabilities());
    list_all();
}

void Agent::Impl::list_all() {
    if (lists_pending_ > 0) return;
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
