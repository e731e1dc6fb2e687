#pragma once
// What tests of guests with a kernel of their own share.

#include <chrono>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>

#include "limit.hpp"

namespace eve {

inline std::string text_of(const std::string& path) {
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
}

/// Whether it comes to hold within that time. For what a guest does, which tells nobody.
inline bool eventually(const std::function<bool()>& holds, std::chrono::milliseconds most) {
    const kvm::Limit patience(most, -1);
    while (!holds())
        if (patience.wait(-1, 0, std::chrono::milliseconds{50}) != kvm::Limit::Wait::ready) return holds();
    return true;
}

}  // namespace eve
