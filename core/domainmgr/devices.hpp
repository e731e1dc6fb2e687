#pragma once
// The owner of the table of devices: keeps it true to the model, the machine and the ports, has devices bound for guests or given back, and lends
// them to domains. All work on devices is in one lane, one job at a time.

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/domainmgr/adapter_policy.hpp"
#include "core/domainmgr/adapters.hpp"
#include "core/domainmgr/effects.hpp"
#include "core/domainmgr/reservation.hpp"
#include "core/log/log.hpp"
#include "core/loop/loop.hpp"
#include "core/types/hardware.hpp"

namespace eve::domainmgr {

/// [loop]
class Devices {
public:
    struct Deps {
        Loop& loop;
        Lanes& lanes;
        Log& log;
        Runtimes& runtimes;
        std::function<void()> changed;  ///< the table or the inventory is another one
    };
    explicit Devices(Deps deps) : deps_(std::move(deps)) {}

    void on_model(const types::PhysicalIOAdapterList& model);
    void on_network(const types::DeviceNetworkStatus& network);
    void on_access(bool usb, bool vga);
    /// Runtimes were probed: who assigns devices may be known now.
    void on_probed();

    bool ready() const { return model_.Initialized && have_network_; }
    const types::AssignableAdapters& table() const { return table_; }
    types::PciInventory inventory() const;

    /// What a domain gets.
    struct Lent {
        std::vector<Adapter> adapters;
        std::vector<std::string> vmm_args;
        std::vector<std::string> notes;
    };
    /// Why it gets nothing: for people, with severity and what is waited for.
    struct Answer {
        std::optional<Lent> lent;
        types::ErrorDescription refused;
    };
    struct Request {
        const types::DomainConfig& config;
        bool container = false;
        Capabilities runtime;
        std::function<types::SwState(const types::Uuid&)> state_of;
    };
    /// The devices are the domain's and bound, or nothing has changed. `done` comes in a later turn. Asking again for what it has succeeds.
    void lend(const Request& request, std::function<void(Answer)> done);
    /// The domain runs already: what it has is marked as its own, whatever the rules say.
    void adopt(const types::Uuid& app, const std::vector<types::IoAdapter>& adapters);
    /// The domain has nothing any more; whether it had.
    bool take_back(const types::Uuid& app);

private:
    struct Seen {
        Hardware hardware;
        std::vector<std::shared_ptr<Board>> boards;
    };
    static Seen look(Runtimes& runtimes, const CallContext& call);
    static Result<std::map<std::string, std::string>> to_host(const Assigner& assigner, const Seen& seen, const CallContext& call,
                                                              const std::map<std::string, std::string>& behind);
    void refresh();
    void recompute();
    void start_transfer();
    void make_functions();
    void complain(const std::vector<std::string>& addresses, const std::string& text);
    types::Time wall() const { return deps_.loop.clock().wall_now(); }
    template <class Task> std::function<void()> later(Task task) {
        return [alive = std::weak_ptr<char>(alive_), task = std::move(task)] {
            if (!alive.expired()) task();
        };
    }
    template <class Work, class Done> void submit(Work work, Done done);

    Deps deps_;
    std::shared_ptr<char> alive_ = std::make_shared<char>();  ///< watched by what may come later; this object is its only owner
    types::PhysicalIOAdapterList model_;
    PolicyInputs inputs_;
    bool have_network_ = false;
    Hardware hardware_;
    types::AssignableAdapters table_;
    std::set<std::string> leftover_;                   ///< held for guests for the sake of an adapter that the model has no more
    std::map<std::string, Instant> not_before_;        ///< of the next try with a device that failed
    bool transferring_ = false;
    bool looking_ = false;
    bool look_again_ = false;
    std::map<std::string, std::string> split_failed_;  ///< physical function -> why, so that it is said once
};

}  // namespace eve::domainmgr
