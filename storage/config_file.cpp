#include "storage/config_file.hpp"

#include <sys/inotify.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "core/zedagent/parse.hpp"
#include "storage/durable_file.hpp"

namespace eve::storage {
namespace {

constexpr const char* config_directory = "/config";
constexpr const char* config_name = "device-config";
constexpr const char* checkpoint_directory = "/persist/checkpoint";
constexpr std::size_t local_commands_bytes_max = std::size_t{1} << 20;
constexpr std::size_t seal_bytes_max = 64;
constexpr std::chrono::seconds watch_retry{10};
constexpr std::uint32_t events =
    IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR | IN_DONT_FOLLOW;

bool is_json(std::string_view bytes) {
    const auto first = bytes.find_first_not_of(" \t\r\n");
    return first != std::string_view::npos && bytes[first] == '{';
}

const char* name_of(zedagent::Checkpoint which) {
    switch (which) {
        case zedagent::Checkpoint::last: return "lastconfig";
        case zedagent::Checkpoint::backup: return "lastconfig.bak";
        case zedagent::Checkpoint::local_commands: return "appCommands";
    }
    return "";
}

}  // namespace

Result<std::string> ConfigFiles::read_config() {
    auto directory = DurableDirectory::open(root_.path(config_directory));
    if (!directory) return std::move(directory).error();
    // One byte more than is parsed, so that the parser says what is too large.
    return directory->read(config_name, zedagent::config_bytes_max + 1);
}

Result<std::string> ConfigFiles::read_checkpoint(zedagent::Checkpoint which) {
    auto directory = DurableDirectory::open(root_.path(checkpoint_directory));
    if (!directory) return std::move(directory).error();
    if (which == zedagent::Checkpoint::last) directory->remove_temporaries();  // read once, before anything is written
    const auto bytes_max = which == zedagent::Checkpoint::local_commands ? local_commands_bytes_max : zedagent::config_bytes_max;
    auto file = directory->read(name_of(which), bytes_max + seal_bytes_max);
    if (!file) return file;
    const auto whole = directory->path() + "/" + name_of(which);
    if (file->empty()) return Error{.code = Code::failed_precondition, .what = whole + " is empty"};
    auto content = unseal_protobuf(std::move(*file));
    if (content && is_json(*content)) content = unseal_json(std::move(*content));
    if (!content) return std::move(content).error().in(whole);
    return content;
}

Status ConfigFiles::write_checkpoint(zedagent::Checkpoint which, const std::string& bytes) {
    auto directory = DurableDirectory::make(root_.path(checkpoint_directory));
    if (!directory) return std::move(directory).error();
    return directory->write(name_of(which), is_json(bytes) ? seal_json(bytes) : seal_protobuf(bytes));
}

void ConfigWatch::start(std::function<void()> changed) {
    stop();
    changed_ = std::move(changed);
    open();
}

void ConfigWatch::stop() {
    if (watch_) loop_.unwatch(*std::exchange(watch_, std::nullopt));
    if (retry_) loop_.cancel(*std::exchange(retry_, std::nullopt));
    inotify_ = UniqueFd();
    changed_ = nullptr;
}

void ConfigWatch::open() {
    const auto path = root_.path(config_directory);
    auto directory = DurableDirectory::make(path);
    UniqueFd inotify(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    if (directory && inotify && inotify_add_watch(inotify.get(), path.c_str(), events) >= 0) {
        inotify_ = std::move(inotify);
        watch_ = loop_.watch(inotify_.get(), Ready::readable, [this] { on_events(); });
        return;
    }
    const std::string error = directory ? std::strerror(errno) : directory.error().what;
    log_.write(Level::warn, "config.watch_failed", {{"path", path}, {"error", error}});
    retry_ = loop_.after(watch_retry, [this] {
        retry_.reset();
        open();
        if (changed_) changed_();
    });
}

void ConfigWatch::on_events() {
    alignas(inotify_event) char buffer[4096];
    bool changed = false;
    bool lost = false;
    for (;;) {
        const auto length = read(inotify_.get(), buffer, sizeof buffer);
        if (length <= 0) break;
        for (std::size_t at = 0; at + sizeof(inotify_event) <= static_cast<std::size_t>(length);) {
            inotify_event event;
            std::memcpy(&event, buffer + at, sizeof event);
            const char* name = event.len > 0 ? buffer + at + sizeof(inotify_event) : "";
            lost = lost || (event.mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED)) != 0;
            changed = changed || lost || (event.mask & IN_Q_OVERFLOW) != 0 || std::strcmp(name, config_name) == 0;
            at += sizeof(inotify_event) + event.len;
        }
    }
    if (lost) {
        loop_.unwatch(*std::exchange(watch_, std::nullopt));
        inotify_ = UniqueFd();
        open();
    }
    if (changed && changed_) changed_();
}

}  // namespace eve::storage
