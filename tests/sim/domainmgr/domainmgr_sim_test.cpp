// domainmgr in a world that fails: chaos from one seed (failed and lost calls, guests that die or hang, an agent that is killed, configs that
// change), then the faults stop and everything must come to what is wanted. The rules are checked after every step of the loop.

#include <gmock/gmock.h>

#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/domainmgr/agent.hpp"
#include "tests/doubles/domain_node.hpp"
#include "tests/doubles/fake_record_store.hpp"
#include "tests/doubles/recording_log.hpp"
#include "tests/doubles/seeds.hpp"
#include "tests/doubles/sim_loop.hpp"

namespace eve {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;
using types::SwState;

constexpr unsigned apps = 4;
constexpr unsigned chaos_steps = 400;
constexpr auto chaos_time = 30min;
constexpr auto converge_limit = 3h;  // of virtual time: the longest back-off at these settings, and a stop

class Simulation {
public:
    explicit Simulation(std::uint64_t seed) : prng_(seed), lanes_(loop_, Prng{seed ^ 0x1a}, {.work_max = 3s, .completion_max = 3s}) {
        auto& hypervisor = *runtimes_.hypervisor;
        const auto container = std::make_shared<testing::FakeHypervisor>();
        container->description.id = "org.lfedge.eve.container";
        container->description.modes = {VirtualizationMode::container};
        runtimes_.others = {{.hypervisor = container, .description = container->description, .probe = container->report, .usb = {}, .cpus = {}}};
        hypervisor.before = [this](std::string_view method, const DomainId& id) { return before_call(method, id); };
        hypervisor.description.limits.calls_in_flight_max = static_cast<std::uint32_t>(prng_.between(1, 3));
        host_.before = [this](std::string_view) -> Status {
            if (chaos_ && prng_.chance(5)) return Error{.code = Code::unavailable, .what = "simulated: disk full"};
            return {};
        };
        node_.publish_all();
        node_.publish_items(60, true);
        node_.configs->signal_restarted();
        start_agent();
    }

    void chaos() {
        for (unsigned i = 0; i < chaos_steps && problems_.empty(); ++i) {
            disturb();
            const auto until = loop_.now() + chaos_time / chaos_steps;
            while (problems_.empty() && loop_.pending() > 0 && loop_.now() < until) step();
        }
    }
    void heal() {
        chaos_ = false;
        runtimes_.available = true;
        runtimes_.hypervisor->guests_obey = true;
        for (const auto& [uuid, domain] : runtimes_.hypervisor->domains())
            if (domain.asked_to_stop) ended_by_world_.insert(uuid.value);
        for (const auto& uuid : std::set<std::string>(ended_by_world_))
            if (auto* domain = runtimes_.hypervisor->find(DomainId{uuid}); domain != nullptr && domain->asked_to_stop)
                runtimes_.hypervisor->guest_halts(DomainId{uuid});
        if (!agent_) start_agent();
    }
    void converge() {
        const auto limit = loop_.now() + converge_limit;
        while (problems_.empty() && !converged() && loop_.now() < limit) step();
        if (problems_.empty() && !converged()) problem("did not converge: " + why_not());
        // And then it stays.
        const auto quiet = loop_.now() + 10min;
        const auto made = runtimes_.hypervisor->next_pid;
        while (problems_.empty() && loop_.now() < quiet) step();
        if (problems_.empty() && (!converged() || runtimes_.hypervisor->next_pid != made)) problem("did not stay as it was: " + why_not());
    }
    /// A node that works is killed and started: no guest notices, also when its runtime can be used only minutes later.
    void restart() {
        const auto made = runtimes_.hypervisor->next_pid;
        kill_agent();
        runtimes_.available = prng_.chance(50);
        start_agent();
        const auto run_for = [&](nanoseconds time) {
            const auto until = loop_.now() + time;
            while (problems_.empty() && loop_.now() < until) step();
        };
        if (!runtimes_.available) run_for(std::chrono::seconds(prng_.between(1, 300)));
        runtimes_.available = true;
        run_for(12min);
        if (problems_.empty() && (!converged() || runtimes_.hypervisor->next_pid != made)) problem("a restart was noticed: " + why_not());
    }
    std::uint64_t steps() const { return loop_.steps(); }
    const std::vector<std::string>& problems() const { return problems_; }

private:
    void start_agent() {
        process_ = std::make_unique<SimProcess>(loop_);
        agent_ = std::make_unique<domainmgr::Agent>(domainmgr::Agent::Deps{.bus = bus_,
                                                                           .loop = *process_,
                                                                           .lanes = lanes_,
                                                                           .log = log_,
                                                                           .runtimes = runtimes_,
                                                                           .host = host_,
                                                                           .random = [this](std::uint64_t limit) { return prng_.below(limit); }});
    }
    void kill_agent() {
        agent_.reset();
        process_.reset();
        lanes_.drop_everything();
    }
    void problem(std::string text) {
        problems_.push_back("at " + std::to_string(std::chrono::duration_cast<std::chrono::seconds>(loop_.now().time_since_epoch()).count()) +
                            " s: " + std::move(text));
    }

