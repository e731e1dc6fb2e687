// A container in a virtual machine: what QEMU is told, what the guest is told, and what of the guest's own words is believed.

#include "container_vm.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "degrade.hpp"
#include "qemu_config.hpp"
#include "specs.hpp"
#include "validate.hpp"

namespace eve::kvm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

DomainSpec container() {
    auto spec = test::accepted_example();
    spec.memory = 256_MiB;
    spec.disks = {{.id = "root#0", .path = "/persist/vault/volumes/root#0.container", .format = DiskFormat::container},
                  {.id = "data#0", .path = "/persist/vault/volumes/data#0.qcow2", .format = DiskFormat::qcow2, .mount_dir = "/data", .name = "data"},
                  {.id = "more#0", .path = "/persist/vault/volumes/more#0.container", .format = DiskFormat::container, .read_only = true, .mount_dir = "/more"},
                  {.id = "iso#0", .path = "/persist/vault/volumes/iso#0.iso", .format = DiskFormat::iso, .cdrom = true, .mount_dir = "/iso"}};
    return spec;
}

QemuPlan plan_of(DomainSpec spec) {
    spec.kernel = "/usr/share/evenode/container-vm/kernel";
    spec.ramdisk = "/usr/share/evenode/container-vm/initramfs";
    spec.extra_args = "rdinit=/init";
    return eve_plan(spec, test::eve_layout());
}

std::string text_of(const QemuPlan& plan) {
    std::string text = "# arguments:";
    for (const auto& argument : plan.args) text += " " + (argument.find(' ') == std::string::npos ? argument : "'" + argument + "'");
    const auto config = config_text(plan.sections);
    EXPECT_TRUE(config.ok()) << (config.ok() ? "" : config.error().field);
    return text + "\n" + (config ? *config : "");
}

TEST(ContainerVm, QemuIsToldOfSharedFileSystemsDisksWithSerialNumbersAndAPortForTheReport) {
    const auto made = text_of(plan_of(container()));
    const auto path = std::string(TEST_DATA_DIR) + "/container.cfg";
    if (std::getenv("EVE_GOLDEN") != nullptr) std::ofstream(path) << made;  // for a person to read the difference
    std::ifstream file(path);
    std::stringstream golden;
    golden << file.rdbuf();
    EXPECT_EQ(made, golden.str());
}

TEST(ContainerVm, QemuGetsDescriptorsAndNoPathOfAVolume) {
    auto plan = plan_of(container());
    const auto handed = confine(plan);
    const auto text = text_of(plan);
    EXPECT_THAT(text, Not(HasSubstr("/persist")));
    EXPECT_THAT(text, Not(HasSubstr("/run/hypervisor")));
    const auto shares = std::count_if(handed.begin(), handed.end(), [](const auto& one) { return one.kind == Handover::Kind::share; });
    EXPECT_EQ(shares, 2);
    EXPECT_TRUE(std::any_of(handed.begin(), handed.end(), [](const auto& one) { return one.kind == Handover::Kind::share && one.path == "fs2"; }));
    EXPECT_TRUE(std::any_of(handed.begin(), handed.end(), [](const auto& one) { return one.kind == Handover::Kind::report && one.path == "app-exit"; }));
}

TEST(ContainerVm, WhatCannotBeIsRefusedWithItsField) {
    EXPECT_THAT(problems_of(container(), {}), IsEmpty());
    const auto field_of = [](const std::function<void(DomainSpec&)>& change) {
        auto spec = container();
        change(spec);
        const auto problems = problems_of(spec, {});
        return problems.empty() ? std::string("none") : problems.front().field;
    };
    EXPECT_EQ(field_of([](auto& s) { s.mode = VirtualizationMode::pv; }), "none");
    EXPECT_EQ(field_of([](auto& s) { s.mode = VirtualizationMode::legacy; }), ".mode");
    EXPECT_EQ(field_of([](auto& s) { s.mode = VirtualizationMode::fml; }), ".mode");
    EXPECT_EQ(field_of([](auto& s) { s.memory = 64_MiB; }), ".memory_bytes");
    EXPECT_EQ(field_of([](auto& s) { s.kernel = "/k"; }), ".kernel");
    EXPECT_EQ(field_of([](auto& s) { s.disks[0].path = "/a,b"; }), ".disks[0].path");
    EXPECT_EQ(field_of([](auto& s) { s.disks[1].mount_dir = "data"; }), ".disks[1].mount_dir");
    EXPECT_EQ(field_of([](auto& s) { s.disks[1].name = "a/b"; }), ".disks[1].name");
    EXPECT_EQ(field_of([](auto& s) { s.env = {{"A=B", ""}}; }), ".env");
    EXPECT_EQ(field_of([](auto& s) { s.files = {{.path = "x"}}; }), ".files[0].path");
    EXPECT_EQ(field_of([](auto& s) { std::swap(s.disks[0], s.disks[1]); }), ".disks[1].format") << "the first volume decides";
    auto machine = test::accepted_example();
    machine.env = {{"A", "b"}};
    EXPECT_EQ(problems_of(machine, {}).front().field, ".env");
    const Offer arm{.architecture = Architecture::aarch64};
    EXPECT_EQ(problems_of(container(), arm).front().field, ".disks[0].format");
}

