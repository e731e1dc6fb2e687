#include "storage/fetch/protocol.hpp"

#include <algorithm>

#include "storage/hash.hpp"

namespace eve::storage::fetch {
namespace {

constexpr char kind_order = 'O', kind_progress = 'P', kind_done = 'D', kind_failed = 'F';
constexpr std::size_t report_text_max = 512;

void put(std::string& out, std::uint64_t number) {
    for (int shift = 0; shift < 64; shift += 8) out += static_cast<char>((number >> shift) & 0xff);
}

void put(std::string& out, std::string_view text) {
    put(out, static_cast<std::uint64_t>(text.size()));
    out += text;
}

class Reader {
public:
    explicit Reader(std::string_view bytes) : rest_(bytes) {}

    std::uint64_t number() {
        if (rest_.size() < 8) return fail();
        std::uint64_t value = 0;
        for (std::size_t i = 0; i < 8; ++i) value |= static_cast<std::uint64_t>(static_cast<unsigned char>(rest_[i])) << (8 * i);
        rest_.remove_prefix(8);
        return value;
    }

    std::string text() {
        const std::uint64_t size = number();
        if (bad_ || size > field_bytes_max || size > rest_.size()) {
            fail();
            return {};
        }
        std::string value(rest_.substr(0, static_cast<std::size_t>(size)));
        rest_.remove_prefix(static_cast<std::size_t>(size));
        return value;
    }

    bool complete() const { return !bad_ && rest_.empty(); }

private:
    std::uint64_t fail() {
        bad_ = true;
        rest_ = {};
        return 0;
    }

    std::string_view rest_;
    bool bad_ = false;
};

Error malformed() { return Error{.code = Code::invalid_argument, .what = "malformed packet"}; }

/// Printable bytes only: the text ends up in statuses and logs.
std::string clean(std::string_view text) {
    std::string out(text.substr(0, report_text_max));
    for (char& c : out)
        if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) > 0x7e) c = '?';
    return out;
}

/// Empty, or a token as a header carries it.
bool fits_header(std::string_view authorization) {
    constexpr std::string_view scheme = "Bearer ";
    if (authorization.empty()) return true;
    if (authorization.size() > authorization_bytes_max || !authorization.starts_with(scheme) || authorization.size() == scheme.size()) return false;
    authorization.remove_prefix(scheme.size());
    return std::all_of(authorization.begin(), authorization.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

}  // namespace

Result<std::string> encode(const Order& order) {
    std::string out(1, kind_order);
    for (const std::string* text : {&order.url, &order.authorization, &order.source_address, &order.validator_etag, &order.validator_last_modified,
                                    &order.fallback_url, &order.registry_scope, &order.user, &order.password}) {
        if (text->size() > field_bytes_max) return Error{.code = Code::invalid_argument, .what = "a field of the request is too long"};
        put(out, *text);
    }
    for (const std::uint64_t number : {order.resume_from, order.size_max, order.stall_seconds, order.tries_max, order.first_delay_ms})
        put(out, number);
    if (out.size() > packet_bytes_max) return Error{.code = Code::invalid_argument, .what = "the request is too long"};
    return out;
}

Result<Order> decode_order(std::string_view packet) {
    if (packet.empty() || packet.size() > packet_bytes_max || packet[0] != kind_order) return malformed();
    Reader reader(packet.substr(1));
    Order order;
    for (std::string* text : {&order.url, &order.authorization, &order.source_address, &order.validator_etag, &order.validator_last_modified,
                              &order.fallback_url, &order.registry_scope, &order.user, &order.password})
        *text = reader.text();
    for (std::uint64_t* number : {&order.resume_from, &order.size_max, &order.stall_seconds, &order.tries_max, &order.first_delay_ms})
        *number = reader.number();
    if (!reader.complete()) return malformed();
    return order;
}

std::string encode(const Report& report) {
    std::string out;
    if (const auto* progress = std::get_if<Progress>(&report)) {
        out = kind_progress;
        put(out, progress->current);
        put(out, progress->total);
        put(out, clean(progress->etag));
        put(out, clean(progress->last_modified));
    } else if (const auto* done = std::get_if<Done>(&report)) {
        out = kind_done;
        put(out, done->size);
        put(out, clean(done->sha256));
        put(out, clean(done->content_type));
        put(out, done->authorization.size() > authorization_bytes_max ? std::string() : done->authorization);
    } else {
        const auto& failed = std::get<Failed>(report);
        out = kind_failed;
        put(out, static_cast<std::uint64_t>(failed.code));
        put(out, clean(failed.what));
        put(out, failed.retry_after_ms);
    }
    return out;
}

Result<Report> decode_report(std::string_view packet) {
    if (packet.empty() || packet.size() > packet_bytes_max) return malformed();
    Reader reader(packet.substr(1));
    if (packet[0] == kind_progress) {
        Progress progress{.current = reader.number(), .total = reader.number()};
        progress.etag = clean(reader.text());
        progress.last_modified = clean(reader.text());
        if (!reader.complete() || (progress.total != 0 && progress.current > progress.total)) return malformed();
        return Report(std::move(progress));
    }
    if (packet[0] == kind_done) {
        Done done{.size = reader.number()};
        done.sha256 = reader.text();
        done.content_type = clean(reader.text());
        done.authorization = reader.text();
        if (!reader.complete() || !is_sha256(done.sha256) || !fits_header(done.authorization)) return malformed();
        return Report(std::move(done));
    }
    if (packet[0] == kind_failed) {
        const std::uint64_t code = reader.number();
        Failed failed{.what = clean(reader.text()), .retry_after_ms = reader.number()};
        if (!reader.complete() || code == 0 || code > static_cast<std::uint64_t>(Code::internal)) return malformed();
        failed.code = static_cast<Code>(code);
        return Report(std::move(failed));
    }
    return malformed();
}

}  // namespace eve::storage::fetch
