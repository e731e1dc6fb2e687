#include "core/zedbox/run.hpp"

#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <utility>

#include "core/bus/reverse_channel.hpp"
#include "core/types/node.hpp"
#include "core/zedbox/presence.hpp"
#include "core/zedbox/process.hpp"
#include "core/zedbox/supervisor.hpp"

namespace eve::zedbox {
namespace {

/// Signals as events of the loop.
class Signals {
public:
    Signals(IoLoop& loop, std::function<void(int)> heard) : loop_(loop), heard_(std::move(heard)) {
        sigset_t set;
        sigemptyset(&set);
        for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, signal);
        pthread_sigmask(SIG_BLOCK, &set, nullptr);
        fd_ = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        watch_ = loop_.watch(fd_, Ready::readable, [this] {
            signalfd_siginfo info{};
            while (read(fd_, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) heard_(static_cast<int>(info.ssi_signo));
        });
    }
    ~Signals() {
        loop_.unwatch(watch_);
        close(fd_);
    }
    Signals(const Signals&) = delete;
    Signals& operator=(const Signals&) = delete;

private:
    IoLoop& loop_;
    std::function<void(int)> heard_;
    int fd_ = -1;
    WatchId watch_{};
};

/// Tells the service manager that the loop still turns, as often as it asked to hear it.
class ServiceManager {
public:
    explicit ServiceManager(Loop& loop) : loop_(loop) {
        std::uint64_t limit_us = 0;
        if (sd_watchdog_enabled(0, &limit_us) > 0) tick(std::chrono::microseconds{limit_us} / 3);
    }
    static void ready() { sd_notify(0, "READY=1"); }
    static void stopping() { sd_notify(0, "STOPPING=1"); }

private:
    void tick(std::chrono::nanoseconds interval) {
        sd_notify(0, "WATCHDOG=1");
        loop_.after(interval, [this, interval] { tick(interval); });
    }
    Loop& loop_;
};

/// The agents that run in this process.
class Node {
public:
    explicit Node(const Options& options, Heartbeat heartbeat = Heartbeat())
        : process_(options), signals_(process_.loop, [this](int signal) { on_signal(signal); }), manager_(process_.loop), heartbeat_(heartbeat) {
        if (heartbeat_.heard()) beat();
    }
    ~Node() {
        // First what runs in lanes, then whose effects it uses. Records and guests stay: the next life adopts them.
        process_.lanes.reset();
        running_.clear();
        process_.bus.flush();
    }
    Node(const Node&) = delete;
    Node& operator=(const Node&) = delete;

    /// This process is `name` of the node's. Says why it is not.
    bool claim(const std::string& name) {
        auto presence = AgentPresence::claim(process_.loop, process_.root, name);
        if (!presence) {
            process_.log.write(Level::error, "zedbox.not_started", {{"agent", name}, {"error", presence.error().what}});
            return false;
        }
        presences_.emplace(name, std::move(*presence));
        return true;
    }

    bool start(const AgentEntry& agent) {
        if (running_.contains(agent.name)) return true;
        if (!claim(agent.name)) return false;
        running_.emplace(agent.name, agent.start(process_));
        process_.log.write(Level::info, "zedbox.agent_started", {{"agent", agent.name}});
        return true;
    }

    int run() {
        ServiceManager::ready();
        process_.loop.run();
        ServiceManager::stopping();
        for (auto& [name, presence] : presences_) presence->finish(0);
        return 0;
    }

    Process& process() { return process_; }

private:
    void beat() {
        heartbeat_.beat();
        process_.loop.after(SupervisorLimits{}.beat, [this] { beat(); });
    }
    void on_signal(int signal) {
        process_.log.write(Level::info, "zedbox.stopping", {{"signal", signal}});
        process_.loop.stop();
    }

    Process process_;
    Signals signals_;
    ServiceManager manager_;
    Heartbeat heartbeat_;
    std::map<std::string, std::unique_ptr<AgentPresence>> presences_;
    std::map<std::string, std::unique_ptr<RunningAgent>> running_;
};

constexpr const char* daemon_name = "zedbox";
constexpr const char* request_socket = "/run/zedbox/ServiceInitStatus.sock";

}  // namespace

int run_node(const Options& options) {
    const auto work = [&options](Heartbeat heartbeat) {
        Node node(options, heartbeat);
        if (!node.claim(daemon_name)) return 1;
        for (const auto& agent : agents())
            if (!node.start(agent)) return 1;
        return node.run();
    };
    if (!options.supervise || watched_by_others(Root(options.root))) return work(Heartbeat());
    const SystemClock clock;
    return supervise(clock, work);
}

int run_agents(const Options& options, const std::vector<std::string>& names) {
    Node node(options);
    for (const auto& name : names)
        if (!node.start(*find_agent(name))) return 1;
    return node.run();
}

int run_on_request(const Options& options) {
    Node node(options);
    if (!node.claim(daemon_name)) return 1;
    auto channel = bus::ReverseChannel::listen(node.process().loop, node.process().log, node.process().root.path(request_socket),
                                               [&node](std::string_view json) {
                                                   const auto request = from_json<types::ServiceInitStatus>(json);
                                                   const AgentEntry* agent = request ? find_agent(request->ServiceName) : nullptr;
                                                   if (agent != nullptr) node.start(*agent);
                                                   else node.process().log.write(Level::warn, "zedbox.unknown_agent", {{"agent", request ? request->ServiceName : ""}});
                                               });
    if (!channel) {
        std::fprintf(stderr, "zedbox: %s\n", channel.error().what.c_str());
        return 1;
    }
    return node.run();
}

int run_applet(const Options& options, const std::string& name, const std::vector<std::string>& arguments) {
    types::ServiceInitStatus request;
    request.ServiceName = name;
    request.CmdArgs = arguments;
    const auto told = bus::send_reverse(Root(options.root).path(request_socket), to_json(request));
    return told ? 0 : run_agents(options, {name});
}

}  // namespace eve::zedbox
