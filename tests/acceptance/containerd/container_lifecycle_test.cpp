// The containerd plugin as it is built, isolated, with a real containerd below a directory of its own, by runc and by crun: what a container
// is told and sees, how its end is reported, what survives which death, and that nothing is left.

#include <gmock/gmock.h>
#include <sched.h>
#include <spawn.h>
#include <sys/wait.h>

#include <fstream>
#include <functional>
#include <sstream>

#include "common/limit.hpp"
#include "tests/conformance/plugin_fixture.hpp"

extern char** environ;

namespace eve::plugin {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;
namespace fs = std::filesystem;

constexpr const char* app_id = "6ba7b810-9dad-11d1-80b4-00c04fd430c8";

/// Runs a program and waits for it: its exit code, and what it wrote.
struct Ran {
    int code = -1;
    std::string output;
};
Ran command(std::vector<std::string> words) {
    int out[2];
    EXPECT_EQ(::pipe2(out, O_CLOEXEC), 0);
    std::vector<char*> argv;
    for (auto& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    ::posix_spawn_file_actions_adddup2(&actions, out[1], 2);
    pid_t pid = 0;
    const int failed = ::posix_spawnp(&pid, argv[0], &actions, nullptr, argv.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    ::close(out[1]);
    Ran ran;
    char buffer[4096];
    for (ssize_t got = 0; failed == 0 && (got = ::read(out[0], buffer, sizeof buffer)) > 0;) ran.output.append(buffer, static_cast<std::size_t>(got));
    ::close(out[0]);
    int status = 0;
    if (failed == 0 && ::waitpid(pid, &status, 0) == pid && WIFEXITED(status)) ran.code = WEXITSTATUS(status);
    return ran;
}
Ran shell(const std::string& script) { return command({"/bin/bash", "-c", script}); }

std::string text_of(const std::string& path) {
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
}

const std::string scripts = std::string(SOURCE_ROOT) + "/scripts/";
const std::string bench = ". " SOURCE_ROOT "/tests/acceptance/containerd/bench.sh; ";

class ContainerLifecycle : public ::testing::TestWithParam<const char*> {
protected:
    void SetUp() override {
        const auto missing = shell(bench + "bench_missing " + GetParam()).output;
        if (!missing.empty()) GTEST_SKIP() << missing;
        // The node's network: whatever is left of it goes with this thread's namespace, and no name collides with the machine's.
        ASSERT_EQ(::unshare(CLONE_NEWNET), 0) << std::strerror(errno);
        cgroup_ = "/evt" + std::to_string(::getpid());
        const auto started = command({scripts + "containerd", "start", dir_.path("containerd"), GetParam()});
        ASSERT_EQ(started.code, 0) << started.output;
        started_ = true;
        before_ = leftovers();
        open();
    }
    void TearDown() override {
        if (!started_) return;
        if (node_ && node_->client) {
            const auto gone = hypervisor().destroy(limit(), {app_id}, DestroyMode::purge);
            EXPECT_TRUE(gone) << gone.error().what;
            EXPECT_TRUE(fs::is_empty(dir_.path("run") + "/domains"));
        }
        EXPECT_TRUE(eventually([&] { return leftovers() == before_; })) << "before:\n" << before_ << "\nafter:\n" << leftovers();
        node_.reset();
        command({scripts + "containerd", "stop", dir_.path("containerd")});
    }

    /// Mounts, interfaces, cgroups, shims and containerd's objects that could be ours.
    std::string leftovers() {
        const auto socket = dir_.path("containerd") + "/containerd.sock";
        return shell("grep -F '" + dir_.path("") + "' /proc/self/mountinfo; ip -o link | cut -d: -f2 | sort; find /sys/fs/cgroup -type d -path '*" + cgroup_ +
                     "*'; pgrep -fa 'containerd-shim.*" + dir_.path("containerd") + "' | wc -l; for what in containers tasks snapshots; do ctr -a " + socket +
                     " -n eve-user-apps $what list -q; done")
            .output;
    }
    void open() {
        node_.reset();
        node_ = std::make_unique<OpenPlugin>(dir_, built("plugins/containerd.so"),
                                             R"({"socket":")" + dir_.path("containerd") + R"(/containerd.sock","runtime_binary":")" + GetParam() +
                                                 R"(","cgroup_parent":")" + cgroup_ + R"(","console_log_max_bytes":65536})",
                                             Isolation::process);
        ASSERT_FALSE(node_->error) << node_->error->what;
    }
    Hypervisor& hypervisor() { return *node_->client; }
    static TimedCall limit() { return TimedCall(30s); }

