// zedrouter in a world that fails by seed: failing and half-done applies, lost replies, crashes and reboots at any moment, ports that change
// under networks, apps that come, change and go. Whatever happens, no active app is without rules, no two share a name, number, MAC or
// address, and what is configured and undisturbed never loses its network; once the faults stop, host and reports are what the configs say.
// EVE_SEED=n runs one seed.

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "core/zedrouter/agent.hpp"
#include "tests/doubles/fake_network_world.hpp"
#include "tests/doubles/fake_record_store.hpp"
#include "tests/doubles/recording_log.hpp"
#include "tests/doubles/seeds.hpp"
#include "tests/doubles/sim_loop.hpp"
#include "tests/doubles/zedrouter_bench.hpp"

namespace eve {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t seeds_default = 15;
constexpr int ticks = 30;
constexpr unsigned networks_max = 4;
constexpr unsigned apps_max = 6;

class World {
public:
    explicit World(std::uint64_t seed) : prng_(seed), lanes_(loop_, Prng(seed + 1)) {
        loop_.run_for(1h);
        start_agent();
        start_others();
    }

    std::uint64_t steps() const { return loop_.steps(); }

    void tick() {
        switch (prng_.below(13)) {
            case 0:
            case 1: set_network(); break;
            case 2: remove_network(); break;
            case 3:
            case 4:
            case 5: set_app(); break;
            case 6: remove_app(); break;
            case 7: set_ports(prng_.chance(25)); break;
            case 8:
                host_.fail_apply = prng_.chance(40) ? std::optional(Error{Code::unavailable, "netlink: no buffer"}) : std::nullopt;
                host_.lose_reply = prng_.chance(30);
                break;
            case 9:
                host_.fail_items.clear();
                if (prng_.chance(30)) host_.fail_items.push_back({{}, "dnsmasq bn1", Error{Code::unavailable, "port in use"}});
                break;
            case 10: crash_agent(); break;
            case 11:
                if (prng_.chance(20)) reboot();
                break;
            default: disturb_host(); break;
        }
        const auto steps = prng_.below(150);
        for (std::uint64_t i = 0; i < steps && !testing::Test::HasFatalFailure() && loop_.step(); ++i) check();
    }

    void heal() {
        host_.fail_apply.reset();
        host_.fail_items.clear();
        host_.lose_reply = false;
        set_ports(false);
        loop_.run_for(3min);
        check();
    }

    void expect_converged() {
        std::set<std::string> vifs;
        for (const auto& vif : host_.network().vifs) vifs.insert(vif.name);
        std::size_t expected = 0;
        for (const auto& [number, app] : apps_) {
            const auto* status = bench_->status(app);
            ASSERT_NE(status, nullptr) << app.DisplayName;
            EXPECT_FALSE(status->PendingAdd || status->PendingModify || status->PendingDelete) << app.DisplayName << " " << status->Error;
            const bool has_network = networks_.contains(network_of(app));
            EXPECT_TRUE(status->Activated || !app.Activate || !has_network) << app.DisplayName << ": " << status->Error;
            EXPECT_TRUE(app.Activate || !status->Activated) << app.DisplayName;
            if (!status->Activated) continue;
            ++expected;
            EXPECT_TRUE(vifs.contains(status->AppNetAdapterList.at(0).Vif));
            EXPECT_TRUE(status->ConfigInSync);
        }
        EXPECT_EQ(vifs.size(), expected);
        EXPECT_EQ(bench_->app_status->items().size(), apps_.size());
        for (const auto& [number, network] : networks_) {
            ASSERT_NE(bench_->status(network), nullptr);
            EXPECT_TRUE(bench_->active(network)) << bench_->status(network)->Error;
            EXPECT_EQ(bench_->status(network)->Error, "");
        }
        // A network that is no longer configured stays for the apps that use it, and only for them.
        for (const auto& [key, status] : bench_->instance_status->items()) {
            const bool configured =
                std::any_of(networks_.begin(), networks_.end(), [&](const auto& item) { return item.second.UUID.to_string() == key; });
            if (configured) continue;
            EXPECT_EQ(status->ChangeInProgress, types::ChangeInProgressType::ChangeInProgressTypeDelete) << status->DisplayName;
            EXPECT_FALSE(status->Vifs.empty()) << status->DisplayName;
        }
        EXPECT_EQ(host_.network().bridges.size(), bench_->instance_status->items().size());
    }

private:
    static unsigned network_of(const types::AppNetworkConfig& app) {
        for (unsigned n = 1; n <= networks_max; ++n)
            if (ZedrouterBench::local(n, "").UUID == app.AppNetAdapterList.at(0).Network) return n;
        return 0;
    }

