#include <charconv>

#include "core/domainmgr/agent_impl.hpp"

namespace eve::domainmgr {

namespace {

std::string joined(const std::vector<std::uint32_t>& cpus) {
    std::string text;
    for (const auto cpu : cpus) text += (text.empty() ? "" : ",") + std::to_string(cpu);
    return text;
}

std::vector<std::uint32_t> cpus_in(std::string_view text) {
    std::vector<std::uint32_t> cpus;
    while (!text.empty()) {
        std::uint32_t cpu = 0;
        const auto read = std::from_chars(text.data(), text.data() + text.size(), cpu);
        if (read.ec != std::errc{}) break;
        cpus.push_back(cpu);
        text.remove_prefix(std::min<std::size_t>(static_cast<std::size_t>(read.ptr - text.data()) + 1, text.size()));
    }
    return cpus;
}

}  // namespace

/// How many there are is known: what was found running before has its own.
void Agent::Impl::know_cpus(std::uint32_t total, std::uint32_t reserved) {
    if (cpus_) return;
    auto made = CpuAllocator::make(total, reserved);
    // On a machine too small nobody can have CPUs of his own, which concerns only who wants some.
    if (!made) cpus_trouble_ = made.error().what;
    cpus_ = made ? *std::move(made) : *CpuAllocator::make(total + 1, total);
    for (const auto& [uuid, cpus] : std::exchange(cpus_found_, {})) cpus_->adopt(types::Uuid::parse_or_nil(uuid), cpus);
}

/// A domain with CPUs of its own runs: they are its own, whoever started it.
void Agent::Impl::adopt_cpus(const DomainInfo& info) {
    const auto label = info.labels.find(label_cpus);
    if (info.presence != Presence::present || label == info.labels.end()) return;
    const auto app = types::Uuid::parse_or_nil(info.id.value);
    const auto cpus = cpus_in(label->second);
    if (app.is_nil() || cpus.empty()) return;
    if (!cpus_) {
        cpus_found_[info.id.value] = cpus;
    } else if (!cpus_->has(app)) {
        cpus_->adopt(app, cpus);
        cpus_changed();
    }
}

/// CPUs of its own, if it wants some; what it has it keeps.
Status Agent::Impl::take_cpus(Entry& entry) {
    const auto& config = entry.domain.config;
    const auto app = config.UUIDandVersion.UUID;
    if (!config.CPUsPinned) return {};
    if (!cpus_) return Error{.code = Code::unavailable, .what = "the CPUs of this machine are not known yet"};
    if (const auto own = cpus_->own(app); own.size() == static_cast<std::size_t>(std::max<std::int64_t>(config.VCpus, 0))) return {};
    free_cpus(entry);  // it wants another number of them now
    if (!cpus_trouble_.empty()) return Error{.code = Code::resource_exhausted, .what = cpus_trouble_};
    auto taken = cpus_->allocate(app, static_cast<std::uint32_t>(std::clamp<std::int64_t>(config.VCpus, 1, cpus_max)));
    if (!taken) return std::move(taken).error();
    deps_.log.write(Level::info, "domain.cpus_taken", {{"domain", uuid_of(entry)}, {"cpus", joined(*taken)}});
    cpus_changed();
    return {};
}

/// What it had is everybody's again, and who waited for CPUs is tried at once.
void Agent::Impl::free_cpus(const Entry& entry) {
    const std::string freed = uuid_of(entry);
    cpus_found_.erase(freed);
    if (!cpus_ || !cpus_->free(entry.domain.config.UUIDandVersion.UUID)) return;
    deps_.log.write(Level::info, "domain.cpus_freed", {{"domain", freed}});
    cpus_changed();
    for (auto& [uuid, other] : domains_) {
        if (uuid == freed || !other.wants_cpus) continue;
        other.domain.history.not_before = deps_.loop.now();
        deps_.loop.post(later([this, waiting = uuid] { kick(waiting); }));
    }
}

/// The CPUs of the domain as its runtime is told them; empty: any.
std::vector<std::uint32_t> Agent::Impl::cpus_of(const Entry& entry) const {
    if (!cpus_) return {};
    if (auto own = cpus_->own(entry.domain.config.UUIDandVersion.UUID); !own.empty()) return own;
    return cpus_->any_taken() ? cpus_->shared() : std::vector<std::uint32_t>{};
}

void Agent::Impl::cpus_changed() {
    deps_.loop.post(later([this] {
        for (auto& [uuid, entry] : domains_) {
            confine(entry);
            publish(entry);
        }
    }));
}

/// A domain without CPUs of its own leaves those that others got, and may come back when they are free. Level-triggered: what failed is tried
/// again.
void Agent::Impl::confine(Entry& entry) {
    const auto& domain = entry.domain;
    if (!cpus_ || entry.confining || entry.runtime == nullptr || !entry.runtime->runtime().cpus) return;
    const bool runs = domain.observed.presence == Presence::present &&
                      (domain.observed.state == DomainState::running || domain.observed.state == DomainState::paused);
    if (!runs || cpus_->has(domain.config.UUIDandVersion.UUID)) return;
    auto wanted = cpus_of(entry);
    // One that was running before us may be confined for the sake of an app that is gone.
    if (entry.confined_to == wanted) return;
    const std::string uuid = uuid_of(entry);
    RuntimeSlot* slot = entry.runtime;
    if (!slot->enter(later([this, uuid] {
            if (Entry* waiting = find(uuid)) {
                waiting->confining = false;
                confine(*waiting);
            }
        }))) {
        entry.confining = true;
        return;
    }
    entry.confining = true;
    submit(
        "domain/" + uuid, step_limit,
        [cpus = slot->runtime().cpus, &clock = deps_.loop.clock(), id = ++calls_, told = CpuConfinement{.domain = DomainId{uuid}, .cpus = wanted}](
            const LaneContext& lane) { return cpus->confine(LaneCall(lane, clock, id), told); },
        [this, uuid, slot, wanted](Status done) {
            if (Entry* told = find(uuid)) {
                told->confining = false;
                deps_.log.write(done ? Level::info : Level::warn, done ? "domain.confined" : "domain.not_confined",
                                {{"domain", uuid}, {"cpus", wanted.empty() ? std::string("any") : joined(wanted)}, {"error", done ? std::string() : done.error().what}});
                if (done) {
                    told->confined_to = wanted;
                    confine(*told);  // another change may have come meanwhile
                } else {
                    deps_.loop.after(confine_retry, later([this, uuid] {
                        if (Entry* again = find(uuid)) confine(*again);
                    }));
                }
            }
            slot->leave();
        });
}

}  // namespace eve::domainmgr
