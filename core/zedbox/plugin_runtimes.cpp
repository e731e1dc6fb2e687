#include "core/zedbox/plugin_runtimes.hpp"

#include <utility>

#include "storage/durable_file.hpp"

namespace eve::zedbox {

plugin::RegistryOptions registry_options(Process& process) {
    const Options& chosen = process.options;
    plugin::RegistryOptions out;
    out.directories = {chosen.plugin_dir};
    out.own_user_allowed = true;  // --plugins, or the folder of the build tree, is the operator's word
    out.order = chosen.plugin_order;
    out.hypervisor_type_file = process.root.path("/run/eve-hv-type");
    for (const auto& [name, file] : chosen.plugin_config_files) {
        auto text = storage::read_file(file, EVE_REQUEST_SIZE_MAX);
        if (text) out.plugins[name].config = std::move(*text);
        else process.log.write(Level::error, "plugin.config_unreadable", {{"plugin", name}, {"file", file}, {"error", text.error().what}});
    }
    out.isolation = chosen.isolation == "in-process" ? plugin::Isolation::in_process : plugin::Isolation::process;
    out.state_dir = process.root.path("/persist/plugins");
    out.run_dir = process.root.path("/run/plugins");
    out.node = "evenode";
    out.version = EVENODE_VERSION;
    out.guest_uid = chosen.guest_uid;
    out.guest_gid = chosen.guest_gid;
    out.plugin_host = chosen.libexec_dir + "/plugin-host";
    out.keeper.executable = chosen.libexec_dir + "/keeper";
    return out;
}

PluginList::PluginList(Process& process, const std::string& agent) : directory_(process.root.path("/run/" + agent)), log_(process.log) {
    if (const auto own = storage::DurableDirectory::open(directory_)) own->remove_temporaries();  // of a life that was killed
}

void PluginList::write(const std::vector<plugin::PluginStatus>& plugins) const {
    const auto directory = storage::DurableDirectory::make(directory_);
    const auto written = directory ? directory->write("plugins.json", plugin::to_json(plugins), {.reach = storage::Reach::memory})
                                   : Status(directory.error());
    if (!written) log_.write(Level::warn, "plugin.status_not_written", {{"error", written.error().what}});
}

PluginRuntimes::PluginRuntimes(Process& process)
    : list_(process, "domainmgr"),
      registry_(registry_options(process),
                {.log = process.log,
                 .on_event =
                     [sink = sink_](const std::string&, const DomainEvent& event) {
                         const std::lock_guard lock(sink->mutex);
                         if (sink->function) sink->function(event);
                     },
                 .on_change =
                     [sink = sink_](const std::string&, const std::string&) {
                         // Gone or back: either way every domain of it is due for a look.
                         const std::lock_guard lock(sink->mutex);
                         if (sink->function) sink->function(DomainEvent{});
                     }}) {}

Result<std::vector<domainmgr::Runtime>> PluginRuntimes::probe(const LaneContext&) {
    {
        const std::lock_guard probing(probing_);
        if (open_) {
            registry_.open_again();
        } else {
            const std::lock_guard opening(opening_);
            registry_.open();
            open_ = true;
        }
    }
    list_.write(registry_.status());
    std::vector<domainmgr::Runtime> found;
    for (const auto& used : registry_.used()) {
        // The registry owns it and outlives every lane.
        std::shared_ptr<Hypervisor> hypervisor(used.hypervisor, [](Hypervisor*) {});
        found.push_back({.hypervisor = std::move(hypervisor), .description = *used.description, .probe = used.probe});
        if (used.cpus != nullptr) found.back().cpus = std::shared_ptr<Cpus>(used.cpus, [](Cpus*) {});
        if (used.usb != nullptr) found.back().usb = std::shared_ptr<Usb>(used.usb, [](Usb*) {});
    }
    return found;
}

void PluginRuntimes::on_event(std::function<void(const DomainEvent&)> sink) {
    const std::lock_guard lock(sink_->mutex);
    sink_->function = std::move(sink);
}

domainmgr::Assigner PluginRuntimes::assigner() {
    const std::lock_guard lock(opening_);
    if (!open_) return {.pci = nullptr, .why_not = "the plugins are not open yet"};
    // The registry owns it and outlives every lane.
    if (auto* pci = registry_.pci()) return {.pci = std::shared_ptr<Pci>(pci, [](Pci*) {}), .why_not = {}};
    for (const auto& status : registry_.status())
        if (status.name == "pci") return {.pci = nullptr, .why_not = status.reason};
    return {.pci = nullptr, .why_not = "no plugin that assigns PCI devices is installed"};
}

std::vector<std::shared_ptr<Board>> PluginRuntimes::boards() {
    const std::lock_guard lock(opening_);
    std::vector<std::shared_ptr<Board>> all;
    if (!open_) return all;
    for (auto* board : registry_.boards()) all.emplace_back(board, [](Board*) {});
    return all;
}

std::vector<ExecRuntime> PluginRuntimes::exec_runtimes() {
    const std::lock_guard lock(opening_);
    std::vector<ExecRuntime> all;
    if (!open_) return all;
    for (const auto& used : registry_.used()) all.push_back({.name = used.name, .hypervisor = used.hypervisor, .exec = used.exec});
    return all;
}

}  // namespace eve::zedbox
