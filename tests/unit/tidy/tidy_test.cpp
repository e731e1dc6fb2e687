// Reads the sources: who may include what (docs/architecture.md, section 2), what may not be called, what may not be in a header, and that no
// file knows the machine it was written on. An exception stands in a table below with its reason; one that is not needed any more fails, too.

#include <gmock/gmock.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace {

namespace fs = std::filesystem;
using testing::IsEmpty;

struct Source {
    std::string path;                // from the repository's root
    std::vector<std::string> lines;  // as written
    std::vector<std::string> code;   // without comments and without the content of literals
    bool header() const { return path.ends_with(".hpp") || path.ends_with(".h"); }
    bool in(std::string_view folder) const { return path.starts_with(folder); }
};

// One line's code; `in_comment` carries /* over lines. Raw strings are taken as ordinary ones: good enough for one line.
std::string strip(const std::string& line, bool& in_comment) {
    std::string out;
    for (std::size_t i = 0; i < line.size(); ++i) {
        if (in_comment) {
            if (line.compare(i, 2, "*/") == 0) {
                in_comment = false;
                ++i;
            }
            continue;
        }
        if (line.compare(i, 2, "//") == 0) break;
        if (line.compare(i, 2, "/*") == 0) {
            in_comment = true;
            ++i;
            continue;
        }
        const char c = line[i];
        const bool digit_separator = c == '\'' && i > 0 && std::isxdigit(static_cast<unsigned char>(line[i - 1])) != 0;
        if ((c == '"' || c == '\'') && !digit_separator && !line.starts_with("#include")) {
            out += c;
            for (++i; i < line.size() && line[i] != c; ++i)
                if (line[i] == '\\') ++i;
        }
        if (i < line.size()) out += line[i];
    }
    return out;
}

const std::vector<Source>& sources() {
    static const std::vector<Source> all = [] {
        std::vector<Source> found;
        for (const auto* folder : {"include", "core", "net", "storage", "plugins", "tests", "examples"}) {
            const fs::path top = fs::path(SOURCE_ROOT) / folder;
            if (!fs::exists(top)) continue;
            for (const auto& entry : fs::recursive_directory_iterator(top)) {
                const auto extension = entry.path().extension();
                if (!entry.is_regular_file() || (extension != ".hpp" && extension != ".cpp" && extension != ".h" && extension != ".c")) continue;
                Source source{.path = fs::relative(entry.path(), SOURCE_ROOT).string()};
                std::ifstream in(entry.path());
                bool in_comment = false;
                for (std::string line; std::getline(in, line);) {
                    source.code.push_back(strip(line, in_comment));
                    source.lines.push_back(std::move(line));
                }
                found.push_back(std::move(source));
            }
        }
        std::sort(found.begin(), found.end(), [](const Source& a, const Source& b) { return a.path < b.path; });
        return found;
    }();
    return all;
}

// Every text file that belongs to the repository.
std::vector<fs::path> all_files() {
    std::vector<fs::path> found;
    for (auto it = fs::recursive_directory_iterator(SOURCE_ROOT); it != fs::recursive_directory_iterator(); ++it) {
        const auto name = it->path().filename().string();
        if (it->is_directory() && (name == "build" || name == ".git" || name == ".cache")) it.disable_recursion_pending();
        if (it->is_regular_file() && name != ".git" && it->file_size() < (std::uintmax_t{1} << 20)) found.push_back(it->path());
    }
    return found;
}

struct Include {
    std::string where;
    std::string what;
    bool quoted;  // ours; what stands in <> is the system's, whatever its folder is called
};
std::vector<Include> includes(const Source& source) {
    static const std::regex form(R"(^\s*#\s*include\s*([<"])([^>"]+)[>"])");
    std::vector<Include> found;
    std::smatch match;
    for (std::size_t i = 0; i < source.code.size(); ++i)
        if (source.code[i].find("include") != std::string::npos && std::regex_search(source.code[i], match, form))
            found.push_back({source.path + ":" + std::to_string(i + 1), match[2], match[1] == "\""});
    return found;
}

struct Exception {
    const char* path;    // a file, or a folder with its slash
    const char* what;    // as the rule names it
    const char* reason;  // why it is right there
};

