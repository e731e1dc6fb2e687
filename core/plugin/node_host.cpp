#include "core/plugin/node_host.hpp"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <cstring>
#include <filesystem>
#include <utility>

namespace eve::plugin {
namespace {

Result<UniqueFd> open_dir(const std::string& path, bool make) {
    if (make) {
        std::error_code failure;
        std::filesystem::create_directories(std::filesystem::path(path).parent_path(), failure);
        if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST)
            return Error{.code = Code::failed_precondition, .what = path + ": " + std::strerror(errno)};
    }
    UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd) return Error{.code = Code::failed_precondition, .what = path + ": " + std::strerror(errno)};
    return fd;
}

Level level_of(LogLevel level) {
    switch (level) {
        case LogLevel::debug: return Level::debug;
        case LogLevel::warn: return Level::warn;
        case LogLevel::error: return Level::error;
        case LogLevel::info:
        case LogLevel::unknown: return Level::info;
    }
    return Level::info;
}

/// An event's name as the log wants it, whatever a plugin sent.
std::string event_name(std::string_view given) {
    constexpr std::size_t size_max = 64;
    std::string name = "plugin.";
    for (const char c : given.substr(0, size_max)) name += (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ? c : '_';
    return name;
}

}  // namespace

Result<std::unique_ptr<NodeHost>> NodeHost::open(const NodeHostOptions& options, Deps deps) {
    auto host = std::unique_ptr<NodeHost>(new NodeHost(options, std::move(deps)));
    auto state = open_dir(options.state_dir, true);
    if (!state) return std::move(state).error().in("directory of plugin " + options.plugin);
    auto run = open_dir(options.run_dir, true);
    if (!run) return std::move(run).error().in("directory of plugin " + options.plugin);
    auto sysfs = open_dir(options.sysfs, false);
    if (!sysfs) return std::move(sysfs).error();
    host->state_dir_ = std::move(*state);
    host->run_dir_ = std::move(*run);
    host->sysfs_ = std::move(*sysfs);
    host->config_ = {.node = options.node,
                     .state_dir = {host->state_dir_.get()},
                     .run_dir = {host->run_dir_.get()},
                     .sysfs = {host->sysfs_.get()},
                     .config = options.config};
    return host;
}

void NodeHost::log(LogLevel level, std::string_view event, std::vector<LogField> fields) {
    constexpr std::size_t fields_max = 32;
    Fields out{{"plugin", options_.plugin}};
    for (auto& field : fields) {
        if (out.size() > fields_max) break;
        std::visit([&](auto& value) { out.emplace_back(field.name, std::move(value)); }, field.value);
    }
    deps_.log.write(level_of(level), event_name(event), std::move(out));
}

void NodeHost::emit(DomainEvent event) {
    if (deps_.on_event) deps_.on_event(std::move(event));
}

Result<SpawnedProcess> NodeHost::spawn(const GuestProcess& process) { return spawn_kept(options_.keeper, process); }

Result<HostDescription> NodeHost::describe() {
    return HostDescription{.version = options_.version, .guest_uid = options_.guest_uid, .guest_gid = options_.guest_gid};
}

}  // namespace eve::plugin
