#pragma once
// The runtime of domains that Xen runs. What it must remember lies in a directory for each domain and beside the domain in libxl; every call
// finds the truth there and in Xen, so that another life of the plugin sees the same.

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "common/limit.hpp"
#include "common/unique_fd.hpp"
#include "config.hpp"
#include "eve/hypervisor.hpp"
#include "records.hpp"
#include "xen.hpp"

namespace eve::xen {

/// hypervisor/1 by Xen.
class XenHypervisor final : public Hypervisor {
public:
    /// An instance on the directories of `host`, which outlives it.
    static Result<std::unique_ptr<XenHypervisor>> open(HostServices& host);
    /// The same on another Xen.
    static Result<std::unique_ptr<XenHypervisor>> open_on(HostServices& host, const std::function<std::unique_ptr<Xen>(const Settings&)>& make_xen);
    ~XenHypervisor() override;

    Result<Description> describe(const CallContext& call) override;
    Result<ProbeReport> probe(const CallContext& call) override;
    Result<std::vector<Problem>> validate(const CallContext& call, const DomainSpec& spec) override;
    Result<DomainInfo> create(const CallContext& call, const DomainSpec& spec) override;
    Result<DomainInfo> start(const CallContext& call, const DomainId& id) override;
    Result<DomainInfo> stop(const CallContext& call, const DomainId& id, StopMode mode) override;
    Result<DomainInfo> destroy(const CallContext& call, const DomainId& id, DestroyMode mode) override;
    Result<DomainInfo> inspect(const CallContext& call, const DomainId& id) override;
    Result<std::vector<DomainInfo>> list(const CallContext& call) override;
    Result<Stats> stats(const CallContext& call) override;

private:
    XenHypervisor(HostServices& host, Settings settings, plugins::UniqueFd domains, std::unique_ptr<Xen> xen);

    /// A domain that exists for the plugin: its directory, what is written there, and what Xen says.
    struct Found {
        plugins::UniqueFd directory;
        Result<DomainRecord> record;
        std::optional<SeenDomain> seen;
    };
    Result<Found> find(const DomainId& id, const std::vector<SeenDomain>& all);
    Result<Found> find(const DomainId& id);
    Result<void> adopt(const std::vector<SeenDomain>& all, const Limit& limit);
    DomainInfo info_of(const DomainId& id, const Found& found) const;
    Result<DomainInfo> look(const DomainId& id);

    Result<std::unique_lock<std::timed_mutex>> alone(const Limit& limit);
    Status prepared(const DomainSpec& spec, Facts& facts, const Limit& limit);
    Status make(DomainRecord& record, int directory, const Limit& limit);
    Status run(DomainRecord& record, int directory, const Limit& limit);
    Status clear(const DomainId& id, const Limit& limit);
    void notice(std::uint32_t domid);
    Status reboot(const DomainId& id);

    HostServices& host_;
    Settings settings_;
    plugins::UniqueFd domains_;
    std::timed_mutex changing_;  // held while anything is changed in Xen: one step at a time
    std::unique_ptr<Xen> xen_;   // last: it ends its thread first
};

}  // namespace eve::xen
