#pragma once
// The one codec of EVE's records: what a type looks like (TypeInfo), its JSON as Go's encoding/json writes and reads it, and the
// difference of two records. A struct becomes a record with EVE_RECORD here and EVE_DESCRIBE (describe.hpp) in a .cpp.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "eve/result.hpp"

namespace eve {

struct TypeInfo;

/// Last line of a record's struct: equality by value, and the declaration of its table.
#define EVE_RECORD(T)                                     \
    using record_type = T;                                \
    friend bool operator==(const T&, const T&) = default; \
    friend const ::eve::TypeInfo& describe_record(const T*);

/// What a type looks like in JSON.
enum class Kind { boolean, integer, unsigned_integer, floating, text, bytes, time, uuid, ip, any, record, list, map, pointer };

/// One member of a record as Go sees it: embedded structs are flattened, what another field of the same key hides is left out.
struct FieldInfo {
    std::string key;     ///< in JSON
    std::string member;  ///< in C++ and Go
    const TypeInfo* type = nullptr;
    std::size_t offset = 0;
    int depth = 0;           ///< how many embedded structs deep
    bool tagged = false;     ///< the key comes from a tag
    bool omitempty = false;  ///< left out of JSON when false, 0, empty or null
    bool hidden = false;     ///< tag "-": never in JSON
};

/// A type without its type: what the bus needs to store, compare, write and read any record. One constant object per type.
struct TypeInfo {
    std::string name;  ///< for a record the topic's name
    Kind kind = Kind::record;
    std::size_t size = 0;
    std::vector<FieldInfo> fields;           ///< of a record, in the order of Go's struct
    const TypeInfo* element = nullptr;       ///< of a list, map or pointer
    std::vector<std::string> large_fields;   ///< keys with the tag "pubsub-large-", also of records inside

    std::shared_ptr<void> (*make)() = nullptr;
    std::shared_ptr<void> (*copy)(const void*) = nullptr;
    bool (*equal)(const void*, const void*) = nullptr;

    // What the walkers in codec.cpp need of containers; null where it does not apply.
    std::size_t (*count)(const void*) = nullptr;
    const void* (*item)(const void*, std::size_t) = nullptr;
    void* (*append)(void*) = nullptr;
    void (*clear)(void*) = nullptr;
    std::vector<std::pair<std::string, const void*>> (*entries)(const void*) = nullptr;
    void* (*insert)(void*, const std::string& key) = nullptr;  ///< null: not a key of this map
    const void* (*target)(const void*) = nullptr;              ///< of a pointer; null: nil
    void* (*emplace)(void*) = nullptr;
};

/// The table of record `T`.
template <class T> const TypeInfo& type_info() {
    static_assert(std::is_same_v<typename T::record_type, T>, "EVE_RECORD(T) is missing in T");
    return describe_record(static_cast<const T*>(nullptr));
}

enum class KeyOrder { as_declared, sorted };

/// Longest JSON text and deepest nesting that is read.
inline constexpr std::size_t json_bytes_max = std::size_t{16} << 20;
inline constexpr int json_depth_max = 32;

/// Compact JSON as Go's Marshal writes it: struct order, map keys sorted, empty lists null, `<`, `>`, `&` escaped.
std::string to_json(const TypeInfo& type, const void* value, KeyOrder order = KeyOrder::as_declared);
/// Reads `json` into `*value` as Go's Unmarshal does: unknown members ignored, missing ones and nulls left as they are, keys matched
/// without case if need be. On an error `*value` is valid but unspecified, Error::field names the place.
///
/// Errors: invalid_argument - not JSON, a wrong kind, a number out of range; resource_exhausted - too long or too deep.
Status from_json(const TypeInfo& type, std::string_view json, void* value);

template <class T> std::string to_json(const T& value) { return to_json(type_info<T>(), &value); }
template <class T> Result<T> from_json(std::string_view json) {
    T value{};
    if (auto read = from_json(type_info<T>(), json, &value); !read) return std::move(read).error();
    return value;
}

/// One field in which two records differ, both sides as JSON.
struct Difference {
    std::string path;  ///< ".DiskConfigList[0].Format"
    std::string before;
    std::string after;
    friend bool operator==(const Difference&, const Difference&) = default;
};
/// Every field in which the records differ, in struct order.
std::vector<Difference> diff(const TypeInfo& type, const void* before, const void* after);
template <class T> std::vector<Difference> diff(const T& before, const T& after) { return diff(type_info<T>(), &before, &after); }

/// One member of a JSON object: its key and its value as JSON.
struct JsonMember {
    std::string key;
    std::string value;
};
/// `json` with each member of each object in it, at any depth, replaced by what `rewrite` makes of it: the same, another, or nothing.
/// `rewrite` is asked only for keys that begin with `prefix`. For the large fields of the wire.
///
/// Errors: those of from_json, and those of `rewrite`.
Result<std::string> rewrite_members(std::string_view json, std::string_view prefix,
                                    const std::function<Result<std::optional<JsonMember>>(JsonMember)>& rewrite);

/// `text` as a JSON string, quotes included.
std::string json_quote(std::string_view text);
/// The text of a JSON string. Errors: invalid_argument.
Result<std::string> json_unquote(std::string_view json);

}  // namespace eve
