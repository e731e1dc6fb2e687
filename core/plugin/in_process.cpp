#include <poll.h>

#include <algorithm>
#include <utility>

#include "core/plugin/entry.hpp"
#include "core/plugin/frame.hpp"
#include "core/plugin/host_endpoint.hpp"
#include "core/plugin/plugin.hpp"

namespace eve::plugin {
namespace {

/// Collects the body of a refused open.
struct ErrorText {
    std::string body;
    eve_reply table() {
        return {.size = sizeof(eve_reply),
                .reserved = 0,
                .to = this,
                .body = [](void* to, const char* json, std::uint64_t size) -> std::int32_t {
                    if (size > EVE_REPLY_SIZE_MAX) return -1;
                    static_cast<ErrorText*>(to)->body.assign(json == nullptr ? "" : json, json == nullptr ? 0 : size);
                    return 0;
                },
                .fd = [](void*, int) -> std::int32_t { return -1; }};
    }
};

class InProcessPlugin final : public Plugin {
public:
    InProcessPlugin(const eve_plugin_entry& entry, const OpenOptions& options)
        : entry_(entry),
          endpoint_(options.host),
          slots_(options.calls_in_flight_max),
          identity_{.id = entry.id,
                    .version = entry.version,
                    .interfaces = entry.interfaces,
                    .built_with = entry.built_with,
                    .abi = std::to_string(entry.abi_major) + "." + std::to_string(entry.abi_minor)} {}
    ~InProcessPlugin() override {
        if (instance_ != nullptr) entry_.close(instance_);
    }

    Status open(const PluginConfig& config) {
        const auto body = encode_open(config);
        if (!body) return body.error();
        const eve_request request{.size = sizeof(eve_request),
                                  .fd_count = static_cast<std::uint32_t>(body->fds.size()),
                                  .method = "open",
                                  .body = body->body.data(),
                                  .body_size = body->body.size(),
                                  .fds = body->fds.data(),
                                  .id = 0,
                                  .deadline_ns = std::numeric_limits<std::int64_t>::max(),
                                  .cancel_fd = -1,
                                  .reserved = 0};
        ErrorText error;
        auto reply = error.table();
        instance_ = entry_.open(&endpoint_.table(), &request, &reply);
        if (instance_ == nullptr) return open_error(error.body).in("open " + identity_.id);
        return {};
    }

    std::int32_t call(const eve_request& request, eve_reply& reply) override {
        if (!slots_.take(request.deadline_ns, request.cancel_fd))
            return answer_failure(reply, {.code = Code::timed_out, .what = "the plugin was busy with other calls; nothing was done"});
        const auto number = entry_.call(instance_, &request, &reply);
        slots_.give();
        return number;
    }
    const Identity& identity() const override { return identity_; }
    std::uint32_t generation() const override { return 1; }
    std::string trouble() const override { return {}; }
    std::int64_t host_pid() const override { return ::getpid(); }

private:
    const eve_plugin_entry& entry_;
    HostEndpoint endpoint_;
    CallSlots slots_;
    Identity identity_;
    void* instance_ = nullptr;
};

}  // namespace

bool CallSlots::take(std::int64_t deadline_ns, int cancel_fd) {
    constexpr std::int64_t look_every_ns = 100'000'000;
    std::unique_lock lock(mutex_);
    while (free_ == 0) {
        const auto now = monotonic_ns();
        if (now >= deadline_ns) return false;
        pollfd wait{.fd = cancel_fd, .events = POLLIN, .revents = 0};
        if (cancel_fd >= 0 && ::poll(&wait, 1, 0) > 0) return false;
        freed_.wait_for(lock, std::chrono::nanoseconds(std::min(look_every_ns, deadline_ns - now)));
    }
    --free_;
    return true;
}

void CallSlots::give() {
    const std::lock_guard lock(mutex_);
    ++free_;
    freed_.notify_one();
}

Result<std::unique_ptr<Plugin>> open_in_process(const OpenOptions& options) {
    const auto entry = load_entry(options.file);
    if (!entry) return entry.error();
    auto plugin = std::make_unique<InProcessPlugin>(**entry, options);
    if (auto opened = plugin->open(options.host.config()); !opened) return std::move(opened).error();
    return Result<std::unique_ptr<Plugin>>(std::move(plugin));
}

}  // namespace eve::plugin