    /// A volume with a container image whose configuration is `config`.
    std::string image(const std::string& config, const std::string& name = "image") {
        const auto made = shell("set -e; " + bench + "bench_image '" + dir_.path(name) + "' '" + config + "'");
        EXPECT_EQ(made.code, 0) << made.output;
        return dir_.path(name);
    }
    /// An app whose image runs a shell with this script.
    DomainSpec app(const std::string& script, const std::string& more = {}) {
        std::string quoted;
        for (const char c : script) quoted += c == '"' ? std::string("\\\"") : std::string(1, c);
        return spec_of(image(R"({"Entrypoint":["/bin/sh","-c"],"Cmd":[")" + quoted + R"("])" + more + "}"));
    }
    static DomainSpec spec_of(const std::string& volume) {
        return {.id = {app_id},
                .revision = 1,
                .name = std::string(app_id) + ".1.1",
                .labels = {{"app", "test"}},
                .mode = VirtualizationMode::container,
                .memory = 32_MiB,
                .vcpus = 1,
                .disks = {{.id = "root#0", .path = volume, .format = DiskFormat::container}}};
    }
    static DomainInfo must(Result<DomainInfo> info) {
        EXPECT_TRUE(info.ok()) << (info.ok() ? "" : info.error().what + " " + info.error().field);
        return info.ok() ? *info : DomainInfo{};
    }
    DomainInfo run(const DomainSpec& domain) {
        const auto created = must(hypervisor().create(limit(), domain));
        EXPECT_EQ(created.state, DomainState::defined) << created.reason;
        log_ = created.console_log_path;
        return must(hypervisor().start(limit(), domain.id));
    }
    DomainInfo look() { return must(hypervisor().inspect(limit(), {app_id})); }
    static bool eventually(const std::function<bool()>& holds, std::chrono::milliseconds most = 20s) {
        const plugins::Limit patience(most, -1);
        while (!holds())
            if (patience.wait(-1, 0, 20ms) != plugins::Limit::Wait::ready) return holds();
        return true;
    }
    DomainInfo ended() {
        DomainInfo info;
        EXPECT_TRUE(eventually([&] {
            info = look();
            return info.state == DomainState::halted || info.state == DomainState::broken;
        })) << info.reason;
        return info;
    }
    bool says(const std::string& words) {
        return eventually([&] { return text_of(log_).find(words) != std::string::npos; });
    }

    ScratchDir dir_;
    std::string cgroup_;
    std::string before_;
    std::string log_;
    bool started_ = false;
    std::unique_ptr<OpenPlugin> node_;
};

INSTANTIATE_TEST_SUITE_P(Runtime, ContainerLifecycle, ::testing::Values("runc", "crun"), [](const auto& chosen) { return std::string(chosen.param); });

TEST_P(ContainerLifecycle, AnExitCodeIsReportedAndZeroIsNoFault) {
    run(app("echo bye; exit 7"));
    auto info = ended();
    EXPECT_EQ(info.state, DomainState::broken);
    ASSERT_TRUE(info.exit);
    EXPECT_EQ(info.exit->code, 7);
    EXPECT_FALSE(info.exit->signal);
    EXPECT_THAT(info.reason, HasSubstr("exit code 7"));
    EXPECT_THAT(text_of(log_), HasSubstr("bye"));
    EXPECT_TRUE(eventually([&] {
        for (const auto& event : node_->events.all())
            if (event.kind == DomainEventKind::exited && event.domain.value == app_id) return true;
        return false;
    }));
    must(hypervisor().destroy(limit(), {app_id}, DestroyMode::keep_state));
    run(app("exit 0"));
    info = ended();
    EXPECT_EQ(info.state, DomainState::halted);
    EXPECT_EQ(info.exit->code, 0);
}