// Collects what breaks a rule, minus its exceptions; an exception that nothing needs is a violation itself.
class Rule {
public:
    explicit Rule(std::vector<Exception> exceptions = {}) : exceptions_(std::move(exceptions)) {}
    void broken(const std::string& path, const std::string& what, const std::string& where) {
        for (const auto& exception : exceptions_) {
            const bool folder = std::string_view(exception.path).ends_with('/');
            if (what != exception.what || !(folder ? path.starts_with(exception.path) : path == exception.path)) continue;
            used_.insert(&exception);
            return;
        }
        violations_.push_back(where + ": " + what);
    }
    std::vector<std::string> violations() {
        for (const auto& exception : exceptions_)
            if (!used_.contains(&exception))
                violations_.push_back(std::string("exception not needed any more: ") + exception.path + ": " + exception.what);
        return std::exchange(violations_, {});
    }

private:
    std::vector<Exception> exceptions_;
    std::set<const Exception*> used_;
    std::vector<std::string> violations_;
};

std::string folder_of(const std::string& path, int depth) {
    std::size_t end = 0;
    for (int i = 0; i < depth; ++i) {
        end = path.find('/', end == 0 ? 0 : end + 1);
        if (end == std::string::npos) return path;
    }
    return path.substr(0, end);
}

// The parts of core that agents stand on; every other folder of core is an agent or composes them.
constexpr std::array<std::string_view, 5> foundations{"core/bus", "core/log", "core/loop", "core/types", "core/plugin"};
constexpr std::array<std::string_view, 2> composers{"core/zedbox", "core/evectl"};
template <class Range> bool one_of(const Range& range, std::string_view value) {
    return std::find(range.begin(), range.end(), value) != range.end();
}

TEST(Tidy, TheLayersIncludeOnlyWhatTheirArrowsAllow) {
    const std::set<std::string> ours{"include", "core", "net", "storage", "plugins", "tests", "examples"};
    Rule rule{{{"storage/config_file.cpp", "core/zedagent/parse.hpp", "the limit of what is read is the parser's"},
               {"net/dnsmasq.cpp", "storage/durable_file.hpp", "files are written in one way only"}}};
    for (const auto& source : sources()) {
        const auto own = folder_of(source.path, 1);
        for (const auto& include : includes(source)) {
            const auto target = folder_of(include.what, 1);
            if (!include.quoted || !ours.contains(target) || own == "tests") continue;
            bool allowed = false;
            if (own == "core") {
                allowed = target == "core" || one_of(composers, folder_of(source.path, 2));
                allowed = allowed && target != "tests" && target != "plugins";
            } else if (own == "net" || own == "storage") {
                const auto part = folder_of(include.what, 2);
                allowed = target == own || part == "core/types" || part == "core/loop" || part == "core/log" || include.what == "core/bus/wire.hpp" ||
                          (target == "core" && include.what.ends_with("/effects.hpp"));
            } else if (own == "plugins") {
                allowed = folder_of(include.what, 2) == folder_of(source.path, 2);
            }
            if (!allowed) rule.broken(source.path, include.what, include.where);
        }
    }
    EXPECT_THAT(rule.violations(), IsEmpty());
}

TEST(Tidy, TheSdkStandsAlone) {
    Rule rule;
    for (const auto& source : sources()) {
        if (!source.in("include/")) continue;
        for (const auto& include : includes(source)) {
            const bool standard = include.what.find('/') == std::string::npos || include.what.starts_with("sys/");
            const bool glue = source.in("include/eve/sdk/") && (include.what == "nlohmann/json.hpp" || include.what == "boost/describe.hpp" ||
                                                                include.what == "boost/mp11.hpp");
            const bool mocks = source.in("include/eve/testing/") && (include.what == "gmock/gmock.h" || include.what == "gtest/gtest.h");
            if (!standard && !include.what.starts_with("eve/") && !glue && !mocks) rule.broken(source.path, include.what, include.where);
        }
    }
    EXPECT_THAT(rule.violations(), IsEmpty());
}

TEST(Tidy, AgentsMeetAtTopicsAndNowhereElse) {
    Rule rule;
    for (const auto& source : sources()) {
        const auto own = folder_of(source.path, 2);
        if (!source.in("core/") || one_of(composers, own)) continue;
        for (const auto& include : includes(source)) {
            const auto target = folder_of(include.what, 2);
            if (include.what.ends_with("/records.hpp")) continue;  // the type of a topic of ours
            if (include.what.starts_with("core/") && target != own && !one_of(foundations, target))
                rule.broken(source.path, include.what, include.where);
        }
    }
    EXPECT_THAT(rule.violations(), IsEmpty());
}

