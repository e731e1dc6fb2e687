// Scenarios N01 to N43 of the network specification that need no kernel: the real agent, virtual time, a host's network in memory.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/zedrouter/agent.hpp"
#include "tests/doubles/fake_network_world.hpp"
#include "tests/doubles/fake_record_store.hpp"
#include "tests/doubles/recording_log.hpp"
#include "tests/doubles/sim_loop.hpp"
#include "tests/doubles/zedrouter_bench.hpp"

namespace eve {
namespace {

using namespace std::chrono_literals;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

const auto everything = ZedrouterBench::allow("ip", "0.0.0.0/0");

class ZedrouterAgent : public testing::Test {
protected:
    ZedrouterAgent() {
        loop_.run_for(1h);
        start();
        bench_ = std::make_unique<ZedrouterBench>(bus_);
        bench_->publish_gates();
        bench_->set_ports({ZedrouterBench::port("eth0", "eth0", "192.168.1.10/24")});
        settle();
    }
    void start() {
        agent_ = std::make_unique<zedrouter::Agent>(
            zedrouter::Agent::Deps{.bus = bus_, .loop = loop_, .lanes = lanes_, .log = log_, .network = world_, .run_directory = "/run/zedrouter"});
    }
    void settle() { loop_.run_for(2s); }

    types::AppNetworkConfig run_app(unsigned number, const std::string& name, const types::NetworkInstanceConfig& network,
                                    std::vector<types::ACE> acl) {
        auto app = ZedrouterBench::app(number, name, network, std::move(acl));
        bench_->set(app);
        settle();
        return app;
    }
    std::string ip(const types::AppNetworkConfig& app) {
        const auto* status = bench_->status(app);
        if (!status || status->AppNetAdapterList.empty() || status->AppNetAdapterList[0].AssignedAddresses.IPv4Addrs.empty()) return {};
        return status->AppNetAdapterList[0].AssignedAddresses.IPv4Addrs[0].Address.to_string();
    }

