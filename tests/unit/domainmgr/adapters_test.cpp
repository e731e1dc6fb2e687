// The table of devices: what the model and the machine make of it, what is wrong with it, what stays with the host, and who gets what.

#include "core/domainmgr/adapters.hpp"

#include <gmock/gmock.h>

#include "core/domainmgr/adapter_policy.hpp"
#include "core/domainmgr/reservation.hpp"

namespace eve::domainmgr {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using types::ErrorSeverity;
using types::PhyIoType;

types::Time at(std::int64_t seconds) { return types::Time(WallTime{.seconds = seconds, .nanoseconds = 0}); }
const types::Uuid app_a = types::Uuid::parse_or_nil("a0000000-0000-4000-8000-000000000001");
const types::Uuid app_b = types::Uuid::parse_or_nil("b0000000-0000-4000-8000-000000000002");

types::PhysicalIOAdapter io(PhyIoType type, const std::string& label, const std::string& group, const std::string& pci = {}, const std::string& parent = {}) {
    types::PhysicalIOAdapter adapter;
    adapter.Ptype = type;
    adapter.Phylabel = adapter.Logicallabel = label;
    adapter.Assigngrp = group;
    adapter.Parentassigngrp = parent;
    adapter.Phyaddr.PciLong = pci;
    return adapter;
}
types::PhysicalIOAdapter usb(const std::string& label, const std::string& group, const std::string& address, const std::string& product = {},
                             const std::string& parent = {}) {
    auto adapter = io(PhyIoType::PhyIoUSBDevice, label, group, {}, parent);
    adapter.Phyaddr.UsbAddr = address;
    adapter.Phyaddr.UsbProduct = product;
    return adapter;
}

class AdaptersTest : public ::testing::Test {
protected:
    types::PhysicalIOAdapterList model{.Initialized = true};
    Hardware hardware{.known = true};
    PolicyInputs inputs;
    types::AssignableAdapters table;
    std::int64_t now = 1000;

