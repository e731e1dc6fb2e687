// xen_life PLUGIN.so NAME [OPTIONS]: one or more lives of a domain through a hypervisor plugin in its plugin-host, told line by line, for
// scenarios of the lab. Also measures create and destroy against xl's.

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include <spawn.h>
#include <sys/wait.h>

#include "core/plugin/device_clients.hpp"
#include "core/plugin/frame.hpp"
#include "core/plugin/registry.hpp"
#include "eve/testing/call_context.hpp"
#include "tests/conformance/plugin_fixture.hpp"

namespace eve::plugin {
namespace {

using namespace std::chrono_literals;

struct Options {
    DomainSpec spec;
    std::string config = "{}";
    std::string against;  // xl.cfg
    bool ask = false;
    bool ask_once = false;
    std::string assigner;  // plugin that lends the PCI device to the domain
    std::string then;      // program that is run while the domain runs
    std::string until_console;  // a word that ends the life when the guest prints it
    int lives = 1;
    int rounds = 0;
};

std::string_view name_of(DomainState state) {
    switch (state) {
        case DomainState::unknown: return "unknown";
        case DomainState::defined: return "defined";
        case DomainState::starting: return "starting";
        case DomainState::running: return "running";
        case DomainState::paused: return "paused";
        case DomainState::halting: return "halting";
        case DomainState::halted: return "halted";
        case DomainState::broken: return "broken";
    }
    return "?";
}

class Life {
public:
    Life(OpenPlugin& plugin, const Options& options) : plugin_(*plugin.client), options_(options) {}

    int run() {
        if (!told("created", plugin_.create(call_, options_.spec))) return end(1);
        if (!told("started", plugin_.start(call_, options_.spec.id))) return end(1);
        const auto until_ns = monotonic_after(std::chrono::nanoseconds(options_.ask || options_.ask_once ? 10s : 25s).count());
        ::poll(nullptr, 0, 500);
        if (!options_.then.empty()) return end(run_program({options_.then.c_str()}) ? 0 : 1);
        if (!options_.until_console.empty()) return end(read_console());
        if (options_.ask || options_.ask_once) told("asked", plugin_.stop(call_, options_.spec.id, StopMode::ask));
        if (options_.ask_once) return end(0);
        DomainState last = DomainState::unknown;
        while (monotonic_ns() < until_ns) {
            const auto info = plugin_.inspect(call_, options_.spec.id);
            if (!info || info->state != last) told("seen", info);
            if (!info) return end(1);
            last = info->state;
            const bool ends = options_.spec.extra_args.find("crash") != std::string::npos || options_.spec.extra_args.find("off") != std::string::npos ||
                              options_.spec.extra_args.find("reboot") != std::string::npos || options_.ask;
            if (last == DomainState::halted || last == DomainState::broken || (!ends && last == DomainState::running)) break;
            ::poll(nullptr, 0, 50);
        }
        return end(0);
    }

    double milliseconds(const std::function<bool()>& step) {
        const auto before = monotonic_ns();
        if (!step()) std::exit(1);
        return static_cast<double>(monotonic_ns() - before) / 1e6;
    }

    static bool run_program(const std::vector<const char*>& arguments) {
        std::vector<char*> argv;
        for (const auto* argument : arguments) argv.push_back(const_cast<char*>(argument));
        argv.push_back(nullptr);
        pid_t child = 0;
        int status = 1;
        return ::posix_spawnp(&child, argv[0], nullptr, nullptr, argv.data(), environ) == 0 && ::waitpid(child, &status, 0) == child && status == 0;
    }

    void measure() {
        for (int round = 0; round < options_.rounds; ++round) {
            const auto create = milliseconds([&] { return plugin_.create(call_, options_.spec).ok() && plugin_.start(call_, options_.spec.id).ok(); });
            const auto destroy = milliseconds([&] { return plugin_.destroy(call_, options_.spec.id, DestroyMode::purge).ok(); });
            const auto xl_create = milliseconds([&] { return run_program({"xl", "create", "-q", "-e", options_.against.c_str()}); });
            const auto xl_destroy = milliseconds([&] { return run_program({"xl", "destroy", "xl"}); });
            std::printf("create and start: ours %.0f, xl %.0f; destroy: ours %.0f, xl %.0f\n", create, xl_create, destroy, xl_destroy);
        }
    }

private:
    bool told(const char* what, const Result<DomainInfo>& info) {
        if (info) std::printf("%s: %s: %s\n", what, std::string(name_of(info->state)).c_str(), info->reason.c_str());
        else std::printf("%s: %s: %s\n", what, std::string(to_string(info.error().code)).c_str(), info.error().what.c_str());
        std::fflush(stdout);
        return info.ok();
    }
    int read_console() {
        const auto until_ns = monotonic_after(std::chrono::nanoseconds(120s).count());
        const auto info = plugin_.inspect(call_, options_.spec.id);
        std::string text;
        while (info && monotonic_ns() < until_ns && text.find(options_.until_console) == std::string::npos) {
            ::poll(nullptr, 0, 100);
            std::ifstream log(info->console_log_path);
            text.assign(std::istreambuf_iterator<char>(log), {});
        }
        std::printf("%s\n", text.c_str());
        return text.find(options_.until_console) == std::string::npos ? 1 : 0;
    }
    int end(int code) {
        if (auto gone = plugin_.destroy(call_, options_.spec.id, DestroyMode::purge); !gone) told("destroyed", gone);
        return code;
    }

