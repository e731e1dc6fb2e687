#include "core/domainmgr/runtime_set.hpp"

#include <algorithm>
#include <utility>

namespace eve::domainmgr {

namespace {

bool holds(const std::vector<VirtualizationMode>& modes, VirtualizationMode mode) {
    return std::find(modes.begin(), modes.end(), mode) != modes.end();
}

}  // namespace

bool RuntimeSlot::serves(VirtualizationMode mode) const { return holds(runtime_.description.modes, mode); }

bool RuntimeSlot::can_ask(VirtualizationMode mode) const {
    return runtime_.description.capabilities.stop_ask && !holds(runtime_.description.modes_without_ask, mode);
}

bool RuntimeSlot::try_enter() {
    if (in_flight_ >= std::max(1U, runtime_.description.limits.calls_in_flight_max)) return false;
    ++in_flight_;
    return true;
}

bool RuntimeSlot::enter(std::function<void()> later) {
    if (try_enter()) return true;
    waiting_.push_back(std::move(later));
    return false;
}

void RuntimeSlot::leave() {
    --in_flight_;
    // One that finds nothing to do any more does not enter; the place must then go to the next.
    const std::uint32_t limit = std::max(1U, runtime_.description.limits.calls_in_flight_max);
    while (!waiting_.empty() && in_flight_ < limit) {
        auto next = std::move(waiting_.front());
        waiting_.pop_front();
        next();
    }
}

std::vector<std::string> RuntimeSet::update(std::vector<Runtime> found) {
    std::vector<std::string> added;
    std::vector<std::unique_ptr<RuntimeSlot>> ordered;
    for (auto& runtime : found) {
        const auto known =
            std::find_if(slots_.begin(), slots_.end(), [&](const auto& slot) { return slot && slot->id() == runtime.description.id; });
        if (known == slots_.end()) {
            added.push_back(runtime.description.id);
            ordered.push_back(std::make_unique<RuntimeSlot>(std::move(runtime)));
        } else {
            (*known)->update(std::move(runtime));
            ordered.push_back(std::move(*known));
        }
    }
    for (auto& slot : slots_)
        if (slot) ordered.push_back(std::move(slot));
    slots_ = std::move(ordered);
    return added;
}

RuntimeSlot* RuntimeSet::choose(VirtualizationMode mode) const {
    for (const auto& slot : slots_)
        if (slot->serves(mode)) return slot.get();
    return nullptr;
}

RuntimeSlot* RuntimeSet::find(const std::string& id) const {
    const auto found = std::find_if(slots_.begin(), slots_.end(), [&](const auto& slot) { return slot->id() == id; });
    return found == slots_.end() ? nullptr : found->get();
}

types::Capabilities RuntimeSet::capabilities() const {
    types::Capabilities all;
    for (const auto& slot : slots_) {
        const auto& can = slot->runtime().description.capabilities;
        all.HWAssistedVirtualization = all.HWAssistedVirtualization || can.hw_virtualization;
        all.IOVirtualization = all.IOVirtualization || can.io_virtualization;
        all.CPUPinning = all.CPUPinning || can.cpu_pinning;
        all.UseVHost = all.UseVHost || can.vhost;
    }
    return all;
}

}  // namespace eve::domainmgr
