#include "core/types/config_items.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <system_error>
#include <utility>

namespace eve::types {
namespace {

constexpr std::uint32_t unbounded = 0xffffffffu;
constexpr std::uint32_t minute = 60;
constexpr std::uint32_t hour = 3600;
constexpr std::uint32_t day = 24 * hour;

constexpr ConfigItemSpec integer(std::string_view name, std::uint32_t value, std::uint32_t min, std::uint32_t max) {
    return {.name = name, .type = ConfigItemType::ConfigItemTypeInt, .number = value, .min = min, .max = max};
}
constexpr ConfigItemSpec boolean(std::string_view name, bool value) {
    return {.name = name, .type = ConfigItemType::ConfigItemTypeBool, .flag = value};
}
constexpr ConfigItemSpec tri_state(std::string_view name, TriState value) {
    return {.name = name, .type = ConfigItemType::ConfigItemTypeTriState, .tri_state = value};
}
constexpr ConfigItemSpec text(std::string_view name, std::string_view value, TextRule rule = TextRule::any) {
    return {.name = name, .type = ConfigItemType::ConfigItemTypeString, .text = value, .rule = rule};
}

// One row is ours: app.broken.restart (false is EVE's way: an app whose VMM died stays down until its restart).
// memory.eve.limit.*: EVE's default is the limit of its own cgroup; 0 here stands for "whatever that limit is".
constexpr auto specs = std::to_array<ConfigItemSpec>({
    tri_state("airgap.mode", TriState::TS_NONE),
    boolean("app.allow.vnc", false),
    text("app.boot.order", "", TextRule::boot_order),
    boolean("app.broken.restart", true),
    boolean("app.enable.tcp.mss.clamping", true),
    text("app.fml.resolution", ""),
    integer("blob.download.max.retries", 5, 1, 10),
    boolean("datastore.http.security.allowinsecureauth", false),
    text("debug.default.loglevel", "info", TextRule::log_level),
    text("debug.default.remote.loglevel", "info", TextRule::log_level),
    boolean("debug.disable.dhcp.all-ones.netmask", false),
    boolean("debug.enable.console", true),
    boolean("debug.enable.efi", false),
    text("debug.enable.ssh", ""),
    boolean("debug.enable.usb", true),
    boolean("debug.enable.vga", true),
    boolean("debug.enable.vnc.shim.vm", false),
    text("debug.kernel.loglevel", "info", TextRule::syslog_level),
    text("debug.kernel.remote.loglevel", "info", TextRule::syslog_level),
    boolean("debug.qemu.gdb", false),
    boolean("debug.qemu.guest.core", true),
    boolean("debug.qemu.igpu.no.mmap", false),
    boolean("debug.qemu.pause.on.crash", false),
    boolean("debug.qemu.process.core", true),
    boolean("debug.qemu.process.core.guest.ram", false),
    text("debug.qemu.trace.events", ""),
    text("debug.syslog.loglevel", "info", TextRule::syslog_level),
    text("debug.syslog.remote.loglevel", "info", TextRule::syslog_level),
    text("debug.tui.loglevel", "info"),
    boolean("dhcp.enable.vendorclassid", true),
    text("diag.probe.remote.http.endpoint", "www.google.com"),
    text("diag.probe.remote.https.endpoint", "www.google.com"),
    integer("drain.skip.k8sapinotreachable.timeout", 300, 1, unbounded),
    text("edgeview.authen.publickey", ""),
    integer("force.fallback.counter", 0, 0, unbounded),
    integer("gogc.forced.growth.memory.MiB", 50, 10, 1024),
    integer("gogc.forced.growth.memory.percent", 20, 5, 300),
    integer("gogc.forced.interval.seconds", 10, 0, 1000),
    integer("gogc.memory.limit.bytes", 0, 0, unbounded),
    integer("gogc.percent", 100, 0, 500),
    integer("goroutine.leak.detection.check.interval.minutes", 1, 1, unbounded),
    integer("goroutine.leak.detection.check.window.minutes", 10, 10, unbounded),
    integer("goroutine.leak.detection.cooldown.minutes", 5, 1, unbounded),
    integer("goroutine.leak.detection.keep.stats.hours", 24, 1, unbounded),
    integer("goroutine.leak.detection.threshold", 5000, 1, unbounded),
    text("igpu.gop", ""),
    boolean("internal-memory-monitor.analyze.enabled", true),
    boolean("internal-memory-monitor.store.enabled", true),
    text("k3s.config.override", ""),
    text("k3s.version", ""),
    integer("kubernetes.drain.allnodes.config.multiple", 0, 0, unbounded),
    integer("kubernetes.drain.timeout", 24, 1, unbounded),
    text("kubernetes.vmi.deschedule.events", ""),
    text("log.count.filenames", ""),
    integer("log.dedup.window.size", 0, 0, unbounded),
    text("log.filter.filenames", ""),
    tri_state("maintenance.mode", TriState::TS_NONE),
    boolean("memory-monitor.enabled", false),
    boolean("memory.apps.ignore.check", false),
    integer("memory.eve.limit.MiB", 0, 0, unbounded),
    integer("memory.eve.limit.bytes", 0, 0, unbounded),
    integer("memory.vmm.limit.MiB", 0, 0, 1024 * 1024 * 1024),
    integer("msrv.prometheus.metrics.burst", 10, 1, unbounded),
    integer("msrv.prometheus.metrics.idletimeout.seconds", 4 * minute, 1, unbounded),
    integer("msrv.prometheus.metrics.rps", 1, 1, unbounded),
    boolean("netdump.downloader.http.with.fieldvalue", false),
    boolean("netdump.downloader.with.pcap", false),
    boolean("netdump.enable", true),
    integer("netdump.topic.maxcount", 10, 1, unbounded),
    integer("netdump.topic.postonboard.interval", day, minute, unbounded),
    integer("netdump.topic.preonboard.interval", hour, minute, unbounded),
    integer("network.download.max.cost", 0, 0, 255),
    tri_state("network.fallback.any.eth", TriState::TS_DISABLED),
    boolean("network.local.legacy.mac.address", false),
    boolean("network.switch.enable.arpsnoop", true),
    boolean("newlog.allow.fastupload", false),
    integer("newlog.gzipfiles.ondisk.maxmegabytes", 2048, 10, unbounded),
    integer("pnac.dhcp.reacquire.max.retries", 4, 0, 8),
    boolean("process.cloud-init.multipart", false),
    integer("scep.retry.interval", 300, minute, hour),
    boolean("storage.apps.ignore.disk.check", false),
    integer("storage.dom0.disk.maxusagebytes", 2u * 1024 * 1024 * 1024, 100 * 1024 * 1024, unbounded),
    integer("storage.dom0.disk.minusage.percent", 20, 20, 80),
    integer("storage.longhorn.disk.reserved.gigabytes", 0, 0, unbounded),
    text("storage.longhorn.node-drain-policy", ""),
    text("storage.longhorn.snapshot.cron", ""),
    integer("storage.zfs.reserved.percent", 20, 1, 99),
    integer("timer.appcontainer.stats.interval", 300, 1, unbounded),
    integer("timer.boot.retry", 600, 10, unbounded),
    integer("timer.cert.interval", day, minute, unbounded),
    integer("timer.config.interval", minute, 5, day),
    integer("timer.defer.content.delete", 0, 0, day),
    integer("timer.deviceinfo.interval", 600, 30, unbounded),
    integer("timer.dial.timeout", 10, 0, hour),
    integer("timer.download.retry", 600, minute, unbounded),
    integer("timer.download.stalled", 600, 20, unbounded),
    integer("timer.gc.vdisk", hour, minute, unbounded),
    integer("timer.hardwarehealth.interval", 12 * hour, 6 * hour, unbounded),
    integer("timer.location.app.interval", 20, 5, hour),
    integer("timer.location.cloud.interval", hour, 5 * minute, unbounded),
    integer("timer.lps.appbootinfo.interval", minute, 3, hour),
    integer("timer.lps.appinfo.interval", minute, 3, hour),
    integer("timer.lps.devinfo.interval", minute, 3, hour),
    integer("timer.lps.network.interval", minute, 3, hour),
    integer("timer.lps.profile.interval", minute, 3, hour),
    integer("timer.lps.radio.interval", 5, 3, hour),
    integer("timer.metric.diskscan.interval", 300, 5, hour),
    integer("timer.metric.interval", minute, 5, hour),
    integer("timer.ntpsources.interval", 10 * minute, minute, unbounded),
    integer("timer.port.georedo", hour, minute, unbounded),
    integer("timer.port.georetry", 600, 5, unbounded),
    integer("timer.port.testbetterinterval", 600, 0, unbounded),
    integer("timer.port.testduration", 30, 10, hour),
    integer("timer.port.testinterval", 300, 300, hour),
    integer("timer.port.timeout", 15, 0, hour),
    integer("timer.reboot.no.network", 7 * day, 120, unbounded),
    integer("timer.send.timeout", 120, 0, hour),
    integer("timer.test.baseimage.update", 600, 30, hour),
    integer("timer.update.fallback.no.network", 300, minute, unbounded),
    integer("timer.vault.ready.cutoff", 300, minute, unbounded),
    text("timer.vault.trim.cron", ""),
    integer("timer.vault.trim.max.secs", 0, 0, unbounded),
    text("timer.zfs.pool.trim.cron", ""),
    text("vector.config", "", TextRule::base64),
    boolean("vector.enabled", true),
    boolean("wwan.modem.recovery.reload.drivers", false),
    boolean("wwan.modem.recovery.restart.modemmanager", false),
    boolean("wwan.modem.recovery.watchdog", false),
    boolean("wwan.query.visible.providers", false),
});
static_assert(std::ranges::is_sorted(specs, std::ranges::less_equal{}, &ConfigItemSpec::name), "sorted, and no name twice");

constexpr auto agent_specs = std::to_array<ConfigItemSpec>({
    text("debug.loglevel", "info", TextRule::log_level),
    text("debug.remote.loglevel", "info", TextRule::log_level),
});

constexpr std::size_t quoted_max = 64;

std::string quoted(std::string_view value) {
    std::string out = "\"";
    for (const char c : value.substr(0, quoted_max)) out += (c >= ' ' && c <= '~') ? c : '?';
    return out + (value.size() > quoted_max ? "...\"" : "\"");
}

template <std::size_t N> bool one_of(std::string_view value, const std::array<std::string_view, N>& allowed) {
    return std::ranges::find(allowed, value) != allowed.end();
}

bool is_base64(std::string_view value) {
    if (value.size() % 4 != 0) return false;
    const auto body = value.substr(0, std::min(value.find('='), value.size()));
    if (value.size() - body.size() > 2 || value.find_first_not_of('=', body.size()) != std::string_view::npos) return false;
    return body.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") == std::string_view::npos;
}

std::string lower(std::string_view value) {
    std::string out(value);
    for (char& c : out)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return out;
}

/// Why the text is not allowed, or nullopt.
std::optional<std::string> refused(TextRule rule, std::string_view value) {
    static constexpr auto log_levels =
        std::to_array<std::string_view>({"panic", "fatal", "error", "warn", "warning", "info", "debug", "trace", "none", "all"});
    static constexpr auto syslog_levels = std::to_array<std::string_view>(
        {"none", "emerg", "alert", "crit", "critical", "err", "error", "warning", "warn", "notice", "info", "debug", "all"});
    static constexpr auto boot_orders = std::to_array<std::string_view>({"", "usb", "nousb"});
    switch (rule) {
        case TextRule::any: return std::nullopt;
        case TextRule::log_level: return one_of(lower(value), log_levels) ? std::nullopt : std::optional("is not a log level");
        case TextRule::syslog_level: return one_of(value, syslog_levels) ? std::nullopt : std::optional("is not a syslog level");
        case TextRule::base64: return is_base64(value) ? std::nullopt : std::optional("is not base64");
        case TextRule::boot_order: return one_of(value, boot_orders) ? std::nullopt : std::optional("is not empty, usb or nousb");
    }
    return std::nullopt;
}

std::optional<bool> parse_bool(std::string_view value) {
    static constexpr auto yes = std::to_array<std::string_view>({"1", "t", "T", "TRUE", "true", "True"});
    static constexpr auto no = std::to_array<std::string_view>({"0", "f", "F", "FALSE", "false", "False"});
    if (one_of(value, yes)) return true;
    if (one_of(value, no)) return false;
    return std::nullopt;
}

std::optional<TriState> parse_tri_state(std::string_view value) {
    static constexpr auto on = std::to_array<std::string_view>({"enabled", "enable", "on"});
    static constexpr auto off = std::to_array<std::string_view>({"disabled", "disable", "off"});
    if (value == "none") return TriState::TS_NONE;
    if (one_of(value, on)) return TriState::TS_ENABLED;
    if (one_of(value, off)) return TriState::TS_DISABLED;
    return std::nullopt;
}

ConfigItemValue default_value(const ConfigItemSpec& spec) {
    ConfigItemValue out;
    out.Key = spec.name;
    out.ItemType = spec.type;
    switch (spec.type) {
        case ConfigItemType::ConfigItemTypeInt: out.IntValue = spec.number; break;
        case ConfigItemType::ConfigItemTypeBool: out.BoolValue = spec.flag; break;
        case ConfigItemType::ConfigItemTypeString: out.StrValue = spec.text; break;
        case ConfigItemType::ConfigItemTypeTriState: out.TriStateValue = spec.tri_state; break;
        case ConfigItemType::ConfigItemTypeInvalid: break;
    }
    return out;
}

Error bad_value(std::string_view name, std::string_view value, std::string_view why, std::string hint) {
    return Error{.code = Code::invalid_argument,
                 .what = "config item " + std::string(name) + ": " + quoted(value) + " " + std::string(why),
                 .field = std::string(name),
                 .hint = std::move(hint)};
}

Result<ConfigItemValue> parse_value(const ConfigItemSpec& spec, std::string_view shown_name, std::string_view value) {
    ConfigItemValue out = default_value(spec);
    switch (spec.type) {
        case ConfigItemType::ConfigItemTypeInt: {
            std::uint32_t number = 0;
            const auto [end, failed] = std::from_chars(value.data(), value.data() + value.size(), number);
            const std::string bounds = std::to_string(spec.min) + " to " + std::to_string(spec.max);
            if (failed == std::errc::invalid_argument || end != value.data() + value.size())
                return bad_value(shown_name, value, "is not a number", "give a decimal number of " + bounds);
            if (failed != std::errc{} || number < spec.min || number > spec.max)
                return bad_value(shown_name, value, "is out of range (" + bounds + ")", "give a decimal number of " + bounds);
            out.IntValue = number;
            return out;
        }
        case ConfigItemType::ConfigItemTypeBool: {
            const auto flag = parse_bool(value);
            if (!flag) return bad_value(shown_name, value, "is not a boolean", "give true or false");
            out.BoolValue = *flag;
            return out;
        }
        case ConfigItemType::ConfigItemTypeTriState: {
            const auto state = parse_tri_state(value);
            if (!state) return bad_value(shown_name, value, "is none of enabled, disabled, none", "give enabled, disabled or none");
            out.TriStateValue = *state;
            return out;
        }
        case ConfigItemType::ConfigItemTypeString: {
            if (auto why = refused(spec.rule, value)) return bad_value(shown_name, value, *why, "the rules are in docs/config-items.md");
            out.StrValue = value;
            return out;
        }
        case ConfigItemType::ConfigItemTypeInvalid: break;
    }
    return Error{.code = Code::internal, .what = "config item " + std::string(shown_name) + " has no type", .field = std::string(shown_name)};
}

struct AgentItem {
    std::string agent;
    const ConfigItemSpec* spec = nullptr;
};

bool only_name_characters(std::string_view part, bool dots) {
    return !part.empty() && std::ranges::all_of(part, [dots](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (dots && c == '.');
    });
}

/// "agent.NAME.SETTING", or EVE's older "debug.NAME.SETTING" for what is now "debug.SETTING" of that agent.
std::optional<AgentItem> find_agent_item(std::string_view name) {
    const bool legacy = name.starts_with("debug.");
    if (!legacy && !name.starts_with("agent.")) return std::nullopt;
    name.remove_prefix(6);
    const auto dot = name.find('.');
    if (dot == std::string_view::npos) return std::nullopt;
    const auto agent = name.substr(0, dot);
    const auto rest = name.substr(dot + 1);
    if (!only_name_characters(agent, false) || !only_name_characters(rest, true)) return std::nullopt;
    const std::string setting = legacy ? "debug." + std::string(rest) : std::string(rest);
    for (const auto& spec : agent_specs)
        if (spec.name == setting) return AgentItem{std::string(agent), &spec};
    return std::nullopt;
}

Error unknown(std::string_view name) {
    return Error{.code = Code::not_found,
                 .what = "unknown config item " + quoted(name),
                 .field = std::string(name.substr(0, quoted_max)),
                 .hint = "check the spelling; the items are listed in docs/config-items.md"};
}

}  // namespace

std::span<const ConfigItemSpec> config_item_specs() { return specs; }

const ConfigItemSpec* find_config_item(std::string_view name) {
    const auto it = std::ranges::lower_bound(specs, name, {}, &ConfigItemSpec::name);
    return it != specs.end() && it->name == name ? &*it : nullptr;
}

ConfigItemValueMap default_config_items() {
    ConfigItemValueMap out;
    for (const auto& spec : specs) out.GlobalSettings.emplace(spec.name, default_value(spec));
    return out;
}

ConfigItemValueMap configured_config_items() {
    auto out = default_config_items();
    for (const auto* name : {"debug.enable.console", "debug.enable.usb", "debug.enable.vga"}) out.GlobalSettings[name].BoolValue = false;
    return out;
}

Result<ConfigItemValue> parse_config_item(std::string_view name, std::string_view value) {
    if (const auto* spec = find_config_item(name)) return parse_value(*spec, name, value);
    if (const auto item = find_agent_item(name)) return parse_value(*item->spec, name, value);
    return unknown(name);
}

Status apply_config_item(ConfigItemValueMap& now, const ConfigItemValueMap& before, std::string_view name, std::string_view value) {
    if (const auto* spec = find_config_item(name)) {
        auto parsed = parse_value(*spec, name, value);
        if (parsed) {
            now.GlobalSettings[std::string(name)] = *std::move(parsed);
            return {};
        }
        const auto old = before.GlobalSettings.find(std::string(name));
        const bool kept = old != before.GlobalSettings.end() && old->second.ItemType == spec->type;
        auto& slot = now.GlobalSettings[std::string(name)];
        slot = kept ? old->second : default_value(*spec);
        parsed.error().what += "; " + quoted(config_item_text(slot)) + " stays in force";
        return std::move(parsed).error();
    }
    if (const auto item = find_agent_item(name)) {
        auto parsed = parse_value(*item->spec, name, value);
        const std::string key(item->spec->name);
        if (parsed) {
            now.AgentSettings[item->agent][key] = *std::move(parsed);
            return {};
        }
        const auto agent = before.AgentSettings.find(item->agent);
        if (agent != before.AgentSettings.end())
            if (const auto old = agent->second.find(key); old != agent->second.end()) now.AgentSettings[item->agent][key] = old->second;
        return std::move(parsed).error();
    }
    return unknown(name);
}

std::string config_item_text(const ConfigItemValue& value) {
    switch (value.ItemType) {
        case ConfigItemType::ConfigItemTypeInt: return std::to_string(value.IntValue);
        case ConfigItemType::ConfigItemTypeBool: return value.BoolValue ? "true" : "false";
        case ConfigItemType::ConfigItemTypeString: return value.StrValue;
        case ConfigItemType::ConfigItemTypeTriState:
            return value.TriStateValue == TriState::TS_ENABLED ? "enabled" : value.TriStateValue == TriState::TS_DISABLED ? "disabled" : "none";
        case ConfigItemType::ConfigItemTypeInvalid: break;
    }
    return "";
}

ConfigItemValue ConfigItems::value(std::string_view name, ConfigItemType type) const {
    const auto it = values_.GlobalSettings.find(std::string(name));
    if (it != values_.GlobalSettings.end() && it->second.ItemType == type) return it->second;
    const auto* spec = find_config_item(name);
    return spec != nullptr && spec->type == type ? default_value(*spec) : ConfigItemValue{};
}

std::uint32_t ConfigItems::number(std::string_view name) const { return value(name, ConfigItemType::ConfigItemTypeInt).IntValue; }
bool ConfigItems::boolean(std::string_view name) const { return value(name, ConfigItemType::ConfigItemTypeBool).BoolValue; }
std::string ConfigItems::text(std::string_view name) const { return value(name, ConfigItemType::ConfigItemTypeString).StrValue; }
TriState ConfigItems::tri_state(std::string_view name) const { return value(name, ConfigItemType::ConfigItemTypeTriState).TriStateValue; }

std::string ConfigItems::agent_text(std::string_view agent, std::string_view key) const {
    const auto settings = values_.AgentSettings.find(std::string(agent));
    if (settings == values_.AgentSettings.end()) return "";
    const auto it = settings->second.find(std::string(key));
    return it == settings->second.end() ? "" : it->second.StrValue;
}

}  // namespace eve::types
