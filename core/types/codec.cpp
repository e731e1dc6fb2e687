#include "core/types/codec.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>

#include <nlohmann/json.hpp>

#include "core/types/describe.hpp"

namespace eve {
namespace types::detail {

namespace {

/// Go's rule where two fields have one key: the shallower wins, then the one with a tag, then none.
std::vector<FieldInfo> visible(const std::vector<FieldInfo>& all) {
    std::vector<FieldInfo> kept;
    for (const auto& field : all) {
        if (field.hidden) {
            kept.push_back(field);
            continue;
        }
        bool wins = true;
        for (const auto& other : all) {
            if (&other == &field || other.hidden || other.key != field.key) continue;
            wins = wins && (field.depth < other.depth || (field.depth == other.depth && field.tagged && !other.tagged));
        }
        if (wins) kept.push_back(field);
    }
    return kept;
}

void collect_large(const TypeInfo& type, std::vector<std::string>& keys) {
    if (type.element != nullptr) collect_large(*type.element, keys);
    for (const auto& field : type.fields) {
        if (field.key.starts_with("pubsub-large-") && std::find(keys.begin(), keys.end(), field.key) == keys.end()) keys.push_back(field.key);
        collect_large(*field.type, keys);
    }
}

}  // namespace

void finish_record(TypeInfo& info, std::vector<Part> bases, std::vector<FieldInfo> members, const std::vector<Note>& notes) {
    const auto member = [&](const std::string& name) -> FieldInfo* {
        const auto found = std::find_if(members.begin(), members.end(), [&](const FieldInfo& f) { return f.member == name; });
        return found == members.end() ? nullptr : &*found;
    };
    std::map<std::string, std::string> place;
    for (const auto& note : notes) {
        if (note.what == Note::What::all_omitempty)
            for (auto& field : members) field.omitempty = true;
        if (note.what == Note::What::embedded) place[note.fields.front()] = note.text;
        for (const auto& name : note.fields) {
            FieldInfo* field = member(name);
            if (field == nullptr) continue;
            if (note.what == Note::What::hidden) field->hidden = true;
            if (note.what == Note::What::omitempty) field->omitempty = true;
            if (note.what == Note::What::key) {
                field->key = note.text;
                field->tagged = true;
            }
        }
    }
    std::vector<FieldInfo> all;
    const auto embed = [&](auto&& here) {
        for (const auto& base : bases)
            if (here(place.find(base.base))) all.insert(all.end(), base.fields.begin(), base.fields.end());
    };
    embed([&](auto found) { return found == place.end(); });
    for (auto& field : members) {
        embed([&](auto found) { return found != place.end() && found->second == field.member; });
        all.push_back(field);
    }
    embed([&](auto found) { return found != place.end() && found->second == at_end; });
    info.fields = visible(all);
    collect_large(info, info.large_fields);
}

std::optional<std::uint64_t> parse_map_key(const std::string& key, std::uint64_t max) {
    std::uint64_t number = 0;
    const auto [end, failure] = std::from_chars(key.data(), key.data() + key.size(), number);
    if (failure != std::errc{} || end != key.data() + key.size() || key.empty() || number > max) return std::nullopt;
    return number;
}

}  // namespace types::detail

namespace {

using types::AnyJson;
using types::Bytes;

constexpr std::string_view replacement = "\xEF\xBF\xBD";  // U+FFFD

// ---------------------------------------------------------------------------------------------------------------- a tree of JSON

/// JSON as it was written: members in order, numbers as text.
struct Node {
    enum class Type { null, boolean, number, text, list, object } type = Type::null;
    bool flag = false;
    std::string text;
    struct Member;
    std::vector<Node> items;
    std::vector<Member> members;
};
struct Node::Member {
    std::string first;
    Node second;
};

std::string_view name_of(Node::Type type) {
    switch (type) {
        case Node::Type::null: return "null";
        case Node::Type::boolean: return "a boolean";
        case Node::Type::number: return "a number";
        case Node::Type::text: return "a string";
        case Node::Type::list: return "an array";
        case Node::Type::object: return "an object";
    }
    return "?";
}

/// Length of the valid UTF-8 sequence at the front of `text`; 0 if there is none.
std::size_t utf8_length(std::string_view text) {
    const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
    const auto follows = [&](std::size_t i) { return (byte(i) & 0xc0U) == 0x80U; };
    const unsigned first = byte(0);
    if (first < 0x80) return 1;
    if (first >= 0xc2 && first <= 0xdf) return follows(1) ? 2 : 0;
    if (first >= 0xe0 && first <= 0xef) {
        if (first == 0xe0 && byte(1) < 0xa0) return 0;
        if (first == 0xed && byte(1) > 0x9f) return 0;
        return follows(1) && follows(2) ? 3 : 0;
    }
    if (first >= 0xf0 && first <= 0xf4) {
        if (first == 0xf0 && byte(1) < 0x90) return 0;
        if (first == 0xf4 && byte(1) > 0x8f) return 0;
        return follows(1) && follows(2) && follows(3) ? 4 : 0;
    }
    return 0;
}

// Of one character, or of sixteen at once.
constexpr auto is_plain_output = [](auto c) {
    return (c >= 0x20) & (c != 0x7f) & (c != '"') & (c != '\\') & (c != '<') & (c != '>') & (c != '&');  // signed: what is no ASCII is below 0x20
};
constexpr auto is_plain_input = [](auto c) { return (c >= 0) & (c != '\\'); };

using Sixteen [[gnu::vector_size(16)]] = signed char;

/// How many bytes at the beginning are copied as they are: nearly always all.
template <class IsPlain> std::size_t plain_run(std::string_view text, IsPlain is_plain) {
    std::size_t run = 0;
    for (; text.size() - run >= sizeof(Sixteen); run += sizeof(Sixteen)) {
        Sixteen block;
        std::memcpy(&block, text.data() + run, sizeof block);
        const auto plain = is_plain(block);
        std::array<std::uint64_t, 2> lanes{};
        static_assert(sizeof lanes == sizeof plain);
        std::memcpy(lanes.data(), &plain, sizeof lanes);
        if ((lanes[0] & lanes[1]) != ~std::uint64_t{0}) break;
    }
    while (run < text.size() && is_plain(static_cast<signed char>(text[run]))) ++run;
    return run;
}

std::optional<unsigned> escaped_unit(std::string_view text) {
    if (text.size() < 6 || text[0] != '\\' || text[1] != 'u') return std::nullopt;
    unsigned unit = 0;
    const auto [end, failure] = std::from_chars(text.data() + 2, text.data() + 6, unit, 16);
    if (failure != std::errc{} || end != text.data() + 6) return std::nullopt;
    return unit;
}

/// `json` with what is not Unicode replaced by U+FFFD, as Go reads it: broken UTF-8, halves of surrogate pairs.
std::string as_unicode(std::string_view json) {
    std::string out;
    out.reserve(json.size());
    while (!json.empty()) {
        const std::size_t run = plain_run(json, is_plain_input);
        out.append(json.data(), run);
        json.remove_prefix(run);
        if (json.empty()) break;
        std::size_t take = utf8_length(json);
        if (take == 0) {
            out += replacement;
            json.remove_prefix(1);
            continue;
        }
        if (json.front() == '\\') {
            take = std::min<std::size_t>(2, json.size());
            if (const auto unit = escaped_unit(json)) {
                take = 6;
                const bool high = *unit >= 0xd800 && *unit < 0xdc00;
                const auto next = high ? escaped_unit(json.substr(6)) : std::nullopt;
                if (next && *next >= 0xdc00 && *next < 0xe000) {
                    take = 12;
                } else if (high || (*unit >= 0xdc00 && *unit < 0xe000)) {
                    out += "\\ufffd";
                    json.remove_prefix(6);
                    continue;
                }
            } else if (take == 2 && utf8_length(json.substr(1)) != 1) {
                take = 1;
            }
        }
        out += json.substr(0, take);
        json.remove_prefix(take);
    }
    return out;
}

/// Builds a Node from the events of the JSON library; stops at the limits.
class TreeBuilder final : public nlohmann::json_sax<nlohmann::json> {
public:
    Node root;
    bool too_deep = false;
    std::string failure;

