#pragma once
// The agent's state and what it does, for the files of agent*.cpp: gate and configs (agent.cpp), runtimes and what they list (agent_runtimes.cpp),
// the life of one domain (agent_life.cpp), looks at many at once (agent_rounds.cpp), its inputs and devices (agent_inputs.cpp), its CPUs
// (agent_cpus.cpp), what is published of it (agent_records.cpp), figures (agent_figures.cpp).

#include <algorithm>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/domainmgr/active_marks.hpp"
#include "core/domainmgr/agent.hpp"
#include "core/domainmgr/cpus.hpp"
#include "core/domainmgr/devices.hpp"
#include "core/domainmgr/listing.hpp"
#include "core/domainmgr/plan.hpp"
#include "core/domainmgr/runtime_set.hpp"
#include "core/domainmgr/translate.hpp"
#include "core/domainmgr/usb_rules.hpp"
#include "core/types/config_items.hpp"
#include "core/types/node.hpp"

namespace eve::domainmgr {

using std::chrono::nanoseconds;

inline constexpr const char* agent_name = "domainmgr";
inline constexpr const char* global_key = "global";
inline constexpr const char* vault_name = "Application Data Store";

inline constexpr nanoseconds poll_max = std::chrono::seconds{30};
inline constexpr nanoseconds poll_min = std::chrono::seconds{9};
inline constexpr nanoseconds usb_interval = std::chrono::seconds{2};  ///< between looks at what is plugged in, while an app may want it
/// Plugins that could not work are asked again: soon, then twice as late each time; while an app waits for a runtime never later than probe_waited.
inline constexpr nanoseconds probe_first = std::chrono::seconds{5};
inline constexpr nanoseconds probe_last = std::chrono::minutes{5};
inline constexpr nanoseconds probe_waited = std::chrono::seconds{30};
inline constexpr nanoseconds list_interval = std::chrono::minutes{5};
inline constexpr nanoseconds orphan_grace = std::chrono::minutes{2};  ///< after the first table of configs, where its publisher sets no marker
inline constexpr nanoseconds confine_retry = std::chrono::seconds{10};
inline constexpr nanoseconds step_limit = std::chrono::seconds{30};
inline constexpr nanoseconds look_limit = std::chrono::seconds{10};
inline constexpr nanoseconds files_limit = std::chrono::minutes{2};

/// The limits of a lane as the limits of a call.
class LaneCall final : public CallContext {
public:
    LaneCall(const LaneContext& lane, const Clock& clock, std::uint64_t id) : lane_(lane), clock_(clock), id_(id) {}
    std::uint64_t id() const override { return id_; }
    nanoseconds time_left() const override { return std::max(nanoseconds{0}, lane_.deadline() - clock_.now()); }
    bool cancelled() const override { return lane_.cancelled(); }
    int cancel_fd() const override { return lane_.cancel_fd(); }

private:
    const LaneContext& lane_;
    const Clock& clock_;
    std::uint64_t id_;
};

struct Entry {
    Domain domain;
    RuntimeSlot* runtime = nullptr;
    bool busy = false;      ///< a step is under way
    bool queued = false;    ///< waits for a place at its runtime
    bool orphan = false;    ///< no config asked for it
    bool evidence = false;  ///< an old record of it is published until it was seen
    bool marked = false;    ///< as active, for zedmanager after a reboot
    bool alone = false;     ///< the next look is at it alone, whatever the others
    std::uint64_t last_call = 0;  ///< its number: what was seen by an older one is out of date
    std::string cloud_init_path;
    Devices::Lent lent;     ///< valid while prepared
    bool wants_cpus = false;  ///< and there were not enough
    bool confining = false;   ///< its runtime is being told where it may run, or is to be
    std::optional<std::vector<std::uint32_t>> confined_to;  ///< what its runtime was told last; not known of one that ran before us
    std::optional<TimerId> timer;
    types::SwState logged_state{};
    std::string logged_error;
};

inline std::string uuid_of(const Entry& entry) { return entry.domain.config.UUIDandVersion.UUID.to_string(); }

/// It runs, as is wanted, and nothing about it is open: its looks are only to notice surprises.
bool is_steady(const Entry& entry);

class Agent::Impl {
public:
    explicit Impl(Deps deps);
    ~Impl() { deps_.runtimes.on_event({}); }

private:
    // What others publish.
    void gate_changed();
    bool network_ready() const;
    bool gate_is_open() const;
    void publish_adapters();
    void on_domain_config(const std::string& key, const types::DomainConfig& config);
    void on_domain_config_gone(const std::string& key);
    void configs_complete();

    // Runtimes.
    void probe();
    void on_probed(Result<std::vector<Runtime>> found);
    void list_all();
    void probe_at(Instant when);
    /// An app waits for a runtime that is not there.
    void runtime_is_missed();
    /// The one that has its domain, as far as is known; else the one to give it to. Null: not usable now.
    RuntimeSlot* runtime_of(const std::string& uuid, const Entry& entry) const;
    /// Which runtime had a domain that an old record tells of and nobody has seen since; empty if none had it.
    std::string had_by(const std::string& uuid, const Entry& entry) const;
    void list(RuntimeSlot& slot);
    void on_listed(RuntimeSlot& slot, Result<std::vector<DomainInfo>> listed);
    void adopt_orphan(RuntimeSlot& slot, const DomainInfo& info);
    void on_runtime_event(const std::string& uuid);

