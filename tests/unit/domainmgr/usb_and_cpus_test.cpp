// Which USB device goes to which domain, whatever comes first; and which CPUs are whose.

#include <gmock/gmock.h>

#include <algorithm>
#include <array>

#include "core/domainmgr/cpus.hpp"
#include "core/domainmgr/usb_rules.hpp"

namespace eve::domainmgr {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

const types::Uuid vm1 = types::Uuid::parse_or_nil("a0000000-0000-4000-8000-000000000001");
const types::Uuid vm2 = types::Uuid::parse_or_nil("b0000000-0000-4000-8000-000000000002");

types::IoBundle bundle(const std::string& group, const types::Uuid& owner, const std::string& address, const std::string& product,
                       const std::string& parent = {}, const std::string& pci = {}) {
    types::IoBundle made;
    made.Type = types::IoType::IoUSBDevice;
    made.Phylabel = group + address + product;
    made.AssignmentGroup = group;
    made.ParentAssignmentGroup = parent;
    made.UsbAddr = address;
    made.UsbProduct = product;
    made.PciLong = pci;
    made.UsedByUUID = owner;
    return made;
}
types::AssignableAdapters table_of(std::vector<types::IoBundle> bundles) {
    types::AssignableAdapters table{.Initialized = true};
    table.IoBundleList = std::move(bundles);
    return table;
}
const UsbDevice stick{.bus = 1, .device = 5, .port = "2", .product = "0951:1666", .controller = "0000:00:14.0"};

/// Everything that is due is done; what that was.
std::vector<UsbAction> settle(UsbDesk& desk) {
    std::vector<UsbAction> all;
    for (auto due = desk.due(); !due.empty(); due = desk.due())
        for (const auto& action : due) {
            desk.done(action);
            all.push_back(action);
        }
    return all;
}

TEST(UsbDesk, S42_AnyOrderOfDeviceTableAndDomainAttachesOnce) {
    std::array order{0, 1, 2};
    do {
        UsbDesk desk;
        std::vector<UsbAction> all;
        for (const int step : order) {
            if (step == 0) desk.on_devices({stick});
            if (step == 1) desk.on_table(table_of({bundle("g", vm1, "1:2", "")}));
            if (step == 2) desk.on_running({vm1});
            for (const auto& action : settle(desk)) all.push_back(action);
        }
        EXPECT_THAT(all, ElementsAre(UsbAction{.kind = UsbAction::Kind::attach, .domain = vm1, .device = stick}));
        // Unplugged, and plugged in again under another address.
        desk.on_devices({});
        EXPECT_THAT(settle(desk), SizeIs(1));
        auto again = stick;
        again.device = 6;
        desk.on_devices({again});
        const auto attached = settle(desk);
        ASSERT_THAT(attached, SizeIs(1));
        EXPECT_EQ(attached[0].kind, UsbAction::Kind::attach);
        EXPECT_THAT(settle(desk), IsEmpty());
    } while (std::next_permutation(order.begin(), order.end()));
}

TEST(UsbDesk, S42_HubsAndUsbNetworkInterfacesAreNeverGivenAway) {
    auto hub = stick, nic = stick;
    hub.hub = true;
    nic.network = true;
    const auto table = table_of({bundle("g", vm1, "1:2", "")});
    EXPECT_TRUE(usb_owner(hub, table, {vm1}).is_nil());
    EXPECT_TRUE(usb_owner(nic, table, {vm1}).is_nil());
    EXPECT_EQ(usb_owner(stick, table, {vm1}), vm1);
}

TEST(UsbDesk, S43_APortWinsOverAProductAndMovesTheDeviceWhenItComesLater) {
    UsbDesk desk;
    desk.on_devices({stick});
    desk.on_running({vm1, vm2});
    desk.on_table(table_of({bundle("p", vm1, "", "0951:1666")}));
    EXPECT_EQ(settle(desk)[0].domain, vm1);
    desk.on_table(table_of({bundle("p", vm1, "", "0951:1666"), bundle("a", vm2, "1:2", "")}));
    const auto moved = settle(desk);
    ASSERT_THAT(moved, SizeIs(2));
    EXPECT_EQ(moved[0], (UsbAction{.kind = UsbAction::Kind::detach, .domain = vm1, .device = stick}));
    EXPECT_EQ(moved[1], (UsbAction{.kind = UsbAction::Kind::attach, .domain = vm2, .device = stick}));
}

TEST(UsbDesk, Defect6_AnAdapterTakenAwayIsDetachedAndOneAddedIsAttached) {
    UsbDesk desk;
    auto other = stick;
    other.device = 7;
    other.port = "3";
    desk.on_devices({stick, other});
    desk.on_running({vm1});
    desk.on_table(table_of({bundle("a", vm1, "1:2", "")}));
    settle(desk);
    desk.on_table(table_of({bundle("a", vm1, "1:3", "")}));
    const auto changed = settle(desk);
    ASSERT_THAT(changed, SizeIs(2));
    EXPECT_EQ(changed[0], (UsbAction{.kind = UsbAction::Kind::detach, .domain = vm1, .device = stick}));
    EXPECT_EQ(changed[1], (UsbAction{.kind = UsbAction::Kind::attach, .domain = vm1, .device = other}));
}

TEST(UsbDesk, WhatFailedIsStillDue) {
    UsbDesk desk;
    desk.on_devices({stick});
    desk.on_running({vm1});
    desk.on_table(table_of({bundle("a", vm1, "1:2", "")}));
    EXPECT_THAT(desk.due(), SizeIs(1));
    EXPECT_THAT(desk.due(), SizeIs(1));
}

TEST(UsbDesk, ParentsMustFitTooAndAGroupOfNobodyNeverDoes) {
    types::IoBundle controller;
    controller.Type = types::IoType::IoUSBController;
    controller.Phylabel = "ctrl";
    controller.AssignmentGroup = "c";
    controller.PciLong = stick.controller;
    auto elsewhere = controller;
    elsewhere.PciLong = "0000:00:1a.0";
    EXPECT_EQ(usb_owner(stick, table_of({controller, bundle("g", vm1, "1:2", "", "c")}), {vm1}), vm1);
    EXPECT_TRUE(usb_owner(stick, table_of({elsewhere, bundle("g", vm1, "1:2", "", "c")}), {vm1}).is_nil());
    EXPECT_EQ(usb_owner(stick, table_of({elsewhere, controller, bundle("g", vm1, "1:2", "", "c")}), {vm1}), vm1);
    EXPECT_TRUE(usb_owner(stick, table_of({bundle("g", vm1, "1:2", "", "nobody")}), {vm1}).is_nil());
}

TEST(UsbDesk, AControllerThatADomainHasForbidsItsDevicesToEverybody) {
    types::IoBundle controller;
    controller.Type = types::IoType::IoUSBController;
    controller.Phylabel = "ctrl";
    controller.AssignmentGroup = "c";
    controller.PciLong = stick.controller;
    controller.UsedByUUID = vm2;
    const auto table = table_of({controller, bundle("g", vm1, "1:2", "")});
    EXPECT_TRUE(usb_owner(stick, table, {vm1, vm2}).is_nil());
    EXPECT_EQ(usb_owner(stick, table, {vm1}), vm1);
}

TEST(UsbDesk, NamesHaveLettersAndDigitsOnly) { EXPECT_EQ(usb_name(stick), "USB00003A003A1404012F5"); }

TEST(CpuAllocator, S31_GivesTheLowestFreeAboveTheNodesOwn) {
    auto cpus = CpuAllocator::make(16, 2);
    ASSERT_TRUE(cpus);
    EXPECT_EQ(cpus->allocate(vm1, 16).error().code, Code::resource_exhausted);
    EXPECT_THAT(*cpus->allocate(vm1, 8), ElementsAre(2U, 3U, 4U, 5U, 6U, 7U, 8U, 9U));
    EXPECT_EQ(cpus->allocate(vm1, 1).error().code, Code::already_exists);
    EXPECT_FALSE(cpus->allocate(vm2, 8));
    EXPECT_THAT(*cpus->allocate(vm2, 2), ElementsAre(10U, 11U));
    EXPECT_THAT(cpus->shared(), ElementsAre(0U, 1U, 12U, 13U, 14U, 15U));
    EXPECT_TRUE(cpus->free(vm1));
    EXPECT_EQ(cpus->free(vm1).error().code, Code::not_found);
    EXPECT_THAT(*cpus->allocate(vm1, 1), ElementsAre(2U));
    EXPECT_EQ(CpuAllocator::make(2, 2).error().code, Code::invalid_argument);
}

}  // namespace
}  // namespace eve::domainmgr
