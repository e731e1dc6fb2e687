#include "core/domainmgr/plugin_runtimes.hpp"

#include <memory>

namespace eve::domainmgr {

Result<std::vector<Runtime>> PluginRuntimes::probe(const LaneContext&) {
    if (registry_ == nullptr) return Error{.code = Code::unavailable, .what = "the plugins are not opened yet"};
    std::vector<Runtime> runtimes;
    for (const auto& used : registry_->used()) {
        // The registry owns it and outlives every call; the pointer only has the shape that tests need.
        std::shared_ptr<Hypervisor> borrowed(used.hypervisor, [](Hypervisor*) {});
        runtimes.push_back({.hypervisor = std::move(borrowed), .description = *used.description, .probe = used.probe});
        if (runtimes.back().description.id.empty()) runtimes.back().description.id = used.name;
    }
    return runtimes;
}

void PluginRuntimes::on_event(std::function<void(const DomainEvent&)> sink) {
    const std::lock_guard lock(mutex_);
    sink_ = std::move(sink);
}

void PluginRuntimes::event(const DomainEvent& event) const {
    const std::lock_guard lock(mutex_);
    if (sink_) sink_(event);
}

void PluginRuntimes::changed(const std::string& trouble) const {
    if (trouble.empty()) event(DomainEvent{});
}

}  // namespace eve::domainmgr