    bool null() override { return add({}); }
    bool boolean(bool value) override { return add({.type = Node::Type::boolean, .flag = value}); }
    bool number_integer(number_integer_t value) override { return add({.type = Node::Type::number, .text = std::to_string(value)}); }
    bool number_unsigned(number_unsigned_t value) override { return add({.type = Node::Type::number, .text = std::to_string(value)}); }
    bool number_float(number_float_t, const string_t& text) override { return add({.type = Node::Type::number, .text = text}); }
    bool string(string_t& value) override { return add({.type = Node::Type::text, .text = std::move(value)}); }
    bool binary(binary_t&) override { return false; }
    bool start_object(std::size_t) override { return open(Node::Type::object); }
    bool start_array(std::size_t) override { return open(Node::Type::list); }
    bool end_object() override { return close(); }
    bool end_array() override { return close(); }
    bool key(string_t& value) override {
        key_ = std::move(value);
        return true;
    }
    bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) override {
        failure = "not JSON, at byte " + std::to_string(position);
        return false;
    }

private:
    Node* place(Node node) {
        if (open_.empty()) {
            root = std::move(node);
            return &root;
        }
        Node& parent = *open_.back();
        if (parent.type == Node::Type::list) return &parent.items.emplace_back(std::move(node));
        return &parent.members.emplace_back(std::move(key_), std::move(node)).second;
    }
    bool add(Node node) {
        place(std::move(node));
        return true;
    }
    bool open(Node::Type type) {
        if (open_.size() >= static_cast<std::size_t>(json_depth_max)) {
            too_deep = true;
            return false;
        }
        open_.push_back(place({.type = type}));
        return true;
    }
    bool close() {
        open_.pop_back();
        return true;
    }

