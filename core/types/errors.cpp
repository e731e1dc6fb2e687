#include "core/types/errors.hpp"

#include <array>
#include <cctype>
#include <chrono>

#include "core/types/common.hpp"

namespace eve::types {

std::string source_name_of(std::string_view record) { return "types." + std::string(record); }

bool has_error(const ErrorDescription& record) { return !record.Error.empty(); }

void set_error(ErrorDescription& record, ErrorDescription error, Time now) {
    if (error.Error.empty()) error.Error = "an error without a description";
    if (error.ErrorSeverity == ErrorSeverity::ErrorSeverityUnspecified) error.ErrorSeverity = ErrorSeverity::ErrorSeverityError;
    if (error.ErrorTime.is_zero()) error.ErrorTime = now;
    record = std::move(error);
}

void set_error(ErrorDescription& record, std::string text, Time now) { set_error(record, ErrorDescription{.Error = std::move(text)}, now); }

void clear_error(ErrorDescription& record) { record = {}; }

void set_error_with_source(ErrorAndTimeWithSource& record, ErrorDescription error, std::string source, Time now) {
    set_error(record, std::move(error), now);
    record.ErrorSourceType = std::move(source);
}

void clear_error_with_source(ErrorAndTimeWithSource& record) {
    clear_error(record);
    record.ErrorSourceType.clear();
}

bool is_error_source(const ErrorAndTimeWithSource& record, std::string_view source) {
    return has_error(record) && record.ErrorSourceType == source;
}

ErrorSeverity severity_of_retries(std::uint64_t retries, Duration retry_time) {
    // Compared by division: the product may not fit.
    const auto longer_than = [&](std::chrono::hours limit) {
        return retry_time.count() > 0 && retries > static_cast<std::uint64_t>(Duration(limit).count() / retry_time.count()) &&
               static_cast<long double>(retries) * static_cast<long double>(retry_time.count()) > static_cast<long double>(Duration(limit).count());
    };
    if (retries > 20 || longer_than(std::chrono::hours(10))) return ErrorSeverity::ErrorSeverityError;
    if (retries > 10 || longer_than(std::chrono::hours(1))) return ErrorSeverity::ErrorSeverityWarning;
    return ErrorSeverity::ErrorSeverityNotice;
}

namespace {

struct StateName {
    SwState state;
    const char* name;
};
constexpr auto state_names = std::to_array<StateName>({
    {SwState{0}, "INVALID"},
    {SwState::INITIAL, "INITIAL"},
    {SwState::RESOLVING_TAG, "RESOLVING_TAG"},
    {SwState::RESOLVED_TAG, "RESOLVED_TAG"},
    {SwState::DOWNLOADING, "DOWNLOADING"},
    {SwState::DOWNLOADED, "DOWNLOADED"},
    {SwState::VERIFYING, "VERIFYING"},
    {SwState::VERIFIED, "VERIFIED"},
    {SwState::LOADING, "LOADING"},
    {SwState::LOADED, "LOADED"},
    {SwState::CREATING_VOLUME, "CREATING_VOLUME"},
    {SwState::CREATED_VOLUME, "CREATED_VOLUME"},
    {SwState::INSTALLED, "INSTALLED"},
    {SwState::AWAITNETWORKINSTANCE, "AWAITNETWORKINSTANCE"},
    {SwState::START_DELAYED, "START_DELAYED"},
    {SwState::BOOTING, "BOOTING"},
    {SwState::RUNNING, "RUNNING"},
    {SwState::PAUSING, "PAUSING"},
    {SwState::PAUSED, "PAUSED"},
    {SwState::HALTING, "HALTING"},
    {SwState::HALTED, "HALTED"},
    {SwState::BROKEN, "BROKEN"},
    {SwState::UNKNOWN, "UNKNOWN"},
    {SwState::PENDING, "PENDING"},
    {SwState::SCHEDULING, "SCHEDULING"},
    {SwState::FAILED, "FAILED"},
    {SwState::REMOTELOADED, "REMOTELOADED"},
    {SwState::MAXSTATE, "MAXSTATE"},
});

}  // namespace

std::string to_string(SwState state) {
    for (const auto& row : state_names)
        if (row.state == state) return row.name;
    return "UNDEFINED(" + std::to_string(static_cast<unsigned>(state)) + ")";
}

Result<SwState> parse_state(std::string_view name) {
    std::string upper;
    for (const char c : name) upper += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    for (const auto& row : state_names)
        if (upper == row.name) return row.state;
    return Error{.code = Code::invalid_argument, .what = "no state is called \"" + std::string(name.substr(0, 40)) + "\""};
}

std::string to_string(Format format) {
    static constexpr std::array names = {"UNKNOWN", "RAW", "QCOW", "QCOW2", "VHD", "VMDK", "OVA", "VHDX", "CONTAINER", "ISO", "PVC"};
    const auto number = static_cast<std::size_t>(format);
    return number < names.size() ? names[number] : names[0];
}

}  // namespace eve::types
