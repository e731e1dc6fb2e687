// QEMU's configuration: EVE's form byte for byte, what a machine lacks taken away, no path left, and no input that breaks out of the text.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "degrade.hpp"
#include "qemu_config.hpp"
#include "specs.hpp"

namespace eve::kvm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

std::string golden(const std::string& name) {
    std::ifstream file(std::string(TEST_DATA_DIR) + "/" + name);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
}

/// EVE_GOLDEN=1 writes what was made instead, for a person to read the difference.
void expect_golden(const std::string& name, const std::string& made) {
    if (std::getenv("EVE_GOLDEN") != nullptr) std::ofstream(std::string(TEST_DATA_DIR) + "/" + name) << made;
    EXPECT_EQ(made, golden(name)) << name;
}

std::string text_of(const QemuPlan& plan) {
    std::string text = "# arguments:";
    for (const auto& argument : plan.args) text += " " + (argument.find(' ') == std::string::npos ? argument : "'" + argument + "'");
    auto config = config_text(plan.sections);
    EXPECT_TRUE(config.ok()) << (config.ok() ? "" : config.error().field);
    return text + "\n" + (config ? *config : "");
}

const Section* section(const QemuPlan& plan, std::string_view kind, std::string_view id) {
    const auto found = std::find_if(plan.sections.begin(), plan.sections.end(), [&](const Section& s) { return s.kind == kind && s.id == id; });
    return found == plan.sections.end() ? nullptr : &*found;
}

std::size_t devices_with(const QemuPlan& plan, const std::string& driver) {
    return static_cast<std::size_t>(std::count_if(plan.sections.begin(), plan.sections.end(), [&](const Section& s) {
        const auto* found = s.find("driver");
        return s.kind == "device" && found != nullptr && *found == driver;
    }));
}

TEST(QemuConfig, TheWorkedExampleIsAsEveGeneratesIt) { expect_golden("hvm.cfg", text_of(eve_plan(test::worked_example(), test::eve_layout()))); }

TEST(QemuConfig, LegacyHasIdeDisksAndAnE1000WithoutVhost) {
    auto spec = test::worked_example();
    spec.mode = VirtualizationMode::legacy;
    const auto plan = eve_plan(spec, test::eve_layout());
    expect_golden("legacy.cfg", text_of(plan));
    EXPECT_EQ(devices_with(plan, "ahci"), 1U);
    EXPECT_EQ(devices_with(plan, "e1000"), 1U);
    EXPECT_EQ(devices_with(plan, "ide-cd"), 2U) << "a CD-ROM stays one";
    EXPECT_EQ(section(plan, "netdev", "hostnet0")->find("vhost"), nullptr);
}

TEST(QemuConfig, FmlHasTwoFlashDrivesNoFirmwareKeyAndHidesTheHypervisor) {
    auto spec = test::worked_example();
    spec.mode = VirtualizationMode::fml;
    spec.firmware = "/usr/lib/xen/boot/OVMF_CODE.fd";
    spec.boot_order = BootOrder::nousb;
    const auto plan = eve_plan(spec, test::eve_layout());
    expect_golden("fml.cfg", text_of(plan));
    EXPECT_EQ(section(plan, "machine", "")->find("firmware"), nullptr);
    EXPECT_NE(section(plan, "drive", "drive-ovmf-code"), nullptr);
    EXPECT_THAT(plan.args, ::testing::Contains(HasSubstr("hv_vendor_id=eveitis")));
}

