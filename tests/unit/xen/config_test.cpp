// What Xen is told of a domain, and what a domain's state is: pure.

#include <gmock/gmock.h>

#include "config.hpp"
#include "observe.hpp"
#include "validate.hpp"

namespace eve::xen {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

DomainSpec spec_of(VirtualizationMode mode) {
    return {.id = {"0c1d2e3f-0000-4000-8000-000000000001"},
            .revision = 7,
            .name = "app.1.1",
            .mode = mode,
            .memory = Bytes{(64ULL << 20) + 1},
            .vcpus = 2,
            .disks = {{.id = "a", .path = "/v/a.raw", .format = DiskFormat::raw},
                      {.id = "b", .path = "/v/b.qcow2", .format = DiskFormat::qcow2, .read_only = true},
                      {.id = "custom", .path = "", .target = DiskTarget::app_custom},
                      {.id = "cloud-init", .path = "/v/c.iso", .format = DiskFormat::iso}},
            .vifs = {{.name = "nbu1x1", .bridge = "bn1", .mac = "02:16:3e:00:00:01", .mtu = 1400}}};
}
const Facts capable{.hvm = true, .directio = true, .pvh_firmware = true, .uefi_firmware = true, .directory = "/run/d"};

XenConfig planned(const DomainSpec& spec, const Facts& facts = capable) {
    auto made = plan(spec, facts, {});
    EXPECT_TRUE(made) << made.error().what;
    return made ? made->config : XenConfig{};
}

TEST(XenPlan, AnHvmAppIsToldAsEveTellsIt) {
    EXPECT_EQ(config_text(planned(spec_of(VirtualizationMode::hvm))), R"(name = "app.1.1"
uuid = "0c1d2e3f-0000-4000-8000-000000000001"
type = "hvm"
memory = 65
vcpus = 2
boot = "dc"
serial = [ "unix:/run/d/cons,server=on,wait=off,logfile=/run/d/console.log,logappend=on" ]
nographic = 1
vga = "none"
vnc = 0
disk = [ "format=raw,vdev=xvda,access=rw,target=/v/a.raw", "format=qcow2,vdev=xvdb,access=ro,target=/v/b.qcow2", "format=raw,vdev=xvdc,access=ro,devtype=cdrom,target=/v/c.iso" ]
vif = [ "bridge=bn1,vifname=nbu1x1,mac=02:16:3e:00:00:01,type=vif,mtu=1400" ]
)");
}

TEST(XenPlan, LegacyAndFmlHaveAhciDisksAndEmulatedNics) {
    for (const auto mode : {VirtualizationMode::legacy, VirtualizationMode::fml}) {
        const auto config = planned(spec_of(mode));
        EXPECT_TRUE(config.ahci);
        EXPECT_TRUE(config.nics[0].emulated);
    }
    EXPECT_EQ(planned(spec_of(VirtualizationMode::fml)).uefi, Settings{}.uefi_firmware);
}

TEST(XenPlan, APvAppIsPvhWhereTheCpuVirtualizesAndTheKernelCan) {
    auto spec = spec_of(VirtualizationMode::pv);
    spec.kernel = "/k";
    spec.extra_args = "quiet";
    auto facts = capable;
    EXPECT_EQ(planned(spec, facts).type, DomainType::pvh) << "a bzImage says nothing of its entries";
    EXPECT_EQ(planned(spec, facts).command_line, "console=hvc0 appuuid=0c1d2e3f-0000-4000-8000-000000000001 quiet");
    facts.kernel = {.elf = true, .pv_entry = true};
    EXPECT_EQ(planned(spec, facts).type, DomainType::pv) << "no PVH entry";
    facts = {.hvm = false};
    EXPECT_EQ(planned(spec, facts).type, DomainType::pv) << "no virtualization";
    spec.adapters = {{.kind = AdapterKind::pci, .name = "disk", .address = "0000:00:05.0"}};
    const auto with_device = planned(spec);
    EXPECT_EQ(with_device.type, DomainType::pv) << "PVH guests get no devices";
    ASSERT_EQ(with_device.pcis.size(), 1U);
    EXPECT_EQ(with_device.pcis[0].device, 5U);
}

TEST(XenPlan, S49_ArgumentsOfPvFlagsOfFmlUsbControllersAndSerialPortsAreEves) {
    auto spec = spec_of(VirtualizationMode::pv);
    spec.kernel = "/k";
    spec.extra_args = "quiet";
    EXPECT_THAT(planned(spec).command_line, ::testing::StartsWith("console=hvc0 appuuid="));
    auto fml = spec_of(VirtualizationMode::fml);
    fml.adapters = {{.kind = AdapterKind::pci, .name = "usb", .address = "0000:00:14.0"}, {.kind = AdapterKind::serial, .name = "com2", .address = "/dev/ttyS1"}};
    auto facts = capable;
    facts.usb_controllers = {"0000:00:14.0"};
    const auto config = planned(fml, facts);
    EXPECT_EQ(config.type, DomainType::hvm);
    ASSERT_EQ(config.nics.size(), 1U);
    EXPECT_TRUE(config.nics[0].emulated) << "type ioemu";
    ASSERT_EQ(config.pcis.size(), 1U);
    EXPECT_TRUE(config.pcis[0].permissive);
    EXPECT_TRUE(config.pcis[0].relaxed_memory);
    ASSERT_EQ(config.serials.size(), 2U);
    EXPECT_THAT(config.serials[0], ::testing::AnyOf("pty", ::testing::StartsWith("unix:"))) << "the console comes first, a socket where EVE has a pty";
    EXPECT_EQ(config.serials[1], "/dev/ttyS1");
    EXPECT_THAT(config_text(config), HasSubstr("permissive=1,rdm_policy=relaxed"));
}

TEST(XenPlan, APvAppWithoutKernelHasEvesFirmwareElseIsHvmAndSaysSo) {
    const auto spec = spec_of(VirtualizationMode::pv);
    EXPECT_EQ(planned(spec).kernel, Settings{}.pvh_firmware);
    auto facts = capable;
    facts.pvh_firmware = false;
    const auto made = plan(spec, facts, {});
    ASSERT_TRUE(made);
    EXPECT_EQ(made->config.type, DomainType::hvm);
    EXPECT_THAT(made->notes, ElementsAre(HasSubstr("It runs as HVM")));
}

TEST(XenPlan, WhatTheMachineLacksIsNamed) {
    EXPECT_THAT(plan(spec_of(VirtualizationMode::hvm), {.hvm = false}, {}).error().what, HasSubstr("does not virtualize"));
    EXPECT_THAT(plan(spec_of(VirtualizationMode::fml), {.hvm = true}, {}).error().what, HasSubstr("no UEFI firmware"));
    auto spec = spec_of(VirtualizationMode::hvm);
    spec.adapters = {{.kind = AdapterKind::pci, .name = "nic", .address = "0000:00:04.0"}};
    const auto refused = plan(spec, {.hvm = true}, {});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::failed_precondition);
    EXPECT_EQ(refused.error().field, ".adapters[0]");
    EXPECT_THAT(refused.error().what, HasSubstr("IOMMU"));
    spec = spec_of(VirtualizationMode::pv);
    spec.kernel = "/k";
    auto facts = capable;
    facts.kernel = {.elf = true};
    EXPECT_THAT(plan(spec, facts, {}).error().what, HasSubstr("neither a PV nor a PVH entry"));
}

