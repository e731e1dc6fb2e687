#include "core/evectl/table.hpp"

#include <algorithm>

namespace eve::evectl {

std::string table_text(const std::vector<std::vector<std::string>>& rows) {
    std::vector<std::size_t> widths;
    for (const auto& row : rows)
        for (std::size_t n = 0; n < row.size(); ++n) {
            if (widths.size() <= n) widths.push_back(0);
            widths[n] = std::max(widths[n], row[n].size());
        }
    std::string text;
    for (const auto& row : rows) {
        std::string line;
        for (std::size_t n = 0; n < row.size(); ++n) {
            line += row[n];
            if (n + 1 < row.size()) line.append(widths[n] - row[n].size() + 2, ' ');
        }
        line.erase(line.find_last_not_of(' ') + 1);
        text += line + "\n";
    }
    return text;
}

}  // namespace eve::evectl
