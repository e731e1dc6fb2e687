#include <charconv>

#include "storage/unpack/unpack.hpp"

namespace eve::storage::unpack {
namespace {

constexpr std::size_t text_bytes_max = 600;
constexpr std::string_view too_large_begins = "the image is larger than the ";

std::string_view take_word(std::string_view& rest) {
    const auto space = rest.find(' ');
    const auto word = rest.substr(0, space);
    rest.remove_prefix(space == std::string_view::npos ? rest.size() : space + 1);
    return word;
}

bool read_number(std::string_view text, std::uint64_t& value) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc{} && end == text.data() + text.size() && !text.empty();
}

}  // namespace

Error too_large(std::uint64_t bytes) {
    return {.code = Code::resource_exhausted, .what = std::string(too_large_begins) + std::to_string(bytes) + " bytes it may be"};
}

bool is_too_large(const Error& error) { return error.code == Code::resource_exhausted && error.what.starts_with(too_large_begins); }

std::string format_answer(const Result<LayerFacts>& facts) {
    if (facts)
        return "done " + facts->diff_id + " " + std::to_string(facts->bytes) + " " + std::to_string(facts->entries) + " " +
               std::to_string(facts->skipped) + "\n";
    std::string text = facts.error().what.substr(0, text_bytes_max);
    for (char& c : text)
        if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) > 0x7e) c = '?';
    return "failed " + std::to_string(static_cast<unsigned>(facts.error().code)) + " " + text + "\n";
}

Result<LayerFacts> parse_answer(std::string_view line) {
    const Error nonsense{.code = Code::internal, .what = "the unpack process sent nonsense"};
    if (line.empty() || line.size() > answer_bytes_max || line.back() != '\n') return nonsense;
    line.remove_suffix(1);
    for (const char c : line)
        if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) > 0x7e) return nonsense;
    const auto kind = take_word(line);
    if (kind == "failed") {
        std::uint64_t code = 0;
        if (!read_number(take_word(line), code) || code == 0 || code > static_cast<std::uint64_t>(Code::internal)) return nonsense;
        return Error{.code = static_cast<Code>(code), .what = std::string(line)};
    }
    LayerFacts facts{.diff_id = std::string(take_word(line))};
    if (kind != "done" || facts.diff_id.size() != 64 || facts.diff_id.find_first_not_of("0123456789abcdef") != std::string::npos) return nonsense;
    for (std::uint64_t* number : {&facts.bytes, &facts.entries, &facts.skipped})
        if (!read_number(take_word(line), *number)) return nonsense;
    if (!line.empty()) return nonsense;
    return facts;
}

}  // namespace eve::storage::unpack
