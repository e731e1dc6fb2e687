#pragma once
// The decision: from what one app should be, what the other agents report of it and what was published so far, the records to publish now.
// Level-triggered: nothing depends on which events came, in which order, or how they collapsed; a step that changes nothing is the end.
//
// Errors are not stored but found again at each step, so that one goes away exactly when its cause does.

#include <map>
#include <optional>
#include <string>

#include "core/loop/loop.hpp"
#include "core/types/app.hpp"
#include "core/zedmanager/admission.hpp"
#include "core/zedmanager/records.hpp"

namespace eve::zedmanager {

/// How long an answer that stood before the question is not taken for an answer: the other agent may not have read the question yet.
inline constexpr std::chrono::seconds halt_settle_time{2};
/// Steps from one event until nothing changes any more; a purge without anything to halt takes five.
inline constexpr int steps_max = 16;

/// What holds for every app of the node.
struct NodeView {
    types::Time now;                         ///< for showing
    Instant at{};                            ///< for waiting
    bool may_activate = false;               ///< config items and ZedAgentStatus were seen
    std::string profile;                     ///< ZedAgentStatus.CurrentProfile
    std::optional<types::Time> delay_base;   ///< when this node first had a config
    bool ignore_memory = false;              ///< memory.apps.ignore.check
    std::uint64_t vmm_limit = 0;             ///< memory.vmm.limit.MiB in bytes
    MemoryView memory;                       ///< without this app
};

/// What others say of one app. Pointers are borrowed for the call.
struct Observed {
    const types::AppInstanceConfig* config = nullptr;
    bool config_absent = false;                                         ///< that there is no config is a fact, not ignorance
    std::map<std::string, const types::VolumeRefStatus*> volumes;       ///< by reference key
    const types::AppNetworkStatus* network = nullptr;
    bool network_heard = false;                                         ///< zedrouter's whole table was delivered
    const types::DomainStatus* domain = nullptr;
    bool domain_heard = false;                                          ///< domainmgr's whole table was delivered
    std::string publish_fault;                                          ///< why a record of this app could not be published
};

/// A question to another agent (halt, or go away), and what it reported when it was asked.
template <class T> struct Asked {
    Instant at{};
    std::optional<T> then;
    friend bool operator==(const Asked&, const Asked&) = default;
};

/// All that zedmanager holds about one app: the records that it publishes, and what it remembers beside them.
struct AppState {
    types::AppInstanceStatus status;
    std::map<std::string, types::VolumeRefConfig> volume_refs;
    std::optional<types::AppNetworkConfig> network;
    std::optional<types::DomainConfig> domain;
    std::optional<std::uint32_t> purge_counter;     ///< of the last purge that was completed; persistent

    std::optional<Accepted> accepted;               ///< unset: no config could be accepted yet
    std::optional<types::Duration> delay;           ///< what StartTime was computed from
    std::optional<Asked<types::DomainStatus>> domain_asked;
    std::optional<Asked<types::AppNetworkStatus>> network_asked;
    bool reloaded = false;                          ///< made from the records of an earlier life of this agent
    bool removing = false;                          ///< the config was deleted; a new one waits until the old app is gone
    bool gone = false;                              ///< nothing is left to publish

    friend bool operator==(const AppState&, const AppState&) = default;
};

struct Decision {
    AppState next;
    std::optional<Instant> wake_at;  ///< look again then, although nothing may have happened
};

/// One step. Pure.
Decision step(const AppState& state, const Observed& seen, const NodeView& node);

/// Steps until nothing changes. Pure.
Decision settle(const AppState& state, const Observed& seen, const NodeView& node);

/// Whether the domain is down for certain, and not merely not heard of.
bool is_down(const types::DomainStatus& domain);

/// Whether the app's memory is taken, and counts for the others' admission.
inline bool holds_memory(const types::AppInstanceStatus& status) { return status.Activated || status.ActivateInprogress; }
/// Bytes that the app takes or would take.
std::uint64_t memory_need(const types::AppInstanceStatus& status);

}  // namespace eve::zedmanager