TEST_P(ContainerLifecycle, OutOfMemoryIsNamed) {
    run(app("exec tail /dev/zero"));
    const auto info = ended();
    EXPECT_EQ(info.state, DomainState::broken);
    ASSERT_TRUE(info.exit);
    EXPECT_TRUE(info.exit->oom) << info.reason;
    EXPECT_EQ(info.exit->signal, SIGKILL);
}

TEST_P(ContainerLifecycle, MemoryAndProcessorsAreLimitedByItsControlGroup) {
    auto spec = app("echo ready; exec sleep 100");
    spec.vcpus = 2;
    const auto info = run(spec);
    ASSERT_TRUE(says("ready"));
    const bool unified = fs::exists("/sys/fs/cgroup/cgroup.controllers");
    const auto group = cgroup_ + "/" + spec.name + "/";
    const auto of = [&](const std::string& controller, const char* file) { return text_of("/sys/fs/cgroup" + (unified ? "" : "/" + controller) + group + file); };
    EXPECT_EQ(of("memory", unified ? "memory.max" : "memory.limit_in_bytes"), std::to_string(spec.memory.n) + "\n");
    if (unified) EXPECT_EQ(of("cpu", "cpu.max"), "200000 100000\n");
    else EXPECT_EQ(of("cpu", "cpu.cfs_quota_us") + of("cpu", "cpu.cfs_period_us"), "200000\n100000\n");
    EXPECT_THAT("\n" + of("pids", "cgroup.procs"), HasSubstr("\n" + std::to_string(info.pid) + "\n"));
    const auto used = hypervisor().stats(limit());
    ASSERT_TRUE(used.ok());
    ASSERT_EQ(used->domains.size(), 1U);
    EXPECT_GT(used->domains.front().memory_used.n, 0U);
    EXPECT_LE(used->domains.front().memory_used.n, spec.memory.n);
    EXPECT_GT(used->domains.front().cpu, 0ns);
}

TEST_P(ContainerLifecycle, IsAskedToStopByTheSignalOfItsImage) {
    run(app("trap \"echo asked; exit 0\" USR1; echo ready; while :; do sleep 1; done", R"(,"StopSignal":"SIGUSR1")"));
    ASSERT_TRUE(says("ready"));
    must(hypervisor().stop(limit(), {app_id}, StopMode::ask));
    const auto info = ended();
    EXPECT_EQ(info.state, DomainState::halted) << info.reason;
    EXPECT_THAT(text_of(log_), HasSubstr("asked"));
}

TEST_P(ContainerLifecycle, OneThatDoesNotListenIsCut) {
    run(app("trap : TERM; echo ready; while :; do sleep 1; done"));
    ASSERT_TRUE(says("ready"));
    must(hypervisor().stop(limit(), {app_id}, StopMode::ask));
    EXPECT_EQ(look().state, DomainState::running);
    const auto info = must(hypervisor().stop(limit(), {app_id}, StopMode::cut));
    EXPECT_EQ(info.state, DomainState::halted) << info.reason;
    EXPECT_EQ(info.exit->signal, SIGKILL);
}

