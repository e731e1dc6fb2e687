#include "tests/bench/record.hpp"

#include "core/types/describe.hpp"

namespace eve {
EVE_DESCRIBE(BenchRecord, (), (Text, Number))
}  // namespace eve