TEST(XenPlan, CpusAreSpreadOrPinned) {
    auto spec = spec_of(VirtualizationMode::hvm);
    spec.cpus = {2, 3};
    EXPECT_THAT(planned(spec).affinity, ElementsAre(ElementsAre(2, 3), ElementsAre(2, 3)));
    spec.cpus_pinned = true;
    EXPECT_THAT(planned(spec).affinity, ElementsAre(ElementsAre(2), ElementsAre(3)));
}

TEST(XenPlan, APasswordIsNotInTheTextForPeople) {
    auto spec = spec_of(VirtualizationMode::hvm);
    spec.vnc = {.enabled = true, .display = 3, .password = {"hush"}};
    const auto config = planned(spec);
    EXPECT_EQ(config.screen->password.value, "hush");
    EXPECT_THAT(config_text(config), HasSubstr("127.0.0.1:3, with a password"));
    EXPECT_THAT(config_text(config), ::testing::Not(HasSubstr("hush")));
}

TEST(XenPlan, PciAddressesAreReadWithAndWithoutDomain) {
    EXPECT_EQ(pci_address("0001:0a:1f.7"), (XenPci{.domain = 1, .bus = 10, .device = 31, .function = 7}));
    EXPECT_EQ(pci_address("03:00.1"), (XenPci{.bus = 3, .function = 1}));
    for (const auto* wrong : {"", "03:00", "03:20.0", "03:00.8", "x:00.0", "0000:03:00.0 ", ":00.0", "100:00.0"}) EXPECT_FALSE(pci_address(wrong)) << wrong;
}

TEST(XenPlan, AKernelThatIsNoElfFileOrABrokenOneHasNoNotes) {
    EXPECT_FALSE(kernel_notes("MZ").elf);
    std::string broken = "\x7f"
                         "ELF\x02";
    broken.resize(64, '\xff');
    EXPECT_TRUE(kernel_notes(broken).elf);
    EXPECT_FALSE(kernel_notes(broken).pv_entry);
}