    /// The world as the calls of the runtime meet it, and the rules that every call must keep.
    Status before_call(std::string_view method, const DomainId& id) {
        const auto* domain = runtimes_.hypervisor->find(id);
        const bool healthy = domain != nullptr && domain->info.state == DomainState::running;
        const bool wanted = wanted_.contains(id.value) && wanted_.at(id.value);
        if (method == "create" && !ever_wanted_.contains(id.value)) problem("created " + id.value + ", which nobody ever wanted");
        if (method == "create" && healthy) problem("created " + id.value + ", which runs");
        if ((method == "destroy" || method == "stop.cut" || method == "stop.ask") && healthy && wanted && steady(id.value))
            problem(std::string(method) + " of " + id.value + ", which runs and has been wanted all the time");
        if (!chaos_) return {};
        if (prng_.chance(15)) {
            static const std::vector<Code> codes = {Code::unavailable, Code::timed_out, Code::internal, Code::resource_exhausted};
            const Error error{.code = prng_.pick(codes), .what = "simulated"};
            // Every second time the effect happens and only the reply is lost.
            if (error.code == Code::timed_out && prng_.chance(50))
                runtimes_.hypervisor->plan({.method = std::string(method), .domain = id.value, .error = error, .after = true});
            else return error;
        }
        return {};
    }
    /// Wanted long enough that no stop of an earlier wish can still be under way.
    bool steady(const std::string& uuid) const {
        const auto since = wanted_since_.find(uuid);
        return since != wanted_since_.end() && loop_.now() - since->second > 3min;
    }

    void want(unsigned n, std::optional<bool> active) {
        const std::string uuid = app_uuid(n);
        const bool was = wanted_.contains(uuid) && wanted_.at(uuid);
        if (!active) {
            if (node_.configs->get(uuid) != nullptr) (void)node_.configs->unpublish(uuid);
            wanted_.erase(uuid);
            wanted_since_.erase(uuid);
            return;
        }
        auto config = domain_config(n, host_);
        config.Activate = *active;
        config.VCpus = prng_.between(1, 4);
        config.CloudInitUserData = types::to_base64({'#'});
        (void)node_.configs->publish(uuid, config);
        wanted_[uuid] = *active;
        if (!*active) wanted_since_.erase(uuid);
        else ever_wanted_.insert(uuid);
        if (*active && !was) wanted_since_[uuid] = loop_.now();
    }

    void disturb() {
        const auto n = static_cast<unsigned>(prng_.between(1, apps));
        const DomainId id{app_uuid(n)};
        auto& hypervisor = *runtimes_.hypervisor;
        switch (prng_.below(14)) {
            case 0:
            case 1: want(n, true); break;
            case 2:
                if (prng_.chance(30)) want(n, false);
                break;
            case 3:
                if (prng_.chance(30)) want(n, std::nullopt);
                break;
            case 4:
                if (auto* domain = hypervisor.find(id); domain != nullptr && domain->info.state == DomainState::running) {
                    hypervisor.guest_dies(id, 11);
                    if (prng_.chance(50)) runtimes_.emit(id.value);
                }
                break;
            case 5:
                if (auto* domain = hypervisor.find(id); domain != nullptr && domain->info.state == DomainState::running) {
                    hypervisor.guest_halts(id);
                    if (prng_.chance(50)) runtimes_.emit(id.value);
                }
                break;
            case 6:
                if (agent_) kill_agent();
                break;
            case 7:
            case 8:
                runtimes_.available = prng_.chance(70);
                if (!agent_) start_agent();
                break;
            case 9: hypervisor.guests_obey = prng_.chance(50); break;
            case 10: runtimes_.emit(prng_.chance(20) ? "" : id.value); break;
            case 11:
                // A guest that had ignored a request obeys at last.
                if (auto* domain = hypervisor.find(id); domain != nullptr && domain->asked_to_stop) hypervisor.guest_halts(id);
                break;
            default: break;
        }
    }

