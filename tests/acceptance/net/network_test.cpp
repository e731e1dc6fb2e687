// zedrouter over the real kernel and the real dnsmasq, in network namespaces of its own. Guests are namespaces joined by a veth whose near
// end is called as the app's interface: what a hypervisor would do with a tap.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <iterator>
#include <sstream>

#include "core/loop/asio_loop.hpp"
#include "core/zedrouter/agent.hpp"
#include "net/netlink.hpp"
#include "net/network_world.hpp"
#include "tests/acceptance/net/guest.hpp"
#include "tests/doubles/fake_record_store.hpp"
#include "tests/doubles/recording_log.hpp"
#include "tests/doubles/temp_dir.hpp"
#include "tests/doubles/zedrouter_bench.hpp"

namespace eve {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

const auto everything = ZedrouterBench::allow("ip", "0.0.0.0/0");

/// The other agents' topics and this one's files outlive a crash of the node; the rest is one life of it.
struct Life {
    Life(Loop& loop_, IoLoop& io, FakeRecordStore& store, RecordingLog& log, const std::string& directory)
        : world({.loop = io, .log = log, .directory = directory}), bus({.loop = loop_, .log = log, .store = &store}), lanes(loop_) {
        agent = std::make_unique<zedrouter::Agent>(
            zedrouter::Agent::Deps{.bus = bus, .loop = loop_, .lanes = lanes, .log = log, .network = world, .run_directory = directory});
        bench = std::make_unique<ZedrouterBench>(bus);
        bench->publish_gates();
    }
    ~Life() { agent.reset(); }
    net::LinuxNetworkWorld world;
    Bus bus;
    std::unique_ptr<zedrouter::Agent> agent;
    std::unique_ptr<ZedrouterBench> bench;
    ThreadLanes lanes;  // ends first: a job in it uses the world
};

class Network : public testing::Test {
protected:
    void SetUp() override {
        if (const auto missing = what_is_missing(); !missing.empty()) GTEST_SKIP() << "cannot run here, missing: " << missing;
        ASSERT_EQ(::unshare(CLONE_NEWNET), 0);  // this process is the node; each test is a process of its own
        run({"ip", "link", "set", "lo", "up"});
        outside_ = std::make_unique<Namespace>();
        ASSERT_TRUE(run({"ip", "link", "add", "eth0", "type", "veth", "peer", "name", "wan", "netns", outside_->pid()}).ok());
        run({"ip", "address", "add", "192.168.77.10/24", "dev", "eth0"});
        run({"ip", "link", "set", "eth0", "up"});
        outside_->run({"ip", "address", "add", "192.168.77.1/24", "dev", "wan"});
        outside_->run({"ip", "address", "add", "8.8.8.8/32", "dev", "wan"});
        outside_->run({"ip", "address", "add", "9.9.9.9/32", "dev", "wan"});
        outside_->run({"ip", "link", "set", "wan", "up"});
        run({"ip", "route", "add", "default", "via", "192.168.77.1"});
        before_ = everything_there();
        clock_ = std::make_unique<SystemClock>();
        loop_ = std::make_unique<AsioLoop>(*clock_);
        begin();
    }
    void TearDown() override {
        if (HasFailure() && loop_) {
            for (const auto& event : log_.events()) {
                std::cerr << event.name;
                for (const auto& field : event.fields)
                    if (const auto* text = std::get_if<std::string>(&field.value)) std::cerr << " " << field.name << "=" << *text;
                std::cerr << "\n";
            }
            std::cerr << run({"nft", "list", "ruleset"}).text;
        }
        if (life_) {
            for (const auto& [key, config] : std::map(life_->bench->apps->items())) (void)life_->bench->apps->unpublish(key);
            for (const auto& [key, config] : std::map(life_->bench->instances->items())) (void)life_->bench->instances->unpublish(key);
            wait([&] { return life_->bench->instance_status->items().empty(); });
        }
        life_.reset();
        loop_.reset();
        guests_.clear();
    }

    /// What must be the same before and after: links, addresses, routes, rules, tables, processes of dnsmasq.
    std::string everything_there() {
        std::string text;
        for (const char* what : {"link", "address", "rule"}) text += run({"ip", "-4", "-brief", what}).text;
        text += run({"ip", "-4", "route", "show", "table", "all"}).text;  // link-local IPv6 of the port comes in its own time
        if (const auto ours = run({"ip", "-6", "route", "show", "table", "801"}); ours.ok()) text += ours.text;  // fails while there is no such table
        text += run({"nft", "list", "ruleset"}).text;
        return text;
    }