    std::vector<Node*> open_;
    std::string key_;
};

Result<Node> parse(std::string_view json) {
    if (json.size() > json_bytes_max) return Error{.code = Code::resource_exhausted, .what = "JSON of " + std::to_string(json.size()) + " bytes"};
    if (json.find('\0') != std::string_view::npos)  // the library takes it for the end, and what follows for nothing
        return Error{.code = Code::invalid_argument, .what = "a NUL in JSON"};
    TreeBuilder builder;
    const std::string text = as_unicode(json);
    if (!nlohmann::json::sax_parse(text, &builder)) {
        if (builder.too_deep)
            return Error{.code = Code::resource_exhausted, .what = "JSON nested deeper than " + std::to_string(json_depth_max)};
        return Error{.code = Code::invalid_argument, .what = builder.failure.empty() ? "not JSON" : builder.failure};
    }
    return std::move(builder.root);
}

// ---------------------------------------------------------------------------------------------------------------------- writing

/// Appends `text` as a JSON string as Go does: HTML characters and line separators escaped, broken UTF-8 replaced.
void write_text(std::string& out, std::string_view text) {
    static constexpr char digits[] = "0123456789abcdef";
    out += '"';
    while (!text.empty()) {
        const std::size_t run = plain_run(text, is_plain_output);
        out.append(text.data(), run);
        text.remove_prefix(run);
        if (text.empty()) break;
        const char c = text.front();
        const auto byte = static_cast<unsigned char>(c);
        const std::size_t length = utf8_length(text);
        if (length == 0) {
            out += "\\ufffd";
            text.remove_prefix(1);
            continue;
        }
        if (length > 1) {
            const std::string_view sequence = text.substr(0, length);
            if (sequence == "\xE2\x80\xA8") out += "\\u2028";
            else if (sequence == "\xE2\x80\xA9") out += "\\u2029";
            else out += sequence;
        } else if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (c == '\n') {
            out += "\\n";
        } else if (c == '\r') {
            out += "\\r";
        } else if (c == '\t') {
            out += "\\t";
        } else if (c == '\b') {
            out += "\\b";
        } else if (c == '\f') {
            out += "\\f";
        } else if (byte < 0x20 || c == '<' || c == '>' || c == '&') {
            out += "\\u00";
            out += digits[byte >> 4];
            out += digits[byte & 15];
        } else {
            out += c;
        }
        text.remove_prefix(length);
    }
    out += '"';
}

void write_node(std::string& out, const Node& node) {
    bool first = true;
    switch (node.type) {
        case Node::Type::null: out += "null"; return;
        case Node::Type::boolean: out += node.flag ? "true" : "false"; return;
        case Node::Type::number: out += node.text; return;
        case Node::Type::text: write_text(out, node.text); return;
        case Node::Type::list:
            out += '[';
            for (const auto& item : node.items) {
                if (!std::exchange(first, false)) out += ',';
                write_node(out, item);
            }
            out += ']';
            return;
        case Node::Type::object:
            out += '{';
            for (const auto& [key, value] : node.members) {
                if (!std::exchange(first, false)) out += ',';
                write_text(out, key);
                out += ':';
                write_node(out, value);
            }
            out += '}';
            return;
    }
}

template <class T> const T& as(const void* value) { return *static_cast<const T*>(value); }

std::int64_t read_signed(const void* value, std::size_t size) {
    switch (size) {
        case 1: return as<std::int8_t>(value);
        case 2: return as<std::int16_t>(value);
        case 4: return as<std::int32_t>(value);
        default: return as<std::int64_t>(value);
    }
}

std::uint64_t read_unsigned(const void* value, std::size_t size) {
    switch (size) {
        case 1: return as<std::uint8_t>(value);
        case 2: return as<std::uint16_t>(value);
        case 4: return as<std::uint32_t>(value);
        default: return as<std::uint64_t>(value);
    }
}

template <class Number> void write_number(std::string& out, Number number) {
    char text[64];
    const auto [end, failure] = std::to_chars(text, text + sizeof text, number);
    out.append(text, failure == std::errc{} ? end : text);
}

/// What Go's omitempty leaves out. Never a struct or an array: a nil UUID and a zero time stay.
bool is_empty(const TypeInfo& type, const void* value) {
    switch (type.kind) {
        case Kind::boolean: return !as<bool>(value);
        case Kind::integer: return read_signed(value, type.size) == 0;
        case Kind::unsigned_integer: return read_unsigned(value, type.size) == 0;
        case Kind::floating: return type.size == sizeof(float) ? as<float>(value) == 0 : as<double>(value) == 0;
        case Kind::text: return as<std::string>(value).empty();
        case Kind::bytes: return as<Bytes>(value).empty();
        case Kind::ip: return as<types::IpAddress>(value).empty();
        case Kind::any: return as<AnyJson>(value).text.empty();
        case Kind::list:
        case Kind::map: return type.count(value) == 0;
        case Kind::pointer: return type.target(value) == nullptr;
        case Kind::time:
        case Kind::uuid:
        case Kind::record: return false;
    }
    return false;
}

void write(std::string& out, const TypeInfo& type, const void* value, KeyOrder order);

void write_record(std::string& out, const TypeInfo& type, const void* value, KeyOrder order) {
    bool first = true;
    const auto write_field = [&](const FieldInfo& field) {
        const void* member = static_cast<const char*>(value) + field.offset;
        if (field.hidden || (field.omitempty && is_empty(*field.type, member))) return;
        if (!std::exchange(first, false)) out += ',';
        write_text(out, field.key);
        out += ':';
        write(out, *field.type, member, order);
    };
    out += '{';
    if (order == KeyOrder::sorted) {
        std::vector<const FieldInfo*> fields;
        for (const auto& field : type.fields) fields.push_back(&field);
        std::sort(fields.begin(), fields.end(), [](auto a, auto b) { return a->key < b->key; });
        for (const auto* field : fields) write_field(*field);
    } else {
        for (const auto& field : type.fields) write_field(field);
    }
    out += '}';
}

void write(std::string& out, const TypeInfo& type, const void* value, KeyOrder order) {
    bool first = true;
    switch (type.kind) {
        case Kind::boolean: out += as<bool>(value) ? "true" : "false"; return;
        case Kind::integer: write_number(out, read_signed(value, type.size)); return;
        case Kind::unsigned_integer: write_number(out, read_unsigned(value, type.size)); return;
        case Kind::floating: {
            const double number = type.size == sizeof(float) ? static_cast<double>(as<float>(value)) : as<double>(value);
            if (!std::isfinite(number)) out += "null";
            else if (type.size == sizeof(float)) write_number(out, as<float>(value));
            else write_number(out, number);
            return;
        }
        case Kind::text: write_text(out, as<std::string>(value)); return;
        case Kind::bytes:
            if (as<Bytes>(value).empty()) out += "null";
            else write_text(out, types::to_base64(as<Bytes>(value)));
            return;
        case Kind::time: write_text(out, as<types::Time>(value).to_string()); return;
        case Kind::uuid: write_text(out, as<types::Uuid>(value).to_string()); return;
        case Kind::ip: write_text(out, as<types::IpAddress>(value).to_string()); return;
        case Kind::any: out += as<AnyJson>(value).text.empty() ? "null" : as<AnyJson>(value).text; return;
        case Kind::record: write_record(out, type, value, order); return;
        case Kind::list: {
            const std::size_t count = type.count(value);
            if (count == 0) {
                out += "null";
                return;
            }
            out += '[';
            for (std::size_t i = 0; i < count; ++i) {
                if (!std::exchange(first, false)) out += ',';
                write(out, *type.element, type.item(value, i), order);
            }
            out += ']';
            return;
        }
        case Kind::map:
            if (type.count(value) == 0) {
                out += "null";
                return;
            }
            out += '{';
            for (const auto& [key, item] : type.entries(value)) {
                if (!std::exchange(first, false)) out += ',';
                write_text(out, key);
                out += ':';
                write(out, *type.element, item, order);
            }
            out += '}';
            return;
        case Kind::pointer:
            if (const void* target = type.target(value)) write(out, *type.element, target, order);
            else out += "null";
            return;
    }
}

// ---------------------------------------------------------------------------------------------------------------------- reading

bool same_ignoring_case(std::string_view a, std::string_view b) {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](char x, char y) { return lower(x) == lower(y); });
}

