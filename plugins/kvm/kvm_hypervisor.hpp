#pragma once
// The runtime of domains that are QEMU processes. It keeps nothing in memory that it needs: every call finds a domain's truth in its directory
// (record, keeper's files), its process and its monitor, so that another life of the plugin sees the same.

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "degrade.hpp"
#include "eve/cpus.hpp"
#include "eve/hypervisor.hpp"
#include "eve/usb.hpp"
#include "limit.hpp"
#include "records.hpp"
#include "unique_fd.hpp"
#include "validate.hpp"

namespace eve::kvm {

class QmpClient;
class Watcher;

/// hypervisor/1 by QEMU, with KVM where a guest runs under it, else by emulation.
class KvmHypervisor final : public Hypervisor, public Usb, public Cpus {
public:
    /// An instance on the directories of `host`, which outlives it.
    static Result<std::unique_ptr<KvmHypervisor>> open(HostServices& host);
    ~KvmHypervisor() override;

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

    Status plug(const CallContext& call, const UsbAttachment& device) override;
    Status unplug(const CallContext& call, const UsbAttachment& device) override;
    Status confine(const CallContext& call, const CpuConfinement& confinement) override;

private:
    KvmHypervisor(HostServices& host, Settings settings, UniqueFd domains);

    struct User {
        std::uint32_t uid = 0;
        std::uint32_t gid = 0;
        std::vector<std::uint32_t> groups;
        std::vector<std::string> notes;
    };
    struct Prepared;  // descriptors and plan of a QEMU about to be started

    const HostFacts& facts();
    Offer offer();
    User user_of(std::uint32_t number);
    Result<UniqueFd> directory_of(const DomainId& id) const;
    Result<DomainInfo> look(const DomainId& id, int directory, const Limit& limit);
    void place(const DomainSpec& spec, std::int64_t pid, QmpClient& monitor, const Limit& limit);
    Result<DomainRecord> reserve(const DomainSpec& spec, int directory);
    Result<DomainInfo> build(const DomainSpec& spec, const DomainRecord& record, int directory, const Limit& limit);
    Result<Prepared> prepare(const DomainSpec& spec, DomainRecord& record, int directory);
    Result<UniqueFd> hand_over(const Handover& handover, const DomainSpec& spec, const Prepared& prepared, int directory);
    Result<std::string> firmware_vars(const DomainSpec& spec);
    Status let_use_devices(const DomainSpec& spec, const User& user);
    Status spawn(const DomainSpec& spec, const Prepared& prepared, DomainRecord& record, int directory);
    Error why_it_ended(int directory, Error error) const;
    Status end_process(int directory, const Limit& limit);
    Status clear(const DomainId& id, int directory, const Limit& limit);
    Result<std::string> try_guest(const Limit& limit);
    void clear_old_trials();

    HostServices& host_;
    Settings settings_;
    UniqueFd domains_;
    std::mutex numbers_mutex_;   // guards the choice of a number until its record is written
    std::once_flag facts_once_;
    HostFacts facts_;
    std::atomic<bool> trials_left_ = true;  ///< of processes that did not clean up after themselves, as far as is known
    std::unique_ptr<Watcher> watcher_;
};

}  // namespace eve::kvm