    void begin() {
        life_ = std::make_unique<Life>(*loop_, *loop_, store_, log_, directory());
        life_->bench->set_ports({ZedrouterBench::port("uplink0", "eth0", "192.168.77.10/24")});
    }
    std::string directory() const { return root_.string() + "/run/zedrouter"; }

    bool wait(const std::function<bool()>& condition, std::chrono::seconds limit = 15s) {
        const auto deadline = clock_->now() + limit;
        bool result = false;
        std::function<void()> look = [&] {
            result = condition();
            if (result || clock_->now() >= deadline) loop_->stop();
            else loop_->after(10ms, look);
        };
        loop_->after(0ms, look);
        loop_->run();
        return result;
    }

    types::NetworkInstanceConfig use(types::NetworkInstanceConfig network) {
        life_->bench->set(network);
        EXPECT_TRUE(wait([&] { return life_->bench->active(network); }))
            << (life_->bench->status(network) ? life_->bench->status(network)->Error : "none");
        return network;
    }

    /// An app whose interface exists; its guest asks for an address unless `address` is given.
    Namespace& guest(const types::AppNetworkConfig& app, const std::string& address = {}) {
        life_->bench->set(app);
        EXPECT_TRUE(wait([&] { return life_->bench->active(app) && life_->bench->status(app)->ConfigInSync; }))
            << (life_->bench->status(app) ? life_->bench->status(app)->Error : "none");
        const auto adapter = life_->bench->status(app)->AppNetAdapterList.at(0);
        guests_.push_back(std::make_unique<Namespace>());
        auto& made = *guests_.back();
        EXPECT_TRUE(run({"ip", "link", "add", adapter.Vif, "type", "veth", "peer", "name", "eth0", "netns", made.pid()}).ok());
        made.run({"ip", "link", "set", "lo", "up"});
        made.run({"ip", "link", "set", "eth0", "address", adapter.Mac.to_string(), "up"});
        EXPECT_TRUE(wait([&] { return run({"ip", "link", "show", adapter.Vif}).text.find("master " + adapter.Bridge) != std::string::npos; }))
            << adapter.Vif << " was not put into " << adapter.Bridge;
        if (!address.empty()) {
            made.run({"ip", "address", "add", address, "dev", "eth0"});
            return made;
        }
        EXPECT_TRUE(wait([&] { return lease(made); })) << app.DisplayName << " got no lease";
        return made;
    }

    bool lease(Namespace& guest) {
        const auto script = root_.string() + "/udhcpc";
        if (!std::filesystem::exists(script)) {
            std::ofstream(script) << "#!/bin/sh\n[ \"$1\" = bound ] || exit 0\n"
                                     "ip address replace $ip/$mask dev $interface\n"
                                     "[ -n \"$router\" ] && ip route replace default via $router\n"
                                     "echo $dns > " + root_.string() + "/dns.$ip\necho $hostname > " + root_.string() + "/hostname.$ip\n"
                                     "echo $mtu > " + root_.string() + "/mtu.$ip\nexit 0\n";
            ::chmod(script.c_str(), 0755);
        }
        return guest.run({"busybox", "udhcpc", "-i", "eth0", "-n", "-q", "-f", "-t", "3", "-T", "1", "-s", script, "-O", "mtu", "-O", "hostname"})
            .ok();
    }
    static bool pings(Namespace& from, const std::string& to) { return from.run({"busybox", "ping", "-c", "1", "-W", "1", to}).ok(); }
    /// Serves `text` on TCP `port`, one answer per connection.
    static void serve(Namespace& in, const std::string& port, const std::string& text) {
        in.start({"busybox", "nc", "-ll", "-p", port, "-e", "/bin/echo", text});
    }
    std::string fetch(Namespace& from, const std::string& address, const std::string& port) {
        Output output;
        wait([&] {
            output = from.run({"busybox", "timeout", "2", "busybox", "nc", "-w", "1", address, port});
            return output.text.find("hello") != std::string::npos;
        }, 3s);
        return output.text;
    }

