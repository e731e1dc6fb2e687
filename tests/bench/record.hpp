#pragma once
// A record for measuring the bus.

#include <cstdint>
#include <string>

#include "core/types/codec.hpp"

namespace eve {

struct BenchRecord {
    std::string Text;
    std::int64_t Number = 0;
    EVE_RECORD(BenchRecord)
};

}  // namespace eve
