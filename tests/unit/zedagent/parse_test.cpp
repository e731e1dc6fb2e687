// What a device config becomes: records for what is right, a refusal with the field named for what cannot be a config, errors that stay with
// their object for the rest.

#include "core/zedagent/parse.hpp"

#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>

#include <chrono>

#include "config_text.hpp"
#include "core/zedagent/proto/config.pb.h"

namespace eve::zedagent {
namespace {

using namespace std::chrono_literals;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;
using test::quickstart;
using test::replaced;

constexpr WallTime noon{.seconds = 1'700'000'000};

Result<DeviceConfig> read(std::string_view text) { return parse(text, {.now = noon}); }

DeviceConfig read_well(std::string_view text) {
    auto parsed = read(text);
    if (!parsed) {
        ADD_FAILURE() << parsed.error().what;
        return {};
    }
    return *std::move(parsed);
}

/// The quickstart with these members instead of its own at the top level.
std::string with(std::string_view members) { return "{\"id\":{\"uuid\":\"" + std::string(test::device_uuid) + "\"}," + std::string(members) + "}"; }

TEST(Parse, QuickstartBecomesTheRecordsThatAgentsRead) {
    const auto config = read_well(quickstart());
    EXPECT_EQ(config.id.UUID.to_string(), test::device_uuid);
    EXPECT_EQ(config.device_name, "quickstart");
    EXPECT_THAT(config.item_problems, IsEmpty());
    EXPECT_THAT(config.unknown_fields, IsEmpty());
    EXPECT_THAT(config.not_acted_on, IsEmpty());
    EXPECT_EQ(ConfigItems(config.items).seconds("timer.boot.retry"), 30s);

    ASSERT_THAT(config.physical_io.AdapterList, SizeIs(1));
    EXPECT_TRUE(config.physical_io.Initialized);
    EXPECT_EQ(config.physical_io.AdapterList[0].Phyaddr.Ifname, "eth0");
    EXPECT_EQ(config.physical_io.AdapterList[0].Usage, types::PhyIoMemberUsage::PhyIoUsageMgmtAndApps);

    ASSERT_THAT(config.ports.Ports, SizeIs(1));
    const auto& port = config.ports.Ports[0];
    EXPECT_EQ(config.ports.Version, types::DevicePortConfigVersion::DPCIsMgmt);
    EXPECT_EQ(config.ports.LastError, "");
    EXPECT_EQ(port.IfName, "eth0");
    EXPECT_TRUE(port.IsMgmt);
    EXPECT_TRUE(port.IsL3Port);
    EXPECT_EQ(port.Dhcp, types::DhcpType::DhcpTypeStatic);
    EXPECT_EQ(port.AddrSubnet, "192.0.2.2/24");
    EXPECT_EQ(port.Gateway.to_string(), "192.0.2.1");
    EXPECT_THAT(port.SharedLabels, ElementsAre("all", "uplink", "freeuplink"));
    EXPECT_EQ(port.NetworkUUID.to_string(), test::network_uuid);

    ASSERT_THAT(config.network_instances, SizeIs(1));
    const auto& network = config.network_instances[0];
    EXPECT_EQ(network.Error, "");
    EXPECT_EQ(network.UUID.to_string(), test::instance_uuid);
    EXPECT_EQ(network.Type, types::NetworkInstanceType::NetworkInstanceTypeLocal);
    EXPECT_EQ(network.PortLabel, "eth0");
    EXPECT_EQ(network.Subnet->to_string(), "10.11.12.0/24");
    EXPECT_EQ(network.Gateway.to_string(), "10.11.12.1");
    EXPECT_EQ(network.DhcpRange.Start.to_string(), "10.11.12.128");
    EXPECT_EQ(network.DhcpRange.End.to_string(), "10.11.12.254");
    EXPECT_TRUE(network.EnableFlowlog);

    ASSERT_THAT(config.datastores, SizeIs(1));
    EXPECT_EQ(config.datastores[0].DsType, "DsHttp");
    EXPECT_EQ(config.datastores[0].Fqdn, "http://192.0.2.1:8000");
    ASSERT_THAT(config.content_trees, SizeIs(1));
    const auto& tree = config.content_trees[0];
    EXPECT_EQ(tree.ContentSha256, "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
    EXPECT_EQ(tree.Format, types::Format::QCOW2);
    EXPECT_EQ(tree.MaxDownloadSize, 4096u);
    EXPECT_TRUE(tree.IsLocal);
    EXPECT_THAT(tree.DatastoreIDList, ElementsAre(config.datastores[0].UUID));
    ASSERT_THAT(config.volumes, SizeIs(1));
    EXPECT_EQ(config.volumes[0].ContentID, tree.ContentID);
    EXPECT_FALSE(config.volumes[0].Encrypted);
    EXPECT_FALSE(config.volumes[0].HasNoAppReferences);
    EXPECT_EQ(volume_key(config.volumes[0]), std::string(test::volume_uuid) + "#0");

    ASSERT_THAT(config.apps, SizeIs(1));
    const auto& app = config.apps[0];
    EXPECT_THAT(app.Errors, IsEmpty());
    EXPECT_EQ(app.DisplayName, "quickstart");
    EXPECT_TRUE(app.Activate);
    EXPECT_TRUE(app.IsDesignatedNodeID);
    EXPECT_EQ(app.FixedResources.Memory, 262144);
    EXPECT_EQ(app.FixedResources.VirtualizationMode, types::VmMode::HVM);
    ASSERT_THAT(app.VolumeRefConfigList, SizeIs(1));
    EXPECT_TRUE(app.VolumeRefConfigList[0].VerifyOnly);
    EXPECT_EQ(app.VolumeRefConfigList[0].AppUUID, app.UUIDandVersion.UUID);
    ASSERT_THAT(app.AppNetAdapterList, SizeIs(1));
    EXPECT_EQ(app.AppNetAdapterList[0].IntfOrder, 1u);
    ASSERT_THAT(app.AppNetAdapterList[0].ACLs, SizeIs(2));
    const auto& rule = app.AppNetAdapterList[0].ACLs[1];
    EXPECT_EQ(rule.Matches[1].Type, "lport");
    EXPECT_TRUE(rule.Actions[0].PortMap);
    EXPECT_EQ(rule.Actions[0].TargetPort, 80);
    EXPECT_TRUE(app.CloudInitUserData);
}

TEST(Parse, BinaryAndBothSpellingsOfJsonAreOneConfig) {
    ::org::lfedge::eve::config::EdgeDevConfig message;
    ASSERT_TRUE(::google::protobuf::util::JsonStringToMessage(quickstart(), &message).ok());
    ::google::protobuf::util::JsonPrintOptions proto_names;
    proto_names.preserve_proto_field_names = true;
    proto_names.always_print_primitive_fields = true;
    std::string text;
    ASSERT_TRUE(::google::protobuf::util::MessageToJsonString(message, &text, proto_names).ok());
    ASSERT_THAT(text, HasSubstr("clear_text"));
    const auto expected = read_well(quickstart());
    EXPECT_EQ(read_well(message.SerializeAsString()), expected);
    EXPECT_EQ(read_well(text), expected);
}

TEST(Parse, WhatCannotBeAConfigIsRefusedWithTheFieldNamed) {
    const auto good = quickstart();
    const std::string other = "11111111-2222-3333-4444-555555555555";
    struct Row {
        std::string text;
        const char* field;
        const char* what;
    };
    const Row rows[] = {
        {"", "", "empty"},
        {" \n\t", "", "empty"},
        {"{", "", "not JSON"},
        {"{\"id\": }", "", "not JSON"},
        {"[]", "", "neither JSON nor"},
        {"hello", "", "neither JSON nor"},
        {"{}", "id.uuid", "missing"},
        {replaced(good, test::device_uuid, "not-a-uuid"), "id.uuid", "\"not-a-uuid\" is no UUID"},
        {replaced(good, test::device_uuid, "00000000-0000-0000-0000-000000000000"), "id.uuid", "nil"},
        {replaced(good, "\"activate\": true,\n      \"fixed", "\"activate\": \"yes\",\n      \"fixed"), "apps[0].activate",
         "must be true or false, not a text"},
        {replaced(good, "262144", "\"a lot\""), "apps[0].fixedresources.memory", "whole number of 0 to 4294967295"},
        {replaced(good, "262144", "-1"), "apps[0].fixedresources.memory", "whole number"},
        {replaced(good, "262144", "4294967296"), "apps[0].fixedresources.memory", "whole number"},
        {replaced(good, "262144", "1.5"), "apps[0].fixedresources.memory", "whole number"},
        {replaced(good, "\"HVM\"", "\"HVMX\""), "apps[0].fixedresources.virtualizationMode", "\"HVMX\" is no VmMode"},
        {replaced(good, "{\"memory\": 262144, \"vcpus\": 1, \"virtualizationMode\": \"HVM\"}", "7"), "apps[0].fixedresources",
         "must be an object, not a number"},
        {with(R"("apps":{})"), "apps", "must be a list, not an object"},
        {with(R"("apps":[[]])"), "apps[0]", "must be an object, not a list"},
        {with(R"("deviceIoList":[{"phylabel":"a","phyaddrs":[]}])"), "deviceIoList[0].phyaddrs", "must be an object"},
        {with(R"("configTimestamp":"yesterday")"), "configTimestamp", "must be a time"},
        {with(R"("apps":[{"displayname":"x"}])"), "apps[0].uuidandversion.uuid", "missing"},
        {replaced(good, test::app_uuid, "30994bfe"), "apps[0].uuidandversion.uuid", "is no UUID"},
        {replaced(good, std::string("[\n        {\"uuid\": \"") + test::volume_uuid, "[\n        {\"uuid\": \"" + other),
         "apps[0].volumeRefList[0].uuid", "there is no volume 11111111"},
        {replaced(good, std::string("\"downloadContentTreeID\": \"") + test::content_uuid, "\"downloadContentTreeID\": \"" + other),
         "volumes[0].origin.downloadContentTreeID", "there is no content tree 11111111"},
        {replaced(good, std::string("[\"") + test::datastore_uuid, "[\"" + other), "contentInfo[0].dsIdsList[0]", "there is no datastore 11111111"},
        {replaced(good, std::string("\"dsIdsList\": [\"") + test::datastore_uuid + "\"],", ""), "contentInfo[0].dsId", "missing"},
        {replaced(good, "0123456789abcdef0123", "xyz"), "contentInfo[0].sha256", "is no SHA-256"},
        {replaced(good, "VCOT_DOWNLOAD", "VCOT_UNKNOWN"), "volumes[0].origin.type", "comes from nowhere"},
        {replaced(good, "\"clearText\": true", "\"maxsizebytes\": -5"), "volumes[0].maxsizebytes", "negative"},
        {with(R"("volumes":[{"uuid":"11111111-2222-3333-4444-555555555555","origin":{"type":1}},
                            {"uuid":"11111111-2222-3333-4444-555555555555","origin":{"type":1}}])"),
         "volumes[1].uuid", "given twice"},
        {with(R"("deviceIoList":[{"ptype":1}])"), "deviceIoList[0].phylabel", "missing"},
        {with(R"("deviceIoList":[{"ptype":11,"phylabel":"p","vflist":{"vfCount":256}}])"), "deviceIoList[0].vflist.vfCount", "at most 255"},
        {with(R"("deviceIoList":[{"ptype":11,"phylabel":"p","vflist":{"vfCount":2,"data":[{"index":2}]}}])"), "deviceIoList[0].vflist.data[0].index",
         "below vfCount"},
        {std::string(config_bytes_max + 1, ' '), "", "bytes, at most"},
        {std::string(50000, '['), "", "neither"},
        {"{\"id\":" + std::string(50000, '['), "", "not JSON"},
    };
    for (const auto& row : rows) {
        const auto parsed = read(row.text);
        ASSERT_FALSE(parsed) << row.what;
        EXPECT_EQ(parsed.error().field, row.field) << parsed.error().what;
        EXPECT_THAT(parsed.error().what, HasSubstr(row.what));
        EXPECT_THAT(parsed.error().what, ::testing::Not(HasSubstr("\n")));
        EXPECT_FALSE(parsed.error().hint.empty()) << row.what;
    }
}

TEST(Parse, UnknownMembersAreIgnoredAndNamed) {
    const auto config = read_well(replaced(quickstart(), "\"vcpus\": 1", "\"vcpu\": 1, \"vcpus\": 1"));
    EXPECT_THAT(config.unknown_fields, ElementsAre("apps[0].fixedresources.vcpu"));
    EXPECT_EQ(config.apps[0].FixedResources.VCpus, 1);
}

TEST(Parse, SectionsThatNothingActsOnAreNamed) {
    const auto config = read_well(with(R"("reboot":{"counter":1},"edgeview":{"token":"x"},"vlans":[{"logicallabel":"v"}])"));
    EXPECT_THAT(config.not_acted_on, ElementsAre("edgeview", "reboot", "vlans"));
    ASSERT_TRUE(config.reboot);
    EXPECT_EQ(config.reboot->Counter, 1u);
    EXPECT_FALSE(config.shutdown);
}

TEST(ParseItems, UnknownAndOutOfRangeItemsAreNamedAndTheRestApplies) {
    const auto text = with(R"("configItems":[{"key":"timer.boot.retry","value":"5"},{"key":"timer.bot.retry","value":"30"},
                                             {"key":"app.allow.vnc","value":"true"}])");
    auto before = types::configured_config_items();
    ASSERT_TRUE(types::apply_config_item(before, {}, "timer.boot.retry", "42"));
    const auto parsed = parse(text, {.now = noon, .items_before = &before});
    ASSERT_TRUE(parsed);
    ASSERT_THAT(parsed->item_problems, SizeIs(2));
    EXPECT_EQ(parsed->item_problems[0].name, "timer.boot.retry");
    EXPECT_FALSE(parsed->item_problems[0].unknown);
    EXPECT_EQ(parsed->item_problems[1].name, "timer.bot.retry");
    EXPECT_TRUE(parsed->item_problems[1].unknown);
    const ConfigItems items(parsed->items);
    EXPECT_EQ(items.seconds("timer.boot.retry"), 42s);
    EXPECT_TRUE(items.boolean("app.allow.vnc"));
    EXPECT_FALSE(items.boolean("debug.enable.console"));
}

std::string instance(std::string_view members) {
    return with("\"networkInstances\":[{\"uuidandversion\":{\"uuid\":\"" + std::string(test::instance_uuid) + "\"},\"displayname\":\"n\"," +
                std::string(members) + "}]");
}

TEST(ParseNetworkInstance, MistakesStayWithTheInstance) {
    struct Row {
        const char* members;
        const char* error;
    };
    const Row rows[] = {
        {R"("instType":2,"ipType":1,"ip":{})", "subnet is missing"},
        {R"("instType":2,"ipType":1,"ip":{"subnet":"10.1.0.0"})", "is no network"},
        {R"("instType":2,"ipType":1,"ip":{"subnet":"10.1.0.0/24","dns":["fd00::1"]})", "IP family"},
        {R"("instType":2,"ipType":1,"ip":{"subnet":"10.1.0.0/24","dns":["x"]})", "is no IP address"},
        {R"("instType":2,"ipType":1,"ip":{"subnet":"10.1.0.0/24","ntp":"a b"})", "neither a host name"},
        {R"("instType":2,"ipType":1,"ip":{"subnet":"10.1.0.0/24","dhcpRange":{"start":"10.1.0.9","end":"10.1.0.3"}})", "after end"},
        {R"("instType":2,"ipType":1,"mtu":1279,"ip":{"subnet":"10.1.0.0/24"})", "too small"},
        {R"("instType":2,"ipType":1,"mtu":65536,"ip":{"subnet":"10.1.0.0/24"})", "too large"},
        {R"("instType":2)", "needs ipType"},
        {R"("instType":1,"vlanAccessPorts":[{"vlanId":4095,"accessPort":"x"}])", "out of range"},
        {R"("instType":2,"ipType":1,"ip":{"subnet":"10.1.0.0/24"},"staticRoutes":[{"gateway":"10.1.0.9"}])", "is no network"},
        {R"("instType":2,"ipType":1,"ip":{"subnet":"10.1.0.0/24"},"staticRoutes":[{"destinationNetwork":"10.9.0.0/16"}])",
         "needs a gateway or a port"},
        {R"("instType":2,"ipType":1,"ip":{"subnet":"10.1.0.0/24"},"staticRoutes":[{"destinationNetwork":"10.9.0.0/16","gateway":"0.0.0.0"}])",
         "unspecified"},
        {R"("instType":2,"ipType":1,"ip":{"subnet":"10.1.0.0/24"},"staticRoutes":[{"destinationNetwork":"10.9.0.0/16","port":"p",
            "probe":{"customProbe":{"probeMethod":2,"probeEndpoint":{"host":"example.com","port":80}}}}])",
         "is no IP address"},
    };
    for (const auto& row : rows) {
        const auto config = read_well(instance(row.members));
        ASSERT_THAT(config.network_instances, SizeIs(1)) << row.members;
        EXPECT_THAT(config.network_instances[0].Error, HasSubstr(row.error)) << row.members;
        EXPECT_EQ(config.network_instances[0].ErrorTime, types::Time(noon));
        EXPECT_EQ(config.network_instances[0].ErrorSeverity, types::ErrorSeverity::ErrorSeverityError);
    }
}

