#pragma once
// The runtime of domains: what a hypervisor's or container runtime's plugin implements, and what the node calls (hypervisor/1).

#include <utility>
#include <vector>

#include "eve/domain.hpp"
#include "eve/host.hpp"
#include "eve/result.hpp"

namespace eve {
EVE_SDK_NAMESPACE {

/// `ask`: as a person presses the power button. `cut`: as a person pulls the plug.
enum class StopMode : std::uint8_t { unknown, ask, cut };

/// `keep_state`: what the guest wrote into firmware (UEFI variables, vTPM) is kept for its next life. `purge`: that goes too.
enum class DestroyMode : std::uint8_t { unknown, keep_state, purge };

/// A runtime of domains.
///
/// Holds for every method: one step, back within 30 s or by the call's limit, whichever is sooner. At most
/// `Limits::calls_in_flight_max` calls at once (default 1), and never two for one domain. Blocking is right. An exception becomes
/// `internal`. Beside the codes named, any method may answer `timed_out` (the effect may have happened), `cancelled` (likewise) and
/// `internal`. Nothing is retried inside: order, grace and retries are the node's.
///
/// The DomainInfo that a method returns is an observation made after the step, not a repetition of what was asked.
class Hypervisor {
public:
    virtual ~Hypervisor() = default;

    /// What this runtime can do here; constant while the instance lives. Has no effect. Called once after construction, and by anyone
    /// again. Returns within 2 s. [lane]
    ///
    /// Errors: none expected.
    virtual Result<Description> describe(const CallContext& call) = 0;

    /// Whether this runtime works on this machine, found by trying rather than by looking for a file, and what it has to do without. Leaves
    /// nothing behind. May be called again; the answer may change. [lane]
    ///
    /// Errors: none expected: what is wrong is the verdict `broken` with its reason.
    /// Why: /dev/kvm may exist and run no guest.
    virtual Result<ProbeReport> probe(const CallContext& call) = 0;

    /// Every reason why create() and start() would refuse `spec` whatever the state of the machine: fields not supported, out of range, in
    /// contradiction. Empty: none. Touches nothing, opens nothing, asks nobody. [lane]
    ///
    /// Errors: invalid_argument, unsupported - the request itself could not be read.
    virtual Result<std::vector<Problem>> validate(const CallContext& call, const DomainSpec& spec) = 0;

    /// The domain is defined, with all it needs reserved, and its guest has not run an instruction. Leftovers of an earlier life under this
    /// id that are dead are cleared away first. A second call with the same id and revision changes nothing and returns what is there, also
    /// when it runs by now. On failure nothing is left. [lane]
    ///
    /// Errors: invalid_argument, unsupported - as validate() would say, with the field; failed_precondition - an input is not there (a file,
    ///         a bridge) or this id lives with another revision: destroy it first; resource_exhausted - memory, devices or limits;
    ///         unavailable - the runtime below does not answer, effect unknown.
    /// Source: EVE pkg/pillar/types/domainmgrtypes.go, Task.Setup and Task.Create.
    virtual Result<DomainInfo> create(const CallContext& call, const DomainSpec& spec) = 0;

    /// The guest runs: seen running, not only told to. Starting a domain that runs succeeds and does nothing. On failure the domain is
    /// `defined` again, or `broken` with a reason. [lane]
    ///
    /// Errors: not_found - no such domain; failed_precondition - it is halted, halting or broken: destroy and create it;
    ///         resource_exhausted - the machine has not enough left; unavailable - the monitor does not answer, effect unknown.
    /// Source: EVE pkg/pillar/types/domainmgrtypes.go, Task.Start.
    virtual Result<DomainInfo> start(const CallContext& call, const DomainId& id) = 0;

    /// The domain has been asked to halt (`StopMode::ask`) or has had its power cut (`StopMode::cut`) when this returns success; that it
    /// halted is observed. Grace periods and escalation are the node's. Stopping a domain that does not run succeeds and does nothing.
    /// Returns within 30 s. [lane]
    ///
    /// Errors: not_found - no such domain; unsupported - this guest can't be asked;
    ///         unavailable - the monitor does not answer, effect unknown.
    /// Source: EVE pkg/pillar/types/domainmgrtypes.go, Task.Shutdown and Task.Stop.
    virtual Result<DomainInfo> stop(const CallContext& call, const DomainId& id, StopMode mode) = 0;

    /// Nothing of the domain is left: no process, no device, no interface, no file but what `mode` keeps; its power is cut if it runs. The
    /// answer has Presence::absent, which is only said when proven. Destroying what is not there succeeds. [lane]
    ///
    /// Errors: unavailable - something does not go away yet; call again.
    /// Source: EVE pkg/pillar/types/domainmgrtypes.go, Task.Delete and Task.Cleanup; EVE deletes UEFI variables at each stop, we at purge.
    virtual Result<DomainInfo> destroy(const CallContext& call, const DomainId& id, DestroyMode mode) = 0;

    /// What is seen of the domain now. One that was never made, or was destroyed, is a success with Presence::absent. A monitor that does not
    /// answer while its process lives is Presence::present with DomainState::unknown. Has no effect. Returns within 2 s. [lane]
    ///
    /// Errors: unavailable - nothing can be said at all.
    virtual Result<DomainInfo> inspect(const CallContext& call, const DomainId& id) = 0;

    /// Every domain that any instance of this plugin made with the same directories and that still exists in any state, with the id,
    /// revision and labels that the node gave; after a restart of node, plugin and machine. Each as inspect() sees it. Has no effect.
    /// A domain whose records cannot be read is still listed, with DomainState::unknown and a reason. [lane]
    ///
    /// Errors: unavailable - nothing can be said; an empty list is never a way to say that.
    virtual Result<std::vector<DomainInfo>> list(const CallContext& call) = 0;

    /// What the running domains have used, and of the host what only the runtime knows. A domain that cannot be measured is left out. [lane]
    ///
    /// Errors: unsupported - not measured; unavailable - nothing can be said now.
    virtual Result<Stats> stats(const CallContext& call) = 0;
};

}  // EVE_SDK_NAMESPACE
}  // namespace eve