const FieldInfo* find_field(const TypeInfo& type, std::string_view key) {
    for (const auto& field : type.fields)
        if (!field.hidden && field.key == key) return &field;
    for (const auto& field : type.fields)
        if (!field.hidden && same_ignoring_case(field.key, key)) return &field;
    return nullptr;
}

/// A number as text, as an integer of the range if it is one: 1000, 1e3 and 1000.0 are the same.
template <class Integer> std::optional<Integer> exact(const std::string& text, bool& integral) {
    Integer number = 0;
    const char* last = text.data() + text.size();
    const auto [end, failure] = std::from_chars(text.data(), last, number);
    integral = true;
    if (end == last) return failure == std::errc{} ? std::optional(number) : std::nullopt;
    double real = 0;
    const auto [real_end, real_failure] = std::from_chars(text.data(), last, real);
    if (real_end != last || real_failure != std::errc{}) return std::nullopt;
    integral = std::trunc(real) == real;
    const double limit = std::ldexp(1.0, std::numeric_limits<Integer>::digits);
    if (!integral || real >= limit || real < (std::is_signed_v<Integer> ? -limit : 0.0)) return std::nullopt;
    return static_cast<Integer>(real);
}

template <class Small, class Wide> bool store(void* into, Wide number) {
    if (number < static_cast<Wide>(std::numeric_limits<Small>::min()) || number > static_cast<Wide>(std::numeric_limits<Small>::max())) return false;
    *static_cast<Small*>(into) = static_cast<Small>(number);
    return true;
}

