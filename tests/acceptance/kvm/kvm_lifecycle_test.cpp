// The KVM plugin as it is built, with a real QEMU under emulation and guests of a few hundred bytes, in process and in a plugin-host.

#include <gtest/gtest.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <set>
#include <functional>
#include <sstream>

#include "eve/sdk/kept_process.hpp"
#include "limit.hpp"
#include "tests/conformance/plugin_fixture.hpp"

namespace eve::plugin {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

constexpr const char* app_id = "6ba7b810-9dad-11d1-80b4-00c04fd430c8";
constexpr const char* other_id = "6ba7b811-9dad-11d1-80b4-00c04fd430c8";

class KvmLifecycle : public ::testing::TestWithParam<Isolation> {
protected:
    void SetUp() override {
        if (::access("/usr/bin/qemu-system-x86_64", X_OK) != 0) GTEST_SKIP() << "qemu-system-x86_64 is not installed";
        if (::geteuid() != 0) GTEST_SKIP() << "needs root, to give QEMU a user of its own";
        fs::create_directories(dir_.path("disks"));
        open();
    }
    void TearDown() override {
        if (!node_) return;
        const auto domains = hypervisor().list(limit());
        ASSERT_TRUE(domains.ok());
        for (const auto& domain : *domains) EXPECT_TRUE(hypervisor().destroy(limit(), domain.id, DestroyMode::purge).ok());
        EXPECT_TRUE(fs::is_empty(dir_.path("run") + "/domains"));
    }

    /// Made anew over the same directories: a restart of the node.
    void open() {
        node_.reset();
        node_ = std::make_unique<OpenPlugin>(dir_, built("plugins/kvm.so"), R"({"accel":"tcg","console_log_max_bytes":65536})", GetParam());
        ASSERT_FALSE(node_->error) << node_->error->what;
    }
    Hypervisor& hypervisor() { return *node_->client; }
    static TimedCall limit() { return TimedCall(30s); }

    std::string disk_of(const std::string& variant, const std::string& name) {
        const auto path = dir_.path("disks") + "/" + name + ".img";
        fs::copy_file(built("guests/tiny-" + variant + ".img"), path, fs::copy_options::overwrite_existing);
        fs::permissions(path, fs::perms::owner_read | fs::perms::owner_write);
        return path;
    }
    DomainSpec spec(const std::string& variant, const std::string& id = app_id) {
        return {.id = {id},
                .revision = 1,
                .name = id + ".1.1",
                .labels = {{"app", variant}},
                .mode = VirtualizationMode::hvm,
                .memory = 64_MiB,
                .vcpus = 1,
                .disks = {{.id = "boot", .path = disk_of(variant, id), .format = DiskFormat::raw}}};
    }
    static DomainInfo must(Result<DomainInfo> info) {
        EXPECT_TRUE(info.ok()) << (info.ok() ? "" : info.error().what + " " + info.error().field);
        return info.ok() ? *info : DomainInfo{};
    }
    DomainInfo run(const DomainSpec& domain) {
        const auto created = must(hypervisor().create(limit(), domain));
        EXPECT_EQ(created.state, DomainState::defined) << created.reason;
        return must(hypervisor().start(limit(), domain.id));
    }
    DomainInfo look(const std::string& id = app_id) { return must(hypervisor().inspect(limit(), {id})); }

    static bool eventually(const std::function<bool()>& holds, std::chrono::milliseconds most = 20s) {
        const kvm::Limit patience(most, -1);
        while (!holds())
            if (patience.wait(-1, 0, 20ms) != kvm::Limit::Wait::ready) return holds();
        return true;
    }
    static std::string text_of(const std::string& path) {
        std::ifstream file(path);
        std::stringstream text;
        text << file.rdbuf();
        return text.str();
    }
    static bool says(const DomainInfo& info, const std::string& words) {
        return eventually([&] { return text_of(info.console_log_path).find(words) != std::string::npos; });
    }
    ProcessIdentity process_of(const DomainInfo& info) { return sdk::identify(info.pid); }

