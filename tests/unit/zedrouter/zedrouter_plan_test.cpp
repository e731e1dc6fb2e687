// The pure parts of zedrouter: names, numbers, translation of access control entries, the whole ruleset and dnsmasq's configuration.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <sstream>

#include "core/zedrouter/acl.hpp"
#include "core/zedrouter/identity.hpp"
#include "core/zedrouter/numbers.hpp"
#include "core/zedrouter/plan.hpp"
#include "core/zedrouter/ports.hpp"
#include "tests/doubles/zedrouter_bench.hpp"

namespace eve::zedrouter {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;
using types::ACE;
using types::NetworkInstanceType;

const types::Uuid uuid_a = ZedrouterBench::uuid(1);
const types::Uuid uuid_b = ZedrouterBench::uuid(2);

// ---- Numbers

struct Numbers {
    std::map<std::string, NumberEntry> stored;
    NumberAllocator table{{1, 3}, [this](const std::string& key, const NumberEntry* entry) {
                              if (entry) stored[key] = *entry;
                              else stored.erase(key);
                          }};
};

TEST(NumberAllocator, GivesTheLowestFreeAndTheSameAgain) {
    Numbers n;
    EXPECT_EQ(*n.table.allocate("a", NumberOrder::lowest_first, {}), 1);
    EXPECT_EQ(*n.table.allocate("b", NumberOrder::lowest_first, {}), 2);
    EXPECT_EQ(*n.table.allocate("a", NumberOrder::lowest_first, {}), 1);
    n.table.release("a");
    EXPECT_EQ(*n.table.allocate("c", NumberOrder::lowest_first, {}), 1);
    EXPECT_EQ(n.stored.size(), 2u);
}

TEST(NumberAllocator, HighestFirstLeavesTheLowOnesToOthers) {
    Numbers n;
    EXPECT_EQ(*n.table.allocate("a", NumberOrder::highest_first, {}), 3);
    EXPECT_EQ(*n.table.allocate("b", NumberOrder::lowest_first, {}), 1);
}

TEST(NumberAllocator, FullTableIsAnErrorNotAWrap) {
    Numbers n;
    for (const char* key : {"a", "b", "c"}) ASSERT_TRUE(n.table.allocate(key, NumberOrder::lowest_first, {}));
    const auto fourth = n.table.allocate("d", NumberOrder::lowest_first, {});
    ASSERT_FALSE(fourth);
    EXPECT_EQ(fourth.error().code, Code::resource_exhausted);
}

TEST(NumberAllocator, ReservationIsKeptForItsOwnerAndTakenOnlyInNeed) {
    Numbers n;
    n.table.restore("old", {.number = 1, .created = types::Time(WallTime{100, 0}), .last_used = types::Time(WallTime{100, 0})});
    n.table.restore("older", {.number = 2, .created = types::Time(WallTime{50, 0}), .last_used = types::Time(WallTime{50, 0})});
    n.table.restore("twice", {.number = 2});
    n.table.restore("outside", {.number = 9});
    EXPECT_TRUE(n.table.empty());
    EXPECT_EQ(*n.table.allocate("new", NumberOrder::lowest_first, {}), 3);
    EXPECT_EQ(*n.table.allocate("thief", NumberOrder::lowest_first, {}), 2) << "the longest unused";
    EXPECT_EQ(*n.table.allocate("old", NumberOrder::lowest_first, {}), 1);
    EXPECT_FALSE(n.table.allocate("older", NumberOrder::lowest_first, {}));
}

TEST(NumberAllocator, CollectForgetsReservationsOnly) {
    Numbers n;
    n.table.restore("gone", {.number = 1, .created = types::Time(WallTime{10, 0})});
    n.table.restore("back", {.number = 2, .created = types::Time(WallTime{10, 0})});
    ASSERT_TRUE(n.table.allocate("back", NumberOrder::lowest_first, types::Time(WallTime{20, 0})));
    n.table.collect(types::Time(WallTime{15, 0}));
    EXPECT_EQ(n.table.find("gone"), nullptr);
    EXPECT_NE(n.table.find("back"), nullptr);
}

// ---- Names and addresses

TEST(Identity, NamesAreEves) {
    EXPECT_EQ(bridge_name(7), "bn7");
    EXPECT_EQ(vif_name(2, 31), "nbu2x31");
    EXPECT_EQ(bridge_mac({}, 5).to_string(), "00:16:3e:06:00:05");
    EXPECT_THAT(bridge_mac(uuid_a, 5).to_string(), StartsWith("00:16:3e:"));
    EXPECT_NE(bridge_mac(uuid_a, 5), bridge_mac(uuid_b, 5));
}

TEST(Identity, MacsFollowTheGenerator) {
    MacInput input{
        .app = uuid_a, .network_instance = uuid_b, .type = NetworkInstanceType::NetworkInstanceTypeLocal, .adapter_number = 3, .app_number = 9};
    input.generator = MacGenerator::node_scoped;
    EXPECT_EQ(app_mac(input).to_string(), "00:16:3e:00:03:09");
    input.generator = MacGenerator::globally_scoped;
    const auto global = app_mac(input);
    EXPECT_EQ(global.bytes[0] & 0x03, 0x02) << "unicast, locally administered";
    input.app_number = 10;
    EXPECT_NE(app_mac(input), global);
    input.generator = MacGenerator::cluster_deterministic;
    const auto cluster = app_mac(input);
    input.app_number = 11;
    EXPECT_EQ(app_mac(input), cluster) << "the same on every node";
    input.type = NetworkInstanceType::NetworkInstanceTypeSwitch;
    EXPECT_THAT(app_mac(input).to_string(), StartsWith("02:16:3e:"));
}

TEST(Identity, AddressesComeFromTheRange) {
    const auto network = ZedrouterBench::local(1, "eth0");
    const auto address = [](const char* text) { return types::IpAddress::parse_or_none(text); };
    EXPECT_EQ(app_ip({.network_instance = network, .interface_number = 0})->to_string(), "10.1.0.128");
    EXPECT_EQ(app_ip({.network_instance = network, .recorded = address("10.1.0.200"), .interface_number = 0})->to_string(), "10.1.0.200");
    EXPECT_EQ(app_ip({.network_instance = network, .interface_number = 127}).error().code, Code::resource_exhausted);
    EXPECT_EQ(app_ip({.network_instance = network, .configured = address("10.1.0.9")})->to_string(), "10.1.0.9");
    EXPECT_FALSE(app_ip({.network_instance = network, .configured = address("10.1.0.129")}));
    EXPECT_FALSE(app_ip({.network_instance = network, .configured = address("10.2.0.9")}));
}

TEST(Ports, LabelsMeanWhatEveSays) {
    auto port = ZedrouterBench::port("eth0", "eth0", "192.168.1.10/24");
    EXPECT_TRUE(port_has_label(port, "eth0"));
    EXPECT_TRUE(port_has_label(port, "all"));
    EXPECT_TRUE(port_has_label(port, "freeuplink"));
    port.Cost = 1;
    EXPECT_FALSE(port_has_label(port, "freeuplink"));
    EXPECT_TRUE(port_has_label(port, "uplink"));
    port.IsMgmt = false;
    EXPECT_FALSE(port_has_label(port, "uplink"));
    EXPECT_FALSE(port_has_label(port, ""));
}

TEST(Ports, ConfigErrorsNameTheFault) {
    auto config = ZedrouterBench::local(1, "");
    EXPECT_EQ(find_config_error(config), "");
    config.Subnet = *types::IpNet::parse("10.1.0.0/31");  // N03
    EXPECT_THAT(find_config_error(config), HasSubstr("too small"));
    config = ZedrouterBench::local(1, "");
    config.DhcpRange.Start = config.Gateway;
    EXPECT_THAT(find_config_error(config), HasSubstr("inside the DHCP range"));
    config = ZedrouterBench::local(1, "");
    config.DhcpRange.End = *types::IpAddress::parse("10.2.0.1");
    EXPECT_THAT(find_config_error(config), HasSubstr("not in subnet"));
    config = ZedrouterBench::local(1, "");
    config.Type = NetworkInstanceType::NetworkInstanceTypeCloud;
    EXPECT_THAT(find_config_error(config), HasSubstr("not supported"));
    auto layer2 = ZedrouterBench::layer2(1, "");
    EXPECT_EQ(find_config_error(layer2), "");
    layer2.IpType = types::AddressType::AddressTypeIPV4;
    EXPECT_NE(find_config_error(layer2), "");
}

TEST(Ports, WirelessAndL3PortsAreNotForSwitches) {  // N18
    types::DeviceNetworkStatus status;
    auto wifi = ZedrouterBench::port("wlan0", "wlan0", "");
    wifi.WirelessCfg.WType = types::WirelessType::WirelessTypeWifi;
    status.Ports = {wifi};
    EXPECT_THAT(select_ports(ZedrouterBench::layer2(1, "wlan0"), status, {}, {}).error, HasSubstr("wireless"));
    status.Ports = {ZedrouterBench::port("eth1", "eth1", "")};
    EXPECT_THAT(select_ports(ZedrouterBench::local(1, "eth1"), status, {}, {}).error, HasSubstr("L2-only"));
}

// ---- Access control entries

AclInput acl_input(std::vector<ACE> entries, NetworkInstanceType type = NetworkInstanceType::NetworkInstanceTypeLocal) {
    return {
        .type = type,
        .bridge = "bn1",
        .vif = "nbu1x1",
        .app_number = 1,
        .app_ip = *types::IpAddress::parse("10.1.0.128"),
        .bridge_ip = type == NetworkInstanceType::NetworkInstanceTypeLocal ? *types::IpAddress::parse("10.1.0.1") : types::IpAddress{},
        .ports = {{.interface = "eth0", .logical_label = "eth0", .labels = {"eth0", "wan"}, .addresses = {*types::IpAddress::parse("192.168.1.10")}},
                  {.interface = "eth1", .logical_label = "eth1", .labels = {"eth1"}, .addresses = {*types::IpAddress::parse("172.16.1.10")}}},
        .entries = std::move(entries)};
}

ACE entry(std::vector<types::ACEMatch> matches, std::vector<types::ACEAction> actions = {}, std::int32_t id = 5) {
    return {.Matches = std::move(matches), .Actions = std::move(actions), .Name = {}, .RuleID = id};
}

struct Translation {
    const char* name;
    std::vector<types::ACEMatch> matches;
    std::vector<types::ACEAction> actions;
    std::vector<std::string> egress;  ///< empty: refused
    std::vector<std::string> ingress;
};

class AclTable : public testing::TestWithParam<Translation> {};

TEST_P(AclTable, BecomesTheseRules) {
    const auto& row = GetParam();
    const auto bare = translate_acl(acl_input({}));
    const auto rules = translate_acl(acl_input({entry(row.matches, row.actions)}));
    if (row.egress.empty() && row.ingress.empty()) {
        EXPECT_EQ(rules.refused.size(), 1u);
        EXPECT_EQ(rules.egress, bare.egress) << "the rest applies";
        return;
    }
    EXPECT_THAT(rules.refused, IsEmpty());
    const auto added = [](const std::vector<std::string>& with, const std::vector<std::string>& without) {
        return std::vector<std::string>(with.begin() + static_cast<std::ptrdiff_t>(without.size()) - 1, with.end() - 1);
    };
    EXPECT_EQ(added(rules.egress, bare.egress), row.egress);
    EXPECT_EQ(added(rules.ingress, bare.ingress), row.ingress);
    EXPECT_EQ(rules.egress.back(), "counter drop");
    EXPECT_EQ(rules.ingress.back(), "counter drop");
}

#define ACCEPT " counter meta mark set 0x01400005 accept comment \"rule 5\""
#define DROP " counter drop comment \"rule 5\""
const types::ACEAction drop{.Drop = true};
const types::ACEAction limit{.Limit = true, .LimitRate = 10, .LimitUnit = "s", .LimitBurst = 30};
const types::ACEAction map{.PortMap = true, .TargetPort = 22};

INSTANTIATE_TEST_SUITE_P(
    Zedrouter, AclTable,
    testing::Values(
        Translation{
            "subnet", {{"ip", "8.8.8.0/24"}}, {}, {"meta nfproto ipv4 ip daddr 8.8.8.0/24" ACCEPT}, {"meta nfproto ipv4 ip saddr 8.8.8.0/24" ACCEPT}},
        Translation{"everything", {{"ip", "0.0.0.0/0"}}, {}, {"meta nfproto ipv4" ACCEPT}, {"meta nfproto ipv4" ACCEPT}},
        Translation{"ipv6",
                    {{"ip", "2001:db8::/32"}},
                    {},
                    {"meta nfproto ipv6 ip6 daddr 2001:db8::/32" ACCEPT},
                    {"meta nfproto ipv6 ip6 saddr 2001:db8::/32" ACCEPT}},
        Translation{"dropped", {{"ip", "8.8.8.8"}}, {drop}, {"meta nfproto ipv4 ip daddr 8.8.8.8" DROP}, {"meta nfproto ipv4 ip saddr 8.8.8.8" DROP}},
        Translation{"far_port",
                    {{"ip", "8.8.8.8"}, {"protocol", "TCP"}, {"fport", "80:90"}},
                    {},
                    {"meta nfproto ipv4 ip daddr 8.8.8.8 meta l4proto 6 th dport 80-90" ACCEPT},
                    {"meta nfproto ipv4 ip saddr 8.8.8.8 meta l4proto 6 th sport 80-90" ACCEPT}},
        Translation{"own_port",
                    {{"ip", "8.8.8.8"}, {"protocol", "17"}, {"lport", "5000"}},
                    {},
                    {"meta nfproto ipv4 ip daddr 8.8.8.8 meta l4proto 17 th sport 5000" ACCEPT},
                    {"meta nfproto ipv4 ip saddr 8.8.8.8 meta l4proto 17 th dport 5000" ACCEPT}},
        Translation{"host",
                    {{"host", "WWW.example.com"}},
                    {},
                    {"meta nfproto ipv4 ip daddr @ipv4.www.example.com" ACCEPT, "meta nfproto ipv6 ip6 daddr @ipv6.www.example.com" ACCEPT},
                    {"meta nfproto ipv4 ip saddr @ipv4.www.example.com" ACCEPT, "meta nfproto ipv6 ip6 saddr @ipv6.www.example.com" ACCEPT}},
        Translation{"host_that_is_an_address",
                    {{"host", "8.8.8.8"}},
                    {},
                    {"meta nfproto ipv4 ip daddr 8.8.8.8" ACCEPT},
                    {"meta nfproto ipv4 ip saddr 8.8.8.8" ACCEPT}},
        Translation{"limited",
                    {{"ip", "8.8.8.8"}},
                    {limit},
                    {"meta nfproto ipv4 ip daddr 8.8.8.8 limit rate 10/second burst 30 packets" ACCEPT, "meta nfproto ipv4 ip daddr 8.8.8.8" DROP},
                    {"meta nfproto ipv4 ip saddr 8.8.8.8 limit rate 10/second burst 30 packets" ACCEPT, "meta nfproto ipv4 ip saddr 8.8.8.8" DROP}},
        Translation{"two_actions", {{"ip", "8.8.8.8"}}, {drop, limit}, {}, {}},  // N28
        Translation{"port_without_protocol", {{"fport", "80"}}, {}, {}, {}},     // N29
        Translation{"map_without_lport", {{"protocol", "tcp"}}, {map}, {}, {}},
        Translation{"map_without_target", {{"protocol", "tcp"}, {"lport", "80"}}, {{.PortMap = true}}, {}, {}},
        Translation{"map_of_icmp", {{"protocol", "icmp"}, {"lport", "80"}}, {map}, {}, {}},
        Translation{"unknown_match", {{"colour", "red"}}, {}, {}, {}}, Translation{"unknown_protocol", {{"protocol", "carrier-pigeon"}}, {}, {}, {}},
        Translation{"adapter_without_map", {{"adapter", "wan"}}, {}, {}, {}},
        Translation{"host_and_eidset", {{"host", "a.b"}, {"eidset", ""}}, {}, {}, {}},
        Translation{"port_above_65535", {{"protocol", "tcp"}, {"fport", "65536"}}, {}, {}, {}},
        Translation{"rule_text_in_an_address", {{"ip", "8.8.8.8 accept; flush ruleset"}}, {}, {}, {}},
        Translation{"rule_text_in_a_host", {{"host", "a } ; flush ruleset"}}, {}, {}, {}},
        Translation{"newline_in_a_port", {{"protocol", "tcp"}, {"lport", "80\naccept"}}, {}, {}, {}}),
    [](const testing::TestParamInfo<Translation>& row) { return std::string(row.param.name); });

TEST(Acl, PortMapOnOnePortOnly) {  // N31
    const auto rules = translate_acl(acl_input({entry({{"protocol", "tcp"}, {"lport", "2222"}, {"adapter", "wan"}}, {map})}));
    EXPECT_THAT(rules.dnat, ElementsAre("iifname \"eth0\" ip daddr 192.168.1.10 tcp dport 2222 counter dnat ip to 10.1.0.128:22",
                                        "iifname \"bn1\" ip daddr 192.168.1.10 tcp dport 2222 counter dnat ip to 10.1.0.128:22"));
    EXPECT_THAT(rules.snat, ElementsAre("oifname \"bn1\" ip daddr 10.1.0.128 tcp dport 22 ct status dnat counter snat ip to 10.1.0.1"));
    EXPECT_THAT(rules.egress, Contains("meta nfproto ipv4 meta l4proto 6 th sport 22" ACCEPT));
    EXPECT_THAT(rules.ingress, Contains("meta nfproto ipv4 meta l4proto 6 th dport 22" ACCEPT));
}

TEST(Acl, SwitchRefusesWhatNeedsTheNodesNameServer) {
    const auto type = NetworkInstanceType::NetworkInstanceTypeSwitch;
    EXPECT_EQ(translate_acl(acl_input({entry({{"host", "a.b"}})}, type)).refused.size(), 1u);
    EXPECT_EQ(translate_acl(acl_input({entry({{"eidset", ""}})}, type)).refused.size(), 1u);
    EXPECT_EQ(translate_acl(acl_input({entry({{"protocol", "tcp"}, {"lport", "80"}}, {map})}, type)).refused.size(), 1u);
    EXPECT_THAT(translate_acl(acl_input({}, type)).ingress, Contains(HasSubstr("udp sport 67")));
}

TEST(Acl, EndpointsAreTheNetworksOwn) {
    auto input = acl_input({entry({{"eidset", ""}})});
    input.endpoint_addresses = {*types::IpAddress::parse("10.1.0.128"), *types::IpAddress::parse("10.1.0.129"),
                                *types::IpAddress::parse("10.1.0.128")};
    const auto rules = translate_acl(input);
    ASSERT_EQ(rules.sets.size(), 2u);
    EXPECT_THAT(rules.sets[0].elements, ElementsAre("10.1.0.128", "10.1.0.129"));
    EXPECT_THAT(rules.egress, Contains("meta nfproto ipv4 ip daddr @ipv4.eids.nbu1x1" ACCEPT));
}

TEST(Acl, MarksCarryTheAppAndTheEntry) {
    EXPECT_EQ(entry_mark(255, 0x3ffffe), 0xff7ffffeU);
    EXPECT_EQ(entry_mark(1, -1), 0x017fffffU) << "an id never reaches the app's or the drop bit";
    EXPECT_EQ(reserved_mark(3, ReservedEntry::app_dns), 0x03000007U);
}

TEST(Acl, AllowingEverythingIsOneEntryWithoutLimitsAnywhere) {
    const auto all = entry({{"ip", "0.0.0.0/0"}});
    EXPECT_TRUE(allows_everything({all}, 4));
    EXPECT_FALSE(allows_everything({all}, 6));
    EXPECT_FALSE(allows_everything({all, entry({{"ip", "1.1.1.1"}}, {drop})}, 4));
    EXPECT_FALSE(allows_everything({entry({{"ip", "0.0.0.0/0"}, {"protocol", "tcp"}})}, 4));
}

// ---- The whole

struct Bench {
    types::NetworkInstanceStatus status;
    types::AppNetAdapterStatus adapter;
    types::DeviceNetworkStatus ports;
    HostObservation seen;
    PlanInput input;

