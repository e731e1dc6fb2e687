// The pure parts of net/: transactions, and what is read from files and the kernel's text.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "net/dnsmasq.hpp"
#include "net/link_world.hpp"
#include "net/network_world.hpp"
#include "net/nftables.hpp"
#include "net/process.hpp"

namespace eve::net {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using zedrouter::NftChain;
using zedrouter::NftTable;

NftTable table(std::vector<NftChain> chains) { return {.family = "inet", .sets = {}, .chains = std::move(chains)}; }

const NftChain base{.name = "FORWARD", .hook = "type filter hook forward priority filter; policy accept;", .rules = {"jump app1"}};

TEST(Transaction, NothingToDoIsNothing) {
    const std::vector<NftTable> tables{table({base, {.name = "app1", .hook = {}, .rules = {"drop"}}})};
    EXPECT_EQ(render_change(tables, tables), "");
}

TEST(Transaction, ChainsComeBeforeTheRulesThatJumpToThem) {
    EXPECT_EQ(render_change({}, {table({base, {.name = "app1", .hook = {}, .rules = {"drop"}}})}),
              "add table inet evenode\n"
              "add chain inet evenode FORWARD { type filter hook forward priority filter; policy accept; }\n"
              "add chain inet evenode app1\n"
              "add rule inet evenode FORWARD jump app1\n"
              "add rule inet evenode app1 drop\n");
}

TEST(Transaction, OnlyTheChangedChainIsTouched) {
    const auto before = table({base, {.name = "app1", .hook = {}, .rules = {"drop"}}, {.name = "app2", .hook = {}, .rules = {"drop"}}});
    auto after = before;
    after.chains[1].rules = {"accept"};
    EXPECT_EQ(render_change({before}, {after}), "flush chain inet evenode app1\nadd rule inet evenode app1 accept\n");
}

TEST(Transaction, ChainGoesAfterTheLastJumpToIt) {
    const auto before = table({base, {.name = "app1", .hook = {}, .rules = {"drop"}}});
    auto alone = base;
    alone.rules.clear();
    EXPECT_EQ(render_change({before}, {table({alone})}),
              "flush chain inet evenode FORWARD\nflush chain inet evenode app1\ndelete chain inet evenode app1\n");
}

TEST(Transaction, LearnedNamesStayAndOwnSetsAreRefilled) {
    NftTable before = table({});
    before.sets = {{.name = "ipv4.host", .type = "ipv4_addr", .filled_elsewhere = true}, {.name = "ports", .type = "ifname", .elements = {"\"a\""}}};
    NftTable after = before;
    after.sets[1].elements = {"\"b\""};
    EXPECT_EQ(render_change({before}, {after}), "flush set inet evenode ports\nadd element inet evenode ports { \"b\" }\n");
    const auto adopted =
        render_change({parse_names("inet", "table inet evenode {\n\tset ipv4.host {\n\t\ttype ipv4_addr\n\t}\n\tset ports {\n\t}\n}\n")}, {after});
    EXPECT_THAT(adopted, Not(HasSubstr("flush set inet evenode ipv4.host")));
    EXPECT_THAT(adopted, HasSubstr("flush set inet evenode ports\n"));
}

TEST(Transaction, AdoptedTableIsWrittenAnewAndStrangersGo) {
    const auto seen = parse_names("inet",
                                  "table inet evenode {\n\tchain FORWARD {\n\t\ttype filter hook forward priority filter; policy accept;\n\t}\n"
                                  "\tchain old {\n\t\tdrop\n\t}\n}\n");
    const auto change = render_change({seen}, {table({base, {.name = "app1", .hook = {}, .rules = {"drop"}}})});
    EXPECT_THAT(change, HasSubstr("flush chain inet evenode FORWARD\n"));
    EXPECT_THAT(change, HasSubstr("add rule inet evenode FORWARD jump app1\n"));
    EXPECT_THAT(change, HasSubstr("delete chain inet evenode old\n"));
    EXPECT_THAT(change, Not(HasSubstr("add chain inet evenode FORWARD")));
}

TEST(Transaction, TableOfNobodyGoes) { EXPECT_EQ(render_change({table({base})}, {}), "delete table inet evenode\n"); }

TEST(Leases, WhatAKilledNodeWasWritingIsRemovedAndNothingElse) {
    const auto directory = std::filesystem::temp_directory_path() / ("eve-net-" + std::to_string(::getpid()));
    std::filesystem::create_directories(directory);
    for (const auto* name : {".tmp04add8214cdcc326", "dnsmasq.bn1.conf", "template"}) std::ofstream(directory / name) << "x";
    const net::DnsmasqSet set(directory.string());
    EXPECT_FALSE(std::filesystem::exists(directory / ".tmp04add8214cdcc326"));
    EXPECT_TRUE(std::filesystem::exists(directory / "dnsmasq.bn1.conf"));
    EXPECT_TRUE(std::filesystem::exists(directory / "template"));
    std::filesystem::remove_all(directory);
}

TEST(Leases, LinesBecomeLeasesAndGarbageDoesNot) {
    const auto leases =
        parse_leases("1763770000 02:00:00:00:00:01 10.1.0.128 aaaa *\nduid 00:01\n\n0 02:00:00:00:00:02 10.1.0.129 * 01:02\nhalf a li");
    ASSERT_EQ(leases.size(), 2u);
    EXPECT_EQ(leases[0].host_name, "aaaa");
    EXPECT_EQ(leases[0].expires, 1763770000);
    EXPECT_EQ(leases[1].address, "10.1.0.129");
    EXPECT_EQ(leases[1].host_name, "");
}

TEST(Names, OnlyNumberedBridgesAreOurs) {
    EXPECT_TRUE(is_our_bridge_name("bn1"));
    EXPECT_TRUE(is_our_bridge_name("bn255"));
    for (const char* name : {"bn", "bnx", "bn1-m", "br0", "bond0", ""}) EXPECT_FALSE(is_our_bridge_name(name)) << name;
}

TEST(Names, LoopbackNameServersAreOfNoUseToApps) {
    EXPECT_THAT(parse_name_servers("# hi\nnameserver 127.0.0.53\nnameserver 9.9.9.9\nsearch a b\nnameserver fe80::1\nnameserver x\n"),
                ElementsAre("9.9.9.9", "fe80::1"));
}

TEST(Addresses, AreCheckedWhole) {
    EXPECT_EQ(parse_address("10.1.0.1/24")->length, 24u);
    EXPECT_EQ(parse_address("::/0")->length, 0u);
    EXPECT_EQ(parse_address("10.1.0.1")->length, 32u);
    for (const char* text : {"", "10.1.0.1/33", "10.1.0.1/", "10.1.0.1/2x", "300.1.1.1", "10.1.0.1/-1"}) EXPECT_FALSE(parse_address(text)) << text;
}

TEST(Process, OutputAndExitCodeComeBack) {
    const auto result = run_program({"/bin/sh", "-c", "echo said; exit 3"}, std::chrono::seconds{10});
    ASSERT_TRUE(result);
    EXPECT_EQ(result->exit_code, 3);
    EXPECT_EQ(result->output, "said\n");
    EXPECT_EQ(run_program({"/nonexistent/program"}, std::chrono::seconds{10}).error().code, Code::not_found);
    EXPECT_EQ(run_program({"/bin/sleep", "100"}, std::chrono::milliseconds{50}).error().code, Code::timed_out);
}

TEST(Process, AnothersNumberIsNotAdopted) {
    EXPECT_FALSE(open_process(1, "/usr/sbin/dnsmasq", "--conf-file=x"));
    EXPECT_FALSE(open_process(0, "", ""));
}

}  // namespace
}  // namespace eve::net