bool store_signed(void* into, std::size_t size, std::int64_t number) {
    switch (size) {
        case 1: return store<std::int8_t>(into, number);
        case 2: return store<std::int16_t>(into, number);
        case 4: return store<std::int32_t>(into, number);
        default: return store<std::int64_t>(into, number);
    }
}

bool store_unsigned(void* into, std::size_t size, std::uint64_t number) {
    switch (size) {
        case 1: return store<std::uint8_t>(into, number);
        case 2: return store<std::uint16_t>(into, number);
        case 4: return store<std::uint32_t>(into, number);
        default: return store<std::uint64_t>(into, number);
    }
}

class Decoder {
public:
    Status decode(const TypeInfo& type, const Node& node, void* into) {
        if (read(type, node, into)) return {};
        Error error{.code = Code::invalid_argument, .what = (path_.empty() ? "" : path_ + ": ") + problem_, .field = path_};
        return error;
    }

private:
    bool fail(std::string problem) {
        problem_ = std::move(problem);
        return false;
    }
    bool wrong_kind(const Node& node, std::string_view wanted) {
        return fail(std::string(name_of(node.type)) + " where " + std::string(wanted) + " belongs");
    }
    /// Runs `inner` one step deeper; the path stays where it was if it fails.
    template <class Inner> bool within(const std::string& step, Inner inner) {
        const std::size_t before = path_.size();
        path_ += step;
        if (!inner()) return false;
        path_.resize(before);
        return true;
    }
    template <class Value> bool keep(Result<Value> parsed, void* into) {
        if (!parsed) return fail(parsed.error().what);
        *static_cast<Value*>(into) = *std::move(parsed);
        return true;
    }