    SimClock clock_;
    SimLoop loop_{clock_};
    SimLanes lanes_{loop_, Prng(1)};
    RecordingLog log_;
    FakeRecordStore store_;
    Bus bus_{{.loop = loop_, .log = log_, .store = &store_}};
    FakeNetworkWorld world_;
    std::unique_ptr<zedrouter::Agent> agent_;
    std::unique_ptr<ZedrouterBench> bench_;
};

TEST_F(ZedrouterAgent, LocalInstanceGetsABridgeRoutesAndDhcp) {  // N01
    const auto network = ZedrouterBench::local(1, "eth0");
    bench_->set(network);
    settle();
    ASSERT_TRUE(bench_->active(network));
    const auto& status = *bench_->status(network);
    EXPECT_EQ(status.BridgeName, "bn1");
    EXPECT_EQ(status.BridgeNum, 1);
    EXPECT_EQ(status.BridgeIPAddr.to_string(), "10.1.0.1");
    EXPECT_EQ(status.ChangeInProgress, types::ChangeInProgressType::ChangeInProgressTypeNone);
    ASSERT_EQ(world_.network().bridges.size(), 1u);
    EXPECT_EQ(world_.network().bridges[0].addresses, std::vector<std::string>{"10.1.0.1/24"});
    std::vector<std::uint32_t> priorities;
    for (const auto& rule : world_.network().rules) priorities.push_back(rule.priority);
    EXPECT_EQ(priorities, (std::vector<std::uint32_t>{9999, 10000, 11000}));
    EXPECT_EQ(world_.network().rules[1].table, 801u);
    EXPECT_EQ(world_.network().dhcp_servers.size(), 1u);
}

TEST_F(ZedrouterAgent, AppsGetAddressesFromTheStartOfTheRangeAndLowestFreeOnesAgain) {  // N05
    const auto network = ZedrouterBench::local(1, "eth0");
    bench_->set(network);
    const auto a = run_app(1, "a", network, {everything});
    const auto b = run_app(2, "b", network, {everything});
    EXPECT_TRUE(bench_->active(a));
    EXPECT_EQ(ip(a), "10.1.0.128");
    EXPECT_EQ(ip(b), "10.1.0.129");
    EXPECT_EQ(bench_->status(a)->AppNetAdapterList[0].Vif, "nbu1x1");
    EXPECT_EQ(bench_->status(b)->AppNetAdapterList[0].Vif, "nbu1x2");
    EXPECT_EQ(bench_->status(a)->AppNetAdapterList[0].Bridge, "bn1");
    bench_->remove(a);
    settle();
    EXPECT_EQ(bench_->status(a), nullptr);
    const auto c = run_app(3, "c", network, {everything});
    EXPECT_EQ(ip(c), "10.1.0.128");
    EXPECT_EQ(bench_->status(c)->AppNum, 1);
}

TEST_F(ZedrouterAgent, StaticAddressInsideTheRangeIsRefused) {  // N06
    const auto network = ZedrouterBench::local(1, "eth0");
    bench_->set(network);
    auto app = ZedrouterBench::app(1, "a", network, {everything});
    app.AppNetAdapterList[0].AppIPAddr = *types::IpAddress::parse("10.1.0.130");
    bench_->set(app);
    settle();
    ASSERT_NE(bench_->status(app), nullptr);
    EXPECT_FALSE(bench_->active(app));
    EXPECT_THAT(bench_->status(app)->Error, HasSubstr("is in DhcpRange"));
    app.AppNetAdapterList[0].AppIPAddr = *types::IpAddress::parse("10.1.0.20");
    bench_->set(app);
    settle();
    EXPECT_TRUE(bench_->active(app));
    EXPECT_EQ(ip(app), "10.1.0.20");
    EXPECT_EQ(bench_->status(app)->Error, "");
}

TEST_F(ZedrouterAgent, ThirdAppOnARangeOfTwoWaitsForSomebodyToLeave) {  // N07
    auto network = ZedrouterBench::local(1, "eth0");
    network.DhcpRange.End = *types::IpAddress::parse("10.1.0.129");
    bench_->set(network);
    const auto a = run_app(1, "a", network, {everything});
    run_app(2, "b", network, {everything});
    const auto c = run_app(3, "c", network, {everything});
    EXPECT_FALSE(bench_->active(c));
    EXPECT_THAT(bench_->status(c)->Error, HasSubstr("no free IP addresses in DHCP range"));
    bench_->remove(a);
    loop_.run_for(61s);
    EXPECT_TRUE(bench_->active(c));
    EXPECT_EQ(ip(c), "10.1.0.128");
}

TEST_F(ZedrouterAgent, AppThatComesBeforeItsNetworkWaitsWithoutAnError) {  // N08
    const auto network = ZedrouterBench::local(1, "eth0");
    const auto app = run_app(1, "a", network, {everything});
    ASSERT_NE(bench_->status(app), nullptr);
    EXPECT_TRUE(bench_->status(app)->AwaitNetworkInstance);
    EXPECT_EQ(bench_->status(app)->Error, "");
    bench_->set(network);
    settle();
    EXPECT_TRUE(bench_->active(app));
    EXPECT_FALSE(bench_->status(app)->AwaitNetworkInstance);
}

TEST_F(ZedrouterAgent, DeletedInstanceStaysUntilItsLastAppLeft) {  // N09
    const auto network = ZedrouterBench::local(1, "eth0");
    bench_->set(network);
    const auto app = run_app(1, "a", network, {everything});
    bench_->remove(network);
    settle();
    ASSERT_NE(bench_->status(network), nullptr);
    EXPECT_EQ(bench_->status(network)->ChangeInProgress, types::ChangeInProgressType::ChangeInProgressTypeDelete);
    EXPECT_TRUE(world_.has_bridge("bn1"));
    bench_->remove(app);
    settle();
    EXPECT_EQ(bench_->status(network), nullptr);
    EXPECT_FALSE(world_.has_bridge("bn1"));
    EXPECT_THAT(world_.network().tables, IsEmpty());
}

TEST_F(ZedrouterAgent, TypeOfAnInstanceCannotChange) {  // N10
    const auto network = ZedrouterBench::local(1, "eth0");
    bench_->set(network);
    settle();
    bench_->set(ZedrouterBench::layer2(1, ""));
    settle();
    EXPECT_NE(bench_->status(network)->ValidationErr.Error, "");
    EXPECT_TRUE(world_.has_bridge("bn1"));
    EXPECT_EQ(world_.network().bridges[0].addresses.size(), 1u);
}

TEST_F(ZedrouterAgent, SubnetOfAPortCannotBeUsed) {  // N11
    auto network = ZedrouterBench::local(1, "eth0");
    network.Subnet = *types::IpNet::parse("192.168.1.0/25");
    network.Gateway = *types::IpAddress::parse("192.168.1.1");
    network.DhcpRange = {*types::IpAddress::parse("192.168.1.64"), *types::IpAddress::parse("192.168.1.100")};
    bench_->set(network);
    settle();
    EXPECT_FALSE(bench_->active(network));
    EXPECT_THAT(bench_->status(network)->IPConflictErr.Error, HasSubstr("overlaps"));
    bench_->set_ports({ZedrouterBench::port("eth0", "eth0", "172.16.1.10/24")});
    settle();
    EXPECT_TRUE(bench_->active(network));
}

TEST_F(ZedrouterAgent, CollisionThatComesLaterSilencesTheNetworkAndItComesBack) {  // N12
    const auto network = ZedrouterBench::local(1, "eth0");
    bench_->set(network);
    const auto app = run_app(1, "a", network, {everything});
    world_.add_link({.name = "nbu1x1", .mtu = 1500, .up = true, .kind = "tun"});
    settle();
    bench_->set_ports({ZedrouterBench::port("eth0", "eth0", "10.1.0.77/24")});
    settle();
    EXPECT_FALSE(bench_->active(network));
    EXPECT_FALSE(world_.has_bridge("bn1"));
    EXPECT_TRUE(bench_->active(app));  // not halted
    ASSERT_EQ(world_.network().vifs.size(), 1u);
    EXPECT_EQ(world_.network().vifs[0].bridge, "");
    EXPECT_THAT(world_.network().dhcp_servers, IsEmpty());
    bench_->set_ports({ZedrouterBench::port("eth0", "eth0", "192.168.1.10/24")});
    settle();
    EXPECT_TRUE(bench_->active(network));
    EXPECT_EQ(world_.network().vifs[0].bridge, "bn1");
}

TEST_F(ZedrouterAgent, MtuIsTheLeastOfThePortsAndSaysSo) {  // N13
    auto one = ZedrouterBench::port("eth0", "eth0", "192.168.1.10/24");
    auto two = ZedrouterBench::port("eth1", "eth1", "192.168.2.10/24");
    two.MTU = 1400;
    bench_->set_ports({one, two});
    auto network = ZedrouterBench::local(1, "uplink");
    bench_->set(network);
    settle();
    EXPECT_EQ(bench_->status(network)->NetworkInstanceStatus::MTU, 1400);
    EXPECT_THAT(world_.network().dhcp_servers[0].config, HasSubstr("dhcp-option=option:mtu,1400\n"));
    network.MTU = 9000;
    bench_->set(network);
    settle();
    EXPECT_EQ(bench_->status(network)->NetworkInstanceStatus::MTU, 1400);
    EXPECT_NE(bench_->status(network)->MTUConflictErr.Error, "");
    EXPECT_TRUE(bench_->active(network));
}

TEST_F(ZedrouterAgent, SwitchUsesTheBridgeThatNimMadeOfThePort) {  // N14
    const auto network = ZedrouterBench::layer2(1, "eth0");
    bench_->set(network);
    settle();
    EXPECT_FALSE(bench_->active(network)) << "eth0 is not a bridge: taking it would cut the node off";
    EXPECT_THAT(bench_->status(network)->PortErr.Error, HasSubstr("is not a bridge"));
    world_.add_link({.name = "eth0", .mac = "02:00:00:00:00:01", .mtu = 1500, .up = true, .kind = "bridge"});
    settle();
    ASSERT_TRUE(bench_->active(network));
    EXPECT_EQ(bench_->status(network)->BridgeName, "eth0");
    EXPECT_THAT(world_.network().bridges, IsEmpty());
}

TEST_F(ZedrouterAgent, AirGappedSwitchHasABridgeAndNoDhcp) {  // N15
    const auto network = ZedrouterBench::layer2(1, "");
    bench_->set(network);
    settle();
    ASSERT_TRUE(bench_->active(network));
    EXPECT_EQ(bench_->status(network)->BridgeName, "bn1");
    EXPECT_FALSE(world_.network().bridges[0].stp);
    EXPECT_THAT(world_.network().dhcp_servers, IsEmpty());
}

TEST_F(ZedrouterAgent, SwitchOverTwoL2PortsHasSpanningTree) {  // N16
    auto one = ZedrouterBench::port("eth1", "eth1", "");
    auto two = ZedrouterBench::port("eth2", "eth2", "");
    one.SharedLabels = two.SharedLabels = {"lan"};
    auto uplink = ZedrouterBench::port("eth0", "eth0", "192.168.1.10/24");
    bench_->set_ports({uplink, one, two});
    const auto network = ZedrouterBench::layer2(1, "lan");
    bench_->set(network);
    settle();
    ASSERT_TRUE(bench_->active(network));
    EXPECT_TRUE(world_.network().bridges[0].stp);
    EXPECT_EQ(world_.network().bridges[0].ports, (std::vector<std::string>{"eth1", "eth2"}));
}

TEST_F(ZedrouterAgent, SecondSwitchOnAPortWaitsForTheFirstToGo) {  // N17
    bench_->set_ports({ZedrouterBench::port("eth1", "eth1", "")});
    const auto first = ZedrouterBench::layer2(1, "eth1");
    const auto second = ZedrouterBench::layer2(2, "eth1");
    bench_->set(first);
    settle();
    bench_->set(second);
    settle();
    EXPECT_TRUE(bench_->active(first));
    EXPECT_FALSE(bench_->active(second));
    EXPECT_THAT(bench_->status(second)->PortErr.Error, HasSubstr("already used"));
    bench_->remove(first);
    settle();
    EXPECT_TRUE(bench_->active(second));
}

TEST_F(ZedrouterAgent, MissingPortIsAnErrorUntilItComes) {
    const auto network = ZedrouterBench::local(1, "wan");
    bench_->set(network);
    const auto app = run_app(1, "a", network, {everything});
    EXPECT_FALSE(bench_->active(network));
    EXPECT_THAT(bench_->status(network)->PortErr.Error, HasSubstr("no port is matching label"));
    EXPECT_TRUE(bench_->status(app)->AwaitNetworkInstance);
    EXPECT_THAT(bench_->status(app)->Error, HasSubstr("no port is matching label"));
    bench_->set_ports({ZedrouterBench::port("wan", "eth0", "192.168.1.10/24")});
    settle();
    EXPECT_TRUE(bench_->active(network));
    EXPECT_TRUE(bench_->active(app));
    EXPECT_EQ(bench_->status(app)->Error, "");
}

TEST_F(ZedrouterAgent, AppNamesAreResolvedWhileTheAppIsThere) {  // N25
    const auto network = ZedrouterBench::local(1, "eth0");
    bench_->set(network);
    const auto app = run_app(1, "web", network, {everything});
    EXPECT_EQ(world_.network().dhcp_servers[0].hosts.at("web"), "10.1.0.128\tweb\n");
    EXPECT_EQ(world_.network().dhcp_servers[0].hosts.at("router"), "10.1.0.1\trouter\n");
    bench_->remove(app);
    settle();
    EXPECT_FALSE(world_.network().dhcp_servers[0].hosts.contains("web"));
}

TEST_F(ZedrouterAgent, PortMapIsReachedOnEveryAddressFromOutsideAndInside) {  // N30, N32
    const auto network = ZedrouterBench::local(1, "eth0");
    bench_->set(network);
    run_app(1, "web", network, {everything, ZedrouterBench::port_map("tcp", "2222", 22)});
    EXPECT_THAT(world_.rules("DNAT-nbu1x1"),
                Contains("iifname \"eth0\" ip daddr 192.168.1.10 tcp dport 2222 counter dnat ip to 10.1.0.128:22"));
    EXPECT_THAT(world_.rules("DNAT-nbu1x1"), Contains("iifname \"bn1\" ip daddr 192.168.1.10 tcp dport 2222 counter dnat ip to 10.1.0.128:22"));
    EXPECT_THAT(world_.rules("NAT-POSTROUTING"), Contains("oifname \"eth0\" ip saddr 10.1.0.0/24 counter masquerade"));
    bench_->set_ports({ZedrouterBench::port("eth0", "eth0", "192.168.1.11/24")});
    settle();
    EXPECT_THAT(world_.rules("DNAT-nbu1x1"),
                Contains("iifname \"eth0\" ip daddr 192.168.1.11 tcp dport 2222 counter dnat ip to 10.1.0.128:22"));
}

TEST_F(ZedrouterAgent, PortMapNeedsAPortAndIsNobodyElses) {
    const auto gapped = ZedrouterBench::local(1, "");
    const auto network = ZedrouterBench::local(2, "eth0");
    bench_->set(gapped);
    bench_->set(network);
    const auto a = run_app(1, "a", gapped, {ZedrouterBench::port_map("tcp", "80", 80)});
    EXPECT_THAT(bench_->status(a)->Error, HasSubstr("has no port"));
    const auto b = run_app(2, "b", network, {ZedrouterBench::port_map("tcp", "80", 80)});
    EXPECT_TRUE(bench_->active(b));
    const auto c = run_app(3, "c", network, {ZedrouterBench::port_map("tcp", "80", 8080)});
    EXPECT_FALSE(bench_->active(c));
    EXPECT_THAT(bench_->status(c)->Error, HasSubstr("already mapped by app b"));
    bench_->remove(b);
    loop_.run_for(61s);
    EXPECT_TRUE(bench_->active(c));
}

TEST_F(ZedrouterAgent, ChangedRulesOfARunningAppTouchNothingElse) {  // N34
    const auto network = ZedrouterBench::local(1, "eth0");
    bench_->set(network);
    auto a = run_app(1, "a", network, {everything});
    run_app(2, "b", network, {everything});
    const auto before = world_.network();
    a.AppNetAdapterList[0].ACLs = {ZedrouterBench::allow("ip", "10.1.0.1")};
    bench_->set(a);
    settle();
    EXPECT_TRUE(bench_->active(a));
    EXPECT_TRUE(bench_->status(a)->ConfigInSync);
    EXPECT_EQ(world_.network().bridges, before.bridges);
    EXPECT_EQ(world_.network().dhcp_servers, before.dhcp_servers);
    EXPECT_EQ(world_.network().vifs, before.vifs);
    EXPECT_THAT(world_.rules("PREROUTING-nbu1x1"), Contains(HasSubstr("ip daddr 10.1.0.1 counter")));
}

TEST_F(ZedrouterAgent, BridgedFramesMeetTheRulesUnlessEverythingIsAllowed) {  // N35
    const auto value = [&](const std::string& name) {
        for (const auto& sysctl : world_.network().sysctls)
            if (sysctl.name == name) return sysctl.value;
        return std::string();
    };
    const auto network = ZedrouterBench::local(1, "eth0");
    bench_->set(network);
    settle();
    EXPECT_EQ(value("net/bridge/bridge-nf-call-iptables"), "0");
    run_app(1, "a", network, {everything});
    EXPECT_EQ(value("net/bridge/bridge-nf-call-iptables"), "0");
    EXPECT_EQ(value("net/bridge/bridge-nf-call-ip6tables"), "1");
    run_app(2, "b", network, {ZedrouterBench::allow("ip", "8.8.8.8")});
    EXPECT_EQ(value("net/bridge/bridge-nf-call-iptables"), "1");
}

TEST_F(ZedrouterAgent, LeaseShowsTheAddressAsAssignedAndOutlivesATruncatedFile) {  // N40
    const auto network = ZedrouterBench::local(1, "eth0");
    bench_->set(network);
    const auto app = run_app(1, "a", network, {everything});
    EXPECT_FALSE(bench_->status(app)->AppNetAdapterList[0].IPv4Assigned);
    world_.give_lease("bn1", {.expires = 0,
                              .mac = bench_->status(app)->AppNetAdapterList[0].Mac.to_string(),
                              .address = "10.1.0.128",
                              .host_name = app.UUIDandVersion.UUID.to_string()});
    settle();
    EXPECT_TRUE(bench_->status(app)->AppNetAdapterList[0].IPv4Assigned);
    world_.clear_leases("bn1");
    loop_.run_for(10s);
    EXPECT_TRUE(bench_->status(app)->AppNetAdapterList[0].IPv4Assigned);
    loop_.run_for(6min);
    EXPECT_FALSE(bench_->status(app)->AppNetAdapterList[0].IPv4Assigned);
}

TEST_F(ZedrouterAgent, MacRuleOfAnAppDoesNotFollowTheProperty) {  // N42
    const auto network = ZedrouterBench::local(1, "eth0");
    bench_->set(network);
    auto a = run_app(1, "a", network, {everything});
    const auto mac = bench_->status(a)->AppNetAdapterList[0].Mac;
    auto items = types::default_config_items();
    ASSERT_TRUE(types::apply_config_item(items, items, "network.local.legacy.mac.address", "true"));
    ASSERT_TRUE(bench_->items->publish("global", items));
    settle();
    a.UUIDandVersion.Version = "2";
    bench_->set(a);
    settle();
    EXPECT_EQ(bench_->status(a)->AppNetAdapterList[0].Mac, mac);
    const auto b = run_app(2, "b", network, {everything});
    EXPECT_EQ(bench_->status(b)->AppNetAdapterList[0].Mac.to_string(), "00:16:3e:00:01:02");
}

TEST_F(ZedrouterAgent, RestartKeepsNumbersAddressesAndWhatRuns) {  // N43 and adoption
    const auto one = ZedrouterBench::local(1, "eth0");
    const auto two = ZedrouterBench::local(2, "eth0");
    bench_->set(one);
    bench_->set(two);
    run_app(1, "a", one, {everything});
    const auto b = run_app(2, "b", two, {everything});
    const auto before = *bench_->status(b);
    const auto network = world_.network();
    agent_.reset();
    loop_.run_for(1s);
    bool went_down = false;
    auto watcher = bus_.subscribe<types::AppNetworkStatus>(
        {.agent = "zedrouter"}, {.created = [&](const std::string&, const types::AppNetworkStatus& now) { went_down = went_down || !now.Activated; },
                                 .deleted = [&](const std::string&, const types::AppNetworkStatus&) { went_down = true; }});
    start();
    loop_.run_for(10s);
    EXPECT_FALSE(went_down);
    EXPECT_TRUE(bench_->active(b));
    EXPECT_EQ(*bench_->status(b), before);
    EXPECT_EQ(world_.network(), network);
}

TEST_F(ZedrouterAgent, RestartWithoutConfigsChangesNothingUntilTheyAreComplete) {
    const auto network = ZedrouterBench::local(1, "eth0");
    bench_->set(network);
    run_app(1, "a", network, {everything});
    agent_.reset();
    bench_->instances->close();  // the other agents went too, and come without their tables
    bench_->apps->close();
    bench_ = nullptr;
    loop_.run_for(1s);
    const int applies = world_.applies();
    start();
    bench_ = std::make_unique<ZedrouterBench>(bus_);
    bench_->publish_gates();
    bench_->set_ports({ZedrouterBench::port("eth0", "eth0", "192.168.1.10/24")});
    loop_.run_for(10s);
    EXPECT_EQ(world_.applies(), applies);
    EXPECT_TRUE(world_.has_bridge("bn1"));
    bench_->instances->signal_restarted();
    bench_->apps->signal_restarted();
    loop_.run_for(10s);
    EXPECT_FALSE(world_.has_bridge("bn1"));
}

TEST_F(ZedrouterAgent, TwoHundredFiftySixthAppIsTold) {
    const auto network = ZedrouterBench::layer2(1, "");
    bench_->set(network);
    for (unsigned i = 1; i <= 256; ++i) bench_->set(ZedrouterBench::app(i, "app" + std::to_string(i), network, {everything}));
    loop_.run_for(20s);
    int active = 0;
    std::string error;
    for (const auto& [key, status] : bench_->app_status->items()) {
        if (status->Activated) ++active;
        else error = status->Error;
    }
    EXPECT_EQ(active, 255);
    EXPECT_THAT(error, HasSubstr("no free app number"));
}

TEST_F(ZedrouterAgent, AppsWithoutANetworkTakeNoNumber) {
    const auto network = ZedrouterBench::layer2(1, "");
    bench_->set(network);
    for (unsigned i = 1; i <= 300; ++i) {
        auto app = ZedrouterBench::app(i, "app" + std::to_string(i), network, {});
        app.AppNetAdapterList.clear();
        bench_->set(app);
    }
    const auto app = run_app(301, "networked", network, {everything});
    EXPECT_EQ(bench_->status(app)->Error, "");
    EXPECT_EQ(bench_->status(app)->AppNum, 1);
}

TEST_F(ZedrouterAgent, FailureOfTheKernelIsReportedAndTriedAgain) {
    world_.fail_apply = Error{Code::unavailable, "netlink: no answer"};
    const auto network = ZedrouterBench::local(1, "eth0");
    bench_->set(network);
    const auto app = run_app(1, "a", network, {everything});
    EXPECT_FALSE(bench_->active(network));
    EXPECT_THAT(bench_->status(network)->ReconcileErr.Error, HasSubstr("no answer"));
    EXPECT_LT(world_.applies(), 10);
    world_.fail_apply.reset();
    loop_.run_for(70s);
    EXPECT_TRUE(bench_->active(network));
    EXPECT_TRUE(bench_->active(app));
    EXPECT_EQ(bench_->status(network)->ReconcileErr.Error, "");
}

TEST_F(ZedrouterAgent, ADeletedAppIsGoneWhenItsInterfacesAre) {  // found by simulation
    const auto network = ZedrouterBench::local(1, "eth0");
    bench_->set(network);
    settle();
    world_.lose_reply = true;
    const auto app = run_app(1, "a", network, {everything});
    ASSERT_FALSE(bench_->active(app));
    ASSERT_EQ(world_.network().vifs.size(), 1u) << "nobody heard that it was done";
    world_.lose_reply = false;
    world_.fail_apply = Error{Code::unavailable, "netlink: no answer"};
    bench_->remove(app);
    settle();
    EXPECT_NE(bench_->status(app), nullptr);
    world_.fail_apply.reset();
    loop_.run_for(70s);
    EXPECT_EQ(bench_->status(app), nullptr);
    EXPECT_TRUE(world_.network().vifs.empty());
}

TEST_F(ZedrouterAgent, ADeletedAppGoesAlsoWhereSomethingElseFailsForGood) {
    const auto network = ZedrouterBench::local(1, "eth0");
    bench_->set(network);
    const auto app = run_app(1, "a", network, {everything});
    world_.fail_items = {{{}, "dnsmasq bn1", Error{Code::unavailable, "port in use"}}};
    bench_->remove(app);
    settle();
    EXPECT_EQ(bench_->status(app), nullptr);
}

TEST_F(ZedrouterAgent, DeadDnsmasqIsStartedAgain) {
    const auto network = ZedrouterBench::local(1, "eth0");
    bench_->set(network);
    settle();
    const int applies = world_.applies();
    world_.kill_dnsmasq("bn1");
    loop_.run_for(5s);
    EXPECT_EQ(world_.applies(), applies + 1);
}

TEST_F(ZedrouterAgent, RestartMarkersAreEchoed) {
    bench_->instances->signal_restarted();
    bench_->apps->signal_restarted();
    settle();
    EXPECT_EQ(bench_->instance_status->restart_counter(), 1);
    EXPECT_EQ(bench_->app_status->restart_counter(), 1);
}

TEST_F(ZedrouterAgent, DeactivatedAppLosesItsRulesAndKeepsItsNumber) {
    const auto network = ZedrouterBench::local(1, "eth0");
    bench_->set(network);
    auto app = run_app(1, "a", network, {everything});
    app.Activate = false;
    bench_->set(app);
    settle();
    EXPECT_FALSE(bench_->active(app));
    EXPECT_EQ(bench_->status(app)->AppNum, 1);
    EXPECT_THAT(world_.rules("PREROUTING-nbu1x1"), IsEmpty());
    app.Activate = true;
    bench_->set(app);
    settle();
    EXPECT_TRUE(bench_->active(app));
}

TEST_F(ZedrouterAgent, AppWithoutInterfacesIsActiveAtOnce) {
    auto app = ZedrouterBench::app(1, "a", ZedrouterBench::local(1, "eth0"), {});
    app.AppNetAdapterList.clear();
    bench_->set(app);
    settle();
    EXPECT_TRUE(bench_->active(app));
    EXPECT_TRUE(bench_->status(app)->ConfigInSync);
    const auto network = ZedrouterBench::local(1, "eth0");
    bench_->set(network);
    auto second = app;
    second.UUIDandVersion.UUID = ZedrouterBench::uuid(2);
    bench_->set(second);
    settle();
    EXPECT_TRUE(bench_->active(second));
    bench_->remove(second);
    settle();
    EXPECT_EQ(bench_->status(second), nullptr);
}

TEST_F(ZedrouterAgent, NewVersionOfTheSameConfigIsNoChange) {
    const auto network = ZedrouterBench::local(1, "eth0");
    bench_->set(network);
    auto app = run_app(1, "a", network, {everything});
    const int applies = world_.applies();
    app.UUIDandVersion.Version = "2";
    bench_->set(app);
    settle();
    EXPECT_TRUE(bench_->status(app)->ConfigInSync);
    EXPECT_FALSE(bench_->status(app)->PendingModify);
    EXPECT_EQ(bench_->status(app)->UUIDandVersion.Version, "2");
    EXPECT_EQ(world_.applies(), applies);
}

TEST_F(ZedrouterAgent, ChangedMacKeepsTheAddress) {
    const auto network = ZedrouterBench::local(1, "eth0");
    bench_->set(network);
    auto app = run_app(1, "a", network, {everything});
    app.AppNetAdapterList[0].AppMacAddr = types::MacAddress::parse_or_none("02:11:22:33:44:55");
    bench_->set(app);
    settle();
    EXPECT_EQ(bench_->status(app)->Error, "");
    EXPECT_EQ(ip(app), "10.1.0.128");
    EXPECT_EQ(bench_->status(network)->IPAssignments.size(), 2u);
}

TEST_F(ZedrouterAgent, BadChangeOfARunningAppLeavesItRunning) {
    const auto network = ZedrouterBench::local(1, "eth0");
    bench_->set(network);
    auto app = run_app(1, "a", network, {everything});
    const auto before = world_.network();
    app.AppNetAdapterList[0].AppIPAddr = *types::IpAddress::parse("10.9.0.1");
    bench_->set(app);
    settle();
    EXPECT_TRUE(bench_->active(app));
    EXPECT_THAT(bench_->status(app)->Error, HasSubstr("is not in subnet"));
    EXPECT_FALSE(bench_->status(app)->ConfigInSync);
    EXPECT_FALSE(bench_->status(app)->PendingModify);
    EXPECT_EQ(world_.network(), before);
}

}  // namespace
}  // namespace eve
