#include "tests/unit/bus/sample.hpp"

#include "core/types/describe.hpp"

namespace eve {
EVE_DESCRIBE(Sample, (), (Text, Number, Large), key("Large", "pubsub-large-Large"))
}  // namespace eve