    TempDir root_;
    FakeRecordStore store_;
    RecordingLog log_;
    std::unique_ptr<SystemClock> clock_;
    std::unique_ptr<AsioLoop> loop_;
    std::unique_ptr<Namespace> outside_;
    std::vector<std::unique_ptr<Namespace>> guests_;
    std::unique_ptr<Life> life_;
    std::string before_;
};

TEST_F(Network, GuestsGetAddressesKnowEachOthersNamesAndReachTheOutside) {
    const auto network = use(ZedrouterBench::local(1, "uplink0"));
    const auto web = ZedrouterBench::app(1, "web", network, {everything});
    auto& a = guest(web);
    auto& b = guest(ZedrouterBench::app(2, "db", network, {everything}));
    EXPECT_THAT(a.run({"ip", "address", "show", "eth0"}).text, HasSubstr("10.1.0.128/24"));
    EXPECT_THAT(b.run({"ip", "address", "show", "eth0"}).text, HasSubstr("10.1.0.129/24"));
    EXPECT_TRUE(wait([&] { return life_->bench->status(web)->AppNetAdapterList[0].IPv4Assigned; }));
    EXPECT_THAT(a.run({"busybox", "nslookup", "db", "10.1.0.1"}).text, HasSubstr("10.1.0.129"));
    EXPECT_THAT(b.run({"busybox", "nslookup", "web", "10.1.0.1"}).text, HasSubstr("10.1.0.128"));
    EXPECT_THAT(b.run({"busybox", "nslookup", "router", "10.1.0.1"}).text, HasSubstr("10.1.0.1"));
    EXPECT_TRUE(pings(a, "10.1.0.129"));
    EXPECT_TRUE(pings(a, "8.8.8.8"));
    // The outside sees the node's address, not the guest's.
    serve(*outside_, "7000", "hello from outside");
    EXPECT_FALSE(outside_->run({"ip", "route", "get", "10.1.0.128"}).ok());
    EXPECT_THAT(fetch(a, "192.168.77.1", "7000"), HasSubstr("hello"));
}

TEST_F(Network, DeniedDestinationIsNotReachedWhileAnAllowedOneIs) {
    const auto network = use(ZedrouterBench::local(1, "uplink0"));
    auto& a = guest(ZedrouterBench::app(1, "a", network, {ZedrouterBench::allow("ip", "8.8.8.8")}));
    auto& b = guest(ZedrouterBench::app(2, "b", network, {everything}));
    EXPECT_TRUE(pings(a, "8.8.8.8"));
    EXPECT_FALSE(pings(a, "9.9.9.9"));
    EXPECT_FALSE(pings(a, "10.1.0.129")) << "a bridged neighbour is a destination as any other";
    EXPECT_FALSE(pings(b, "10.1.0.128"));
    EXPECT_TRUE(pings(b, "9.9.9.9"));
    auto drop_first = ZedrouterBench::allow("ip", "9.9.9.0/24", 1);
    drop_first.Actions = {{.Drop = true}};
    auto& c = guest(ZedrouterBench::app(3, "c", network, {drop_first, ZedrouterBench::allow("ip", "0.0.0.0/0", 2)}));
    EXPECT_TRUE(pings(c, "8.8.8.8"));
    EXPECT_FALSE(pings(c, "9.9.9.9"));
}

TEST_F(Network, AllowedHostIsReachedOnceItsNameWasResolved) {
    outside_->start({"dnsmasq", "-k", "--conf-file=/dev/null", "--user=root", "--no-resolv", "--no-hosts", "--pid-file=", "--bind-interfaces",
                     "--listen-address=192.168.77.1", "--address=/www.example.com/8.8.8.8"});
    auto uplink = ZedrouterBench::port("uplink0", "eth0", "192.168.77.10/24");
    uplink.DNSServers.push_back(*types::IpAddress::parse("192.168.77.1"));
    life_->bench->set_ports({uplink});
    auto network = ZedrouterBench::local(1, "uplink0");
    network.DnsNameToIPList.push_back({.HostName = "ours.example.com", .IPs = {*types::IpAddress::parse("9.9.9.9")}});
    use(network);
    auto& a = guest(ZedrouterBench::app(1, "a", network,
                                        {ZedrouterBench::allow("host", "www.example.com"), ZedrouterBench::allow("host", "ours.example.com", 2)}));
    EXPECT_TRUE(pings(a, "9.9.9.9")) << "a static name is known without asking";
    EXPECT_FALSE(pings(a, "8.8.8.8"));
    EXPECT_THAT(a.run({"busybox", "nslookup", "www.example.com", "10.1.0.1"}).text, HasSubstr("8.8.8.8"));
    EXPECT_TRUE(pings(a, "8.8.8.8"));
    EXPECT_FALSE(pings(a, "192.168.77.1"));
    // Another app's rules change; what was learned stays.
    auto& b = guest(ZedrouterBench::app(2, "b", network, {ZedrouterBench::allow("host", "www.example.com")}));
    EXPECT_TRUE(pings(b, "8.8.8.8"));
    EXPECT_TRUE(pings(a, "8.8.8.8"));
}

TEST_F(Network, PortMapIsReachedFromOutsideAndFromInside) {
    const auto network = use(ZedrouterBench::local(1, "uplink0"));
    auto& web =
        guest(ZedrouterBench::app(1, "web", network, {ZedrouterBench::allow("ip", "10.1.0.0/24"), ZedrouterBench::port_map("tcp", "8080", 80)}));
    auto& client = guest(ZedrouterBench::app(2, "client", network, {everything}));
    serve(web, "80", "hello from web");
    EXPECT_THAT(fetch(*outside_, "192.168.77.10", "8080"), HasSubstr("hello from web"));
    EXPECT_THAT(fetch(client, "192.168.77.10", "8080"), HasSubstr("hello from web"));
    EXPECT_THAT(fetch(client, "10.1.0.128", "80"), HasSubstr("hello from web"));
    // Nothing but the mapped port is open.
    serve(web, "81", "hello from web");
    EXPECT_THAT(fetch(*outside_, "192.168.77.10", "81"), Not(HasSubstr("hello")));
    outside_->run({"ip", "route", "add", "10.1.0.0/24", "via", "192.168.77.10"});
    EXPECT_THAT(fetch(*outside_, "10.1.0.128", "81"), Not(HasSubstr("hello")));
    const auto marks = run({"nft", "list", "chain", "inet", "evenode", "FORWARD-nbu1x1"}).text;
    EXPECT_THAT(marks, HasSubstr("0x01400002"));
}

TEST_F(Network, LimitedTrafficIsThrottled) {
    const auto network = use(ZedrouterBench::local(1, "uplink0"));
    auto limited = ZedrouterBench::allow("ip", "8.8.8.8", 1);
    limited.Actions = {{.Limit = true, .LimitRate = 1, .LimitUnit = "h", .LimitBurst = 4}};
    auto& a = guest(ZedrouterBench::app(1, "a", network, {limited}));
    const auto output = a.run({"busybox", "ping", "-c", "8", "-i", "0.1", "-W", "1", "8.8.8.8"}).text;
    EXPECT_THAT(output, HasSubstr("4 packets received"));
}

TEST_F(Network, RulesOfARunningAppChangeUnderIt) {
    const auto network = use(ZedrouterBench::local(1, "uplink0"));
    auto app = ZedrouterBench::app(1, "a", network, {everything});
    auto& a = guest(app);
    EXPECT_TRUE(pings(a, "9.9.9.9"));
    app.AppNetAdapterList[0].ACLs = {ZedrouterBench::allow("ip", "8.8.8.8")};
    life_->bench->set(app);
    EXPECT_TRUE(wait([&] { return !pings(a, "9.9.9.9"); }));
    EXPECT_TRUE(pings(a, "8.8.8.8"));
}

TEST_F(Network, AirGappedNetworkEndsAtItsBridge) {
    const auto network = use(ZedrouterBench::local(1, ""));
    auto& a = guest(ZedrouterBench::app(1, "a", network, {everything}));
    auto& b = guest(ZedrouterBench::app(2, "b", network, {everything}));
    EXPECT_TRUE(pings(a, "10.1.0.129"));
    a.run({"ip", "route", "replace", "default", "via", "10.1.0.1"});
    EXPECT_FALSE(pings(a, "8.8.8.8"));
    EXPECT_THAT(b.run({"busybox", "nslookup", "a", "10.1.0.1"}).text, HasSubstr("10.1.0.128"));
}

TEST_F(Network, TwoNetworksDoNotSeeEachOther) {
    const auto one = use(ZedrouterBench::local(1, "uplink0"));
    const auto two = use(ZedrouterBench::local(2, "uplink0"));
    auto& a = guest(ZedrouterBench::app(1, "a", one, {everything}));
    guest(ZedrouterBench::app(2, "b", two, {everything}));
    EXPECT_TRUE(pings(a, "8.8.8.8"));
    EXPECT_FALSE(pings(a, "10.2.0.128"));
}

TEST_F(Network, SwitchJoinsGuestsWithinTheirRules) {
    const auto network = use(ZedrouterBench::layer2(1, ""));
    auto& a = guest(ZedrouterBench::app(1, "a", network, {everything}), "172.30.0.1/24");
    auto& b = guest(ZedrouterBench::app(2, "b", network, {everything}), "172.30.0.2/24");
    auto& c = guest(ZedrouterBench::app(3, "c", network, {ZedrouterBench::allow("ip", "172.30.0.2")}), "172.30.0.3/24");
    EXPECT_TRUE(pings(a, "172.30.0.2"));
    EXPECT_TRUE(pings(c, "172.30.0.2"));
    EXPECT_FALSE(pings(c, "172.30.0.1"));
    EXPECT_FALSE(pings(a, "172.30.0.3")) << "what c does not allow does not reach it";
    EXPECT_TRUE(pings(b, "172.30.0.3"));
}

TEST_F(Network, SwitchOverAnL2PortReachesTheWire) {
    run({"ip", "link", "add", "eth1", "type", "veth", "peer", "name", "lan", "netns", outside_->pid()});
    outside_->run({"ip", "address", "add", "172.31.0.1/24", "dev", "lan"});
    outside_->run({"ip", "link", "set", "lan", "up"});
    life_->bench->set_ports({ZedrouterBench::port("uplink0", "eth0", "192.168.77.10/24"), ZedrouterBench::port("lan", "eth1", "")});
    const auto network = use(ZedrouterBench::layer2(1, "lan"));
    auto& a = guest(ZedrouterBench::app(1, "a", network, {ZedrouterBench::allow("ip", "172.31.0.1")}), "172.31.0.9/24");
    EXPECT_TRUE(wait([&] { return pings(a, "172.31.0.1"); }));
    outside_->run({"ip", "address", "add", "172.31.0.2/24", "dev", "lan"});
    EXPECT_FALSE(pings(a, "172.31.0.2"));
}

TEST_F(Network, InterfaceThatNoRuleKnowsIsDeafAndMute) {
    use(ZedrouterBench::local(1, "uplink0"));
    Namespace stranger;
    run({"ip", "link", "add", "nbu9x9", "type", "veth", "peer", "name", "eth0", "netns", stranger.pid()});
    run({"ip", "link", "set", "nbu9x9", "master", "bn1", "up"});
    stranger.run({"ip", "address", "add", "10.1.0.99/24", "dev", "eth0"});
    stranger.run({"ip", "link", "set", "eth0", "up"});
    EXPECT_FALSE(pings(stranger, "10.1.0.1"));
}

TEST_F(Network, NothingIsLeftWhenEverythingIsDeleted) {
    const auto network = use(ZedrouterBench::local(1, "uplink0"));
    const auto app = ZedrouterBench::app(1, "a", network, {everything, ZedrouterBench::port_map("tcp", "8080", 80)});
    guest(app);
    EXPECT_NE(everything_there(), before_);
    run({"ip", "link", "delete", "nbu1x1"});  // the hypervisor's part
    life_->bench->remove(app);
    life_->bench->remove(network);
    EXPECT_TRUE(wait([&] { return life_->bench->status(network) == nullptr; }));
    EXPECT_EQ(everything_there(), before_);
    EXPECT_TRUE(std::filesystem::is_empty(directory() + "/dnsmasq.leases"));
    EXPECT_FALSE(std::filesystem::exists(directory() + "/dnsmasq.bn1.conf"));
}

std::vector<net::Link> links_where(net::Netlink& netlink, const std::function<bool(const net::Link&)>& holds) {
    auto links = netlink.links();
    EXPECT_TRUE(links);
    std::vector<net::Link> found;
    if (links) std::copy_if(links->begin(), links->end(), std::back_inserter(found), holds);
    return found;
}

TEST_F(Network, SeveralInterfacesGoInOneCallAndNobodyElses) {
    for (const auto* name : {"bn1", "bn2", "bn3"}) ASSERT_TRUE(run({"ip", "link", "add", name, "type", "bridge"}).ok());
    ASSERT_TRUE(run({"ip", "link", "add", "bystander", "type", "bridge"}).ok());
    ASSERT_TRUE(run({"ip", "link", "set", "bystander", "group", std::to_string(0x45564f)}).ok()) << "the number that would be taken first";
    auto netlink = net::Netlink::open();
    ASSERT_TRUE(netlink) << netlink.error().what;
    const auto going = links_where(**netlink, [](const net::Link& link) { return link.name.starts_with("bn"); });
    ASSERT_EQ(going.size(), 3U);
    const auto removed = (*netlink)->remove(going);
    ASSERT_TRUE(removed) << removed.error().what;
    EXPECT_TRUE(removed->empty());
    const auto left = run({"ip", "-brief", "link"}).text;
    EXPECT_THAT(left, HasSubstr("bystander"));
    EXPECT_THAT(left, Not(HasSubstr("bn")));
    EXPECT_TRUE((*netlink)->remove(going)->empty()) << "what is gone already is no failure";
    run({"ip", "link", "delete", "bystander"});
}

TEST_F(Network, InterfaceThatCannotGoKeepsNoOtherFromGoing) {
    for (const auto* name : {"bn1", "bn2"}) ASSERT_TRUE(run({"ip", "link", "add", name, "type", "bridge"}).ok());
    auto netlink = net::Netlink::open();
    ASSERT_TRUE(netlink) << netlink.error().what;
    const auto going = links_where(**netlink, [](const net::Link& link) { return link.name.starts_with("bn") || link.name == "lo"; });
    const auto removed = (*netlink)->remove(going);
    ASSERT_TRUE(removed) << removed.error().what;
    ASSERT_EQ(removed->size(), 1U);
    EXPECT_THAT(removed->front().item, HasSubstr("lo"));
    EXPECT_THAT(run({"ip", "-brief", "link"}).text, Not(HasSubstr("bn")));
    EXPECT_EQ(run({"ip", "link", "show", "lo"}).text.find("group " + std::to_string(0x45564f)), std::string::npos);
}

TEST_F(Network, KilledNodeComesBackToANetworkThatNeverStopped) {
    const auto network = use(ZedrouterBench::local(1, "uplink0"));
    const auto app = ZedrouterBench::app(1, "a", network, {everything});
    auto& a = guest(app);
    const auto pid_file = directory() + "/dnsmasq.bn1.pid";
    const auto read = [&] {
        std::ifstream file(pid_file);
        std::string text;
        file >> text;
        return text;
    };
    const auto pid = read();
    const auto links = run({"ip", "-brief", "link"}).text;
    ASSERT_FALSE(pid.empty());
    life_.reset();  // as kill -9: nothing is unpublished, nothing is cleaned up
    EXPECT_TRUE(pings(a, "8.8.8.8"));
    begin();
    life_->bench->set(network);
    life_->bench->set(app);
    EXPECT_TRUE(wait([&] {
        return log_.count("network_instance.configured") >= 2 && life_->bench->active(app) &&
               life_->bench->status(app)->AppNetAdapterList[0].IPv4Assigned;
    }));
    EXPECT_EQ(read(), pid) << "dnsmasq was adopted";
    EXPECT_EQ(run({"ip", "-brief", "link"}).text, links);
    EXPECT_TRUE(pings(a, "8.8.8.8"));
    EXPECT_FALSE(log_.has("dnsmasq.ended"));
}

TEST_F(Network, LostDnsmasqAndLostBridgeComeBack) {
    const auto network = use(ZedrouterBench::local(1, "uplink0"));
    auto& a = guest(ZedrouterBench::app(1, "a", network, {everything}));
    std::ifstream file(directory() + "/dnsmasq.bn1.pid");
    std::string pid;
    file >> pid;
    run({"kill", "-9", pid});
    EXPECT_TRUE(wait([&] { return a.run({"busybox", "nslookup", "router", "10.1.0.1"}).text.find("10.1.0.1") != std::string::npos && lease(a); }));
    run({"ip", "link", "delete", "bn1"});
    EXPECT_TRUE(wait([&] { return pings(a, "8.8.8.8"); })) << run({"ip", "link"}).text;
    EXPECT_TRUE(wait([&] { return lease(a); })) << "dnsmasq still listens on the bridge that was lost";
}

TEST_F(Network, NodeThatLearnsItsIdentityLateStillGivesLeases) {
    const auto network = use(ZedrouterBench::local(1, "uplink0"));
    const auto before = run({"ip", "-brief", "link", "show", "bn1"}).text;
    types::OnboardingStatus identity;
    identity.DeviceUUID = *types::Uuid::parse("12345678-0000-4000-8000-000000000001");
    ASSERT_TRUE(life_->bench->onboarding->publish("global", identity).ok());
    EXPECT_TRUE(wait([&] {
        const auto now = run({"ip", "-brief", "link", "show", "bn1"});
        return now.ok() && now.text != before;
    })) << "the bridge's MAC comes from the identity";
    guest(ZedrouterBench::app(1, "a", network, {everything}));
}

}  // namespace
}  // namespace eve