    void step() {
        loop_.step();
        for (const auto& [uuid, status] : statuses_->items()) {
            if (status->State == SwState::RUNNING && !status->Activated) problem(uuid + " is RUNNING and not Activated");
            if (status->Activated && status->DomainId == 0) problem(uuid + " is Activated and has no process");
            if (status->State == SwState::HALTED && status->Activated) problem(uuid + " is HALTED and Activated");
        }
        if (runtimes_.hypervisor->domains().size() > apps) problem("more domains than apps");
    }

    bool converged() const { return why_not().empty(); }
    std::string why_not() const {
        for (unsigned n = 1; n <= apps; ++n) {
            const std::string uuid = app_uuid(n);
            const auto* status = statuses_->get(uuid);
            const auto* domain = runtimes_.hypervisor->find(DomainId{uuid});
            const bool known = wanted_.contains(uuid);
            const auto shown = status == nullptr ? std::string("no status") : to_string(status->State) + " " + status->Error;
            if (!known && (status != nullptr || domain != nullptr)) return uuid + " was deleted and is still there: " + shown;
            if (!known && host_.cloud_init.contains(types::Uuid::parse_or_nil(uuid))) return uuid + " left a cloud-init disk";
            if (!known) continue;
            if (status == nullptr) return uuid + " has no status";
            if (wanted_.at(uuid)) {
                if (status->State != SwState::RUNNING || !status->Activated || domain == nullptr || domain->info.state != DomainState::running)
                    return uuid + " should run: " + shown;
                if (status->DomainId != domain->info.pid) return uuid + " has another pid";
                if (!status->Error.empty()) return uuid + " runs and has an error: " + shown;
            } else if (domain != nullptr || status->Activated || status->DomainId != 0 || !status->Error.empty()) {
                return uuid + " should not run: " + shown;
            }
        }
        return {};
    }

    Prng prng_;
    SimClock clock_;
    SimLoop loop_{clock_};
    RecordingLog log_;
    FakeRecordStore store_;
    SimLanes lanes_;
    Bus bus_{{.loop = loop_, .log = log_, .store = &store_}};
    DomainNode node_{bus_};
    FakeDomainHost host_;
    FakeRuntimes runtimes_;
    std::unique_ptr<Subscription<types::DomainStatus>> statuses_ = bus_.subscribe<types::DomainStatus>({.agent = "domainmgr"});
    std::unique_ptr<SimProcess> process_;
    std::unique_ptr<domainmgr::Agent> agent_;
    bool chaos_ = true;
    std::map<std::string, bool> wanted_;
    std::map<std::string, Instant> wanted_since_;
    std::set<std::string> ever_wanted_;
    std::set<std::string> ended_by_world_;
    std::vector<std::string> problems_;
};

std::vector<std::string> run(std::uint64_t seed, Seeds* seeds = nullptr) {
    Simulation simulation(seed);
    simulation.chaos();
    simulation.heal();
    simulation.converge();
    simulation.restart();
    if (seeds != nullptr) seeds->made(simulation.steps());
    return simulation.problems();
}

constexpr std::uint64_t seeds_default = 200;

TEST(DomainmgrSimulation, ComesToWhatIsWantedForEverySeed) {
    Seeds seeds(seeds_default);
    while (const auto seed = seeds.next()) {
        const auto problems = run(*seed, &seeds);
        ASSERT_TRUE(problems.empty()) << replay(*seed) << ": " << problems.front();
    }
}

TEST(DomainmgrSimulation, OneSeedIsOneHistory) { EXPECT_EQ(run(7), run(7)); }

}  // namespace
}  // namespace eve
