#pragma once
// Builds the tables that codec.cpp walks. For .cpp files that define records only: it pulls in Boost.Describe.

#include <algorithm>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include <boost/describe.hpp>
#include <boost/mp11/algorithm.hpp>

#include "core/types/values.hpp"

namespace eve::types::detail {

/// A deviation of a field from Go's defaults.
struct Note {
    enum class What { key, omitempty, all_omitempty, hidden, embedded } what = What::key;
    std::vector<std::string> fields;
    std::string text;
};
inline constexpr const char* at_end = "";
inline Note key(std::string field, std::string name) { return {Note::What::key, {std::move(field)}, std::move(name)}; }
template <class... Names> Note omitempty(Names... names) { return {Note::What::omitempty, {std::string(names)...}, {}}; }
inline const Note all_omitempty{Note::What::all_omitempty, {}, {}};
inline Note hidden(std::string field) { return {Note::What::hidden, {std::move(field)}, {}}; }
/// The embedded struct's fields come before `member` (at_end: after all). Without it they come first.
inline Note embedded(std::string base, std::string before_member) {
    return {Note::What::embedded, {std::move(base)}, std::move(before_member)};
}

/// Fields of an embedded struct, and the fields of the struct itself, before Go's rules are applied.
struct Part {
    std::string base;  ///< empty for the struct's own members
    std::vector<FieldInfo> fields;
};
/// Orders the parts, applies the notes and Go's rule of which field wins where two have one key.
void finish_record(TypeInfo& info, std::vector<Part> bases, std::vector<FieldInfo> members, const std::vector<Note>& notes);

template <class T> void common(TypeInfo& info, Kind kind) {
    info.kind = kind;
    info.size = sizeof(T);
    info.make = [] { return std::static_pointer_cast<void>(std::make_shared<T>()); };
    info.copy = [](const void* from) { return std::static_pointer_cast<void>(std::make_shared<T>(*static_cast<const T*>(from))); };
    info.equal = [](const void* a, const void* b) { return *static_cast<const T*>(a) == *static_cast<const T*>(b); };
}

template <class T> struct Container : std::false_type {};
template <class E> struct Container<std::vector<E>> : std::true_type {};
template <class K, class V> struct Container<std::map<K, V>> : std::true_type {};
template <class E> struct Container<std::optional<E>> : std::true_type {};

template <class T> concept Record = requires { typename T::record_type; };

std::optional<std::uint64_t> parse_map_key(const std::string& key, std::uint64_t max);

template <class T> TypeInfo make_plain();
template <class T> const TypeInfo& info_of() {
    if constexpr (Record<T>) {
        return type_info<T>();
    } else {
        static const TypeInfo info = make_plain<T>();
        return info;
    }
}

template <class E> void fill(TypeInfo& info, std::vector<E>*) {
    using List = std::vector<E>;
    info.element = &info_of<E>();
    info.count = [](const void* list) { return static_cast<const List*>(list)->size(); };
    info.item = [](const void* list, std::size_t i) -> const void* { return &(*static_cast<const List*>(list))[i]; };
    info.append = [](void* list) -> void* { return &static_cast<List*>(list)->emplace_back(); };
    info.clear = [](void* list) { static_cast<List*>(list)->clear(); };
}
template <class K, class V> void fill(TypeInfo& info, std::map<K, V>*) {
    using Map = std::map<K, V>;
    info.element = &info_of<V>();
    info.count = [](const void* map) { return static_cast<const Map*>(map)->size(); };
    info.clear = [](void* map) { static_cast<Map*>(map)->clear(); };
    info.entries = [](const void* map) {
        std::vector<std::pair<std::string, const void*>> all;
        for (const auto& [key, value] : *static_cast<const Map*>(map)) {
            if constexpr (std::is_same_v<K, std::string>) all.emplace_back(key, &value);
            else all.emplace_back(std::to_string(key), &value);
        }
        std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
        return all;
    };
    info.insert = [](void* map, const std::string& key) -> void* {
        if constexpr (std::is_same_v<K, std::string>) {
            return &(*static_cast<Map*>(map))[key];
        } else {
            static_assert(std::is_unsigned_v<K>);
            const auto number = parse_map_key(key, std::numeric_limits<K>::max());
            return number ? &(*static_cast<Map*>(map))[static_cast<K>(*number)] : nullptr;
        }
    };
}
template <class E> void fill(TypeInfo& info, std::optional<E>*) {
    using Pointer = std::optional<E>;
    info.element = &info_of<E>();
    info.target = [](const void* pointer) -> const void* {
        const auto& held = *static_cast<const Pointer*>(pointer);
        return held ? &*held : nullptr;
    };
    info.clear = [](void* pointer) { static_cast<Pointer*>(pointer)->reset(); };
    info.emplace = [](void* pointer) -> void* {
        auto& held = *static_cast<Pointer*>(pointer);
        if (!held) held.emplace();
        return &*held;
    };
}

template <class T> struct Plain { using type = T; };
template <class T> requires std::is_enum_v<T> struct Plain<T> { using type = std::underlying_type_t<T>; };

template <class T> TypeInfo make_plain() {
    TypeInfo info;
    if constexpr (std::is_same_v<T, bool>) common<T>(info, Kind::boolean);
    else if constexpr (std::is_same_v<T, std::string>) common<T>(info, Kind::text);
    else if constexpr (std::is_same_v<T, Bytes> || std::is_same_v<T, MacAddress>) common<T>(info, Kind::bytes);
    else if constexpr (std::is_same_v<T, Time>) common<T>(info, Kind::time);
    else if constexpr (std::is_same_v<T, Uuid>) common<T>(info, Kind::uuid);
    else if constexpr (std::is_same_v<T, IpAddress>) common<T>(info, Kind::ip);
    else if constexpr (std::is_same_v<T, AnyJson>) common<T>(info, Kind::any);
    else if constexpr (std::is_same_v<T, Duration>) common<T>(info, Kind::integer);
    else if constexpr (std::is_floating_point_v<T>) common<T>(info, Kind::floating);
    else if constexpr (std::is_enum_v<T> || std::is_integral_v<T>)
        common<T>(info, std::is_signed_v<typename Plain<T>::type> ? Kind::integer : Kind::unsigned_integer);
    else if constexpr (Container<T>::value) {
        constexpr bool list = requires(T& t) { t.emplace_back(); };
        constexpr bool map = requires { typename T::mapped_type; };
        common<T>(info, list ? Kind::list : map ? Kind::map : Kind::pointer);
        fill(info, static_cast<T*>(nullptr));
    } else {
        static_assert(Container<T>::value, "no JSON form for this type");
    }
    return info;
}

static_assert(sizeof(MacAddress) == sizeof(Bytes) && std::is_standard_layout_v<MacAddress>, "Kind::bytes reads a MacAddress as its bytes");

template <class T> TypeInfo make_record(const char* name, const std::vector<Note>& notes) {
    TypeInfo info;
    info.name = name;
    common<T>(info, Kind::record);
    const T probe{};
    const auto at = [&](const void* part) {
        return static_cast<std::size_t>(static_cast<const char*>(part) - reinterpret_cast<const char*>(&probe));
    };
    std::vector<Part> bases;
    boost::mp11::mp_for_each<boost::describe::describe_bases<T, boost::describe::mod_public>>([&](auto base) {
        using Base = typename decltype(base)::type;
        Part part{type_info<Base>().name, type_info<Base>().fields};
        for (auto& field : part.fields) {
            field.offset += at(static_cast<const Base*>(&probe));
            ++field.depth;
        }
        bases.push_back(std::move(part));
    });
    std::vector<FieldInfo> members;
    boost::mp11::mp_for_each<boost::describe::describe_members<T, boost::describe::mod_public>>([&](auto member) {
        using Value = std::remove_cvref_t<decltype(probe.*member.pointer)>;
        members.push_back({.key = member.name, .member = member.name, .type = &info_of<Value>(), .offset = at(&(probe.*member.pointer))});
    });
    finish_record(info, std::move(bases), std::move(members), notes);
    return info;
}

}  // namespace eve::types::detail

/// Defines the table of a record: EVE_DESCRIBE(T, (bases), (members in Go's order), notes...). In T's namespace.
#define EVE_DESCRIBE(T, Bases, Members, ...)                                                                         \
    BOOST_DESCRIBE_STRUCT(T, Bases, Members)                                                                         \
    const ::eve::TypeInfo& describe_record(const T*) {                                                               \
        using namespace ::eve::types::detail;                                                                        \
        static const ::eve::TypeInfo info = make_record<T>(#T, std::vector<Note>{__VA_ARGS__});                      \
        return info;                                                                                                 \
    }
