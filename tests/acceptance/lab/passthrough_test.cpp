// Run inside machines of the lab, as root: the plugins for PCI devices and for QEMU, isolated, on a real kernel with a real (emulated) IOMMU.
// Whatever a test does, the drivers of all devices are afterwards what they were before.

#include <gmock/gmock.h>
#include <poll.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "core/plugin/device_clients.hpp"
#include "core/plugin/hypervisor_client.hpp"
#include "core/plugin/node_host.hpp"
#include "core/plugin/plugin.hpp"

namespace eve::plugin {
namespace {

using namespace std::chrono_literals;
using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const std::string devices_directory = "/sys/bus/pci/devices/";
const std::string nic = "0000:00:04.0", nvme = "0000:00:05.0", function_a = "0000:00:06.0", function_b = "0000:00:06.1", behind_a = "0000:02:01.0",
                  behind_b = "0000:02:02.0";

class NoLog final : public Log {
public:
    void write(Level level, std::string_view event, Fields) override {
        if (level >= Level::warn) std::printf("log: %.*s\n", static_cast<int>(event.size()), event.data());
    }
};

std::string content_of(const std::string& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}
void put(const std::string& file, const std::string& text) { std::ofstream(file) << text; }
std::string driver_of(const std::string& address) {
    std::error_code none;
    return std::filesystem::read_symlink(devices_directory + address + "/driver", none).filename().string();
}

/// Every device with its driver and override.
std::vector<std::string> drivers() {
    std::vector<std::string> all;
    for (const auto& device : std::filesystem::directory_iterator(devices_directory)) {
        const auto name = device.path().filename().string();
        all.push_back(name + " " + driver_of(name) + " " + content_of(devices_directory + name + "/driver_override"));
    }
    std::sort(all.begin(), all.end());
    return all;
}

/// A plugin in a plugin-host, on directories of its own.
template <class Client> struct Isolated {
    Isolated(const std::string& name, const std::string& config) {
        auto opened = NodeHost::open({.plugin = name,
                                      .node = "lab",
                                      .version = "0",
                                      .state_dir = "/persist/plugins/" + name,
                                      .run_dir = "/run/plugins/" + name,
                                      .config = config,
                                      .keeper = {.executable = "/opt/eve/bin/keeper", .cgroup_parent = {}}},
                                     {.log = log, .on_event = [](DomainEvent) {}});
        if (!opened) throw std::runtime_error(opened.error().what);
        host = std::move(*opened);
        auto made = open_isolated({.file = "/opt/eve/plugins/" + name + ".so", .host = *host}, {.executable = "/opt/eve/bin/plugin-host"});
        if (!made) throw std::runtime_error(made.error().what);
        plugin = std::move(*made);
        auto connected = Client::connect(*plugin, TimedCall(60s));
        if (!connected) throw std::runtime_error(connected.error().what);
        client = std::move(*connected);
    }
    Client* operator->() { return client.get(); }

    NoLog log;
    std::unique_ptr<NodeHost> host;
    std::unique_ptr<Plugin> plugin;
    std::unique_ptr<Client> client;
};

class Machine : public ::testing::Test {
protected:
    static void SetUpTestSuite() {
        std::setvbuf(stdout, nullptr, _IONBF, 0);  // a hang shows how far it came
        for (const auto* directory : {"/persist/plugins", "/run/plugins"}) std::filesystem::create_directories(directory);
    }
    void SetUp() override { before = drivers(); }
    void TearDown() override { EXPECT_EQ(drivers(), before) << "every device has the driver and override that it had"; }

