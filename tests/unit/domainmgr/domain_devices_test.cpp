// The agent with devices: the real assigner over a sysfs whose kernel reacts, a scripted runtime, virtual time.

#include <gmock/gmock.h>

#include "core/types/hardware.hpp"
#include "eve/testing/call_context.hpp"
#include "pci_assigner.hpp"
#include "tests/doubles/fake_sysfs.hpp"
#include "tests/unit/domainmgr/domain_bench.hpp"

namespace eve {
namespace {

using namespace std::chrono_literals;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using types::SwState;

/// A board's plugin that writes down what it is asked.
class RecordingBoard final : public Board {
public:
    std::vector<std::string> heard;
    std::vector<std::string> vmm_args;
    Status answer;
    Result<BoardDescription> describe(const CallContext&) override { return BoardDescription{}; }
    Result<ProbeReport> probe(const CallContext&) override { return ProbeReport{.verdict = ProbeVerdict::supported}; }
    Result<std::vector<BoardDevice>> devices(const CallContext&) override {
        return std::vector<BoardDevice>{{.vendor = "8086", .quirks = {"slow reset"}, .steps = {BoardStep::bind, BoardStep::reset}}};
    }
    Status before(const CallContext&, const BoardMoment& moment) override {
        heard.push_back("before " + std::to_string(static_cast<int>(moment.step)) + " " + moment.device.address);
        return answer;
    }
    Status after(const CallContext&, const BoardMoment& moment) override {
        heard.push_back("after " + std::to_string(static_cast<int>(moment.step)) + " " + moment.device.address);
        return {};
    }
    Result<BoardAdjustment> adjust(const CallContext&, const BoardDomain& domain) override {
        return BoardAdjustment{.vmm_args = vmm_args, .notes = {"adjusted for " + std::to_string(domain.devices.size())}};
    }
};

/// The USB part of a runtime as a list.
class RecordingUsb final : public Usb {
public:
    std::vector<std::string> heard;
    unsigned failures = 0;
    Status plug(const CallContext&, const UsbAttachment& device) override {
        if (failures > 0 && failures-- > 0) return Error{.code = Code::unavailable, .what = "the monitor does not answer"};
        heard.push_back("attach " + device.name);
        return {};
    }
    Status unplug(const CallContext&, const UsbAttachment& device) override {
        heard.push_back("detach " + device.name);
        return {};
    }
};

class DomainDevicesTest : public DomainBench {
protected:
    FakeSysfs sysfs;
    FakeVfio vfio;
    FakeFunctionSetter functions;
    types::PhysicalIOAdapterList model{.Initialized = true};
    std::unique_ptr<Subscription<types::AssignableAdapters>> adapters = bus.subscribe<types::AssignableAdapters>({.agent = "domainmgr"});

    const std::string port = "0000:00:03.0", nic = "0000:00:04.0", nvme = "0000:00:05.0";

