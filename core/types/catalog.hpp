#pragma once
// Every record type by name, for programs that meet topics they were not written for (evectl, tests).

#include <string_view>
#include <vector>

#include "core/types/codec.hpp"

namespace eve::types {

/// The tables of all records, by name.
const std::vector<const TypeInfo*>& all_records();
/// The table of the record (topic) of that name, or null.
const TypeInfo* find_record(std::string_view name);

}  // namespace eve::types
