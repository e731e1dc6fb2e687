#include "core/plugin/hypervisor_client.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "core/plugin/caller.hpp"
#include "core/plugin/frame.hpp"

namespace eve::plugin {
namespace {

Result<DomainInfo> domain_of(Result<message::Observed> observed) {
    if (!observed) return std::move(observed).error();
    return std::move(observed->domain);
}

}  // namespace

template <class Reply, class Request>
Result<Reply> HypervisorClient::ask(const char* method, const CallContext& call, const Request& request) {
    return Caller{plugin_, description_.methods, ids_}.ask<Reply>(method, call, request);
}

Result<std::unique_ptr<HypervisorClient>> HypervisorClient::connect(Plugin& plugin, const CallContext& call) {
    auto client = std::unique_ptr<HypervisorClient>(new HypervisorClient(plugin));
    auto described = client->describe(call);
    if (!described) return std::move(described).error().in("describe " + plugin.identity().id);
    client->description_ = std::move(*described);
    return client;
}

Result<Description> HypervisorClient::describe(const CallContext& call) { return ask<Description>("hypervisor/1.describe", call, message::Empty{}); }

Result<ProbeReport> HypervisorClient::probe(const CallContext& call) {
    return ask<ProbeReport>("hypervisor/1.probe", call, message::Empty{});
}

Result<std::vector<Problem>> HypervisorClient::validate(const CallContext& call, const DomainSpec& spec) {
    auto problems = ask<message::Problems>("hypervisor/1.validate", call, message::WithSpec{spec});
    if (!problems) return std::move(problems).error();
    return std::move(problems->problems);
}

Result<DomainInfo> HypervisorClient::create(const CallContext& call, const DomainSpec& spec) {
    return domain_of(ask<message::Observed>("hypervisor/1.create", call, message::WithSpec{spec}));
}

Result<DomainInfo> HypervisorClient::start(const CallContext& call, const DomainId& id) {
    return domain_of(ask<message::Observed>("hypervisor/1.start", call, message::WithId{id}));
}

Result<DomainInfo> HypervisorClient::stop(const CallContext& call, const DomainId& id, StopMode mode) {
    return domain_of(ask<message::Observed>("hypervisor/1.stop", call, message::Stop{id, mode}));
}

Result<DomainInfo> HypervisorClient::destroy(const CallContext& call, const DomainId& id, DestroyMode mode) {
    return domain_of(ask<message::Observed>("hypervisor/1.destroy", call, message::Destroy{id, mode}));
}

Result<DomainInfo> HypervisorClient::inspect(const CallContext& call, const DomainId& id) {
    return domain_of(ask<message::Observed>("hypervisor/1.inspect", call, message::WithId{id}));
}

Result<std::vector<DomainInfo>> HypervisorClient::list(const CallContext& call) {
    auto domains = ask<message::Observations>("hypervisor/1.list", call, message::Empty{});
    if (!domains) return std::move(domains).error();
    return std::move(domains->domains);
}

Result<Stats> HypervisorClient::stats(const CallContext& call) { return ask<Stats>("hypervisor/1.stats", call, message::Empty{}); }

TimedCall::TimedCall(std::chrono::nanoseconds limit) : deadline_ns_(monotonic_after(limit.count())) {}

std::chrono::nanoseconds TimedCall::time_left() const {
    if (deadline_ns_ == std::numeric_limits<std::int64_t>::max()) return std::chrono::nanoseconds::max();
    return std::chrono::nanoseconds(std::max<std::int64_t>(deadline_ns_ - monotonic_ns(), 0));
}

}  // namespace eve::plugin