TEST(Tidy, AHeaderHasItsPragmaItsParagraphAndNothingHeavy) {
    const std::array<const char*, 8> heavy{"boost/asio",      "boost/beast", "nlohmann/json.hpp", "spdlog/",
                                           "google/protobuf", "curl/",       "nftables/",         ".pb.h"};
    Rule rule{{{"include/eve/sdk/codec.hpp", "nlohmann/json.hpp", "the glue of a plugin is compiled once per plugin, by its author"}}};
    for (const auto& source : sources()) {
        if (!source.header()) continue;
        const auto is_text = [](const std::string& line) { return line.starts_with("//") || line.starts_with("/*"); };
        const bool c = source.path.ends_with(".h");
        if (!c && (source.lines.empty() || source.lines[0] != "#pragma once"))
            rule.broken(source.path, "no #pragma once in its first line", source.path);
        if (!c && (source.lines.size() < 2 || !is_text(source.lines[1])))
            rule.broken(source.path, "no paragraph on what it is for", source.path);
        for (const auto& include : includes(source))
            for (const auto* prefix : heavy)
                if (include.what.starts_with(prefix) || (prefix[0] == '.' && include.what.ends_with(prefix)))
                    rule.broken(source.path, include.what, include.where);
    }
    EXPECT_THAT(rule.violations(), IsEmpty());
}

TEST(Tidy, HeavyLibrariesAreIncludedWhereTheyAreNeededOnly) {
    Rule rule{{
        {"core/types/codec.cpp", "nlohmann/json.hpp", "the one codec of records"},
        {"core/plugin/", "nlohmann/json.hpp", "the plugin boundary's own JSON"},
        {"core/evectl/", "nlohmann/json.hpp", "reports are JSON first"},
        {"core/loop/asio_loop.cpp", "boost/asio", "the loop"},
        {"core/log/event_log.cpp", "spdlog/", "the log"},
    }};
    for (const auto& source : sources()) {
        if (!source.in("core/") && !source.in("net/") && !source.in("storage/")) continue;
        for (const auto& include : includes(source))
            for (const auto* prefix : {"boost/asio", "boost/beast", "nlohmann/json.hpp", "spdlog/"})
                if (include.what.starts_with(prefix)) rule.broken(source.path, prefix, include.where);
    }
    EXPECT_THAT(rule.violations(), IsEmpty());
}

struct Ban {
    const char* name;
    std::vector<const char*> words;  // one of them is in every line that the pattern is in: most lines are passed over quickly
    std::regex pattern;
};

