// The contracts of eve/pci.hpp and eve/board.hpp, clause by clause, on any plugin. What a case does to the machine it undoes; a device is taken
// only if the caller named one that may be taken (--device).

#include <algorithm>
#include <set>

#include "core/plugin/device_clients.hpp"
#include "core/plugin/frame.hpp"
#include "eve/testing/call_context.hpp"
#include "tests/conformance/contract_cases.hpp"
#include "tests/conformance/plugin_fixture.hpp"

namespace eve::plugin {
namespace {

bool hexadecimal(std::string_view text, std::size_t size) {
    return text.size() == size && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}
/// "0000:03:00.0"
bool whole_address(std::string_view text) {
    const auto dot = text.rfind('.');
    if (dot == std::string_view::npos || text.size() < 12 || dot + 2 != text.size() || text[dot + 1] < '0' || text[dot + 1] > '7') return false;
    const auto place = text.substr(0, dot);
    return hexadecimal(place.substr(place.size() - 2), 2) && place[place.size() - 3] == ':' && hexadecimal(place.substr(place.size() - 5, 2), 2) &&
           place[place.size() - 6] == ':' && hexadecimal(place.substr(0, place.size() - 6), place.size() - 6);
}

class DeviceContract : public ::testing::TestWithParam<Isolation> {
protected:
    void SetUp() override { reopen(); }
    /// The node is started anew: another instance over the same directories.
    void reopen() {
        opened_.reset();
        opened_ = std::make_unique<OpenPlugin>(
            dir_, subject().file, subject().config, GetParam(), subject().cgroup_parent, subject().keeper, subject().plugin_host);
        if (opened_->error) ADD_FAILURE() << "open: " << opened_->error->what << "\n" << opened_->error->hint;
    }
    std::size_t descriptors() {
        std::size_t open = 0;
        for ([[maybe_unused]] const auto& fd : std::filesystem::directory_iterator("/proc/" + std::to_string(opened_->plugin->host_pid()) + "/fd")) ++open;
        return open;
    }