    // One domain.
    Entry* find(const std::string& uuid);
    void kick(const std::string& uuid);
    void run(Entry& entry, Step step);
    void call(Entry& entry, Step step, nanoseconds limit, std::function<Result<DomainInfo>(Hypervisor&, const CallContext&)> work);
    void look(Entry& entry);
    bool look_at_all(RuntimeSlot& slot);
    void round(RuntimeSlot& slot);
    void on_round(RuntimeSlot& slot, std::uint64_t number, Result<std::vector<DomainInfo>> listed);
    void prepare(Entry& entry);
    void borrow(const std::string& uuid, std::uint64_t revision, const std::string& cloud_init_path);
    void give_back_devices(Entry& entry);
    void usb_round();
    void usb_act(const UsbAction& action);
    void create(Entry& entry);
    void next_create();
    void release(Entry& entry);
    void finished(const std::string& uuid, RuntimeSlot* slot, Step step, Result<DomainInfo> result);
    void settle(const std::string& uuid);
    void publish(Entry& entry);
    void publish_notes(Entry& entry);
    void log_changes(Entry& entry);
    void mark_active(const types::Uuid& app);

    // CPUs.
    void know_cpus(std::uint32_t total, std::uint32_t reserved);
    void adopt_cpus(const DomainInfo& info);
    Status take_cpus(Entry& entry);
    void free_cpus(const Entry& entry);
    std::vector<std::uint32_t> cpus_of(const Entry& entry) const;
    void cpus_changed();
    void confine(Entry& entry);

    // Figures.
    void measure();
    struct HostFigures {
        types::HostMemory memory;
        std::uint32_t reserved_cpus = 1;
    };
    void on_host_figures(Result<HostFigures> figures);
    void on_stats(Result<Stats> stats);

    Now now() const { return {deps_.loop.now(), deps_.loop.clock().wall_now()}; }
    nanoseconds between(nanoseconds low, nanoseconds high) {
        const auto span = static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(high - low).count());
        const auto& draw = deps_.random;
        return low + std::chrono::milliseconds(static_cast<std::int64_t>(draw(span + 1)));
    }
    Instant next_look() { return deps_.loop.now() + between(poll_min, poll_max); }
    Policy policy() const { return {items_.seconds("timer.boot.retry"), items_.boolean("app.broken.restart")}; }
    /// `task` for a later turn of the loop; does nothing once the agent is gone.
    template <class Task> std::function<void()> later(Task task) {
        return [alive = std::weak_ptr<char>(alive_), task = std::move(task)] {
            if (!alive.expired()) task();
        };
    }
    template <class Work, class Done> void submit(const std::string& lane, nanoseconds limit, Work work, Done done) {
        deps_.lanes.submit(
            lane, std::move(work),
            [alive = std::weak_ptr<char>(alive_), done = std::move(done)](auto result) mutable {
                if (!alive.expired()) done(std::move(result));
            },
            Lanes::Options{.time_limit = limit});
    }

    Deps deps_;
    std::shared_ptr<char> alive_ = std::make_shared<char>();  ///< watched by what may come later; this object is its only owner
    types::ConfigItems items_;
    RuntimeSet runtimes_;
    ActiveMarks marks_;
    Devices devices_;
    UsbDesk desk_;
    std::optional<CpuAllocator> cpus_;  ///< since the first figures of the host
    std::string cpus_trouble_;          ///< why nobody can have CPUs of its own here
    std::map<std::string, std::vector<std::uint32_t>> cpus_found_;  ///< of running domains, before that
    std::optional<TimerId> usb_timer_;
    bool usb_looking_ = false;
    std::set<std::string> usb_under_way_;  ///< names of devices that are being attached or detached
    std::map<std::string, RuntimeSlot*> found_;  ///< which runtime was seen to have a domain
    Listing listing_;
    std::map<std::string, Entry> domains_;
    std::uint64_t calls_ = 0;
    std::set<RuntimeSlot*> rounds_;  ///< runtimes whose steady domains are being looked at together
    std::size_t lists_pending_ = 0;
    bool list_again_ = false;
    std::optional<TimerId> probe_timer_;
    Instant probe_at_{};
    nanoseconds probe_wait_ = probe_first;
    std::optional<TimerId> list_timer_;
    bool probed_ = false;
    bool listed_ = false;
    bool have_items_ = false;
    bool configs_complete_ = false;
    bool going_down_ = false;
    std::string creating_;                ///< one create at a time on the node
    std::set<std::string> want_creating_;

    std::unique_ptr<Publication<types::DomainStatus>> status_;
    std::unique_ptr<Publication<types::DomainNotes>> notes_;
    std::unique_ptr<Publication<types::DomainMetric>> metrics_;
    std::unique_ptr<Publication<types::HostMemory>> memory_;
    std::unique_ptr<Publication<types::Capabilities>> capabilities_;
    std::unique_ptr<Publication<types::AssignableAdapters>> adapters_;
    std::unique_ptr<Publication<types::PciInventory>> inventory_;
    std::unique_ptr<Subscription<types::ConfigItemValueMap>> item_values_;
    std::unique_ptr<Subscription<types::PhysicalIOAdapterList>> model_;
    std::unique_ptr<Subscription<types::DeviceNetworkStatus>> network_;
    std::unique_ptr<Subscription<types::OnboardingStatus>> onboarding_;
    std::unique_ptr<Subscription<types::VaultStatus>> vault_;
    std::unique_ptr<Subscription<types::ZedAgentStatus>> zedagent_;
    std::unique_ptr<Subscription<types::DomainConfig>> configs_;
};

}  // namespace eve::domainmgr
