#pragma once
// What to do next about one domain, and what each thing that happened means for it. Pure: desired, observed and history in, a step or a changed
// state out; the agent does the steps. One step per plan, then look again.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/loop/loop.hpp"
#include "core/types/domain.hpp"
#include "eve/domain.hpp"
#include "eve/result.hpp"

namespace eve::domainmgr {

/// What the operator decided, from the config items.
struct Policy {
    std::chrono::seconds boot_retry{600};  ///< timer.boot.retry
    bool restart_broken = true;            ///< app.broken.restart; false is EVE's way
};

namespace limits {
inline constexpr unsigned create_tries_max = 3;                       ///< within one activation
inline constexpr std::chrono::seconds create_retry{5};                ///< between them
inline constexpr std::chrono::seconds start_wait{20};                 ///< until a started domain must be seen running
inline constexpr std::chrono::seconds halting_wait{10};               ///< for a guest that shuts itself down
inline constexpr std::chrono::seconds look_retry{5};                  ///< after a look that failed
inline constexpr std::chrono::seconds stop_look{1};                   ///< between looks at a domain that was asked to stop
inline constexpr std::chrono::seconds ask_again{20};                  ///< a guest that still boots misses the first request
inline constexpr std::chrono::seconds stop_patient_pv{600};           ///< the one deadline of a stop, EVE's figures
inline constexpr std::chrono::seconds stop_patient{60};
inline constexpr std::chrono::seconds stop_impatient{60};             ///< when the app is deleted
inline constexpr std::chrono::seconds cut_reserve{10};                ///< of the deadline, kept for cutting and clearing away
inline constexpr std::chrono::seconds cut_wait{5};                    ///< for a cut domain to be seen ended, before it is destroyed
inline constexpr std::chrono::seconds destroy_retry{2};
inline constexpr std::chrono::seconds destroy_retry_max{60};
inline constexpr std::uint32_t broken_backoff_max = 16;               ///< times boot_retry
}  // namespace limits

struct Desired {
    bool known = false;   ///< there is a config
    bool active = false;  ///< and it wants the domain to run
    std::uint64_t revision = 0;
    types::VmMode mode = types::VmMode::PV;
    bool can_be_asked = true;  ///< guests of its mode can be asked to halt

    bool wanted() const { return known && active; }
};

struct Observed {
    Presence presence = Presence::unknown;
    DomainState state = DomainState::unknown;
    std::uint64_t revision = 0;
};

/// A stop under way. Once begun it is finished, also when the domain is wanted again meanwhile.
struct Stop {
    Instant began{};
    bool impatient = false;
    std::optional<Instant> asked;
    bool cannot_be_asked = false;
    std::optional<Instant> cut;
};

/// A domain that ended although it should run; what is left of it is destroyed, then it counts as `state`.
struct Loss {
    types::SwState state = types::SwState::BROKEN;
    std::string why;
    bool restart_now = false;  ///< it ended while no node watched: after that EVE starts its apps without waiting
};

struct History {
    bool seen = false;                       ///< looked at by this process
    bool look = true;                        ///< nothing is done before the domain was looked at
    Instant look_at{};                       ///< when to look next
    std::optional<Instant> not_before;       ///< of the next try to make or start it
    bool parked = false;                     ///< not tried again before the config changes
    bool prepared = false;                   ///< its inputs were checked and written
    unsigned create_tries = 0;
    unsigned broken_in_row = 0;
    bool started = false;                    ///< told to start in this life
    std::optional<Instant> starting_since;
    std::optional<Instant> running_since;
    std::optional<Instant> halting_since;
    std::optional<Instant> silent_since;     ///< it lives, and nobody can tell how it is (silence.hpp)
    bool silence_told = false;               ///< the error of its status says so
    std::optional<Loss> loss;
    std::optional<Stop> stop;
    std::optional<Instant> destroy_after;    ///< of the next try to destroy it
    unsigned destroy_tries = 0;
    bool released = true;                    ///< nothing of it is left in our files
    bool purged = false;                     ///< what it wrote into firmware is gone too
};

enum class Step { none, look, prepare, create, start, ask, cut, destroy, purge, release };
/// The step's name in logs and errors ("create").
std::string_view to_string(Step step);

struct Plan {
    Step step = Step::none;
    std::optional<Instant> wake_at;  ///< when to plan again though nothing happened
    friend bool operator==(const Plan&, const Plan&) = default;
};
/// The next step towards `desired`.
Plan plan(const Desired& desired, const Observed& observed, const History& history, Instant now);

/// Both clocks.
struct Now {
    Instant instant{};
    types::Time wall;
};

/// One domain, as the agent knows it.
struct Domain {
    types::DomainConfig config;  ///< the newest; of an orphan only its UUID
    Desired desired;
    Observed observed;
    History history;
    types::DomainStatus status;
    DomainInfo info;                 ///< the last that was seen
    std::vector<std::string> notes;  ///< from the translation
};

/// There is a config, new or changed.
void on_config(Domain& domain, const types::DomainConfig& config, Now now);
/// The config is gone: the domain is to be stopped and deleted.
void on_config_gone(Domain& domain, Now now);
/// The domain was seen; `next_look` is when the regular poll is due.
void on_seen(Domain& domain, const DomainInfo& info, const Policy& policy, Now now, Instant next_look);
/// Nothing could be seen.
void on_look_failed(Domain& domain, const Error& error, Now now);
/// An event says that something happened.
void on_hint(Domain& domain, Now now);
/// Inputs are ready; `cloud_init_path` is empty if there is no such disk.
void on_prepared(Domain& domain, const std::string& cloud_init_path);
/// Inputs are not there or wrong; tried again at `retry_at`, or never if unset.
void on_prepare_failed(Domain& domain, const Error& error, Now now, std::optional<Instant> retry_at);
/// Its devices are not to be had now; tried again at `retry_at`.
void on_adapters_refused(Domain& domain, const types::ErrorDescription& error, Instant retry_at);
/// The step was done and answered with an observation, which on_seen() must be told as well.
void on_stepped(Domain& domain, Step step, Now now);
/// The step failed.
void on_step_failed(Domain& domain, Step step, const Error& error, const Policy& policy, Now now);
/// Our files are gone.
void on_released(Domain& domain);

}  // namespace eve::domainmgr
