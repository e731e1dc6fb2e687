// Field table of table_trouble.hpp.

#include "core/bus/table_trouble.hpp"

#include "core/types/describe.hpp"

namespace eve::bus {

EVE_DESCRIBE(TableTrouble, (), (Table, Problem, Remedy))

}  // namespace eve::bus
