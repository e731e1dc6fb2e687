#pragma once
// Which plugins there are, which of them this node uses and why not the others.

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "core/log/log.hpp"
#include "core/plugin/device_clients.hpp"
#include "core/plugin/hypervisor_client.hpp"
#include "core/plugin/loader.hpp"
#include "core/plugin/node_host.hpp"
#include "core/plugin/plugin.hpp"
#include "eve/hypervisor.hpp"

namespace eve::plugin {

/// What the operator says of one plugin.
struct PluginSettings {
    std::optional<Isolation> isolation;
    std::string config;  ///< one JSON object for the plugin, or empty
};

struct RegistryOptions {
    std::vector<std::string> directories;             ///< searched in order for NAME.so; the first file of a name counts
    bool own_user_allowed = false;                    ///< the directories were named by the operator: the node's own user's files count
    std::vector<std::string> signature_keys;          ///< Ed25519 public keys (PEM files); not empty: every plugin must be signed by one
    std::vector<std::string> order;                   ///< the operator's choice, best first; empty: see `hypervisor_type_file`
    std::vector<std::string> services = {"pci"};      ///< considered beside the order: they run no domains
    std::string service_prefix = "board-";            ///< and so is every file whose name begins so
    std::string hypervisor_type_file = "/run/eve-hv-type";  ///< names one ("kvm"); missing or empty: the built-in order
    std::map<std::string, PluginSettings> plugins;    ///< by name
    Isolation isolation = Isolation::process;         ///< where nothing else is said
    std::string state_dir = "/persist/plugins";       ///< a directory for each plugin below
    std::string run_dir = "/run/plugins";
    std::string sysfs = "/sys";
    std::string node;
    std::string version;
    std::uint32_t guest_uid = 0;
    std::uint32_t guest_gid = 0;
    std::string plugin_host;                          ///< executables
    KeeperOptions keeper;
};

/// One file and what became of it.
enum class PluginState {
    used,         ///< opened: it runs domains, assigns devices, or looks after the board
    spare,        ///< would work; what it offers is served by others
    declined,     ///< this machine is not for it
    broken,       ///< it should work here and doesn't
    refused,      ///< not a plugin for this node; nothing of it was trusted
    quarantined,  ///< crashed or hung when it was looked into
    not_asked,    ///< not named in the order
};
std::string_view to_string(PluginState state);

struct PluginStatus {
    std::string name;  ///< of the file, without ".so"
    std::string file;
    PluginState state = PluginState::not_asked;
    std::string reason;
    std::string hint;
    std::vector<std::string> notes;
    Identity identity;
    std::vector<VirtualizationMode> modes;
    Isolation isolation = Isolation::process;
    std::int64_t host_pid = 0;      ///< of the process its code runs in
    std::uint32_t generation = 0;   ///< how often it was opened
    std::string trouble;            ///< why it cannot be called right now, or empty
};

/// The plugins of a node. Made and opened once, before the agents; afterwards asked, and those that could not work are looked into again.
class Registry {
public:
    struct Deps {
        Log& log;
        /// An event of a plugin's domain. Foreign thread: only posts.
        std::function<void(const std::string& plugin, DomainEvent)> on_event;
        /// A plugin's host died (with why) or is back (empty): list() is due then. Foreign thread: only posts.
        std::function<void(const std::string& plugin, const std::string& trouble)> on_change;
    };
    Registry(RegistryOptions options, Deps deps);
    ~Registry();

    /// Looks into every file that the order names and opens those that are to be used. Blocks, for as long as plugins probe. Once.
    void open();
    /// Looks again into those that could not be used, since what they need may have come: a containerd that starts after the node, a module that
    /// was loaded, another file, memory. One in quarantine stays there for its time. True: one of them is used now. Nothing changes for those in
    /// use. Blocks like open(). [one thread at a time, after open()]
    bool open_again();

    /// The runtime for apps of that mode, or null: then status() says why. Lives as long as the registry. [any-thread, after open()]
    Hypervisor* for_mode(VirtualizationMode mode) const;
    /// Every runtime in use, with its name, best first: each is asked for its domains at start. [any-thread, after open()]
    struct Used {
        std::string name;
        Hypervisor* hypervisor;
        const Description* description;
        ProbeReport probe;
        Usb* usb;    ///< null: it does not offer usb/1
        Exec* exec;  ///< null: it does not offer exec/1
        Cpus* cpus;  ///< null: it does not offer cpus/1
        Content* content;  ///< null: it does not offer content/1
    };
    std::vector<Used> used() const;
    /// Who assigns PCI devices here, or null: then status() says why. [any-thread, after open()]
    PciClient* pci() const;
    /// Those that know this board. [any-thread, after open()]
    std::vector<BoardClient*> boards() const;
    /// Every file that was found, in order. [any-thread, after open()]
    std::vector<PluginStatus> status() const;

private:
    struct Entry;
    std::vector<std::string> wanted() const;
    void consider(Entry& entry);
    Status use(Entry& entry);
    void tell(const PluginStatus& status) const;

    RegistryOptions options_;
    Deps deps_;
    mutable std::mutex mutex_;  ///< guards entries_: open_again() puts another in the place of one that nobody was given
    std::vector<std::unique_ptr<Entry>> entries_;
};

/// The list as `evectl plugins --json` shows it: one JSON array.
std::string to_json(const std::vector<PluginStatus>& plugins);

/// Where the executable `name` ("plugin-host", "keeper") of this installation is: beside our own executable, else in its libexec.
std::string find_helper(const std::string& name);

}  // namespace eve::plugin
