// The assigner over a sysfs whose kernel reacts to writes: what is bound, what is refused, and that nothing is left half done.

#include <gmock/gmock.h>
#include <poll.h>

#include <thread>

#include "eve/testing/call_context.hpp"
#include "pci_assigner.hpp"
#include "tests/doubles/fake_sysfs.hpp"

namespace eve::pci {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class PciAssignerTest : public ::testing::Test {
protected:
    FakeSysfs sysfs;
    FakeVfio vfio;
    FakeFunctionSetter functions;
    eve::testing::FakeCall call;
    PciAssigner pci{{.sysfs = sysfs, .vfio = vfio, .functions = functions},
                    {.files = sysfs.files(), .settle_limit = std::chrono::milliseconds{20}}};

    const std::string nic = "0000:00:04.0", nvme = "0000:00:05.0", function_a = "0000:00:06.0", function_b = "0000:00:06.1", root_port = "0000:00:08.0",
                      bridge = "0000:01:00.0", behind_a = "0000:02:01.0", behind_b = "0000:02:02.0";

    /// The machine of the acceptance lab.
    void SetUp() override {
        sysfs.add({.address = nic, .group = "1", .driver = "e1000e", .interface = "eth0", .mac = "52:54:00:aa:00:01"});
        sysfs.add({.address = nvme, .group = "2", .driver = "nvme", .device_class = "0x010802", .disk = "nvme0n1"});
        sysfs.add({.address = function_a, .group = "3", .driver = "virtio-pci", .interface = "eth1"});
        sysfs.add({.address = function_b, .group = "3", .driver = "virtio-pci", .device_class = "0x00ff00"});
        sysfs.add({.address = root_port, .group = "5", .device_class = "0x060400"});
        sysfs.add({.address = bridge, .group = "6", .device_class = "0x060400", .below = "pci0000:00/0000:00:08.0"});
        sysfs.add({.address = behind_a, .group = "6", .driver = "e1000", .below = "pci0000:00/0000:00:08.0/0000:01:00.0", .interface = "eth2"});
        sysfs.add({.address = behind_b, .group = "6", .driver = "e1000", .below = "pci0000:00/0000:00:08.0/0000:01:00.0", .interface = "eth3"});
    }
    static PciSet set(std::vector<std::string> addresses) {
        PciSet wanted;
        for (auto& address : addresses) wanted.devices.push_back({.address = std::move(address)});
        return wanted;
    }
    /// The error of a reserve that must have changed nothing.
    Error refused(const PciSet& wanted) {
        const auto before = sysfs.drivers();
        auto reserved = pci.reserve(call, wanted);
        EXPECT_EQ(sysfs.drivers(), before);
        EXPECT_FALSE(reserved);
        return reserved ? Error{} : reserved.error();
    }
};

TEST_F(PciAssignerTest, ReservesASetAndGivesItBackAsItWas) {
    const auto before = sysfs.drivers();
    const auto reserved = pci.reserve(call, set({nic, nvme}));
    ASSERT_TRUE(reserved) << reserved.error().what;
    ASSERT_EQ(reserved->size(), 2U);
    EXPECT_EQ((*reserved)[0].driver, "vfio-pci");
    EXPECT_EQ((*reserved)[0].use, PciUse::reserved);
    EXPECT_EQ(sysfs.driver_of(nvme), "vfio-pci");
    const auto released = pci.release(call, {nic, nvme});
    ASSERT_TRUE(released) << released.error().what;
    EXPECT_EQ(sysfs.drivers(), before);
    EXPECT_THAT((*released)[0].interfaces, ElementsAre("eth0"));
}

TEST_F(PciAssignerTest, ReservingTwiceAndReleasingWhatIsFreeChangeNothing) {
    ASSERT_TRUE(pci.reserve(call, set({nic})));
    const auto writes = sysfs.writes.size();
    ASSERT_TRUE(pci.reserve(call, set({nic})));
    ASSERT_TRUE(pci.release(call, {nvme, "0000:7f:00.0"}));
    EXPECT_EQ(sysfs.writes.size(), writes);
}

TEST_F(PciAssignerTest, ListsWhatEachDeviceIsAndWhoNeedsIt) {
    sysfs.mount("nvme0n1", "/persist");
    const auto devices = pci.list(call);
    ASSERT_TRUE(devices);
    ASSERT_EQ(devices->size(), 8U);
    EXPECT_EQ((*devices)[0].address, nic);
    EXPECT_EQ((*devices)[0].vendor, "8086");
    EXPECT_EQ((*devices)[0].device_class, "020000");
    EXPECT_THAT((*devices)[0].macs, ElementsAre("52:54:00:aa:00:01"));
    EXPECT_EQ((*devices)[0].memory, Bytes{0x20000});
    EXPECT_EQ((*devices)[1].use, PciUse::essential);
    EXPECT_THAT((*devices)[1].why, HasSubstr("nvme0n1 is mounted at /persist"));
    EXPECT_TRUE((*devices)[5].bridge);
    EXPECT_EQ((*devices)[6].parent, bridge);
}

TEST_F(PciAssignerTest, SaysWhichGroupsAreViable) {
    const auto groups = pci.groups(call);
    ASSERT_TRUE(groups);
    ASSERT_EQ(groups->size(), 5U);
    EXPECT_THAT((*groups)[2].devices, ElementsAre(function_a, function_b));
    EXPECT_FALSE((*groups)[2].viable);
    ASSERT_TRUE(pci.reserve(call, set({function_a, function_b})));
    vfio.open["3"] = "qemu-system-x86, pid 77";
    const auto later = pci.groups(call);
    EXPECT_TRUE((*later)[2].viable);
    EXPECT_EQ((*later)[2].holder, "qemu-system-x86, pid 77");
}

TEST_F(PciAssignerTest, AnAddressWithoutItsDomainIsRefusedNotGuessed) {
    const auto error = refused(set({"00:04.0"}));
    EXPECT_EQ(error.code, Code::invalid_argument);
    EXPECT_THAT(error.hint, HasSubstr("0000:03:00.0"));
    EXPECT_EQ(refused(set({nic, nic})).code, Code::invalid_argument);
    EXPECT_EQ(refused(set({"0000:1d:00.0"})).code, Code::not_found);
    EXPECT_EQ(refused(set({bridge})).code, Code::invalid_argument);
}

TEST_F(PciAssignerTest, TheHostsDiskAndTheNodesPortsAreRefused) {
    sysfs.mount("nvme0n1", "/");
    const auto disk = refused(set({nic, nvme}));
    EXPECT_EQ(disk.code, Code::failed_precondition);
    EXPECT_THAT(disk.what, HasSubstr("nvme0n1 is mounted at /"));
    auto wanted = set({nic});
    wanted.needs.push_back({.address = nic, .why = "eth0 is a management port"});
    EXPECT_THAT(refused(wanted).what, HasSubstr("eth0 is a management port"));
}

TEST_F(PciAssignerTest, OneFunctionOfACardIsRefusedWhileAnotherStaysWithTheHost) {
    const auto error = refused(set({function_a}));
    EXPECT_EQ(error.code, Code::failed_precondition);
    EXPECT_THAT(error.what, HasSubstr("is one function of a card whose function 0000:00:06.1 stays with the host, which is bound to virtio-pci"));
    EXPECT_TRUE(pci.reserve(call, set({function_a, function_b})));
}

TEST_F(PciAssignerTest, ADeviceBehindABridgeIsRefusedWhileItsNeighbourStaysWithTheHost) {
    const auto error = refused(set({behind_a}));
    EXPECT_THAT(error.what, HasSubstr("is behind the same bridge (0000:01:00.0) as 0000:02:02.0"));
    EXPECT_TRUE(pci.reserve(call, set({behind_a, behind_b})));
    EXPECT_EQ(sysfs.driver_of(bridge), "");
}

TEST_F(PciAssignerTest, AGroupThatAGuestHasIsRefusedAndNeverUnbound) {
    ASSERT_TRUE(pci.reserve(call, set({behind_a, behind_b})));
    vfio.open["6"] = "qemu-system-x86, pid 77";
    EXPECT_THAT(refused(set({behind_a})).what, HasSubstr("a guest has it (qemu-system-x86, pid 77)"));
    const auto writes = sysfs.writes.size();
    const auto released = pci.release(call, {behind_b});
    ASSERT_FALSE(released);
    EXPECT_EQ(released.error().code, Code::failed_precondition);
    EXPECT_EQ(sysfs.writes.size(), writes);
    vfio.open.clear();
    EXPECT_TRUE(pci.release(call, {behind_a, behind_b}));
    EXPECT_EQ(sysfs.driver_of(behind_b), "e1000");
}

// S40
TEST_F(PciAssignerTest, S40_ABindThatEndsAtAnotherDriverGivesTheWholeSetBack) {
    sysfs.binds_instead[nvme] = "nvme";
    const auto error = refused(set({nic, nvme}));
    EXPECT_EQ(error.code, Code::unavailable);
    EXPECT_THAT(error.what, HasSubstr("driver bind failed: it is bound to nvme, not to vfio-pci"));
    EXPECT_THAT(sysfs.writes, Contains("bus/pci/devices/0000:00:04.0/driver_override<-vfio-pci"));
}

TEST_F(PciAssignerTest, ABindThatLeavesNoDriverGivesTheWholeSetBack) {
    sysfs.binds_instead[nvme] = "";
    EXPECT_THAT(refused(set({nic, nvme})).what, HasSubstr("it is without a driver, not to vfio-pci"));
}

TEST_F(PciAssignerTest, Defect23_EveryFailedWriteOfAReserveRollsBack) {
    std::size_t count = 0;
    ASSERT_TRUE(pci.reserve(call, set({nic, nvme})));
    count = sysfs.writes.size();
    ASSERT_TRUE(pci.release(call, {nic, nvme}));
    for (std::size_t nth = 0; nth < count; ++nth) {
        std::size_t seen = 0;
        sysfs.before_write = [&](const std::string& path, const std::string&) -> Status {
            if (seen++ != nth) return {};
            return Error{.code = Code::unavailable, .what = path + ": Input/output error"};
        };
        (void)refused(set({nic, nvme}));
        sysfs.before_write = nullptr;
    }
}

TEST_F(PciAssignerTest, WithoutAnIommuItSaysSoAndTouchesNothing) {
    FakeSysfs bare;
    bare.add({.address = nic, .driver = "e1000e"});
    PciAssigner plain({.sysfs = bare, .vfio = vfio, .functions = functions}, {.files = bare.files()});
    const auto probe = plain.probe(call);
    EXPECT_EQ(probe->verdict, ProbeVerdict::declined);
    EXPECT_THAT(probe->reason, HasSubstr("no IOMMU"));
    const auto error = plain.reserve(call, set({nic})).error();
    EXPECT_EQ(error.code, Code::unsupported);
    EXPECT_THAT(error.what, HasSubstr("is not behind an IOMMU"));
    EXPECT_THAT(bare.writes, IsEmpty());
    EXPECT_TRUE(plain.list(call));
}

TEST_F(PciAssignerTest, WithoutInterruptRemappingTheDevicesGoBack) {
    vfio.lacks = "the machine has no interrupt remapping, without which a guest could send interrupts as it likes";
    EXPECT_THAT(refused(set({nic, nvme})).what, HasSubstr("no interrupt remapping"));
}

TEST_F(PciAssignerTest, WithoutTheDriverForGuestsItSaysWhatToLoad) {
    sysfs.remove_driver("vfio-pci");
    EXPECT_THAT(refused(set({nic})).hint, HasSubstr("modprobe vfio-pci"));
    EXPECT_EQ(pci.probe(call)->verdict, ProbeVerdict::broken);
}

TEST_F(PciAssignerTest, ADeviceThatVanishesInBetweenGivesTheRestBack) {
    sysfs.vanishes.insert(nvme);
    const auto error = pci.reserve(call, set({nic, nvme})).error();
    EXPECT_EQ(error.code, Code::not_found);
    EXPECT_THAT(error.what, HasSubstr("0000:00:05.0: the device vanished"));
    EXPECT_EQ(sysfs.driver_of(nic), "e1000e");
}

TEST_F(PciAssignerTest, AnUnbindThatDoesNotReturnIsReportedAndTheRestGoesBack) {
    sysfs.in_use.insert(nvme);
    const auto error = pci.reserve(call, set({nic, nvme})).error();
    EXPECT_EQ(error.code, Code::unavailable);
    EXPECT_THAT(error.what, HasSubstr("has not returned"));
    EXPECT_EQ(sysfs.driver_of(nic), "e1000e");
    // It is not asked again while the first request stands.
    EXPECT_THAT(pci.reserve(call, set({nvme})).error().what, HasSubstr("has not returned yet"));
    sysfs.guest_ended(nvme);
    EXPECT_TRUE(pci.reserve(call, set({nvme})));
}

TEST_F(PciAssignerTest, AReleaseThatFailsLeavesTheSetReserved) {
    ASSERT_TRUE(pci.reserve(call, set({nic, nvme})));
    const auto before = sysfs.drivers();
    sysfs.in_use.insert(nvme);
    EXPECT_FALSE(pci.release(call, {nic, nvme}));
    EXPECT_EQ(sysfs.driver_of(nic), "vfio-pci");
    sysfs.guest_ended(nvme);
    EXPECT_TRUE(pci.release(call, {nic, nvme}));
    EXPECT_EQ(sysfs.driver_of(nic), "e1000e");
    EXPECT_THAT(sysfs.drivers(), Not(Contains(HasSubstr("vfio"))));
}

TEST_F(PciAssignerTest, XenPcibackNeedsNoIommuGroups) {
    FakeSysfs dom0;
    dom0.add_driver("pciback");
    dom0.add({.address = nvme, .driver = "nvme", .disk = "nvme0n1"});
    PciAssigner plain({.sysfs = dom0, .vfio = vfio, .functions = functions}, {.files = dom0.files()});
    EXPECT_THAT(plain.describe(call)->bindings, ElementsAre("pciback"));
    ASSERT_TRUE(plain.reserve(call, set({nvme})));
    EXPECT_EQ(dom0.driver_of(nvme), "pciback");
    ASSERT_TRUE(plain.release(call, {nvme}));
    EXPECT_EQ(dom0.driver_of(nvme), "nvme");
}

// S41
TEST_F(PciAssignerTest, S41_FunctionsThatAreThereAreNotMadeAgain) {
    sysfs.add({.address = "0000:03:00.0", .group = "9", .driver = "e1000e", .interface = "eth9", .functions_max = 8});
    const auto made = pci.split(call, {.address = "0000:03:00.0", .functions = 4});
    ASSERT_TRUE(made) << made.error().what;
    ASSERT_EQ(made->size(), 4U);
    EXPECT_EQ((*made)[0].physical_function, "0000:03:00.0");
    EXPECT_THAT(functions.up, Contains("eth9"));
    const auto writes = sysfs.writes.size();
    ASSERT_TRUE(pci.split(call, {.address = "0000:03:00.0", .functions = 4}));
    EXPECT_EQ(sysfs.writes.size(), writes);
    EXPECT_EQ(pci.split(call, {.address = "0000:03:00.0", .functions = 9}).error().code, Code::invalid_argument);
    EXPECT_EQ(pci.split(call, {.address = nic, .functions = 1}).error().code, Code::unsupported);
}

TEST_F(PciAssignerTest, Defect30_AFunctionGetsItsMacAndVlanAndLosesThemAtRelease) {
    sysfs.add({.address = "0000:03:00.0", .group = "9", .driver = "e1000e", .interface = "eth9", .functions_max = 8});
    const auto made = pci.split(call, {.address = "0000:03:00.0", .functions = 2});
    PciSet wanted{.devices = {{.address = (*made)[1].address, .mac = "02:00:00:00:00:07", .vlan = 12}}};
    ASSERT_TRUE(pci.reserve(call, wanted));
    EXPECT_EQ(functions.set_functions[1].mac, "02:00:00:00:00:07");
    EXPECT_EQ(functions.set_functions[1].vlan, 12U);
    EXPECT_EQ(functions.set_functions[1].interface, "eth9");
    ASSERT_TRUE(pci.release(call, {(*made)[1].address}));
    EXPECT_EQ(functions.set_functions[1].mac, "");
    EXPECT_EQ(functions.set_functions[1].vlan, 0U);
    EXPECT_EQ(refused(PciSet{.devices = {{.address = nic, .mac = "02:00:00:00:00:07"}}}).code, Code::invalid_argument);
}

TEST(DirectorySysfs, NamesNothingOutsideItsTree) {
    TempDir dir;
    std::filesystem::create_directories(dir.string() + "/sys");
    std::ofstream(dir.string() + "/secret") << "x";
    std::filesystem::create_symlink("../secret", dir.string() + "/sys/leak");
    const int fd = ::open((dir.string() + "/sys").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
    DirectorySysfs sysfs(fd);
    EXPECT_EQ(sysfs.read("leak").error().code, Code::permission_denied);
    EXPECT_FALSE(sysfs.read("../secret"));
    EXPECT_FALSE(sysfs.read("/etc/passwd"));
    ::close(fd);
}

TEST(DirectorySysfs, ReadsThroughLinksWhileOthersRenameFiles) {
    TempDir dir;
    std::filesystem::create_directories(dir.string() + "/devices/a");
    std::ofstream(dir.string() + "/devices/a/class") << "x";
    std::filesystem::create_directories(dir.string() + "/bus");
    std::filesystem::create_symlink("../devices/a", dir.string() + "/bus/a");
    std::ofstream(dir.string() + "/1") << "x";
    std::jthread renames([&](const std::stop_token& stop) {
        const auto one = dir.string() + "/1", two = dir.string() + "/2";
        while (!stop.stop_requested()) {
            (void)::rename(one.c_str(), two.c_str());
            (void)::rename(two.c_str(), one.c_str());
        }
    });
    const int fd = ::open(dir.string().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
    DirectorySysfs sysfs(fd);
    int failed = 0;
    for (int i = 0; i < 5000; ++i) failed += sysfs.text("bus/a/class") == "x" ? 0 : 1;
    EXPECT_EQ(failed, 0);
    ::close(fd);
}
TEST(DirectorySysfs, AWriteThatBlocksIsReportedAndRemembered) {
    TempDir dir;
    ASSERT_EQ(::mkfifo((dir.string() + "/unbind").c_str(), 0600), 0);  // opening it blocks until somebody reads
    const int fd = ::open(dir.string().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
    DirectorySysfs sysfs(fd);
    EXPECT_EQ(sysfs.write("unbind", "x", std::chrono::milliseconds{20}).error().code, Code::timed_out);
    EXPECT_TRUE(sysfs.pending("unbind"));
    EXPECT_EQ(sysfs.write("unbind", "x", std::chrono::milliseconds{20}).error().code, Code::timed_out);
    const int reader = ::open((dir.string() + "/unbind").c_str(), O_RDONLY | O_CLOEXEC);
    char byte = 0;
    EXPECT_EQ(::read(reader, &byte, 1), 1);
    for (int i = 0; i < 500 && sysfs.pending("unbind"); ++i) ::poll(nullptr, 0, 10);
    EXPECT_FALSE(sysfs.pending("unbind"));
    ::close(reader);
    ::close(fd);
}

}  // namespace
}  // namespace eve::pci
