// Every agent with its concrete effects. An effect is named here and nowhere else.

#include <sys/random.h>

#include <utility>

#include "core/client/agent.hpp"
#include "core/domainmgr/agent.hpp"
#include "core/downloader/agent.hpp"
#include "core/nim/agent.hpp"
#include "core/vaultmgr/agent.hpp"
#include "core/verifier/agent.hpp"
#include "core/volumemgr/agent.hpp"
#include "core/zedagent/agent.hpp"
#include "core/zedbox/exec_door.hpp"
#include "core/zedbox/plugin_content.hpp"
#include "core/zedbox/plugin_runtimes.hpp"
#include "core/zedbox/process.hpp"
#include "core/zedmanager/agent.hpp"
#include "core/zedrouter/agent.hpp"
#include "net/link_world.hpp"
#include "net/network_world.hpp"
#include "storage/config_file.hpp"
#include "storage/content_store.hpp"
#include "storage/device_identity.hpp"
#include "storage/domain_files.hpp"
#include "storage/durable_file.hpp"
#include "storage/fetch_transport.hpp"
#include "storage/vault_directories.hpp"
#include "storage/verify_files.hpp"
#include "storage/volume_files.hpp"

namespace eve::zedbox {
namespace {

/// Members are declared before the agent that borrows them, so that they outlive it.
struct Zedagent final : RunningAgent {
    explicit Zedagent(Process& p)
        : files(p.root), watch(p.loop, p.log, p.root), agent({.bus = p.bus, .loop = p.loop, .lanes = *p.lanes, .log = p.log, .files = files, .watch = watch}) {}
    storage::ConfigFiles files;
    storage::ConfigWatch watch;
    zedagent::Agent agent;
};

struct Client final : RunningAgent {
    explicit Client(Process& p) : agent({.bus = p.bus, .lanes = *p.lanes, .log = p.log, .identity = identity}) {}
    storage::DeviceIdentity identity;
    client::Agent agent;
};

struct Vaultmgr final : RunningAgent {
    explicit Vaultmgr(Process& p) : directories(p.root), agent({.bus = p.bus, .loop = p.loop, .lanes = *p.lanes, .log = p.log, .directories = directories}) {}
    storage::VaultDirectories directories;
    vaultmgr::Agent agent;
};

struct Nim final : RunningAgent {
    explicit Nim(Process& p) : links({.loop = p.loop, .log = p.log}), agent({.bus = p.bus, .loop = p.loop, .lanes = *p.lanes, .log = p.log, .links = links}) {}
    net::LinuxLinkWorld links;
    nim::Agent agent;
};

struct Zedmanager final : RunningAgent {
    explicit Zedmanager(Process& p) : agent({.bus = p.bus, .loop = p.loop, .log = p.log}) {}
    zedmanager::Agent agent;
};

struct Zedrouter final : RunningAgent {
    explicit Zedrouter(Process& p)
        : network({.loop = p.loop, .log = p.log, .directory = p.root.path(directory)}),
          agent({.bus = p.bus, .loop = p.loop, .lanes = *p.lanes, .log = p.log, .network = network, .run_directory = p.root.path(directory)}) {}
    static constexpr const char* directory = "/run/zedrouter";
    net::LinuxNetworkWorld network;
    zedrouter::Agent agent;
};

struct Downloader final : RunningAgent {
    explicit Downloader(Process& p)
        : transport(storage::make_fetch_transport({.program = p.options.libexec_dir + "/fetch"}, p.clock)),
          files(storage::make_pending_files(p.root.path("/persist/vault/downloader/pending"))),
          agent({.bus = p.bus, .loop = p.loop, .lanes = *p.lanes, .log = p.log, .transport = *transport, .files = *files}) {}
    std::unique_ptr<downloader::Transport> transport;
    std::unique_ptr<downloader::PendingFiles> files;
    downloader::Agent agent;
};

struct Verifier final : RunningAgent {
    explicit Verifier(Process& p)
        : files(storage::make_verify_files(p.root.path("/persist/vault/verifier"))),
          agent({.bus = p.bus, .loop = p.loop, .lanes = *p.lanes, .log = p.log, .files = *files}) {}
    std::unique_ptr<verifier::VerifyFiles> files;
    verifier::Agent agent;
};

struct Volumemgr final : RunningAgent {
    explicit Volumemgr(Process& p)
        : contents(p),
          store(storage::make_content_store(p.root.path(store_directory), keepers(p))),
          files(storage::make_volume_files({.persist = p.root.path("/persist"), .store = p.root.path(store_directory),
                                            .confine = p.options.libexec_dir + "/confine",
                                            .unpack = p.options.libexec_dir + "/unpack", .keepers = keepers(p)})),
          agent({.bus = p.bus, .loop = p.loop, .lanes = *p.lanes, .log = p.log, .store = *store, .files = *files, .persist = p.root.path("/persist")}) {}
    static constexpr const char* store_directory = "/persist/vault/store";
    storage::ContentKeepers keepers(Process& p) {
        return {.find = [this](const std::string& name) -> Content& { return contents.find(name); }, .into = p.options.content};
    }
    PluginContents contents;
    std::unique_ptr<volumemgr::ContentStore> store;
    std::unique_ptr<volumemgr::VolumeFiles> files;
    volumemgr::Agent agent;
};

/// 0..limit-1, from the kernel: only for spreading polls.
std::uint64_t random_below(std::uint64_t limit) {
    std::uint64_t value = 0;
    if (getrandom(&value, sizeof value, 0) != static_cast<ssize_t>(sizeof value)) return 0;
    return limit == 0 ? 0 : value % limit;
}

struct Domainmgr final : RunningAgent {
    explicit Domainmgr(Process& p)
        : runtimes(p),
          host(p.root),
          agent({.bus = p.bus, .loop = p.loop, .lanes = *p.lanes, .log = p.log, .runtimes = runtimes, .host = host, .random = random_below}) {
        const auto path = p.root.path(exec_socket);
        const auto directory = storage::DurableDirectory::make(path.substr(0, path.rfind('/')));
        auto opened = directory ? ExecDoor::open(path, {.loop = p.loop, .lanes = *p.lanes, .log = p.log, .clock = p.clock,
                                                        .runtimes = [this] { return runtimes.exec_runtimes(); }})
                                : Result<std::unique_ptr<ExecDoor>>(directory.error());
        if (opened) door = std::move(*opened);
        else p.log.write(Level::warn, "exec.not_offered", {{"reason", opened.error().what}});
    }
    PluginRuntimes runtimes;
    storage::DomainFiles host;
    domainmgr::Agent agent;
    std::unique_ptr<ExecDoor> door;
};

template <class Agent> std::unique_ptr<RunningAgent> start(Process& process) { return std::make_unique<Agent>(process); }

}  // namespace

const std::vector<AgentEntry>& agents() {
    static const std::vector<AgentEntry> all{
        {"zedagent", "the device config becomes everyone's configuration", start<Zedagent>},
        {"client", "the device's identity", start<Client>},
        {"vaultmgr", "the place for data at rest", start<Vaultmgr>},
        {"nim", "the node's own network ports", start<Nim>},
        {"domainmgr", "runs domains on hypervisor plugins", start<Domainmgr>},
        {"zedmanager", "brings each app to what its config says", start<Zedmanager>},
        {"zedrouter", "networks of apps: bridges, addresses, rules", start<Zedrouter>},
        {"downloader", "fetches content from datastores", start<Downloader>},
        {"verifier", "checks what was fetched", start<Verifier>},
        {"volumemgr", "content trees and volumes", start<Volumemgr>},
    };
    return all;
}

const AgentEntry* find_agent(const std::string& name) {
    for (const auto& agent : agents())
        if (name == agent.name) return &agent;
    return nullptr;
}

}  // namespace eve::zedbox
