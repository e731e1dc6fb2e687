#pragma once
// The production log: JSON lines in a file of bounded size, which `evectl events` reads and which have the fields newlogd wants, and lines for
// people on stderr.

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/log/log.hpp"
#include "core/loop/loop.hpp"
#include "core/loop/root.hpp"

namespace eve {

/// EVE's and our names: "debug", "trace" (debug), "info", "warning", "warn", "error", "fatal" and "panic" (error).
std::optional<Level> level_from_string(std::string_view name);
/// As newlogd writes them: "debug", "info", "warning", "error".
std::string_view to_string(Level level);

/// One event as a line of JSON: level, time, msg (the event's name), pid, func, file, source, then the fields. A field of one of these names
/// gets "_" behind it.
std::string json_line(const WallTime& time, Level level, std::string_view source, std::string_view event, const Fields& fields);
/// The same for people: "12:34:56 WARN  domain.start_failed domain=7f error="no such file"".
std::string human_line(const WallTime& time, Level level, std::string_view event, const Fields& fields);

/// [any-thread]
class EventLog final : public Log {
public:
    static constexpr std::size_t file_bytes_default = std::size_t{4} << 20;
    struct Options {
        std::string path;                            ///< the JSON lines; empty: none. The previous file stays beside it with ".1" in its name
        std::size_t file_bytes = file_bytes_default;  ///< of each of the two
        Level file_level = Level::info;
        std::optional<Level> stderr_level = Level::info;  ///< none: nothing on stderr
        std::string source = "zedbox";                    ///< the agent in whose name this process logs
    };
    /// Never fails: without its file it says so on stderr and goes on.
    EventLog(const Clock& clock, Options options);
    ~EventLog() override;

    using Log::write;
    void write(Level level, std::string_view event, Fields fields) override;
    /// The same log in the name of one agent of this process. Does not outlive it.
    std::unique_ptr<Log> in_name_of(std::string source);

    void set_file_level(Level level);
    void set_stderr_level(std::optional<Level> level);
    /// Events whose name begins with "PREFIX." go by this level in both places; none: by the common one again.
    void set_level_of(const std::string& prefix, std::optional<Level> level);

    /// ROOT/run/zedbox/events.log
    static std::string path_under(const Root& root) { return root.path("/run/zedbox/events.log"); }

private:
    struct Impl;
    void write_as(std::string_view source, Level level, std::string_view event, const Fields& fields);
    friend class NamedLog;
    std::unique_ptr<Impl> impl_;
};

}  // namespace eve
