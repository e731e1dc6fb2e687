#include "core/evectl/report.hpp"

#include <algorithm>
#include <array>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "core/evectl/table.hpp"
#include "core/evectl/tables.hpp"
#include "core/types/app.hpp"
#include "core/types/domain.hpp"
#include "core/types/errors.hpp"
#include "core/types/network.hpp"
#include "core/types/node.hpp"
#include "core/types/volume.hpp"
#include "core/zedagent/records.hpp"
#include "core/zedmanager/explain.hpp"

namespace eve::evectl {
namespace {

using Json = nlohmann::ordered_json;
using types::SwState;

const char* severity_name(types::ErrorSeverity severity) {
    switch (severity) {
        case types::ErrorSeverity::ErrorSeverityUnspecified: return "unspecified";
        case types::ErrorSeverity::ErrorSeverityNotice: return "notice";
        case types::ErrorSeverity::ErrorSeverityWarning: return "warning";
        case types::ErrorSeverity::ErrorSeverityError: return "error";
    }
    return "unspecified";
}

/// {"text","severity","retry_condition",...}, or null.
Json error_json(const types::ErrorDescription& error, const std::string& source = {}) {
    if (error.Error.empty()) return nullptr;
    Json out{{"text", error.Error}, {"severity", severity_name(error.ErrorSeverity)}, {"retry_condition", error.ErrorRetryCondition}};
    if (!source.empty()) out["source"] = source;
    out["time"] = error.ErrorTime.to_string();
    out["entities"] = Json::array();
    for (const auto& entity : error.ErrorEntities)
        out["entities"].push_back({{"type", static_cast<int>(entity.EntityType)}, {"id", entity.EntityID}});
    return out;
}

std::string bytes_text(std::uint64_t bytes) {
    static constexpr std::array units{"B", "KiB", "MiB", "GiB", "TiB"};
    std::size_t unit = 0;
    std::uint64_t tenths = bytes * 10;
    while (tenths >= 10240 && unit + 1 < units.size()) {
        tenths /= 1024;
        ++unit;
    }
    std::string text = std::to_string(tenths / 10);
    if (unit > 0 && tenths < 1000) text += "." + std::to_string(tenths % 10);
    return text + " " + units[unit];
}

std::string document(const Json& json) { return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n"; }

std::string text_of(const Json& json, const char* field) {
    const auto found = json.find(field);
    return found != json.end() && found->is_string() ? found->get<std::string>() : std::string{};
}

Json strings(const std::vector<std::string>& values) {
    Json out = Json::array();
    for (const auto& value : values) out.push_back(value);
    return out;
}

std::string joined(const Json& array) {
    std::string text;
    for (const auto& item : array) text += (text.empty() ? "" : ",") + item.get<std::string>();
    return text;
}

/// An app's records of every agent, as far as they exist.
struct AppRecords {
    types::AppInstanceStatus status;
    std::optional<types::AppNetworkStatus> network;
    std::optional<types::DomainStatus> domain;
    std::vector<types::VolumeRefStatus> refs;
    std::vector<types::VolumeStatus> volumes;
    bool wanted = true;
};

template <class T> std::optional<T> find(const std::map<std::string, T>& records, const std::string& key) {
    const auto found = records.find(key);
    if (found == records.end()) return std::nullopt;
    return found->second;
}

std::vector<AppRecords> read_apps(const NodeFiles& node) {
    const auto networks = node.table<types::AppNetworkStatus>("zedrouter");
    const auto domains = node.table<types::DomainStatus>("domainmgr");
    const auto refs = node.table<types::VolumeRefStatus>("volumemgr");
    const auto volumes = node.table<types::VolumeStatus>("volumemgr");
    const auto configs = node.table<types::AppInstanceConfig>("zedagent");
    std::vector<AppRecords> apps;
    for (const auto& [uuid, status] : node.table<types::AppInstanceStatus>("zedmanager")) {
        AppRecords app{.status = status, .network = find(networks, uuid), .domain = find(domains, uuid)};
        const auto config = configs.find(uuid);
        app.wanted = config != configs.end() && config->second.Activate;
        for (const auto& [key, ref] : refs)
            if (ref.AppUUID == status.UUIDandVersion.UUID) {
                app.refs.push_back(ref);
                for (const auto& [volume_key, volume] : volumes)
                    if (volume.VolumeID == ref.VolumeID && volume.GenerationCounter == ref.GenerationCounter &&
                        volume.LocalGenerationCounter == ref.LocalGenerationCounter)
                        app.volumes.push_back(volume);
            }
        apps.push_back(std::move(app));
    }
    return apps;
}

/// Why the app is not where it should be; empty where there is nothing to say.
std::string why(const AppRecords& app) {
    zedmanager::AppRecords records{.app = &app.status};
    for (const auto& ref : app.refs) records.volumes.push_back(&ref);
    if (app.network) records.network = &*app.network;
    if (app.domain) records.domain = &*app.domain;
    records.wanted = app.wanted;
    return zedmanager::why_waiting(records);
}

Json progress_json(const AppRecords& app) {
    std::uint64_t current = 0, total = 0;
    for (const auto& volume : app.volumes) {
        current += static_cast<std::uint64_t>(std::max<std::int64_t>(volume.CurrentSize, 0));
        total += static_cast<std::uint64_t>(std::max<std::int64_t>(volume.TotalSize, 0));
    }
    return {{"bytes", current}, {"bytes_total", total}, {"percent", total == 0 ? 0 : std::min<std::uint64_t>(100, current * 100 / total)}};
}

Json app_json(const AppRecords& app, const std::vector<std::string>& notes) {
    Json out{
        {"uuid", app.status.UUIDandVersion.UUID.to_string()},
        {"version", app.status.UUIDandVersion.Version},
        {"name", app.status.DisplayName},
        {"state", to_string(app.status.State)},
        {"activated", app.status.Activated},
        {"error", error_json(app.status, app.status.ErrorSourceType)},
        {"why", why(app)},
        {"ips", Json::array()},
        {"progress", progress_json(app)},
        {"pid", app.domain ? app.domain->DomainId : 0},
        {"notes", strings(notes)},
    };
    if (app.network)
        for (const auto& adapter : app.network->AppNetAdapterList) {
            for (const auto& address : adapter.AssignedAddresses.IPv4Addrs) out["ips"].push_back(address.Address.to_string());
            for (const auto& address : adapter.AssignedAddresses.IPv6Addrs) out["ips"].push_back(address.Address.to_string());
        }
    return out;
}

std::vector<std::string> domain_notes(const NodeFiles& node, const std::string& uuid) {
    return node.record<types::DomainNotes>("domainmgr", uuid).Notes;
}

/// The lines below a table: each thing that is wrong with what to do.
std::string complaints(const Json& items) {
    std::string text;
    for (const auto& item : items) {
        const std::string name = text_of(item, "name");
        if (const auto& error = item["error"]; error.is_object()) {
            text += "\n" + name + ": " + text_of(error, "severity") + ": " + text_of(error, "text") + "\n";
            const std::string retry = text_of(error, "retry_condition");
            text += retry.empty() ? "    not retried by itself: change the config" + std::string(item.contains("pid") ? ", or evectl app restart " + name : "") + "\n"
                                  : "    " + retry + "\n";
        } else if (const std::string why = text_of(item, "why"); !why.empty()) {
            text += "\n" + name + ": " + why + "\n";
        }
    }
    return text;
}

std::string config_text(const zedagent::ConfigStatus& config) {
    if (config.Accepted) return "accepted (" + config.Source + ")" + (config.MaintenanceMode ? ", maintenance mode: only config items apply" : "");
    if (config.Error.empty()) return "none yet; give it one: evectl apply FILE";
    return "REFUSED, " + std::string(config.Source.empty() ? "none is in force" : "the one before stays in force") + ": " + config.Error +
           (config.Field.empty() ? "" : " (at " + config.Field + ")") + (config.Remedy.empty() ? "" : "; " + config.Remedy);
}

std::string not_running_note(const NodeFiles& node) {
    if (node.node_running() != 0) return {};
    return "\nNo node runs on this root (" + node.root().path("/") + "): this is what it last published. Start it: zedbox node --root ROOT\n";
}

std::string running_text(const NodeFiles& node, long pid) {
    if (pid == 0) return "NOT running; start it: zedbox node --root " + node.root().path("/");
    if (node.running("zedbox") != 0) return "running, pid " + std::to_string(pid);
    return "running, each agent in a process of its own";
}

}  // namespace

std::vector<std::string> config_remarks(const zedagent::ConfigStatus& config) {
    std::vector<std::string> remarks;
    for (const auto& item : config.ConfigItemErrors)
        remarks.push_back("config item " + item.Name + (item.Unknown ? " is not known and was ignored" : " did not apply: " + item.Error));
    for (const auto& path : config.UnknownFields) remarks.push_back(path + " is no field of a device config and was ignored");
    for (const auto& path : config.NotActedOn) remarks.push_back(path + " was read, but this node does nothing about it yet");
    for (const auto& problem : config.Problems) remarks.push_back(problem);
    return remarks;
}

std::string event_text(const std::string& json_line) {
    const Json event = Json::parse(json_line, nullptr, false);
    if (!event.is_object()) return json_line;
    std::string text = text_of(event, "time") + "  " + text_of(event, "level") + "  " + text_of(event, "msg");
    for (const auto& [name, value] : event.items()) {
        if (name == "time" || name == "level" || name == "msg" || name == "pid" || name == "func" || name == "file" || name == "source") continue;
        text += "  " + name + "=" + (value.is_string() ? value.get<std::string>() : value.dump(-1, ' ', false, Json::error_handler_t::replace));
    }
    return text;
}

Report report_apps(const NodeFiles& node) {
    Json items = Json::array();
    for (const auto& app : read_apps(node)) items.push_back(app_json(app, domain_notes(node, app.status.UUIDandVersion.UUID.to_string())));
    std::vector<std::vector<std::string>> rows{{"NAME", "STATE", "IP", "PID", "UUID"}};
    for (const auto& item : items) {
        std::string state = text_of(item, "state");
        if (state == "DOWNLOADING") state += " " + std::to_string(item["progress"]["percent"].get<std::uint64_t>()) + "%";
        if (item["error"].is_object()) state += " (" + text_of(item["error"], "severity") + ")";
        const auto pid = item["pid"].get<std::int64_t>();
        rows.push_back({text_of(item, "name"), state, joined(item["ips"]), pid == 0 ? "-" : std::to_string(pid), text_of(item, "uuid")});
    }
    std::string text = items.empty() ? "No apps. evectl apply FILE gives the node a device config.\n" : table_text(rows) + complaints(items);
    return {document(items), text + not_running_note(node)};
}

Result<AppName> find_app(const NodeFiles& node, const std::string& wanted) {
    std::vector<AppName> all, matching;
    for (const auto& [uuid, status] : node.table<types::AppInstanceStatus>("zedmanager")) {
        all.push_back({uuid, status.DisplayName});
        if (status.DisplayName == wanted || (wanted.size() >= 4 && uuid.starts_with(wanted))) matching.push_back(all.back());
    }
    if (matching.size() == 1) return matching.front();
    std::string names;
    for (const auto& app : matching.empty() ? all : matching) names += (names.empty() ? "" : ", ") + app.name + " (" + app.uuid.substr(0, 8) + ")";
    if (matching.empty())
        return Error{.code = Code::not_found,
                     .what = "no app is called '" + wanted + "'",
                     .hint = names.empty() ? "the node has no apps" : "there is: " + names};
    return Error{.code = Code::invalid_argument, .what = "'" + wanted + "' names more than one app", .hint = "name one by its UUID: " + names};
}

Report report_app(const NodeFiles& node, const AppName& name) {
    for (const auto& app : read_apps(node)) {
        if (app.status.UUIDandVersion.UUID.to_string() != name.uuid) continue;
        Json item = app_json(app, domain_notes(node, name.uuid));
        item["domain"] = app.domain ? Json{{"name", app.domain->DomainName},
                                           {"state", to_string(app.domain->State)},
                                           {"boot_time", app.domain->BootTime.to_string()},
                                           {"tries", app.domain->TriedCount},
                                           {"memory_kib", app.domain->Memory},
                                           {"vcpus", app.domain->VCpus}}
                                    : Json(nullptr);
        const auto console = app_console(node, name);
        item["console"] = {{"socket", console.socket}, {"log", console.log}};
        item["volumes"] = Json::array();
        for (const auto& ref : app.refs)
            item["volumes"].push_back({{"id", ref.VolumeID.to_string()},
                                       {"name", ref.DisplayName},
                                       {"state", to_string(ref.State)},
                                       {"path", ref.ActiveFileLocation},
                                       {"error", error_json(ref, ref.ErrorSourceType)}});
        item["adapters"] = Json::array();
        if (app.network)
            for (const auto& adapter : app.network->AppNetAdapterList) {
                Json rules = Json::array();
                for (const auto& ace : adapter.ACLs)
                    for (const auto& action : ace.Actions)
                        if (action.PortMap)
                            for (const auto& match : ace.Matches)
                                if (match.Type == "lport") rules.push_back(match.Value + "->" + std::to_string(action.TargetPort));
                item["adapters"].push_back({{"name", adapter.Name},
                                            {"vif", adapter.Vif},
                                            {"bridge", adapter.Bridge},
                                            {"mac", adapter.Mac.to_string()},
                                            {"network", adapter.Network.to_string()},
                                            {"port_maps", rules}});
            }
        std::string text = text_of(item, "name") + " (" + name.uuid + ")\n";
        std::vector<std::vector<std::string>> rows{{"  state", text_of(item, "state")}, {"  activated", app.status.Activated ? "yes" : "no"}};
        if (app.domain) rows.push_back({"  domain", app.domain->DomainName + ", pid " + std::to_string(app.domain->DomainId)});
        rows.push_back({"  memory, CPUs", bytes_text(static_cast<std::uint64_t>(std::max<std::int64_t>(app.status.FixedResources.Memory, 0)) << 10U) + ", " +
                                              std::to_string(app.status.FixedResources.VCpus)});
        if (!item["ips"].empty()) rows.push_back({"  addresses", joined(item["ips"])});
        for (const auto& adapter : item["adapters"])
            rows.push_back({"  adapter " + text_of(adapter, "name"), text_of(adapter, "vif") + " on " + text_of(adapter, "bridge") + ", " + text_of(adapter, "mac") +
                                                                         (adapter["port_maps"].empty() ? "" : ", port maps " + joined(adapter["port_maps"]))});
        for (const auto& volume : item["volumes"]) rows.push_back({"  volume " + text_of(volume, "name"), text_of(volume, "state") + " " + text_of(volume, "path")});
        if (!console.log.empty()) rows.push_back({"  console log", console.log});
        for (const auto& note : item["notes"]) rows.push_back({"  note", note.get<std::string>()});
        return {document(item), text + table_text(rows) + complaints(Json::array({item}))};
    }
    return {"null\n", "gone\n"};
}

Report report_volumes(const NodeFiles& node) {
    Json items = Json::array();
    for (const auto& [key, volume] : node.table<types::VolumeStatus>("volumemgr"))
        items.push_back({{"key", key},
                         {"name", volume.DisplayName},
                         {"state", to_string(volume.State)},
                         {"bytes", volume.CurrentSize},
                         {"bytes_total", volume.TotalSize},
                         {"bytes_max", volume.MaxVolSize},
                         {"references", volume.RefCount},
                         {"path", volume.FileLocation},
                         {"error", error_json(volume, volume.ErrorSourceType)}});
    std::vector<std::vector<std::string>> rows{{"NAME", "STATE", "SIZE", "REFS", "PATH"}};
    for (const auto& item : items)
        rows.push_back({text_of(item, "name"), text_of(item, "state"), bytes_text(item["bytes_max"].get<std::uint64_t>()),
                        std::to_string(item["references"].get<std::uint64_t>()), text_of(item, "path")});
    return {document(items), (items.empty() ? "No volumes.\n" : table_text(rows) + complaints(items)) + not_running_note(node)};
}

Report report_images(const NodeFiles& node) {
    const auto blobs = node.table<types::BlobStatus>("volumemgr");
    const auto volumes = node.table<types::VolumeStatus>("volumemgr");
    const auto refs = node.table<types::VolumeRefStatus>("volumemgr");
    const auto apps = node.table<types::AppInstanceStatus>("zedmanager");
    Json items = Json::array();
    for (const auto& [key, tree] : node.table<types::ContentTreeStatus>("volumemgr")) {
        Json users = Json::array(), parts = Json::array();
        std::set<std::string> named;
        for (const auto& [volume_key, volume] : volumes) {
            if (volume.ContentID != tree.ContentID) continue;
            for (const auto& [ref_key, ref] : refs) {
                if (ref.VolumeID != volume.VolumeID || !named.insert(ref.AppUUID.to_string()).second) continue;
                const auto app = std::find_if(apps.begin(), apps.end(), [&ref](const auto& one) { return one.second.UUIDandVersion.UUID == ref.AppUUID; });
                users.push_back(app == apps.end() ? ref.AppUUID.to_string() : app->second.DisplayName);
            }
        }
        for (const auto& sha : tree.Blobs) {
            const auto blob = std::find_if(blobs.begin(), blobs.end(), [&sha](const auto& one) { return one.second.Sha256 == sha; });
            if (blob == blobs.end()) continue;
            parts.push_back({{"digest", "sha256:" + sha},
                             {"media_type", blob->second.MediaType},
                             {"state", to_string(blob->second.State)},
                             {"bytes", blob->second.CurrentSize},
                             {"bytes_total", blob->second.TotalSize},
                             {"references", blob->second.RefCount},
                             {"error", error_json(blob->second, blob->second.ErrorSourceType)}});
        }
        items.push_back({{"id", key},
                         {"name", tree.DisplayName.empty() ? tree.RelativeURL : tree.DisplayName},
                         {"url", tree.RelativeURL.substr(0, tree.RelativeURL.find('?'))},
                         {"digest", tree.ContentSha256.empty() ? "" : "sha256:" + tree.ContentSha256},
                         {"format", to_string(tree.Format)},
                         {"state", to_string(tree.State)},
                         {"bytes", tree.CurrentSize},
                         {"bytes_total", tree.TotalSize},
                         {"used_by", users},
                         {"blobs", parts},
                         {"error", error_json(tree, tree.ErrorSourceType)}});
    }
    constexpr std::size_t digest_shown = 19;  // "sha256:" and twelve digits
    std::vector<std::vector<std::string>> rows{{"NAME", "DIGEST", "STATE", "SIZE", "USED BY"}};
    for (const auto& item : items) {
        std::string users;
        for (const auto& user : item["used_by"]) users += (users.empty() ? "" : ", ") + user.get<std::string>();
        rows.push_back({text_of(item, "name"), text_of(item, "digest").substr(0, digest_shown), text_of(item, "state"),
                        bytes_text(static_cast<std::uint64_t>(std::max<std::int64_t>(item["bytes_total"].get<std::int64_t>(), 0))),
                        users.empty() ? "-" : users});
    }
    return {document(items), (items.empty() ? "No images.\n" : table_text(rows) + complaints(items)) + not_running_note(node)};
}

Report report_networks(const NodeFiles& node) {
    Json items = Json::array();
    for (const auto& [uuid, network] : node.table<types::NetworkInstanceStatus>("zedrouter")) {
        Json vifs = Json::array();
        for (const auto& vif : network.Vifs) vifs.push_back({{"name", vif.Name}, {"mac", vif.MacAddr.to_string()}, {"app", vif.AppID.to_string()}});
        items.push_back({{"uuid", uuid},
                         {"name", network.DisplayName},
                         {"type", network.Type == types::NetworkInstanceType::NetworkInstanceTypeSwitch ? "switch" : "local"},
                         {"activated", network.Activated},
                         {"bridge", network.BridgeName},
                         {"address", network.BridgeIPAddr.to_string()},
                         {"ports", strings(network.Ports)},
                         {"vifs", vifs},
                         {"error", error_json(network)}});
    }
    std::vector<std::vector<std::string>> rows{{"NAME", "TYPE", "BRIDGE", "ADDRESS", "PORTS", "APPS", "ACTIVE"}};
    for (const auto& item : items)
        rows.push_back({text_of(item, "name"), text_of(item, "type"), text_of(item, "bridge"), text_of(item, "address"), joined(item["ports"]),
                        std::to_string(item["vifs"].size()), item["activated"].get<bool>() ? "yes" : "no"});
    return {document(items), (items.empty() ? "No network instances.\n" : table_text(rows) + complaints(items)) + not_running_note(node)};
}

Report report_ports(const NodeFiles& node) {
    Json items = Json::array();
    for (const auto& port : node.record<types::DeviceNetworkStatus>("nim", "global").Ports) {
        Json addresses = Json::array();
        for (const auto& info : port.AddrInfoList) addresses.push_back(info.Addr.to_string());
        Json error = nullptr;
        if (!port.LastError.empty()) error = {{"text", port.LastError}, {"severity", "error"}, {"retry_condition", "looked at again when the interface changes"}};
        items.push_back({{"name", port.Logicallabel},
                         {"interface", port.IfName},
                         {"up", port.Up},
                         {"management", port.IsMgmt},
                         {"mac", port.MacAddr.to_string()},
                         {"mtu", port.MTU},
                         {"cost", port.Cost},
                         {"addresses", addresses},
                         {"error", error}});
    }
    std::vector<std::vector<std::string>> rows{{"NAME", "INTERFACE", "UP", "MGMT", "ADDRESSES", "MAC"}};
    for (const auto& item : items)
        rows.push_back({text_of(item, "name"), text_of(item, "interface"), item["up"].get<bool>() ? "yes" : "no", item["management"].get<bool>() ? "yes" : "no",
                        joined(item["addresses"]), text_of(item, "mac")});
    return {document(items), (items.empty() ? "No ports: the device config names none (systemAdapterList, deviceIoList).\n" : table_text(rows) + complaints(items)) +
                                 not_running_note(node)};
}

Report report_plugins(const NodeFiles& node) {
    // domainmgr runs domains with them; volumemgr has hosts of its own for those that keep content.
    Json items = Json::array();
    for (const char* agent : {"domainmgr", "volumemgr"}) {
        std::ifstream in(node.root().path(std::string("/run/") + agent + "/plugins.json"));
        const Json seen = Json::parse(std::string(std::istreambuf_iterator<char>(in), {}), nullptr, false);
        if (!seen.is_array()) continue;
        for (Json item : seen) {
            if (item.is_object()) item["agent"] = agent;
            items.push_back(std::move(item));
        }
    }
    std::vector<std::vector<std::string>> rows{{"PLUGIN", "VERSION", "STATE", "FOR", "RUNS", "WHY"}};
    std::string notes;
    bool may_come = false;
    for (const auto& item : items) {
        if (!item.is_object()) continue;
        const auto state = text_of(item, "state");
        may_come = may_come || state == "broken" || state == "declined" || state == "refused" || state == "quarantined";
        const auto trouble = text_of(item, "trouble");  // now, of one that was opened
        rows.push_back({text_of(item, "name"), text_of(item, "version"), text_of(item, "state"), text_of(item, "agent"), text_of(item, "isolation"),
                        trouble.empty() ? text_of(item, "reason") : trouble});
        if (const auto hint = text_of(item, "hint"); !hint.empty()) notes += "  " + text_of(item, "name") + ": " + hint + "\n";
        if (const auto found = item.find("notes"); found != item.end() && found->is_array())
            for (const auto& note : *found)
                if (note.is_string()) notes += "  " + text_of(item, "name") + ": " + note.get<std::string>() + "\n";
    }
    if (may_come) notes += "  Those that cannot be used are looked into again by themselves, at least every 5 minutes; while an app waits, every 30 s.\n";
    return {document(items),
            (items.empty() ? "No plugins were found; zedbox looks in the directory given with --plugins.\n" : table_text(rows) + notes) + not_running_note(node)};
}

Report report_status(const NodeFiles& node) {
    const long pid = node.node_running();
    const auto missing = pid != 0 ? node.agents_not_running() : std::vector<std::string>{};
    const auto config = node.record<zedagent::ConfigStatus>("zedagent", "global");
    const auto apps = read_apps(node);
    std::map<std::string, int> states;
    Json wrong = Json::array();
    for (const auto& app : apps) {
        ++states[to_string(app.status.State)];
        if (!app.status.Error.empty()) wrong.push_back({{"name", app.status.DisplayName}, {"error", error_json(app.status, app.status.ErrorSourceType)}});
    }
    const auto memory = node.record<types::HostMemory>("domainmgr", "global");
    const auto vault = node.record<types::VaultStatus>("vaultmgr", "Application Data Store");
    const auto unread = unread_tables(node);
    const auto aside = put_aside(node);
    Json tables = Json::array();
    for (const auto& trouble : unread) tables.push_back({{"table", trouble.Table}, {"problem", trouble.Problem}, {"remedy", trouble.Remedy}});
    Json out{
        {"running", pid != 0},
        {"pid", pid},
        {"one_process", node.running("zedbox") != 0},
        {"agents_not_running", missing},
        {"root", node.root().path("/")},
        {"config",
         {{"accepted", config.Accepted},
          {"error", config.Error},
          {"field", config.Field},
          {"remedy", config.Remedy},
          {"source", config.Source},
          {"digest", config.Digest},
          {"in_force", config.InForceDigest},
          {"remarks", strings(config_remarks(config))}}},
        {"device", {{"uuid", config.DeviceUUID.to_string()}, {"name", config.DeviceName}}},
        {"apps", apps.size()},
        {"states", states},
        {"errors", wrong},
        {"memory_mib", {{"total", memory.TotalMemoryMB}, {"free", memory.FreeMemoryMB}}},
        {"cpus", memory.Ncpus},
        {"vault", vault.ConversionComplete ? "ready" : "not ready"},
        {"tables_unread", tables},
        {"put_aside", strings(aside)},
    };
    std::string counted;
    for (const auto& [state, count] : states) counted += (counted.empty() ? "" : ", ") + std::to_string(count) + " " + state;
    std::string text = table_text({
        {"node", running_text(node, pid)},
        {"root", node.root().path("/")},
        {"config", config_text(config)},
        {"apps", apps.empty() ? "none" : counted},
        {"memory", std::to_string(memory.FreeMemoryMB) + " MiB free of " + std::to_string(memory.TotalMemoryMB) + ", " + std::to_string(memory.Ncpus) + " CPUs"},
        {"vault", vault.ConversionComplete ? "ready" : "not ready"},
    });
    for (const auto& name : missing) text += "note: " + name + " does not run; start it: zedbox " + name + " --foreground --root " + node.root().path("/") + "\n";
    for (const auto& remark : config_remarks(config)) text += "note: " + remark + "\n";
    return {document(out), text + tables_text(unread, aside) + complaints(wrong)};
}

AppProgress app_progress(const NodeFiles& node, const AppName& name) {
    for (const auto& app : read_apps(node)) {
        if (app.status.UUIDandVersion.UUID.to_string() != name.uuid) continue;
        const Json progress = progress_json(app);
        AppProgress out{.state = to_string(app.status.State), .error = !app.status.Error.empty(), .activated = app.status.Activated};
        out.line = out.state;
        if (app.status.State == SwState::DOWNLOADING)
            out.line += " " + std::to_string(progress["percent"].get<std::uint64_t>()) + "% (" + bytes_text(progress["bytes"].get<std::uint64_t>()) + " of " +
                        bytes_text(progress["bytes_total"].get<std::uint64_t>()) + ")";
        if (out.error) out.line += ": " + app.status.Error;
        else if (const std::string reason = why(app); !reason.empty())
            out.line += ": " + reason;
        return out;
    }
    return {.state = "", .line = "not known to the node"};
}

bool is_state_name(const std::string& state) {
    for (auto number = static_cast<unsigned>(SwState::INITIAL); number < static_cast<unsigned>(SwState::MAXSTATE); ++number)
        if (to_string(static_cast<SwState>(number)) == state) return true;
    return false;
}

AppConsole app_console(const NodeFiles& node, const AppName& app) {
    const auto notes = node.record<types::DomainNotes>("domainmgr", app.uuid);
    return {.socket = notes.ConsolePath, .log = notes.ConsoleLogPath};
}

}  // namespace eve::evectl