    ScratchDir dir_;
    std::unique_ptr<OpenPlugin> node_;
};

INSTANTIATE_TEST_SUITE_P(Boundary, KvmLifecycle, ::testing::Values(Isolation::in_process, Isolation::process),
                         [](const auto& chosen) { return chosen.param == Isolation::process ? "Isolated" : "InProcess"; });

TEST_P(KvmLifecycle, ProbeRunsAGuestAndLeavesNothing) {
    const auto report = hypervisor().probe(limit());
    ASSERT_TRUE(report.ok()) << report.error().what;
    EXPECT_EQ(report->verdict, ProbeVerdict::supported) << report->reason;
    EXPECT_FALSE(report->notes.empty());
    for (const auto& entry : fs::directory_iterator(dir_.path("run"))) EXPECT_EQ(entry.path().filename(), "domains");
}

TEST_P(KvmLifecycle, ATrialThatItsProcessDidNotLiveToCleanUpIsClearedAway) {
    node_.reset();
    constexpr const char* no_process = "/probe-2147483646";
    fs::create_directories(dir_.path("run") + no_process);
    std::ofstream(dir_.path("run") + no_process + "/said") << "K";
    open();
    EXPECT_FALSE(fs::exists(dir_.path("run") + no_process));
}

TEST_P(KvmLifecycle, ATrialOfAProcessThatIsNotQuiteGoneAtTheStartIsClearedAwayLater) {
    node_.reset();
    const pid_t dying = ::fork();
    if (dying == 0) for (;;) ::pause();
    ASSERT_GT(dying, 0);
    const auto trial = dir_.path("run") + "/probe-" + std::to_string(dying);
    fs::create_directories(trial);
    std::ofstream(trial + "/said") << "K";
    open();
    EXPECT_TRUE(fs::exists(trial)) << "it may be in use";
    ::kill(dying, SIGKILL);
    ::waitpid(dying, nullptr, 0);
    EXPECT_TRUE(hypervisor().list(limit()).ok());
    EXPECT_FALSE(fs::exists(trial));
}

TEST_P(KvmLifecycle, ADomainIsDefinedThenRunsAndItsConsoleIsKept) {
    const auto info = run(spec("stay"));
    EXPECT_EQ(info.state, DomainState::running) << info.reason;
    EXPECT_EQ(info.presence, Presence::present);
    EXPECT_GT(info.pid, 0);
    EXPECT_EQ(info.revision, 1U);
    EXPECT_EQ(info.labels.at("app"), "stay");
    EXPECT_TRUE(says(info, "EVEMARK hello"));
    const auto stats = hypervisor().stats(limit());
    ASSERT_TRUE(stats.ok());
    ASSERT_EQ(stats->domains.size(), 1U);
    EXPECT_GT(stats->domains[0].memory_used.n, 1U << 20);
}

TEST_P(KvmLifecycle, AGuestRunsOnTheCpusThatItIsToldAlsoLater) {
    const auto cpus = static_cast<std::uint32_t>(::sysconf(_SC_NPROCESSORS_ONLN));
    if (cpus < 2) GTEST_SKIP() << "the machine has one CPU";
    const auto allowed = [](std::int64_t pid) {  // of every thread
        std::set<std::string> lists;
        for (const auto& task : fs::directory_iterator("/proc/" + std::to_string(pid) + "/task")) {
            const auto status = text_of(task.path() / "status");
            const auto at = status.find("Cpus_allowed_list:");
            if (at != std::string::npos) lists.insert(status.substr(at + 19, status.find('\n', at) - at - 19));
        }
        return lists;
    };
    auto domain = spec("stay");
    domain.cpus = {1};
    const auto info = run(domain);
    EXPECT_EQ(allowed(info.pid), std::set<std::string>{"1"});
    const auto told = node_->cpus->confine(limit(), {.domain = {app_id}, .cpus = {0}});
    ASSERT_TRUE(told) << told.error().what;
    EXPECT_EQ(allowed(info.pid), std::set<std::string>{"0"});
    ASSERT_TRUE(node_->cpus->confine(limit(), {.domain = {app_id}, .cpus = {}}));
    EXPECT_EQ(allowed(info.pid), std::set<std::string>{"0-" + std::to_string(cpus - 1)});
    EXPECT_EQ(node_->cpus->confine(limit(), {.domain = {"6ba7b810-9dad-11d1-80b4-00c04fd430c9"}, .cpus = {0}}).error().code, Code::not_found);
    EXPECT_TRUE(says(info, "EVEMARK hello")) << "it ran on all the time";
}

TEST_P(KvmLifecycle, AGuestWithCpusOfItsOwnHasThemFromItsFirstInstruction) {
    if (::sysconf(_SC_NPROCESSORS_ONLN) < 2) GTEST_SKIP() << "the machine has one CPU";
    auto domain = spec("stay");
    domain.cpus = {1};
    domain.cpus_pinned = true;
    const auto info = run(domain);
    const auto status = text_of("/proc/" + std::to_string(info.pid) + "/status");
    EXPECT_NE(status.find("Cpus_allowed_list:\t1\n"), std::string::npos) << status;
    EXPECT_TRUE(says(info, "EVEMARK hello"));
}

TEST_P(KvmLifecycle, QemuHasNoPrivilegesAndIsConfinedBySeccomp) {
    const auto info = run(spec("stay"));
    const auto status = text_of("/proc/" + std::to_string(info.pid) + "/status");
    EXPECT_NE(status.find("CapEff:\t0000000000000000"), std::string::npos) << status;
    EXPECT_NE(status.find("Seccomp:\t2"), std::string::npos) << status;
    EXPECT_NE(status.find("NoNewPrivs:\t1"), std::string::npos) << status;
    EXPECT_EQ(status.find("Uid:\t0\t"), std::string::npos) << status;
    const auto arguments = text_of("/proc/" + std::to_string(info.pid) + "/cmdline");
    EXPECT_EQ(arguments.find(dir_.path("")), std::string::npos) << "a path of ours is not QEMU's business";
}

TEST_P(KvmLifecycle, CreatingTwiceWithOneRevisionChangesNothingAndWithAnotherIsRefused) {
    auto domain = spec("stay");
    const auto first = run(domain);
    const auto second = must(hypervisor().create(limit(), domain));
    EXPECT_EQ(second.pid, first.pid);
    EXPECT_EQ(second.state, DomainState::running);
    domain.revision = 2;
    const auto refused = hypervisor().create(limit(), domain);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code, Code::failed_precondition);
    EXPECT_EQ(look().pid, first.pid);
}