    ScratchDir dir_;
    std::unique_ptr<OpenPlugin> opened_;
    ::eve::testing::FakeCall call_;
};

class PciContract : public DeviceContract {
protected:
    void SetUp() override {
        DeviceContract::SetUp();
        if (!opened_->pci) GTEST_SKIP() << "it does not serve pci/1";
        if (const auto listed = pci().list(call_); !listed && listed.error().code == Code::unavailable) GTEST_SKIP() << listed.error().what;
    }
    Pci& pci() { return *opened_->pci; }
    std::vector<PciDevice> devices() {
        auto listed = pci().list(call_);
        EXPECT_TRUE(listed) << listed.error().what;
        return listed ? *listed : std::vector<PciDevice>{};
    }
    PciDevice device(const std::string& address) {
        for (auto& each : devices())
            if (each.address == address) return each;
        return {};
    }
    /// Whether the plugin works here; if not, the case is skipped.
    std::string why_not() {
        const auto report = pci().probe(call_);
        if (!report) return report.error().what;
        return report->verdict == ProbeVerdict::supported ? "" : report->reason.empty() ? "the plugin does not support this machine" : report->reason;
    }
    /// The code of a refusal of this set, after which every device is what it was before.
    Code refusal(const PciSet& set) {
        const auto before = devices();
        const auto answer = pci().reserve(call_, set);
        EXPECT_EQ(devices(), before) << "a call that fails has changed nothing";
        EXPECT_FALSE(answer);
        if (!answer) {
            EXPECT_FALSE(answer.error().what.empty());
        }
        return answer ? Code::ok : answer.error().code;
    }
};

TEST_P(PciContract, DescribeIsConstantAndNamesItsBindings) {
    const auto first = pci().describe(call_);
    ASSERT_TRUE(first) << first.error().what;
    EXPECT_FALSE(first->id.empty());
    EXPECT_FALSE(first->methods.empty());
    EXPECT_EQ(*pci().describe(call_), *first);
    if (why_not().empty()) {
        EXPECT_FALSE(first->bindings.empty()) << "a hypervisor's `describe` names the binding that it needs";
    }
}

TEST_P(PciContract, ProbeSaysWhyAndHasNoEffect) {
    const auto before = devices();
    const auto report = pci().probe(call_);
    ASSERT_TRUE(report) << report.error().what;
    EXPECT_NE(report->verdict, ProbeVerdict::unknown);
    if (report->verdict != ProbeVerdict::supported) {
        EXPECT_FALSE(report->reason.empty());
    }
    EXPECT_EQ(devices(), before);
}

TEST_P(PciContract, ListHasEachDeviceOnceByItsWholeAddress) {
    std::set<std::string> seen;
    for (const auto& each : devices()) {
        EXPECT_TRUE(whole_address(each.address)) << each.address;
        EXPECT_TRUE(seen.insert(each.address).second) << each.address << " is listed twice";
        EXPECT_TRUE(hexadecimal(each.vendor, 4)) << each.address << " vendor " << each.vendor;
        EXPECT_TRUE(hexadecimal(each.device, 4)) << each.address << " device " << each.device;
        EXPECT_EQ(each.macs.size(), each.interfaces.size()) << each.address;
        EXPECT_NE(each.use, PciUse::unknown) << each.address;
    }
}

TEST_P(PciContract, GroupsHoldTheDevicesThatListSaysAreInThem) {
    const auto groups = pci().groups(call_);
    ASSERT_TRUE(groups) << groups.error().what;
    std::map<std::string, std::set<std::string>> listed;
    for (const auto& each : devices())
        if (!each.group.empty()) listed[each.group].insert(each.address);
    std::map<std::string, std::set<std::string>> told;
    for (const auto& group : *groups) told[group.id] = {group.devices.begin(), group.devices.end()};
    for (const auto& [id, addresses] : listed) EXPECT_EQ(told[id], addresses) << "group " << id;
}

TEST_P(PciContract, AnAddressWithoutItsDomainIsRefusedNotGuessed) {
    EXPECT_EQ(refusal({.devices = {{.address = "00:1f.0"}}}), Code::invalid_argument);
    const auto released = pci().release(call_, {"00:1f.0"});
    ASSERT_FALSE(released);
    EXPECT_EQ(released.error().code, Code::invalid_argument);
    for (const auto* wrong : {"", "0000:00:1f", "../0000:00:1f.0", "0000:00:1f.0/..", "0000:00:1f.8"})
        EXPECT_EQ(refusal({.devices = {{.address = wrong}}}), Code::invalid_argument) << wrong;
}

TEST_P(PciContract, ADeviceThatIsNotThereIsNotFoundAndReleasingItSucceeds) {
    constexpr const char* nowhere = "00ff:ff:1f.7";
    const auto code = refusal({.devices = {{.address = nowhere}}});
    EXPECT_TRUE(code == Code::not_found || (code == Code::unsupported && !why_not().empty()) || code == Code::failed_precondition) << to_string(code);
    const auto released = pci().release(call_, {nowhere});
    EXPECT_TRUE(released) << released.error().what;
}

TEST_P(PciContract, ADeviceTwiceInASetIsRefused) {
    const auto all = devices();
    if (all.empty()) GTEST_SKIP() << "this machine has no PCI device";
    EXPECT_EQ(refusal({.devices = {{.address = all[0].address}, {.address = all[0].address}}}), Code::invalid_argument);
}

TEST_P(PciContract, BridgesAreNotGivenToGuests) {
    for (const auto& each : devices()) {
        if (!each.bridge) continue;
        const auto code = refusal({.devices = {{.address = each.address}}});
        EXPECT_TRUE(code == Code::invalid_argument || code == Code::failed_precondition || code == Code::unsupported) << to_string(code);
        return;
    }
    GTEST_SKIP() << "this machine has no PCI bridge";
}

TEST_P(PciContract, WhatTheNodeNeedsIsNotTaken) {
    if (subject().device.empty()) GTEST_SKIP() << "name a device that may be taken: --device ADDRESS";
    if (const auto why = why_not(); !why.empty()) GTEST_SKIP() << why;
    EXPECT_EQ(refusal({.devices = {{.address = subject().device}}, .needs = {{.address = subject().device, .why = "the check needs it"}}}), Code::failed_precondition);
    EXPECT_EQ(refusal({.devices = {{.address = subject().device}, {.address = "00ff:ff:1f.7"}}}), Code::not_found) << "all or nothing";
    if (device(subject().device).physical_function.empty()) {
        EXPECT_EQ(refusal({.devices = {{.address = subject().device, .mac = "02:00:00:00:00:01"}}}), Code::invalid_argument)
            << "a MAC for what is no virtual function";
    }
}

TEST_P(PciContract, ADeviceIsTakenSeenBoundGivenBackAndHasItsDriverAgain) {
    if (subject().device.empty()) GTEST_SKIP() << "name a device that may be taken: --device ADDRESS";
    if (const auto why = why_not(); !why.empty()) GTEST_SKIP() << why;
    const auto before = devices();
    const auto own = device(subject().device);
    ASSERT_FALSE(own.address.empty()) << "there is no device " << subject().device;
    const PciSet set{.devices = {{.address = subject().device}}};
    const auto reserved = pci().reserve(call_, set);
    ASSERT_TRUE(reserved) << reserved.error().what;
    ASSERT_EQ(reserved->size(), 1U);
    EXPECT_EQ(reserved->front().use, PciUse::reserved);
    const auto described = *pci().describe(call_);
    EXPECT_NE(std::find(described.bindings.begin(), described.bindings.end(), reserved->front().driver), described.bindings.end()) << reserved->front().driver;
    const auto again = pci().reserve(call_, set);
    EXPECT_TRUE(again) << "what is reserved already is left alone: " << again.error().what;
    reopen();
    EXPECT_EQ(device(subject().device).use, PciUse::reserved) << "another instance finds it";
    const auto released = pci().release(call_, {subject().device});
    ASSERT_TRUE(released) << released.error().what;
    EXPECT_EQ(device(subject().device).driver, own.driver);
    EXPECT_TRUE(pci().release(call_, {subject().device})) << "twice";
    for (const auto& earlier : before) {
        const auto now = device(earlier.address);
        EXPECT_EQ(now.driver, earlier.driver) << earlier.address;
        EXPECT_EQ(now.driver_override, earlier.driver_override) << earlier.address;
    }
}

TEST_P(PciContract, CallsLeakNoDescriptor) {
    const auto all = [&] {
        (void)pci().list(call_);
        (void)pci().groups(call_);
        (void)pci().reserve(call_, {.devices = {{.address = "00ff:ff:1f.7"}}});
    };
    all();
    const auto before = descriptors();
    for (int i = 0; i < 5; ++i) all();
    const auto until_ns = monotonic_after(std::chrono::nanoseconds(std::chrono::seconds{3}).count());
    while (descriptors() > before && monotonic_ns() < until_ns) ::poll(nullptr, 0, 10);  // a host answers before it tidies up after the call
    EXPECT_LE(descriptors(), before);
}

class BoardContract : public DeviceContract {
protected:
    void SetUp() override {
        DeviceContract::SetUp();
        if (!opened_->board) GTEST_SKIP() << "it does not serve board/1";
    }
    Board& board() { return *opened_->board; }
    std::vector<BoardDevice> rules() {
        auto told = board().devices(call_);
        EXPECT_TRUE(told) << told.error().what;
        return told ? *told : std::vector<BoardDevice>{};
    }
    /// A device as the rule describes it, at a place where no machine has one.
    static PciDevice example_of(const BoardDevice& rule) {
        return {.address = rule.address.empty() ? "00ff:ff:1f.7" : rule.address,
                .vendor = rule.vendor.empty() ? "ffff" : rule.vendor,
                .device = rule.device.empty() ? "ffff" : rule.device,
                .device_class = "020000"};
    }
};

TEST_P(BoardContract, DescribeIsConstant) {
    const auto first = board().describe(call_);
    ASSERT_TRUE(first) << first.error().what;
    EXPECT_FALSE(first->id.empty());
    EXPECT_FALSE(first->methods.empty());
    EXPECT_EQ(*board().describe(call_), *first);
}

TEST_P(BoardContract, ProbeSaysWhetherThisIsItsBoard) {
    const auto report = board().probe(call_);
    ASSERT_TRUE(report) << report.error().what;
    EXPECT_NE(report->verdict, ProbeVerdict::unknown);
    EXPECT_FALSE(report->reason.empty()) << "one sentence for the operator";
}

TEST_P(BoardContract, DevicesAreConstantWellFormedAndEachHasAStep) {
    const auto all = rules();
    EXPECT_EQ(rules(), all);
    for (const auto& rule : all) {
        EXPECT_TRUE(rule.vendor.empty() || hexadecimal(rule.vendor, 4)) << "vendor '" << rule.vendor << "': four small hexadecimal digits";
        EXPECT_TRUE(rule.device.empty() || hexadecimal(rule.device, 4)) << "device '" << rule.device << "': four small hexadecimal digits";
        EXPECT_TRUE(rule.address.empty() || whole_address(rule.address)) << "address '" << rule.address << "'";
        EXPECT_FALSE(rule.vendor.empty() && rule.device.empty() && rule.address.empty()) << "it would be called for every device of the machine";
        EXPECT_FALSE(rule.steps.empty()) << "it is never called";
        EXPECT_EQ(std::find(rule.steps.begin(), rule.steps.end(), BoardStep::unknown), rule.steps.end());
        EXPECT_FALSE(rule.quirks.empty()) << "people see the names of quirks";
    }
}

TEST_P(BoardContract, AStepOfADeviceThatVanishedIsAnAnswerNotACrash) {
    if (!subject().device.empty()) GTEST_SKIP() << "with --device the true one is used";
    for (const auto& rule : rules()) {
        if (!rule.address.empty()) continue;  // it may be there
        for (const auto step : rule.steps) {
            const BoardMoment moment{.step = step, .device = example_of(rule)};
            for (const auto& answer : {board().before(call_, moment), board().after(call_, moment)})
                if (!answer) {
                    EXPECT_TRUE(answer.error().code == Code::failed_precondition || answer.error().code == Code::unavailable) << to_string(answer.error().code);
                    EXPECT_FALSE(answer.error().what.empty());
                }
        }
    }
}

TEST_P(BoardContract, ADomainWithoutItsDevicesNeedsNothing) {
    const BoardDomain none{.id = {"6e3f1c9a-0000-4000-8000-00000000c0de"}, .name = "check", .mode = VirtualizationMode::hvm};
    const auto adjusted = board().adjust(call_, none);
    ASSERT_TRUE(adjusted) << adjusted.error().what;
    EXPECT_TRUE(adjusted->vmm_args.empty()) << adjusted->vmm_args.front();
}

TEST_P(BoardContract, AdjustHasNoEffectAndItsArgumentsAreInPairsWithAReason) {
    BoardDomain domain{.id = {"6e3f1c9a-0000-4000-8000-00000000c0de"}, .name = "check", .mode = VirtualizationMode::hvm};
    for (const auto& rule : rules()) domain.devices.push_back(example_of(rule));
    const auto first = board().adjust(call_, domain);
    if (!first) {
        EXPECT_EQ(first.error().code, Code::failed_precondition) << first.error().what;
        return;
    }
    EXPECT_EQ(*board().adjust(call_, domain), *first);
    EXPECT_EQ(first->vmm_args.size() % 2, 0U) << "\"-global\", \"vfio-pci.x-no-mmap=on\"";
    for (std::size_t at = 0; at < first->vmm_args.size(); at += 2) EXPECT_TRUE(first->vmm_args[at].starts_with("-")) << first->vmm_args[at];
    if (!first->vmm_args.empty()) {
        EXPECT_FALSE(first->notes.empty()) << "the operator is told why";
    }
}

TEST_P(BoardContract, CallsLeakNoDescriptor) {
    const auto all = [&] {
        (void)rules();
        for (const auto& rule : rules())
            if (rule.address.empty()) (void)board().before(call_, {.step = BoardStep::bind, .device = example_of(rule)});
    };
    all();
    const auto before = descriptors();
    for (int i = 0; i < 5; ++i) all();
    const auto until_ns = monotonic_after(std::chrono::nanoseconds(std::chrono::seconds{3}).count());
    while (descriptors() > before && monotonic_ns() < until_ns) ::poll(nullptr, 0, 10);
    EXPECT_LE(descriptors(), before);
}

const auto isolation_name = [](const auto& param) { return param.param == Isolation::process ? "Isolated" : "InProcess"; };
INSTANTIATE_TEST_SUITE_P(Pci1, PciContract, ::testing::Values(Isolation::in_process, Isolation::process), isolation_name);
INSTANTIATE_TEST_SUITE_P(Board1, BoardContract, ::testing::Values(Isolation::in_process, Isolation::process), isolation_name);

}  // namespace
}  // namespace eve::plugin
