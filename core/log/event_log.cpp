#include "core/log/event_log.hpp"

#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/rotating_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <mutex>

#include "core/types/codec.hpp"

namespace eve {

namespace {

std::string date(const WallTime& time, const char* format) {
    const time_t seconds = time.seconds;
    tm parts{};
    ::gmtime_r(&seconds, &parts);
    std::array<char, 64> text{};
    return {text.data(), std::strftime(text.data(), text.size(), format, &parts)};
}

bool is_taken(const std::string& name) {
    constexpr std::array<std::string_view, 7> taken{"level", "time", "msg", "pid", "func", "file", "source"};
    return std::find(taken.begin(), taken.end(), name) != taken.end();
}

std::string as_json(const Field::Value& value) {
    if (const auto* text = std::get_if<std::string>(&value)) return json_quote(*text);
    if (const auto* number = std::get_if<std::int64_t>(&value)) return std::to_string(*number);
    return std::get<bool>(value) ? "true" : "false";
}

// Quoted only where a reader, or a terminal, needs it.
std::string as_text(const Field::Value& value) {
    const auto* text = std::get_if<std::string>(&value);
    const auto plain = [](char c) { return c > ' ' && c < 127 && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&'; };
    return text != nullptr && !text->empty() && std::all_of(text->begin(), text->end(), plain) ? *text : as_json(value);
}

}  // namespace

std::optional<Level> level_from_string(std::string_view name) {
    if (name == "debug" || name == "trace") return Level::debug;
    if (name == "info") return Level::info;
    if (name == "warning" || name == "warn") return Level::warn;
    if (name == "error" || name == "fatal" || name == "panic") return Level::error;
    return std::nullopt;
}

std::string_view to_string(Level level) {
    switch (level) {
        case Level::debug: return "debug";
        case Level::info: return "info";
        case Level::warn: return "warning";
        case Level::error: return "error";
    }
    return "error";
}

std::string json_line(const WallTime& time, Level level, std::string_view source, std::string_view event, const Fields& fields) {
    std::array<char, 16> fraction{};
    std::snprintf(fraction.data(), fraction.size(), ".%09dZ", static_cast<int>(time.nanoseconds));
    std::string line = R"({"level":")";
    line += to_string(level);
    line += R"(","time":")" + date(time, "%Y-%m-%dT%H:%M:%S") + fraction.data();
    line += R"(","msg":)" + json_quote(event);
    line += R"(,"pid":)" + std::to_string(::getpid());
    line += R"(,"func":"","file":"","source":)" + json_quote(source);
    for (const auto& field : fields) line += "," + json_quote(field.name + (is_taken(field.name) ? "_" : "")) + ":" + as_json(field.value);
    return line += "}";
}

std::string human_line(const WallTime& time, Level level, std::string_view event, const Fields& fields) {
    constexpr std::array<const char*, 4> names{"DEBUG", "INFO ", "WARN ", "ERROR"};
    std::string line = date(time, "%H:%M:%S ") + names[static_cast<std::size_t>(level)] + " " + std::string(event);
    for (const auto& field : fields) line += " " + field.name + "=" + as_text(field.value);
    return line;
}

struct EventLog::Impl {
    Impl(const Clock& wall, Options chosen) : clock(wall), options(std::move(chosen)) {}

    static std::unique_ptr<spdlog::logger> logger(spdlog::sink_ptr sink) {
        auto made = std::make_unique<spdlog::logger>("", std::move(sink));
        made->set_formatter(std::make_unique<spdlog::pattern_formatter>("%v"));
        made->set_error_handler([](const std::string&) {});  // a full disk must not stop the node, nor flood stderr
        made->flush_on(spdlog::level::trace);
        return made;
    }

    const Clock& clock;
    Options options;  // the levels, too: guarded by `mutex`
    std::map<std::string, Level, std::less<>> levels;
    std::mutex mutex;
    std::unique_ptr<spdlog::logger> file;
    std::unique_ptr<spdlog::logger> people;
};

EventLog::EventLog(const Clock& clock, Options options) : impl_(std::make_unique<Impl>(clock, std::move(options))) {
    auto& impl = *impl_;
    impl.people = Impl::logger(std::make_shared<spdlog::sinks::stderr_sink_mt>());
    if (impl.options.path.empty()) return;
    const auto& path = impl.options.path;
    ::mkdir(path.substr(0, path.rfind('/')).c_str(), 0700);  // private, which spdlog would not make it
    try {
        impl.file = Impl::logger(std::make_shared<spdlog::sinks::rotating_file_sink_mt>(path, impl.options.file_bytes, 1));
    } catch (const spdlog::spdlog_ex& error) {
        write(Level::error, "log.no_file", {{"path", path}, {"error", error.what()}, {"hint", "evectl events will show nothing"}});
    }
}

EventLog::~EventLog() = default;

void EventLog::write(Level level, std::string_view event, Fields fields) { write_as(impl_->options.source, level, event, fields); }

void EventLog::write_as(std::string_view source, Level level, std::string_view event, const Fields& fields) {
    auto& impl = *impl_;
    bool to_file = false;
    bool to_people = false;
    {
        const std::lock_guard lock(impl.mutex);
        const auto own = impl.levels.find(event.substr(0, event.find('.')));
        const bool has_own = own != impl.levels.end();
        to_file = impl.file && level >= (has_own ? own->second : impl.options.file_level);
        to_people = impl.options.stderr_level && level >= (has_own ? own->second : *impl.options.stderr_level);
    }
    if (!to_file && !to_people) return;
    const auto time = impl.clock.wall_now();
    // "{}": what is logged is data, not a format.
    if (to_file) impl.file->log(spdlog::level::critical, "{}", json_line(time, level, source, event, fields));
    if (to_people) impl.people->log(spdlog::level::critical, "{}", human_line(time, level, event, fields));
}

void EventLog::set_file_level(Level level) {
    const std::lock_guard lock(impl_->mutex);
    impl_->options.file_level = level;
}

void EventLog::set_stderr_level(std::optional<Level> level) {
    const std::lock_guard lock(impl_->mutex);
    impl_->options.stderr_level = level;
}

void EventLog::set_level_of(const std::string& prefix, std::optional<Level> level) {
    const std::lock_guard lock(impl_->mutex);
    if (level) {
        impl_->levels[prefix] = *level;
    } else {
        impl_->levels.erase(prefix);
    }
}

class NamedLog final : public Log {
public:
    NamedLog(EventLog& log, std::string source) : log_(log), source_(std::move(source)) {}
    using Log::write;
    void write(Level level, std::string_view event, Fields fields) override { log_.write_as(source_, level, event, fields); }

private:
    EventLog& log_;
    std::string source_;
};

std::unique_ptr<Log> EventLog::in_name_of(std::string source) { return std::make_unique<NamedLog>(*this, std::move(source)); }

}  // namespace eve
