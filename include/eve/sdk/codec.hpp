#pragma once
// Records to JSON and back, checked, by the rules of eve/abi.h. Glue only: costs seconds to compile and is included by the one file of a
// plugin that EVE_PLUGIN stands in.

#include <algorithm>
#include <boost/describe.hpp>
#include <boost/mp11.hpp>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "eve/abi.h"
#include "eve/domain.hpp"
#include "eve/host.hpp"
#include "eve/result.hpp"
#include "eve/sdk/records.hpp"

namespace eve {
EVE_SDK_NAMESPACE {
namespace sdk {

/// Requests are `must_understand`: an unknown field, enum value or a key twice is refused. Replies, events and errors are `must_ignore`.
enum class Strictness { must_understand, must_ignore };

namespace detail {

using Json = nlohmann::json;

template <class T> struct is_optional : std::false_type {};
template <class T> struct is_optional<std::optional<T>> : std::true_type {};
template <class T> struct is_vector : std::false_type {};
template <class T> struct is_vector<std::vector<T>> : std::true_type {};
template <class T> struct is_id : std::false_type {};
template <class T> struct is_id<Id<T>> : std::true_type {};
template <class T> struct is_duration : std::false_type {};
template <class R, class P> struct is_duration<std::chrono::duration<R, P>> : std::true_type {};
template <class T> struct is_text_map : std::false_type {};
template <class T> struct is_text_map<std::map<std::string, T>> : std::true_type {};

/// The unit that ends a member's name on the boundary.
template <class T> constexpr std::string_view unit() {
    if constexpr (is_optional<T>::value) return unit<typename T::value_type>();
    else if constexpr (std::is_same_v<T, Bytes>) return "_bytes";
    else if constexpr (std::is_same_v<T, std::chrono::nanoseconds>) return "_ns";
    else if constexpr (std::is_same_v<T, std::chrono::milliseconds>) return "_ms";
    else {
        static_assert(!is_duration<T>::value, "durations are nanoseconds or milliseconds");
        return "";
    }
}

template <class T> std::string key_of(const char* member) { return std::string(member).append(unit<T>()); }

inline bool valid_utf8(std::string_view text) {
    for (std::size_t i = 0; i < text.size();) {
        const auto at = [&](std::size_t k) { return static_cast<unsigned char>(text[k]); };
        const unsigned char first = at(i);
        std::size_t more = 0;
        std::uint32_t point = 0;
        if (first < 0x80) more = 0, point = first;
        else if ((first & 0xe0) == 0xc0) more = 1, point = first & 0x1fU;
        else if ((first & 0xf0) == 0xe0) more = 2, point = first & 0x0fU;
        else if ((first & 0xf8) == 0xf0) more = 3, point = first & 0x07U;
        else return false;
        if (i + more >= text.size()) return false;
        for (std::size_t k = 1; k <= more; ++k) {
            if ((at(i + k) & 0xc0) != 0x80) return false;
            point = (point << 6) | (at(i + k) & 0x3fU);
        }
        constexpr std::uint32_t smallest[] = {0, 0x80, 0x800, 0x10000};
        if (point < smallest[more] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) return false;
        i += more + 1;
    }
    return true;
}

/// Where the walk stands, what went wrong first, and the descriptors beside the text.
struct Walk {
    Strictness strictness = Strictness::must_understand;
    std::string path;
    std::optional<Error> error;
    std::vector<int> fds;

    bool fail(Code code, std::string what) {
        if (!error) error = Error{.code = code, .what = path + " " + what, .field = path};
        return false;
    }
};

/// Lengthens the path for one step of the walk.
class Step {
public:
    Step(Walk& walk, std::string_view part) : walk_(walk), size_(walk.path.size()) { walk.path.append(".").append(part); }
    Step(Walk& walk, std::size_t index) : walk_(walk), size_(walk.path.size()) { walk.path.append("[" + std::to_string(index) + "]"); }
    ~Step() { walk_.path.resize(size_); }
    Step(const Step&) = delete;
    Step& operator=(const Step&) = delete;

private:
    Walk& walk_;
    std::size_t size_;
};

template <class T> constexpr bool enum_has_unknown() {
    bool first = false;
    boost::mp11::mp_for_each<boost::describe::describe_enumerators<T>>([&](auto d) {
        if (static_cast<int>(d.value) == 0) first = std::string_view(d.name) == "unknown";
    });
    return first;
}

template <class T> bool write(Json& out, const T& value, Walk& walk);

inline bool write_text(Json& out, const std::string& text, Walk& walk) {
    if (walk.strictness == Strictness::must_understand && !valid_utf8(text)) return walk.fail(Code::invalid_argument, "is not UTF-8");
    out = text;
    return true;
}

template <class T> bool write(Json& out, const T& value, Walk& walk) {
    if constexpr (std::is_same_v<T, bool> || std::is_integral_v<T>) {
        out = value;
        return true;
    } else if constexpr (std::is_same_v<T, std::string>) {
        return write_text(out, value, walk);
    } else if constexpr (is_id<T>::value || std::is_same_v<T, Secret>) {
        return write_text(out, value.value, walk);
    } else if constexpr (std::is_same_v<T, Bytes>) {
        out = value.n;
        return true;
    } else if constexpr (is_duration<T>::value) {
        out = static_cast<std::int64_t>(value.count());
        return true;
    } else if constexpr (std::is_same_v<T, Fd>) {
        if (walk.fds.size() >= EVE_FDS_MAX) return walk.fail(Code::invalid_argument, "is one descriptor too many");
        out = Json{{"fd", walk.fds.size()}};
        walk.fds.push_back(value.fd);
        return true;
    } else if constexpr (std::is_enum_v<T>) {
        static_assert(enum_has_unknown<T>(), "enumerator 0 of every enum on the boundary is `unknown`");
        const char* name = boost::describe::enum_to_string(value, "unknown");
        out = name;
        return true;
    } else if constexpr (is_optional<T>::value) {
        return write(out, *value, walk);
    } else if constexpr (is_vector<T>::value) {
        out = Json::array();
        for (std::size_t i = 0; i < value.size(); ++i) {
            Step step(walk, i);
            Json element;
            if (!write(element, static_cast<const typename T::value_type&>(value[i]), walk)) return false;
            out.push_back(std::move(element));
        }
        return true;
    } else if constexpr (is_text_map<T>::value) {
        out = Json::object();
        for (const auto& [key, element] : value) {
            Step step(walk, key);
            Json name;
            if (!write_text(name, key, walk) || !write(out[key], element, walk)) return false;
        }
        return true;
    } else if constexpr (std::is_same_v<T, std::variant<std::string, std::int64_t, bool>>) {
        return std::visit([&](const auto& held) { return write(out, held, walk); }, value);
    } else {
        static_assert(boost::describe::has_describe_members<T>::value, "list the record in eve/sdk/records.hpp");
        out = Json::object();
        const T defaults{};
        bool good = true;
        boost::mp11::mp_for_each<boost::describe::describe_members<T, boost::describe::mod_public>>([&](auto d) {
            using Member = std::remove_cvref_t<decltype(value.*d.pointer)>;
            if (!good || value.*d.pointer == defaults.*d.pointer) return;
            const auto key = key_of<Member>(d.name);
            Step step(walk, key);
            good = write(out[key], value.*d.pointer, walk);
        });
        return good;
    }
}

inline bool read_text(const Json& in, std::string& value, Walk& walk) {
    if (!in.is_string()) return walk.fail(Code::invalid_argument, "is not a string");
    value = in.get_ref<const std::string&>();
    return true;
}

/// Never get<T>(): that narrows silently.
template <std::integral T> bool read_integer(const Json& in, T& value, Walk& walk) {
    if (in.is_number_unsigned()) {
        const auto number = in.get_ref<const std::uint64_t&>();
        if (!std::in_range<T>(number)) return walk.fail(Code::invalid_argument, "is out of range");
        value = static_cast<T>(number);
        return true;
    }
    if (in.is_number_integer()) {
        const auto number = in.get_ref<const std::int64_t&>();
        if (!std::in_range<T>(number)) return walk.fail(Code::invalid_argument, "is out of range");
        value = static_cast<T>(number);
        return true;
    }
    return walk.fail(Code::invalid_argument, in.is_number_float() ? "is not an integer of 64 bits" : "is not a number");
}

template <class T> bool read(const Json& in, T& value, Walk& walk) {
    if constexpr (std::is_same_v<T, bool>) {
        if (!in.is_boolean()) return walk.fail(Code::invalid_argument, "is not true or false");
        value = in.get_ref<const bool&>();
        return true;
    } else if constexpr (std::is_integral_v<T>) {
        return read_integer(in, value, walk);
    } else if constexpr (std::is_same_v<T, std::string>) {
        return read_text(in, value, walk);
    } else if constexpr (is_id<T>::value || std::is_same_v<T, Secret>) {
        return read_text(in, value.value, walk);
    } else if constexpr (std::is_same_v<T, Bytes>) {
        return read_integer(in, value.n, walk);
    } else if constexpr (is_duration<T>::value) {
        std::int64_t count = 0;
        if (!read_integer(in, count, walk)) return false;
        value = T(count);
        return true;
    } else if constexpr (std::is_same_v<T, Fd>) {
        std::uint32_t index = 0;
        if (!in.is_object() || in.size() != 1 || !in.contains("fd")) return walk.fail(Code::invalid_argument, "is not a descriptor");
        if (!read_integer(in.at("fd"), index, walk)) return false;
        if (index >= walk.fds.size()) return walk.fail(Code::invalid_argument, "names a descriptor that was not sent");
        value.fd = walk.fds[index];
        return true;
    } else if constexpr (std::is_enum_v<T>) {
        static_assert(enum_has_unknown<T>(), "enumerator 0 of every enum on the boundary is `unknown`");
        if (!in.is_string()) return walk.fail(Code::invalid_argument, "is not a string");
        const auto& name = in.get_ref<const std::string&>();
        T found{};
        if (!boost::describe::enum_from_string(name.c_str(), found)) {
            if (walk.strictness == Strictness::must_understand) return walk.fail(Code::unsupported, "`" + name + "` is not known to this side");
            found = T{};
        }
        value = found;
        return true;
    } else if constexpr (is_optional<T>::value) {
        return read(in, value.emplace(), walk);
    } else if constexpr (is_vector<T>::value) {
        if (!in.is_array()) return walk.fail(Code::invalid_argument, "is not a list");
        value.clear();
        value.reserve(in.size());
        for (std::size_t i = 0; i < in.size(); ++i) {
            Step step(walk, i);
            typename T::value_type element{};
            if (!read(in[i], element, walk)) return false;
            value.push_back(std::move(element));
        }
        return true;
    } else if constexpr (is_text_map<T>::value) {
        if (!in.is_object()) return walk.fail(Code::invalid_argument, "is not an object");
        value.clear();
        for (const auto& [key, element] : in.items()) {
            Step step(walk, key);
            if (!read(element, value[key], walk)) return false;
        }
        return true;
    } else if constexpr (std::is_same_v<T, std::variant<std::string, std::int64_t, bool>>) {
        if (in.is_string()) value = in.get_ref<const std::string&>();
        else if (in.is_boolean()) value = in.get_ref<const bool&>();
        else {
            std::int64_t number = 0;
            if (!read_integer(in, number, walk)) return false;
            value = number;
        }
        return true;
    } else {
        static_assert(boost::describe::has_describe_members<T>::value, "list the record in eve/sdk/records.hpp");
        if (!in.is_object()) return walk.fail(Code::invalid_argument, "is not an object");
        bool good = true;
        std::size_t known = 0;
        boost::mp11::mp_for_each<boost::describe::describe_members<T, boost::describe::mod_public>>([&](auto d) {
            using Member = std::remove_cvref_t<decltype(value.*d.pointer)>;
            if (!good) return;
            const auto key = key_of<Member>(d.name);
            const auto at = in.find(key);
            if (at == in.end()) return;
            ++known;
            Step step(walk, key);
            good = read(*at, value.*d.pointer, walk);
        });
        if (!good || known == in.size() || walk.strictness == Strictness::must_ignore) return good;
        for (const auto& item : in.items()) {
            bool listed = false;
            boost::mp11::mp_for_each<boost::describe::describe_members<T, boost::describe::mod_public>>([&](auto d) {
                using Member = std::remove_cvref_t<decltype(value.*d.pointer)>;
                listed = listed || key_of<Member>(d.name) == item.key();
            });
            if (listed) continue;
            Step step(walk, item.key());
            return walk.fail(Code::unsupported, "is not known to this side");
        }
        return true;
    }
}

/// The nesting of brackets outside strings, found before the parser sees the text.
inline bool depth_within_limit(std::string_view text) {
    std::size_t depth = 0;
    bool in_string = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (in_string) {
            if (c == '\\') ++i;
            else if (c == '"') in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            if (++depth > EVE_JSON_DEPTH_MAX) return false;
        } else if ((c == ']' || c == '}') && depth > 0) {
            --depth;
        }
    }
    return true;
}

inline Result<Json> parse(std::string_view text, Strictness strictness) {
    if (text.empty()) return Json::object();
    if (text.find('\0') != std::string_view::npos) return Error{.code = Code::invalid_argument, .what = "a NUL in JSON"};
    if (!depth_within_limit(text)) return Error{.code = Code::invalid_argument, .what = "JSON is nested deeper than 32"};
    std::vector<std::set<std::string>> keys;
    std::string twice;
    Json parsed;
    if (strictness == Strictness::must_understand) {
        const auto watch = [&](int, Json::parse_event_t event, Json& value) {
            if (event == Json::parse_event_t::object_start) keys.emplace_back();
            else if (event == Json::parse_event_t::object_end) keys.pop_back();
            else if (event == Json::parse_event_t::key && !keys.back().insert(value.get_ref<const std::string&>()).second && twice.empty())
                twice = value.get_ref<const std::string&>();
            return true;
        };
        parsed = Json::parse(text, watch, false);
    } else {
        parsed = Json::parse(text, nullptr, false);
    }
    if (parsed.is_discarded()) return Error{.code = Code::invalid_argument, .what = "not JSON"};
    if (!twice.empty()) return Error{.code = Code::invalid_argument, .what = "`" + twice + "` stands twice in one object"};
    if (!parsed.is_object()) return Error{.code = Code::invalid_argument, .what = "not a JSON object"};
    return parsed;
}

inline std::string text_of(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace detail

/// One JSON object with the descriptors it refers to, still the caller's.
struct Encoded {
    std::string body;
    std::vector<int> fds;
};

/// The record as JSON. In a request a string that is not UTF-8 is refused by name, elsewhere its bad bytes are replaced.
template <class T> Result<Encoded> encode(const T& value, Strictness strictness, std::size_t size_max) {
    detail::Walk walk{.strictness = strictness};
    detail::Json json;
    if (!detail::write(json, value, walk)) return std::move(*walk.error);
    Encoded encoded{.body = detail::text_of(json), .fds = std::move(walk.fds)};
    if (encoded.body.size() > size_max)
        return Error{.code = Code::resource_exhausted,
                     .what = "the message has " + std::to_string(encoded.body.size()) + " bytes, the limit is " + std::to_string(size_max)};
    return encoded;
}

/// The record that the text holds, every value checked for type and range. Errors of requests carry the field's path.
template <class T> Result<T> decode(std::string_view text, Strictness strictness, std::vector<int> fds) {
    auto json = detail::parse(text, strictness);
    if (!json) return std::move(json).error();
    detail::Walk walk{.strictness = strictness, .fds = std::move(fds)};
    T value{};
    if (!detail::read(*json, value, walk)) return std::move(*walk.error);
    return value;
}

/// The plugin's own configuration as a record of its own, which is described with BOOST_DESCRIBE_STRUCT; unknown settings are refused.
template <class T> Result<T> read_config(const PluginConfig& config) {
    auto read = decode<T>(config.config, Strictness::must_understand, {});
    if (!read) return std::move(read).error().in("plugin configuration");
    return read;
}

/// A failure as the body of a reply, within the limit of `what`.
inline std::string encode_error(const Error& error) {
    message::Failure failure{.code = std::string(to_string(error.code)),
                             .what = error.what,
                             .field = error.field,
                             .hint = error.hint,
                             .retry_after = error.retry_after,
                             .entities = error.entities};
    if (failure.what.size() > EVE_ERROR_WHAT_SIZE_MAX) {
        std::size_t cut = EVE_ERROR_WHAT_SIZE_MAX - 3;
        while (cut > 0 && (static_cast<unsigned char>(failure.what[cut]) & 0xc0) == 0x80) --cut;
        failure.what.resize(cut);
        failure.what += "...";
    }
    constexpr std::size_t side_limit = 64U << 10;
    auto encoded = encode(failure, Strictness::must_ignore, side_limit);
    if (!encoded) {
        failure.hint.clear();
        failure.field.clear();
        failure.entities.clear();
        encoded = encode(failure, Strictness::must_ignore, side_limit);
    }
    return encoded ? std::move(encoded->body) : std::string();
}

/// The failure that a call's number and body tell. An unknown number counts as internal.
inline Error decode_error(std::int32_t number, std::string_view body) {
    const auto code = number > 0 && number <= EVE_INTERNAL ? static_cast<Code>(number) : Code::internal;
    auto failure = decode<message::Failure>(body, Strictness::must_ignore, {});
    if (!failure) return Error{.code = code, .what = "failed without a readable reason (" + std::string(to_string(code)) + ")"};
    if (failure->what.empty()) failure->what = std::string(to_string(code));
    return Error{.code = code,
                 .what = std::move(failure->what),
                 .field = std::move(failure->field),
                 .hint = std::move(failure->hint),
                 .retry_after = failure->retry_after,
                 .entities = std::move(failure->entities)};
}

}  // namespace sdk
}  // EVE_SDK_NAMESPACE
}  // namespace eve
