#pragma once
// What zedrouter hears from others, as a few calls: for its unit tests, its simulation and its acceptance test.

#include <memory>
#include <string>

#include "core/bus/bus.hpp"
#include "core/types/config_items.hpp"
#include "core/types/network.hpp"
#include "core/types/node.hpp"

namespace eve {

/// The topics that zedrouter reads, published; those it writes, subscribed.
class ZedrouterBench {
public:
    explicit ZedrouterBench(Bus& bus)
        : items(bus.publish<types::ConfigItemValueMap>({.agent = "zedagent"})),
          onboarding(bus.publish<types::OnboardingStatus>({.agent = "zedclient", .persistent = true})),
          ports(bus.publish<types::DeviceNetworkStatus>({.agent = "nim"})),
          instances(bus.publish<types::NetworkInstanceConfig>({.agent = "zedagent"})),
          apps(bus.publish<types::AppNetworkConfig>({.agent = "zedmanager"})),
          instance_status(bus.subscribe<types::NetworkInstanceStatus>({.agent = "zedrouter"})),
          app_status(bus.subscribe<types::AppNetworkStatus>({.agent = "zedrouter"})) {}

    /// What every agent waits for.
    void publish_gates() {
        check(items->publish("global", types::default_config_items()));
        types::OnboardingStatus status;
        status.DeviceUUID = uuid(0xdd);
        check(onboarding->publish("global", status));
    }

    static types::Uuid uuid(unsigned number) {
        std::array<std::uint8_t, 16> bytes{};
        bytes[0] = 0x10;
        bytes[14] = static_cast<std::uint8_t>(number >> 8);
        bytes[15] = static_cast<std::uint8_t>(number);
        return types::Uuid(bytes);
    }

    static types::NetworkPortStatus port(const std::string& label, const std::string& interface, const std::string& cidr) {
        types::NetworkPortStatus port;
        port.IfName = interface;
        port.Logicallabel = label;
        port.Phylabel = interface;
        port.IsMgmt = true;
        port.Up = true;
        port.MTU = 1500;
        if (cidr.empty()) {
            port.Dhcp = types::DhcpType::DhcpTypeNone;
            return port;
        }
        port.IsL3Port = true;
        port.Dhcp = types::DhcpType::DhcpTypeStatic;
        const auto net = *types::IpNet::parse(cidr);
        port.AddrInfoList.push_back({.Addr = net.IP, .Mask = net.Mask});
        port.IPv4Subnet = net;
        return port;
    }

    void set_ports(std::vector<types::NetworkPortStatus> list) {
        types::DeviceNetworkStatus status;
        status.DPCKey = "zedagent";
        status.State = types::DPCState::DPCStateSuccess;
        status.Ports = std::move(list);
        check(ports->publish("global", status));
    }

    /// 10.<number>.0.0/24 as zedagent would have completed it.
    static types::NetworkInstanceConfig local(unsigned number, const std::string& port_label) {
        types::NetworkInstanceConfig config;
        const std::string prefix = "10." + std::to_string(number) + ".0.";
        config.UUID = uuid(0x1000 + number);
        config.Version = "1";
        config.DisplayName = "ni" + std::to_string(number);
        config.Type = types::NetworkInstanceType::NetworkInstanceTypeLocal;
        config.IpType = types::AddressType::AddressTypeIPV4;
        config.Activate = true;
        config.PortLabel = port_label;
        config.Subnet = *types::IpNet::parse(prefix + "0/24");
        config.Gateway = *types::IpAddress::parse(prefix + "1");
        config.DhcpRange = {*types::IpAddress::parse(prefix + "128"), *types::IpAddress::parse(prefix + "254")};
        return config;
    }

    static types::NetworkInstanceConfig layer2(unsigned number, const std::string& port_label) {
        types::NetworkInstanceConfig config;
        config.UUID = uuid(0x1000 + number);
        config.Version = "1";
        config.DisplayName = "switch" + std::to_string(number);
        config.Type = types::NetworkInstanceType::NetworkInstanceTypeSwitch;
        config.Activate = true;
        config.PortLabel = port_label;
        return config;
    }

    static types::ACE allow(const std::string& type, const std::string& value, std::int32_t id = 1) {
        return {.Matches = {{type, value}}, .Actions = {}, .Name = {}, .RuleID = id};
    }

    static types::ACE port_map(const std::string& protocol, const std::string& outside, std::int64_t target, std::int32_t id = 2) {
        return {
            .Matches = {{"protocol", protocol}, {"lport", outside}}, .Actions = {{.PortMap = true, .TargetPort = target}}, .Name = {}, .RuleID = id};
    }

    static types::AppNetworkConfig app(unsigned number, const std::string& name, const types::NetworkInstanceConfig& network,
                                       std::vector<types::ACE> acl) {
        types::AppNetworkConfig config;
        config.UUIDandVersion.UUID = uuid(number);
        config.UUIDandVersion.Version = "1";
        config.DisplayName = name;
        config.Activate = true;
        types::AppNetAdapterConfig adapter;
        adapter.Name = "eth0";
        adapter.Network = network.UUID;
        adapter.ACLs = std::move(acl);
        config.AppNetAdapterList.push_back(std::move(adapter));
        return config;
    }

    void set(const types::NetworkInstanceConfig& config) { check(instances->publish(config.UUID.to_string(), config)); }
    void set(const types::AppNetworkConfig& config) { check(apps->publish(config.UUIDandVersion.UUID.to_string(), config)); }
    void remove(const types::NetworkInstanceConfig& config) { check(instances->unpublish(config.UUID.to_string())); }
    void remove(const types::AppNetworkConfig& config) { check(apps->unpublish(config.UUIDandVersion.UUID.to_string())); }
    const types::NetworkInstanceStatus* status(const types::NetworkInstanceConfig& config) const {
        return instance_status->get(config.UUID.to_string());
    }
    const types::AppNetworkStatus* status(const types::AppNetworkConfig& config) const {
        return app_status->get(config.UUIDandVersion.UUID.to_string());
    }
    bool active(const types::NetworkInstanceConfig& config) const { return status(config) && status(config)->Activated; }
    bool active(const types::AppNetworkConfig& config) const { return status(config) && status(config)->Activated; }

    std::unique_ptr<Publication<types::ConfigItemValueMap>> items;
    std::unique_ptr<Publication<types::OnboardingStatus>> onboarding;
    std::unique_ptr<Publication<types::DeviceNetworkStatus>> ports;
    std::unique_ptr<Publication<types::NetworkInstanceConfig>> instances;
    std::unique_ptr<Publication<types::AppNetworkConfig>> apps;
    std::unique_ptr<Subscription<types::NetworkInstanceStatus>> instance_status;
    std::unique_ptr<Subscription<types::AppNetworkStatus>> app_status;

private:
    /// A refused publish shows in what the test then asks for.
    static void check(const Status&) {}
};

}  // namespace eve