TEST_P(KvmLifecycle, AGuestThatObeysItsPowerButtonHalts) {
    const auto info = run(spec("obey"));
    ASSERT_TRUE(says(info, "EVEMARK hello"));
    must(hypervisor().stop(limit(), {app_id}, StopMode::ask));
    EXPECT_TRUE(eventually([&] { return look().state == DomainState::halted; }));
    EXPECT_TRUE(says(info, "EVEMARK off"));
    EXPECT_EQ(look().reason, "the guest powered itself off");
}

TEST_P(KvmLifecycle, ADeafGuestRunsOnWhenAskedAndEndsWhenCut) {
    const auto info = run(spec("stay"));
    ASSERT_TRUE(says(info, "EVEMARK hello"));
    const auto process = process_of(info);
    EXPECT_EQ(must(hypervisor().stop(limit(), {app_id}, StopMode::ask)).state, DomainState::running);
    const auto cut = must(hypervisor().stop(limit(), {app_id}, StopMode::cut));
    EXPECT_EQ(cut.state, DomainState::halted) << cut.reason;
    EXPECT_FALSE(sdk::alive(process));
    EXPECT_EQ(must(hypervisor().stop(limit(), {app_id}, StopMode::cut)).state, DomainState::halted) << "a second stop does nothing";
}