    bool read(const TypeInfo& type, const Node& node, void* into) {
        if (node.type == Node::Type::null) {
            if (type.clear != nullptr) type.clear(into);
            return true;
        }
        switch (type.kind) {
            case Kind::boolean:
                if (node.type != Node::Type::boolean) return wrong_kind(node, "a boolean");
                *static_cast<bool*>(into) = node.flag;
                return true;
            case Kind::integer:
            case Kind::unsigned_integer: return read_integer(type, node, into);
            case Kind::floating: return read_floating(type, node, into);
            case Kind::bytes: return read_bytes(node, into);
            case Kind::any: {
                std::string text;
                write_node(text, node);
                static_cast<AnyJson*>(into)->text = std::move(text);
                return true;
            }
            case Kind::record: return read_record(type, node, into);
            case Kind::list: return read_list(type, node, into);
            case Kind::map: return read_map(type, node, into);
            case Kind::pointer: return read(*type.element, node, type.emplace(into));
            case Kind::text:
            case Kind::time:
            case Kind::uuid:
            case Kind::ip: break;
        }
        if (node.type != Node::Type::text) return wrong_kind(node, "a string");
        if (type.kind == Kind::time) return keep(types::Time::parse(node.text), into);
        if (type.kind == Kind::uuid) return keep(types::Uuid::parse(node.text), into);
        if (type.kind == Kind::ip) return keep(types::IpAddress::parse(node.text), into);
        *static_cast<std::string*>(into) = node.text;
        return true;
    }

    bool read_integer(const TypeInfo& type, const Node& node, void* into) {
        if (node.type != Node::Type::number) return wrong_kind(node, "a number");
        bool integral = true;
        bool stored = false;
        if (type.kind == Kind::integer) {
            const auto number = exact<std::int64_t>(node.text, integral);
            stored = number && store_signed(into, type.size, *number);
        } else {
            const auto number = exact<std::uint64_t>(node.text, integral);
            stored = number && store_unsigned(into, type.size, *number);
        }
        if (stored) return true;
        const std::string bits = std::to_string(type.size * 8);
        const std::string kind = (type.kind == Kind::integer ? "a signed " : "an unsigned ") + bits + "-bit integer";
        return fail(node.text.substr(0, 40) + (integral ? " is out of range for " : " is not ") + kind);
    }

    bool read_floating(const TypeInfo& type, const Node& node, void* into) {
        if (node.type != Node::Type::number) return wrong_kind(node, "a number");
        double number = 0;
        const char* last = node.text.data() + node.text.size();
        const auto [end, failure] = std::from_chars(node.text.data(), last, number);
        const bool narrow = type.size == sizeof(float);
        if (failure != std::errc{} || end != last || (narrow && std::abs(number) > static_cast<double>(std::numeric_limits<float>::max())))
            return fail(node.text.substr(0, 40) + " is out of range");
        if (narrow) *static_cast<float*>(into) = static_cast<float>(number);
        else *static_cast<double*>(into) = number;
        return true;
    }

    bool read_bytes(const Node& node, void* into) {
        if (node.type == Node::Type::text) return keep(types::from_base64(node.text), into);
        if (node.type != Node::Type::list) return wrong_kind(node, "base64");
        Bytes bytes;
        for (const auto& item : node.items) {
            bool integral = true;
            const auto number = item.type == Node::Type::number ? exact<std::uint64_t>(item.text, integral) : std::nullopt;
            if (!number || *number > 255) return fail("not an array of bytes");
            bytes.push_back(static_cast<std::uint8_t>(*number));
        }
        *static_cast<Bytes*>(into) = std::move(bytes);
        return true;
    }

    bool read_record(const TypeInfo& type, const Node& node, void* into) {
        if (node.type != Node::Type::object) return wrong_kind(node, "an object");
        for (const auto& [key, value] : node.members) {
            const FieldInfo* field = find_field(type, key);
            if (field == nullptr) continue;
            const auto& member = value;
            if (!within("." + field->key, [&] { return read(*field->type, member, static_cast<char*>(into) + field->offset); })) return false;
        }
        return true;
    }