TEST_P(ContainerLifecycle, SeesWhatImageAndAppSay) {
    auto spec = spec_of(image(R"({"Entrypoint":["/bin/sh","-c"],"User":"web","WorkingDir":"/www","Env":["FROM=image","KEPT=yes"],"Cmd":)"
                              R"(["id -u; id -G; pwd; hostname; echo $FROM $KEPT; cat /etc/app.conf; for at in /data/1 )"
                              R"(/dev/eve/volumes/by-id/1 /dev/eve/volumes/by-name/settings; do echo $at; cat $at; done; cat /other/hello; echo done"]})"));
    std::ofstream(dir_.path("volume.raw")) << "on a volume\n";
    std::filesystem::create_directories(dir_.path("other/rootfs"));
    std::ofstream(dir_.path("other/rootfs/hello")) << "from another image\n";
    spec.disks.push_back({.id = "v#0", .path = dir_.path("volume.raw"), .format = DiskFormat::raw, .read_only = true, .mount_dir = "/data", .name = "settings"});
    spec.disks.push_back({.id = "o#0", .path = dir_.path("other"), .format = DiskFormat::container, .mount_dir = "/other"});
    spec.env = {{"FROM", "app"}};
    spec.files = {{.path = "/etc/app.conf", .content = {"YSBmaWxlCg=="}}};
    run(spec);
    ASSERT_TRUE(says("done")) << text_of(log_);
    const auto said = text_of(log_);
    // EVE puts what is no directory below the mount point, under its number.
    for (const auto* line : {"1000\n", "1000 50\n", "/www\n", app_id, "app yes\n", "a file\n", "/data/1\non a volume\n", "by-id/1\non a volume\n",
                             "by-name/settings\non a volume\n", "from another image\n"})
        EXPECT_THAT(said, HasSubstr(line));
    EXPECT_EQ(ended().state, DomainState::halted);
}

TEST_P(ContainerLifecycle, NoLinkOfAnImageLeadsOut) {
    auto spec = app("cat /etc/inside; echo done");
    const auto outside = dir_.path("outside");
    fs::create_directories(outside);
    const auto rootfs = dir_.path("image/rootfs");
    fs::remove_all(rootfs + "/etc");
    fs::create_directory_symlink(outside, rootfs + "/etc");
    fs::create_directory_symlink("/../../../../../../../../" + outside, rootfs + "/up");
    spec.files = {{.path = "/up/escaped", .content = {"eA=="}}};
    const auto refused = hypervisor().create(limit(), spec);
    ASSERT_FALSE(refused) << "a link that leads nowhere in the image";
    EXPECT_TRUE(fs::is_empty(outside));
    fs::create_directories(rootfs + outside);
    spec.files = {{.path = "/etc/inside", .content = {"d2l0aGluCg=="}}};
    run(spec);
    ASSERT_TRUE(says("done")) << text_of(log_);
    EXPECT_THAT(text_of(log_), HasSubstr("within"));
    EXPECT_TRUE(fs::is_empty(outside));
}

TEST_P(ContainerLifecycle, LivesThroughTheDeathOfContainerdAndIsReportedTruly) {
    const auto started = run(app("echo ready; sleep 2; while ! [ -e /tmp/end ]; do sleep 0.1; done; exit 9"));
    ASSERT_TRUE(says("ready"));
    const auto pid = std::stoi(text_of(dir_.path("containerd") + "/pid"));
    ASSERT_EQ(::kill(pid, SIGKILL), 0);
    ASSERT_TRUE(eventually([&] { return look().state == DomainState::unknown; }));
    auto seen = look();
    EXPECT_EQ(seen.presence, Presence::present);
    EXPECT_THAT(seen.reason, HasSubstr("process lives"));
    EXPECT_TRUE(sdk::alive(sdk::identify(started.pid)));
    const auto again = command({scripts + "containerd", "start", dir_.path("containerd"), GetParam()});
    ASSERT_EQ(again.code, 0) << again.output;
    ASSERT_TRUE(eventually([&] { return look().state == DomainState::running; })) << look().reason;
    EXPECT_EQ(look().pid, started.pid);
    std::ofstream(dir_.path("image/rootfs/tmp/end")) << "";
    seen = ended();
    EXPECT_EQ(seen.exit->code, 9);
}

