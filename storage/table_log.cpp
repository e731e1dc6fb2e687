#include "storage/table_log.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <optional>
#include <utility>

#include "storage/checksum.hpp"

namespace eve::storage {

namespace {

constexpr std::string_view magic = "EVRL";
constexpr std::size_t number_bytes = 4;
constexpr std::size_t head_bytes = magic.size() + 2 * number_bytes;
constexpr std::size_t log_bytes_max = std::size_t{64} << 20U;  ///< beyond what is ever written: settled at a sixteenth of it

void put_number(std::string& to, std::size_t at, std::uint32_t number) {
    for (std::size_t n = 0; n < number_bytes; ++n) to[at + n] = static_cast<char>(number >> 8U * n & 0xffU);
}
std::uint32_t number_at(std::string_view text, std::size_t at) {
    std::uint32_t number = 0;
    for (std::size_t n = 0; n < number_bytes; ++n) number |= static_cast<std::uint32_t>(static_cast<unsigned char>(text[at + n])) << 8U * n;
    return number;
}

void put_frame(std::string& to, const bus::StoreChange& change) {
    using Kind = bus::StoreChange::Kind;
    const auto head = to.size();
    to.append(magic).append(2 * number_bytes, '\0');
    const auto body = to.size();
    to += change.kind == Kind::put ? 'p' : change.kind == Kind::remove ? 'r' : 'm';
    to.append(number_bytes, '\0');
    put_number(to, body + 1, static_cast<std::uint32_t>(change.key.size()));
    to += change.key;
    if (change.kind == Kind::put) to += change.json;
    if (change.kind == Kind::marker) to += std::to_string(change.counter);
    put_number(to, head + magic.size(), static_cast<std::uint32_t>(to.size() - body));
    put_number(to, head + magic.size() + number_bytes, checksum(std::string_view(to).substr(body)));
}

std::optional<bus::StoreChange> parse_body(std::string_view body, const bus::TableId& table) {
    using Kind = bus::StoreChange::Kind;
    if (body.size() < 1 + number_bytes) return std::nullopt;
    const std::size_t key_bytes = number_at(body, 1);
    const auto rest = body.substr(1 + number_bytes);
    if (key_bytes > rest.size()) return std::nullopt;
    bus::StoreChange change{.table = table, .key = std::string(rest.substr(0, key_bytes))};
    const auto value = rest.substr(key_bytes);
    if (body[0] == 'p') {
        change.json = value;
    } else if (body[0] == 'r') {
        change.kind = Kind::remove;
    } else if (body[0] == 'm') {
        change.kind = Kind::marker;
        const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), change.counter);
        if (error != std::errc{} || end != value.data() + value.size()) return std::nullopt;
    } else {
        return std::nullopt;
    }
    return change;
}

/// The whole frame at the start of `text`: its change and its length.
std::optional<std::pair<bus::StoreChange, std::size_t>> frame_at(std::string_view text, const bus::TableId& table) {
    if (text.size() < head_bytes || !text.starts_with(magic)) return std::nullopt;
    const std::size_t length = number_at(text, magic.size());
    if (length > text.size() - head_bytes) return std::nullopt;
    const auto body = text.substr(head_bytes, length);
    if (checksum(body) != number_at(text, magic.size() + number_bytes)) return std::nullopt;
    auto change = parse_body(body, table);
    if (!change) return std::nullopt;
    return std::pair{std::move(*change), head_bytes + length};
}

}  // namespace

Result<TableLog::Content> TableLog::read(const DurableDirectory& directory, const bus::TableId& table) {
    const auto text = directory.read(name, log_bytes_max);
    if (!text) {
        if (text.error().code == Code::not_found) return Content{};
        return text.error();
    }
    Content content;
    std::size_t lost = 0;
    for (std::size_t at = 0; at < text->size();) {
        if (auto frame = frame_at(std::string_view(*text).substr(at), table)) {
            content.changes.push_back(std::move(frame->first));
            at += frame->second;
            continue;
        }
        // Whatever this is, what was written after it counts.
        const auto next = std::min(text->find(magic, at + 1), text->size());
        lost += next - at;
        at = next;
    }
    if (lost > 0)
        content.problem = directory.path() + "/" + name + ": " + std::to_string(lost) +
                          " bytes are no whole record; the power went while they were written, or the disk changed them";
    return content;
}

Result<TableLog> TableLog::open(const DurableDirectory& directory) {
    const auto path = directory.path() + "/" + name;
    UniqueFd fd(::openat(directory.descriptor(), name, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600));
    struct stat facts {};
    if (!fd || ::fstat(fd.get(), &facts) != 0) return error_of(errno, "open " + path);
    if (!S_ISREG(facts.st_mode)) return Error{.code = Code::failed_precondition, .what = path + ": not a regular file"};
    // One that was just made: what is promised of its content is worth nothing without its name.
    if (facts.st_size == 0)
        if (auto synced = directory.sync(); !synced) return std::move(synced).error();
    return TableLog(std::move(fd), static_cast<std::uint64_t>(facts.st_size), path);
}

Status TableLog::append(const std::vector<const bus::StoreChange*>& changes) {
    std::string frames;
    for (const auto* change : changes) put_frame(frames, *change);
    const auto failed = [&](const char* step) {
        auto error = error_of(errno, std::string(step) + " " + path_);
        // Half a group is passed over by the next reader; without it there is room for the next one.
        if (::ftruncate(fd_.get(), static_cast<off_t>(size_)) != 0) size_ += frames.size();
        return error;
    };
    std::string_view left = frames;
    while (!left.empty()) {
        const auto written = ::write(fd_.get(), left.data(), left.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return failed("write to");
        left.remove_prefix(static_cast<std::size_t>(written));
    }
    if (::fdatasync(fd_.get()) != 0) return failed("sync");
    size_ += frames.size();
    return {};
}

Status TableLog::clear() {
    if (size_ == 0) return {};
    if (::ftruncate(fd_.get(), 0) != 0) return error_of(errno, "empty " + path_);
    // Until then what it held may be back after a power cut: it is asked to be cleared again.
    if (::fdatasync(fd_.get()) != 0) return error_of(errno, "sync " + path_);
    size_ = 0;
    return {};
}

}  // namespace eve::storage