    bool read_list(const TypeInfo& type, const Node& node, void* into) {
        if (node.type != Node::Type::list) return wrong_kind(node, "an array");
        type.clear(into);
        for (std::size_t i = 0; i < node.items.size(); ++i)
            if (!within("[" + std::to_string(i) + "]", [&] { return read(*type.element, node.items[i], type.append(into)); })) return false;
        return true;
    }

    bool read_map(const TypeInfo& type, const Node& node, void* into) {
        if (node.type != Node::Type::object) return wrong_kind(node, "an object");
        for (const auto& [key, value] : node.members) {
            const auto& name = key;
            const auto& member = value;
            const bool done = within("[" + name + "]", [&] {
                void* item = type.insert(into, name);
                return item == nullptr ? fail("not a key of this map") : read(*type.element, member, item);
            });
            if (!done) return false;
        }
        return true;
    }

    std::string path_;
    std::string problem_;
};

// ------------------------------------------------------------------------------------------------------------------- differences

void compare(const TypeInfo& type, const void* before, const void* after, const std::string& path, std::vector<Difference>& out) {
    if (type.equal(before, after)) return;
    if (type.kind == Kind::record) {
        const std::size_t known = out.size();
        for (const auto& field : type.fields) {
            if (field.hidden) continue;
            compare(*field.type, static_cast<const char*>(before) + field.offset, static_cast<const char*>(after) + field.offset,
                    path + "." + field.member, out);
        }
        if (out.size() > known) return;
    }
    if (type.kind == Kind::list && type.count(before) == type.count(after)) {
        for (std::size_t i = 0; i < type.count(before); ++i)
            compare(*type.element, type.item(before, i), type.item(after, i), path + "[" + std::to_string(i) + "]", out);
        return;
    }
    if (type.kind == Kind::pointer && type.target(before) != nullptr && type.target(after) != nullptr) {
        compare(*type.element, type.target(before), type.target(after), path, out);
        return;
    }
    out.push_back({path, to_json(type, before), to_json(type, after)});
}

Status rewrite_node(Node& node, std::string_view prefix, const std::function<Result<std::optional<JsonMember>>(JsonMember)>& rewrite) {
    for (auto& item : node.items)
        if (auto done = rewrite_node(item, prefix, rewrite); !done) return done;
    std::vector<Node::Member> members;
    for (auto& [key, value] : node.members) {
        if (!key.starts_with(prefix)) {
            if (auto done = rewrite_node(value, prefix, rewrite); !done) return done;
            members.emplace_back(std::move(key), std::move(value));
            continue;
        }
        JsonMember member{key, {}};
        write_node(member.value, value);
        auto made = rewrite(std::move(member));
        if (!made) return std::move(made).error().in(key);
        if (!*made) continue;
        auto parsed = parse((*made)->value);
        if (!parsed) return std::move(parsed).error().in(key);
        members.emplace_back(std::move((*made)->key), *std::move(parsed));
    }
    node.members = std::move(members);
    return {};
}

}  // namespace

std::string to_json(const TypeInfo& type, const void* value, KeyOrder order) {
    std::string out;
    write(out, type, value, order);
    return out;
}

Status from_json(const TypeInfo& type, std::string_view json, void* value) {
    auto tree = parse(json);
    if (!tree) return std::move(tree).error().in(type.name);
    if (auto done = Decoder().decode(type, *tree, value); !done) return std::move(done).error().in(type.name);
    return {};
}

std::vector<Difference> diff(const TypeInfo& type, const void* before, const void* after) {
    std::vector<Difference> out;
    compare(type, before, after, "", out);
    return out;
}

Result<std::string> rewrite_members(std::string_view json, std::string_view prefix,
                                    const std::function<Result<std::optional<JsonMember>>(JsonMember)>& rewrite) {
    auto tree = parse(json);
    if (!tree) return std::move(tree).error();
    if (auto done = rewrite_node(*tree, prefix, rewrite); !done) return std::move(done).error();
    std::string out;
    write_node(out, *tree);
    return out;
}

std::string json_quote(std::string_view text) {
    std::string out;
    write_text(out, text);
    return out;
}

Result<std::string> json_unquote(std::string_view json) {
    auto tree = parse(json);
    if (!tree) return std::move(tree).error();
    if (tree->type != Node::Type::text)
        return Error{.code = Code::invalid_argument, .what = std::string(name_of(tree->type)) + " where a string belongs"};
    return std::move(tree->text);
}

}  // namespace eve