    void SetUp() override { inputs.network.DPCKey = "zedagent"; }
    void device(const std::string& address, const std::string& group, const std::string& interface = {}, const std::string& device_class = "020000") {
        PciDevice found{.address = address, .device_class = device_class, .driver = "x", .group = group, .use = PciUse::bound};
        if (!interface.empty()) {
            found.interfaces = {interface};
            found.macs = {"52:54:00:00:00:01"};
        }
        hardware.devices[address] = found;
    }
    void port(const std::string& interface) {
        inputs.network.Ports.emplace_back();
        inputs.network.Ports.back().IfName = interface;
    }
    void pass() {
        table = merge_model(table, model, hardware, at(now));
        validate(table, hardware, at(now));
        decide_places(table, hardware, inputs, at(now));
    }
    types::IoBundle& bundle(const std::string& label) {
        for (auto& each : table.IoBundleList)
            if (each.Phylabel == label) return each;
        ADD_FAILURE() << "no bundle " << label;
        return table.IoBundleList.at(0);
    }
    bool has(const std::string& label) {
        return std::any_of(table.IoBundleList.begin(), table.IoBundleList.end(), [&](const auto& each) { return each.Phylabel == label; });
    }
    std::string errors(const std::string& label) {
        std::string all;
        for (const auto& each : bundle(label).Error.Errors) all += each.TypeStr + (each.Warning ? "(warning)" : "") + ": " + each.ErrStr + "\n";
        return all;
    }
    ReservationInputs request(const types::Uuid& app, bool container = false) {
        ReservationInputs out{.app = app, .container = container};
        out.runtime.io_virtualization = out.runtime.pci = out.runtime.usb = out.runtime.serial = true;
        return out;
    }
    static std::vector<types::IoAdapter> wants(const std::string& name) {
        types::IoAdapter adapter;
        adapter.Name = name;
        return {adapter};
    }
};

// ---- S33, S34: reservation

TEST_F(AdaptersTest, S33_AWarningDoesNotStandInTheWayAndAHardErrorIsQuotedAlone) {
    device("0000:03:00.0", "7", "eth7");
    model.AdapterList = {io(PhyIoType::PhyIoNetEth, "nic", "g", "0000:03:00.0")};
    pass();
    set_errors(bundle("nic"), Blame::rename, {{.text = "it was renamed", .warning = true}}, at(now));
    EXPECT_TRUE(reserve(table, hardware, wants("nic"), request(app_a)).granted());
    EXPECT_EQ(bundle("nic").UsedByUUID, app_a);
    release(table, app_a);
    set_errors(bundle("nic"), Blame::binding, {{.text = "it does not let go"}}, at(now));
    const auto refused = reserve(table, hardware, wants("nic"), request(app_a));
    EXPECT_THAT(refused.error.Error, HasSubstr("it does not let go"));
    EXPECT_THAT(refused.error.Error, ::testing::Not(HasSubstr("renamed")));
    EXPECT_TRUE(bundle("nic").UsedByUUID.is_nil());
}

TEST_F(AdaptersTest, S34_AnotherAppsAdapterIsWaitedFor) {
    device("0000:03:00.0", "7");
    model.AdapterList = {io(PhyIoType::PhyIoNetEth, "nic", "g", "0000:03:00.0")};
    pass();
    ASSERT_TRUE(reserve(table, hardware, wants("g"), request(app_a)).granted());
    auto wanted = request(app_b);
    auto state = types::SwState::RUNNING;
    wanted.state_of = [&](const types::Uuid&) { return state; };
    auto refused = reserve(table, hardware, wants("nic"), wanted);
    EXPECT_EQ(refused.error.ErrorSeverity, ErrorSeverity::ErrorSeverityWarning);
    state = types::SwState::HALTING;
    refused = reserve(table, hardware, wants("nic"), wanted);
    EXPECT_EQ(refused.error.ErrorSeverity, ErrorSeverity::ErrorSeverityNotice);
    EXPECT_THAT(refused.error.ErrorRetryCondition, HasSubstr("will wait"));
    ASSERT_THAT(refused.error.ErrorEntities, SizeIs(1));
    EXPECT_EQ(refused.error.ErrorEntities[0].EntityID, app_a.to_string());
    release(table, app_a);
    EXPECT_TRUE(reserve(table, hardware, wants("nic"), wanted).granted());
}

TEST_F(AdaptersTest, NothingIsReservedWhenOneOfTheAdaptersIsRefused) {
    device("0000:03:00.0", "7");
    model.AdapterList = {io(PhyIoType::PhyIoNetEth, "nic", "g", "0000:03:00.0"), io(PhyIoType::PhyIoAudio, "sound", "")};
    pass();
    auto both = wants("nic");
    both.push_back(wants("sound")[0]);
    EXPECT_THAT(reserve(table, hardware, both, request(app_a)).error.Error, HasSubstr("not assignable"));
    EXPECT_TRUE(bundle("nic").UsedByUUID.is_nil());
    EXPECT_THAT(reserve(table, hardware, wants("nosuch"), request(app_a)).error.Error, HasSubstr("not known"));
}

TEST_F(AdaptersTest, Defect22_AContainersInterfaceIsCheckedLikeAnyOtherButNeedsNoIommu) {
    device("0000:03:00.0", "", "eth7");
    auto nic = io(PhyIoType::PhyIoNetEth, "nic", "g", "0000:03:00.0");
    nic.Phyaddr.Ifname = "eth7";
    model.AdapterList = {nic};
    hardware.trouble = "this machine has no IOMMU in use";
    pass();
    EXPECT_THAT(reserve(table, hardware, wants("nic"), request(app_a)).error.Error, HasSubstr("no IOMMU"));
    auto container = request(app_a, true);
    container.runtime = {};
    container.runtime.interfaces = true;
    EXPECT_TRUE(reserve(table, hardware, wants("nic"), container).granted());
    container.app = app_b;
    EXPECT_THAT(reserve(table, hardware, wants("nic"), container).error.Error, HasSubstr("is used by app"));
    release(table, app_a);
    port("eth7");
    pass();
    EXPECT_THAT(reserve(table, hardware, wants("nic"), container).error.Error, HasSubstr("a network port of the node"));
}

TEST_F(AdaptersTest, WhatNoRuntimeHereCanHandOverIsRefusedByName) {
    device("0000:00:02.0", "1", {}, "030000");
    hardware.devices["0000:00:02.0"].vendor = "8086";
    device("0000:01:00.0", "2", {}, "030000");
    hardware.devices["0000:01:00.0"].vendor = "10de";
    inputs.vga_access = false;
    model.AdapterList = {io(PhyIoType::PhyIoHDMI, "screen", "g1", "0000:00:02.0"), io(PhyIoType::PhyIoHDMI, "card", "g2", "0000:01:00.0"),
                         io(PhyIoType::PhyIoCAN, "can0", "g3"), io(PhyIoType::PhyIoLCAN, "bus", "g4")};
    pass();
    EXPECT_THAT(reserve(table, hardware, wants("screen"), request(app_a)).error.Error, HasSubstr("0000:00:02.0 is an Intel processor's own graphics"));
    EXPECT_TRUE(reserve(table, hardware, wants("card"), request(app_a)).granted());
    for (const auto* can : {"can0", "bus"})
        EXPECT_THAT(reserve(table, hardware, wants(can), request(app_a)).error.Error,
                    HasSubstr("adapter " + std::string(can) + " (" + can + ") cannot be assigned: this runtime hands no CAN buses to its guests"));
}

TEST_F(AdaptersTest, ANameMeansItsGroupThenItsLabelsWithoutRegardToCase) {
    model.AdapterList = {io(PhyIoType::PhyIoCOM, "COM1", "serials"), io(PhyIoType::PhyIoCOM, "COM2", "serials"), io(PhyIoType::PhyIoAudio, "Sound", "")};
    pass();
    EXPECT_THAT(lookup(table, "serials"), ElementsAre(0U, 1U));
    EXPECT_THAT(lookup(table, "com2"), ElementsAre(0U, 1U));
    EXPECT_THAT(lookup(table, "sound"), ElementsAre(2U));
    EXPECT_THAT(lookup(table, ""), IsEmpty());
}

TEST_F(AdaptersTest, SerialPortsAndReceptaclesAreToldOnce) {
    auto first = io(PhyIoType::PhyIoCOM, "COM1", "s"), second = io(PhyIoType::PhyIoCOM, "COM1b", "s");
    first.Phyaddr.Serial = second.Phyaddr.Serial = "/dev/ttyS1";
    device("0000:00:14.0", "4", {}, "0c0330");
    model.AdapterList = {first, second, io(PhyIoType::PhyIoUSBController, "USB1", "u", "0000:00:14.0"), io(PhyIoType::PhyIoUSBController, "USB2", "u", "0000:00:14.0")};
    inputs.usb_access = false;
    pass();
    EXPECT_THAT(errors("USB1"), IsEmpty()) << "receptacles of one controller in one group are legal";
    auto both = wants("s");
    both.push_back(wants("u")[0]);
    const auto granted = reserve(table, hardware, both, request(app_a));
    ASSERT_TRUE(granted.granted()) << granted.error.Error;
    const auto adapters = adapters_of(table, granted, false);
    ASSERT_THAT(adapters, SizeIs(2));
    EXPECT_EQ(adapters[0].address, "/dev/ttyS1");
    EXPECT_EQ(adapters[1].address, "0000:00:14.0");
    EXPECT_THAT(claims_of(table, granted), SizeIs(1));
}

// ---- S35, S36: rules of the model

TEST_F(AdaptersTest, S35_TwoGroupsOnOneIommuGroupAreAConflictOfBoth) {
    device("0000:03:00.0", "7");
    device("0000:03:00.1", "7");
    model.AdapterList = {io(PhyIoType::PhyIoNetEth, "a", "g1", "0000:03:00.0"), io(PhyIoType::PhyIoNetEth, "b", "g2", "0000:03:00.1")};
    pass();
    for (const auto* label : {"a", "b"}) {
        EXPECT_THAT(errors(label), HasSubstr("a (group g1) and b (group g2) share IOMMU group 7"));
        EXPECT_TRUE(bundle(label).Error.Errors[0].GroupScoped);
    }
    EXPECT_EQ(group_error(table, "g1").ErrorSeverity, ErrorSeverity::ErrorSeverityError);
    model.AdapterList[1].Assigngrp = "g1";
    pass();
    EXPECT_THAT(errors("a") + errors("b"), IsEmpty());
    model.AdapterList = {io(PhyIoType::PhyIoNetEth, "a", "g1", "0000:03:00.0"), usb("stick", "g2", "1:2")};
    model.AdapterList[1].Phyaddr.PciLong = "0000:03:00.1";
    pass();
    EXPECT_THAT(errors("stick"), IsEmpty());
}

TEST_F(AdaptersTest, S36_EachMistakeAboutParentsHasItsOwnErrorAndUnrelatedOnesKeepTheirTime) {
    device("0000:03:00.0", "7");
    model.AdapterList = {usb("c1", "g1", "1:1", "", "g2"),  usb("c2", "g2", "1:2", "", "g1"), usb("self", "g3", "1:3", "", "g3"),
                         usb("none", "", "1:4", "", "g1"),  usb("m1", "g4", "1:5", "", "g5"), usb("m2", "g4", "1:6", "", "g6"),
                         io(PhyIoType::PhyIoNetEth, "gone", "g7", "0000:09:00.0")};
    pass();
    EXPECT_THAT(errors("c1"), HasSubstr("types.ErrCycleDetected: group g1 is among its own ancestors"));
    EXPECT_THAT(errors("c2"), HasSubstr("ErrCycleDetected"));
    EXPECT_THAT(errors("self"), HasSubstr("types.ErrOwnParent"));
    EXPECT_THAT(errors("self"), ::testing::Not(HasSubstr("Cycle")));
    EXPECT_THAT(errors("none"), HasSubstr("types.ErrEmptyAssigngrpWithParent"));
    EXPECT_THAT(errors("m1"), IsEmpty());
    EXPECT_THAT(errors("m2"), HasSubstr("types.ErrParentAssigngrpMismatch"));
    EXPECT_THAT(errors("gone"), HasSubstr("there is no PCI device 0000:09:00.0"));
    const auto told = bundle("gone").Error.TimeOfError;
    now = 2000;
    model.AdapterList[0].Parentassigngrp = "";
    pass();
    EXPECT_THAT(errors("c1") + errors("c2"), IsEmpty());
    EXPECT_TRUE(bundle("c1").Error.TimeOfError.is_zero());
    EXPECT_EQ(bundle("gone").Error.TimeOfError, told);
    device("0000:09:00.0", "8");
    pass();
    EXPECT_THAT(errors("gone"), IsEmpty());
}

TEST_F(AdaptersTest, TheSameUsbDeviceTwiceIsACollisionOfAllThatAreIt) {
    model.AdapterList = {usb("u1", "g", "1:2", "1d6b:0002"), usb("u2", "g", "1:2", "1d6b:0002"), usb("u3", "g", "1:3")};
    pass();
    EXPECT_THAT(errors("u1"), HasSubstr("several times: u1, u2"));
    EXPECT_THAT(errors("u2"), HasSubstr("several times: u1, u2"));
    EXPECT_THAT(errors("u3"), IsEmpty());
    const auto whole = group_error(table, "g");
    EXPECT_EQ(whole.Error, "the model has the same USB device several times: u1, u2") << "a text about the group stands once";
}

TEST_F(AdaptersTest, AnErrorIsReplacedOnlyByItsOwnSource) {
    types::IoBundle one;
    set_errors(one, Blame::binding, {{.text = "x"}}, at(1));
    set_errors(one, Blame::collision, {{.text = "y"}}, at(2));
    EXPECT_EQ(one.Error.TimeOfError, at(2));
    set_errors(one, Blame::binding, {{.text = "x"}}, at(3));
    EXPECT_EQ(one.Error.TimeOfError, at(2));
    set_errors(one, Blame::collision, {}, at(4));
    EXPECT_THAT(one.Error.Errors, SizeIs(1));
    set_errors(one, Blame::binding, {}, at(5));
    EXPECT_TRUE(one.Error.TimeOfError.is_zero());
}

TEST_F(AdaptersTest, WhatSharesAControllerWithAGroupGoesAlongWithAWarning) {
    device("0000:03:00.0", "7");
    device("0000:03:00.1", "7");
    model.AdapterList = {io(PhyIoType::PhyIoNetEth, "a", "g1", "0000:03:00.0"), io(PhyIoType::PhyIoAudio, "b", "", "0000:03:00.1")};
    pass();
    EXPECT_THAT(errors("b"), HasSubstr("(warning): the model leaves it out of group g1"));
    const auto wanted = transfers(table, hardware, inputs);
    ASSERT_THAT(wanted, SizeIs(1));
    EXPECT_THAT(wanted[0].addresses, ElementsAre("0000:03:00.0", "0000:03:00.1"));
}

// ---- S37, S38, S39: what stays

TEST_F(AdaptersTest, S37_APortStaysWithTheHostWhateverTheModelCallsIt) {
    device("0000:03:00.0", "7", "eth0");
    port("eth0");
    model.AdapterList = {io(PhyIoType::PhyIoHDMI, "gpu", "g", "0000:03:00.0")};
    pass();
    EXPECT_TRUE(bundle("gpu").KeepInHost);
    EXPECT_TRUE(bundle("gpu").IsPort);
    EXPECT_THAT(errors("gpu"), HasSubstr("(warning): it stays with the host: 0000:03:00.0 is behind the node's port eth0"));
    EXPECT_THAT(transfers(table, hardware, inputs), IsEmpty());
    pass();
    EXPECT_THAT(bundle("gpu").Error.Errors, SizeIs(1)) << "said once, however often it is looked at";
}

TEST_F(AdaptersTest, APortKeepsItsWholeGroupAndIsFoundByItsLabelWhereTheModelHasNoName) {
    auto second = io(PhyIoType::PhyIoNetEth, "eth1", "g0"), third = io(PhyIoType::PhyIoNetEth, "eth2", "g1");
    second.Phyaddr.Ifname = "enp2s0";
    third.Phyaddr.Ifname = "enp3s0";
    model.AdapterList = {io(PhyIoType::PhyIoNetEth, "eth0", "g0"), second, third, io(PhyIoType::PhyIoHDMI, "gpu", "g2")};
    port("eth0");
    inputs.network.Ports[0].Cost = 5;
    pass();
    EXPECT_EQ(bundle("eth0").Ifname, "eth0");
    EXPECT_EQ(bundle("eth0").Cost, 5);
    EXPECT_TRUE(bundle("eth1").IsPort);
    EXPECT_FALSE(bundle("eth2").IsPort);
    EXPECT_FALSE(bundle("gpu").IsPort);
}

TEST_F(AdaptersTest, S38_NoNetworkDeviceIsTakenWhilePortsAreTested) {
    device("0000:03:00.0", "7", "eth0");
    port("eth0");
    auto nic = io(PhyIoType::PhyIoNetEth, "nic", "g", "0000:03:00.0");
    nic.Phyaddr.Ifname = "eth0";
    model.AdapterList = {nic};
    pass();
    EXPECT_THAT(transfers(table, hardware, inputs), IsEmpty());
    inputs.network.Ports.clear();
    inputs.network.Testing = true;
    pass();
    EXPECT_FALSE(bundle("nic").KeepInHost);
    EXPECT_THAT(transfers(table, hardware, inputs), IsEmpty());
    inputs.network.Testing = false;
    pass();
    EXPECT_THAT(transfers(table, hardware, inputs),
                ElementsAre(Transfer{.direction = Transfer::Direction::to_guests, .addresses = {"0000:03:00.0"}}));
    inputs.network.DPCKey.clear();
    EXPECT_THAT(transfers(table, hardware, inputs), IsEmpty()) << "nothing is detached before the ports are known";
}

TEST_F(AdaptersTest, S39_ControllersGoWithUsbAccessButForThoseThatUsbDevicesDependOn) {
    device("0000:00:14.0", "4");
    device("0000:00:1a.0", "5");
    model.AdapterList = {io(PhyIoType::PhyIoUSBController, "U1", "u1", "0000:00:14.0"), io(PhyIoType::PhyIoUSBController, "U2", "u2", "0000:00:1a.0"),
                         usb("stick", "s", "1:2", "", "u2")};
    pass();
    EXPECT_TRUE(bundle("U1").KeepInHost);
    EXPECT_THAT(transfers(table, hardware, inputs), IsEmpty());
    inputs.usb_access = false;
    pass();
    EXPECT_FALSE(bundle("U1").KeepInHost);
    EXPECT_TRUE(bundle("U2").KeepInHost);
    EXPECT_THAT(transfers(table, hardware, inputs),
                ElementsAre(Transfer{.direction = Transfer::Direction::to_guests, .addresses = {"0000:00:14.0"}}));
    model.AdapterList[2].Parentassigngrp = "";
    pass();
    EXPECT_TRUE(bundle("U1").KeepInHost) << "any controller may be the one";
    // Back again: what was taken is given back.
    bundle("U1").IsPCIBack = true;
    EXPECT_THAT(transfers(table, hardware, inputs), ElementsAre(Transfer{.direction = Transfer::Direction::to_host, .addresses = {"0000:00:14.0"}}));
}

TEST_F(AdaptersTest, Defect26_TheHostsDiskRadiosPhysicalFunctionsAndTheConsoleStay) {
    device("0000:01:00.0", "1", {}, "010802");
    hardware.devices["0000:01:00.0"].use = PciUse::essential;
    hardware.devices["0000:01:00.0"].why = "the host needs it: nvme0n1 is mounted at /";
    device("0000:02:00.0", "2", "wlan0");
    device("0000:03:00.0", "3", {}, "030000");
    hardware.devices["0000:03:00.0"].boot_vga = true;
    device("0000:04:00.0", "4", {}, "010802");
    model.AdapterList = {io(PhyIoType::PhyIoNVMEStorage, "disk", "d", "0000:01:00.0"), io(PhyIoType::PhyIoNetWLAN, "wlan0", "w", "0000:02:00.0"),
                         io(PhyIoType::PhyIoHDMI, "gpu", "v", "0000:03:00.0"), io(PhyIoType::PhyIoOther, "other", "o", "0000:04:00.0")};
    pass();
    for (const auto* label : {"disk", "wlan0", "gpu"}) EXPECT_TRUE(bundle(label).KeepInHost) << label;
    EXPECT_FALSE(bundle("other").KeepInHost) << "Other is no NVMe, though EVE gives both the number 255";
    EXPECT_THAT(reserve(table, hardware, wants("disk"), request(app_a)).error.Error, HasSubstr("nvme0n1 is mounted at /"));
    inputs.vga_access = false;
    pass();
    EXPECT_FALSE(bundle("gpu").KeepInHost);
}

// ---- section 8: defects

TEST_F(AdaptersTest, Defect12_AnAdapterThatLeavesTheModelWhileInUseIsPendingNotUnbound) {
    device("0000:03:00.0", "7");
    model.AdapterList = {io(PhyIoType::PhyIoAudio, "sound", "g", "0000:03:00.0")};
    pass();
    ASSERT_TRUE(reserve(table, hardware, wants("g"), request(app_a)).granted());
    bundle("sound").IsPCIBack = true;
    model.AdapterList.clear();
    pass();
    ASSERT_TRUE(has("sound"));
    EXPECT_THAT(errors("sound"), HasSubstr("removal pending"));
    EXPECT_THAT(transfers(table, hardware, inputs), IsEmpty());
    EXPECT_FALSE(reserve(table, hardware, wants("g"), request(app_b)).granted());
    release(table, app_a);
    pass();
    EXPECT_FALSE(has("sound"));
}

TEST_F(AdaptersTest, Defect21_CorrectionsOfTheModelApplyWhenTheAdapterIsFree) {
    device("0000:03:00.0", "7");
    device("0000:04:00.0", "8");
    model.AdapterList = {io(PhyIoType::PhyIoAudio, "sound", "g", "0000:03:00.0")};
    model.AdapterList[0].Cbattr = {{"k", "1"}};
    pass();
    ASSERT_TRUE(reserve(table, hardware, wants("g"), request(app_a)).granted());
    model.AdapterList[0].Phyaddr.PciLong = "0000:04:00.0";
    model.AdapterList[0].Cbattr = {{"k", "2"}};
    model.AdapterList[0].Parentassigngrp = "p";
    pass();
    EXPECT_EQ(bundle("sound").PciLong, "0000:03:00.0");
    EXPECT_THAT(errors("sound"), HasSubstr("the change waits"));
    release(table, app_a);
    pass();
    EXPECT_EQ(bundle("sound").PciLong, "0000:04:00.0");
    EXPECT_EQ(bundle("sound").ParentAssignmentGroup, "p");
    EXPECT_EQ(bundle("sound").Cbattr.at("k"), "2");
    EXPECT_THAT(errors("sound"), IsEmpty());
}

TEST_F(AdaptersTest, Defect27_TheMacAddressIsLookedUpByTheInterfaceName) {
    device("0000:03:00.0", "7", "enp3s0");
    auto nic = io(PhyIoType::PhyIoNetEth, "nic", "g");
    nic.Phyaddr.Ifname = "enp3s0";
    model.AdapterList = {nic};
    pass();
    EXPECT_EQ(bundle("nic").MacAddr, "52:54:00:00:00:01");
    EXPECT_EQ(bundle("nic").PciLong, "0000:03:00.0") << "found behind its interface";
    // Bound for guests it has no interface any more; the address is remembered.
    hardware.devices["0000:03:00.0"].interfaces.clear();
    hardware.devices["0000:03:00.0"].macs.clear();
    pass();
    EXPECT_EQ(bundle("nic").PciLong, "0000:03:00.0");
    EXPECT_EQ(bundle("nic").MacAddr, "52:54:00:00:00:01");
}

TEST_F(AdaptersTest, APortThatAnAppHasIsAnError) {
    device("0000:03:00.0", "7", "eth5");
    auto nic = io(PhyIoType::PhyIoNetEth, "nic", "g", "0000:03:00.0");
    nic.Phyaddr.Ifname = "eth5";
    model.AdapterList = {nic};
    pass();
    ASSERT_TRUE(reserve(table, hardware, wants("g"), request(app_a)).granted());
    port("eth5");
    pass();
    EXPECT_THAT(errors("nic"), HasSubstr("so it cannot be a port of the node"));
    EXPECT_THAT(transfers(table, hardware, inputs), IsEmpty()) << "the assignment wins";
}

// ---- S41: names of virtual functions

TEST(FunctionNames, S41_AreParsedFromTheLastVfAndRefusedOtherwise) {
    const auto parsed = parse_function_name("eth2vf5");
    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->physical, "eth2");
    EXPECT_EQ(parsed->index, 5);
    EXPECT_EQ(parse_function_name("vf0vf255")->physical, "vf0");
    for (const auto* wrong : {"eth2", "vf5", "eth2vf256", "eth2vf", "eth2vf5x", ""}) EXPECT_FALSE(parse_function_name(wrong)) << wrong;
}

