#pragma once
// EVE's socket grammar: one datagram a message, words separated by single spaces, keys and records in base64. Pure text in and out.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "core/types/codec.hpp"
#include "eve/result.hpp"

namespace eve::bus::wire {

/// A datagram is shorter than this.
inline constexpr std::size_t message_limit = 65'535;
/// The one message of a subscriber is shorter than this.
inline constexpr std::size_t request_limit = 256;
/// Room that the name of a large field's file takes at most in a message.
inline constexpr std::size_t large_name_max = 400;
inline constexpr std::string_view large_tag = "pubsub-large-";
inline constexpr std::string_view file_tag = "pubsub-file-";
/// A large field's file is smaller than this.
inline constexpr std::size_t large_limit = std::size_t{1} << 20;

struct Message {
    enum class Verb { request, hello, update, remove, complete, restarted };
    Verb verb = Verb::hello;
    std::string topic;
    std::string key;         ///< update, remove
    std::string json;        ///< update
    int counter = 0;         ///< restarted; what is not a number counts as 0
    bool persistent = false; ///< hello; false too when an older peer leaves it out
};

std::string request(std::string_view topic);
std::string hello(std::string_view topic, bool persistent);
std::string update(std::string_view topic, std::string_view key, std::string_view json);
std::string remove(std::string_view topic, std::string_view key);
std::string complete(std::string_view topic);
std::string restarted(std::string_view topic, int counter);

/// Reads one datagram. Errors: invalid_argument - not of the grammar.
Result<Message> parse(std::string_view datagram);

/// Whether the update fits into a datagram with its large fields in files. Errors: resource_exhausted; invalid_argument - not JSON.
Status check_size(const TypeInfo& type, std::string_view key, std::string_view json);
/// Whether `key` can name a record's file. Errors: invalid_argument.
Status check_key(std::string_view key);

/// A marker file's or word's counter: decimal digits that fit, nothing else.
std::optional<int> parse_counter(std::string_view text);

}  // namespace eve::bus::wire
