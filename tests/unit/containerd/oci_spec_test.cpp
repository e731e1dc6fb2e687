// From images and domains to runtime specifications, users and states: the pure parts of the containerd plugin.

#include <gmock/gmock.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "containerd/cgroup.hpp"
#include "containerd/host_interfaces.hpp"
#include "containerd/oci_spec.hpp"
#include "common/rootfs.hpp"
#include "containerd/validate.hpp"
#include "tests/doubles/temp_dir.hpp"

namespace eve::containerd {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

DomainSpec app() {
    return {.id = {"6ba7b810-9dad-11d1-80b4-00c04fd430c8"},
            .revision = 3,
            .name = "6ba7b810-9dad-11d1-80b4-00c04fd430c8.2.7",
            .mode = VirtualizationMode::container,
            .memory = 64_MiB,
            .vcpus = 2,
            .disks = {{.id = "r#0", .path = "/v/root", .format = DiskFormat::container},
                      {.id = "d#0", .path = "/v/data.raw", .format = DiskFormat::raw, .read_only = true, .mount_dir = "/data", .name = "settings"},
                      {.id = "t#0", .path = "/v/tree", .format = DiskFormat::container, .mount_dir = "/tree"}}};
}

oci::Spec spec_of(const DomainSpec& domain, const ImageConfig& image, const oci::User& user = {}, const std::string& resolv = {}) {
    auto spec = runtime_spec({.domain = domain, .image = image, .user = user, .resolv_conf = resolv, .cgroup_parent = "/eve-user-apps"});
    EXPECT_TRUE(spec) << spec.error().what;
    return spec ? *spec : oci::Spec{};
}
const ImageConfig plain{.Entrypoint = {"/app"}};

std::vector<std::string> destinations(const oci::Spec& spec) {
    std::vector<std::string> all;
    for (const auto& mount : spec.mounts)
        if (mount.type == "bind") all.push_back(mount.source + " " + mount.destination + " " + mount.options.back());
    return all;
}

TEST(OciSpec, VolumesAreByNumberByNameAndWhereTheUserWantsThem) {
    EXPECT_THAT(destinations(spec_of(app(), plain, {}, "/run/r")),
                ElementsAre("/v/data.raw /dev/eve/volumes/by-id/1 ro", "/v/data.raw /dev/eve/volumes/by-name/settings ro", "/v/data.raw /data/1 ro",
                            "/v/tree/rootfs /dev/eve/volumes/by-id/2 rw", "/v/tree/rootfs /tree rw", "/run/r /etc/resolv.conf ro"));
}

TEST(OciSpec, EntrypointAndCommandMakeTheArgumentsAndAVariableReplacesThem) {
    auto domain = app();
    EXPECT_THAT(spec_of(domain, {.Entrypoint = {"/app", "-v"}, .Cmd = {"serve"}}).process.args, ElementsAre("/app", "-v", "serve"));
    EXPECT_THAT(spec_of(domain, {.Cmd = {"serve"}}).process.args, ElementsAre("serve"));
    domain.env = {{"EVE_ECO_CMD", " \"/bin/sh  -c\ttrue\" "}};
    EXPECT_THAT(spec_of(domain, plain).process.args, ElementsAre("/bin/sh", "-c", "true"));
    domain.env.clear();
    const auto nothing = runtime_spec({.domain = domain, .image = {}, .user = {}, .resolv_conf = {}, .cgroup_parent = {}});
    ASSERT_FALSE(nothing);
    EXPECT_EQ(nothing.error().code, Code::failed_precondition);
}

TEST(OciSpec, TheAppsVariablesTakeThePlaceOfTheImages) {
    auto domain = app();
    domain.env = {{"B", "app"}, {"C", "x=y"}};
    EXPECT_THAT(spec_of(domain, {.Env = {"PATH=/bin", "A=1", "B=image"}, .Cmd = {"x"}}).process.env, ElementsAre("PATH=/bin", "A=1", "B=app", "C=x=y"));
    EXPECT_THAT(spec_of(domain, plain).process.env, Contains(HasSubstr("PATH=/usr/local/sbin")));
}

TEST(OciSpec, ResourcesAreTheDomains) {
    auto domain = app();
    domain.cpus = {1, 3};
    const auto spec = spec_of(domain, plain);
    EXPECT_EQ(spec.platform->resources.memory.limit, 64 << 20);
    EXPECT_EQ(spec.platform->resources.cpu.quota, 200'000);
    EXPECT_EQ(spec.platform->resources.cpu.period, 100'000U);
    EXPECT_EQ(spec.platform->resources.cpu.cpus, "1,3");
    EXPECT_EQ(spec.platform->cgroupsPath, "/eve-user-apps/" + domain.name);
    EXPECT_EQ(spec.hostname, domain.id.value);
    EXPECT_EQ(spec.root.path, "/v/root/rootfs");
}

TEST(OciSpec, TheTextHasWhatRuntimesInsistOn) {
    const auto text = spec_text(spec_of(app(), plain));
    ASSERT_TRUE(text);
    for (const auto* words : {R"("linux":{)", R"("devices":[{"access":"rwm","allow":false}])", R"("user":{})", R"("noNewPrivileges":true)", R"("type":"network")"})
        EXPECT_THAT(*text, HasSubstr(words));
    EXPECT_THAT(*text, Not(HasSubstr("platform")));
    auto domain = app();
    domain.env = {{"A", "\xff"}};
    EXPECT_FALSE(spec_text(spec_of(domain, plain))) << "what is not UTF-8 is refused, not changed";
}

TEST(ImageConfiguration, NullCountsAsLeftOutAndTheRestIsIgnored) {
    const auto image = read_image_config(R"({"os":"linux","config":{"Cmd":["x"],"Entrypoint":null,"Volumes":{"/v":{}},"User":"web","StopSignal":"SIGINT"},"rootfs":null})");
    ASSERT_TRUE(image) << image.error().what;
    EXPECT_EQ(*image, (ImageConfig{.User = "web", .Cmd = {"x"}, .StopSignal = "SIGINT"}));
    EXPECT_FALSE(read_image_config("[]"));
    EXPECT_FALSE(read_image_config(R"({"config":{"Cmd":"x"}})"));
    EXPECT_FALSE(read_image_config(std::string(100, '[')));
}

TEST(ImageConfiguration, SignalsHaveNamesAndNumbers) {
    EXPECT_EQ(*signal_number(""), static_cast<std::uint32_t>(SIGTERM));
    EXPECT_EQ(*signal_number("SIGQUIT"), static_cast<std::uint32_t>(SIGQUIT));
    EXPECT_EQ(*signal_number("USR1"), static_cast<std::uint32_t>(SIGUSR1));
    EXPECT_EQ(*signal_number("9"), 9U);
    EXPECT_EQ(*signal_number("SIGRTMIN+3"), 37U);
    EXPECT_EQ(*signal_number("SIGRTMIN"), 34U);
    for (const auto* bad : {"0", "65", "SIGNOTHING", "SIGRTMIN+99", "-1", "SIG"}) EXPECT_FALSE(signal_number(bad)) << bad;
}

TEST(OciSpec, Defect28_DevicesOfTheHostAreAllowedByNumberAndAnInterfaceBringsTheRightToUseIt) {
    auto domain = app();
    domain.adapters = {{.kind = AdapterKind::serial, .name = "com1", .address = "/dev/null"}, {.kind = AdapterKind::interface, .name = "uplink", .address = "eth1"}};
    auto nodes = device_nodes(domain.adapters);
    ASSERT_TRUE(nodes) << nodes.error().what;
    ASSERT_EQ(nodes->size(), 1U);
    EXPECT_EQ(nodes->front().major, 1);
    EXPECT_EQ(nodes->front().minor, 3);
    const auto spec = runtime_spec({.domain = domain, .image = {.Entrypoint = {"/app"}}, .user = {}, .resolv_conf = {}, .cgroup_parent = "/eve", .devices = *nodes});
    ASSERT_TRUE(spec);
    EXPECT_EQ(spec->platform->devices, *nodes);
    EXPECT_EQ(spec->platform->resources.devices.back(), (oci::DeviceRule{.allow = true, .type = "c", .major = 1, .minor = 3, .access = "rwm"}));
    for (const auto* set : {&spec->process.capabilities.effective, &spec->process.capabilities.ambient, &spec->process.capabilities.inheritable})
        EXPECT_THAT(*set, ::testing::Contains("CAP_NET_ADMIN"));
    domain.adapters[0].address = "/dev/there-is-no-such-port";
    EXPECT_EQ(device_nodes(domain.adapters).error().field, ".adapters[0].address");
    domain.adapters.clear();
    EXPECT_THAT(runtime_spec({.domain = domain, .image = {.Entrypoint = {"/app"}}, .user = {}, .resolv_conf = {}, .cgroup_parent = "/eve"})->process.capabilities.bounding,
                ::testing::Not(::testing::Contains("CAP_NET_ADMIN")));
}

TEST(ImageUser, IsFoundAsContainerdFindsIt) {
    const std::string passwd = "root:x:0:0::/:/bin/sh\nweb:x:1000:100::/www:/bin/sh\nbroken:x\n";
    const std::string group = "root:x:0:\nstaff:x:50:other,web\nwheel:x:60:web\n";
    EXPECT_EQ(*find_user("", passwd, group), (oci::User{}));
    EXPECT_EQ(*find_user("web", passwd, group), (oci::User{.uid = 1000, .gid = 100, .additionalGids = {50, 60}}));
    EXPECT_EQ(*find_user("1000", passwd, group), (oci::User{.uid = 1000, .gid = 100, .additionalGids = {50, 60}}));
    EXPECT_EQ(*find_user("web:staff", passwd, group), (oci::User{.uid = 1000, .gid = 50}));
    EXPECT_EQ(*find_user("7:8", "", ""), (oci::User{.uid = 7, .gid = 8}));
    EXPECT_FALSE(find_user("nobody", passwd, group));
    EXPECT_FALSE(find_user("web:nobody", passwd, group));
    EXPECT_FALSE(find_user("4294967296", "", ""));
}

TEST(RootFileSystem, WhatIsReadAndWrittenStaysBeneathIt) {
    TempDir dir;
    namespace fs = std::filesystem;
    const fs::path base = dir.path();
    fs::create_directories(base / "rootfs/etc");
    fs::create_directories(base / "outside");
    std::ofstream(base / "outside/passwd") << "secret";
    fs::create_symlink("../../outside/passwd", base / "rootfs/etc/passwd");
    fs::create_directory_symlink(base / "outside", base / "rootfs/abs");
    const auto rootfs = open_rootfs(base / "rootfs");
    ASSERT_TRUE(rootfs);
    EXPECT_FALSE(read_beneath(rootfs->get(), "etc/passwd", 100));
    EXPECT_FALSE(write_beneath(rootfs->get(), "/abs/file", "x", 0)) << "its target is not in the image";
    EXPECT_FALSE(write_beneath(rootfs->get(), "/../outside/file", "x", 0));
    ASSERT_TRUE(write_beneath(rootfs->get(), "/a/b/c", "text", 0600));
    EXPECT_EQ(*read_beneath(rootfs->get(), "a/b/c", 100), "text");
    EXPECT_EQ(fs::status(base / "rootfs/a/b/c").permissions(), fs::perms::owner_read | fs::perms::owner_write);
    fs::create_symlink("/etc/target", base / "rootfs/etc/link");
    ASSERT_TRUE(write_beneath(rootfs->get(), "/etc/link", "mine", 0)) << "a link at the end is replaced";
    EXPECT_FALSE(fs::is_symlink(base / "rootfs/etc/link"));
    EXPECT_FALSE(write_beneath(rootfs->get(), "/etc", "x", 0)) << "a directory is not replaced";
    EXPECT_EQ(std::distance(fs::directory_iterator(base / "outside"), fs::directory_iterator{}), 1);
    fs::create_directory_symlink(base / "rootfs", base / "link");
    EXPECT_FALSE(open_rootfs(base / "link"));
}

TEST(Base64, IsReadStrictly) {
    EXPECT_EQ(*from_base64("aGVsbG8="), "hello");
    EXPECT_EQ(*from_base64(""), "");
    EXPECT_EQ(from_base64("/+8=")->size(), 2U);
    for (const auto* bad : {"a", "ab", "a!==", "aGVs bG8"}) EXPECT_FALSE(from_base64(bad)) << bad;
}

TEST(Validate, ATypicalAppIsTakenAndEveryFaultHasItsField) {
    EXPECT_THAT(problems_of(app()), IsEmpty());
    const auto field_of = [](const std::function<void(DomainSpec&)>& change) {
        auto spec = app();
        change(spec);
        const auto problems = problems_of(spec);
        return problems.empty() ? std::string("none") : problems.front().field;
    };
    EXPECT_EQ(field_of([](auto& s) { s.id.value = "../x"; }), ".id");
    EXPECT_EQ(field_of([](auto& s) { s.mode = VirtualizationMode::hvm; }), ".mode");
    EXPECT_EQ(field_of([](auto& s) { s.memory = {}; }), ".memory_bytes");
    EXPECT_EQ(field_of([](auto& s) { s.vcpus = 0; }), ".vcpus");
    EXPECT_EQ(field_of([](auto& s) { s.name = "a/b"; }), ".name");
    EXPECT_EQ(field_of([](auto& s) { s.disks[0].format = DiskFormat::raw; }), ".disks");
    EXPECT_EQ(field_of([](auto& s) { s.disks[1].mount_dir = "data"; }), ".disks[1].mount_dir");
    EXPECT_EQ(field_of([](auto& s) { s.disks[1].mount_dir = "/a/../../b"; }), ".disks[1].mount_dir");
    EXPECT_EQ(field_of([](auto& s) { s.disks[1].name = "a/b"; }), ".disks[1].name");
    EXPECT_EQ(field_of([](auto& s) { s.disks[2].name = "settings"; }), ".disks[2].name");
    EXPECT_EQ(field_of([](auto& s) { s.vifs = {{.name = "nbu1x1", .bridge = "", .mac = "02:16:3e:00:00:01"}}; }), ".vifs[0].bridge");
    EXPECT_EQ(field_of([](auto& s) { s.kernel = "/k"; }), ".kernel");
    EXPECT_EQ(field_of([](auto& s) { s.adapters.push_back({.kind = AdapterKind::pci, .address = "0000:03:00.0"}); }), ".adapters[0].kind");
    EXPECT_EQ(field_of([](auto& s) { s.adapters.push_back({.kind = AdapterKind::serial, .address = "ttyS0"}); }), ".adapters[0].address");
    EXPECT_EQ(field_of([](auto& s) { s.adapters.push_back({.kind = AdapterKind::interface, .name = "a/b", .address = "eth1"}); }), ".adapters[0].name");
    EXPECT_EQ(field_of([](auto& s) {
                  s.vifs = {{.name = "nbu1x1", .bridge = "bn1", .mac = "02:16:3e:00:00:01"}};
                  s.adapters.push_back({.kind = AdapterKind::interface, .name = "eth0", .address = "eth1"});
              }),
              ".adapters[0].name")
        << "the container's own first one";
    EXPECT_EQ(field_of([](auto& s) { s.adapters.push_back({.kind = AdapterKind::interface, .name = "uplink", .address = "a name that is too long"}); }),
              ".adapters[0].address");
    EXPECT_EQ(field_of([](auto& s) { s.env = {{"A=B", ""}}; }), ".env");
    EXPECT_EQ(field_of([](auto& s) { s.files = {{.path = "etc/x"}}; }), ".files[0].path");
    EXPECT_EQ(field_of([](auto& s) { s.files = {{.path = "/etc/x", .content = {"!"}}}; }), ".files[0].content");
}

TEST(Seen, HowATaskEndedDecidesWhatTheDomainIs) {
    const auto of = [](std::uint32_t status, bool asked, bool oom) { return seen({.state = TaskState::stopped, .exit_status = status}, asked, oom); };
    EXPECT_EQ(of(0, false, false).state, DomainState::halted);
    EXPECT_EQ(of(0, false, true).exit->oom, false) << "a child that was killed and survived is no end";
    EXPECT_EQ(of(3, false, false).state, DomainState::broken);
    EXPECT_EQ(of(3, true, false).state, DomainState::halted);
    EXPECT_EQ(of(143, true, false).exit->signal, SIGTERM);
    EXPECT_EQ(of(137, true, true).state, DomainState::broken);
    EXPECT_THAT(of(137, false, true).reason, HasSubstr("memory"));
    EXPECT_EQ(of(255, false, false).exit->code, 255);
    EXPECT_EQ(seen({.state = TaskState::created}, false, false).state, DomainState::defined);
    EXPECT_EQ(seen({.state = TaskState::running}, true, false).state, DomainState::running);
    EXPECT_EQ(seen({.state = TaskState::paused}, false, false).state, DomainState::paused);
}

TEST(Cgroups, BothVersionsTellTheSame) {
    TempDir dir;
    namespace fs = std::filesystem;
    const fs::path base = dir.path();
    const auto file = [&](const std::string& name, const std::string& text) {
        fs::create_directories((base / name).parent_path());
        std::ofstream(base / name) << text;
    };
    file("v1/memory/a/b/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n");
    file("v1/memory/a/b/memory.usage_in_bytes", "4096\n");
    file("v1/memory/a/b/memory.max_usage_in_bytes", "8192\n");
    file("v1/cpuacct/a/b/cpuacct.usage", "5000000\n");
    file("v2/cgroup.controllers", "memory\n");
    file("v2/a/b/memory.events", "low 0\noom 1\noom_kill 2\noom_group_kill 0\n");
    file("v2/a/b/memory.current", "4096\n");
    file("v2/a/b/memory.peak", "8192\n");
    file("v2/a/b/cpu.stat", "usage_usec 5000\nuser_usec 1\n");
    for (const auto* version : {"v1", "v2"}) {
        const Cgroups groups(base / version);
        EXPECT_EQ(groups.oom_kills("/a/b"), 2U) << version;
        EXPECT_EQ(groups.memory_used("/a/b").n, 4096U);
        EXPECT_EQ(groups.memory_used_max("/a/b").n, 8192U);
        EXPECT_EQ(groups.cpu_time("/a/b"), std::chrono::milliseconds{5});
        EXPECT_EQ(groups.oom_kills("/gone"), 0U);
    }
}

}  // namespace
}  // namespace eve::containerd
