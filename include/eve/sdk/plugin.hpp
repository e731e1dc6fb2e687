#pragma once
// EVE_PLUGIN: makes a class that implements an interface of eve/ into a plugin. Included by one file of a plugin.
//
//     class BoardHypervisor final : public eve::Hypervisor {
//     public:
//         explicit BoardHypervisor(eve::HostServices& host);   // may throw; or: static Result<std::unique_ptr<BoardHypervisor>> open(HostServices&)
//         ...
//     };
//     EVE_PLUGIN(BoardHypervisor, .id = "com.example.board", .version = "1.2.0")

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "eve/abi.h"
#include "eve/host.hpp"
#include "eve/sdk/call.hpp"
#include "eve/sdk/codec.hpp"
#include "eve/sdk/serve.hpp"

namespace eve {
EVE_SDK_NAMESPACE {
namespace sdk {

/// What an author says of a plugin.
struct PluginInfo {
    const char* id;       ///< reversed domain name: "com.example.board"
    const char* version;  ///< for people
};

#if defined(__clang__)
#define EVE_SDK_COMPILER "clang " __clang_version__
#else
#define EVE_SDK_COMPILER "gcc " __VERSION__
#endif

/// The node's services as seen through its C table.
class HostProxy final : public HostServices {
public:
    /// Keeps its own copies of the directories.
    static Result<std::unique_ptr<HostProxy>> open(const eve_host& host, const eve_request& request) {
        auto proxy = std::unique_ptr<HostProxy>(new HostProxy(host));
        // `config` belongs to the plugin: it is taken out before the rest is checked.
        auto json = detail::parse({request.body, static_cast<std::size_t>(request.body_size)}, Strictness::must_understand);
        if (!json) return std::move(json).error();
        if (const auto own = json->find("config"); own != json->end()) {
            proxy->config_.config = detail::text_of(*own);
            json->erase("config");
        }
        detail::Walk walk{.strictness = Strictness::must_understand};
        if (request.fd_count > 0) walk.fds.assign(request.fds, request.fds + request.fd_count);
        message::Open body;
        if (!detail::read(*json, body, walk)) return std::move(*walk.error);
        proxy->config_.node = body.node;
        const auto keep = [](Fd from, Fd& to) { return from.fd < 0 || (to.fd = ::fcntl(from.fd, F_DUPFD_CLOEXEC, 3)) >= 0; };
        if (!keep(body.state_dir, proxy->config_.state_dir) || !keep(body.run_dir, proxy->config_.run_dir) ||
            !keep(body.sysfs, proxy->config_.sysfs))
            return Error{.code = Code::resource_exhausted, .what = "a directory's descriptor could not be kept"};
        return proxy;
    }
    ~HostProxy() override {
        for (const Fd dir : {config_.state_dir, config_.run_dir, config_.sysfs})
            if (dir.fd >= 0) ::close(dir.fd);
    }
    HostProxy(const HostProxy&) = delete;
    HostProxy& operator=(const HostProxy&) = delete;

    const PluginConfig& config() const override { return config_; }

    void log(LogLevel level, std::string_view event, std::vector<LogField> fields) override {
        (void)tell("host/1.log", message::LogEvent{.level = level, .event = std::string(event), .fields = std::move(fields)});
    }
    void emit(DomainEvent event) override {
        event.seq = events_.fetch_add(1) + 1;
        (void)tell("host/1.event", event);
    }
    Result<SpawnedProcess> spawn(const GuestProcess& process) override {
        return call<SpawnedProcess>(peer(), "host/1.spawn", process, {.deadline_ns = deadline_after(std::chrono::seconds{30})});
    }
    Result<HostDescription> describe() override {
        return call<HostDescription>(peer(), "host/1.describe", message::Empty{}, {.deadline_ns = deadline_after(std::chrono::seconds{10})});
    }

private:
    explicit HostProxy(const eve_host& host) : host_(host) {}

    Peer peer() { return {.call = host_.call, .self = host_.self, .ids = &ids_}; }
    template <class Record> Status tell(const char* method, const Record& record) {
        auto told = call<message::Empty>(peer(), method, record,
                                         {.deadline_ns = deadline_after(std::chrono::seconds{5}),
                                          .request_size_max = EVE_EVENT_SIZE_MAX,
                                          .strictness = Strictness::must_ignore});
        if (!told) return std::move(told).error();
        return {};
    }

    eve_host host_;
    PluginConfig config_;
    std::atomic<std::uint64_t> ids_{0};
    std::atomic<std::uint64_t> events_{0};
};

/// The C functions around a plugin's class.
template <class Class> struct Glue {
    static_assert(serves_something<Class>, "the class implements an interface of eve/: Hypervisor, Pci, Board");

    struct Instance {
        std::unique_ptr<HostProxy> host;
        std::unique_ptr<Class> plugin;  // destroyed before the host it uses
    };

    static Result<std::unique_ptr<Class>> make(HostServices& host) {
        if constexpr (requires { Class::open(host); }) return Class::open(host);
        else return std::make_unique<Class>(host);
    }

    static void* open(const eve_host* host, const eve_request* config, eve_reply* error) noexcept {
        void* opened = nullptr;
        guarded(*error, [&]() -> std::int32_t {
            if (host->abi_major != EVE_ABI_MAJOR)
                return answer_error(*error, Error{.code = Code::unsupported, .what = "the host's ABI has another major number"});
            auto instance = std::make_unique<Instance>();
            auto proxy = HostProxy::open(*host, *config);
            if (!proxy) return answer_error(*error, proxy.error());
            instance->host = std::move(*proxy);
            auto plugin = make(*instance->host);
            if (!plugin) return answer_error(*error, plugin.error());
            instance->plugin = std::move(*plugin);
            opened = instance.release();
            return EVE_OK;
        });
        return opened;
    }

    static std::int32_t call(void* self, const eve_request* request, eve_reply* reply) noexcept {
        return guarded(*reply, [&] { return serve(*static_cast<Instance*>(self)->plugin, eve_plugin_entry_v1, *request, *reply); });
    }

    static void close(void* self) noexcept { delete static_cast<Instance*>(self); }
};

/// The one exported object.
template <class Class> constexpr eve_plugin_entry entry(PluginInfo info) {
    return {.magic = EVE_ABI_MAGIC,
            .size = sizeof(eve_plugin_entry),
            .abi_major = EVE_ABI_MAJOR,
            .abi_minor = EVE_ABI_MINOR,
            .host_abi_minor_min = 0,
            .id = info.id,
            .version = info.version,
            .interfaces = interface_names<Class>.data(),
            .built_with = "SDK 1.0, " EVE_SDK_COMPILER,
            .open = &Glue<Class>::open,
            .call = &Glue<Class>::call,
            .close = &Glue<Class>::close};
}

}  // namespace sdk
}  // EVE_SDK_NAMESPACE
}  // namespace eve

/// At namespace scope, once per plugin: exports Class with `.id` and `.version`.
#define EVE_PLUGIN(Class, ...) \
    extern "C" { constexpr eve_plugin_entry eve_plugin_entry_v1 = ::eve::sdk::entry<Class>(::eve::sdk::PluginInfo{__VA_ARGS__}); }