TEST(ContainerVm, TheGuestIsToldWhatTheImageAndTheAppSay) {
    auto spec = container();
    spec.env = {{"NAME", "mine"}, {"MORE", "x"}};
    const plugins::ImageConfig image{.User = "web", .Env = {"NAME=image", "PATH=/bin"}, .Entrypoint = {"/bin/app"}, .Cmd = {"a b", ""}, .WorkingDir = "srv", .StopSignal = "SIGINT"};
    std::vector<std::string> notes;
    const auto order = guest_order(spec, image, "root:x:0:0::/root:/bin/sh\nweb:x:1000:100::/home/web:/bin/sh\n", "staff:x:50:web\n", notes);
    ASSERT_TRUE(order.ok()) << order.error().what;
    EXPECT_THAT(notes, IsEmpty());
    EXPECT_EQ(order->host_name, test::app_id);
    EXPECT_THAT(order->args, ElementsAre("/bin/app", "a b", ""));
    EXPECT_THAT(order->env, ElementsAre("PATH=/bin", "MORE=x", "NAME=mine", "HOME=/home/web"));
    EXPECT_EQ(order->cwd, "/srv");
    EXPECT_EQ(order->uid, 1000U);
    EXPECT_EQ(order->gid, 100U);
    EXPECT_THAT(order->groups, ElementsAre(50U));
    EXPECT_EQ(order->stop_signal, 2U);
    EXPECT_THAT(order->macs, ElementsAre("02:16:3e:01:00:03"));
    ASSERT_EQ(order->volumes.size(), 3U);
    EXPECT_EQ(order->volumes[0], (GuestVolume{.number = 1, .name = "data", .block = true, .source = "volume1", .target = "/data"}));
    EXPECT_EQ(order->volumes[1], (GuestVolume{.number = 2, .source = "volume2", .target = "/more", .read_only = true}));
    EXPECT_TRUE(order->volumes[2].block && order->volumes[2].read_only);
    const auto again = read_order(*order_text(*order));
    ASSERT_TRUE(again.ok()) << again.error().what;
    EXPECT_EQ(*again, *order);
}

TEST(ContainerVm, AnImageThatNamesNothingToRunOrAnUnknownUserIsAPrecondition) {
    std::vector<std::string> notes;
    EXPECT_EQ(guest_order(container(), {}, "", "", notes).error().code, Code::failed_precondition);
    EXPECT_EQ(guest_order(container(), {.User = "nobody", .Cmd = {"/x"}}, "", "", notes).error().code, Code::failed_precondition);
    EXPECT_TRUE(guest_order(container(), {.Cmd = {"/x"}, .StopSignal = "SIGNOTHING"}, "", "", notes).ok());
    EXPECT_THAT(notes, ElementsAre(HasSubstr("SIGNOTHING")));
}

