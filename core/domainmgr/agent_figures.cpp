#include "core/domainmgr/agent_impl.hpp"

#include "core/domainmgr/metrics.hpp"

namespace eve::domainmgr {

using namespace std::chrono_literals;

void Agent::Impl::measure() {
    submit(
        "domainmgr/host", look_limit,
        [&host = deps_.host](const LaneContext&) -> Result<HostFigures> {
            auto memory = host.memory();
            if (!memory) return std::move(memory).error();
            return HostFigures{.memory = *memory, .reserved_cpus = host.reserved_cpus()};
        },
        [this](Result<HostFigures> figures) { on_host_figures(std::move(figures)); });
    for (const auto& slot : runtimes_.slots()) {
        RuntimeSlot* runtime = slot.get();
        // A runtime that is busy is not made to wait for figures: the next round comes soon.
        if (!runtime->try_enter()) continue;
        submit(
            "runtime/" + runtime->id(), look_limit,
            [hypervisor = runtime->runtime().hypervisor, &clock = deps_.loop.clock(), id = ++calls_](const LaneContext& lane) {
                return hypervisor->stats(LaneCall(lane, clock, id));
            },
            [this, runtime](Result<Stats> stats) {
                on_stats(std::move(stats));
                runtime->leave();
            });
    }
    constexpr nanoseconds before_config = 10s;
    const nanoseconds interval = have_items_ ? nanoseconds(items_.seconds("timer.metric.interval")) / 4 : before_config / 4;
    deps_.loop.after(between(interval * 3 / 10, interval), later([this] { measure(); }));
}

void Agent::Impl::on_host_figures(Result<HostFigures> figures) {
    if (!figures) {
        deps_.log.write(Level::warn, "host.memory_unknown", {{"error", figures.error().what}});
        return;
    }
    know_cpus(figures->memory.Ncpus, figures->reserved_cpus);
    (void)memory_->publish(global_key, figures->memory);
    (void)metrics_->publish(types::Uuid{}.to_string(), host_metric(figures->memory, deps_.loop.clock().wall_now()));
    gate_changed();
}

void Agent::Impl::on_stats(Result<Stats> stats) {
    if (!stats) return;  // asked again soon; a runtime that does not measure is no fault
    const types::Time wall = deps_.loop.clock().wall_now();
    std::set<std::string> heard;
    for (const auto& one : stats->domains) {
        const Entry* entry = find(one.id.value);
        if (entry == nullptr || entry->orphan || !entry->domain.status.Activated) continue;
        heard.insert(one.id.value);
        (void)metrics_->publish(one.id.value, domain_metric(entry->domain.config, one, wall));
    }
    for (const auto& [uuid, entry] : domains_)
        if (const auto* metric = metrics_->get(uuid); metric != nullptr && metric->Activated && !entry.domain.status.Activated)
            (void)metrics_->publish(uuid, inactive_metric(entry.domain.config, wall));
}

}  // namespace eve::domainmgr