TEST(Tidy, NothingSleepsReadsAClockDrawsOrSpawnsOnItsOwn) {
    const std::vector<Ban> bans{
        {"sleep", {"sleep"}, std::regex(R"(\b(sleep_for|sleep_until|usleep|nanosleep|sleep)\s*\()")},
        {"clock", {"_clock", "clock_gettime", "gettimeofday"},
         std::regex(R"(\b(steady_clock|system_clock|high_resolution_clock)::now\b|\b(clock_gettime|gettimeofday)\s*\()")},
        {"random", {"rand", "mt19937", "uniform_"},
         std::regex(R"((^|[^.>\w])(s?rand|random|drand48)\s*\(|\brandom_device\b|\b(mt19937|uniform_\w+_distribution)\b)")},
        {"shell", {"system", "popen", "execl"}, std::regex(R"(\b(system|popen)\s*\(|\bexecl?p\s*\()")},
        {"thread", {"std::thread", "jthread", "std::async", "pthread_create"}, std::regex(R"(\bstd::(thread|jthread|async)\b|\bpthread_create\b)")},
        {"mutex in an agent", {"mutex", "condition_variable"}, std::regex(R"(\bstd::(mutex|recursive_mutex|shared_mutex|condition_variable)\b)")},
        {"unsafe C", {"gets", "strcpy", "strcat", "sprintf", "strtok", "ato", "tmpnam", "mktemp"},
         std::regex(R"(\b(gets|strcpy|strcat|sprintf|vsprintf|strtok|atoi|atol|atof|tmpnam|mktemp)\s*\()")},
        {"json.get of a narrow number", {"get<", "get_to<"},
         std::regex(R"(\bget(_to)?<\s*(int|unsigned|short|char|float|(std::)?u?int(8|16|32)_t)\s*>)")},
        {"using namespace std", {"using"}, std::regex(R"(using\s+namespace\s+std\s*;)")},
        {"locale", {"setlocale", "std::locale", "localtime"}, std::regex(R"(\bsetlocale\s*\(|std::locale\b|\blocaltime\s*\()")},
        {"detach", {"detach"}, std::regex(R"(\.detach\s*\()")},
        {"environment", {"getenv", "setenv", "putenv"}, std::regex(R"(\b(getenv|setenv|putenv)\s*\()")},
    };
    Rule rule{{
        {"core/loop/asio_loop.cpp", "clock", "the production clock"},
        {"core/loop/", "thread", "the production lanes"},
        {"core/loop/", "mutex in an agent", "the production lanes"},
        {"core/log/event_log.cpp", "mutex in an agent", "lanes log, too"},
        {"storage/unpack/main.cpp", "locale", "a process of its own; libarchive takes names in UTF-8 only in such a locale"},
        {"core/zedbox/plugin_runtimes.hpp", "mutex in an agent", "events come on the plugins' threads; the agent hears of them by post"},
        {"core/zedbox/plugin_content.cpp", "mutex in an agent", "several lanes of volumemgr ask the same plugin"},
        {"core/zedbox/plugin_content.hpp", "mutex in an agent", "several lanes of volumemgr ask the same plugin"},
        {"core/zedbox/supervisor.cpp", "environment", "NOTIFY_SOCKET: whether systemd watches already"},
        {"core/evectl/main.cpp", "environment", "EVE_ROOT, the operator's default"},
        {"core/plugin/keeper.cpp", "sleep", "a process of its own that waits for a full disk to be emptied before it dies with the truth"},
        {"core/plugin/in_process.cpp", "detach", "threads that hang in a plugin keep what they use, and are left"},
        {"core/plugin/plugin_host.cpp", "detach", "workers may hang in a vendor's library; the process ends under them"},
    }};
    for (const auto& source : sources()) {
        if (source.in("tests/") || source.in("examples/") || source.in("include/eve/testing/")) continue;
        // Plugins, their host and what an effect is made of are drivers: they may wait and synchronise, in lanes and processes of their own.
        const bool driver = source.in("plugins/") || source.in("core/plugin/") || source.in("net/") || source.in("storage/") || source.in("include/");
        for (std::size_t i = 0; i < source.code.size(); ++i)
            for (const auto& ban : bans) {
                if (driver && one_of(std::array<std::string_view, 4>{"thread", "mutex in an agent", "clock", "environment"}, ban.name)) continue;
                const auto& code = source.code[i];
                const auto has = [&code](const char* word) { return code.find(word) != std::string::npos; };
                if (std::any_of(ban.words.begin(), ban.words.end(), has) && std::regex_search(code, ban.pattern))
                    rule.broken(source.path, ban.name, source.path + ":" + std::to_string(i + 1));
            }
    }
    EXPECT_THAT(rule.violations(), IsEmpty());
}

TEST(Tidy, LinesFitAndHaveNoTabs) {
    constexpr std::size_t columns = 190;
    std::vector<std::string> violations;
    for (const auto& source : sources())
        for (std::size_t i = 0; i < source.lines.size(); ++i) {
            // A column is a character, not a byte.
            const auto& line = source.lines[i];
            const auto width = static_cast<std::size_t>(
                std::count_if(line.begin(), line.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
            if (width > columns) violations.push_back(source.path + ":" + std::to_string(i + 1) + ": " + std::to_string(width) + " columns");
            if (line.find('\t') != std::string::npos) violations.push_back(source.path + ":" + std::to_string(i + 1) + ": a tab");
        }
    EXPECT_THAT(violations, IsEmpty());
}

TEST(Tidy, NoFileKnowsTheMachineItWasWrittenOn) {
    const std::string root = SOURCE_ROOT;
    std::vector<std::string> places{root, BUILD_ROOT, std::string("..") + "/shared"};
    // The first folder of the checkout's path, unless every machine has it.
    const auto first = root.substr(0, root.find('/', 1));
    const std::set<std::string> common{"/usr", "/opt", "/srv", "/var", "/tmp", "/mnt", "/home", "/root", "/run", "/src", "/build", "/data"};
    if (first != root && !common.contains(first)) places.push_back(first + "/");
    std::vector<std::string> violations;
    for (const auto& path : all_files()) {
        std::ifstream in(path, std::ios::binary);
        const std::string content{std::istreambuf_iterator<char>(in), {}};
        for (const auto& place : places)
            if (content.find(place) != std::string::npos) violations.push_back(fs::relative(path, root).string() + ": " + place);
    }
    EXPECT_THAT(violations, IsEmpty());
}

}  // namespace
