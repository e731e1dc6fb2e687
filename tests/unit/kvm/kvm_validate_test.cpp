// What the plugin refuses, by field; and what QEMU's states and ends mean.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include "observe.hpp"
#include "specs.hpp"
#include "validate.hpp"

namespace eve::kvm {
namespace {

using ::testing::Contains;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class Validate : public ::testing::Test {
protected:
    void expect_refused(const std::string& field) { EXPECT_THAT(problems_of(spec, {}), Contains(Field(&Problem::field, field))); }
    DomainSpec spec = test::accepted_example();
};

TEST_F(Validate, TheExampleIsAccepted) { EXPECT_THAT(problems_of(spec, {}), IsEmpty()); }

TEST_F(Validate, EachFieldAtFaultIsNamed) {
    spec.id.value = "../../etc";
    spec.name = "with/slash";
    spec.mode = VirtualizationMode::container;
    spec.memory = {};
    spec.vcpus = 0;
    spec.kernel = "relative";
    spec.extra_args = "a\"b";
    spec.gpu = "other";
    spec.virtual_tpm = true;
    spec.oem_license = true;
    for (const auto* field : {".id", ".name", ".mode", ".memory_bytes", ".vcpus", ".kernel", ".extra_args", ".gpu", ".virtual_tpm", ".oem_license"}) expect_refused(field);
}

TEST_F(Validate, DisksThatQemuCannotHaveAreRefused) {
    spec.disks.push_back({.id = "cloud-init", .path = "/x", .format = DiskFormat::raw});
    spec.disks.push_back({.id = "b", .path = "x", .format = DiskFormat::ova});
    spec.disks.push_back({.id = "c", .path = "/x\"y", .format = DiskFormat::container});
    spec.disks.push_back({.id = "d", .path = "/x", .format = DiskFormat::raw, .wwn = "naa.5"});
    for (const auto* field : {".disks[3].id", ".disks[4].path", ".disks[4].format", ".disks[5].path", ".disks[5].format", ".disks[6].wwn"}) expect_refused(field);
}

TEST_F(Validate, WhatTheAppFetchesItselfIsNoDisk) {
    spec.disks.push_back({.id = "custom", .target = DiskTarget::app_custom});
    EXPECT_THAT(problems_of(spec, {}), IsEmpty());
}

TEST_F(Validate, BusesEnd) {
    spec.disks.clear();
    for (int at = 0; at < 26; ++at) spec.disks.push_back({.id = std::to_string(at), .path = "/x", .format = DiskFormat::raw});
    EXPECT_THAT(problems_of(spec, {}), IsEmpty()) << "26 disks and an interface fill the 27 slots";
    spec.disks.push_back({.id = "one more", .path = "/x", .format = DiskFormat::raw});
    expect_refused(".vifs[0]");
    spec.disks.clear();
    for (int at = 0; at < 7; ++at) spec.disks.push_back({.id = std::to_string(at), .path = "/x", .format = DiskFormat::iso});
    expect_refused(".disks[6]");
}

TEST_F(Validate, InterfacesAreNamedAsTheKernelWouldAndHaveARealAddress) {
    spec.vifs = {{.name = "a,script=evil", .bridge = "bn1", .mac = "02:16:3e:00:00:01"},
                 {.name = "sixteen-letters-", .bridge = "b n", .mac = "03:16:3e:00:00:01"},
                 {.name = "ok", .bridge = "bn1", .mac = "02:16:3e:00:00:0", .mtu = 10},
                 {.name = "ok", .bridge = "bn1", .mac = "02:16:3e:00:00:01"}};
    for (const auto* field : {".vifs[0].name", ".vifs[1].name", ".vifs[1].bridge", ".vifs[1].mac", ".vifs[2].mac", ".vifs[2].mtu", ".vifs[3].name"}) expect_refused(field);
}

TEST_F(Validate, PciDevicesNeedAnIommuAndAWholeAddress) {
    spec.adapters = {{.kind = AdapterKind::pci, .name = "eth3", .address = "0000:03:00.0"}};
    expect_refused(".adapters[0]");
    EXPECT_THAT(problems_of(spec, {.iommu = true}), IsEmpty());
    spec.adapters[0].address = "03:00.0";
    const auto problems = problems_of(spec, {.iommu = true});
    ASSERT_EQ(problems.size(), 1U);
    EXPECT_EQ(problems[0].field, ".adapters[0].address");
}

TEST_F(Validate, OnlyDevicesThatQemuCanGiveAtTheStartAreTaken) {
    spec.adapters = {{.kind = AdapterKind::serial, .name = "COM1", .address = "/dev/ttyS1"}};
    EXPECT_THAT(problems_of(spec, {}), IsEmpty());
    spec.adapters = {{.kind = AdapterKind::usb, .address = "1:2"}, {.kind = AdapterKind::can, .address = "can0"}, {.kind = AdapterKind::interface, .address = "eth3"}};
    for (const auto* field : {".adapters[0]", ".adapters[1]", ".adapters[2]"}) expect_refused(field);
}

TEST_F(Validate, ArgumentsOfQemuAreTakenFromAListOnly) {
    spec.vmm_args = {"-global", "vfio-pci.x-no-mmap=on"};
    EXPECT_THAT(problems_of(spec, {}), IsEmpty());
    for (const auto& hostile : std::vector<std::vector<std::string>>{{"-monitor", "stdio"},
                                                                     {"-global", "vfio-pci.host=0000:00:1f.0"},
                                                                     {"-global", "vfio-pci.x-no-mmap=on,readonly=off"},
                                                                     {"-global", "vfio-pci.x-no-mmap="}}) {
        spec.vmm_args = hostile;
        expect_refused(".vmm_args[0]");
    }
    spec.vmm_args = {"-global"};
    expect_refused(".vmm_args");
}

TEST_F(Validate, FieldsWithoutEffectAreSaid) {
    EXPECT_THAT(without_effect(spec, {}), IsEmpty());
    spec.vcpus_max = 8;
    spec.memory_max = 4_GiB;
    spec.root_device = "/dev/sda1";
    spec.boot_order = BootOrder::usb;
    EXPECT_EQ(without_effect(spec, {}).size(), 4U);
}

TEST(Observe, RunStatesHaveTheirMeaning) {
    EXPECT_EQ(seen_running("running").state, DomainState::running);
    EXPECT_EQ(seen_running("prelaunch").state, DomainState::defined);
    EXPECT_EQ(seen_running("shutdown").state, DomainState::halted);
    EXPECT_EQ(seen_running("internal-error").state, DomainState::broken);
    EXPECT_EQ(seen_running("io-error").state, DomainState::paused) << "a full disk is no reason to tear a guest down";
    EXPECT_FALSE(seen_running("io-error").reason.empty());
    EXPECT_EQ(seen_running("something new").state, DomainState::unknown);
}

TEST(Observe, EndsAreToldApart) {
    EXPECT_EQ(seen_ended({.code = 0}, true, "").state, DomainState::halted);
    EXPECT_EQ(seen_ended({.signal = SIGKILL}, true, "").state, DomainState::halted);
    EXPECT_EQ(seen_ended({.signal = SIGSEGV}, false, "").reason, "QEMU was killed by signal 11 (SIGSEGV)");
    EXPECT_THAT(seen_ended({.signal = SIGKILL, .oom = true}, false, "").reason, HasSubstr("want of memory"));
    EXPECT_EQ(seen_ended({.code = 1}, false, "2026-01-01T00:00:00.1Z qemu-system-x86_64: -device x: no such thing\n").reason,
              "QEMU ended with code 1: -device x: no such thing");
    EXPECT_EQ(seen_ended({}, false, "").state, DomainState::broken);
    EXPECT_EQ(seen_ended({.code = 0}, false, "").state, DomainState::broken) << "nobody asked it to end";
}

TEST(Observe, LastWordsAreOneCleanLine) {
    EXPECT_EQ(last_line(""), "");
    EXPECT_EQ(last_line("first\nqemu-system-x86_64: second\x1b[31m\n\n"), "second [31m");
    EXPECT_EQ(last_line("real trouble\nqemu-system-x86_64: warning: a hint\n"), "real trouble");
    EXPECT_EQ(last_line(std::string(5000, 'x')).size(), 200U);
}

}  // namespace
}  // namespace eve::kvm