    void start_agent() {
        agent_ = std::make_unique<zedrouter::Agent>(
            zedrouter::Agent::Deps{.bus = *bus_, .loop = loop_, .lanes = lanes_, .log = log_, .network = host_, .run_directory = "/run/zedrouter"});
    }
    void start_others() {
        bench_ = std::make_unique<ZedrouterBench>(*bus_);
        bench_->publish_gates();
        set_ports(false);
        for (const auto& [number, network] : networks_) bench_->set(network);
        for (const auto& [number, app] : apps_) bench_->set(app);
        bench_->instances->signal_restarted();
        bench_->apps->signal_restarted();
    }
    void crash_agent() {
        agent_.reset();
        lanes_.drop_everything();
        start_agent();
    }
    void reboot() {
        agent_.reset();
        bench_.reset();
        lanes_.drop_everything();
        bus_.reset();
        store_.reboot();
        host_.reboot();
        undisturbed_.clear();
        bus_ = std::make_unique<Bus>(Bus::Deps{.loop = loop_, .log = log_, .store = &store_});
        start_agent();
        start_others();
    }

    void set_ports(bool colliding) {
        const auto address =
            colliding ? "10." + std::to_string(1 + prng_.below(networks_max)) + ".0.7/24" : "192.168." + std::to_string(prng_.below(3)) + ".10/24";
        bench_->set_ports({ZedrouterBench::port("eth0", "eth0", address)});
        undisturbed_.clear();
    }
    void set_network() {
        const auto number = static_cast<unsigned>(1 + prng_.below(networks_max));
        auto network = number == networks_max ? ZedrouterBench::layer2(number, "") : ZedrouterBench::local(number, "eth0");
        network.Version = std::to_string(++revision_);
        if (prng_.chance(30)) network.MTU = 1300;
        networks_[number] = network;
        bench_->set(network);
        undisturbed_.clear();
    }
    void remove_network() {
        const auto number = static_cast<unsigned>(1 + prng_.below(networks_max));
        if (networks_.erase(number) == 0) return;
        bench_->remove(ZedrouterBench::local(number, ""));
        undisturbed_.clear();
    }
    void set_app() {
        const auto number = static_cast<unsigned>(1 + prng_.below(apps_max));
        const auto network = ZedrouterBench::local(static_cast<unsigned>(1 + prng_.below(networks_max)), "");
        std::vector<types::ACE> entries{prng_.chance(50) ? ZedrouterBench::allow("ip", "0.0.0.0/0") : ZedrouterBench::allow("ip", "8.8.8.8")};
        auto app = ZedrouterBench::app(number, "app" + std::to_string(number), network, entries);
        app.Activate = prng_.chance(85);
        app.UUIDandVersion.Version = std::to_string(++revision_);
        apps_[number] = app;
        bench_->set(app);
        undisturbed_.erase(number);
    }
    void remove_app() {
        const auto number = static_cast<unsigned>(1 + prng_.below(apps_max));
        const auto found = apps_.find(number);
        if (found == apps_.end()) return;
        bench_->remove(found->second);
        apps_.erase(found);
        undisturbed_.erase(number);
    }
    void disturb_host() {
        const auto app = 1 + prng_.below(apps_max);
        const auto name = "nbu1x" + std::to_string(app);
        switch (prng_.below(4)) {
            case 0: host_.add_link({.name = name, .mtu = 1500, .up = true, .kind = "tun"}); break;
            case 1: host_.remove_link(name); break;
            case 2: host_.kill_dnsmasq("bn1"); break;
            default: host_.remove_link("bn" + std::to_string(1 + prng_.below(networks_max))); break;
        }
    }