    static PciSet set(const std::vector<std::string>& addresses) {
        PciSet wanted;
        for (const auto& address : addresses) wanted.devices.push_back({.address = address});
        return wanted;
    }
    Error refused(const std::vector<std::string>& addresses) {
        auto reserved = pci->reserve(TimedCall(30s), set(addresses));
        EXPECT_FALSE(reserved);
        const auto error = reserved ? Error{} : reserved.error();
        std::printf("refused (%s): %s\n", std::string(to_string(error.code)).c_str(), error.what.c_str());
        return error;
    }
    static DomainSpec spec(const std::string& guest, const std::vector<std::string>& addresses, unsigned number = 1) {
        DomainSpec wanted{.id = DomainId{"a0000000-0000-4000-8000-00000000000" + std::to_string(number)}, .revision = 1};
        wanted.name = "lab" + std::to_string(number);
        wanted.mode = VirtualizationMode::hvm;
        wanted.memory = 64_MiB;
        wanted.vcpus = 1;
        wanted.kernel = "/opt/eve/guests/" + guest + ".elf";
        for (const auto& address : addresses) wanted.adapters.push_back({.kind = AdapterKind::pci, .name = address, .address = address});
        return wanted;
    }
    /// Started; what went wrong, or nothing.
    static std::string start(Isolated<HypervisorClient>& kvm, const DomainSpec& wanted) {
        auto created = kvm->create(TimedCall(60s), wanted);
        if (!created) return created.error().what;
        auto started = kvm->start(TimedCall(60s), wanted.id);
        return started ? "" : started.error().what;
    }
    static std::string wait_for_console(Isolated<HypervisorClient>& kvm, const DomainId& id, const std::string& text) {
        std::string log;
        for (int i = 0; i < 600; ++i) {
            const auto info = kvm->inspect(TimedCall(10s), id);
            if (info) log = content_of(info->console_log_path);
            if (log.find(text) != std::string::npos) break;
            ::poll(nullptr, 0, 100);
        }
        return log;
    }
    static void destroy(Isolated<HypervisorClient>& kvm, const DomainId& id) {
        const auto gone = kvm->destroy(TimedCall(30s), id, DestroyMode::purge);
        EXPECT_TRUE(gone) << gone.error().what;
    }