TEST(ParseNetworkInstance, ASwitchHasNoAddressesWhateverIsSent) {
    const auto config = read_well(instance(R"("instType":1,"ipType":1,"disableFlowlog":true,"ip":{"subnet":"nonsense"})"));
    EXPECT_EQ(config.network_instances[0].Error, "");
    EXPECT_EQ(config.network_instances[0].IpType, types::AddressType::AddressTypeNone);
    EXPECT_FALSE(config.network_instances[0].EnableFlowlog);
}

TEST(ParseNetworkInstance, StaticNamesKeepTheAddressesThatAreSome) {
    const auto config = read_well(instance(R"("instType":2,"ipType":1,"ip":{"subnet":"10.1.0.0/24"},
        "dns":[{"HostName":"h","Address":["10.1.0.9","x","fd00::9"]}])"));
    ASSERT_THAT(config.network_instances[0].DnsNameToIPList, SizeIs(1));
    EXPECT_THAT(config.network_instances[0].DnsNameToIPList[0].IPs, SizeIs(2));
}

std::string port(std::string_view adapter, std::string_view network = R"("type":4,"ip":{"dhcp":4})") {
    return with(R"("deviceIoList":[{"ptype":1,"phylabel":"eth0","logicallabel":"wan","phyaddrs":{"ifname":"enp1s0"}},
                                   {"ptype":2,"phylabel":"usb0"}],"networks":[{"id":")" +
                std::string(test::network_uuid) + "\"," + std::string(network) + R"(}],"systemAdapterList":[)" + std::string(adapter) + "]");
}

TEST(ParsePorts, MistakesStayWithThePortAndTheList) {
    const std::string id = std::string("\"networkUUID\":\"") + test::network_uuid + "\"";
    struct Row {
        std::string text;
        const char* error;
    };
    const Row rows[] = {
        {port(R"({"name":"wan","uplink":true})"), "needs a network"},
        {port(R"({"name":"wan","uplink":true,"networkUUID":"11111111-2222-3333-4444-555555555555"})"), "there is no network 11111111"},
        {port(R"({"name":"wan","uplink":true,"addr":"x",)" + id + "}"), "is no IP address"},
        {port(R"({"name":"wan","uplink":true,)" + id + "}", R"("type":4,"ip":{"dhcp":1,"subnet":"10.0.0.0/24"})"), "static port needs addr"},
        {port(R"({"name":"wan","uplink":true,"addr":"10.9.0.1",)" + id + "}", R"("type":4,"ip":{"dhcp":1,"subnet":"10.0.0.0/24"})"),
         "is not in its network"},
        {port(R"({"name":"wan","uplink":true,)" + id + "}", R"("type":4,"ip":{"dhcp":2})"), "needs dhcp Client or Static"},
        {port(R"({"name":"wan","uplink":true,)" + id + "}", R"("type":14,"ip":{"dhcp":4})"), "type 14 is not supported"},
        {port(R"({"name":"wan","uplink":true,)" + id + "}", R"("type":4,"ip":{"dhcp":4,"gateway":"x"})"), "is no IP address"},
    };
    for (const auto& row : rows) {
        const auto config = read_well(row.text);
        ASSERT_THAT(config.ports.Ports, SizeIs(1)) << row.error;
        EXPECT_THAT(config.ports.Ports[0].LastError, HasSubstr(row.error));
        EXPECT_TRUE(config.ports.Ports[0].InvalidConfig);
        EXPECT_THAT(config.ports.LastError, HasSubstr(row.error));
        EXPECT_EQ(config.ports.LastFailed, types::Time(noon));
    }
    EXPECT_THAT(read_well(port(R"({"name":"lan"})")).ports.LastError, HasSubstr("there is no lan in deviceIoList"));
    EXPECT_THAT(read_well(port(R"({"name":"usb0"})")).ports.LastError, HasSubstr("not a network adapter"));
    EXPECT_EQ(read_well(port("")).ports.LastError, "No management interfaces");
}

TEST(ParsePorts, TwoPortsOfOneNameAreBothWrong) {
    const std::string one = std::string(R"({"name":"wan","uplink":true,"networkUUID":")") + test::network_uuid + "\"}";
    const auto config = read_well(port(one + "," + one));
    ASSERT_THAT(config.ports.Ports, SizeIs(2));
    for (const auto& each : config.ports.Ports) EXPECT_THAT(each.LastError, HasSubstr("logical label wan"));
}

TEST(ParsePorts, ManagementCostAndNameFollowEve) {
    const std::string id = std::string("\"networkUUID\":\"") + test::network_uuid + "\"";
    const auto modern = read_well(port(R"({"name":"wan","uplink":true,"cost":300,"sharedLabels":["mine"],)" + id + "}")).ports.Ports.at(0);
    EXPECT_EQ(modern.Cost, 255);
    EXPECT_EQ(modern.IfName, "enp1s0");
    EXPECT_THAT(modern.SharedLabels, ElementsAre("mine", "all", "uplink"));
    const auto old = read_well(port(R"({"name":"wan","cost":7,)" + id + "}")).ports;
    EXPECT_EQ(old.Version, types::DevicePortConfigVersion::DPCInitial);
    EXPECT_TRUE(old.Ports.at(0).IsMgmt);
    EXPECT_EQ(old.Ports.at(0).Cost, 0);
}

TEST(ParsePorts, TensOfThousandsAreReadInSeconds) {
    std::string many = R"({"name":"wan"})";
    for (int i = 0; i < 20'000; ++i) many += R"(,{"name":"wan"})";
    const auto config = read_well(port(many));
    ASSERT_THAT(config.ports.Ports, SizeIs(20'001));
    for (const auto& each : {config.ports.Ports.front(), config.ports.Ports.back()}) EXPECT_THAT(each.LastError, HasSubstr("needs a network"));
}

std::string app(std::string_view members) {
    return with("\"networkInstances\":[{\"uuidandversion\":{\"uuid\":\"" + std::string(test::instance_uuid) +
                "\"},\"instType\":1}],\"apps\":[{\"uuidandversion\":{\"uuid\":\"" + std::string(test::app_uuid) + "\"},\"displayname\":\"a\"," +
                std::string(members) + "}]");
}

TEST(ParseApps, MistakesStayWithTheApp) {
    const std::string net = std::string("\"networkId\":\"") + test::instance_uuid + "\"";
    struct Row {
        std::string members;
        const char* error;
    };
    const Row rows[] = {
        {R"("service":true)", "must have virtualizationMode NOHYPER"},
        {R"("userData":"%%%")", "user data is not base64"},
        {R"("cipherData":{"cipherData":"AAAA"})", "decrypts none yet"},
        {R"("drives":[{}])", "old form of storage"},
        {R"("collectStatsIPAddr":"x")", "is no IP address"},
        {R"("adapters":[{"type":12,"name":"vf","ethVf":{"vlanId":5000}}])", "VLAN 5000 is out of range"},
        {R"("adapters":[{"type":12,"name":"vf","ethVf":{"mac":"zz"}}])", "is no MAC address"},
        {R"("interfaces":[{"name":"i","networkId":"11111111-2222-3333-4444-555555555555"}])", "there is no network instance 11111111"},
        {R"("interfaces":[{"name":"i","networkId":"x"}])", "is no UUID"},
        {R"("interfaces":[{"name":"i","macAddress":"x",)" + net + "}]", "is no MAC address"},
        {R"("interfaces":[{"name":"i","addr":"fd00::1",)" + net + "}]", "static IPv6"},
        {R"("interfaces":[{"name":"i","accessVlanId":4094,)" + net + "}]", "access VLAN 4094"},
    };
    for (const auto& row : rows) {
        const auto config = read_well(app(row.members));
        ASSERT_THAT(config.apps, SizeIs(1)) << row.members;
        EXPECT_THAT(config.apps[0].Errors, Contains(HasSubstr(row.error)));
    }
}

TEST(ParseApps, AVolumeWantedInAnotherGenerationIsAnErrorOfTheApp) {
    const auto config = read_well(replaced(quickstart(), "[\n        {\"uuid\"", "[\n        {\"generationCount\": \"2\", \"uuid\""));
    EXPECT_THAT(config.apps[0].Errors, ElementsAre(HasSubstr("is wanted in generation 2, but the config makes generation 0")));
    EXPECT_TRUE(config.volumes[0].HasNoAppReferences);
}

TEST(ParseApps, AdaptersAreOrderedByTheFirstRuleNumberOrByTheirOwnOrder) {
    const std::string net = std::string("\"networkId\":\"") + test::instance_uuid + "\"";
    const auto list = R"("interfaces":[{"name":"c","interfaceOrder":1,"acls":[{"id":0},{"id":9}],)" + net + R"(},{"name":"a","interfaceOrder":3,)" +
                      net + R"(},{"name":"b","interfaceOrder":2,"acls":[{"id":4}],)" + net + "}]";
    const auto names = [](const types::AppInstanceConfig& config) {
        std::vector<std::string> out;
        for (const auto& adapter : config.AppNetAdapterList) out.push_back(adapter.Name + std::to_string(adapter.IfIdx));
        return out;
    };
    EXPECT_THAT(names(read_well(app(list)).apps.at(0)), ElementsAre("a0", "b1", "c2"));
    EXPECT_THAT(names(read_well(app(R"("fixedresources":{"enforceNetworkInterfaceOrder":true},)" + list)).apps.at(0)), ElementsAre("c0", "b1", "a2"));
}

TEST(ParseApps, BootOrderIsTheAppsElseTheDevices) {
    const auto from_app = read_well(app(R"("fixedresources":{"bootOrder":"BOOT_ORDER_NOUSB"})")).apps.at(0);
    EXPECT_EQ(from_app.FixedResources.BootOrder, types::BootOrder::BOOT_ORDER_NOUSB);
    EXPECT_EQ(from_app.BootOrderSource, types::BootOrderSource::BootOrderSourceController);
    const auto from_device =
        read_well(replaced(app(R"("fixedresources":{})"), "\"apps\"", R"("configItems":[{"key":"app.boot.order","value":"usb"}],"apps")")).apps.at(0);
    EXPECT_EQ(from_device.FixedResources.BootOrder, types::BootOrder::BOOT_ORDER_USB);
    EXPECT_EQ(from_device.ControllerBootOrder, types::BootOrder::BOOT_ORDER_UNSPECIFIED);
    EXPECT_EQ(from_device.BootOrderSource, types::BootOrderSource::BootOrderSourceDeviceProperty);
}

TEST(ParseApps, WhatIsTooLargeLeavesASentence) {
    auto config = read_well(quickstart());
    const auto small = without_large_parts(config.apps[0]);
    EXPECT_FALSE(small.CloudInitUserData);
    EXPECT_THAT(small.AppNetAdapterList[0].ACLs, IsEmpty());
    EXPECT_THAT(small.Errors, ElementsAre(StartsWith("the app's config is too large for a message: 56 bytes of user data")));
}

TEST(ParseTimes, AnErrorKeepsTheTimeOfItsFirstDayAndPortsTheirPriority) {
    const auto text = instance(R"("instType":2)");
    const auto first = read_well(text);
    auto later = parse(text, {.now = {.seconds = noon.seconds + 3600}});
    ASSERT_TRUE(later);
    EXPECT_NE(*later, first);
    keep_times(*later, first);
    EXPECT_EQ(*later, first);
}

TEST(LocalCommands, CountersReachTheAppItsReferencesAndTheVolumesKey) {
    auto config = read_well(quickstart());
    LocalCounters local;
    local.apps[config.apps[0].UUIDandVersion.UUID].RestartCmd.Counter = 3;
    local.volumes[config.volumes[0].VolumeID] = 2;
    add_local_counters(config, local);
    EXPECT_EQ(config.apps[0].LocalRestartCmd.Counter, 3u);
    EXPECT_EQ(config.apps[0].VolumeRefConfigList[0].LocalGenerationCounter, 2);
    EXPECT_EQ(volume_key(config.volumes[0]), std::string(test::volume_uuid) + "#2");
}

TEST(ParseHostileInput, MutatedConfigsAreReadOrRefusedAndNeverMore) {
    ::org::lfedge::eve::config::EdgeDevConfig message;
    ASSERT_TRUE(::google::protobuf::util::JsonStringToMessage(quickstart(), &message).ok());
    std::uint64_t state = 0x9e3779b97f4a7c15;
    const auto next = [&state](std::size_t limit) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        return static_cast<std::size_t>(state % limit);
    };
    static constexpr std::string_view pieces[] = {"null",    "[]",           "{}", "\"\"", "-1",        "1e309", "18446744073709551616",
                                                  "\\u0000", "\"\xff\xfe\"", ",",  "true", "9999999999"};
    int read_count = 0;
    for (const auto& seed : {quickstart(), message.SerializeAsString()}) {
        for (int round = 0; round < 1500; ++round) {
            auto text = seed;
            for (std::size_t edits = 1 + next(4); edits > 0; --edits) {
                const auto at_byte = next(text.size());
                switch (next(4)) {
                    case 0: text[at_byte] = static_cast<char>(next(256)); break;
                    case 1: text.erase(at_byte, 1 + next(20)); break;
                    case 2: text.insert(at_byte, text.substr(next(text.size()), next(200))); break;
                    default: text.insert(at_byte, pieces[next(std::size(pieces))]); break;
                }
                if (text.empty()) text = "x";
            }
            const auto parsed = read(text);
            read_count += parsed.ok();
            if (!parsed) {
                EXPECT_FALSE(parsed.error().what.empty());
            }
        }
    }
    EXPECT_GT(read_count, 100);  // the mutations reach beyond the first check
}

}  // namespace
}  // namespace eve::zedagent
