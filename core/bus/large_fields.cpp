#include "core/bus/large_fields.hpp"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <map>

#include "core/bus/private_directory.hpp"
#include "core/bus/wire.hpp"
#include "core/loop/unique_fd.hpp"

namespace eve::bus {

namespace {

constexpr std::string_view home = "/persist/pubsub-large/";
constexpr int attempts_max = 8;

Error failed(int number, const std::string& what) {
    const bool full = number == ENOSPC || number == EDQUOT;
    return Error{.code = full ? Code::resource_exhausted : Code::unavailable,
                 .what = what + ": " + std::strerror(number),
                 .hint = full ? "free space on /persist" : ""};
}

std::string member(std::string_view key, std::string_view value) { return json_quote(key) + ":" + std::string(value); }

Result<std::string> write_new(const std::string& directory, std::string_view tag, std::string_view content) {
    for (int attempt = 0; attempt < attempts_max; ++attempt) {
        std::uint32_t random = 0;
        [[maybe_unused]] const auto got = ::getrandom(&random, sizeof random, 0);
        const auto path = directory + std::string(tag) + std::to_string(random);
        const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
        if (!fd && errno == EEXIST) continue;
        if (!fd) return failed(errno, "create " + path);
        const auto written = ::write(fd.get(), content.data(), content.size());
        if (written == static_cast<ssize_t>(content.size())) return path;
        const int number = written < 0 ? errno : ENOSPC;
        ::unlink(path.c_str());
        return failed(number, "write " + path);
    }
    return failed(EEXIST, "create a file in " + directory);
}

Result<std::string> read_once(const std::string& path) {
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    struct stat facts {};
    if (!fd || ::fstat(fd.get(), &facts) != 0) return failed(errno, "read " + path);
    if (!S_ISREG(facts.st_mode) || facts.st_size >= static_cast<off_t>(wire::large_limit))
        return Error{.code = Code::invalid_argument, .what = "read " + path + ": not a file shorter than 1 MiB"};
    std::string content(static_cast<std::size_t>(facts.st_size), '\0');
    const auto got = ::read(fd.get(), content.data(), content.size());
    if (got < 0) return failed(errno, "read " + path);
    content.resize(static_cast<std::size_t>(got));
    ::unlink(path.c_str());
    return content;
}

// The values of `json`'s large fields by tag, in their order.
std::map<std::string, std::vector<std::string>> large_values(std::string_view json) {
    std::map<std::string, std::vector<std::string>> values;
    const auto note = [&values](JsonMember found) -> Result<std::optional<JsonMember>> {
        values[found.key].push_back(found.value);
        return std::optional<JsonMember>{std::move(found)};
    };
    static_cast<void>(rewrite_members(json, wire::large_tag, note));
    return values;
}

}  // namespace

Result<Outgoing> store_large_fields(const Root& root, const TableId& table, std::string_view json) {
    const auto place = std::string(home) + table.name() + "/";
    const auto directory = root.path(place);
    Outgoing outgoing;
    const auto store = [&](JsonMember field) -> Result<std::optional<JsonMember>> {
        if (field.value == "\"\"" || field.value == "null") return std::optional<JsonMember>{std::move(field)};  // no need of a file
        const auto content = "{" + member(field.key, field.value) + "}";
        if (content.size() >= wire::large_limit) return Error{.code = Code::resource_exhausted, .what = field.key + ": 1 MiB or more"};
        if (auto made = make_private_directories(root, place); !made) return std::move(made).error();
        auto path = write_new(directory, field.key.substr(wire::large_tag.size()), content);
        if (!path) return std::move(path).error();
        outgoing.files.push_back(*path);
        return std::optional<JsonMember>{
            JsonMember{.key = std::string(wire::file_tag) + field.key.substr(wire::large_tag.size()), .value = json_quote(json_quote(*path))}};
    };
    auto rewritten = rewrite_members(json, wire::large_tag, store);
    if (!rewritten) {
        for (const auto& file : outgoing.files) ::unlink(file.c_str());
        return std::move(rewritten).error();
    }
    outgoing.json = std::move(*rewritten);
    return outgoing;
}

Result<Incoming> restore_large_fields(const Root& root, std::string_view json, const std::optional<std::string>& last) {
    Incoming incoming;
    const auto allowed = root.path(home);
    std::map<std::string, std::size_t> met;
    const auto restore = [&](JsonMember field) -> Result<std::optional<JsonMember>> {
        const auto tag = std::string(wire::large_tag) + field.key.substr(wire::file_tag.size());
        const auto position = met[tag]++;
        const auto fall_back = [&](const std::string& problem) -> std::optional<JsonMember> {
            incoming.problems.push_back(problem);
            const auto known = last ? large_values(*last)[tag] : std::vector<std::string>{};
            if (position >= known.size()) return std::nullopt;
            return JsonMember{.key = tag, .value = known[position]};
        };
        auto path = json_unquote(field.value);
        if (path && path->starts_with('"')) path = json_unquote(*path);
        if (!path) return fall_back(tag + ": its file is not named");
        if (!path->starts_with(allowed) || path->find("/../") != std::string::npos) return fall_back(tag + ": " + *path + " is not below " + allowed);
        const auto content = read_once(*path);
        if (!content) return fall_back(tag + ": " + content.error().what);
        const auto values = large_values(*content);
        const auto found = values.find(tag);
        if (found == values.end()) return fall_back(tag + ": not in " + *path);
        return std::optional<JsonMember>{JsonMember{.key = tag, .value = found->second.front()}};
    };
    auto rewritten = rewrite_members(json, wire::file_tag, restore);
    if (!rewritten) return std::move(rewritten).error();
    incoming.json = std::move(*rewritten);
    return incoming;
}

}  // namespace eve::bus
