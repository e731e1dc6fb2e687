#pragma once
// Taking text apart.

#include <string_view>
#include <vector>

namespace eve::plugins {

/// What stands between the separators, empty parts too: at least one.
inline std::vector<std::string_view> parts_of(std::string_view text, char between) {
    std::vector<std::string_view> parts;
    while (true) {
        const auto end = text.find(between);
        parts.push_back(text.substr(0, end));
        if (end == std::string_view::npos) return parts;
        text.remove_prefix(end + 1);
    }
}

}  // namespace eve::plugins
