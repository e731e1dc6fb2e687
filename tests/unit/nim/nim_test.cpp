// nim over interfaces in memory.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/nim/agent.hpp"
#include "core/types/network.hpp"
#include "tests/doubles/recording_log.hpp"
#include "tests/doubles/sim_loop.hpp"

namespace eve {
namespace {

using namespace std::chrono_literals;

class FakeLinks final : public nim::LinkWorld {
public:
    Result<nim::Observation> observe() override {
        if (fail) return *fail;
        return seen;
    }
    void watch(std::function<void()> changed) override { changed_ = std::move(changed); }
    void touch() { changed_(); }
    nim::Observation seen;
    std::optional<Error> fail;

private:
    std::function<void()> changed_;
};

class Nim : public testing::Test {
protected:
    Nim() {
        links_.seen.name_servers = {"192.168.1.1"};
        links_.seen.interfaces["eth0"] = {.name = "eth0", .mac = "02:00:00:00:00:01", .mtu = 1500, .up = true,
                                          .addresses = {"fe80::1/64", "192.168.1.10/24"}, .gateways = {"192.168.1.1"}};
        config_.Version = types::DevicePortConfigVersion::DPCIsMgmt;
        types::NetworkPortConfig port;
        port.IfName = "eth0";
        port.Logicallabel = "uplink0";
        port.IsMgmt = port.IsL3Port = true;
        port.Dhcp = types::DhcpType::DhcpTypeStatic;
        port.AddrSubnet = "192.168.1.10/24";
        port.SharedLabels = {"all", "uplink"};
        config_.Ports.push_back(port);
    }
    void run(std::chrono::seconds time = 1s) { loop_.run_for(time); }
    const types::DeviceNetworkStatus* status() { return status_->get("global"); }
    void configure() { ASSERT_TRUE(config_topic_->publish("zedagent", config_)); }

    SimClock clock_;
    SimLoop loop_{clock_};
    SimLanes lanes_{loop_, Prng(1)};
    RecordingLog log_;
    Bus bus_{{.loop = loop_, .log = log_}};
    FakeLinks links_;
    types::DevicePortConfig config_;
    std::unique_ptr<Publication<types::DevicePortConfig>> config_topic_ = bus_.publish<types::DevicePortConfig>({.agent = "zedagent"});
    std::unique_ptr<Subscription<types::DeviceNetworkStatus>> status_ = bus_.subscribe<types::DeviceNetworkStatus>({.agent = "nim"});
    nim::Agent agent_{{.bus = bus_, .loop = loop_, .lanes = lanes_, .log = log_, .links = links_}};
};

TEST_F(Nim, SaysNothingBeforeThereIsAConfig) {
    run();
    EXPECT_EQ(status(), nullptr);
}

TEST_F(Nim, ReportsTheConfiguredPortAsTheMachineShowsIt) {
    configure();
    run();
    ASSERT_NE(status(), nullptr);
    EXPECT_EQ(status()->DPCKey, "zedagent");
    EXPECT_EQ(status()->State, types::DPCState::DPCStateSuccess);
    ASSERT_EQ(status()->Ports.size(), 1u);
    const auto& port = status()->Ports[0];
    EXPECT_EQ(port.IfName, "eth0");
    EXPECT_EQ(port.Logicallabel, "uplink0");
    EXPECT_TRUE(port.Up);
    EXPECT_EQ(port.MTU, 1500);
    EXPECT_EQ(port.MacAddr.to_string(), "02:00:00:00:00:01");
    EXPECT_EQ(port.AddrInfoList.size(), 2u);
    ASSERT_TRUE(port.IPv4Subnet.has_value());
    EXPECT_EQ(port.IPv4Subnet->to_string(), "192.168.1.0/24");
    EXPECT_EQ(port.DNSServers.at(0).to_string(), "192.168.1.1");
    EXPECT_EQ(port.DefaultRouters.at(0).to_string(), "192.168.1.1");
    EXPECT_EQ(port.LastError, "");
}

TEST_F(Nim, MissingInterfaceIsWaitedForAndNamed) {
    const auto eth0 = links_.seen.interfaces["eth0"];
    links_.seen.interfaces.clear();
    configure();
    run();
    ASSERT_NE(status(), nullptr);
    EXPECT_EQ(status()->State, types::DPCState::DPCStateIntfWait);
    EXPECT_EQ(status()->Ports[0].LastError, "interface eth0 is missing");
    links_.seen.interfaces["eth0"] = eth0;
    links_.touch();
    run();
    EXPECT_EQ(status()->State, types::DPCState::DPCStateSuccess);
    EXPECT_EQ(status()->Ports[0].LastError, "");
}

TEST_F(Nim, InterfaceWithoutAddressIsNotSuccess) {
    links_.seen.interfaces["eth0"].addresses = {"fe80::1/64"};
    configure();
    run();
    EXPECT_EQ(status()->State, types::DPCState::DPCStateIPDNSWait);
}

TEST_F(Nim, UnchangedMachineIsNoEvent) {
    configure();
    run();
    int events = 0;
    auto watcher = bus_.subscribe<types::DeviceNetworkStatus>({.agent = "nim"}, {.created = [&](const std::string&, const auto&) { ++events; }});
    run();
    links_.touch();
    run(10s);
    EXPECT_EQ(events, 1);  // what was there
}

TEST_F(Nim, FailedLookIsRepeated) {
    links_.fail = Error{Code::timed_out, "netlink: no answer"};
    configure();
    run();
    links_.fail.reset();
    run(6s);
    EXPECT_NE(status(), nullptr);
}

}  // namespace
}  // namespace eve