TEST_P(KvmLifecycle, AGuestThatPowersItselfOffIsHaltedAlsoWhenNobodyWasThere) {
    const auto domain = spec("poweroff");
    const auto info = run(domain);
    const auto console = info.console_log_path;
    node_.reset();
    ASSERT_TRUE(eventually([&] { return text_of(console).find("EVEMARK off") != std::string::npos; }));
    open();
    EXPECT_TRUE(eventually([&] { return look().state == DomainState::halted; }));
    EXPECT_EQ(look().reason, "the guest powered itself off");
    EXPECT_FALSE(hypervisor().start(limit(), {app_id}).ok()) << "a halted domain is destroyed and made anew";
}

TEST_P(KvmLifecycle, AGuestThatResetsItselfRunsOnInTheSameProcess) {
    const auto info = run(spec("reset"));
    EXPECT_TRUE(eventually([&] {
        const auto text = text_of(info.console_log_path);
        const auto first = text.find("EVEMARK hello");
        return first != std::string::npos && text.find("EVEMARK hello", first + 1) != std::string::npos;
    }));
    EXPECT_EQ(look().pid, info.pid);
    EXPECT_EQ(look().state, DomainState::running);
}

TEST_P(KvmLifecycle, AKilledQemuIsBrokenWithItsSignalNamedAndAnEventTells) {
    const auto info = run(spec("stay"));
    ASSERT_TRUE(sdk::signal_process(process_of(info), SIGKILL).ok());
    EXPECT_TRUE(eventually([&] { return look().state == DomainState::broken; }));
    const auto seen = look();
    ASSERT_TRUE(seen.exit.has_value());
    EXPECT_EQ(seen.exit->signal, SIGKILL);
    EXPECT_NE(seen.reason.find("SIGKILL"), std::string::npos) << seen.reason;
    EXPECT_TRUE(eventually([&] {
        for (const auto& event : node_->events.all())
            if (event.kind == DomainEventKind::exited && event.domain.value == app_id) return true;
        return false;
    }));
}

TEST_P(KvmLifecycle, ARestartedNodeFindsItsGuestsRunning) {
    auto domain = spec("stay");
    const auto before = run(domain);
    open();
    const auto found = hypervisor().list(limit());
    ASSERT_TRUE(found.ok());
    ASSERT_EQ(found->size(), 1U);
    EXPECT_EQ(found->front().id.value, app_id);
    EXPECT_EQ(found->front().pid, before.pid);
    EXPECT_EQ(found->front().state, DomainState::running);
    EXPECT_EQ(found->front().labels, domain.labels);
    must(hypervisor().stop(limit(), {app_id}, StopMode::cut));
    EXPECT_EQ(look().state, DomainState::halted);
}

TEST_P(KvmLifecycle, AKilledPluginHostLeavesItsGuestsRunning) {
    if (GetParam() != Isolation::process) GTEST_SKIP() << "there is no plugin-host in process";
    const auto before = run(spec("stay"));
    ASSERT_EQ(::kill(static_cast<pid_t>(node_->plugin->host_pid()), SIGKILL), 0);
    ASSERT_TRUE(node_->changes.wait_for_returns(1));
    EXPECT_TRUE(eventually([&] {
        const auto info = hypervisor().inspect(limit(), {app_id});
        return info.ok() && info->pid == before.pid && info->state == DomainState::running;
    }));
}

TEST_P(KvmLifecycle, AWedgedQemuIsUnknownNotGoneAndCanBeDestroyed) {
    const auto info = run(spec("stay"));
    const auto process = process_of(info);
    ASSERT_TRUE(sdk::signal_process(process, SIGSTOP).ok());
    const auto seen = look();
    EXPECT_EQ(seen.presence, Presence::present);
    EXPECT_EQ(seen.state, DomainState::unknown);
    EXPECT_EQ(must(hypervisor().destroy(limit(), {app_id}, DestroyMode::purge)).presence, Presence::absent);
    EXPECT_FALSE(sdk::alive(process));
}

