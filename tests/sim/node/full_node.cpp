#include "tests/sim/node/full_node.hpp"

#include <cstdlib>
#include <iostream>
#include <set>

#include "core/types/config_items.hpp"
#include "core/zedmanager/records.hpp"
#include "tests/sim/node/complaints.hpp"

namespace eve::sim {

using namespace std::chrono_literals;

namespace {

constexpr std::uint8_t kAppsMax = 3;
constexpr int kThings = 8;
constexpr std::int64_t kMib = 1024;
constexpr std::uint64_t kMemoryMb = 4096;

/// "<uuid>#<generation>" of ".../<uuid>#<generation>.qcow2".
std::string key_of_path(const std::string& path) {
    const auto slash = path.rfind('/');
    const auto dot = path.rfind('.');
    return path.substr(slash + 1, dot == std::string::npos || dot < slash ? dot : dot - slash - 1);
}

bool holds_disks(DomainState state) {
    return state != DomainState::halted && state != DomainState::broken && state != DomainState::defined;
}

}  // namespace

// ---- log

SimLog::SimLog(const Clock& clock) : clock_(clock), speak_(std::getenv("EVE_SIM_LOG") != nullptr) {}

void SimLog::write(Level, std::string_view event, Fields fields) {
    if (!speak_) return;
    std::cerr << std::chrono::duration_cast<std::chrono::milliseconds>(clock_.now().time_since_epoch()).count() << " " << event;
    for (const auto& field : fields) {
        std::cerr << " " << field.name << "=";
        std::visit([](const auto& value) { std::cerr << value; }, field.value);
    }
    std::cerr << "\n";
}

// ---- hypervisor

template <class Effect> Result<DomainInfo> SimHypervisor::attempt(Effect effect) {
    if (prng_.chance(fail_percent)) return Error{.code = Code::unavailable, .what = "simulated failure"};
    auto result = effect();
    if (result && prng_.chance(lost_reply_percent)) return Error{.code = Code::timed_out, .what = "simulated lost reply"};
    return result;
}

Result<DomainInfo> SimHypervisor::create(const CallContext& call, const DomainSpec& spec) {
    return attempt([&] {
        if (on_create) on_create(spec);
        return FakeHypervisor::create(call, spec);
    });
}

Result<DomainInfo> SimHypervisor::start(const CallContext& call, const DomainId& id) {
    return attempt([&] {
        const auto* domain = find(id);
        if (on_start && domain != nullptr && domain->info.state == DomainState::defined) on_start(domain->spec);
        return FakeHypervisor::start(call, id);
    });
}

Result<DomainInfo> SimHypervisor::stop(const CallContext& call, const DomainId& id, StopMode mode) {
    return attempt([&] { return FakeHypervisor::stop(call, id, mode); });
}

Result<DomainInfo> SimHypervisor::destroy(const CallContext& call, const DomainId& id, DestroyMode mode) {
    return attempt([&] {
        const auto* domain = find(id);
        if (on_destroy && domain != nullptr) on_destroy(domain->spec);
        return FakeHypervisor::destroy(call, id, mode);
    });
}

// ---- controller

types::Uuid Controller::uuid(std::uint8_t kind, std::uint8_t number) {
    std::array<std::uint8_t, 16> bytes{};
    bytes[0] = kind;
    bytes[15] = number;
    return types::Uuid{bytes};
}

Controller::Controller(Bus& bus, SimStorage& storage) : digest_(storage.serve("http://images.example/disk", "a disk")) {
    items_ = bus.publish<types::ConfigItemValueMap>({.agent = "zedagent"});
    agent_status_ = bus.publish<types::ZedAgentStatus>({.agent = "zedagent"});
    onboarding_ = bus.publish<types::OnboardingStatus>({.agent = "zedclient", .persistent = true});
    vault_ = bus.publish<types::VaultStatus>({.agent = "vaultmgr"});
    network_ = bus.publish<types::DeviceNetworkStatus>({.agent = "nim"});
    model_ = bus.publish<types::PhysicalIOAdapterList>({.agent = "zedagent"});
    datastores_ = bus.publish<types::DatastoreConfig>({.agent = "zedagent"});
    trees_ = bus.publish<types::ContentTreeConfig>({.agent = "zedagent"});
    volumes_ = bus.publish<types::VolumeConfig>({.agent = "zedagent"});
    instances_ = bus.publish<types::NetworkInstanceConfig>({.agent = "zedagent"});
    configs_ = bus.publish<types::AppInstanceConfig>({.agent = "zedagent"});

    auto values = types::configured_config_items();
    values.GlobalSettings["timer.boot.retry"].IntValue = 60;
    values.GlobalSettings["timer.download.retry"].IntValue = 60;
    values.GlobalSettings["memory.eve.limit.bytes"].IntValue = 0;
    values.GlobalSettings["memory.eve.limit.MiB"].IntValue = 0;
    static_cast<void>(items_->publish("global", values));
    static_cast<void>(agent_status_->publish("zedagent", {.Name = "zedagent", .ConfigGetStatus = types::ConfigGetStatus::ConfigGetSuccess}));
    types::OnboardingStatus onboarding;
    onboarding.DeviceUUID = uuid(0xdd, 1);
    static_cast<void>(onboarding_->publish("global", onboarding));
    types::VaultStatus vault;
    vault.Name = "Application Data Store";
    vault.ConversionComplete = true;
    vault.Status = types::DataSecAtRestStatus::DATASEC_AT_REST_DISABLED;
    static_cast<void>(vault_->publish(vault.Name, vault));
    types::DeviceNetworkStatus ports;
    ports.DPCKey = "zedagent";
    ports.State = types::DPCState::DPCStateSuccess;
    types::NetworkPortStatus port;
    port.IfName = port.Phylabel = port.Logicallabel = "eth0";
    port.IsMgmt = port.IsL3Port = port.Up = true;
    port.MTU = 1500;
    port.Dhcp = types::DhcpType::DhcpTypeStatic;
    const auto net = *types::IpNet::parse("192.0.2.10/24");
    port.AddrInfoList.push_back({.Addr = net.IP, .Mask = net.Mask});
    port.IPv4Subnet = net;
    ports.Ports = {port};
    static_cast<void>(network_->publish("global", ports));
    types::PhysicalIOAdapterList model;
    model.Initialized = true;
    static_cast<void>(model_->publish("global", model));
    apply({});
}

template <class T> void Controller::sync(Publication<T>& publication, const std::map<std::string, T>& wanted) {
    std::vector<std::string> gone;
    for (const auto& [key, record] : publication.items())
        if (!wanted.contains(key)) gone.push_back(key);
    for (const auto& key : gone) static_cast<void>(publication.unpublish(key));
    for (const auto& [key, record] : wanted) static_cast<void>(publication.publish(key, record));
}

types::VolumeConfig Controller::volume(const types::VolumeRefConfig& reference) const {
    types::VolumeConfig config;
    config.VolumeID = reference.VolumeID;
    config.GenerationCounter = reference.GenerationCounter;
    config.LocalGenerationCounter = reference.LocalGenerationCounter;
    const bool blank = reference.VolumeID.bytes()[15] % 2 == 1;
    config.VolumeContentOriginType = blank ? types::VolumeContentOriginType::VCOT_BLANK : types::VolumeContentOriginType::VCOT_DOWNLOAD;
    if (!blank) config.ContentID = uuid(0xcc, 1);
    config.MaxVolSize = 1 << 20;
    config.DisplayName = "volume";
    return config;
}

void Controller::apply(const std::map<std::string, types::AppInstanceConfig>& wanted) {
    apps = wanted;
    types::DatastoreConfig datastore;
    datastore.UUID = uuid(0xdc, 1);
    datastore.DsType = "DsHttp";
    datastore.Fqdn = "http://images.example";
    sync(*datastores_, {{datastore.UUID.to_string(), datastore}});
    types::ContentTreeConfig tree;
    tree.ContentID = uuid(0xcc, 1);
    tree.DatastoreIDList = {datastore.UUID};
    tree.RelativeURL = "disk";
    tree.Format = types::Format::QCOW2;
    tree.ContentSha256 = digest_;
    tree.MaxDownloadSize = 1'000'000;
    tree.IsLocal = true;
    sync(*trees_, {{tree.ContentID.to_string(), tree}});
    trees_->signal_restarted();
    std::map<std::string, types::VolumeConfig> volumes;
    for (const auto& [key, app] : apps)
        for (const auto& reference : app.VolumeRefConfigList) volumes[zedmanager::volume_key(reference)] = volume(reference);
    sync(*volumes_, volumes);
    volumes_->signal_restarted();
    types::NetworkInstanceConfig instance;
    instance.UUID = network_instance();
    instance.Version = "1";
    instance.DisplayName = "local";
    instance.Type = types::NetworkInstanceType::NetworkInstanceTypeLocal;
    instance.IpType = types::AddressType::AddressTypeIPV4;
    instance.Activate = true;
    instance.PortLabel = "eth0";
    instance.Subnet = *types::IpNet::parse("10.1.0.0/24");
    instance.Gateway = *types::IpAddress::parse("10.1.0.1");
    instance.DhcpRange = {*types::IpAddress::parse("10.1.0.128"), *types::IpAddress::parse("10.1.0.254")};
    sync(*instances_, {{instance.UUID.to_string(), instance}});
    instances_->signal_restarted();
    sync(*configs_, apps);
    configs_->signal_restarted();
}

// ---- node

FullNode::FullNode(std::uint64_t seed) : prng(seed) {
    world.memory_bytes = kMemoryMb << 20;
    host.figures.TotalMemoryMB = kMemoryMb;
    runtimes.hypervisor = hypervisor;
    watch_hypervisor();
    statuses_ = bus.subscribe<types::AppInstanceStatus>({.agent = "zedmanager"});
    networks_ = bus.subscribe<types::AppNetworkStatus>({.agent = "zedrouter"});
    domains_ = bus.subscribe<types::DomainStatus>({.agent = "domainmgr"});
    volume_statuses_ = bus.subscribe<types::VolumeStatus>({.agent = "volumemgr"});
    crash_all();
}

FullNode::~FullNode() = default;

void FullNode::watch_hypervisor() {
    hypervisor->on_create = [this](const DomainSpec& spec) {
        for (const auto& vif : spec.vifs) network.add_link({.name = vif.name, .mac = vif.mac, .mtu = 1500, .kind = "tun"});
    };
    hypervisor->on_destroy = [this](const DomainSpec& spec) {
        for (const auto& vif : spec.vifs) network.remove_link(vif.name);
    };
    hypervisor->on_start = [this](const DomainSpec& spec) {
        seen_ = 0;
        look_at_world();
        Guest guest{.cpus = spec.vcpus, .memory_kib = static_cast<std::int64_t>(spec.memory.n >> 10)};
        for (const auto& disk : spec.disks)
            if (disk.path.find("/volumes/") != std::string::npos) guest.disks.push_back(key_of_path(disk.path));
        world.start_guest(spec.id.value, std::move(guest));
    };
    host.before = [this](std::string_view) -> Status {
        host.disks.clear();
        for (const auto& [path, file] : storage.volumes) host.disks[path] = file.format;
        return {};
    };
}

/// Brings the picture of the world up to date, if anything was done since, and checks it.
void FullNode::look_at_world() {
    const std::size_t now = 1 + hypervisor->calls().size() + storage.creates + storage.destroys + static_cast<std::size_t>(network.applies());
    if (now == seen_) return;
    seen_ = now;
    world.volumes.clear();
    for (const auto& [path, file] : storage.volumes) world.volumes.insert(key_of_path(path));
    std::set<std::string> connected;
    for (const auto& vif : network.network().vifs)
        if (!vif.bridge.empty() && network.has_bridge(vif.bridge)) connected.insert(vif.name);
    world.guests.clear();
    world.networks.clear();
    for (const auto& [app, status] : networks_->items())
        if (status->Activated) world.networks.insert(app);
    for (const auto& [id, domain] : hypervisor->domains()) {
        bool all = true;
        for (const auto& vif : domain.spec.vifs) all = all && connected.contains(vif.name);
        if (all)
            world.networks.insert(id.value);
        else
            world.networks.erase(id.value);
        if (!holds_disks(domain.info.state)) continue;
        Guest guest{.cpus = domain.spec.vcpus, .memory_kib = static_cast<std::int64_t>(domain.spec.memory.n >> 10)};
        for (const auto& disk : domain.spec.disks)
            if (disk.path.find("/volumes/") != std::string::npos) guest.disks.push_back(key_of_path(disk.path));
        world.guests[id.value] = std::move(guest);
    }
    world.check();
}

void FullNode::run_for(std::chrono::nanoseconds time) {
    const Instant end = clock.now() + time;
    static_cast<void>(loop.run_until(
        [this] {
            look_at_world();
            return !world.violations().empty();
        },
        time));
    clock.advance_to(end);
}

// ---- agents

template <class Agent, class Make> void FullNode::begin(std::unique_ptr<Process<Agent>>& process, Make make) {
    process.reset();
    process = std::make_unique<Process<Agent>>(*this, prng.fork());
    process->agent = std::make_unique<Agent>(make(*process));
}

void FullNode::begin_zedmanager() {
    begin<zedmanager::Agent>(zedmanager_, [&](auto& p) { return zedmanager::Agent::Deps{.bus = bus, .loop = p.loop, .log = log}; });
}
void FullNode::begin_volumemgr() {
    begin<volumemgr::Agent>(volumemgr_, [&](auto& p) {
        return volumemgr::Agent::Deps{
            .bus = bus, .loop = p.loop, .lanes = p.lanes, .log = log, .store = storage, .files = storage, .persist = "/persist"};
    });
}
void FullNode::begin_downloader() {
    begin<downloader::Agent>(downloader_, [&](auto& p) {
        return downloader::Agent::Deps{.bus = bus, .loop = p.loop, .lanes = p.lanes, .log = log, .transport = storage, .files = storage};
    });
}
void FullNode::begin_verifier() {
    begin<verifier::Agent>(verifier_, [&](auto& p) {
        return verifier::Agent::Deps{.bus = bus, .loop = p.loop, .lanes = p.lanes, .log = log, .files = storage};
    });
}
void FullNode::begin_zedrouter() {
    begin<zedrouter::Agent>(zedrouter_, [&](auto& p) {
        return zedrouter::Agent::Deps{
            .bus = bus, .loop = p.loop, .lanes = p.lanes, .log = log, .network = network, .run_directory = "/run/zedrouter"};
    });
}
void FullNode::begin_domainmgr() {
    begin<domainmgr::Agent>(domainmgr_, [&](auto& p) {
        return domainmgr::Agent::Deps{.bus = bus,
                                      .loop = p.loop,
                                      .lanes = p.lanes,
                                      .log = log,
                                      .runtimes = runtimes,
                                      .host = host,
                                      .random = [draws = prng.fork()](std::uint64_t limit) mutable { return draws.below(limit); }};
    });
}

void FullNode::crash(AgentName agent) {
    switch (agent) {
        case AgentName::zedmanager: return begin_zedmanager();
        case AgentName::volumemgr: return begin_volumemgr();
        case AgentName::downloader: return begin_downloader();
        case AgentName::verifier: return begin_verifier();
        case AgentName::zedrouter: return begin_zedrouter();
        case AgentName::domainmgr: return begin_domainmgr();
    }
}

void FullNode::crash_all() {
    for (int n = 0; n < agents_count; ++n) crash(static_cast<AgentName>(n));
}

// ---- chaos

types::AppInstanceConfig FullNode::some_app(std::uint8_t number) {
    types::AppInstanceConfig config;
    config.UUIDandVersion = {.UUID = Controller::uuid(0xaa, number), .Version = "1"};
    config.DisplayName = "app" + std::to_string(number);
    config.FixedResources.Memory = prng.between(1, 4) * 256 * kMib;
    config.FixedResources.VCpus = prng.between(1, 3);
    config.FixedResources.VirtualizationMode = types::VmMode::HVM;
    config.Activate = prng.chance(85);
    const auto volumes = prng.between(1, 2);
    for (std::uint8_t n = 0; n < volumes; ++n)
        config.VolumeRefConfigList.push_back({.VolumeID = Controller::uuid(static_cast<std::uint8_t>(number + 1), n),
                                              .AppUUID = config.UUIDandVersion.UUID,
                                              .VerifyOnly = true});
    types::AppNetAdapterConfig adapter;
    adapter.Name = "eth0";
    adapter.Network = Controller::network_instance();
    config.AppNetAdapterList.push_back(adapter);
    return config;
}

void FullNode::change(types::AppInstanceConfig config) {
    config.UUIDandVersion.Version = std::to_string(++version_);
    auto& volumes = config.VolumeRefConfigList;
    switch (prng.below(7)) {
        case 0:
        case 1: config.Activate = !config.Activate; break;
        case 2: ++config.RestartCmd.Counter; break;
        case 3:
            ++config.PurgeCmd.Counter;
            ++volumes[prng.below(volumes.size())].GenerationCounter;
            break;
        case 4:
            ++config.LocalPurgeCmd.Counter;
            for (auto& volume : volumes) ++volume.LocalGenerationCounter;
            break;
        case 5:
            config.FixedResources.VCpus = prng.between(1, 3);
            if (prng.chance(70)) ++config.RestartCmd.Counter;
            break;
        default: {
            types::AppNetAdapterConfig adapter;
            adapter.Name = "eth1";
            adapter.Network = Controller::network_instance();
            adapter.IfIdx = 1;
            if (config.AppNetAdapterList.size() < 2)
                config.AppNetAdapterList.push_back(adapter);
            else
                config.AppNetAdapterList.pop_back();
            ++config.RestartCmd.Counter;
            break;
        }
    }
    auto apps = controller.apps;
    apps[config.UUIDandVersion.UUID.to_string()] = config;
    controller.apply(apps);
}

void FullNode::do_something() {
    const auto number = static_cast<std::uint8_t>(prng.below(kAppsMax));
    auto apps = controller.apps;
    const auto found = apps.find(Controller::uuid(0xaa, number).to_string());
    switch (prng.below(9)) {
        case 0:
        case 1: crash(static_cast<AgentName>(prng.below(agents_count))); return;
        case 2:
            if (!hypervisor->domains().empty()) {
                const DomainId id = hypervisor->domains().begin()->first;
                if (prng.chance(50))
                    hypervisor->guest_dies(id, 9);
                else
                    hypervisor->guest_halts(id);
                seen_ = 0;
                runtimes.emit(id.value);
            }
            return;
        case 3:
            if (found != apps.end()) {
                apps.erase(found);
                controller.apply(apps);
            }
            return;
        default: break;
    }
    if (found != apps.end()) return change(found->second);
    const auto config = some_app(number);
    apps[config.UUIDandVersion.UUID.to_string()] = config;
    controller.apply(apps);
}

void FullNode::chaos() {
    const auto draw = [&](std::uint64_t most) { return static_cast<unsigned>(prng.below(most)); };
    hypervisor->fail_percent = draw(25);
    hypervisor->lost_reply_percent = draw(15);
    storage.set_faults({.fail_percent = draw(20), .lost_reply_percent = draw(10), .wrong_percent = draw(10)});
    for (int n = 0; n < kThings; ++n) {
        if (prng.chance(20))
            network.fail_apply = Error{.code = Code::unavailable, .what = "simulated failure"};
        else
            network.fail_apply.reset();
        do_something();
        if (prng.chance(30)) do_something();
        run_for(std::chrono::milliseconds{prng.pick<std::int64_t>({0, 1, 40, 500, 3000, 20'000, 90'000})});
    }
}

void FullNode::heal() {
    hypervisor->fail_percent = hypervisor->lost_reply_percent = 0;
    storage.set_faults({});
    network.fail_apply.reset();
    run_for(90min);
}

std::vector<std::string> FullNode::complaints() {
    seen_ = 0;
    look_at_world();
    std::vector<std::string> out;
    const auto& apps = controller.apps;
    std::set<std::string> volumes;
    for (const auto& [key, config] : apps) {
        complain_of_app(config, statuses_->items(), world, out);
        for (const auto& reference : config.VolumeRefConfigList) volumes.insert(zedmanager::volume_key(reference));
    }
    const auto deleted = [&](const std::string& what, const auto& items) {
        for (const auto& item : items)
            if (!apps.contains(item.first)) out.push_back(what + " of a deleted app is still reported: " + item.first);
    };
    deleted("the status", statuses_->items());
    deleted("the network", networks_->items());
    deleted("the domain", domains_->items());
    for (const auto& [id, domain] : hypervisor->domains())
        if (!apps.contains(id.value)) out.push_back("a domain of a deleted app is left: " + id.value);
    for (const auto& key : world.volumes)
        if (!volumes.contains(key) && out.empty()) {
            bool held = false;  // a refused change still holds the volume of the config in force
            for (const auto& [app, status] : statuses_->items())
                for (const auto& volume : status->VolumeRefStatusList) held = held || zedmanager::volume_key(volume) == key;
            if (!held) out.push_back("a volume that nobody wants is left: " + key);
        }
    return out;
}

}  // namespace eve::sim
