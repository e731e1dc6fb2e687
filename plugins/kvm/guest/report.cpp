#include "guest/report.hpp"

#include <algorithm>
#include <charconv>

namespace eve::kvm {
namespace {

constexpr std::string_view first_line = "evenode-exit 1";
constexpr std::string_view last_line_of_report = "end";
constexpr std::int32_t code_max = 255;
constexpr std::int32_t signal_max = 64;

bool printable(char c) { return static_cast<unsigned char>(c) >= 0x20 && static_cast<unsigned char>(c) < 0x7f; }

std::optional<std::int32_t> number_in(std::string_view text, std::int32_t least, std::int32_t most) {
    std::int32_t number = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
    if (text.empty() || read.ec != std::errc{} || read.ptr != text.data() + text.size() || number < least || number > most) return std::nullopt;
    return number;
}

}  // namespace

std::string report_text(const ExitReport& report) {
    std::string text = std::string(first_line) + "\n";
    if (report.exit.code) text += "code " + std::to_string(*report.exit.code) + "\n";
    if (report.exit.signal) text += "signal " + std::to_string(*report.exit.signal) + "\n";
    if (report.exit.oom) text += "oom 1\n";
    if (!report.failure.empty()) {
        auto sentence = report.failure.substr(0, failure_size_max);
        std::replace_if(sentence.begin(), sentence.end(), [](char c) { return !printable(c); }, ' ');
        text += "failed " + sentence + "\n";
    }
    return text + std::string(last_line_of_report) + "\n";
}

std::optional<ExitReport> read_report(std::string_view text) {
    text = text.substr(0, report_size_max);
    ExitReport report;
    for (bool first = true;; first = false) {
        const auto end = text.find('\n');
        if (end == std::string_view::npos) return std::nullopt;
        const auto line = text.substr(0, end);
        text.remove_prefix(end + 1);
        if (first) {
            if (line != first_line) return std::nullopt;
            continue;
        }
        if (line == last_line_of_report) break;
        const auto space = line.find(' ');
        if (space == std::string_view::npos) return std::nullopt;
        const auto name = line.substr(0, space);
        const auto value = line.substr(space + 1);
        if (name == "code") {
            if (report.exit.code || !(report.exit.code = number_in(value, 0, code_max))) return std::nullopt;
        } else if (name == "signal") {
            if (report.exit.signal || !(report.exit.signal = number_in(value, 1, signal_max))) return std::nullopt;
        } else if (name == "oom") {
            if (value != "1") return std::nullopt;
            report.exit.oom = true;
        } else if (name == "failed") {
            if (value.empty() || value.size() > failure_size_max || !report.failure.empty() || !std::all_of(value.begin(), value.end(), printable)) return std::nullopt;
            report.failure = value;
        } else {
            return std::nullopt;
        }
    }
    const int said = (report.exit.code ? 1 : 0) + (report.exit.signal ? 1 : 0) + (report.failure.empty() ? 0 : 1);
    return said == 1 ? std::optional(report) : std::nullopt;
}

}  // namespace eve::kvm
