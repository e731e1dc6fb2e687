#pragma once
// Fields too large for a datagram (tag "pubsub-large-"): each travels as a file that the sender writes for one message and one receiver, and the
// receiver deletes.

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/bus/effects.hpp"
#include "core/loop/root.hpp"
#include "eve/result.hpp"

namespace eve::bus {

/// A record as it goes into a message, and the files that it refers to.
struct Outgoing {
    std::string json;
    std::vector<std::string> files;
};

/// Writes the large fields of `json` into files of `table`. Nothing is left when it fails.
Result<Outgoing> store_large_fields(const Root& root, const TableId& table, std::string_view json);

/// A record as it was before store_large_fields, and what had to be left out.
struct Incoming {
    std::string json;
    std::vector<std::string> problems;
};
/// Puts the files' content back and deletes them. A file that is missing or damaged leaves the field of `last`, the record that the receiver
/// has, or nothing.
Result<Incoming> restore_large_fields(const Root& root, std::string_view json, const std::optional<std::string>& last);

}  // namespace eve::bus