    Isolated<PciClient> pci{"pci", ""};
    std::vector<std::string> before;
};

using WithIommu = Machine;
using WithoutIommu = Machine;
using WithoutRemapping = Machine;

TEST_F(WithIommu, AGuestReadsADiskByDmaAndSeesItsNic) {
    Isolated<HypervisorClient> kvm{"kvm", R"({"accel":"tcg"})"};
    EXPECT_EQ(kvm->description().pci_binding, "vfio-pci");
    const auto reserved = pci->reserve(TimedCall(30s), set({nvme, nic}));
    ASSERT_TRUE(reserved) << reserved.error().what;
    const auto wanted = spec("dma-once", {nvme, nic});
    ASSERT_EQ(start(kvm, wanted), "");
    const auto said = wait_for_console(kvm, wanted.id, "DMA-GUEST done");
    std::printf("%s\n", said.c_str());
    EXPECT_THAT(said, HasSubstr("nvme serial=TESTNVME"));
    EXPECT_THAT(said, HasSubstr("data=NVME-PAYLOAD-0123456789-ABCDEFGH"));
    EXPECT_THAT(said, HasSubstr("nic mac=52:54:00:aa:00:01"));
    destroy(kvm, wanted.id);
    std::printf("destroyed\n");
    const auto released = pci->release(TimedCall(30s), {nvme, nic});
    std::printf("released\n");
    EXPECT_TRUE(released) << released.error().what;
    for (int i = 0; i < 50 && !std::filesystem::exists("/dev/nvme0n1"); ++i) ::poll(nullptr, 0, 100);
    std::string start_of_disk(12, ' ');
    std::ifstream("/dev/nvme0n1", std::ios::binary).read(start_of_disk.data(), static_cast<std::streamsize>(start_of_disk.size()));
    EXPECT_EQ(start_of_disk, "NVME-PAYLOAD") << "the host has its disk again";
}

TEST_F(WithIommu, AFunctionOfACardAndANeighbourBehindABridgeAreRefused) {
    EXPECT_THAT(refused({function_a}).what, HasSubstr("is one function of a card whose function 0000:00:06.1 stays with the host"));
    EXPECT_THAT(refused({nvme, behind_a}).what, HasSubstr("is behind the same bridge (0000:01:00.0) as 0000:02:02.0"));
    EXPECT_EQ(refused({"0000:01:00.0"}).code, Code::invalid_argument);
    // Together they go, and come back.
    for (const auto& both : {std::vector{function_a, function_b}, std::vector{behind_a, behind_b}}) {
        const auto reserved = pci->reserve(TimedCall(30s), set(both));
        ASSERT_TRUE(reserved) << reserved.error().what;
        const auto released = pci->release(TimedCall(30s), both);
        ASSERT_TRUE(released) << released.error().what;
    }
}

TEST_F(WithIommu, WhatAGuestHasIsNeitherGivenTwiceNorTakenAwayAndItsDeathFreesIt) {
    Isolated<HypervisorClient> kvm{"kvm", R"({"accel":"tcg"})"};
    ASSERT_TRUE(pci->reserve(TimedCall(30s), set({behind_a, behind_b})));
    const auto holder = spec("dma-stay", {behind_a, behind_b});
    ASSERT_EQ(start(kvm, holder), "");
    EXPECT_THAT(wait_for_console(kvm, holder.id, "DMA-GUEST done"), HasSubstr("nic mac=52:54:00:aa:00:03"));
    EXPECT_THAT(refused({behind_a, behind_b}).what, HasSubstr("a guest has it (qemu-system-x86, pid "));
    const auto released = pci->release(TimedCall(30s), {behind_b});
    ASSERT_FALSE(released);
    EXPECT_EQ(released.error().code, Code::failed_precondition);
    EXPECT_EQ(driver_of(behind_b), "vfio-pci") << "nothing was unbound under it";
    const auto groups = pci->groups(TimedCall(10s));
    ASSERT_TRUE(groups);
    EXPECT_TRUE(std::any_of(groups->begin(), groups->end(), [](const PciGroup& group) { return group.holder.starts_with("qemu-system-x86, pid "); }));
    // A second guest with a device of the same group is told by QEMU, and leaves nothing.
    const auto second = spec("dma-once", {behind_b}, 2);
    const auto why = start(kvm, second);
    std::printf("second guest: %s\n", why.c_str());
    EXPECT_THAT(why, AnyOf(HasSubstr("busy"), HasSubstr("in use")));
    destroy(kvm, second.id);
    // Killed as by the kernel for want of memory.
    const auto info = kvm->inspect(TimedCall(10s), holder.id);
    ASSERT_TRUE(info);
    ASSERT_GT(info->pid, 1);
    ::kill(static_cast<pid_t>(info->pid), SIGKILL);
    Result<DomainInfo> seen = *info;
    for (int i = 0; i < 100 && seen && seen->state == DomainState::running; ++i) {
        ::poll(nullptr, 0, 100);
        seen = kvm->inspect(TimedCall(10s), holder.id);
    }
    EXPECT_EQ(seen->state, DomainState::broken);
    destroy(kvm, holder.id);
    const auto back = pci->release(TimedCall(30s), {behind_a, behind_b});
    EXPECT_TRUE(back) << back.error().what;
}

TEST_F(WithIommu, ABindThatDoesNotHappenGivesTheWholeSetBack) {
    // The second device's override leads nowhere, so the kernel binds it to its own driver again.
    const auto file = devices_directory + nvme + "/driver_override";
    put("/tmp/nowhere", "");
    ASSERT_EQ(::mount("/tmp/nowhere", file.c_str(), nullptr, MS_BIND, nullptr), 0);
    const auto error = refused({nic, nvme});
    ASSERT_EQ(::umount(file.c_str()), 0);
    EXPECT_EQ(error.code, Code::unavailable);
    EXPECT_THAT(error.what, HasSubstr("driver bind failed: it is bound to nvme, not to vfio-pci"));
}

TEST_F(WithIommu, ADeviceThatVanishedIsNamedAndTheRestGoesBack) {
    put(devices_directory + nic + "/remove", "1");
    EXPECT_EQ(refused({nvme, nic}).code, Code::not_found);
    put("/sys/bus/pci/rescan", "1");
    for (int i = 0; i < 50 && driver_of(nic).empty(); ++i) ::poll(nullptr, 0, 100);
}

TEST_F(WithIommu, TheHostsSwapAndTheNodesPortAreRefused) {
    auto wanted = set({nic});
    wanted.needs.push_back({.address = nic, .why = "eth0 is a port of the node"});
    const auto reserved = pci->reserve(TimedCall(30s), wanted);
    ASSERT_FALSE(reserved);
    EXPECT_THAT(reserved.error().what, HasSubstr("eth0 is a port of the node"));
}

TEST_F(WithIommu, ALostPluginHostFindsWhatIsReserved) {
    ASSERT_TRUE(pci->reserve(TimedCall(30s), set({nvme})));
    ::kill(static_cast<pid_t>(pci.plugin->host_pid()), SIGKILL);
    Result<std::vector<PciDevice>> listed = Error{};
    for (int i = 0; i < 100 && !listed; ++i) {
        ::poll(nullptr, 0, 100);
        listed = pci->list(TimedCall(10s));
    }
    ASSERT_TRUE(listed) << listed.error().what;
    const auto device = std::find_if(listed->begin(), listed->end(), [](const PciDevice& each) { return each.address == nvme; });
    ASSERT_NE(device, listed->end());
    EXPECT_EQ(device->use, PciUse::reserved);
    EXPECT_TRUE(pci->release(TimedCall(30s), {nvme}));
}

TEST_F(WithIommu, ACardIsSplitIntoFunctionsAndMadeWholeAgain) {
    const auto listed = pci->list(TimedCall(10s));
    ASSERT_TRUE(listed);
    const auto card = std::find_if(listed->begin(), listed->end(), [](const PciDevice& each) { return each.functions_max > 0; });
    if (card == listed->end()) GTEST_SKIP() << "this machine has no device with virtual functions";
    const auto made = pci->split(TimedCall(30s), {.address = card->address, .functions = 2});
    ASSERT_TRUE(made) << made.error().what;
    ASSERT_EQ(made->size(), 2U);
    EXPECT_EQ((*made)[0].physical_function, card->address);
    EXPECT_EQ((*made)[0].driver, "") << "no driver of the host took it";
    EXPECT_TRUE(pci->reserve(TimedCall(30s), set({(*made)[0].address})));
    EXPECT_TRUE(pci->split(TimedCall(30s), {.address = card->address, .functions = 0}));
    EXPECT_EQ(pci->split(TimedCall(30s), {.address = card->address, .functions = 99}).error().code, Code::invalid_argument);
    put(devices_directory + card->address + "/sriov_drivers_autoprobe", "1");
}

TEST_F(WithIommu, ABoardsQuirksActOnTheDeviceAndOnQemu) {
    Isolated<BoardClient> board{"board-example", ""};
    Isolated<HypervisorClient> kvm{"kvm", R"({"accel":"tcg"})"};
    const auto ways = content_of(devices_directory + nic + "/reset_method");
    const auto rules = board->devices(TimedCall(10s));
    ASSERT_TRUE(rules);
    ASSERT_EQ(rules->size(), 1U);
    const auto listed = pci->list(TimedCall(10s));
    ASSERT_TRUE(listed);
    const auto device = *std::find_if(listed->begin(), listed->end(), [](const PciDevice& each) { return each.address == nic; });
    EXPECT_EQ(device.vendor + ":" + device.device, (*rules)[0].vendor + ":" + (*rules)[0].device);
    const auto ready = board->before(TimedCall(10s), {.step = BoardStep::bind, .device = device});
    ASSERT_TRUE(ready) << ready.error().what;
    EXPECT_EQ(content_of(devices_directory + nic + "/reset_method"), "pm\n") << "the kernel resets it in the board's way now; before: " << ways;
    const auto bound = pci->reserve(TimedCall(30s), set({nic}));
    ASSERT_TRUE(bound) << bound.error().what;
    const auto reset = board->after(TimedCall(10s), {.step = BoardStep::bind, .device = (*bound)[0]});
    EXPECT_TRUE(reset) << reset.error().what;
    const auto adjusted = board->adjust(TimedCall(10s), {.id = DomainId{"x"}, .devices = *bound});
    ASSERT_TRUE(adjusted);
    auto wanted = spec("dma-stay", {nic});
    wanted.vmm_args = adjusted->vmm_args;
    ASSERT_EQ(start(kvm, wanted), "");
    const auto info = kvm->inspect(TimedCall(10s), wanted.id);
    ASSERT_TRUE(info);
    auto arguments = content_of("/proc/" + std::to_string(info->pid) + "/cmdline");
    std::replace(arguments.begin(), arguments.end(), '\0', ' ');
    EXPECT_THAT(arguments, HasSubstr("-global vfio-pci.x-no-kvm-intx=on"));
    EXPECT_THAT(wait_for_console(kvm, wanted.id, "DMA-GUEST done"), HasSubstr("nic mac=52:54:00:aa:00:01"));
    destroy(kvm, wanted.id);
    // An argument that is not on the list never reaches QEMU.
    wanted.vmm_args = {"-monitor", "stdio"};
    const auto refused = kvm->create(TimedCall(30s), wanted);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().field, ".vmm_args[0]");
    const auto released = pci->release(TimedCall(30s), {nic});
    ASSERT_TRUE(released);
    EXPECT_TRUE(board->after(TimedCall(10s), {.step = BoardStep::unbind, .device = (*released)[0]}));
    EXPECT_EQ(content_of(devices_directory + nic + "/reset_method"), ways);
}

TEST_F(WithoutIommu, TheReasonIsSaidByBothPluginsAndNothingIsTouched) {
    const auto probe = pci->probe(TimedCall(10s));
    ASSERT_TRUE(probe);
    EXPECT_EQ(probe->verdict, ProbeVerdict::declined);
    EXPECT_THAT(probe->reason, HasSubstr("no IOMMU"));
    const auto error = refused({nvme});
    EXPECT_EQ(error.code, Code::unsupported);
    EXPECT_THAT(error.what, HasSubstr("is not behind an IOMMU"));
    EXPECT_TRUE(pci->list(TimedCall(10s))) << "what needs no IOMMU works";
    Isolated<HypervisorClient> kvm{"kvm", R"({"accel":"tcg"})"};
    EXPECT_FALSE(kvm->description().capabilities.pci);
    const auto created = kvm->create(TimedCall(30s), spec("dma-once", {nvme}));
    ASSERT_FALSE(created);
    EXPECT_EQ(created.error().code, Code::unsupported);
    EXPECT_EQ(created.error().field, ".adapters[0]");
}

TEST_F(WithoutRemapping, TheMachineIsRefusedUntilTheOperatorAcceptsTheRisk) {
    const auto error = refused({nvme, nic});
    EXPECT_EQ(error.code, Code::failed_precondition);
    EXPECT_THAT(error.what, HasSubstr("no interrupt remapping"));
    EXPECT_THAT(error.hint, HasSubstr("allow_unsafe_interrupts"));
    EXPECT_EQ(drivers(), before);
    put("/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts", "1");
    const auto reserved = pci->reserve(TimedCall(30s), set({nvme, nic}));
    ASSERT_TRUE(reserved) << reserved.error().what;
    EXPECT_TRUE(pci->release(TimedCall(30s), {nvme, nic}));
}

}  // namespace
}  // namespace eve::plugin
