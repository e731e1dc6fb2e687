#include "core/types/json_tree.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <utility>

#include "core/types/codec.hpp"

namespace eve::json {
namespace {

constexpr std::string_view replacement = "\xEF\xBF\xBD";  // U+FFFD

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
constexpr auto is_plain_text = [](auto c) { return (c >= 0x20) & (c != '"') & (c != '\\'); };

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

/// JSON as RFC 8259 has it and nothing besides; a text is looked at in runs, not character by character.
class Reader {
public:
    explicit Reader(std::string_view text) : text_(text) {}

    Result<Node> read() {
        if (text_.starts_with("\xEF\xBB\xBF")) at_ = 3;  // a mark of the byte order
        Node root;
        skip_space();
        if (value(root, 0)) {
            skip_space();
            if (at_ == text_.size()) return root;
        }
        if (too_deep_) return Error{.code = Code::resource_exhausted, .what = "JSON nested deeper than " + std::to_string(json_depth_max)};
        return Error{.code = Code::invalid_argument, .what = "not JSON, at byte " + std::to_string(at_ + 1)};
    }

private:
    char next() const { return at_ < text_.size() ? text_[at_] : '\0'; }  // parse() lets no NUL in
    bool take(char c) {
        if (next() != c) return false;
        ++at_;
        return true;
    }
    void skip_space() {
        while (next() == ' ' || next() == '\n' || next() == '\r' || next() == '\t') ++at_;
    }
    bool word(std::string_view expected) {
        if (!text_.substr(at_).starts_with(expected)) return false;
        at_ += expected.size();
        return true;
    }

    bool value(Node& into, int depth) {
        switch (next()) {
            case '{': return object(into, depth);
            case '[': return list(into, depth);
            case '"': into.type = Node::Type::text; return string(into.text);
            case 'n': return word("null");
            case 't':
            case 'f':
                into.type = Node::Type::boolean;
                into.flag = next() == 't';
                return word(into.flag ? "true" : "false");
            default: into.type = Node::Type::number; return number(into.text);
        }
    }

    bool open(Node& into, Node::Type type, int depth) {
        too_deep_ = depth >= json_depth_max;
        if (too_deep_) return false;
        into.type = type;
        ++at_;
        skip_space();
        return true;
    }

    bool object(Node& into, int depth) {
        if (!open(into, Node::Type::object, depth)) return false;
        if (take('}')) return true;
        for (;;) {
            auto& member = into.members.emplace_back();
            if (next() != '"' || !string(member.first)) return false;
            skip_space();
            if (!take(':')) return false;
            skip_space();
            if (!value(member.second, depth + 1)) return false;
            skip_space();
            if (take('}')) return true;
            if (!take(',')) return false;
            skip_space();
        }
    }

    bool list(Node& into, int depth) {
        if (!open(into, Node::Type::list, depth)) return false;
        if (take(']')) return true;
        for (;;) {
            if (!value(into.items.emplace_back(), depth + 1)) return false;
            skip_space();
            if (take(']')) return true;
            if (!take(',')) return false;
            skip_space();
        }
    }

    bool string(std::string& into) {
        ++at_;
        for (;;) {
            const std::size_t run = plain_run(text_.substr(at_), is_plain_text);
            into.append(text_.data() + at_, run);
            at_ += run;
            const char c = next();
            if (take('"')) return true;
            if (c == '\\') {
                if (!escape(into)) return false;
            } else if (static_cast<unsigned char>(c) >= 0x80) {
                into += c;
                ++at_;
            } else {
                return false;
            }
        }
    }

    // Halves of surrogate pairs are gone by now: as_unicode().
    bool escape(std::string& into) {
        static constexpr std::string_view names = "\"\\/bfnrt", meanings = "\"\\/\b\f\n\r\t";
        const auto rest = text_.substr(at_);
        if (const auto unit = escaped_unit(rest)) {
            std::uint32_t point = *unit;
            at_ += 6;
            if (point >= 0xd800 && point < 0xdc00)
                if (const auto low = escaped_unit(rest.substr(6))) {
                    point = 0x10000 + ((point - 0xd800) << 10U) + (*low - 0xdc00);
                    at_ += 6;
                }
            append_utf8(into, point);
            return true;
        }
        const auto name = rest.size() > 1 ? names.find(rest[1]) : std::string_view::npos;
        if (name == std::string_view::npos) return false;
        into += meanings[name];
        at_ += 2;
        return true;
    }

    static void append_utf8(std::string& into, std::uint32_t point) {
        const auto add = [&](std::uint32_t byte) { into += static_cast<char>(static_cast<unsigned char>(byte)); };
        if (point < 0x80) return add(point);
        if (point < 0x800) {
            add(0xc0U | point >> 6U);
        } else {
            if (point < 0x10000) {
                add(0xe0U | point >> 12U);
            } else {
                add(0xf0U | point >> 18U);
                add(0x80U | (point >> 12U & 0x3fU));
            }
            add(0x80U | (point >> 6U & 0x3fU));
        }
        add(0x80U | (point & 0x3fU));
    }

    bool digits() {
        const auto begin = at_;
        while (next() >= '0' && next() <= '9') ++at_;
        return at_ > begin;
    }

    // Kept as text; what no double can hold is refused.
    bool number(std::string& into) {
        const auto begin = at_;
        take('-');
        if (!take('0') && !digits()) return false;
        if (take('.') && !digits()) return false;
        if (next() == 'e' || next() == 'E') {
            ++at_;
            if (!take('+')) take('-');
            if (!digits()) return false;
        }
        into = text_.substr(begin, at_ - begin);
        if (into == "-0") into = "0";
        double real = 0;
        const auto result = std::from_chars(into.data(), into.data() + into.size(), real);
        return result.ec == std::errc{} || std::isfinite(std::strtod(into.c_str(), nullptr));
    }

    std::string_view text_;
    std::size_t at_ = 0;
    bool too_deep_ = false;
};

}  // namespace

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

Result<Node> parse(std::string_view json) {
    if (json.size() > json_bytes_max) return Error{.code = Code::resource_exhausted, .what = "JSON of " + std::to_string(json.size()) + " bytes"};
    if (json.find('\0') != std::string_view::npos) return Error{.code = Code::invalid_argument, .what = "a NUL in JSON"};
    const std::string text = as_unicode(json);
    return Reader(text).read();
}

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

}  // namespace eve::json
