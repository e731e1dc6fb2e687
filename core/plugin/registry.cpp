#include "core/plugin/registry.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "eve/sdk/codec.hpp"
#include "eve/sdk/kept_process.hpp"

namespace eve::plugin {
namespace {

constexpr auto call_limit = std::chrono::seconds{30};
constexpr std::size_t files_max = 64;
constexpr int deaths_at_open_max = 3;  ///< of a plugin-host whose plugin was looked into and found good

/// The order of a node whose operator says nothing. mock is only used when it is named.
const std::vector<std::string> built_in_order = {"xen", "kvm", "containerd"};

/// Of our own plugins it is known what they need. A plugin does not say so itself: its word would bind only those that mean well. Others have
/// what the node has.
std::uint64_t rights_of(const std::string& plugin) {
    if (plugin == "kvm" || plugin == "mock") return rights::plugin_host;
    if (plugin == "containerd") return rights::containerd_host;
    if (plugin == "pci") return rights::pci_host;
    if (plugin == "xen") return rights::xen_host;
    return rights::node;
}

std::string trimmed(std::string text) {
    const auto blank = [](char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; };
    while (!text.empty() && blank(text.back())) text.pop_back();
    while (!text.empty() && blank(text.front())) text.erase(0, 1);
    return text;
}

}  // namespace

std::string_view to_string(PluginState state) {
    switch (state) {
        case PluginState::used: return "used";
        case PluginState::spare: return "spare";
        case PluginState::declined: return "declined";
        case PluginState::broken: return "broken";
        case PluginState::refused: return "refused";
        case PluginState::quarantined: return "quarantined";
        case PluginState::not_asked: return "not_asked";
    }
    return "not_asked";
}

struct Registry::Entry {
    PluginStatus status;
    PluginSettings settings;
    Inspection seen;
    std::unique_ptr<NodeHost> host;
    std::unique_ptr<Plugin> plugin;            // before the host it uses
    std::unique_ptr<HypervisorClient> client;  // before the plugin it uses, as the others
    std::unique_ptr<UsbClient> usb;
    std::unique_ptr<ExecClient> exec;
    std::unique_ptr<CpusClient> cpus;
    std::unique_ptr<ContentClient> content;
    std::unique_ptr<PciClient> pci;
    std::unique_ptr<BoardClient> board;
};

Registry::Registry(RegistryOptions options, Deps deps) : options_(std::move(options)), deps_(std::move(deps)) {}
Registry::~Registry() = default;

std::vector<std::string> Registry::wanted() const {
    if (!options_.order.empty()) return options_.order;
    const auto file = sdk::detail::read_small_file(AT_FDCWD, options_.hypervisor_type_file.c_str());
    auto type = file ? trimmed(*file) : std::string();
    if (type.empty()) return built_in_order;
    // The file names the hypervisor; containers run beside any.
    std::vector<std::string> order{std::move(type)};
    if (order[0] != "containerd") order.emplace_back("containerd");
    return order;
}

void Registry::open() {
    const auto order = wanted();
    std::set<std::string> names;
    std::vector<std::unique_ptr<Entry>> found;
    for (const auto& directory : options_.directories) {
        std::vector<std::string> files;
        std::error_code failure;
        for (const auto& file : std::filesystem::directory_iterator(directory, failure))
            if (file.path().extension() == ".so" && files.size() < files_max) files.push_back(file.path().string());
        if (failure) deps_.log.write(Level::warn, "plugins.directory_unreadable", {{"directory", directory}, {"error", failure.message()}});
        std::sort(files.begin(), files.end());
        for (const auto& file : files) {
            auto name = std::filesystem::path(file).stem().string();
            if (!names.insert(name).second) continue;
            auto entry = std::make_unique<Entry>();
            entry->status.name = std::move(name);
            entry->status.file = file;
            found.push_back(std::move(entry));
        }
    }
    const auto rank = [&](const std::unique_ptr<Entry>& entry) {
        return std::find(order.begin(), order.end(), entry->status.name) - order.begin();
    };
    std::stable_sort(found.begin(), found.end(), [&](const auto& a, const auto& b) { return rank(a) < rank(b); });
    for (const auto& name : order)
        if (!names.contains(name)) deps_.log.write(Level::info, "plugin.not_installed", {{"plugin", name}});
    entries_ = std::move(found);
    const auto is_service = [&](const std::string& name) {
        return name.starts_with(options_.service_prefix) || std::find(options_.services.begin(), options_.services.end(), name) != options_.services.end();
    };
    for (auto& entry : entries_) {
        if (!is_service(entry->status.name) && std::find(order.begin(), order.end(), entry->status.name) == order.end()) {
            entry->status.reason = "not in the order of plugins";
            continue;
        }
        consider(*entry);
        tell(entry->status);
    }
}

bool Registry::open_again() {
    bool more = false;
    for (auto& place : entries_) {
        const PluginStatus before = place->status;
        if (before.state == PluginState::used || before.state == PluginState::spare || before.state == PluginState::not_asked) continue;
        auto entry = std::make_unique<Entry>();
        entry->status.name = before.name;
        entry->status.file = before.file;
        consider(*entry);
        if (entry->status.state != before.state || entry->status.reason != before.reason) tell(entry->status);
        more = more || entry->status.state == PluginState::used;
        const std::lock_guard lock(mutex_);
        place.swap(entry);
    }
    return more;
}

void Registry::tell(const PluginStatus& status) const {
    const bool trouble = status.state != PluginState::used && status.state != PluginState::spare && status.state != PluginState::declined;
    deps_.log.write(trouble ? Level::error : Level::info, "plugin.considered",
                    {{"plugin", status.name}, {"state", to_string(status.state)}, {"reason", status.reason}, {"hint", status.hint}});
}

void Registry::consider(Entry& entry) {
    auto& status = entry.status;
    if (const auto at = options_.plugins.find(status.name); at != options_.plugins.end()) entry.settings = at->second;
    status.isolation = entry.settings.isolation.value_or(options_.isolation);
    const auto give_up = [&](PluginState state, const Error& error) {
        status.state = state;
        status.reason = error.what;
        status.hint = error.hint;
    };
    auto host = NodeHost::open({.plugin = status.name,
                                .node = options_.node,
                                .version = options_.version,
                                .state_dir = options_.state_dir + "/" + status.name,
                                .run_dir = options_.run_dir + "/" + status.name,
                                .sysfs = options_.sysfs,
                                .config = entry.settings.config,
                                .guest_uid = options_.guest_uid,
                                .guest_gid = options_.guest_gid,
                                .keeper = options_.keeper},
                               {.log = deps_.log, .on_event = [this, name = status.name](DomainEvent event) {
                                    if (deps_.on_event) deps_.on_event(name, std::move(event));
                                }});
    if (!host) return give_up(PluginState::broken, host.error());
    entry.host = std::move(*host);

    const Loader loader({.plugin_host = options_.plugin_host,
                         .cache_dir = options_.run_dir + "/.seen",
                         .own_user_allowed = options_.own_user_allowed,
                         .signature_keys = options_.signature_keys});
    Refusal refusal;
    auto seen = loader.look_into(status.file, *entry.host, refusal);
    if (!seen) return give_up(refusal.quarantined ? PluginState::quarantined : PluginState::refused, refusal.error);
    entry.seen = std::move(*seen);
    status.identity = entry.seen.identity;
    status.modes = entry.seen.description.modes;
    status.reason = entry.seen.probe.reason;
    status.notes = entry.seen.probe.notes;
    if (entry.seen.probe.verdict == ProbeVerdict::declined) status.state = PluginState::declined;
    else if (entry.seen.probe.verdict != ProbeVerdict::supported) status.state = PluginState::broken;
    else {
        const auto& modes = status.modes;
        const auto& identity = entry.seen.identity;
        const bool adds = std::any_of(modes.begin(), modes.end(), [&](VirtualizationMode mode) { return for_mode(mode) == nullptr; }) ||
                          (serves(identity, "pci/1") && pci() == nullptr) || serves(identity, "board/1");
        if (!adds) {
            status.state = PluginState::spare;
            return;
        }
        auto opened = use(entry);
        for (int death = 1; !opened && opened.error().code == Code::unavailable && death < deaths_at_open_max; ++death) opened = use(entry);
        if (!opened) return give_up(PluginState::broken, opened.error());
        status.state = PluginState::used;
    }
}

Status Registry::use(Entry& entry) {
    const OpenOptions open{.file = entry.status.file,
                           .host = *entry.host,
                           .calls_in_flight_max = entry.seen.description.limits.calls_in_flight_max};
    const auto on_change = [this, name = entry.status.name](const std::string& why) {
        deps_.log.write(why.empty() ? Level::info : Level::error, why.empty() ? "plugin.back" : "plugin.broken", {{"plugin", name}, {"reason", why}});
        if (deps_.on_change) deps_.on_change(name, why);
    };
    auto plugin = entry.status.isolation == Isolation::in_process
                      ? open_in_process(open, {.on_change = on_change})
                      : open_isolated(open, {.executable = options_.plugin_host,
                                             .capabilities = rights_of(entry.status.name),
                                             .on_change = on_change});
    if (!plugin) return std::move(plugin).error();
    entry.plugin = std::move(*plugin);
    const auto connect = [&](std::string_view interface, auto& slot, auto connector) -> Status {
        if (!serves(entry.seen.identity, interface)) return {};
        auto client = connector(*entry.plugin, TimedCall(call_limit));
        if (client) {
            slot = std::move(*client);
            return {};
        }
        // All of a plugin or nothing of it.
        entry.client.reset();
        entry.pci.reset();
        entry.board.reset();
        entry.plugin.reset();
        return std::move(client).error();
    };
    if (auto done = connect("hypervisor/1", entry.client, &HypervisorClient::connect); !done) return done;
    if (auto done = connect("pci/1", entry.pci, &PciClient::connect); !done) return done;
    if (auto done = connect("board/1", entry.board, &BoardClient::connect); !done) return done;
    if (entry.client && serves(entry.seen.identity, "usb/1"))
        entry.usb = std::make_unique<UsbClient>(*entry.plugin, entry.client->description().methods);
    if (entry.client && serves(entry.seen.identity, "exec/1"))
        entry.exec = std::make_unique<ExecClient>(*entry.plugin, entry.client->description().methods);
    if (entry.client && serves(entry.seen.identity, "cpus/1"))
        entry.cpus = std::make_unique<CpusClient>(*entry.plugin, entry.client->description().methods);
    if (entry.client && serves(entry.seen.identity, "content/1"))
        entry.content = std::make_unique<ContentClient>(*entry.plugin, entry.client->description().methods);
    return {};
}

Hypervisor* Registry::for_mode(VirtualizationMode mode) const {
    const std::lock_guard lock(mutex_);
    for (const auto& entry : entries_) {
        if (!entry->client) continue;
        const auto& modes = entry->status.modes;
        if (std::find(modes.begin(), modes.end(), mode) != modes.end()) return entry->client.get();
    }
    return nullptr;
}

std::vector<Registry::Used> Registry::used() const {
    const std::lock_guard lock(mutex_);
    std::vector<Used> all;
    for (const auto& entry : entries_)
        if (entry->client)
            all.push_back({.name = entry->status.name,
                           .hypervisor = entry->client.get(),
                           .description = &entry->client->description(),
                           .probe = entry->seen.probe,
                           .usb = entry->usb.get(),
                           .exec = entry->exec.get(),
                           .cpus = entry->cpus.get(),
                           .content = entry->content.get()});
    return all;
}

PciClient* Registry::pci() const {
    const std::lock_guard lock(mutex_);
    for (const auto& entry : entries_)
        if (entry->pci) return entry->pci.get();
    return nullptr;
}

std::vector<BoardClient*> Registry::boards() const {
    const std::lock_guard lock(mutex_);
    std::vector<BoardClient*> all;
    for (const auto& entry : entries_)
        if (entry->board) all.push_back(entry->board.get());
    return all;
}

std::vector<PluginStatus> Registry::status() const {
    const std::lock_guard lock(mutex_);
    std::vector<PluginStatus> all;
    for (const auto& entry : entries_) {
        all.push_back(entry->status);
        if (!entry->plugin) continue;
        all.back().host_pid = entry->plugin->host_pid();
        all.back().generation = entry->plugin->generation();
        all.back().trouble = entry->plugin->trouble();
    }
    return all;
}

std::string to_json(const std::vector<PluginStatus>& plugins) {
    auto all = nlohmann::json::array();
    for (const auto& plugin : plugins) {
        auto modes = nlohmann::json::array();
        for (const auto mode : plugin.modes) modes.push_back(boost::describe::enum_to_string(mode, "unknown"));
        all.push_back({{"name", plugin.name},
                       {"file", plugin.file},
                       {"state", to_string(plugin.state)},
                       {"reason", plugin.reason},
                       {"hint", plugin.hint},
                       {"notes", plugin.notes},
                       {"id", plugin.identity.id},
                       {"version", plugin.identity.version},
                       {"built_with", plugin.identity.built_with},
                       {"modes", std::move(modes)},
                       {"isolation", plugin.isolation == Isolation::process ? "process" : "in_process"},
                       {"host_pid", plugin.host_pid},
                       {"opened", plugin.generation},
                       {"trouble", plugin.trouble}});
    }
    return sdk::detail::text_of(all);
}

std::string find_helper(const std::string& name) {
    std::error_code failure;
    const auto own = std::filesystem::read_symlink("/proc/self/exe", failure).parent_path();
    for (const auto& candidate : {own / name, own.parent_path() / "libexec" / "evenode" / name})
        if (::access(candidate.c_str(), X_OK) == 0) return candidate.string();
    return (own / name).string();
}

}  // namespace eve::plugin
