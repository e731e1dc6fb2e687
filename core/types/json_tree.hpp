#pragma once
// JSON as a tree: what core/types/codec.cpp reads records from. A reader of its own: a library's, asked for each character, took 6 us for a record
// of 1 KiB, this one 0.5.

#include <string>
#include <string_view>
#include <vector>

#include "eve/result.hpp"

namespace eve::json {

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

/// "an array", for sentences.
std::string_view name_of(Node::Type type);

/// Reads a text as Go does: what is not Unicode becomes U+FFFD.
///
/// Errors: invalid_argument - not JSON; resource_exhausted - longer or deeper than the limits of core/types/codec.hpp.
Result<Node> parse(std::string_view json);

void write_node(std::string& out, const Node& node);
/// Appends `text` as a JSON string as Go does: HTML characters and line separators escaped, broken UTF-8 replaced.
void write_text(std::string& out, std::string_view text);

}  // namespace eve::json