    Hypervisor& plugin_;
    const Options& options_;
    ::eve::testing::FakeCall call_;
};

/// The device is reserved as long as this lives.
class Lent {
public:
    Lent(const ScratchDir& directory, const Options& options) {
        if (!options.assigner.empty()) reserve(directory, options);
    }
    ~Lent() {
        if (addresses_.empty()) return;
        const auto released = pci_->release(TimedCall(30s), addresses_);
        if (!released) fail(released.error());
        else for (const auto& device : *released) std::printf("released: %s: bound to %s\n", device.address.c_str(), device.driver.c_str());
    }
    Lent(const Lent&) = delete;
    Lent& operator=(const Lent&) = delete;
    bool failed = false;

private:
    void reserve(const ScratchDir& directory, const Options& options) {
        auto opened = NodeHost::open({.plugin = "assigner",
                                      .node = "test",
                                      .version = "0",
                                      .state_dir = directory.path("pci-state"),
                                      .run_dir = directory.path("pci-run"),
                                      .config = "",
                                      .keeper = {.executable = find_helper("keeper"), .cgroup_parent = {}}},
                                     {.log = log_, .on_event = [](DomainEvent) {}});
        if (!opened) return fail(opened.error());
        host_ = std::move(*opened);
        auto made = open_isolated({.file = options.assigner, .host = *host_}, {.executable = find_helper("plugin-host")});
        if (!made) return fail(made.error());
        plugin_ = std::move(*made);
        auto connected = PciClient::connect(*plugin_, TimedCall(30s));
        if (!connected) return fail(connected.error());
        pci_ = std::move(*connected);
        PciSet wanted;
        for (const auto& adapter : options.spec.adapters) wanted.devices.push_back({.address = adapter.address});
        const auto reserved = pci_->reserve(TimedCall(30s), wanted);
        if (!reserved) return fail(reserved.error());
        for (const auto& device : *reserved) {
            addresses_.push_back(device.address);
            std::printf("reserved: %s: bound to %s\n", device.address.c_str(), device.driver.c_str());
        }
        std::fflush(stdout);
    }

    void fail(const Error& error) {
        std::printf("not lent: %s: %s\n", std::string(to_string(error.code)).c_str(), error.what.c_str());
        failed = true;
    }
    QuietLog log_;
    std::unique_ptr<NodeHost> host_;
    std::unique_ptr<Plugin> plugin_;
    std::unique_ptr<PciClient> pci_;
    std::vector<std::string> addresses_;
};

int run(int argc, char** argv) {
    if (argc < 3) return 2;
    Options options;
    options.spec = {.id = {"6e3f1c9a-0000-4000-8000-00000000beef"}, .revision = 1, .name = argv[2], .mode = VirtualizationMode::pv, .memory = 16_MiB, .vcpus = 1};
    for (int i = 3; i < argc; ++i) {
        const std::string_view option = argv[i];
        const auto value = [&]() -> std::string { return i + 1 < argc ? argv[++i] : ""; };
        if (option == "--kernel") options.spec.kernel = value();
        else if (option == "--args") options.spec.extra_args = value();
        else if (option == "--mode-hvm") options.spec.mode = VirtualizationMode::hvm;
        else if (option == "--memory") options.spec.memory = Bytes{std::strtoull(value().c_str(), nullptr, 10) << 20};
        else if (option == "--bridge") options.spec.vifs = {{.name = "nbu1x1", .bridge = value(), .mac = "02:16:3e:00:00:01"}};
        else if (option == "--pci") options.spec.adapters = {{.kind = AdapterKind::pci, .name = "device", .address = value()}};
        else if (option == "--vcpus") options.spec.vcpus = static_cast<std::uint32_t>(std::atoi(value().c_str()));
        else if (option == "--cpu") options.spec.cpus.push_back(static_cast<std::uint32_t>(std::atoi(value().c_str())));
        else if (option == "--pinned") options.spec.cpus_pinned = true;
        else if (option == "--assigner") options.assigner = value();
        else if (option == "--then") options.then = value();
        else if (option == "--config") options.config = value();
        else if (option == "--against") options.against = value();
        else if (option == "--rounds") options.rounds = std::atoi(value().c_str());
        else if (option == "--lives") options.lives = std::atoi(value().c_str());
        else if (option == "--ramdisk") options.spec.ramdisk = value();
        else if (option == "--until-console") options.until_console = value();
        else if (option == "--ask") options.ask = true;
        else if (option == "--ask-once") options.ask_once = true;
        else return 2;
    }
    const ScratchDir directory;
    OpenPlugin plugin(directory, argv[1], options.config, Isolation::process, {}, find_helper("keeper"), find_helper("plugin-host"));
    if (plugin.error) {
        std::printf("not opened: %s\n", plugin.error->what.c_str());
        return 1;
    }
    if (std::string_view(argv[2]) == "probe") {
        ::eve::testing::FakeCall call;
        const auto report = plugin.client->probe(call);
        if (!report) std::printf("probe failed: %s\n", report.error().what.c_str());
        else std::printf("%s: %s\n", report->verdict == ProbeVerdict::supported ? "supported" : report->verdict == ProbeVerdict::declined ? "declined" : "broken", report->reason.c_str());
        return 0;
    }
    const Lent lent(directory, options);
    if (lent.failed) return 1;
    Life life(plugin, options);
    if (options.rounds > 0) {
        life.measure();
        return 0;
    }
    int code = 0;
    for (int i = 0; i < options.lives && code == 0; ++i) code = life.run();
    return code;
}

}  // namespace
}  // namespace eve::plugin

int main(int argc, char** argv) { return eve::plugin::run(argc, argv); }
