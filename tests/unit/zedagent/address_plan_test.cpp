// The addresses that zedagent chooses and checks for a local network instance.

#include "core/zedagent/address_plan.hpp"

#include <gmock/gmock.h>

namespace eve::zedagent {
namespace {

using ::testing::HasSubstr;

types::NetworkInstanceConfigFields network(const char* subnet, const char* gateway = "", const char* start = "", const char* end = "") {
    types::NetworkInstanceConfigFields out;
    out.Subnet = *types::IpNet::parse(subnet);
    out.Gateway = types::IpAddress::parse_or_none(gateway);
    out.DhcpRange.Start = types::IpAddress::parse_or_none(start);
    out.DhcpRange.End = types::IpAddress::parse_or_none(end);
    return out;
}

TEST(AddressPlan, ChoosesWhatIsNotGivenAndCorrectsTheEnds) {
    struct Row {
        types::NetworkInstanceConfigFields given;
        const char* gateway;
        const char* start;
        const char* end;
    };
    const Row rows[] = {
        {network("10.1.0.0/24"), "10.1.0.1", "10.1.0.128", "10.1.0.254"},
        {network("10.1.0.0/28"), "10.1.0.1", "10.1.0.8", "10.1.0.14"},
        {network("10.1.0.0/29"), "10.1.0.1", "10.1.0.2", "10.1.0.6"},
        {network("10.1.0.0/30"), "10.1.0.1", "10.1.0.2", "10.1.0.2"},
        {network("10.1.0.0/24", "", "10.1.0.10"), "10.1.0.1", "10.1.0.10", "10.1.0.254"},
        {network("10.1.0.0/24", "", "", "10.1.0.99"), "10.1.0.1", "10.1.0.128", "10.1.0.254"},  // an end alone does not count
        {network("10.1.0.0/24", "", "10.1.0.0", "10.1.0.255"), "10.1.0.1", "10.1.0.2", "10.1.0.254"},
        {network("10.1.0.0/24", "10.1.0.7", "10.1.0.7", "10.1.0.20"), "10.1.0.7", "10.1.0.8", "10.1.0.20"},
        {network("10.1.0.0/16"), "10.1.0.1", "10.1.128.0", "10.1.128.255"},  // zedrouter counts with one byte
        {network("10.1.0.0/16", "", "10.1.2.0", "10.1.9.0"), "10.1.0.1", "10.1.2.0", "10.1.2.255"},
        {network("fd00::/64"), "fd00::1", "fd00::2000:0:0:0", "fd00::2000:0:0:ff"},
    };
    for (const auto& row : rows) {
        auto planned = row.given;
        const auto status = plan_addresses(planned);
        ASSERT_TRUE(status) << row.given.Subnet->to_string() << ": " << status.error().what;
        EXPECT_EQ(planned.Gateway.to_string(), row.gateway);
        EXPECT_EQ(planned.DhcpRange.Start.to_string(), row.start);
        EXPECT_EQ(planned.DhcpRange.End.to_string(), row.end);
    }
}

TEST(AddressPlan, RefusesWhatContradictsItself) {
    struct Row {
        types::NetworkInstanceConfigFields given;
        const char* field;
        const char* what;
    };
    const Row rows[] = {
        {network("10.1.0.0/31"), "subnet", "too small"},
        {network("10.1.0.0/24", "fd00::1"), "gateway", "IP family"},
        {network("10.1.0.0/24", "", "10.2.0.2"), "dhcpRange", "10.2.0.2 is not in subnet"},
        {network("10.1.0.0/24", "", "10.1.0.2", "10.1.1.9"), "dhcpRange", "10.1.1.9 is not in subnet"},
        {network("10.1.0.0/24", "", "fd00::2"), "dhcpRange", "not in subnet"},
        {network("10.1.0.0/24", "", "10.1.0.20", "10.1.0.10"), "dhcpRange", "after end"},
        {network("10.1.0.0/24", "10.1.0.15", "10.1.0.10", "10.1.0.20"), "gateway", "inside the DHCP range"},
        {network("10.1.0.0/30", "10.1.0.2"), "dhcpRange", "no address is left"},
    };
    for (const auto& row : rows) {
        auto planned = row.given;
        const auto status = plan_addresses(planned);
        ASSERT_FALSE(status) << row.what;
        EXPECT_EQ(status.error().field, row.field) << row.what;
        EXPECT_THAT(status.error().what, HasSubstr(row.what));
    }
    types::NetworkInstanceConfigFields none;
    EXPECT_EQ(plan_addresses(none).error().field, "subnet");
}

TEST(AddressPlan, AddsOverByteBoundariesAndStopsAtTheFamilysEdge) {
    const auto at = [](const char* text) { return *types::IpAddress::parse(text); };
    EXPECT_EQ(add(at("10.1.0.255"), 1), at("10.1.1.0"));
    EXPECT_EQ(add(at("10.1.1.0"), -1), at("10.1.0.255"));
    EXPECT_EQ(add(at("10.1.0.0"), 65536), at("10.2.0.0"));
    EXPECT_EQ(add(at("10.2.0.5"), -65536 - 5), at("10.1.0.0"));
    EXPECT_TRUE(add(at("255.255.255.255"), 1).empty());
    EXPECT_TRUE(add(at("0.0.0.0"), -1).empty());
    EXPECT_EQ(add(at("fd00::ffff"), 1), at("fd00::1:0"));
}

}  // namespace
}  // namespace eve::zedagent