TEST(GuestOrder, AnyTextSurvivesTheWayAndANulIsRefused) {
    for (const std::string_view text : {std::string_view{}, std::string_view{"="}, std::string_view{"a=b\nc='\"$(x)\\"}, std::string_view{"\xff\x01 "}, std::string_view{"a\0b", 3}}) {
        const GuestOrder order{.host_name = "h", .args = {std::string(text), "last"}, .env = {std::string(text)}, .cwd = std::string(text), .uid = 7};
        const auto written = order_text(order);
        ASSERT_EQ(written.ok(), text.find('\0') == std::string_view::npos);
        if (!written) continue;
        const auto again = read_order(*written);
        ASSERT_TRUE(again.ok()) << again.error().what;
        EXPECT_EQ(*again, order);
    }
    EXPECT_FALSE(read_order(""));
    for (const std::string_view bad : {"arg=x", "what=x", "uid=-1", "uid=4294967296", "volume.name=x", "x"})
        EXPECT_FALSE(read_order(std::string(bad) + (bad == "arg=x" ? "" : std::string(1, '\0')))) << bad;
}

TEST(GuestOrder, TheArchiveBehindTheRamDiskIsWhatTheKernelReads) {
    const auto archive = cpio_of("order", "abcde", 0400);
    EXPECT_EQ(archive.size() % 4, 0U);
    EXPECT_EQ(archive.substr(0, 6), "070701");
    EXPECT_EQ(archive.substr(14, 8), "00008100") << "a regular file, readable by root";
    EXPECT_EQ(archive.substr(54, 8), "00000005") << "its size";
    EXPECT_EQ(archive.substr(110, 6), std::string("order\0", 6));
    EXPECT_EQ(archive.substr(116, 5), "abcde");
    EXPECT_THAT(archive, HasSubstr("TRAILER!!!"));
}

TEST(ExitReport, WhatTheGuestWritesIsReadBack) {
    for (const ExitReport& report : {ExitReport{.exit = {.code = 0}}, ExitReport{.exit = {.code = 255}}, ExitReport{.exit = {.signal = 9, .oom = true}},
                                     ExitReport{.failure = "the app could not be started: /bin/x: No such file or directory"}})
        EXPECT_EQ(read_report(report_text(report)), report);
    EXPECT_EQ(read_report(report_text({.exit = {.code = 7}}) + "evenode-exit 1\ncode 0\nend\n")->exit.code, 7) << "the first counts";
}

TEST(ExitReport, WhatAGuestMayNotSayIsNoReport) {
    for (const auto* bad : {"", "evenode-exit 1\n", "evenode-exit 1\ncode 7\n", "evenode-exit 1\nend\n", "evenode-exit 2\ncode 7\nend\n", "evenode-exit 1\ncode 256\nend\n",
                            "evenode-exit 1\ncode -1\nend\n", "evenode-exit 1\ncode 7\ncode 0\nend\n", "evenode-exit 1\nsignal 0\nend\n", "evenode-exit 1\nsignal 65\nend\n",
                            "evenode-exit 1\ncode 0\nsignal 9\nend\n", "evenode-exit 1\noom 1\nend\n", "evenode-exit 1\nfailed \x1b[2J\nend\n", "evenode-exit 1\nother 1\nend\n",
                            "code 7\nend\n"})
        EXPECT_EQ(read_report(bad), std::nullopt) << bad;
    EXPECT_EQ(read_report("evenode-exit 1\nfailed " + std::string(failure_size_max + 1, 'x') + "\nend\n"), std::nullopt);
    EXPECT_EQ(read_report("evenode-exit 1\ncode 7\n" + std::string(report_size_max, 'x')), std::nullopt);
}

TEST(ExitReport, AnEndMeansWhatItMeansWithoutAVirtualMachine) {
    const auto of = [](const ExitStatus& exit, bool asked) { return seen_report(ExitReport{.exit = exit}, asked); };
    EXPECT_EQ(of({.code = 0}, false), (Seen{.state = DomainState::halted, .reason = "The app ended with exit code 0"}));
    EXPECT_EQ(of({.code = 7}, false), (Seen{.state = DomainState::broken, .reason = "The app ended with exit code 7"}));
    EXPECT_EQ(of({.code = 7}, true).state, DomainState::halted);
    EXPECT_EQ(of({.signal = 9, .oom = true}, true), (Seen{.state = DomainState::broken, .reason = "The app ran out of its memory"}));
    EXPECT_EQ(seen_report(ExitReport{.failure = "why"}, false), (Seen{.state = DomainState::broken, .reason = "why"}));
    EXPECT_EQ(seen_report(std::nullopt, false).state, DomainState::broken);
    EXPECT_EQ(seen_report(std::nullopt, true).state, DomainState::halted);
}

}  // namespace
}  // namespace eve::kvm