TEST(QemuConfig, TheBootOrderIsForFmlOnX86Alone) {
    auto spec = test::worked_example();
    const auto entries = [&](VirtualizationMode mode, Architecture architecture, BootOrder order) {
        spec.mode = mode;
        spec.boot_order = order;
        auto layout = test::eve_layout();
        layout.architecture = architecture;
        const auto plan = eve_plan(spec, layout);
        return std::count_if(plan.sections.begin(), plan.sections.end(), [](const Section& s) { return s.kind == "fw_cfg"; });
    };
    EXPECT_EQ(entries(VirtualizationMode::fml, Architecture::x86_64, BootOrder::usb), 1);
    EXPECT_EQ(entries(VirtualizationMode::fml, Architecture::x86_64, BootOrder::unknown), 0);
    EXPECT_EQ(entries(VirtualizationMode::hvm, Architecture::x86_64, BootOrder::usb), 0);
    EXPECT_EQ(entries(VirtualizationMode::fml, Architecture::aarch64, BootOrder::usb), 0);
}

TEST(QemuConfig, ArmHasItsOwnMachineInputCdromsAndTpm) {
    auto layout = test::eve_layout();
    layout.architecture = Architecture::aarch64;
    layout.machine = "virt";
    const auto plan = eve_plan(test::worked_example(), layout);
    expect_golden("arm64.cfg", text_of(plan));
    EXPECT_EQ(devices_with(plan, "usb-storage"), 2U);
    EXPECT_EQ(devices_with(plan, "usb-kbd"), 1U);
    EXPECT_EQ(devices_with(plan, "tpm-tis-device"), 1U);
    EXPECT_EQ(devices_with(plan, "pci-serial"), 1U);
}

TEST(QemuConfig, APartOfAMebibyteCountsAsAWhole) {
    auto spec = test::worked_example();
    spec.memory = Bytes{1025ULL << 10};
    EXPECT_EQ(*section(eve_plan(spec, test::eve_layout()), "memory", "")->find("size"), "2");
}

TEST(QemuConfig, InterfacesFollowTheirOrderWhenItIsEnforced) {
    auto spec = test::accepted_example();
    spec.vifs = {{.name = "late", .bridge = "bn1", .mac = "02:16:3e:01:00:01", .order = 4}, {.name = "early", .bridge = "bn1", .mac = "02:16:3e:01:00:02", .order = 1}};
    EXPECT_EQ(*section(eve_plan(spec, test::eve_layout()), "netdev", "hostnet0")->find("ifname"), "late");
    spec.network_order_enforced = true;
    EXPECT_EQ(*section(eve_plan(spec, test::eve_layout()), "netdev", "hostnet0")->find("ifname"), "early");
}

namespace {

/// Each device that takes a slot of its own or sits on a bridge, as "name bus addr", in order.
std::vector<std::string> slots_of(const QemuPlan& plan) {
    std::vector<std::string> found;
    for (const auto& section : plan.sections) {
        if (section.kind == "netdev") found.push_back("vif " + *section.find("ifname"));
        const auto* driver = section.find("driver");
        if (driver != nullptr && *driver == "vfio-pci") found.push_back(*section.find("host") + " " + *section.find("bus") + " " + *section.find("addr"));
    }
    return found;
}

/// The worked example of interfaces and cards: two vifs, a card of three functions, a radio, a USB controller.
DomainSpec network_order_example() {
    auto spec = test::accepted_example();
    spec.disks.resize(1);  // slot 4
    spec.vifs = {{.name = "vif1", .bridge = "bn1", .mac = "02:16:3e:01:00:01", .order = 1}, {.name = "vif2", .bridge = "bn1", .mac = "02:16:3e:01:00:02", .order = 4}};
    spec.adapters = {{.kind = AdapterKind::pci, .name = "f0", .address = "0000:06:00.0", .network = true, .order = 2},
                     {.kind = AdapterKind::pci, .name = "f2", .address = "0000:06:00.2"},
                     {.kind = AdapterKind::pci, .name = "f1", .address = "0000:06:00.1", .network = true, .order = 3},
                     {.kind = AdapterKind::pci, .name = "usb", .address = "0000:00:15.0"},
                     {.kind = AdapterKind::pci, .name = "wwan", .address = "0000:08:00.0", .network = true, .order = 0}};
    return spec;
}

}  // namespace

