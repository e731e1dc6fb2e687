#include "core/plugin/host_endpoint.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "core/plugin/plugin.hpp"
#include "eve/sdk/call.hpp"
#include "eve/sdk/codec.hpp"

namespace eve::plugin {
namespace {

constexpr std::array methods = {"host/1.event", "host/1.log", "host/1.spawn", "host/1.describe"};

std::int32_t dispatch(HostServices& services, const eve_request& request, eve_reply& reply) {
    const std::string_view method = request.method == nullptr ? "" : request.method;
    using sdk::Strictness;
    if (method == "host/1.log" || method == "host/1.event") {
        if (request.body_size > EVE_EVENT_SIZE_MAX)
            return sdk::answer_error(reply, Error{.code = Code::resource_exhausted, .what = "the event is over the limit of 16 KiB"});
        if (method == "host/1.log") {
            auto event = sdk::read_request<message::LogEvent>(request, Strictness::must_ignore);
            if (!event) return sdk::answer_error(reply, event.error());
            services.log(event->level, event->event, std::move(event->fields));
        } else {
            auto event = sdk::read_request<DomainEvent>(request, Strictness::must_ignore);
            if (!event) return sdk::answer_error(reply, event.error());
            services.emit(std::move(*event));
        }
        return sdk::answer(reply, Result<message::Empty>(message::Empty{}));
    }
    if (method == "host/1.spawn") {
        const auto process = sdk::read_request<GuestProcess>(request, Strictness::must_understand);
        if (!process) return sdk::answer_error(reply, process.error());
        return sdk::answer(reply, services.spawn(*process));
    }
    if (method == "host/1.describe") {
        if (const auto body = sdk::read_request<message::Empty>(request, Strictness::must_understand); !body)
            return sdk::answer_error(reply, body.error());
        auto described = services.describe();
        if (described) described->methods.assign(methods.begin(), methods.end());
        return sdk::answer(reply, described);
    }
    return sdk::answer_error(reply, Error{.code = Code::unsupported, .what = "method " + std::string(method) + " is not known to this side"});
}

}  // namespace

HostEndpoint::HostEndpoint(HostServices& services)
    : services_(services),
      table_{.size = sizeof(eve_host),
             .abi_major = EVE_ABI_MAJOR,
             .abi_minor = EVE_ABI_MINOR,
             .self = this,
             .call = [](void* self, const eve_request* request, eve_reply* reply) -> std::int32_t {
                 return static_cast<HostEndpoint*>(self)->call(*request, *reply);
             }} {}

std::int32_t HostEndpoint::call(const eve_request& request, eve_reply& reply) noexcept {
    return sdk::guarded(reply, [&] { return dispatch(services_, request, reply); });
}

bool HostEndpoint::is_quick(const std::string& method) { return method == "host/1.log" || method == "host/1.event"; }

Result<OpenRequest> encode_open(const PluginConfig& config) {
    const message::Open open{.node = config.node, .state_dir = config.state_dir, .run_dir = config.run_dir, .sysfs = config.sysfs};
    sdk::detail::Walk walk{.strictness = sdk::Strictness::must_understand};
    nlohmann::json json;
    if (!sdk::detail::write(json, open, walk)) return std::move(*walk.error);
    if (!config.config.empty()) {
        auto own = sdk::detail::parse(config.config, sdk::Strictness::must_understand);
        if (!own) return std::move(own).error().in("plugin configuration");
        json["config"] = std::move(*own);
    }
    OpenRequest request{.body = sdk::detail::text_of(json), .fds = std::move(walk.fds)};
    if (request.body.size() > EVE_REQUEST_SIZE_MAX)
        return Error{.code = Code::invalid_argument, .what = "the plugin's configuration is over 256 KiB"};
    return request;
}

Error open_error(const std::string& body) {
    auto error = sdk::decode_error(EVE_INTERNAL, body);
    if (const auto failure = sdk::decode<message::Failure>(body, sdk::Strictness::must_ignore, {}); failure && !failure->code.empty())
        error.code = code_from_string(failure->code);
    return error;
}

std::int32_t answer_failure(eve_reply& reply, const Error& error) {
    return sdk::guarded(reply, [&] { return sdk::answer_error(reply, error); });
}

}  // namespace eve::plugin
