#include "common/container_image.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <csignal>
#include <optional>
#include <set>
#include <utility>

#include "common/rootfs.hpp"
#include "common/text.hpp"
#include "eve/sdk/codec.hpp"

namespace eve::plugins {

BOOST_DESCRIBE_STRUCT(ImageConfig, (), (User, Env, Entrypoint, Cmd, WorkingDir, StopSignal))

namespace {

/// The file: `config` is what counts.
struct ImageFile {
    ImageConfig config;
    friend bool operator==(const ImageFile&, const ImageFile&) = default;
};
BOOST_DESCRIBE_STRUCT(ImageFile, (), (config))

constexpr const char* default_path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr std::uint32_t mode_max = 07777;
constexpr const char* command_override = "EVE_ECO_CMD";

/// The image's variables, those of the domain in their place or behind them.
std::vector<std::string> environment(const DomainSpec& domain, const ImageConfig& image) {
    std::vector<std::string> env;
    for (const auto& variable : image.Env)
        if (!domain.env.contains(std::string(variable_name(variable)))) env.push_back(variable);
    for (const auto& [name, value] : domain.env) env.push_back(name + "=" + value);
    if (std::none_of(env.begin(), env.end(), [](const auto& variable) { return variable_name(variable) == "PATH"; })) env.insert(env.begin(), default_path);
    return env;
}

std::vector<std::string> words_of(std::string_view text) {
    constexpr std::string_view blanks = " \t\n\r\"'";
    std::vector<std::string> words;
    text.remove_prefix(std::min(text.find_first_not_of(blanks), text.size()));
    text = text.substr(0, text.find_last_not_of(blanks) + 1);
    while (!text.empty()) {
        const auto end = std::min(text.find_first_of(" \t\n\r"), text.size());
        words.emplace_back(text.substr(0, end));
        text.remove_prefix(end);
        text.remove_prefix(std::min(text.find_first_not_of(" \t\n\r"), text.size()));
    }
    return words;
}

/// Members that are null are taken away.
void drop_nulls(sdk::detail::Json& json) {
    if (json.is_object())
        for (auto member = json.begin(); member != json.end();) {
            if (member->is_null()) {
                member = json.erase(member);
            } else {
                drop_nulls(*member);
                ++member;
            }
        }
}

constexpr std::array<std::pair<std::string_view, std::uint32_t>, 30> signals{{
    {"HUP", SIGHUP},   {"INT", SIGINT},     {"QUIT", SIGQUIT}, {"ILL", SIGILL},     {"TRAP", SIGTRAP}, {"ABRT", SIGABRT}, {"BUS", SIGBUS},   {"FPE", SIGFPE},
    {"KILL", SIGKILL}, {"USR1", SIGUSR1},   {"SEGV", SIGSEGV}, {"USR2", SIGUSR2},   {"PIPE", SIGPIPE}, {"ALRM", SIGALRM}, {"TERM", SIGTERM}, {"CHLD", SIGCHLD},
    {"CONT", SIGCONT}, {"STOP", SIGSTOP},   {"TSTP", SIGTSTP}, {"TTIN", SIGTTIN},   {"TTOU", SIGTTOU}, {"URG", SIGURG},   {"XCPU", SIGXCPU}, {"XFSZ", SIGXFSZ},
    {"PROF", SIGPROF}, {"WINCH", SIGWINCH}, {"IO", SIGIO},     {"PWR", SIGPWR},     {"SYS", SIGSYS},   {"VTALRM", SIGVTALRM},
}};
constexpr std::uint32_t realtime_first = 34;
constexpr std::uint32_t signal_last = 64;

std::optional<std::uint32_t> number_of(std::string_view text) {
    std::uint32_t number = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
    if (text.empty() || read.ec != std::errc{} || read.ptr != text.data() + text.size()) return std::nullopt;
    return number;
}

/// One line of passwd or group whose field `at` is `value`.
std::vector<std::string_view> line_with(std::string_view file, std::size_t at, std::string_view value, std::size_t fields_min) {
    for (const auto line : parts_of(file, '\n')) {
        auto fields = parts_of(line, ':');
        if (fields.size() >= fields_min && fields[at] == value) return fields;
    }
    return {};
}

Error no_such(const char* what, std::string_view name) {
    return {.code = Code::failed_precondition, .what = std::string("the image has no ") + what + " " + std::string(name.substr(0, 64))};
}

}  // namespace

std::string_view variable_name(std::string_view variable) { return variable.substr(0, variable.find('=')); }

Result<ImageConfig> read_image_config(std::string_view json) {
    auto parsed = sdk::detail::parse(json, sdk::Strictness::must_ignore);
    if (!parsed) return std::move(parsed).error().in("image configuration");
    drop_nulls(*parsed);
    ImageFile file;
    sdk::detail::Walk walk{.strictness = sdk::Strictness::must_ignore};
    if (!sdk::detail::read(*parsed, file, walk)) return std::move(*walk.error).in("image configuration");
    return std::move(file.config);
}

Result<std::uint32_t> signal_number(std::string_view name) {
    const auto whole = name;
    if (name.empty()) return std::uint32_t{SIGTERM};
    if (name.starts_with("SIG")) name.remove_prefix(3);
    for (const auto& [known, number] : signals)
        if (known == name) return number;
    std::uint32_t base = 0;
    if (name.starts_with("RTMIN")) {
        base = realtime_first;
        name.remove_prefix(5);
        if (name.starts_with('+')) name.remove_prefix(1);
    }
    std::uint32_t number = 0;
    const auto read = std::from_chars(name.data(), name.data() + name.size(), number);
    const bool plain = base != 0 && name.empty();
    if ((read.ec == std::errc{} && read.ptr == name.data() + name.size()) || plain)
        if (number <= signal_last && base + number >= 1 && base + number <= signal_last) return base + number;
    return Error{.code = Code::invalid_argument, .what = "there is no signal " + std::string(whole.substr(0, 32))};
}

const Disk* root_disk(const DomainSpec& domain) {
    if (domain.disks.empty()) return nullptr;
    const auto& first = domain.disks.front();
    return first.format == DiskFormat::container && (first.mount_dir.empty() || first.mount_dir == "/") ? &first : nullptr;
}

Result<ContainerUser> find_user(std::string_view user, std::string_view passwd, std::string_view group) {
    const auto colon = user.find(':');
    const auto name = user.empty() ? std::string_view("0") : user.substr(0, colon);
    const auto group_name = colon == std::string_view::npos ? std::string_view{} : user.substr(colon + 1);
    ContainerUser found;
    std::string_view login = name;
    auto entry = line_with(passwd, 0, name, 4);
    const auto number = number_of(name);
    if (entry.empty() && number) entry = line_with(passwd, 2, name, 4);
    if (!entry.empty()) {
        const auto uid = number_of(entry[2]);
        const auto gid = number_of(entry[3]);
        if (!uid || !gid) return no_such("readable entry for user", name);
        found.uid = *uid;
        found.gid = *gid;
        login = entry[0];
    } else if (number) {
        found.uid = *number;
    } else {
        return no_such("user", name);
    }
    if (!group_name.empty()) {
        const auto line = line_with(group, 0, group_name, 3);
        const auto gid = line.empty() ? number_of(group_name) : number_of(line[2]);
        if (!gid) return no_such("group", group_name);
        found.gid = *gid;
        return found;
    }
    for (const auto line : parts_of(group, '\n')) {
        const auto fields = parts_of(line, ':');
        if (fields.size() < 4) continue;
        const auto members = parts_of(fields[3], ',');
        const auto gid = number_of(fields[2]);
        if (gid && std::find(members.begin(), members.end(), login) != members.end()) found.additionalGids.push_back(*gid);
    }
    return found;
}

std::string home_of(std::uint32_t uid, std::string_view passwd) {
    const auto entry = line_with(passwd, 2, std::to_string(uid), 7);
    return entry.empty() || entry[5].empty() ? "/" : std::string(entry[5]);
}

Result<ContainerProcess> container_process(const DomainSpec& domain, const ImageConfig& image) {
    ContainerProcess process{.args = image.Entrypoint, .env = environment(domain, image)};
    process.args.insert(process.args.end(), image.Cmd.begin(), image.Cmd.end());
    if (!image.WorkingDir.empty()) process.cwd = image.WorkingDir.front() == '/' ? image.WorkingDir : "/" + image.WorkingDir;
    if (const auto command = domain.env.find(command_override); command != domain.env.end())
        if (auto words = words_of(command->second); !words.empty()) process.args = std::move(words);
    if (process.args.empty())
        return Error{.code = Code::failed_precondition,
                     .what = "the image names nothing to run",
                     .field = ".disks[0].path",
                     .hint = std::string("give the app a variable ") + command_override + " with the command"};
    return process;
}

bool absolute_path(std::string_view path) {
    if (path.empty() || path.front() != '/' || path.find('\0') != std::string_view::npos) return false;
    return (std::string(path) + "/").find("/../") == std::string::npos;
}

bool plain_file_name(std::string_view name) { return name != "." && name != ".." && name.find('/') == std::string_view::npos && name.find('\0') == std::string_view::npos; }

void add_container_problems(const DomainSpec& spec, std::vector<Problem>& problems) {
    const auto add = [&](std::string field, std::string what) { problems.push_back({.field = std::move(field), .what = std::move(what)}); };
    std::set<std::string> names;
    for (std::size_t at = 0; at < spec.disks.size(); ++at) {
        const auto& disk = spec.disks[at];
        const auto field = ".disks[" + std::to_string(at) + "]";
        if (!disk.mount_dir.empty() && !absolute_path(disk.mount_dir)) add(field + ".mount_dir", "the mount point is not an absolute path without \"..\"");
        if (!plain_file_name(disk.name)) add(field + ".name", "the name cannot be a file's");
        if (!disk.name.empty() && !names.insert(disk.name).second) add(field + ".name", "two volumes have this name");
    }
    for (const auto& [name, value] : spec.env)
        if (name.empty() || name.find('=') != std::string::npos || (name + value).find('\0') != std::string::npos)
            add(".env", "'" + name.substr(0, 32) + "' cannot be a variable");
    for (std::size_t at = 0; at < spec.files.size(); ++at) {
        const auto field = ".files[" + std::to_string(at) + "]";
        if (!absolute_path(spec.files[at].path)) add(field + ".path", "the path is not absolute and without \"..\"");
        if (!from_base64(spec.files[at].content.value)) add(field + ".content", "not base64");
        if (spec.files[at].mode > mode_max) add(field + ".mode", "no permission bits");
    }
}

ContainerEnd container_end(const ExitStatus& exit, bool asked) {
    const bool clean = exit.code == 0 || (asked && !exit.oom);
    ContainerEnd end{.state = clean ? DomainState::halted : DomainState::broken};
    if (exit.oom) end.reason = "The app ran out of its memory";
    else if (exit.signal) end.reason = "The app ended by signal " + std::to_string(*exit.signal);
    else end.reason = "The app ended with exit code " + std::to_string(exit.code.value_or(0));
    return end;
}

}  // namespace eve::plugins