TEST_P(KvmLifecycle, DestroyLeavesNothingAndMayBeRepeated) {
    const auto info = run(spec("stay"));
    const auto process = process_of(info);
    EXPECT_EQ(must(hypervisor().destroy(limit(), {app_id}, DestroyMode::keep_state)).presence, Presence::absent);
    EXPECT_FALSE(sdk::alive(process));
    EXPECT_TRUE(fs::is_empty(dir_.path("run") + "/domains"));
    EXPECT_EQ(look().presence, Presence::absent);
    EXPECT_EQ(must(hypervisor().destroy(limit(), {app_id}, DestroyMode::purge)).presence, Presence::absent);
    EXPECT_TRUE(run(spec("stay")).state == DomainState::running) << "the same id may live again";
}

TEST_P(KvmLifecycle, AMissingDiskIsNamedAndNothingIsLeft) {
    auto domain = spec("stay");
    domain.disks[0].path = dir_.path("disks") + "/none.img";
    const auto refused = hypervisor().create(limit(), domain);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code, Code::failed_precondition) << refused.error().what;
    EXPECT_EQ(refused.error().field, ".disks[0].path");
    EXPECT_EQ(look().presence, Presence::absent);
}

TEST_P(KvmLifecycle, ADiskInUseIsNotGivenToASecondDomain) {
    const auto first = spec("stay");
    run(first);
    auto second = spec("stay", other_id);
    second.disks[0].path = first.disks[0].path;
    auto info = hypervisor().create(limit(), second);
    EXPECT_FALSE(info.ok());
    if (!info.ok()) {
        EXPECT_EQ(info.error().code, Code::failed_precondition) << info.error().what;
    }
    EXPECT_EQ(look(other_id).presence, Presence::absent);
    EXPECT_EQ(look().state, DomainState::running);
}

TEST_P(KvmLifecycle, AGuestThatFillsItsConsoleDoesNotFillTheDisk) {
    const auto info = run(spec("flood"));
    const auto log = info.console_log_path;
    ASSERT_TRUE(eventually([&] { return fs::exists(log + ".1"); }));
    EXPECT_TRUE(eventually([&] { return fs::file_size(log) < 16U << 20; }));
    EXPECT_LE(fs::file_size(log + ".1"), 65536U);
}

TEST_P(KvmLifecycle, AConsoleIsKeptShortAlsoWhenNobodyIsThere) {
    const auto info = run(spec("flood"));
    const auto log = info.console_log_path;
    node_.reset();
    fs::remove(log + ".1");
    ASSERT_TRUE(eventually([&] { return fs::exists(log + ".1"); }, 120s)) << fs::file_size(log);
    EXPECT_LT(fs::file_size(log), 64U << 20);
    open();
    EXPECT_EQ(look().state, DomainState::running);
}

TEST_P(KvmLifecycle, KernelAndCommandLineBootDirectly) {
    auto domain = spec("stay");
    domain.disks.clear();
    domain.kernel = built("guests/tiny-obey.elf");
    domain.extra_args = "console=ttyS0";
    const auto info = run(domain);
    EXPECT_TRUE(says(info, "EVEMARK hello"));
}

TEST_P(KvmLifecycle, UefiVariablesSurviveAStopAndGoWithAPurge) {
    if (::access("/usr/share/OVMF/OVMF_CODE_4M.fd", R_OK) != 0) GTEST_SKIP() << "the package ovmf is not installed";
    auto domain = spec("stay");
    domain.mode = VirtualizationMode::fml;
    const auto vars = dir_.path("state") + "/ovmf/" + app_id + "_OVMF_VARS.fd";
    EXPECT_EQ(run(domain).state, DomainState::running);
    EXPECT_TRUE(fs::exists(vars));
    must(hypervisor().destroy(limit(), {app_id}, DestroyMode::keep_state));
    EXPECT_TRUE(fs::exists(vars));
    must(hypervisor().destroy(limit(), {app_id}, DestroyMode::purge));
    EXPECT_FALSE(fs::exists(vars));
}

