#pragma once
// How an error is carried in a record, and the rules by which one is set, merged and cleared (the same in every agent).

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/types/values.hpp"

namespace eve::types {

enum class ErrorSeverity : std::int32_t {
    ErrorSeverityUnspecified = 0,
    ErrorSeverityNotice = 1,
    ErrorSeverityWarning = 2,
    ErrorSeverityError = 3,
};

enum class ErrorEntityType : std::int32_t {
    ErrorEntityUnspecified = 0,
    ErrorEntityBaseOs = 1,
    ErrorEntitySystemAdapter = 2,
    ErrorEntityVault = 3,
    ErrorEntityAttestation = 4,
    ErrorEntityAppInstance = 5,
    ErrorEntityPort = 6,
    ErrorEntityNetwork = 7,
    ErrorEntityNetworkInstance = 8,
    ErrorEntityContentTree = 9,
    ErrorEntityContentBlob = 10,
    ErrorEntityVolume = 11,
};

struct ErrorEntity {
    ErrorEntityType EntityType = {};
    std::string EntityID;
    EVE_RECORD(ErrorEntity)
};

struct ErrorDescription {
    std::string Error;
    Time ErrorTime;
    types::ErrorSeverity ErrorSeverity = {};
    std::string ErrorRetryCondition;
    std::vector<ErrorEntity> ErrorEntities;
    EVE_RECORD(ErrorDescription)
};

struct ErrorAndTime : ErrorDescription {
    EVE_RECORD(ErrorAndTime)
};

struct ErrorAndTimeWithSource : ErrorDescription {
    std::string ErrorSourceType;
    EVE_RECORD(ErrorAndTimeWithSource)
};

/// The name by which a record is blamed: "types.VolumeStatus".
template <class Record> std::string source_name() { return "types." + type_info<Record>().name; }
/// The same of a record's topic name.
std::string source_name_of(std::string_view record);

bool has_error(const ErrorDescription& record);
/// Sets the error of a record. An unspecified severity becomes Error, an unset time becomes `now`. Of a record with a source the source
/// stays what it was, as in EVE. A description without text is given one, since an empty text means no error.
void set_error(ErrorDescription& record, ErrorDescription error, Time now);
/// Sets a plain error of severity Error.
void set_error(ErrorDescription& record, std::string text, Time now);
/// No error any more. The source of a record that has one stays, as in EVE; clear_error_with_source() clears it too.
void clear_error(ErrorDescription& record);

/// Sets the error and who is to blame (source_name<>() or the ErrorSourceType of another record).
void set_error_with_source(ErrorAndTimeWithSource& record, ErrorDescription error, std::string source, Time now);
template <class Source> void set_error_with_source(ErrorAndTimeWithSource& record, ErrorDescription error, Time now) {
    set_error_with_source(record, std::move(error), source_name<Source>(), now);
}
template <class Source> void set_error_with_source(ErrorAndTimeWithSource& record, std::string text, Time now) {
    set_error_with_source(record, ErrorDescription{.Error = std::move(text)}, source_name<Source>(), now);
}
void clear_error_with_source(ErrorAndTimeWithSource& record);
/// Whether the record has an error and `source` is to blame.
bool is_error_source(const ErrorAndTimeWithSource& record, std::string_view source);
template <class Source> bool is_error_source(const ErrorAndTimeWithSource& record) { return is_error_source(record, source_name<Source>()); }

/// The severity of a failure that was retried: grows with the number of tries and the time they took together.
ErrorSeverity severity_of_retries(std::uint64_t retries, Duration retry_time);

}  // namespace eve::types
