// The containerd plugin against a containerd in memory: what it asks for and in what order, what it makes of every answer.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "containerd/container_hypervisor.hpp"
#include "eve/testing/call_context.hpp"
#include "tests/doubles/temp_dir.hpp"

namespace eve::containerd {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
namespace fs = std::filesystem;

/// What a containerd holds; it outlives the plugin's connections.
struct World {
    std::map<std::string, Container> containers;
    std::map<std::string, Task> tasks;
    std::vector<std::string> calls;
    bool down = false;
    std::string refuses_task;
    std::uint32_t dies_of = SIGKILL;  ///< the signal that a process does not survive
    std::function<void(const Event&)> sink;
    std::map<std::string, std::vector<Vif>> networks;
    std::string refuses_network;
    std::size_t without_address = 0;
    unsigned long_deletes = 0;  ///< of tasks that were neither started nor killed: containerd waits two seconds for their output to end
};

class FakeContainerd final : public ContainerdApi {
public:
    explicit FakeContainerd(World& world) : world_(world) {}
    Result<std::string> version(const Limit&) override {
        if (world_.down) return gone();
        return std::string("1.6");
    }
    Status make_namespace(const Limit&) override { return world_.down ? Status(gone()) : Status{}; }
    Status create_container(const Container& container, const Runtime&, const Limit&) override {
        if (world_.down) return gone();
        world_.calls.push_back("create");
        if (!world_.containers.try_emplace(container.id, container).second) return Error{.code = Code::already_exists, .what = "there"};
        return {};
    }
    Result<Container> container(const std::string& id, const Limit&) override {
        if (world_.down) return gone();
        const auto found = world_.containers.find(id);
        if (found == world_.containers.end()) return Error{.code = Code::not_found, .what = "no container"};
        return found->second;
    }
    Result<std::vector<Container>> containers(const std::string& label, const Limit&) override {
        if (world_.down) return gone();
        std::vector<Container> all;
        for (const auto& [id, container] : world_.containers)
            if (container.labels.contains(label)) all.push_back(container);
        return all;
    }
    Status delete_container(const std::string& id, const Limit&) override {
        if (world_.down) return gone();
        world_.calls.push_back("delete");
        if (world_.tasks.contains(id)) return Error{.code = Code::failed_precondition, .what = "has a task"};
        return world_.containers.erase(id) == 1 ? Status{} : Status(Error{.code = Code::not_found, .what = "none"});
    }
    Result<Task> create_task(const std::string& id, const Output& output, const Runtime&, const Limit&) override {
        if (world_.down) return gone();
        world_.calls.push_back("task " + fs::path(output.log).filename().string());
        if (!world_.refuses_task.empty()) return Error{.code = Code::failed_precondition, .what = world_.refuses_task};
        return world_.tasks[id] = Task{.container = id, .state = TaskState::created, .pid = 42};
    }
    Status start_task(const std::string& id, const Limit&) override {
        if (world_.down) return gone();
        world_.calls.push_back("start");
        world_.tasks.at(id).state = TaskState::running;
        return {};
    }
    Status kill_task(const std::string& id, std::uint32_t signal, bool all, const Limit&) override {
        if (world_.down) return gone();
        world_.calls.push_back("kill " + std::to_string(signal) + (all ? " all" : ""));
        if (signal == world_.dies_of || signal == SIGKILL) end(id, 128 + signal);
        return {};
    }
    Result<Task> task(const std::string& id, const Limit&) override {
        if (world_.down) return gone();
        const auto found = world_.tasks.find(id);
        if (found == world_.tasks.end()) return Error{.code = Code::not_found, .what = "no task"};
        return found->second;
    }
    Result<std::vector<Task>> tasks(const Limit&) override {
        if (world_.down) return gone();
        std::vector<Task> all;
        for (const auto& [id, task] : world_.tasks) all.push_back(task);
        return all;
    }
    Status delete_task(const std::string& id, const Limit&) override {
        if (world_.down) return gone();
        world_.calls.push_back("delete task");
        if (const auto found = world_.tasks.find(id); found != world_.tasks.end() && found->second.state == TaskState::created) ++world_.long_deletes;
        return world_.tasks.erase(id) == 1 ? Status{} : Status(Error{.code = Code::not_found, .what = "none"});
    }
    Status create_process(const ExtraProcess&, const ExtraProcessPlan&, const Limit&) override { return gone(); }
    Result<std::uint32_t> start_process(const ExtraProcess&, const Limit&) override { return gone(); }
    Result<std::uint32_t> wait_for_process(const ExtraProcess&, const Limit&) override { return gone(); }
    Status close_input(const ExtraProcess&, const Limit&) override { return gone(); }
    Status resize_terminal(const ExtraProcess&, std::uint32_t, std::uint32_t, const Limit&) override { return gone(); }
    Status kill_process(const ExtraProcess& process, std::uint32_t, const Limit&) override {
        world_.calls.push_back("kill " + process.id);
        return {};
    }
    Status delete_process(const ExtraProcess& process, const Limit&) override {
        world_.calls.push_back("delete " + process.id);
        return {};
    }
    void subscribe(std::function<void(const Event&)> sink) override { world_.sink = std::move(sink); }
    void unsubscribe() override { world_.sink = nullptr; }

private:
    void end(const std::string& id, std::uint32_t status) {
        world_.tasks.at(id).state = TaskState::stopped;
        world_.tasks.at(id).exit_status = status;
    }
    static Error gone() { return {.code = Code::unavailable, .what = "connection refused"}; }
    World& world_;
};

/// Content is content_test.cpp's.
class NoContent final : public ContentApi {
public:
    Status make_namespace(const Limit&) override { return none(); }
    Result<Blob> blob(const std::string&, const Limit&) override { return none(); }
    Result<std::vector<Blob>> blobs(const Limit&) override { return none(); }
    Result<BlobProgress> write_blob(const BlobPlan&, const std::function<Result<std::string>(std::uint64_t)>&, const Limit&) override { return none(); }
    Status read_blob(const std::string&, std::uint64_t, std::uint64_t, const std::function<Status(std::string_view)>&, const Limit&) override {
        return none();
    }
    Status label_blob(const std::string&, const std::string&, const std::string&, const Limit&) override { return none(); }
    Status delete_blob(const std::string&, const Limit&) override { return none(); }
    Status abort_attempt(const std::string&, const Limit&) override { return none(); }
    Status collect_garbage(const Limit&) override { return none(); }

private:
    static Error none() { return {.code = Code::unavailable, .what = "no content here"}; }
};

class FakeNetwork final : public ContainerNetwork {
public:
    explicit FakeNetwork(World& world) : world_(world) {}
    Status attach(const DomainId& id, int, std::uint32_t, const std::vector<Vif>& vifs) override {
        if (!world_.refuses_network.empty()) return Error{.code = Code::failed_precondition, .what = world_.refuses_network};
        world_.networks[id.value] = vifs;
        return {};
    }
    Status detach(const DomainId& id, const std::vector<Vif>&) override {
        world_.networks.erase(id.value);
        return {};
    }
    void let_go(const DomainId& id) override { world_.networks.erase(id.value); }
    std::size_t wait_for_addresses(const DomainId&, const Limit&) override { return world_.without_address; }

private:
    World& world_;
};

class FakeHost final : public HostServices {
public:
    explicit FakeHost(const std::string& dir) {
        for (const auto* name : {"state", "run"}) fs::create_directories(dir + "/" + name);
        config_.state_dir.fd = ::open((dir + "/state").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        config_.run_dir.fd = ::open((dir + "/run").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    ~FakeHost() override {
        ::close(config_.state_dir.fd);
        ::close(config_.run_dir.fd);
    }
    const PluginConfig& config() const override { return config_; }
    void log(LogLevel, std::string_view, std::vector<LogField>) override {}
    void emit(DomainEvent event) override { events.push_back(std::move(event)); }
    Result<SpawnedProcess> spawn(const GuestProcess&) override { return Error{.code = Code::unsupported, .what = "no"}; }
    Result<HostDescription> describe() override { return HostDescription{}; }
    std::vector<DomainEvent> events;

private:
    PluginConfig config_;
};

constexpr const char* app_id = "6ba7b810-9dad-11d1-80b4-00c04fd430c8";

class ContainerPlugin : public ::testing::Test {
protected:
    ContainerPlugin() : base_(dir_.path()), host_(base_) {
        fs::create_directories(base_ + "/root/rootfs/etc");
        std::ofstream(base_ + "/root/image-config.json") << R"({"config":{"Entrypoint":["/app"],"StopSignal":"SIGINT"}})";
        spec_ = {.id = {app_id},
                 .revision = 1,
                 .name = "app.1.1",
                 .labels = {{"k", "v"}},
                 .mode = VirtualizationMode::container,
                 .memory = 64_MiB,
                 .vcpus = 1,
                 .disks = {{.id = "r#0", .path = base_ + "/root", .format = DiskFormat::container}},
                 .vifs = {{.name = "nbu1x1", .bridge = "bn1", .mac = "02:16:3e:00:00:01"}}};
        open();
    }
    void open() {
        plugin_.reset();
        Settings settings;
        settings.socket = base_ + "/socket";
        settings.cgroup_root = base_ + "/cgroup";
        auto opened = ContainerHypervisor::open(
            host_, settings, {.containerd = std::make_unique<FakeContainerd>(world_), .content = std::make_unique<NoContent>(), .network = std::make_unique<FakeNetwork>(world_)});
        ASSERT_TRUE(opened) << opened.error().what;
        plugin_ = std::move(*opened);
    }
    DomainInfo must(Result<DomainInfo> info) {
        EXPECT_TRUE(info) << info.error().what;
        return info ? *info : DomainInfo{};
    }
    DomainInfo run() {
        must(plugin_->create(call_, spec_));
        return must(plugin_->start(call_, spec_.id));
    }
    DomainInfo look() { return must(plugin_->inspect(call_, spec_.id)); }
    bool left() { return !fs::is_empty(base_ + "/run/domains") || !world_.containers.empty() || !world_.tasks.empty() || !world_.networks.empty(); }

    TempDir dir_;
    std::string base_;
    World world_;
    FakeHost host_;
    DomainSpec spec_;
    ::eve::testing::FakeCall call_;
    std::unique_ptr<ContainerHypervisor> plugin_;
};

TEST_F(ContainerPlugin, ALifeFromCreateToDestroyLeavesNothing) {
    EXPECT_EQ(must(plugin_->create(call_, spec_)).state, DomainState::defined);
    EXPECT_THAT(world_.networks.at(app_id), ElementsAre(spec_.vifs[0]));
    const auto running = must(plugin_->start(call_, spec_.id));
    EXPECT_EQ(running.state, DomainState::running);
    EXPECT_EQ(running.pid, 42);
    EXPECT_EQ(running.labels, spec_.labels);
    EXPECT_THAT(running.notes, IsEmpty());
    must(plugin_->stop(call_, spec_.id, StopMode::ask));
    EXPECT_EQ(look().state, DomainState::running) << "it does not listen";
    EXPECT_EQ(must(plugin_->stop(call_, spec_.id, StopMode::cut)).state, DomainState::halted);
    EXPECT_EQ(must(plugin_->destroy(call_, spec_.id, DestroyMode::keep_state)).presence, Presence::absent);
    EXPECT_THAT(world_.calls, ElementsAre("create", "task console.log", "start", "kill 2 all", "kill 9 all", "delete task", "delete"));
    EXPECT_FALSE(left());
}

TEST_F(ContainerPlugin, WhatFailsHalfwayLeavesNothing) {
    world_.refuses_task = "runc says no";
    EXPECT_THAT(plugin_->create(call_, spec_).error().what, HasSubstr("runc says no"));
    EXPECT_FALSE(left());
    world_.refuses_task.clear();
    world_.refuses_network = "there is no bridge bn1";
    EXPECT_EQ(plugin_->create(call_, spec_).error().code, Code::failed_precondition);
    EXPECT_FALSE(left());
    world_.refuses_network.clear();
    fs::remove(base_ + "/root/image-config.json");
    const auto refused = plugin_->create(call_, spec_);
    EXPECT_EQ(refused.error().code, Code::failed_precondition);
    EXPECT_EQ(refused.error().field, ".disks[0].path");
    EXPECT_FALSE(left());
}

TEST_F(ContainerPlugin, ARestartFindsEveryContainerAndItsNetwork) {
    run();
    world_.networks.clear();
    open();
    EXPECT_TRUE(world_.networks.contains(app_id));
    const auto listed = plugin_->list(call_);
    ASSERT_TRUE(listed);
    ASSERT_EQ(listed->size(), 1U);
    EXPECT_EQ(listed->front().state, DomainState::running);
    EXPECT_EQ(listed->front().revision, 1U);
    EXPECT_EQ(must(plugin_->create(call_, spec_)).state, DomainState::running) << "the same revision is what runs";
}

TEST_F(ContainerPlugin, AfterARebootTheRecordThatContainerdKeepsTellsWhatItWas) {
    run();
    plugin_.reset();
    world_.tasks.clear();
    fs::remove_all(base_ + "/run/domains");
    open();
    const auto listed = plugin_->list(call_);
    ASSERT_TRUE(listed);
    ASSERT_EQ(listed->size(), 1U);
    EXPECT_EQ(listed->front().state, DomainState::broken);
    EXPECT_EQ(listed->front().labels, spec_.labels);
    EXPECT_EQ(run().state, DomainState::running) << "what is dead is cleared away";
}

TEST_F(ContainerPlugin, ASilentContainerdIsUnknownNeverAbsent) {
    EXPECT_EQ(look().presence, Presence::absent);
    run();
    world_.down = true;
    EXPECT_EQ(look().presence, Presence::present);
    EXPECT_EQ(look().state, DomainState::unknown);
    EXPECT_EQ(plugin_->inspect(call_, {"other"}).error().code, Code::unavailable) << "nobody can tell";
    EXPECT_EQ(plugin_->destroy(call_, spec_.id, DestroyMode::purge).error().code, Code::unavailable);
    EXPECT_EQ(plugin_->start(call_, spec_.id).error().code, Code::unavailable);
    EXPECT_EQ(plugin_->list(call_)->size(), 1U);
    world_.down = false;
    EXPECT_EQ(look().state, DomainState::running);
}

TEST_F(ContainerPlugin, ContainersOfAnotherNodeAreNotOurs) {
    world_.containers["other"] = {.id = "other", .labels = {{"org.lfedge.eve.owner", "/elsewhere"}}, .spec = {}, .record = {}};
    EXPECT_THAT(*plugin_->list(call_), IsEmpty());
    EXPECT_EQ(must(plugin_->inspect(call_, {"other"})).presence, Presence::absent);
    must(plugin_->destroy(call_, {"other"}, DestroyMode::purge));
    EXPECT_TRUE(world_.containers.contains("other"));
}

TEST_F(ContainerPlugin, AnEndIsToldWithItsStateAndTheNetworkLetGo) {
    run();
    world_.tasks[app_id].state = TaskState::stopped;
    world_.tasks[app_id].exit_status = 7;
    world_.sink({.kind = EventKind::exited, .container = app_id});
    ASSERT_EQ(host_.events.size(), 1U);
    EXPECT_EQ(host_.events[0].kind, DomainEventKind::exited);
    EXPECT_EQ(host_.events[0].state.state, DomainState::broken);
    EXPECT_EQ(host_.events[0].state.exit->code, 7);
    EXPECT_FALSE(world_.networks.contains(app_id));
    EXPECT_EQ(plugin_->start(call_, spec_.id).error().code, Code::failed_precondition);
}

TEST_F(ContainerPlugin, EventsThatWereMissedMakeTheNodeLookAtAll) {
    run();
    world_.sink({});
    ASSERT_EQ(host_.events.size(), 1U);
    EXPECT_EQ(host_.events[0].kind, DomainEventKind::changed);
}

TEST_F(ContainerPlugin, AStartWithoutAnAddressSaysSo) {
    world_.without_address = 1;
    EXPECT_THAT(run().notes, Contains(HasSubstr("without an address")));
}

TEST_F(ContainerPlugin, SecretsAreNotInTheRecord) {
    spec_.env = {{"TOKEN", "hunter2"}};
    spec_.files = {{.path = "/etc/key", .content = {"aHVudGVyMg=="}}};
    run();
    EXPECT_EQ(world_.containers.at(app_id).record.find("hunter2"), std::string::npos);
    EXPECT_EQ(world_.containers.at(app_id).record.find("aHVudGVyMg"), std::string::npos);
    std::ifstream file(base_ + "/root/rootfs/etc/key");
    std::string text;
    file >> text;
    EXPECT_EQ(text, "hunter2");
}

TEST_F(ContainerPlugin, WithoutASocketThisMachineIsNotForIt) {
    EXPECT_EQ(plugin_->probe(call_)->verdict, ProbeVerdict::declined);
    std::ofstream(base_ + "/socket") << "";
    world_.down = true;
    EXPECT_EQ(plugin_->probe(call_)->verdict, ProbeVerdict::broken);
    world_.down = false;
    EXPECT_EQ(plugin_->probe(call_)->verdict, ProbeVerdict::supported);
    EXPECT_FALSE(left());
    world_.refuses_task = "cgroups";
    const auto report = plugin_->probe(call_);
    EXPECT_EQ(report->verdict, ProbeVerdict::broken);
    EXPECT_THAT(report->reason, HasSubstr("cgroups"));
    EXPECT_FALSE(left());
}

TEST_F(ContainerPlugin, WhatWasNeverStartedIsKilledBeforeItIsDeleted) {
    std::ofstream(base_ + "/socket") << "";
    EXPECT_EQ(plugin_->probe(call_)->verdict, ProbeVerdict::supported);
    EXPECT_EQ(world_.long_deletes, 0U) << "of the trial";
    must(plugin_->create(call_, spec_));
    must(plugin_->destroy(call_, spec_.id, DestroyMode::keep_state));
    EXPECT_EQ(world_.long_deletes, 0U) << "of an app";
    EXPECT_FALSE(left());
}

TEST_F(ContainerPlugin, ATrialThatWasKilledIsClearedByTheNext) {
    std::ofstream(base_ + "/socket") << "";
    // One as killed while it tried; one of a life before the last reboot; one of another node, which may be at work.
    fs::create_directories(base_ + "/run/probe-1/rootfs/proc");
    fs::create_directories(base_ + "/cgroup/memory/eve-user-apps/probe-1");
    fs::create_directories(base_ + "/cgroup/pids/eve-user-apps/probe-4194305");  // of another plugin host; no process has such a number
    const auto living = base_ + "/cgroup/pids/eve-user-apps/probe-" + std::to_string(::getppid());
    fs::create_directories(living);
    world_.containers["probe-1"] = {.id = "probe-1", .labels = {}, .spec = {}, .record = {}};
    world_.tasks["probe-1"] = Task{.container = "probe-1", .state = TaskState::created, .pid = 42};
    world_.containers["probe-2"] = {.id = "probe-2", .labels = {{"org.lfedge.eve.trial", base_ + "/state"}}, .spec = {}, .record = {}};
    world_.containers["probe-3"] = {.id = "probe-3", .labels = {{"org.lfedge.eve.trial", "/elsewhere"}}, .spec = {}, .record = {}};
    EXPECT_EQ(plugin_->probe(call_)->verdict, ProbeVerdict::supported);
    EXPECT_FALSE(fs::exists(base_ + "/run/probe-1"));
    EXPECT_FALSE(fs::exists(base_ + "/cgroup/memory/eve-user-apps"));
    EXPECT_FALSE(fs::exists(base_ + "/cgroup/pids/eve-user-apps/probe-4194305"));
    EXPECT_TRUE(fs::exists(living)) << "who tries just now is left alone";
    EXPECT_TRUE(world_.tasks.empty());
    EXPECT_EQ(world_.containers.size(), 1U);
    EXPECT_TRUE(world_.containers.contains("probe-3"));
}

TEST_F(ContainerPlugin, ProgramsThatAnEarlierLifeRanInAContainerAreEnded) {
    run();
    fs::create_directories(base_ + "/run/domains/" + app_id + "/exec-7-1");
    std::ofstream(base_ + "/run/domains/" + app_id + "/exec-7-1/input") << "";
    open();
    EXPECT_THAT(world_.calls, Contains("kill exec-7-1"));
    EXPECT_THAT(world_.calls, Contains("delete exec-7-1"));
    EXPECT_FALSE(fs::exists(base_ + "/run/domains/" + app_id + "/exec-7-1"));
}

TEST_F(ContainerPlugin, AProgramIsRunOnlyInAContainerThatRuns) {
    EXPECT_EQ(plugin_->exec(call_, {.domain = {app_id}, .argv = {"id"}}).error().code, Code::not_found);
    must(plugin_->create(call_, spec_));
    EXPECT_EQ(plugin_->exec(call_, {.domain = {app_id}, .argv = {"id"}}).error().code, Code::failed_precondition);
    must(plugin_->start(call_, spec_.id));
    const auto without_session = plugin_->exec(call_, {.domain = {app_id}, .argv = {"id"}});
    ASSERT_FALSE(without_session);
    EXPECT_EQ(without_session.error().field, ".session");
    world_.down = true;
    EXPECT_EQ(plugin_->exec(call_, {.domain = {app_id}, .argv = {"id"}}).error().code, Code::unavailable);
}

TEST_F(ContainerPlugin, AnotherRevisionWaitsUntilTheOldOneIsDestroyed) {
    run();
    spec_.revision = 2;
    const auto refused = plugin_->create(call_, spec_);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::failed_precondition);
}

TEST_F(ContainerPlugin, ATaskThatVanishedIsBrokenAndItsEndNotKnown) {
    run();
    world_.tasks.clear();
    const auto info = look();
    EXPECT_EQ(info.state, DomainState::broken);
    ASSERT_TRUE(info.exit);
    EXPECT_FALSE(info.exit->code);
    EXPECT_FALSE(info.exit->signal);
    EXPECT_EQ(must(plugin_->stop(call_, spec_.id, StopMode::ask)).state, DomainState::broken);
    must(plugin_->destroy(call_, spec_.id, DestroyMode::purge));
    EXPECT_FALSE(left());
}

}  // namespace
}  // namespace eve::containerd