TEST_P(KvmLifecycle, LegacyGuestsBootFromAnIdeDisk) {
    auto domain = spec("stay");
    domain.mode = VirtualizationMode::legacy;
    domain.disks.push_back({.id = "cloud-init", .path = disk_of("stay", "seed"), .format = DiskFormat::raw, .read_only = true, .cdrom = true});
    EXPECT_TRUE(says(run(domain), "EVEMARK hello"));
}

TEST_P(KvmLifecycle, TheConsoleSocketCarriesWhatTheGuestSays) {
    const auto created = must(hypervisor().create(limit(), spec("stay")));
    const int console = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    ASSERT_LT(created.console_path.size(), sizeof address.sun_path);
    std::strcpy(address.sun_path, created.console_path.c_str());
    ASSERT_EQ(::connect(console, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0) << std::strerror(errno);
    must(hypervisor().start(limit(), {app_id}));
    std::string heard;
    const kvm::Limit patience(20s, -1);
    while (heard.find("EVEMARK hello") == std::string::npos && patience.wait(console, POLLIN) == kvm::Limit::Wait::ready) {
        char buffer[256];
        const auto got = ::read(console, buffer, sizeof buffer);
        if (got <= 0) break;
        heard.append(buffer, static_cast<std::size_t>(got));
    }
    ::close(console);
    EXPECT_NE(heard.find("EVEMARK hello"), std::string::npos) << heard;
}

TEST_P(KvmLifecycle, TheScreensPasswordIsWrittenNowhere) {
    constexpr const char* password = "ca\"na\\ry";
    auto domain = spec("stay");
    domain.vnc = {.enabled = true, .display = 7123, .password = {password}};
    const auto info = run(domain);
    EXPECT_EQ(info.state, DomainState::running);
    EXPECT_EQ(info.vnc_address, "127.0.0.1:13023");
    for (const auto& entry : fs::recursive_directory_iterator(dir_.path("run")))
        if (entry.is_regular_file()) {
            EXPECT_EQ(text_of(entry.path()).find("ca\"na"), std::string::npos) << entry.path();
        }
    EXPECT_EQ(text_of("/proc/" + std::to_string(info.pid) + "/cmdline").find("na\\ry"), std::string::npos);
}

// In a network namespace of its own, which goes with the test's process.
TEST_P(KvmLifecycle, AnInterfaceIsInItsBridgeWhileTheDomainExists) {
    node_.reset();
    if (::unshare(CLONE_NEWNET) != 0) GTEST_SKIP() << "no right to make a network namespace: " << std::strerror(errno);
    const int control = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    char bridge[IFNAMSIZ] = "bn1";
    if (::ioctl(control, 0x89a0 /* SIOCBRADDBR */, bridge) != 0) GTEST_SKIP() << "no bridges here: " << std::strerror(errno);
    open();
    auto domain = spec("stay");
    domain.vifs = {{.name = "nbu1x1", .bridge = "bn1", .mac = "02:16:3e:00:00:01", .mtu = 1400}};
    EXPECT_EQ(run(domain).state, DomainState::running);
    EXPECT_NE(::if_nametoindex("nbu1x1"), 0U);
    ifreq request{};
    std::strcpy(request.ifr_name, "nbu1x1");
    ASSERT_EQ(::ioctl(control, SIOCGIFMTU, &request), 0);
    EXPECT_EQ(request.ifr_mtu, 1400);
    EXPECT_TRUE(fs::exists("/proc/self/ns/net"));
    must(hypervisor().destroy(limit(), {app_id}, DestroyMode::purge));
    EXPECT_EQ(::if_nametoindex("nbu1x1"), 0U);

    domain.vifs[0].bridge = "none";
    const auto refused = hypervisor().create(limit(), domain);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code, Code::failed_precondition);
    EXPECT_EQ(refused.error().field, ".vifs[0]");
    EXPECT_EQ(::if_nametoindex("nbu1x1"), 0U);
    ::close(control);
}

}  // namespace
}  // namespace eve::plugin
