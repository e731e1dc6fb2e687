#include "tests/sim/node/full_node.hpp"

#include <set>

#include "core/zedmanager/records.hpp"
#include "tests/sim/node/complaints.hpp"

namespace eve::sim {

namespace {

constexpr std::uint8_t kAppsMax = 3;
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

// ---- machine

Status SimMachine::attempt() {
    if (prng_.chance(fail_percent)) return Error{.code = Code::unavailable, .what = "simulated failure"};
    return {};
}

Result<nim::Observation> SimMachine::observe() {
    if (auto done = attempt(); !done) return std::move(done).error();
    nim::Observation seen;
    seen.interfaces["eth0"] = {.name = "eth0", .mac = "02:00:00:00:00:01", .mtu = 1500, .up = port_is_up,
                               .addresses = {"192.0.2.10/24"}, .gateways = {"192.0.2.1"}};
    if (!port_is_up) seen.interfaces["eth0"].addresses.clear();
    return seen;
}

void SimMachine::set_port(bool up) {
    port_is_up = up;
    if (changed_) changed_();
}

Status SimMachine::make() { return attempt(); }

Result<types::Uuid> SimMachine::new_uuid() {
    if (auto done = attempt(); !done) return std::move(done).error();
    return uuid(0xdd, 9);
}

// ---- controller

Controller::Controller(Bus& bus, SimStorage& storage) {
    wish.content_sha256 = storage.serve("http://images.example/disk", "a disk");
    requests_ = bus.publish<types::LocalAppCommand>({.agent = "zedclient"});
    apply({});
}

void Controller::write(std::optional<std::string> text) {
    if (prng_.chance(unnoticed_percent))
        files.config = std::move(text);
    else
        files.put(std::move(text));
}

void Controller::apply(const Apps& apps) {
    for (const auto& [key, app] : wish.apps)
        if (!apps.contains(key)) deleted.insert(key);
    wish.apps = apps;
    ++wish.revision;
    write(device_config(wish));
}

void Controller::spoil_file(Prng& prng) {
    if (prng.chance(20))
        write(std::nullopt);
    else
        write(spoil(prng, device_config(wish)));
}

void Controller::repair_file() { write(device_config(wish)); }

void Controller::command(const types::Uuid& app, types::AppCommand command) {
    types::LocalAppCommand request;
    request.Command = command;
    request.LocalServerTimestamp = ++commands_;
    static_cast<void>(requests_->publish(app.to_string(), request));
}

// ---- node

FullNode::FullNode(std::uint64_t number) : Node(number) {
    world.memory_bytes = kMemoryMb << 20;
    world.volumes_need_config = true;
    host.figures.TotalMemoryMB = kMemoryMb;
    runtimes.hypervisor = hypervisor;
    watch_hypervisor();
    config_ = bus.subscribe<zedagent::ConfigStatus>({.agent = "zedagent"});
    apps_ = bus.subscribe<types::AppInstanceConfig>({.agent = "zedagent"}, {.deleted = [this](const std::string& key, const auto&) {
                                                        if (!controller.deleted.contains(key))
                                                            world.violation("the config of an app went that nobody deleted: " + key);
                                                    }});
    watch_states();
    crash_all();
}

FullNode::~FullNode() = default;

template <class T, class Name>
std::unique_ptr<Subscription<T>> FullNode::watch(const std::string& agent, const std::string& what, Name name) {
    const auto step = [this, what](const std::string& from, const std::string& to) {
        if (from == to) return;
        auto& seen = coverage[{what, from, to}];
        if (seen.times++ == 0) seen.first_seed = seed;
    };
    return bus.subscribe<T>({.agent = agent}, {.created = [=](const auto&, const T& now) { step("-", name(now)); },
                                               .modified = [=](const auto&, const T& now, const T& before) { step(name(before), name(now)); },
                                               .deleted = [=](const auto&, const T& last) { step(name(last), "-"); }});
}

void FullNode::watch_states() {
    const auto state = [](const auto& status) { return types::to_string(status.State); };
    statuses_ = watch<types::AppInstanceStatus>("zedmanager", "zedmanager app", state);
    domains_ = watch<types::DomainStatus>("domainmgr", "domainmgr domain", state);
    trees_ = watch<types::ContentTreeStatus>("volumemgr", "volumemgr content tree", state);
    volumes_ = watch<types::VolumeStatus>("volumemgr", "volumemgr volume", state);
    networks_ = watch<types::AppNetworkStatus>("zedrouter", "zedrouter app", [](const auto& status) -> std::string {
        return status.PendingDelete ? "DELETING" : status.PendingAdd ? "ADDING" : status.PendingModify ? "CHANGING" : status.Activated ? "UP" : "DOWN";
    });
    instances_ = watch<types::NetworkInstanceStatus>("zedrouter", "zedrouter network instance", [](const auto& status) -> std::string {
        return status.NetworkInstanceStatus::Activated ? "UP" : "DOWN";
    });
}

void FullNode::watch_hypervisor() {
    hypervisor->on_create = [this](const DomainSpec& spec) {
        for (const auto& vif : spec.vifs) network.add_link({.name = vif.name, .mac = vif.mac, .mtu = 1500, .kind = "tun"});
    };
    hypervisor->on_destroy = [this](const DomainSpec& spec) {
        for (const auto& vif : spec.vifs) network.remove_link(vif.name);
    };
    hypervisor->on_start = [this](const DomainSpec& spec) {
        seen_ = 0;
        look();
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
void FullNode::look() {
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

// ---- agents

template <class Agent, class Make> void FullNode::begin(std::unique_ptr<Process<Agent>>& process, Make make) {
    process.reset();
    process = std::make_unique<Process<Agent>>(*this, prng.fork());
    process->agent = std::make_unique<Agent>(make(*process));
}

void FullNode::crash(AgentName agent) {
    switch (agent) {
        case AgentName::zedagent:
            return begin<zedagent::Agent>(zedagent_, [&](auto& p) {
                return zedagent::Agent::Deps{
                    .bus = bus, .loop = p.loop, .lanes = p.lanes, .log = log, .files = controller.files, .watch = controller.files};
            });
        case AgentName::client:
            return begin<client::Agent>(client_, [&](auto& p) { return client::Agent::Deps{.bus = bus, .lanes = p.lanes, .log = log, .identity = machine}; });
        case AgentName::vaultmgr:
            return begin<vaultmgr::Agent>(vaultmgr_, [&](auto& p) {
                return vaultmgr::Agent::Deps{.bus = bus, .loop = p.loop, .lanes = p.lanes, .log = log, .directories = machine};
            });
        case AgentName::nim:
            return begin<nim::Agent>(
                nim_, [&](auto& p) { return nim::Agent::Deps{.bus = bus, .loop = p.loop, .lanes = p.lanes, .log = log, .links = machine}; });
        case AgentName::zedmanager:
            return begin<zedmanager::Agent>(zedmanager_, [&](auto& p) { return zedmanager::Agent::Deps{.bus = bus, .loop = p.loop, .log = log}; });
        case AgentName::volumemgr:
            return begin<volumemgr::Agent>(volumemgr_, [&](auto& p) {
                return volumemgr::Agent::Deps{
                    .bus = bus, .loop = p.loop, .lanes = p.lanes, .log = log, .store = storage, .files = storage, .persist = "/persist"};
            });
        case AgentName::downloader:
            return begin<downloader::Agent>(downloader_, [&](auto& p) {
                return downloader::Agent::Deps{.bus = bus, .loop = p.loop, .lanes = p.lanes, .log = log, .transport = storage, .files = storage};
            });
        case AgentName::verifier:
            return begin<verifier::Agent>(
                verifier_, [&](auto& p) { return verifier::Agent::Deps{.bus = bus, .loop = p.loop, .lanes = p.lanes, .log = log, .files = storage}; });
        case AgentName::zedrouter:
            return begin<zedrouter::Agent>(zedrouter_, [&](auto& p) {
                return zedrouter::Agent::Deps{
                    .bus = bus, .loop = p.loop, .lanes = p.lanes, .log = log, .network = network, .run_directory = "/run/zedrouter"};
            });
        case AgentName::domainmgr:
            return begin<domainmgr::Agent>(domainmgr_, [&](auto& p) {
                return domainmgr::Agent::Deps{.bus = bus,
                                              .loop = p.loop,
                                              .lanes = p.lanes,
                                              .log = log,
                                              .runtimes = runtimes,
                                              .host = host,
                                              .random = [draws = prng.fork()](std::uint64_t limit) mutable { return draws.below(limit); }};
            });
    }
}

void FullNode::crash_all() {
    for (int n = 0; n < agents_count; ++n) crash(static_cast<AgentName>(n));
}

// ---- chaos

void FullNode::do_something() {
    const auto number = static_cast<std::uint8_t>(prng.below(kAppsMax));
    auto apps = controller.wish.apps;
    const auto found = apps.find(uuid(0xaa, number).to_string());
    switch (prng.below(12)) {
        case 0:
        case 1: return crash(static_cast<AgentName>(prng.below(agents_count)));
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
        case 4: return controller.spoil_file(prng);
        case 5:
            if (found != apps.end())
                controller.command(found->second.UUIDandVersion.UUID,
                                   prng.chance(50) ? types::AppCommand::AppCommandRestart : types::AppCommand::AppCommandPurge);
            return;
        case 6:
            if (prng.chance(30)) machine.set_port(!machine.port_is_up);
            return;
        default: break;
    }
    if (found != apps.end()) {
        found->second.UUIDandVersion.Version = std::to_string(++version_);
        change_app(prng, found->second, apps_range);
    } else {
        const auto config = some_app(number);
        apps[config.UUIDandVersion.UUID.to_string()] = config;
    }
    controller.apply(apps);
    if (prng.chance(20))
        network.fail_apply = Error{.code = Code::unavailable, .what = "simulated failure"};
    else
        network.fail_apply.reset();
}

void FullNode::begin_faults() {
    const auto draw = [&](std::uint64_t most) { return static_cast<unsigned>(prng.below(most)); };
    hypervisor->fail_percent = draw(25);
    hypervisor->lost_reply_percent = draw(15);
    storage.set_faults({.fail_percent = draw(20), .lost_reply_percent = draw(10), .wrong_percent = draw(10)});
    machine.fail_percent = draw(20);
    controller.unnoticed_percent = draw(30);
    if (prng.chance(10)) controller.files.write_fault = Error{.code = Code::resource_exhausted, .what = "no space"};
    if (prng.chance(10)) controller.files.fault = Error{.code = Code::unavailable, .what = "I/O error"};
}

void FullNode::end_faults() {
    hypervisor->fail_percent = hypervisor->lost_reply_percent = 0;
    storage.set_faults({});
    machine.fail_percent = 0;
    machine.set_port(true);
    network.fail_apply.reset();
    controller.unnoticed_percent = 0;
    controller.files.write_fault.reset();
    controller.files.fault.reset();
    controller.repair_file();
}

// ---- rest

/// zedagent's records are the file's, with what local commands have added.
void FullNode::complain_of_config(std::vector<std::string>& out) const {
    const auto* status = config_->get("global");
    if (status == nullptr || !status->Accepted) out.push_back("the config is not accepted: " + (status == nullptr ? "no answer" : status->Error));
    if (status != nullptr && (!status->UnknownFields.empty() || !status->ConfigItemErrors.empty() || !status->Problems.empty()))
        out.push_back("the config is not understood in full");
    const auto& wish = controller.wish.apps;
    for (const auto& [key, app] : apps_->items())
        if (!wish.contains(key)) out.push_back("the config of a deleted app is published: " + key);
    for (const auto& [key, wanted] : wish) {
        const auto* app = apps_->get(key);
        if (app == nullptr) {
            out.push_back("the config of an app is not published: " + key);
            continue;
        }
        auto volumes = app->VolumeRefConfigList;
        for (auto& volume : volumes) volume.LocalGenerationCounter = 0;
        if (app->Activate != wanted.Activate || app->FixedResources.VCpus != wanted.FixedResources.VCpus ||
            app->FixedResources.Memory != wanted.FixedResources.Memory || app->RestartCmd.Counter != wanted.RestartCmd.Counter ||
            app->PurgeCmd.Counter != wanted.PurgeCmd.Counter || app->AppNetAdapterList.size() != wanted.AppNetAdapterList.size() ||
            volumes != wanted.VolumeRefConfigList || !app->Errors.empty())
            out.push_back("the config of an app is another one: " + key);
    }
}

std::vector<std::string> FullNode::complaints() {
    seen_ = 0;
    look();
    std::vector<std::string> out;
    complain_of_config(out);
    complain_of_memory(statuses_->items(), world, out);
    std::set<std::string> volumes;
    for (const auto& [key, config] : apps_->items()) {
        complain_of_app(*config, statuses_->items(), world, out);
        for (const auto& reference : config->VolumeRefConfigList) volumes.insert(zedmanager::volume_key(reference));
    }
    const auto deleted = [&](const std::string& what, const auto& items) {
        for (const auto& item : items)
            if (apps_->get(item.first) == nullptr) out.push_back(what + " of a deleted app is still reported: " + item.first);
    };
    deleted("the status", statuses_->items());
    deleted("the network", networks_->items());
    deleted("the domain", domains_->items());
    for (const auto& [id, domain] : hypervisor->domains())
        if (apps_->get(id.value) == nullptr) out.push_back("a domain of a deleted app is left: " + id.value);
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