TEST(XenValidate, AGoodSpecHasNoProblemAndEachFaultIsNamed) {
    EXPECT_THAT(problems_of(spec_of(VirtualizationMode::legacy)), IsEmpty());
    const auto field_of = [](auto change) {
        auto spec = spec_of(VirtualizationMode::legacy);
        change(spec);
        const auto problems = problems_of(spec);
        return problems.size() == 1 ? problems[0].field : std::to_string(problems.size()) + " problems";
    };
    EXPECT_EQ(field_of([](DomainSpec& s) { s.id.value = "x"; }), ".id");
    EXPECT_EQ(field_of([](DomainSpec& s) { s.memory = {}; }), ".memory_bytes");
    EXPECT_EQ(field_of([](DomainSpec& s) { s.vcpus = 0; }), ".vcpus");
    EXPECT_EQ(field_of([](DomainSpec& s) { s.kernel = "relative"; }), ".kernel");
    EXPECT_EQ(field_of([](DomainSpec& s) { s.virtual_tpm = true; }), ".virtual_tpm");
    EXPECT_EQ(field_of([](DomainSpec& s) { s.disks[0].format = DiskFormat::vmdk; }), ".disks[0].format");
    EXPECT_EQ(field_of([](DomainSpec& s) { s.disks[1].path = "/a\nb"; }), ".disks[1].path");
    EXPECT_EQ(field_of([](DomainSpec& s) { s.vifs[0].mac = "01:00:00:00:00:00"; }), ".vifs[0].mac");
    EXPECT_EQ(field_of([](DomainSpec& s) { s.vifs[0].name = "twelve-chars"; }), ".vifs[0].name") << "its emulated twin has four more";
    EXPECT_EQ(field_of([](DomainSpec& s) { s.adapters = {{.kind = AdapterKind::usb, .address = "1:2"}}; }), ".adapters[0].kind");
    EXPECT_EQ(field_of([](DomainSpec& s) { s.adapters = {{.kind = AdapterKind::pci, .address = "here"}}; }), ".adapters[0].address");
}

TEST(XenObserve, EveryEndHasItsState) {
    const DomainRecord started{.phase = Phase::started};
    const auto ended = [&](Shutdown why) { return observe(started, SeenDomain{.shut_down = true, .why = why}, false).state; };
    EXPECT_EQ(ended(Shutdown::poweroff), DomainState::halted);
    EXPECT_EQ(ended(Shutdown::suspend), DomainState::halted);
    EXPECT_EQ(ended(Shutdown::crash), DomainState::broken);
    EXPECT_EQ(ended(Shutdown::watchdog), DomainState::broken);
    EXPECT_EQ(ended(Shutdown::other), DomainState::broken);
    EXPECT_EQ(ended(Shutdown::reboot), DomainState::starting);
    EXPECT_EQ(observe({.phase = Phase::started, .failure = "why"}, SeenDomain{.shut_down = true, .why = Shutdown::reboot}, false),
              (Observation{DomainState::broken, "why"}));
    EXPECT_EQ(observe(started, std::nullopt, false).state, DomainState::broken);
    EXPECT_EQ(observe({.phase = Phase::cut}, std::nullopt, false).state, DomainState::halted);
    EXPECT_EQ(observe({.phase = Phase::creating}, SeenDomain{.paused = true}, false).state, DomainState::broken);
}

TEST(XenObserve, S50_EveryStateThatEveReadsFromAFileIsReadFromXenItself) {
    // EVE's words: running, paused, halting, broken; anything else broken with an error; no file: running.
    const DomainRecord started{.phase = Phase::started};
    EXPECT_EQ(observe(started, SeenDomain{}, false).state, DomainState::running);
    EXPECT_EQ(observe(started, SeenDomain{.paused = true}, false).state, DomainState::paused);
    EXPECT_EQ(observe(started, SeenDomain{.dying = true}, false).state, DomainState::halting);
    const auto broken = observe(started, SeenDomain{.shut_down = true, .why = Shutdown::crash}, false);
    EXPECT_EQ(broken.state, DomainState::broken);
    EXPECT_FALSE(broken.reason.empty());
    const auto other = observe(started, SeenDomain{.shut_down = true, .why = Shutdown::other}, false);
    EXPECT_EQ(other.state, DomainState::broken);
    EXPECT_FALSE(other.reason.empty());
}

TEST(XenObserve, ALivingDomainIsWhatXenSays) {
    EXPECT_EQ(observe({.phase = Phase::created}, SeenDomain{.paused = true}, false).state, DomainState::defined);
    EXPECT_EQ(observe({.phase = Phase::started}, SeenDomain{.paused = true}, false).state, DomainState::paused);
    EXPECT_EQ(observe({.phase = Phase::started}, SeenDomain{}, false).state, DomainState::running);
    EXPECT_EQ(observe({.phase = Phase::started}, SeenDomain{.dying = true}, false).state, DomainState::halting);
    const DomainRecord emulated{.phase = Phase::started, .device_model = {.pid = 5}};
    EXPECT_EQ(observe(emulated, SeenDomain{}, true).state, DomainState::running);
    EXPECT_EQ(observe(emulated, SeenDomain{}, false).state, DomainState::broken) << "its device model died";
}

}  // namespace
}  // namespace eve::xen
