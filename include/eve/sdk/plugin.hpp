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

#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "eve/abi.h"
#include "eve/host.hpp"
#include "eve/hypervisor.hpp"
#include "eve/sdk/call.hpp"
#include "eve/sdk/codec.hpp"

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

inline constexpr std::array hypervisor_methods = {"hypervisor/1.describe", "hypervisor/1.probe",   "hypervisor/1.validate", "hypervisor/1.create",
                                                  "hypervisor/1.start",    "hypervisor/1.stop",    "hypervisor/1.destroy",  "hypervisor/1.inspect",
                                                  "hypervisor/1.list",     "hypervisor/1.stats"};

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

inline Result<message::Observed> observed(Result<DomainInfo> info) {
    if (!info) return std::move(info).error();
    return message::Observed{.domain = std::move(*info)};
}

/// Answers one call of hypervisor/1.
inline std::int32_t dispatch(Hypervisor& hypervisor, const eve_plugin_entry& entry, const eve_request& request, eve_reply& reply) {
    const std::string_view method = request.method;
    const RequestContext context(request);
    constexpr auto strict = Strictness::must_understand;
    const auto with = [&]<class Body>(std::type_identity<Body>, auto step) -> std::int32_t {
        auto body = read_request<Body>(request, strict);
        if (!body) return answer_error(reply, body.error());
        return answer(reply, step(*body));
    };
    using message::Empty, message::WithId, message::WithSpec;
    if (method == "hypervisor/1.describe")
        return with(std::type_identity<Empty>{}, [&](const Empty&) -> Result<Description> {
            auto description = hypervisor.describe(context);
            if (!description) return description;
            description->id = entry.id;
            description->version = entry.version;
            description->methods.assign(hypervisor_methods.begin(), hypervisor_methods.end());
            return description;
        });
    if (method == "hypervisor/1.probe")
        return with(std::type_identity<Empty>{}, [&](const Empty&) { return hypervisor.probe(context); });
    if (method == "hypervisor/1.validate")
        return with(std::type_identity<WithSpec>{}, [&](const WithSpec& body) -> Result<message::Problems> {
            auto problems = hypervisor.validate(context, body.spec);
            if (!problems) return std::move(problems).error();
            return message::Problems{.problems = std::move(*problems)};
        });
    if (method == "hypervisor/1.create")
        return with(std::type_identity<WithSpec>{}, [&](const WithSpec& body) { return observed(hypervisor.create(context, body.spec)); });
    if (method == "hypervisor/1.start")
        return with(std::type_identity<WithId>{}, [&](const WithId& body) { return observed(hypervisor.start(context, body.id)); });
    if (method == "hypervisor/1.stop")
        return with(std::type_identity<message::Stop>{},
                    [&](const message::Stop& body) { return observed(hypervisor.stop(context, body.id, body.mode)); });
    if (method == "hypervisor/1.destroy")
        return with(std::type_identity<message::Destroy>{},
                    [&](const message::Destroy& body) { return observed(hypervisor.destroy(context, body.id, body.mode)); });
    if (method == "hypervisor/1.inspect")
        return with(std::type_identity<WithId>{}, [&](const WithId& body) { return observed(hypervisor.inspect(context, body.id)); });
    if (method == "hypervisor/1.list")
        return with(std::type_identity<Empty>{}, [&](const Empty&) -> Result<message::Observations> {
            auto domains = hypervisor.list(context);
            if (!domains) return std::move(domains).error();
            return message::Observations{.domains = std::move(*domains)};
        });
    if (method == "hypervisor/1.stats")
        return with(std::type_identity<Empty>{}, [&](const Empty&) { return hypervisor.stats(context); });
    return answer_error(reply, Error{.code = Code::unsupported, .what = "method " + std::string(method) + " is not known to this side"});
}

/// The C functions around a plugin's class.
template <class Class> struct Glue {
    static_assert(std::is_base_of_v<Hypervisor, Class>, "the class implements eve::Hypervisor");

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
        return guarded(*reply, [&] { return dispatch(*static_cast<Instance*>(self)->plugin, eve_plugin_entry_v1, *request, *reply); });
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
            .interfaces = "hypervisor/1",
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