    explicit Bench(const std::string& port_label = "eth0") {
        static_cast<types::NetworkInstanceConfigFields&>(status) = ZedrouterBench::local(1, port_label);
        status.BridgeNum = 1;
        status.BridgeName = "bn1";
        status.BridgeMac = bridge_mac({}, 1);
        status.BridgeIPAddr = status.Gateway;
        status.NetworkInstanceStatus::MTU = 1400;
        auto port = ZedrouterBench::port("eth0", "eth0", "192.168.1.10/24");
        port.DNSServers.push_back(*types::IpAddress::parse("192.168.1.1"));
        ports.Ports.push_back(port);
        adapter.Network = status.UUID;
        adapter.Vif = "nbu1x1";
        adapter.Mac = types::MacAddress::parse_or_none("02:00:00:00:00:01");
        adapter.AssignedAddresses.IPv4Addrs = {{*types::IpAddress::parse("10.1.0.128"), types::AddressSource::AddressSourceInternalDHCP}};
        adapter.ACLs = {ZedrouterBench::allow("ip", "0.0.0.0/0"), ZedrouterBench::port_map("tcp", "2222", 22)};
        seen.routes = {{254, "192.168.1.0/24", "", "eth0", 0}, {254, "0.0.0.0/0", "192.168.1.1", "eth0", 0}, {254, "10.9.0.0/16", "", "other", 0}};
        input.options.run_directory = "/run/zedrouter";
    }
    Plan plan() {
        PlannedInstance instance{.status = &status};
        if (!status.PortLabel.empty()) instance.ports = {&ports.Ports[0]};
        input.instances = {{status.UUID, instance}};
        input.interfaces = {{.app = uuid_a, .app_name = "web", .app_number = 1, .vif_number = 1, .adapter = &adapter}};
        input.ports = &ports;
        input.seen = &seen;
        return plan_host_network(input);
    }
};

std::string text_of(const std::vector<NftTable>& tables) {
    std::ostringstream out;
    for (const auto& table : tables) {
        out << "table " << table.family << "\n";
        for (const auto& set : table.sets) {
            out << "  set " << set.name << " " << set.type << (set.interval ? " interval" : "") << (set.filled_elsewhere ? " filled" : "");
            for (const auto& element : set.elements) out << " " << element;
            out << "\n";
        }
        for (const auto& chain : table.chains) {
            out << "  chain " << chain.name << (chain.hook.empty() ? "" : " { " + chain.hook + " }") << "\n";
            for (const auto& rule : chain.rules) out << "    " << rule << "\n";
        }
    }
    return out.str();
}

/// EVE_UPDATE_GOLDEN=1 writes the files instead.
void expect_golden(const std::string& name, const std::string& text) {
    const std::string path = std::string(TEST_DATA_DIR) + "/" + name;
    if (std::getenv("EVE_UPDATE_GOLDEN")) {
        std::ofstream(path) << text;
        return;
    }
    std::ifstream file(path);
    std::ostringstream expected;
    expected << file.rdbuf();
    EXPECT_EQ(text, expected.str()) << path;
}

TEST(Plan, RulesetOfALocalInstanceWithOneApp) { expect_golden("local.rules", text_of(Bench().plan().network.tables)); }

TEST(Plan, RulesetOfASwitchWithOneApp) {
    Bench bench("");
    static_cast<types::NetworkInstanceConfigFields&>(bench.status) = ZedrouterBench::layer2(1, "");
    bench.status.BridgeIPAddr = {};
    bench.adapter.AssignedAddresses = {};
    bench.adapter.ACLs = {ZedrouterBench::allow("ip", "172.16.0.0/12")};
    expect_golden("switch.rules", text_of(bench.plan().network.tables));
}

TEST(Plan, DnsmasqOfALocalInstance) {
    Bench bench;
    bench.status.DomainName = "example.com";
    bench.status.CombinedNTPServers = {"192.168.1.5", "pool.ntp.org"};
    bench.status.DnsNameToIPList.push_back({.HostName = "printer", .IPs = {*types::IpAddress::parse("192.168.1.50")}});
    bench.adapter.ACLs.push_back(ZedrouterBench::allow("host", "www.example.com", 3));
    const auto plan = bench.plan();
    ASSERT_EQ(plan.network.dhcp_servers.size(), 1u);
    const auto& server = plan.network.dhcp_servers[0];
    std::string text = server.config;
    for (const auto& [name, content] : server.hosts) text += "--- hosts/" + name + "\n" + content;
    for (const auto& [name, content] : server.dhcp_hosts) text += "--- dhcp-hosts/" + name + "\n" + content;
    expect_golden("local.dnsmasq", text);
}

TEST(Plan, DnsmasqOfAnAirGappedInstanceSendsNoWayOut) {  // N24
    const auto plan = Bench("").plan();
    const auto& config = plan.network.dhcp_servers.at(0).config;
    EXPECT_THAT(config, HasSubstr("dhcp-option=option:router\n"));
    EXPECT_THAT(config, HasSubstr("dhcp-option=option:dns-server\n"));
    EXPECT_THAT(config, Not(HasSubstr("server=1")));
    for (const auto& table : plan.network.tables)
        for (const auto& chain : table.chains)
            for (const auto& rule : chain.rules) EXPECT_THAT(rule, Not(HasSubstr("jump FORWARD-"))) << "counted, not linked";
}

TEST(Plan, AppThatIsAGatewayIsNotToldItsOwnRoutes) {  // N21
    Bench bench;
    types::IPRouteConfig route;
    route.DstNetwork = *types::IpNet::parse("10.50.0.0/16");
    route.Gateway = *types::IpAddress::parse("10.1.0.128");
    bench.status.StaticRoutes = {route};
    const auto plan = bench.plan();
    const auto& server = plan.network.dhcp_servers.at(0);
    EXPECT_THAT(server.config,
                HasSubstr("tag:endpoint,option:classless-static-route,10.1.0.0/24,0.0.0.0,10.50.0.0/16,10.1.0.128,0.0.0.0/0,10.1.0.1\n"));
    EXPECT_THAT(server.config, HasSubstr("tag:gateway-10-1-0-128,option:classless-static-route,10.1.0.0/24,0.0.0.0,0.0.0.0/0,10.1.0.1\n"));
    EXPECT_THAT(server.dhcp_hosts.begin()->second, HasSubstr("set:gateway-10-1-0-128"));
    for (const auto& planned : plan.network.routes) EXPECT_NE(planned.destination, "10.50.0.0/16");
}

TEST(Plan, ConnectedRoutesAreSentOnRequest) {  // N22
    Bench bench;
    bench.status.PropagateConnRoutes = true;
    EXPECT_THAT(bench.plan().network.dhcp_servers.at(0).config, HasSubstr(",192.168.1.0/24,10.1.0.1"));
}

TEST(Plan, PortThatOnlyServesAppsIsNoDefaultRoute) {  // N23
    Bench bench;
    bench.ports.Ports[0].IsMgmt = false;
    bench.seen.routes.erase(bench.seen.routes.begin() + 1);
    EXPECT_THAT(bench.plan().network.dhcp_servers.at(0).config, HasSubstr("dhcp-option=option:router\n"));
    bench.ports.Ports[0].IsMgmt = true;
    EXPECT_THAT(bench.plan().network.dhcp_servers.at(0).config, HasSubstr("dhcp-option=option:router,10.1.0.1\n"));
}

TEST(Plan, OwnTableHasThePortsRoutesAndAnEnd) {
    const auto plan = Bench().plan();
    std::vector<std::string> routes;
    for (const auto& route : plan.network.routes)
        routes.push_back(route.destination + " via " + route.gateway + " dev " + route.device + " " + std::to_string(route.table));
    EXPECT_THAT(routes, ElementsAre("10.1.0.0/24 via  dev bn1 801", "192.168.1.0/24 via  dev eth0 801", "0.0.0.0/0 via 192.168.1.1 dev eth0 801",
                                    "0.0.0.0/0 via  dev  801", "::/0 via  dev  801"));
}

TEST(Plan, PortTableOfEvesNimIsUsedWhereThereIsOne) {
    Bench bench;
    bench.seen.routes.push_back({502, "0.0.0.0/0", "192.168.1.254", "eth0", 0});
    const auto plan = bench.plan();
    std::set<std::string> gateways;
    for (const auto& route : plan.network.routes)
        if (!route.gateway.empty()) gateways.insert(route.gateway);
    EXPECT_THAT(gateways, ElementsAre("192.168.1.254"));
}

TEST(Plan, NodeWithoutNetworkInstancesLeavesNoTrace) { EXPECT_EQ(plan_host_network({}).network, HostNetwork{}); }

TEST(Plan, DisplayNameThatIsNoHostNameIsLeftOut) {
    Bench bench;
    auto plan = bench.plan();
    bench.input.interfaces[0].app_name = "../../etc/passwd";
    const auto planned = plan_host_network(bench.input);
    EXPECT_EQ(planned.network.dhcp_servers.at(0).hosts.size(), 1u);
}

}  // namespace
}  // namespace eve::zedrouter
