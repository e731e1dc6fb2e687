#pragma once
// The runtime of domains that are containers of containerd. It keeps nothing in memory that it needs: every call finds a container's truth in
// containerd and in the container's directory, so that another life of the plugin sees the same.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "containerd/cgroup.hpp"
#include "containerd/containerd_api.hpp"
#include "containerd/content.hpp"
#include "containerd/exec.hpp"
#include "containerd/host_interfaces.hpp"
#include "containerd/network.hpp"
#include "containerd/records.hpp"
#include "eve/content.hpp"
#include "eve/cpus.hpp"
#include "eve/exec.hpp"
#include "eve/hypervisor.hpp"
#include "common/unique_fd.hpp"

namespace eve::containerd {

/// hypervisor/1, exec/1 and cpus/1 for containers, content/1 for their images.
class ContainerHypervisor final : public Hypervisor, public Exec, public Cpus, public Content {
public:
    /// The world as this class meets it.
    struct Deps {
        std::unique_ptr<ContainerdApi> containerd;
        std::unique_ptr<ContentApi> content;
        std::unique_ptr<ContainerNetwork> network;
        std::unique_ptr<HostInterfaces> interfaces;
        std::string console_logger;  ///< the program that keeps containers' logs, for containerd to start
    };
    /// An instance on the directories of `host`, which outlives it.
    static Result<std::unique_ptr<ContainerHypervisor>> open(HostServices& host, Settings settings, Deps deps);
    /// The same as the node opens it: settings from the host, the true containerd and network.
    static Result<std::unique_ptr<ContainerHypervisor>> open(HostServices& host);
    ~ContainerHypervisor() override;

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
    Result<ExecStarted> exec(const CallContext& call, const ExecRequest& request) override;
    Status confine(const CallContext& call, const CpuConfinement& confinement) override;
    Result<ContentInfo> stat(const CallContext& call, const std::string& digest) override { return content_.stat(call, digest); }
    Result<ContentWritten> write(const CallContext& call, const ContentWrite& content) override { return content_.write(call, content); }
    Result<ContentPart> read(const CallContext& call, const ContentRead& part) override { return content_.read(call, part); }
    Result<ContentPage> list(const CallContext& call, const std::string& after) override { return content_.list(call, after); }
    Status remove(const CallContext& call, const std::string& digest) override { return content_.remove(call, digest); }
    Status protect(const CallContext& call, const ContentProtection& protection) override { return content_.protect(call, protection); }

private:
    ContainerHypervisor(HostServices& host, Settings settings, Deps deps, UniqueFd domains);

    /// A domain as files and containerd have it.
    struct Found {
        UniqueFd directory;                 // none: only containerd knows it
        Result<DomainRecord> record = Error{};
        Result<Task> task = Error{};
        bool container = false;             // containerd has it
    };
    Result<Found> find(const DomainId& id, const Limit& limit);
    DomainInfo info_of(const DomainId& id, const Found& found) const;
    Result<DomainInfo> look(const DomainId& id, const Limit& limit);
    Result<DomainInfo> build(const DomainSpec& spec, int directory, const Limit& limit);
    Status end_task(const DomainId& id, const Limit& limit);
    Status clear(const DomainId& id, const Limit& limit);
    Status try_container(const Limit& limit);
    void remove_trial(const std::string& id);
    Result<std::vector<std::string>> names(const Limit& limit);
    void on_event(const Event& event);
    void adopt();

    HostServices& host_;
    Settings settings_;
    Deps deps_;
    UniqueFd domains_;
    ContainerdContent content_;
    Cgroups cgroups_;
    ExecSessions sessions_;  // before what they use
    std::string owner_;  ///< marks containers as this node's
};

}  // namespace eve::containerd
