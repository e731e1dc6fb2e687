#include "core/zedmanager/admission.hpp"

#include <string>

namespace eve::zedmanager {

namespace {

constexpr std::string_view kWhenKnown = "when information about memory will be available";
constexpr std::string_view kWhenOthersStop = "Retry will be done when one or more apps will shutdown";

std::uint64_t minus(std::uint64_t a, std::uint64_t b) { return a > b ? a - b : 0; }

std::string mib(std::uint64_t bytes) { return std::to_string(bytes >> 20) + " MiB"; }

}  // namespace

std::optional<types::ErrorDescription> refuse_memory(std::uint64_t need, const MemoryView& memory) {
    types::ErrorDescription refusal;
    if (!memory.known) {
        refusal.Error = "The memory of this node is not known yet";
        refusal.ErrorSeverity = types::ErrorSeverity::ErrorSeverityNotice;
        refusal.ErrorRetryCondition = kWhenKnown;
        return refusal;
    }
    const std::uint64_t remaining = minus(minus(memory.total, memory.reserved), memory.used);
    if (remaining >= need) return std::nullopt;
    refusal.Error = "Remaining memory is " + mib(remaining) + ", app instance needs " + mib(need);
    for (const auto& app : memory.others)
        refusal.ErrorEntities.push_back({.EntityType = types::ErrorEntityType::ErrorEntityAppInstance, .EntityID = app.to_string()});
    if (!memory.others.empty()) refusal.ErrorRetryCondition = kWhenOthersStop;
    const bool soon = remaining + memory.halting >= need;
    refusal.ErrorSeverity = memory.others.empty() ? types::ErrorSeverity::ErrorSeverityError
                            : soon                ? types::ErrorSeverity::ErrorSeverityNotice
                                                  : types::ErrorSeverity::ErrorSeverityWarning;
    return refusal;
}

}  // namespace eve::zedmanager
