// A container in a virtual machine with a real QEMU, virtiofsd and kernel: its output, its exit code, its volumes, its end by request, and what is
// said when a part of it dies. The image is Debian's busybox.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>

#include "eve/sdk/kept_process.hpp"
#include "tests/acceptance/kvm/watching.hpp"
#include "tests/conformance/plugin_fixture.hpp"

namespace eve::plugin {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

constexpr const char* app_id = "6ba7b814-9dad-11d1-80b4-00c04fd430c8";

class ContainerVm : public ::testing::Test {
protected:
    void SetUp() override {
        for (const auto* program : {"/usr/bin/qemu-system-x86_64", "/usr/lib/qemu/virtiofsd", "/bin/busybox"})
            if (::access(program, X_OK) != 0) GTEST_SKIP() << program << " is not installed (scripts/packages run)";
        if (::geteuid() != 0) GTEST_SKIP() << "needs root, to give QEMU a user of its own";
        const auto vm = dir_.path("vm");
        const auto log = dir_.path("vm.log");
        const auto command = std::string(SOURCE_ROOT "/scripts/make-container-vm ") + vm + " --init " + built("bin/container-vm-init") + " >" + log + " 2>&1 </dev/null";
        if (std::system(command.c_str()) != 0) GTEST_SKIP() << "no kernel and RAM disk can be made here: " << text_of(log);
        node_ = std::make_unique<OpenPlugin>(dir_, built("plugins/kvm.so"), R"({"container_vm_dir":")" + vm + R"("})", Isolation::process);
        ASSERT_FALSE(node_->error) << node_->error->what;
    }
    void TearDown() override {
        if (!node_ || !node_->client) return;
        EXPECT_TRUE(hypervisor().destroy(limit(), {app_id}, DestroyMode::purge).ok());
        EXPECT_TRUE(fs::is_empty(dir_.path("run") + "/domains"));
    }

    Hypervisor& hypervisor() { return *node_->client; }
    static TimedCall limit() { return TimedCall(30s); }

    /// A volume with busybox and an image whose configuration is `config`.
    std::string image(const std::string& config) {
        const auto volume = dir_.path("volume");
        fs::remove_all(volume);
        fs::create_directories(volume + "/rootfs/bin");
        fs::create_directories(volume + "/rootfs/etc");
        fs::copy_file("/bin/busybox", volume + "/rootfs/bin/busybox", fs::copy_options::overwrite_existing);
        for (const auto* name : {"sh", "cat", "id", "sleep", "ls", "mount", "sed", "hostname", "awk", "tail", "dd", "mkdir"})
            fs::create_symlink("busybox", volume + "/rootfs/bin/" + name);
        std::ofstream(volume + "/rootfs/etc/passwd") << "root:x:0:0::/root:/bin/sh\nweb:x:1000:100::/home/web:/bin/sh\n";
        std::ofstream(volume + "/rootfs/etc/group") << "root:x:0:\nstaff:x:50:web\n";
        std::ofstream(volume + "/image-config.json") << R"({"architecture":"amd64","os":"linux","config":)" << config << "}";
        return volume;
    }
    DomainSpec app(const std::string& script, const std::string& more = {}) {
        return {.id = {app_id},
                .revision = 1,
                .name = std::string(app_id) + ".1.1",
                .mode = VirtualizationMode::hvm,
                .memory = 192_MiB,
                .vcpus = 1,
                .disks = {{.id = "root#0", .path = image(R"({"Entrypoint":["/bin/sh","-c"],"Cmd":[")" + script + R"("])" + more + "}"), .format = DiskFormat::container}}};
    }
    static DomainInfo must(Result<DomainInfo> info) {
        EXPECT_TRUE(info.ok()) << (info.ok() ? "" : info.error().what + " " + info.error().field);
        return info.ok() ? *info : DomainInfo{};
    }
    DomainInfo run(const DomainSpec& domain) {
        EXPECT_EQ(must(hypervisor().create(limit(), domain)).state, DomainState::defined);
        return must(hypervisor().start(limit(), domain.id));
    }
    DomainInfo look() { return must(hypervisor().inspect(limit(), {app_id})); }
    std::string console() { return text_of(dir_.path("run") + "/domains/" + app_id + "/console.log"); }
    bool says(const std::string& words) {
        return eventually([&] { return console().find(words) != std::string::npos; }, 90s);
    }
    DomainInfo ended() {
        EXPECT_TRUE(eventually([&] { return look().state != DomainState::running; }, 90s)) << console();
        return look();
    }

    ScratchDir dir_;
    std::unique_ptr<OpenPlugin> node_;
};

TEST_F(ContainerVm, ItsOutputIsTheAppsOwnAndItsExitCodeIsTold) {
    auto domain = app("echo out; echo err >&2; id -u; id -g; sed -n '/^Groups/p' /proc/self/status; echo $NAME at $PWD in $HOME; hostname; cat /etc/seed; echo written >/srv/file; exit 7",
                      R"(,"User":"web","WorkingDir":"/srv","Env":["NAME=image"])");
    domain.env = {{"NAME", "an app"}};
    domain.files = {{.path = "/etc/seed", .content = {"c2VlZGVkCg=="}}};
    fs::create_directories(dir_.path("volume") + "/rootfs/srv");
    ASSERT_EQ(::chown((dir_.path("volume") + "/rootfs/srv").c_str(), 1000, 100), 0);
    EXPECT_EQ(run(domain).state, DomainState::running);
    const auto info = ended();
    EXPECT_EQ(info.state, DomainState::broken);
    EXPECT_EQ(info.reason, "The app ended with exit code 7");
    ASSERT_TRUE(info.exit.has_value());
    EXPECT_EQ(info.exit->code, 7);
    const auto said = console();
    EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 8) << said;
    EXPECT_EQ(said.find('\r'), std::string::npos) << "no terminal's";
    for (const auto* line : {"out\n", "err\n", "1000\n100\n", "Groups:\t50 \n", "an app at /srv in /home/web\n", app_id, "seeded\n"}) EXPECT_THAT(said, HasSubstr(line));
    const auto file = dir_.path("volume") + "/rootfs/srv/file";
    EXPECT_EQ(text_of(file), "written\n") << "what it writes is in its volume";
    struct stat status {};
    ASSERT_EQ(::stat(file.c_str(), &status), 0);
    EXPECT_EQ(status.st_uid, 1000U);
    for (const auto& entry : fs::recursive_directory_iterator(dir_.path("run")))
        if (entry.is_regular_file() && entry.path().filename() != "console.log") {
            EXPECT_EQ(text_of(entry.path()).find("an app"), std::string::npos) << "a variable may be secret: " << entry.path();
        }
}

