#include "core/bus/wire.hpp"

#include <charconv>
#include <cstdint>
#include <vector>

#include "core/types/base64.hpp"

namespace eve::bus::wire {

namespace {

std::vector<std::string_view> split(std::string_view text) {
    std::vector<std::string_view> words;
    for (;;) {
        const auto space = text.find(' ');
        words.push_back(text.substr(0, space));
        if (space == std::string_view::npos) return words;
        text.remove_prefix(space + 1);
    }
}

std::string join(std::initializer_list<std::string_view> words) {
    std::string line;
    for (const auto word : words) {
        if (!line.empty()) line += ' ';  // the first word is never empty
        line += word;
    }
    return line;
}

Error malformed(std::string_view datagram, std::string_view why) {
    constexpr std::size_t shown_max = 60;
    return Error{.code = Code::invalid_argument, .what = "message \"" + std::string(datagram.substr(0, shown_max)) + "\": " + std::string(why)};
}

}  // namespace

std::string request(std::string_view topic) { return join({"request", topic}); }
std::string hello(std::string_view topic, bool persistent) { return join({"hello", topic, persistent ? "true" : "false"}); }
std::string update(std::string_view topic, std::string_view key, std::string_view json) { return join({"update", topic, types::base64_of(key), types::base64_of(json)}); }
std::string remove(std::string_view topic, std::string_view key) { return join({"delete", topic, types::base64_of(key)}); }
std::string complete(std::string_view topic) { return join({"complete", topic}); }
std::string restarted(std::string_view topic, int counter) { return join({"restarted", topic, std::to_string(counter)}); }

std::optional<int> parse_counter(std::string_view text) {
    int counter = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), counter);
    if (error != std::errc{} || end != text.data() + text.size() || counter < 0) return std::nullopt;
    return counter;
}

Result<Message> parse(std::string_view datagram) {
    using Verb = Message::Verb;
    constexpr std::array<std::pair<std::string_view, Verb>, 6> verbs{{{"request", Verb::request},
                                                                      {"hello", Verb::hello},
                                                                      {"update", Verb::update},
                                                                      {"delete", Verb::remove},
                                                                      {"complete", Verb::complete},
                                                                      {"restarted", Verb::restarted}}};
    const auto words = split(datagram);
    const std::pair<std::string_view, Verb>* verb = nullptr;
    for (const auto& candidate : verbs)
        if (candidate.first == words[0]) verb = &candidate;
    if (verb == nullptr) return malformed(datagram, "unknown verb");
    if (words.size() < 2) return malformed(datagram, "no topic");
    Message message{.verb = verb->second, .topic = std::string(words[1])};
    switch (message.verb) {
        case Verb::request:
        case Verb::complete: break;
        case Verb::hello: message.persistent = words.size() > 2 && words[2] == "true"; break;
        case Verb::restarted:
            if (words.size() < 3) return malformed(datagram, "no counter");
            message.counter = parse_counter(words[2]).value_or(0);
            break;
        case Verb::update:
            if (words.size() != 4) return malformed(datagram, "an update has four words");
            if (auto json = types::bytes_of_base64(words[3])) {
                message.json = std::move(*json);
            } else {
                return malformed(datagram, "the record is not base64");
            }
            [[fallthrough]];
        case Verb::remove:
            if (words.size() < 3) return malformed(datagram, "no key");
            if (auto key = types::bytes_of_base64(words[2])) {
                message.key = std::move(*key);
            } else {
                return malformed(datagram, "the key is not base64");
            }
            break;
    }
    return message;
}

Status check_size(const TypeInfo& type, std::string_view key, std::string_view json) {
    const auto encoded = [](std::size_t bytes) { return (bytes + 2) / 3 * 4; };
    const auto message = [&](std::size_t size) { return sizeof("update") + type.name.size() + 1 + encoded(key.size()) + 1 + encoded(size); };
    std::size_t size = json.size();
    if (message(size) >= message_limit && !type.large_fields.empty()) {
        std::size_t largest = 0;
        auto small = rewrite_members(json, large_tag, [&largest](JsonMember member) -> Result<std::optional<JsonMember>> {
            largest = std::max(largest, member.value.size());
            member.value.assign(large_name_max, 'x');
            member.value.front() = member.value.back() = '"';
            return std::optional<JsonMember>{std::move(member)};
        });
        if (!small) return std::move(small).error();
        constexpr std::size_t envelope = 64;  // {"pubsub-large-...":...}
        if (largest + envelope >= large_limit)
            return Error{.code = Code::resource_exhausted, .what = "a large field of " + std::to_string(largest) + " bytes; the limit is 1 MiB"};
        size = small->size();
    }
    const auto total = message(size);
    if (total < message_limit) return {};
    return Error{.code = Code::resource_exhausted,
                 .what = "a message of " + std::to_string(total) + " bytes; it must be shorter than " + std::to_string(message_limit)};
}

Status check_key(std::string_view key) {
    constexpr std::size_t file_name_max = 255;
    constexpr std::string_view suffix = ".json";
    const auto refuse = [&key](std::string_view why) {
        constexpr std::size_t shown_max = 60;
        return Error{.code = Code::invalid_argument, .what = "key \"" + std::string(key.substr(0, shown_max)) + "\" " + std::string(why)};
    };
    if (key.find('/') != std::string_view::npos || key.find('\0') != std::string_view::npos) return refuse("cannot be a file name");
    if (key.size() + suffix.size() > file_name_max) return refuse("is longer than 250 bytes");
    if (key.find(suffix) != std::string_view::npos) return refuse("contains \".json\", where a reader cuts it");
    return {};
}

}  // namespace eve::bus::wire