TEST(QemuConfig, S13_InTheOldOrderInterfacesComeFirstAndACardIsBehindOneBridge) {
    auto spec = network_order_example();
    const auto plan = eve_plan(spec, test::eve_layout());
    EXPECT_THAT(slots_of(plan), ElementsAre("vif vif1", "vif vif2", "0000:06:00.0 pcie-bridge.7 0x1", "0000:06:00.2 pcie-bridge.7 0x2",
                                            "0000:06:00.1 pcie-bridge.7 0x3", "0000:00:15.0 pci.8 0x0", "0000:08:00.0 pci.9 0x0"));
    EXPECT_EQ(*section(plan, "device", "pcie-bridge.7")->find("bus"), "pci.7");
}

TEST(QemuConfig, S12_AnEnforcedOrderCountsACardOnceAndRefusesWhatStandsInsideOne) {
    auto spec = network_order_example();
    spec.network_order_enforced = true;
    EXPECT_EQ(interleaved(spec), "");
    EXPECT_THAT(slots_of(eve_plan(spec, test::eve_layout())),
                ElementsAre("0000:08:00.0 pci.5 0x0", "vif vif1", "0000:06:00.0 pcie-bridge.7 0x1", "0000:06:00.1 pcie-bridge.7 0x2",
                            "0000:06:00.2 pcie-bridge.7 0x3", "vif vif2", "0000:00:15.0 pci.9 0x0"));
    spec.vifs[0].order = 3;
    spec.adapters[2].order = 5;
    EXPECT_EQ(interleaved(spec), "interface vif1 is ordered between functions of card 0000:06:00, which stay together");
}

TEST(QemuConfig, DevicesOfOneIommuGroupAreBehindOneBridgeAsQemuDemands) {
    auto spec = network_order_example();
    spec.adapters = {{.kind = AdapterKind::pci, .address = "0000:02:01.0"}, {.kind = AdapterKind::pci, .address = "0000:03:00.0"},
                     {.kind = AdapterKind::pci, .address = "0000:02:02.0"}};
    auto layout = test::eve_layout();
    layout.iommu_groups = {{"0000:02:01.0", "8"}, {"0000:02:02.0", "8"}, {"0000:03:00.0", "9"}};
    EXPECT_THAT(slots_of(eve_plan(spec, layout)), ElementsAre("vif vif1", "vif vif2", "0000:02:01.0 pcie-bridge.7 0x1", "0000:02:02.0 pcie-bridge.7 0x2",
                                                              "0000:03:00.0 pci.8 0x0"));
}

TEST(QemuConfig, Defect7_ThePciDomainIsKept) {
    auto spec = test::worked_example();
    spec.adapters[0].address = "0002:03:00.0";
    EXPECT_THAT(slots_of(eve_plan(spec, test::eve_layout())), ::testing::Contains("0002:03:00.0 pci.6 0x0"));
}

TEST(QemuConfig, WhatIsWrittenIsReadBackAsItWas) {
    const auto plan = eve_plan(test::worked_example(), test::eve_layout());
    const auto text = config_text(plan.sections);
    ASSERT_TRUE(text.ok());
    const auto read = parse_config_text(*text);
    ASSERT_TRUE(read.ok()) << read.error().what;
    EXPECT_EQ(*read, plan.sections);
}

TEST(QemuConfig, NoValueBreaksOutOfItsLine) {
    for (const auto& hostile : std::vector<std::string>{"a\"\n[device]\n  driver = \"evil", "a\nb", "quote\"", "\r", std::string("nul\0inside", 10), "\x7f", "bell\a"}) {
        auto spec = test::worked_example();
        spec.disks[0].path = hostile;
        const auto text = config_text(eve_plan(spec, test::eve_layout()).sections);
        ASSERT_FALSE(text.ok()) << hostile;
        EXPECT_EQ(text.error().code, Code::invalid_argument);
        EXPECT_EQ(text.error().field, "drive.drive-virtio-disk0.file");
    }
}

