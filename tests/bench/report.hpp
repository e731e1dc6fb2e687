#pragma once
// How a bench says what it measured: one JSON object a line, which scripts/bench makes a table of.

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

namespace eve::bench {

/// The value below which `share` of `values` lie. Values in any order, at least one.
inline double quantile(std::vector<double> values, double share) {
    std::sort(values.begin(), values.end());
    return values[static_cast<std::size_t>(static_cast<double>(values.size() - 1) * share)];
}

/// `who`: "evenode", or the peer's name. All values are of the same unit.
inline void report(const std::string& what, const std::string& who, const std::vector<double>& values, const char* unit) {
    std::printf("{\"what\":\"%s\",\"who\":\"%s\",\"median\":%.3f,\"p99\":%.3f,\"min\":%.3f,\"runs\":%zu,\"unit\":\"%s\"}\n", what.c_str(), who.c_str(),
                quantile(values, 0.5), quantile(values, 0.99), quantile(values, 0.0), values.size(), unit);
    std::fflush(stdout);
}

}  // namespace eve::bench
