#pragma once
// EVE's config items ("timer.boot.retry"): the one table of their names, types, defaults and bounds, the rule by which a text from the
// controller becomes a value, and the reader that agents use. What a node publishes of them is ConfigItemValueMap (node.hpp).

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "core/types/node.hpp"
#include "eve/result.hpp"

namespace eve::types {

/// What a text item may hold.
enum class TextRule : std::uint8_t { any, log_level, syslog_level, base64, boot_order };

/// One row of the table. Of the defaults only the one of `type` counts; the bounds are those of an integer and are allowed values.
struct ConfigItemSpec {
    std::string_view name;
    ConfigItemType type = ConfigItemType::ConfigItemTypeInvalid;
    std::uint32_t number = 0;
    std::uint32_t min = 0;
    std::uint32_t max = 0;
    bool flag = false;
    TriState tri_state = TriState::TS_NONE;
    std::string_view text;
    TextRule rule = TextRule::any;
};

/// All global items, sorted by name.
std::span<const ConfigItemSpec> config_item_specs();

/// The row of that name, or nullptr.
const ConfigItemSpec* find_config_item(std::string_view name);

/// The values before any config was received: console, USB and VGA are open, so that new hardware can be brought up at the bench.
ConfigItemValueMap default_config_items();

/// The values of a config that names no item: as default_config_items, but console, USB and VGA closed.
ConfigItemValueMap configured_config_items();

/// The value a text stands for. Errors: not_found - no such item; invalid_argument - not of its type, out of bounds, or not allowed.
Result<ConfigItemValue> parse_config_item(std::string_view name, std::string_view value);

/// Puts one item, global ("timer.boot.retry") or of one agent ("agent.nim.debug.loglevel"), into `now`. A bad value leaves what `before`
/// holds, or the default if that holds none; an unknown name changes nothing. The error names the item either way. Source: EVE
/// pkg/pillar/types/global.go ParseItem.
Status apply_config_item(ConfigItemValueMap& now, const ConfigItemValueMap& before, std::string_view name, std::string_view value);

/// The value as the controller would write it ("600", "true", "none").
std::string config_item_text(const ConfigItemValue& value);

/// Reads items with the defaults of the table behind them, so that a reader never meets an absent or wrong-typed one.
class ConfigItems {
public:
    ConfigItems() = default;
    explicit ConfigItems(ConfigItemValueMap values) : values_(std::move(values)) {}

    /// An integer item; 0 for a name that is no integer item.
    std::uint32_t number(std::string_view name) const;
    /// An integer item that counts seconds.
    std::chrono::seconds seconds(std::string_view name) const { return std::chrono::seconds{number(name)}; }
    /// A boolean item; false for a name that is no boolean item.
    bool boolean(std::string_view name) const;
    /// A text item; empty for a name that is no text item.
    std::string text(std::string_view name) const;
    /// A tri-state item; TS_NONE for a name that is no tri-state item.
    TriState tri_state(std::string_view name) const;
    /// One agent's own log level for its files ("" when only the device's default is set).
    std::string agent_log_level(std::string_view agent) const { return agent_text(agent, "debug.loglevel"); }
    /// One agent's own log level towards the controller.
    std::string agent_remote_log_level(std::string_view agent) const { return agent_text(agent, "debug.remote.loglevel"); }

    const ConfigItemValueMap& values() const { return values_; }

private:
    std::string agent_text(std::string_view agent, std::string_view key) const;
    ConfigItemValue value(std::string_view name, ConfigItemType type) const;

    ConfigItemValueMap values_;
};

}  // namespace eve::types

namespace eve {
using types::ConfigItems;
}
