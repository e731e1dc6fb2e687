#pragma once
// What became of the node's persistent tables where something was wrong with them: those that could not be read, and what was put aside.

#include <string>
#include <vector>

#include "core/bus/table_trouble.hpp"
#include "core/evectl/node_files.hpp"

namespace eve::evectl {

/// Tables that count as empty in this life of the node, by name.
std::vector<bus::TableTrouble> unread_tables(const NodeFiles& node);
/// Paths beneath /persist/status of what was damaged and kept for a person to look at, sorted; at most `asides_shown_max`.
std::vector<std::string> put_aside(const NodeFiles& node);
inline constexpr std::size_t asides_shown_max = 50;

/// One line for each, with what to do.
std::string tables_text(const std::vector<bus::TableTrouble>& unread, const std::vector<std::string>& aside);

}  // namespace eve::evectl