TEST_P(ContainerLifecycle, ThatEndedWhileNobodyLookedIsReportedWithItsCode) {
    run(app("while ! [ -e /tmp/end ]; do sleep 0.1; done; exit 5"));
    node_.reset();
    std::ofstream(dir_.path("image/rootfs/tmp/end")) << "";
    open();
    EXPECT_EQ(ended().exit->code, 5);
    const auto listed = hypervisor().list(limit());
    ASSERT_TRUE(listed.ok());
    ASSERT_EQ(listed->size(), 1U);
    EXPECT_EQ(listed->front().labels.at("app"), "test");
}

TEST_P(ContainerLifecycle, AFloodOfOutputIsRotated) {
    run(app("yes 0123456789 | head -c 3000000; echo; echo done; sleep 100"));
    ASSERT_TRUE(says("done"));
    EXPECT_TRUE(eventually([&] { return fs::exists(log_ + ".1") && fs::file_size(log_) < 65536; }));
    EXPECT_LE(fs::file_size(log_ + ".1"), 65536U);
}

TEST_P(ContainerLifecycle, ItsNetworkHasTheAddressThatTheBridgesServerGives) {
    if (shell("command -v dnsmasq").code != 0) GTEST_SKIP() << "dnsmasq is not installed";
    ASSERT_EQ(shell("ip link set lo up; ip link add bn1 type bridge; ip addr add 10.77.0.1/24 dev bn1; ip link set bn1 up").code, 0);
    const auto mac = std::string("02:16:3e:00:77:01");
    ASSERT_EQ(shell("dnsmasq --conf-file=/dev/null --interface=bn1 --bind-interfaces --except-interface=lo --dhcp-range=10.77.0.100,10.77.0.200,60m "
                    "--dhcp-host=" + mac + ",10.77.0.42 --address=/test.example/10.77.0.1 --domain=lab.example --dhcp-leasefile=" + dir_.path("leases") +
                    " --pid-file=" + dir_.path("dnsmasq.pid") + " --user=root")
                  .code,
              0);
    auto spec = app("ip -4 addr show eth0; ip route; cat /etc/resolv.conf; nslookup test.example; echo hello from a container > /www/index.html; "
                    "echo done; exec httpd -f -h /www -p 80");
    spec.vifs = {{.name = "nbu1x1", .bridge = "bn1", .mac = mac, .mtu = 1400}};
    const auto info = run(spec);
    EXPECT_EQ(info.state, DomainState::running);
    EXPECT_TRUE(info.notes.empty()) << info.notes.front();
    EXPECT_TRUE(says("done")) << text_of(log_);
    const auto said = text_of(log_);
    for (const auto* words : {"10.77.0.42/24", "default via 10.77.0.1", "nameserver 10.77.0.1", "search lab.example"}) EXPECT_THAT(said, HasSubstr(words));
    EXPECT_TRUE(eventually([] { return shell("curl -s -m 2 http://10.77.0.42/").output == "hello from a container\n"; }, 10s));
    EXPECT_THAT(shell("ip -o link show master bn1").output, HasSubstr("nbu1x1"));
    open();  // another life of the plugin takes it over
    EXPECT_EQ(look().state, DomainState::running);
    must(hypervisor().destroy(limit(), {app_id}, DestroyMode::purge));
    EXPECT_THAT(shell("ip -o link").output, Not(HasSubstr("nbu1x1")));
    shell("kill $(cat " + dir_.path("dnsmasq.pid") + "); ip link del bn1; ip link set lo down");
}