TEST(QemuConfig, ALineThatQemuWouldCutIsRefused) {
    auto spec = test::worked_example();
    spec.kernel = "/kernel";
    spec.extra_args = std::string(value_size_max, 'x');
    EXPECT_TRUE(config_text(eve_plan(spec, test::eve_layout()).sections).ok());
    spec.extra_args += 'x';
    EXPECT_FALSE(config_text(eve_plan(spec, test::eve_layout()).sections).ok());
}

TEST(QemuConfig, NoNameOfASectionBreaksOutOfItsBrackets) {
    for (const auto& hostile : std::vector<std::string>{"a\"]", "a]\n[b", "", "with space", std::string(64, 'x')}) {
        EXPECT_FALSE(config_text({{.kind = hostile}}).ok()) << hostile;
        EXPECT_FALSE(config_text({{.kind = "device", .entries = {{hostile, "v"}}}}).ok()) << hostile;
        if (!hostile.empty()) {
            EXPECT_FALSE(config_text({{.kind = "device", .id = hostile}}).ok()) << hostile;
        }
    }
}

TEST(Degrade, AMachineThatHasEverythingLosesNothing) {
    auto plan = eve_plan(test::worked_example(), test::eve_layout());
    const auto before = plan;
    EXPECT_TRUE(degrade(plan, {.kvm = true, .vhost_net = true, .vhost_vsock = true, .io_uring = true}).empty());
    EXPECT_EQ(plan, before);
}

TEST(Degrade, AMachineThatHasNothingLosesEachThingWithASentence) {
    auto plan = eve_plan(test::worked_example(), test::eve_layout());
    const auto notes = degrade(plan, {.kvm_reason = "there is no /dev/kvm"});
    EXPECT_EQ(notes.size(), 6U);
    EXPECT_THAT(notes.front(), HasSubstr("there is no /dev/kvm"));
    const auto text = text_of(plan);
    for (const auto* gone : {"kernel-irqchip", "kvm", "vhost", "io_uring", "'host'", "-cpu host"}) {
        if (std::string(gone) != "kvm") {
            EXPECT_THAT(text, Not(HasSubstr(gone)));
        }
    }
    EXPECT_EQ(*section(plan, "machine", "")->find("accel"), "tcg");
    EXPECT_THAT(text, HasSubstr("aio = \"threads\""));
    auto again = plan;
    EXPECT_TRUE(degrade(again, {}).empty()) << "what is gone is not taken away twice";
    EXPECT_EQ(again, plan);
}

TEST(Confine, NoPathThatNeedsARightIsLeft) {
    auto plan = eve_plan(test::accepted_example(), test::eve_layout());
    const auto handed = confine(plan);
    const auto text = text_of(plan);
    for (const auto* gone : {"/persist", "/run", "qemu-ifup", "ifname", "-pidfile"}) EXPECT_THAT(text, Not(HasSubstr(gone)));
    EXPECT_THAT(text, HasSubstr("-sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"));
    for (std::size_t at = 0; at < handed.size(); ++at) EXPECT_EQ(handed[at].fd, first_handed_fd + at);
    const auto count = [&](Handover::Kind kind) { return std::count_if(handed.begin(), handed.end(), [&](const Handover& h) { return h.kind == kind; }); };
    EXPECT_EQ(count(Handover::Kind::config), 1);
    EXPECT_EQ(count(Handover::Kind::listen), 3);
    EXPECT_EQ(count(Handover::Kind::tap), 1);
    EXPECT_EQ(count(Handover::Kind::vhost_net), 1);
    EXPECT_EQ(count(Handover::Kind::append), 1);
    EXPECT_EQ(count(Handover::Kind::read_write), 1);
    EXPECT_EQ(count(Handover::Kind::read_only), 3) << "the disk before it is written, and two CD-ROMs";
}

}  // namespace
}  // namespace eve::kvm
