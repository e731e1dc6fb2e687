// Field tables of errors.hpp: the order, the keys and the tags that Go programs see.

#include "core/types/errors.hpp"

#include "core/types/describe.hpp"

namespace eve::types {

EVE_DESCRIBE(ErrorEntity, (), (EntityType, EntityID))
EVE_DESCRIBE(ErrorDescription, (), (Error, ErrorTime, ErrorSeverity, ErrorRetryCondition, ErrorEntities))
EVE_DESCRIBE(ErrorAndTime, (ErrorDescription), ())
EVE_DESCRIBE(ErrorAndTimeWithSource, (ErrorDescription), (ErrorSourceType), embedded("ErrorDescription", at_end))

}  // namespace eve::types