TEST_P(ContainerLifecycle, AnInterfaceOfTheHostIsInTheContainerUnderItsLabelAndComesBack) {
    ASSERT_EQ(shell("ip link add evt1 address 02:00:00:00:00:77 type veth peer name evt2; ip link set evt1 up").code, 0);
    const auto at_home = [] { return shell("ip -o link show evt1 2>&1").output; };
    auto spec = app("ip link show uplink; ip addr add 10.99.0.1/24 dev uplink && echo configured; echo done; exec sleep 100", R"(,"User":"web")");
    spec.adapters = {{.kind = AdapterKind::interface, .name = "uplink", .address = "evt1", .network = true}};
    run(spec);
    ASSERT_TRUE(says("done")) << text_of(log_);
    EXPECT_THAT(text_of(log_), HasSubstr("02:00:00:00:00:77"));
    EXPECT_THAT(text_of(log_), HasSubstr("configured")) << "though its user is not root";
    EXPECT_THAT(at_home(), HasSubstr("does not exist"));
    must(hypervisor().destroy(limit(), {app_id}, DestroyMode::purge));
    EXPECT_THAT(at_home(), HasSubstr("02:00:00:00:00:77"));
    EXPECT_THAT(at_home(), Not(HasSubstr("alias")));
    // The plugin's host is killed while the container runs, and the container ends by itself afterwards.
    spec.disks[0].path = app("while ! [ -e /tmp/end ]; do sleep 0.1; done; exit 3").disks[0].path;
    spec.revision = 2;
    run(spec);
    EXPECT_THAT(at_home(), HasSubstr("does not exist"));
    ::kill(static_cast<pid_t>(node_->plugin->host_pid()), SIGKILL);
    ASSERT_TRUE(node_->changes.wait_for_returns(1));
    EXPECT_EQ(look().state, DomainState::running);
    std::ofstream(dir_.path("image/rootfs/tmp/end")) << "";
    EXPECT_EQ(ended().exit->code, 3);
    EXPECT_THAT(at_home(), HasSubstr("does not exist")) << "until the domain is destroyed";
    must(hypervisor().destroy(limit(), {app_id}, DestroyMode::purge));
    EXPECT_THAT(at_home(), HasSubstr("02:00:00:00:00:77"));
    // One that is not there is named before anything of the container is left.
    spec.adapters[0].address = "evt9";
    spec.revision = 3;
    const auto refused = hypervisor().create(limit(), spec);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::failed_precondition) << refused.error().what;
    EXPECT_EQ(refused.error().field, ".adapters[0]");
    shell("ip link del evt1");
}

TEST_P(ContainerLifecycle, ItRunsOnTheCpusThatItIsToldAlsoLater) {
    auto& cpus = *node_->cpus;
    auto spec = app("while :; do grep Cpus_allowed_list /proc/self/status; sleep 0.2; done");
    const auto all = shell("nproc --all").output;
    if (std::stoi(all) < 2) GTEST_SKIP() << "the machine has one CPU";
    spec.cpus = {1};
    run(spec);
    EXPECT_TRUE(says("Cpus_allowed_list:\t1\n")) << text_of(log_);
    auto told = cpus.confine(limit(), {.domain = {app_id}, .cpus = {0}});
    ASSERT_TRUE(told) << told.error().what;
    EXPECT_TRUE(says("Cpus_allowed_list:\t0\n")) << text_of(log_);
    ASSERT_TRUE(cpus.confine(limit(), {.domain = {app_id}, .cpus = {}}));
    EXPECT_TRUE(says("Cpus_allowed_list:\t0-" + std::to_string(std::stoi(all) - 1) + "\n")) << text_of(log_);
    EXPECT_EQ(cpus.confine(limit(), {.domain = {app_id}, .cpus = {4000}}).error().code, Code::invalid_argument);
    EXPECT_EQ(cpus.confine(limit(), {.domain = {"6ba7b810-9dad-11d1-80b4-00c04fd430c9"}, .cpus = {0}}).error().code, Code::not_found);
}

TEST_P(ContainerLifecycle, WithoutABridgeNothingIsMade) {
    auto spec = app("sleep 100");
    spec.vifs = {{.name = "nbu1x1", .bridge = "nowhere", .mac = "02:16:3e:00:77:01"}};
    const auto refused = hypervisor().create(limit(), spec);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::failed_precondition);
    EXPECT_THAT(refused.error().what, HasSubstr("nowhere"));
    EXPECT_EQ(look().presence, Presence::absent);
}

}  // namespace
}  // namespace eve::plugin
