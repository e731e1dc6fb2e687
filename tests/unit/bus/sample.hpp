#pragma once
// A small record of these tests, with one field that travels as a file.

#include <cstdint>
#include <string>

#include "core/types/codec.hpp"

namespace eve {

struct Sample {
    std::string Text;
    std::int64_t Number = 0;
    std::string Large;
    EVE_RECORD(Sample)
};

inline Sample sample(std::int64_t number) { return Sample{.Text = "n" + std::to_string(number), .Number = number}; }

}  // namespace eve
