#pragma once
// Text in columns.

#include <string>
#include <vector>

namespace eve::evectl {

/// Columns as wide as their widest cell; two spaces between; the last column is not padded.
std::string table_text(const std::vector<std::vector<std::string>>& rows);

}  // namespace eve::evectl
