#pragma once
// The agents round domainmgr, as far as it hears of them: what must be published before it runs, and zedmanager's DomainConfig.

#include <memory>
#include <string>

#include "core/bus/bus.hpp"
#include "core/types/config_items.hpp"
#include "core/types/domain.hpp"
#include "core/types/network.hpp"
#include "core/types/node.hpp"
#include "tests/doubles/fake_domain_world.hpp"

namespace eve {

/// The publishers that domainmgr waits for. [loop]
struct DomainNode {
    std::unique_ptr<Publication<types::ConfigItemValueMap>> items;
    std::unique_ptr<Publication<types::PhysicalIOAdapterList>> model;
    std::unique_ptr<Publication<types::DeviceNetworkStatus>> network;
    std::unique_ptr<Publication<types::OnboardingStatus>> onboarding;
    std::unique_ptr<Publication<types::VaultStatus>> vault;
    std::unique_ptr<Publication<types::ZedAgentStatus>> zedagent;
    std::unique_ptr<Publication<types::DomainConfig>> configs;

    explicit DomainNode(Bus& bus)
        : items(bus.publish<types::ConfigItemValueMap>({.agent = "zedagent"})),
          model(bus.publish<types::PhysicalIOAdapterList>({.agent = "zedagent"})),
          network(bus.publish<types::DeviceNetworkStatus>({.agent = "nim"})),
          onboarding(bus.publish<types::OnboardingStatus>({.agent = "zedclient", .persistent = true})),
          vault(bus.publish<types::VaultStatus>({.agent = "vaultmgr"})),
          zedagent(bus.publish<types::ZedAgentStatus>({.agent = "zedagent"})),
          configs(bus.publish<types::DomainConfig>({.agent = "zedmanager"})) {}

    void publish_items(std::uint32_t boot_retry = 600, bool restart_broken = true) const {
        auto values = types::configured_config_items();
        values.GlobalSettings["timer.boot.retry"].IntValue = boot_retry;
        values.GlobalSettings["app.broken.restart"].BoolValue = restart_broken;
        (void)items->publish("global", values);
    }
    void publish_model() const {
        types::PhysicalIOAdapterList list;
        list.Initialized = true;
        types::PhysicalIOAdapter port;
        port.Ptype = types::PhyIoType::PhyIoNetEth;
        port.Phylabel = port.Logicallabel = port.Assigngrp = "eth0";
        port.Phyaddr.Ifname = "eth0";
        list.AdapterList.push_back(port);
        (void)model->publish("global", list);
    }
    void publish_network() const {
        types::DeviceNetworkStatus status;
        status.DPCKey = "zedagent";
        status.Ports.emplace_back();
        status.Ports[0].IfName = status.Ports[0].Phylabel = "eth0";
        (void)network->publish("global", status);
    }
    void publish_onboarding() const {
        types::OnboardingStatus status;
        status.DeviceUUID = types::Uuid::parse_or_nil("d0000000-0000-4000-8000-000000000000");
        (void)onboarding->publish("global", status);
    }
    void publish_vault() const {
        types::VaultStatus status;
        status.Name = "Application Data Store";
        status.ConversionComplete = true;
        (void)vault->publish(status.Name, status);
    }
    /// Everything, in any order an agent might see it.
    void publish_all() const {
        publish_items();
        publish_model();
        publish_network();
        publish_onboarding();
        publish_vault();
    }
};

/// The UUID of app number `n`.
inline std::string app_uuid(unsigned n) {
    std::string digits = std::to_string(n);
    return "a0000000-0000-4000-8000-" + std::string(12 - digits.size(), '0') + digits;
}

/// A config of a virtual machine with one disk, which `host` knows.
inline types::DomainConfig domain_config(unsigned n, FakeDomainHost& host) {
    types::DomainConfig config;
    config.UUIDandVersion.UUID = types::Uuid::parse_or_nil(app_uuid(n));
    config.UUIDandVersion.Version = "1";
    config.DisplayName = "app" + std::to_string(n);
    config.Activate = config.UserActivate = true;
    config.AppNum = static_cast<std::int64_t>(n);
    config.Memory = 524288;
    config.VCpus = 1;
    config.VirtualizationMode = types::VmMode::HVM;
    types::DiskConfig disk;
    disk.VolumeKey = app_uuid(n) + "#0";
    disk.FileLocation = "/persist/vault/volumes/" + disk.VolumeKey + ".qcow2";
    disk.Format = types::Format::QCOW2;
    host.disks[disk.FileLocation] = disk.Format;
    config.DiskConfigList.push_back(disk);
    types::VifConfig vif;
    vif.Vif = "nbu1x" + std::to_string(n);
    vif.Bridge = "bn1";
    vif.Mac = types::MacAddress::parse_or_none("02:16:3e:00:00:01");
    config.VifList.push_back(vif);
    return config;
}

}  // namespace eve