    void SetUp() override {
        sysfs.add({.address = port, .group = "0", .driver = "e1000e", .interface = "eth0"});
        sysfs.add({.address = nic, .group = "1", .driver = "e1000e", .interface = "eth1", .mac = "52:54:00:aa:00:01"});
        sysfs.add({.address = nvme, .group = "2", .driver = "nvme", .device_class = "0x010802", .disk = "nvme0n1"});
        runtimes.pci = std::make_shared<pci::PciAssigner>(pci::PciAssigner::Parts{.sysfs = sysfs, .vfio = vfio, .functions = functions},
                                                          pci::Options{.files = sysfs.files(), .settle_limit = 20ms});
        auto& can = runtimes.hypervisor->description.capabilities;
        can.io_virtualization = can.pci = can.serial = can.usb = true;
        add(types::PhyIoType::PhyIoNetEth, "eth0", "eth0", port, "eth0");
        add(types::PhyIoType::PhyIoNetEth, "eth1", "eth1", nic, "eth1");
        add(types::PhyIoType::PhyIoNVMEStorage, "disk1", "disk1", nvme);
    }
    void add(types::PhyIoType type, const std::string& label, const std::string& group, const std::string& address, const std::string& interface = {}) {
        types::PhysicalIOAdapter adapter;
        adapter.Ptype = type;
        adapter.Phylabel = adapter.Logicallabel = label;
        adapter.Assigngrp = group;
        adapter.Phyaddr.PciLong = address;
        adapter.Phyaddr.Ifname = interface;
        model.AdapterList.push_back(adapter);
    }
    void start_node() {
        node.publish_all();
        (void)node.model->publish("global", model);
        start_agent();
        loop.run_for(5s);
    }
    void publish_model() { (void)node.model->publish("global", model); }
    types::DomainConfig config_with(unsigned n, const std::string& adapter) {
        auto config = domain_config(n, host);
        config.IoAdapterList.emplace_back();
        config.IoAdapterList.back().Name = adapter;
        return config;
    }
    void want(const types::DomainConfig& config) { (void)node.configs->publish(config.UUIDandVersion.UUID.to_string(), config); }
    types::IoBundle bundle(const std::string& label) const {
        for (const auto& each : adapters->get("global")->IoBundleList)
            if (each.Phylabel == label) return each;
        return {};
    }
    const DomainSpec* spec(unsigned n) {
        const auto* domain = runtimes.hypervisor->find(DomainId{app_uuid(n)});
        return domain == nullptr ? nullptr : &domain->spec;
    }
};

TEST_F(DomainDevicesTest, UnassignedDevicesAreHeldForGuestsAndPortsAreNot) {
    start_node();
    EXPECT_EQ(sysfs.driver_of(port), "e1000e");
    EXPECT_EQ(sysfs.driver_of(nic), "vfio-pci");
    EXPECT_EQ(sysfs.driver_of(nvme), "vfio-pci");
    EXPECT_TRUE(bundle("eth0").KeepInHost);
    EXPECT_TRUE(bundle("eth1").IsPCIBack);
    EXPECT_EQ(bundle("eth1").MacAddr, "52:54:00:aa:00:01");
}

TEST_F(DomainDevicesTest, AnAppGetsItsDevicesAndTheyAreFreeWhenItHasStopped) {
    start_node();
    want(config_with(1, "disk1"));
    ASSERT_TRUE(until(1, SwState::RUNNING)) << status(1).Error;
    ASSERT_NE(spec(1), nullptr);
    ASSERT_EQ(spec(1)->adapters.size(), 1U);
    EXPECT_EQ(spec(1)->adapters[0].address, nvme);
    EXPECT_EQ(bundle("disk1").UsedByUUID.to_string(), app_uuid(1));
    (void)node.configs->unpublish(app_uuid(1));
    ASSERT_TRUE(loop.run_until([&] { return statuses->get(app_uuid(1)) == nullptr; }, 5min));
    EXPECT_TRUE(bundle("disk1").UsedByUUID.is_nil());
    EXPECT_EQ(sysfs.driver_of(nvme), "vfio-pci") << "held ready for the next";
}

TEST_F(DomainDevicesTest, S34_ASecondAppWaitsAndStartsWhenTheFirstHasStopped) {
    start_node();
    want(config_with(1, "disk1"));
    ASSERT_TRUE(until(1, SwState::RUNNING));
    want(config_with(2, "disk1"));
    loop.run_for(30s);
    EXPECT_NE(status(2).State, SwState::RUNNING);
    EXPECT_TRUE(status(2).AdaptersFailed);
    EXPECT_EQ(status(2).ErrorSeverity, types::ErrorSeverity::ErrorSeverityWarning);
    ASSERT_EQ(status(2).ErrorEntities.size(), 1U);
    EXPECT_EQ(status(2).ErrorEntities[0].EntityID, app_uuid(1));
    (void)node.configs->unpublish(app_uuid(1));
    ASSERT_TRUE(until(2, SwState::RUNNING, 5min));
    EXPECT_THAT(status(2).Error, IsEmpty());
    EXPECT_EQ(bundle("disk1").UsedByUUID.to_string(), app_uuid(2));
}

TEST_F(DomainDevicesTest, Defect3_OfManyAppsThatAskAtOnceOneGetsTheDeviceAndNobodyElse) {
    start_node();
    constexpr unsigned apps = 8;
    for (unsigned n = 1; n <= apps; ++n) want(config_with(n, "disk1"));
    const auto holders = [&] {
        unsigned count = 0;
        for (unsigned n = 1; n <= apps; ++n)
            if (const auto* has = spec(n); has != nullptr && !has->adapters.empty()) ++count;
        return count;
    };
    for (unsigned gone = 1; gone <= apps; ++gone) {
        ASSERT_TRUE(loop.run_until([&] { return holders() == 1; }, 2min)) << gone;
        loop.run_for(5s);
        ASSERT_EQ(holders(), 1U);
        const auto owner = bundle("disk1").UsedByUUID.to_string();
        ASSERT_NE(runtimes.hypervisor->find(DomainId{owner}), nullptr) << "the table names who has it";
        (void)node.configs->unpublish(owner);
        ASSERT_TRUE(loop.run_until([&] { return statuses->get(owner) == nullptr; }, 5min));
    }
    EXPECT_TRUE(bundle("disk1").UsedByUUID.is_nil());
}

TEST_F(DomainDevicesTest, S40_ABindThatFailsIsReportedAndNothingIsLeftReserved) {
    sysfs.binds_instead[nvme] = "nvme";
    start_node();
    EXPECT_EQ(sysfs.driver_of(nvme), "nvme");
    EXPECT_THAT(bundle("disk1").Error.Errors, Contains(::testing::Field(&types::IoBundleErrorBase::ErrStr, HasSubstr("driver bind failed"))));
    want(config_with(1, "disk1"));
    loop.run_for(30s);
    EXPECT_THAT(status(1).Error, HasSubstr("driver bind failed"));
    EXPECT_TRUE(bundle("disk1").UsedByUUID.is_nil());
    sysfs.binds_instead.clear();
    ASSERT_TRUE(until(1, SwState::RUNNING, 3min)) << status(1).Error;
    EXPECT_THAT(bundle("disk1").Error.Errors, IsEmpty());
}

TEST_F(DomainDevicesTest, Defect2_ADeviceThatIsNotGivenBackIsReportedAndTheNodeGoesOn) {
    start_node();
    ASSERT_EQ(sysfs.driver_of(nic), "vfio-pci");
    sysfs.in_use.insert(nic);
    types::DeviceNetworkStatus network = *node.network->get("global");
    network.Ports.emplace_back();
    network.Ports.back().IfName = network.Ports.back().Phylabel = "eth1";
    (void)node.network->publish("global", network);
    loop.run_for(10s);
    EXPECT_TRUE(bundle("eth1").KeepInHost);
    EXPECT_THAT(bundle("eth1").Error.Errors, Contains(::testing::Field(&types::IoBundleErrorBase::ErrStr, HasSubstr("has not returned"))));
    want(config_with(1, "disk1"));
    ASSERT_TRUE(until(1, SwState::RUNNING)) << "other devices are lent as before";
    sysfs.guest_ended(nic);
    loop.run_for(3min);
    EXPECT_EQ(sysfs.driver_of(nic), "e1000e");
    EXPECT_THAT(bundle("eth1").Error.Errors, IsEmpty());
}

TEST_F(DomainDevicesTest, Defect12_AnAdapterTakenOutOfTheModelStaysWithItsAppUntilThatStops) {
    start_node();
    want(config_with(1, "disk1"));
    ASSERT_TRUE(until(1, SwState::RUNNING));
    vfio.open["2"] = "qemu-system-x86, pid 77";
    const auto writes = sysfs.writes.size();
    model.AdapterList.pop_back();
    publish_model();
    loop.run_for(1min);
    EXPECT_EQ(status(1).State, SwState::RUNNING);
    EXPECT_EQ(sysfs.writes.size(), writes);
    EXPECT_THAT(bundle("disk1").Error.Errors, Contains(::testing::Field(&types::IoBundleErrorBase::ErrStr, HasSubstr("removal pending"))));
    vfio.open.clear();
    (void)node.configs->unpublish(app_uuid(1));
    ASSERT_TRUE(loop.run_until([&] { return statuses->get(app_uuid(1)) == nullptr; }, 5min));
    loop.run_for(1min);
    EXPECT_TRUE(bundle("disk1").Phylabel.empty());
    EXPECT_EQ(sysfs.driver_of(nvme), "nvme") << "nobody can have it any more: the host has it back";
}

TEST_F(DomainDevicesTest, Defect11_EveryFailureOfAStartGivesTheDevicesToWhoeverWaits) {
    start_node();
    auto config = config_with(1, "disk1");
    runtimes.hypervisor->plan({.method = "create", .error = {.code = Code::invalid_argument, .what = "no"}});
    want(config);
    loop.run_for(30s);
    EXPECT_THAT(status(1).Error, HasSubstr("could not create"));
    EXPECT_TRUE(bundle("disk1").UsedByUUID.is_nil());
}

TEST_F(DomainDevicesTest, ARestartedNodeTouchesNoDeviceOfAGuestThatLived) {
    start_node();
    want(config_with(1, "disk1"));
    ASSERT_TRUE(until(1, SwState::RUNNING));
    agent.reset();
    lanes.drop_everything();
    vfio.open["2"] = "qemu-system-x86, pid 77";
    const auto writes = sysfs.writes.size();
    start_agent();
    loop.run_for(2min);
    EXPECT_EQ(status(1).State, SwState::RUNNING);
    EXPECT_EQ(bundle("disk1").UsedByUUID.to_string(), app_uuid(1));
    EXPECT_EQ(sysfs.writes.size(), writes);
    want(config_with(2, "disk1"));
    loop.run_for(30s);
    EXPECT_TRUE(status(2).AdaptersFailed);
}

TEST_F(DomainDevicesTest, S39_ControllersAreHeldOnceTheHostMayNotUseUsb) {
    sysfs.add({.address = "0000:00:14.0", .group = "4", .driver = "nvme", .device_class = "0x0c0330"});
    add(types::PhyIoType::PhyIoUSBController, "USB", "usb", "0000:00:14.0");
    start_node();
    auto values = *node.items->get("global");
    values.GlobalSettings["debug.enable.usb"].BoolValue = true;
    (void)node.items->publish("global", values);
    loop.run_for(5s);
    EXPECT_EQ(sysfs.driver_of("0000:00:14.0"), "nvme");
    values.GlobalSettings["debug.enable.usb"].BoolValue = false;
    (void)node.items->publish("global", values);
    loop.run_for(5s);
    EXPECT_EQ(sysfs.driver_of("0000:00:14.0"), "vfio-pci");
}

TEST_F(DomainDevicesTest, S41_APhysicalFunctionIsSplitAndEachPartIsOffered) {
    sysfs.add({.address = "0000:03:00.0", .group = "9", .driver = "e1000e", .interface = "eth9", .functions_max = 8});
    add(types::PhyIoType::PhyIoNetEthPF, "eth9", "pf", "0000:03:00.0", "eth9");
    model.AdapterList.back().Vfs.Count = 2;
    model.AdapterList.back().Vfs.Data.push_back({.Index = 1, .Mac = "02:00:00:00:00:07", .VlanID = 12});
    start_node();
    loop.run_for(5s);
    EXPECT_EQ(bundle("eth9vf0").AssignmentGroup, "pfvf0");
    const auto function = bundle("eth9vf1");
    EXPECT_EQ(sysfs.driver_of(function.PciLong), "vfio-pci") << "bound for guests first, whoever will have it";
    want(config_with(1, "eth9vf1"));
    ASSERT_TRUE(until(1, SwState::RUNNING)) << status(1).Error;
    EXPECT_EQ(functions.set_functions[1].mac, "02:00:00:00:00:07");
    EXPECT_EQ(functions.set_functions[1].vlan, 12U);
}

TEST_F(DomainDevicesTest, S42_AUsbDeviceFollowsItsAppThroughPluggingFailuresAndTheAppsEnd) {
    auto usb = std::make_shared<RecordingUsb>();
    runtimes.usb = usb;
    types::PhysicalIOAdapter stick;
    stick.Ptype = types::PhyIoType::PhyIoUSBDevice;
    stick.Phylabel = stick.Logicallabel = stick.Assigngrp = "stick";
    stick.Phyaddr.UsbAddr = "1:2";
    model.AdapterList.push_back(stick);
    start_node();
    domainmgr::UsbDevice plugged{.bus = 1, .device = 5, .port = "2", .product = "0951:1666", .controller = "0000:00:14.0"};
    host.plugged = {plugged};
    usb->failures = 1;
    want(config_with(1, "stick"));
    ASSERT_TRUE(until(1, SwState::RUNNING)) << status(1).Error;
    loop.run_for(10s);
    EXPECT_THAT(usb->heard, ElementsAre("attach USB00003A003A1404012F5")) << "once, after the failure";
    host.plugged.clear();
    loop.run_for(5s);
    plugged.device = 6;
    host.plugged = {plugged};
    loop.run_for(5s);
    EXPECT_THAT(usb->heard, ElementsAre("attach USB00003A003A1404012F5", "detach USB00003A003A1404012F5", "attach USB00003A003A1404012F6"));
    (void)node.configs->unpublish(app_uuid(1));
    ASSERT_TRUE(loop.run_until([&] { return statuses->get(app_uuid(1)) == nullptr; }, 5min));
    EXPECT_TRUE(bundle("stick").UsedByUUID.is_nil());
}

TEST_F(DomainDevicesTest, AContainersInterfaceHasTheHostsDriverWhileItIsInTheContainer) {
    auto& description = runtimes.hypervisor->description;
    description.modes.push_back(VirtualizationMode::container);
    description.capabilities.interfaces = true;
    sysfs.set_interface_name(nic, "enp4s0");  // as the kernel calls it when its driver takes it anew
    model.AdapterList[1].Logicallabel = "uplink";
    start_node();
    EXPECT_EQ(sysfs.driver_of(nic), "vfio-pci") << "held for guests";
    auto config = config_with(1, "uplink");
    config.VirtualizationMode = types::VmMode::NOHYPER;
    config.DiskConfigList[0].Format = types::Format::CONTAINER;
    want(config);
    ASSERT_TRUE(until(1, SwState::RUNNING)) << status(1).Error;
    ASSERT_EQ(spec(1)->adapters.size(), 1U);
    EXPECT_EQ(spec(1)->adapters[0], (Adapter{.kind = AdapterKind::interface, .name = "uplink", .address = "enp4s0", .network = true}));
    EXPECT_EQ(sysfs.driver_of(nic), "e1000e");
    loop.run_for(2min);
    EXPECT_EQ(sysfs.driver_of(nic), "e1000e") << "not taken from the container";
    (void)node.configs->unpublish(app_uuid(1));
    ASSERT_TRUE(loop.run_until([&] { return statuses->get(app_uuid(1)) == nullptr; }, 5min));
    loop.run_for(5s);
    EXPECT_EQ(sysfs.driver_of(nic), "vfio-pci") << "held for the next guest";
}

TEST_F(DomainDevicesTest, WithoutAnyoneWhoAssignsDevicesTheReasonIsSaid) {
    runtimes.pci.reset();
    start_node();
    want(config_with(1, "disk1"));
    loop.run_for(30s);
    EXPECT_THAT(status(1).Error, HasSubstr("no plugin assigns PCI devices"));
    EXPECT_THAT(sysfs.writes, IsEmpty());
}

TEST_F(DomainDevicesTest, TheBoardsPluginIsAskedAroundEachHandoverAndAdjustsTheDomain) {
    auto board = std::make_shared<RecordingBoard>();
    board->vmm_args = {"-global", "vfio-pci.x-no-mmap=on"};
    runtimes.known_boards.push_back(board);
    runtimes.hypervisor->description.capabilities.vmm_args = true;
    start_node();
    EXPECT_THAT(board->heard, Contains("before 1 " + nvme));
    EXPECT_THAT(board->heard, Contains("after 1 " + nvme));
    EXPECT_THAT(board->heard, Not(Contains("before 1 " + port)));
    board->heard.clear();
    want(config_with(1, "disk1"));
    ASSERT_TRUE(until(1, SwState::RUNNING)) << status(1).Error;
    EXPECT_THAT(board->heard, ElementsAre("before 3 " + nvme, "after 3 " + nvme));
    EXPECT_THAT(spec(1)->vmm_args, ElementsAre("-global", "vfio-pci.x-no-mmap=on"));
    EXPECT_THAT(notes->get(app_uuid(1))->Notes, Contains("adjusted for 1"));
}

TEST_F(DomainDevicesTest, ABoardsRefusalStopsTheStep) {
    auto board = std::make_shared<RecordingBoard>();
    runtimes.known_boards.push_back(board);
    start_node();
    board->answer = Error{.code = Code::failed_precondition, .what = "the card is too hot"};
    want(config_with(1, "disk1"));
    loop.run_for(30s);
    EXPECT_THAT(status(1).Error, HasSubstr("the card is too hot"));
    EXPECT_TRUE(bundle("disk1").UsedByUUID.is_nil());
}

}  // namespace
}  // namespace eve