    void check() {
        std::set<std::string> names;
        std::set<std::string> addresses;
        std::set<std::int64_t> numbers;
        std::set<std::string> reported;  // the numbers of apps, as interfaces are named after them
        for (const auto& [key, status] : bench_->app_status->items()) {
            reported.insert(std::to_string(status->AppNum));
            if (!status->Activated) continue;
            ASSERT_TRUE(numbers.insert(status->AppNum).second) << "two apps have number " << status->AppNum;
            for (const auto& adapter : status->AppNetAdapterList) {
                ASSERT_TRUE(names.insert(adapter.Vif).second) << adapter.Vif << " belongs to two apps";
                for (const auto& address : adapter.AssignedAddresses.IPv4Addrs)
                    ASSERT_TRUE(addresses.insert(adapter.Network.to_string() + address.Address.to_string()).second)
                        << address.Address.to_string() << " belongs to two apps";
            }
        }
        for (const auto& [number, app] : apps_) {
            const auto* status = bench_->status(app);
            const bool active = status && status->Activated && status->ConfigInSync && status->UUIDandVersion.Version == app.UUIDandVersion.Version;
            if (active && app.Activate && networks_.contains(network_of(app)) && !status->PendingModify) undisturbed_.insert(number);
        }
        for (const auto number : undisturbed_) {
            const auto* status = bench_->status(apps_.at(number));
            ASSERT_TRUE(status && status->Activated) << "app" << number << " lost its network without a reason";
            ASSERT_FALSE(host_.rules("PREROUTING-" + status->AppNetAdapterList.at(0).Vif).empty()) << "app" << number << " has no rules";
        }
        for (const auto& vif : host_.network().vifs) ASSERT_TRUE(reported.contains(vif.name.substr(vif.name.find('x') + 1))) << vif.name << " stands for an app that is said to be gone";
        for (const auto& vif : host_.network().vifs)
            ASSERT_TRUE(vif.bridge.empty() || !host_.rules("PREROUTING-" + vif.name).empty()) << vif.name << " is let in without rules";
    }

    Prng prng_;
    int revision_ = 0;
    SimClock clock_;
    SimLoop loop_{clock_};
    SimLanes lanes_;
    RecordingLog log_;
    FakeRecordStore store_;
    std::unique_ptr<Bus> bus_ = std::make_unique<Bus>(Bus::Deps{.loop = loop_, .log = log_, .store = &store_});
    FakeNetworkWorld host_;
    std::unique_ptr<zedrouter::Agent> agent_;
    std::unique_ptr<ZedrouterBench> bench_;
    std::map<unsigned, types::NetworkInstanceConfig> networks_;
    std::map<unsigned, types::AppNetworkConfig> apps_;
    std::set<unsigned> undisturbed_;  ///< active, and nothing that concerns them has changed since
};

void run_seed(std::uint64_t seed, Seeds& seeds) {
    SCOPED_TRACE(replay(seed));
    World world(seed);
    for (int i = 0; i < ticks && !testing::Test::HasFatalFailure(); ++i) world.tick();
    if (testing::Test::HasFatalFailure()) return;
    world.heal();
    world.expect_converged();
    seeds.made(world.steps());
}

TEST(ZedrouterSimulation, ConvergesOnceFaultsStop) {
    Seeds seeds(seeds_default);
    while (const auto seed = seeds.next()) {
        run_seed(*seed, seeds);
        if (HasFailure()) return;
    }
}

}  // namespace
}  // namespace eve
