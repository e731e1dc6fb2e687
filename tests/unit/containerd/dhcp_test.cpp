// The DHCP client of containers: what it sends, what it takes, when it asks again.

#include <gmock/gmock.h>

#include "common/dhcp.hpp"

namespace eve::plugins {
namespace {

using ::testing::ElementsAre;

constexpr MacAddress mac{0x02, 0x16, 0x3e, 0, 0, 1};
constexpr std::uint32_t xid = 0x01020304;
constexpr std::int64_t second = 1'000'000'000;

std::string option(char code, const std::string& value) { return std::string{code, static_cast<char>(value.size())} + value; }

/// A server's message.
std::string message(char kind, const std::string& options = {}, std::uint32_t id = xid, const std::string& address = {10, 1, 2, 3}) {
    std::string out{2, 1, 6, 0};
    for (int at = 3; at >= 0; --at) out.push_back(static_cast<char>(id >> (8 * at) & 0xff));
    out.append(8, '\0');
    out += address;
    out.append(8, '\0');
    out.append(reinterpret_cast<const char*>(mac.data()), mac.size());
    out.append(10 + 192, '\0');
    out += "\x63\x82\x53\x63";
    return out + option(53, std::string(1, kind)) + options + '\xff';
}
const std::string usual = option(1, {'\xff', '\xff', '\xff', 0}) + option(3, {10, 1, 2, 1}) + option(6, {10, 1, 2, 1, 8, 8, 8, 8}) + option(15, "lab.example") +
                          option(51, {0, 0, 0, 100}) + option(54, {10, 1, 2, 1});

TEST(Dhcp, AnAnswerIsReadWhole) {
    const auto answer = read_dhcp(message(5, usual + option(26, {0x05, 0x78})), xid, mac);
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->kind, DhcpMessage::ack);
    const auto& lease = answer->lease;
    EXPECT_EQ(address_text(lease.address), "10.1.2.3");
    EXPECT_EQ(lease.prefix, 24);
    EXPECT_THAT(lease.routes, ElementsAre(DhcpRoute{.destination = 0, .prefix = 0, .via = 0x0a010201}));
    EXPECT_EQ(lease.mtu, 1400U);
    EXPECT_EQ(lease.seconds, 100U);
    EXPECT_EQ(resolv_conf({lease, lease}), "search lab.example\nnameserver 10.1.2.1\nnameserver 8.8.8.8\n");
}

TEST(Dhcp, ClasslessRoutesTakeThePlaceOfTheRouter) {
    const auto answer = read_dhcp(message(5, usual + option(121, {16, 10, 9, 10, 1, 2, '\xfe', 0, 10, 1, 2, 1, 24, 1, 2, 3, 0, 0, 0, 0})), xid, mac);
    EXPECT_THAT(answer->lease.routes, ElementsAre(DhcpRoute{.destination = 0x0a090000, .prefix = 16, .via = 0x0a0102fe}, DhcpRoute{.via = 0x0a010201},
                                                  DhcpRoute{.destination = 0x01020300, .prefix = 24, .via = 0}));
}

TEST(Dhcp, WhatIsForAnotherOrMalformedIsNotTaken) {
    EXPECT_FALSE(read_dhcp(message(5, usual, xid + 1), xid, mac));
    EXPECT_FALSE(read_dhcp(message(5, usual), xid, MacAddress{}));
    EXPECT_FALSE(read_dhcp(message(5, usual, xid, {0, 0, 0, 0}), xid, mac));
    EXPECT_FALSE(read_dhcp(message(1, usual), xid, mac)) << "a client's message";
    EXPECT_FALSE(read_dhcp(message(5, std::string{3, 99, 1}), xid, mac)) << "an option longer than the message";
    const auto whole = message(5, usual);
    for (std::size_t size = 0; size < whole.size(); ++size) [[maybe_unused]] const auto read = read_dhcp(whole.substr(0, size), xid, mac);
    const auto named = read_dhcp(message(5, usual + option(15, "a\nnameserver 6.6.6.6")), xid, mac);
    EXPECT_EQ(named->lease.domain, "") << "nothing that could be another line";
}

TEST(Dhcp, AnAddressIsFoundKeptAndRenewed) {
    DhcpClient client(mac, {}, xid);
    const auto discover = client.due(0);
    ASSERT_TRUE(discover);
    EXPECT_EQ(discover->to, 0xffffffffU);
    EXPECT_GE(discover->packet.size(), 300U);
    EXPECT_FALSE(client.due(second / 2));
    EXPECT_TRUE(client.due(second)) << "nobody answered";
    EXPECT_FALSE(client.receive(message(2, usual), second));
    const auto request = client.due(second);
    ASSERT_TRUE(request);
    EXPECT_NE(request->packet.find(option(50, {10, 1, 2, 3})), std::string::npos);
    EXPECT_TRUE(client.receive(message(5, usual), second));
    ASSERT_TRUE(client.lease());
    EXPECT_EQ(client.wake_at(), 51 * second);
    const auto renewal = client.due(51 * second);
    ASSERT_TRUE(renewal);
    EXPECT_EQ(address_text(renewal->to), "10.1.2.1");
    EXPECT_FALSE(client.receive(message(5, usual), 52 * second)) << "the same lease is no change";
    EXPECT_FALSE(client.expire(151 * second));
    EXPECT_TRUE(client.expire(152 * second));
    EXPECT_FALSE(client.lease());
    EXPECT_TRUE(client.due(152 * second)) << "it begins anew";
}

TEST(Dhcp, ARefusalBeginsAnew) {
    DhcpClient client(mac, {}, xid);
    client.due(0);
    client.receive(message(2, usual), 0);
    client.due(0);
    ASSERT_TRUE(client.receive(message(5, usual), 0));
    EXPECT_TRUE(client.receive(message(6), second));
    EXPECT_FALSE(client.lease());
}

TEST(Dhcp, AnOfferThatIsNeverConfirmedIsGivenUp) {
    DhcpClient client(mac, {}, xid);
    client.due(0);
    client.receive(message(2, usual), 0);
    std::int64_t now = 0;
    int requests = 0;
    for (int step = 0; step < 6; ++step, now += second)
        if (const auto sent = client.due(now); sent && sent->packet.find(option(53, "\3")) != std::string::npos) ++requests;
    EXPECT_EQ(requests, 4);
}

}  // namespace
}  // namespace eve::plugins
