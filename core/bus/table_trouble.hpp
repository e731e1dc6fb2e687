#pragma once
// What the bus tells the operator of a table that its publisher could not read at its start. Ours, not EVE's.

#include <string>

#include "core/types/codec.hpp"

namespace eve::bus {

/// Topic zedbox/TableTrouble, keyed by the table's name with dots for slashes: the table counts as empty in this life of its publisher, and nothing
/// is written over what it holds. Gone when a later life could read it.
struct TableTrouble {
    std::string Table;    ///< "zedrouter/UuidToNum"
    std::string Problem;
    std::string Remedy;
    EVE_RECORD(TableTrouble)
};

inline constexpr const char* table_trouble_agent = "zedbox";

}  // namespace eve::bus
