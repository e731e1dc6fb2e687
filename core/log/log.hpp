#pragma once
// The one event log: a fixed event name and fields that stay data. A ring of recent events is the flight recorder.

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace eve {

/// error: the operator must act; warn: degraded, we cope; info: a rare change of state; debug: diagnosis.
enum class Level { debug, info, warn, error };

/// One named value of an event. Secrets have no conversion to it.
struct Field {
    using Value = std::variant<std::string, std::int64_t, bool>;
    std::string name;
    Value value;

    Field(std::string_view field, std::string text) : name(field), value(std::move(text)) {}
    Field(std::string_view field, std::string_view text) : name(field), value(std::string(text)) {}
    Field(std::string_view field, const char* text) : name(field), value(std::string(text)) {}
    Field(std::string_view field, bool flag) : name(field), value(flag) {}
    template <class Integer>
        requires(std::is_integral_v<Integer> && !std::is_same_v<Integer, bool>)
    Field(std::string_view field, Integer number) : name(field), value(static_cast<std::int64_t>(number)) {}
};
using Fields = std::vector<Field>;

/// Where events go. [any-thread]
class Log {
public:
    virtual ~Log() = default;
    /// `event` is "object.what_happened" ("domain.start_failed"): searchable, never built at run time.
    virtual void write(Level level, std::string_view event, Fields fields) = 0;
    void write(Level level, std::string_view event) { write(level, event, {}); }
};

}  // namespace eve