TEST_F(ContainerVm, ItStopsByTheSignalOfItsImageAndIsHalted) {
    run(app("trap 'echo bye; exit 3' INT; echo ready; while :; do sleep 1; done", R"(,"StopSignal":"SIGINT")"));
    ASSERT_TRUE(says("ready")) << console();
    must(hypervisor().stop(limit(), {app_id}, StopMode::ask));
    const auto info = ended();
    EXPECT_EQ(info.state, DomainState::halted) << info.reason;
    EXPECT_EQ(info.exit->code, 3);
    EXPECT_THAT(console(), HasSubstr("bye\n"));
}

TEST_F(ContainerVm, VolumesAreWhereTheUserWantsThemAndABlankDiskGetsAFileSystem) {
    auto domain = app("cat /more/there; mount | sed -n 's/.* on .data type \\\\([a-z0-9]*\\\\) .*/data is \\\\1/p'; echo kept >>/data/file; cat /data/file; ls /dev/eve/volumes/by-name");
    const auto more = dir_.path("more");
    fs::create_directories(more + "/rootfs");
    std::ofstream(more + "/rootfs/there") << "from another image\n";
    const auto disk = dir_.path("data.raw");
    std::ofstream(disk).put('\0');
    fs::resize_file(disk, 64U << 20);
    domain.disks.push_back({.id = "data#0", .path = disk, .format = DiskFormat::raw, .mount_dir = "/data", .name = "data"});
    domain.disks.push_back({.id = "more#0", .path = more, .format = DiskFormat::container, .read_only = true, .mount_dir = "/more"});
    run(domain);
    EXPECT_EQ(ended().reason, "The app ended with exit code 0") << console();
    EXPECT_EQ(console(), "from another image\ndata is ext4\nkept\ndata\n");
    must(hypervisor().destroy(limit(), {app_id}, DestroyMode::keep_state));
    domain.revision = 2;
    run(domain);
    EXPECT_EQ(ended().state, DomainState::halted);
    EXPECT_EQ(console(), "from another image\ndata is ext4\nkept\nkept\ndata\n") << "a disk with a file system keeps it";
}

TEST_F(ContainerVm, OutOfMemoryAndAProgramThatIsNotThereAreNamed) {
    run(app("dd if=/dev/zero of=/dev/null count=1 bs=$(awk '/^MemTotal/ { print $2 - 1024 }' /proc/meminfo)k; exit $?"));
    const auto info = ended();
    EXPECT_EQ(info.state, DomainState::broken);
    EXPECT_EQ(info.reason, "The app ran out of its memory") << console();
    must(hypervisor().destroy(limit(), {app_id}, DestroyMode::purge));
    auto domain = app("");
    std::ofstream(dir_.path("volume") + "/image-config.json") << R"({"config":{"Cmd":["/bin/none"]}})";
    domain.revision = 2;
    run(domain);
    EXPECT_THAT(ended().reason, HasSubstr("/bin/none: No such file or directory"));
}

TEST_F(ContainerVm, TheDeathOfWhatServesItsFileSystemIsToldAndNothingIsLeft) {
    const auto info = run(app("echo ready; while :; do sleep 1; done"));
    ASSERT_TRUE(says("ready"));
    const auto share = ::open((dir_.path("run") + "/domains/" + app_id + "/fs0").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const auto kept = sdk::read_kept_process(share);
    ::close(share);
    ASSERT_TRUE(kept.ok()) << kept.error().what;
    ASSERT_TRUE(kept->running);
    const auto status = text_of("/proc/" + std::to_string(kept->guest.pid) + "/status");
    EXPECT_THAT(status, HasSubstr("NoNewPrivs:\t1"));
    ASSERT_TRUE(sdk::signal_process(kept->guest, SIGKILL).ok());
    EXPECT_TRUE(eventually([&] { return look().state == DomainState::broken; }, 20s));
    EXPECT_THAT(look().reason, HasSubstr("virtiofsd"));
    EXPECT_EQ(must(hypervisor().destroy(limit(), {app_id}, DestroyMode::purge)).presence, Presence::absent);
    EXPECT_FALSE(sdk::alive(sdk::identify(info.pid)));
}

TEST_F(ContainerVm, WithoutAKernelTheAnswerNamesTheCommandThatMakesIt) {
    fs::remove(dir_.path("vm") + "/kernel");
    const auto refused = hypervisor().create(limit(), app("exit 0"));
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code, Code::failed_precondition);
    EXPECT_THAT(refused.error().what, HasSubstr("scripts/make-container-vm"));
    EXPECT_EQ(look().presence, Presence::absent);
}

}  // namespace
}  // namespace eve::plugin
