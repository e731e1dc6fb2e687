// evectl adapters, from the records that a node publishes: for people and for machines.

#include "core/evectl/adapters.hpp"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/types/app.hpp"
#include "core/types/codec.hpp"
#include "core/types/domain.hpp"
#include "core/types/hardware.hpp"
#include "tests/doubles/temp_dir.hpp"

namespace eve::evectl {
namespace {

using ::testing::HasSubstr;

const std::string web = "a0000000-0000-4000-8000-000000000001", db = "b0000000-0000-4000-8000-000000000002";

class EvectlAdapters : public ::testing::Test {
protected:
    TempDir dir;
    NodeFiles node{Root(dir.string())};
    types::AssignableAdapters table{.Initialized = true};
    types::PciInventory inventory{.Known = true, .IOVirtualization = true};

    template <class T> void publish(const std::string& agent, const std::string& key, const T& record) {
        const auto folder = node.directory<T>(agent);
        std::filesystem::create_directories(folder);
        std::ofstream(folder + "/" + key + ".json") << eve::to_json(record);
    }
    void SetUp() override {
        add("nic", types::IoType::IoNetEth, "g1", "0000:03:00.0", "7", "e1000e", "bound");
        add("disk", types::IoType::IoNVMEStorage, "g2", "0000:04:00.0", "8", "vfio-pci", "reserved");
        add("uplink", types::IoType::IoNetEth, "g3", "0000:05:00.0", "9", "igb", "bound");
        table.IoBundleList[2].IsPort = table.IoBundleList[2].KeepInHost = true;
        types::Capabilities can;
        can.IOVirtualization = true;
        publish("domainmgr", "global", can);
        types::DomainStatus status;
        status.DisplayName = "database";
        status.State = types::SwState::HALTING;
        publish("domainmgr", db, status);
    }
    void add(const std::string& label, types::IoType type, const std::string& group, const std::string& address, const std::string& iommu,
             const std::string& driver, const std::string& use) {
        types::IoBundle bundle;
        bundle.Type = type;
        bundle.Phylabel = bundle.Logicallabel = label;
        bundle.AssignmentGroup = group;
        bundle.PciLong = address;
        bundle.IsPCIBack = use == "reserved";
        table.IoBundleList.push_back(bundle);
        types::PciFunction function;
        function.Address = address;
        function.Group = iommu;
        function.Driver = driver;
        function.Use = use;
        inventory.Devices.push_back(function);
    }
    void publish_all(const std::vector<std::string>& wanted = {}) {
        publish("domainmgr", "global", table);
        publish("domainmgr", "global", inventory);
        types::AppInstanceConfig config;
        for (const auto& name : wanted) {
            config.IoAdapterList.emplace_back();
            config.IoAdapterList.back().Name = name;
        }
        publish("zedagent", web, config);
    }
    Report plan() { return report_adapter_plan(node, {.uuid = web, .name = "web"}); }
};

TEST_F(EvectlAdapters, ShowsWhoOwnsWhatAndWhySomethingCannotBeAssigned) {
    table.IoBundleList[1].UsedByUUID = types::Uuid::parse_or_nil(db);
    table.IoBundleList[0].Error.Errors.push_back({.ErrStr = "it does not let go"});
    publish_all();
    const auto report = report_adapters(node);
    EXPECT_THAT(report.text, HasSubstr("nic     ethernet  g1     0000:03:00.0  7      e1000e    nobody\n"));
    EXPECT_THAT(report.text, HasSubstr("disk    nvme      g2     0000:04:00.0  8      vfio-pci  app database\n"));
    EXPECT_THAT(report.text, HasSubstr("node (port)\n"));
    EXPECT_THAT(report.text, HasSubstr("  nic: it does not let go\n"));
    const auto json = nlohmann::json::parse(report.json);
    EXPECT_EQ(json["adapters"][0]["assignable"], false);
    EXPECT_EQ(json["adapters"][0]["why_not"], "it does not let go");
    EXPECT_EQ(json["adapters"][1]["owner"]["name"], "database");
    EXPECT_EQ(json["adapters"][2]["why_not"], "a network port of the node");
}

TEST_F(EvectlAdapters, SaysOnceWhyNoPciDeviceCanBeAssigned) {
    inventory.Trouble = "this machine has no IOMMU in use";
    publish_all();
    EXPECT_THAT(report_adapters(node).text, HasSubstr("PCI devices cannot be assigned here: this machine has no IOMMU in use\n"));
}

TEST_F(EvectlAdapters, ThePlanShowsWhatWouldBeBoundBeforeItIs) {
    add("nic2", types::IoType::IoNetEth, "", "0000:03:00.1", "7", "e1000e", "bound");
    publish_all({"nic", "disk"});
    const auto report = plan();
    EXPECT_THAT(report.text, HasSubstr("nic      nic   pci  0000:03:00.0  e1000e      bound for guests\n"));
    EXPECT_THAT(report.text, HasSubstr("disk     disk  pci  0000:04:00.0  vfio-pci    bound for guests already\n"));
    EXPECT_THAT(report.text, HasSubstr("nic2 (0000:03:00.1) is taken from the host along with it: it shares IOMMU group 7"));
    const auto json = nlohmann::json::parse(report.json);
    EXPECT_EQ(json["granted"], true);
    ASSERT_EQ(json["binds"].size(), 3U);
    EXPECT_EQ(json["binds"][0]["changes"], true);
    EXPECT_EQ(json["binds"][1]["changes"], false);
}

TEST_F(EvectlAdapters, ThePlanNamesTheAppThatHasTheAdapter) {
    table.IoBundleList[1].UsedByUUID = types::Uuid::parse_or_nil(db);
    publish_all({"disk"});
    const auto report = plan();
    EXPECT_THAT(report.text, HasSubstr("web would not start: adapter disk (disk) is used by app " + db));
    EXPECT_THAT(report.text, HasSubstr("the other app is database\n"));
    EXPECT_THAT(report.text, HasSubstr("will wait"));
    EXPECT_EQ(nlohmann::json::parse(report.json)["refused"]["apps"][0], db);
}

}  // namespace
}  // namespace eve::evectl