TEST_F(AdaptersTest, S41_AVirtualFunctionIsABundleWithNamesAndAGroupOfItsOwn) {
    device("0000:03:00.0", "7", "eth2");
    device("0000:03:10.1", "21");
    auto physical = io(PhyIoType::PhyIoNetEthPF, "eth2", "pf", "0000:03:00.0");
    physical.Phyaddr.Ifname = "eth2";
    physical.Vfs.Count = 2;
    physical.Vfs.Data.push_back({.Index = 1, .Mac = "02:00:00:00:00:07", .VlanID = 12});
    model.AdapterList = {physical};
    pass();
    EXPECT_TRUE(bundle("eth2").KeepInHost);
    table.IoBundleList.push_back(function_bundle(bundle("eth2"), 1, hardware.devices["0000:03:10.1"]));
    pass();
    const auto& function = bundle("eth2vf1");
    EXPECT_EQ(function.AssignmentGroup, "pfvf1");
    EXPECT_EQ(function.VfParams.VlanID, 12);
    EXPECT_FALSE(function.KeepInHost) << "a virtual function is never a port";
    const auto granted = reserve(table, hardware, wants("eth2vf1"), request(app_a));
    ASSERT_TRUE(granted.granted()) << granted.error.Error;
    const auto claims = claims_of(table, granted);
    ASSERT_THAT(claims, SizeIs(1));
    EXPECT_EQ(claims[0].mac, "02:00:00:00:00:07");
    EXPECT_EQ(claims[0].vlan, 12U);
}

}  // namespace
}  // namespace eve::domainmgr
