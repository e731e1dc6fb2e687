#pragma once
// How a container in a virtual machine ended, as its first process tells the host through a serial port: a few lines of text. It comes from a
// guest and is believed only in this form.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "eve/domain.hpp"

namespace eve::kvm {

struct ExitReport {
    ExitStatus exit;      ///< of the app
    std::string failure;  ///< why there was no app to end, one sentence of printable text, or empty
    friend bool operator==(const ExitReport&, const ExitReport&) = default;
};

/// What is read of a report; nothing behind it counts.
inline constexpr std::size_t report_size_max = 512;
inline constexpr std::size_t failure_size_max = 200;

std::string report_text(const ExitReport& report);
/// The first report in the text; nullopt: there is no whole one, or it says what cannot be.
std::optional<ExitReport> read_report(std::string_view text);

}  // namespace eve::kvm
