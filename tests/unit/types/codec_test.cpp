#include <gmock/gmock.h>

#include "core/types/app.hpp"
#include "core/types/describe.hpp"
#include "core/types/domain.hpp"
#include "core/types/network.hpp"
#include "core/types/node.hpp"
#include "core/types/volume.hpp"

namespace eve::types {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

/// One field of each kind, beside what EVE's records have.
struct Inner {
    std::int8_t Small = 0;
    std::string Name;
    EVE_RECORD(Inner)
};
struct Base {
    std::string Name;
    std::string Other;
    EVE_RECORD(Base)
};
struct Sample : Base {
    bool Flag = false;
    std::int16_t Short = 0;
    std::uint8_t Byte = 0;
    std::uint64_t Big = 0;
    std::int64_t Signed = 0;
    double Real = 0;
    float Narrow = 0;
    std::string Name;  ///< hides the base's, as in Go
    Bytes Data;
    Time When;
    Uuid Id;
    IpAddress Address;
    std::optional<IpNet> Net;
    MacAddress Mac;
    AnyJson Any;
    std::vector<Inner> List;
    std::map<std::string, Inner> ByName;
    std::map<std::uint32_t, std::uint32_t> ByNumber;
    std::optional<std::string> Text;
    Inner Optional;
    EVE_RECORD(Sample)
};
EVE_DESCRIBE(Inner, (), (Small, Name))
EVE_DESCRIBE(Base, (), (Name, Other))
EVE_DESCRIBE(Sample, (Base),
             (Flag, Short, Byte, Big, Signed, Real, Narrow, Name, Data, When, Id, Address, Net, Mac, Any, List, ByName, ByNumber, Text, Optional),
             omitempty("Flag", "Short", "Optional", "When"), key("Text", "pubsub-large-Text"))

Error error_of(std::string_view json) {
    auto read = from_json<Sample>(json);
    if (read) {
        ADD_FAILURE() << json << " was read";
        return {};
    }
    return read.error();
}

TEST(Codec, WritesAnEmptyRecordAsGoDoes) {
    EXPECT_EQ(to_json(Sample{}),
              R"({"Other":"","Byte":0,"Big":0,"Signed":0,"Real":0,"Narrow":0,"Name":"","Data":null,"When":"0001-01-01T00:00:00Z",)"
              R"("Id":"00000000-0000-0000-0000-000000000000","Address":"","Net":null,"Mac":null,"Any":null,"List":null,"ByName":null,)"
              R"("ByNumber":null,"pubsub-large-Text":null,"Optional":{"Small":0,"Name":""}})");
}

TEST(Codec, EveryKindSurvivesTheRoundTrip) {
    Sample sample;
    sample.Flag = true;
    sample.Short = -32768;
    sample.Byte = 255;
    sample.Big = 18446744073709551615U;
    sample.Signed = std::numeric_limits<std::int64_t>::min();
    sample.Real = 0.1;
    sample.Narrow = 16777216.0F;
    sample.Name = "a<b>&\"c\"\\\n\x01\xE2\x80\xA8\xC3\xA9";
    sample.Other = "base";
    sample.Data = {0, 255, 16};
    sample.When = WallTime{1787911200, 1};
    sample.Id = *Uuid::parse("6ba7b810-9dad-11d1-80b4-00c04fd430c8");
    sample.Address = *IpAddress::parse("fe80::1");
    sample.Net = *IpNet::parse("10.1.0.0/16");
    sample.Mac = *MacAddress::parse("02:16:3e:00:00:01");
    sample.Any.text = R"({"a":[1,2.50]})";
    sample.List = {{.Small = -1, .Name = "x"}, {}};
    sample.ByName = {{"b", {}}, {"a", {.Small = 2}}};
    sample.ByNumber = {{9, 1}, {10, 2}};
    sample.Text = "";
    const std::string json = to_json(sample);
    EXPECT_THAT(json, HasSubstr(R"("Name":"a\u003cb\u003e\u0026\"c\"\\\n\u0001\u2028é")"));
    EXPECT_THAT(json, HasSubstr(R"("Net":{"IP":"10.1.0.0","Mask":"//8AAA=="})"));
    EXPECT_THAT(json, HasSubstr(R"("Mac":"AhY+AAAB")"));
    EXPECT_THAT(json, HasSubstr(R"("ByNumber":{"10":2,"9":1})"));  // keys sorted as text, as Go
    EXPECT_THAT(json, HasSubstr(R"("Big":18446744073709551615)"));
    EXPECT_THAT(json, HasSubstr(R"("Any":{"a":[1,2.50]})"));
    const auto read = from_json<Sample>(json);
    ASSERT_TRUE(read) << read.error().what;
    EXPECT_EQ(*read, sample);
    const auto sorted = from_json<Sample>(to_json(type_info<Sample>(), &sample, KeyOrder::sorted));
    ASSERT_TRUE(sorted);
    EXPECT_EQ(*sorted, sample);
}

// Text is passed over in blocks; a character that needs more must not be missed at any place of one.
TEST(Codec, EveryCharacterIsWrittenAndReadAlikeWhereverItStands) {
    constexpr std::size_t blocks = 40;
    const auto written = [](const std::string& name) { return to_json(Inner{.Small = 0, .Name = name}); };
    const std::string head = R"({"Small":0,"Name":")";
    for (int byte = 0; byte < 256; ++byte) {
        const std::string one(1, static_cast<char>(byte));
        auto alone = written(one);
        alone = alone.substr(head.size(), alone.size() - head.size() - 2);
        for (const std::size_t before : {0, 1, 7, 8, 15, 16, 17, 31, 32, 33}) {
            const auto text = std::string(before, 'a') + one + std::string(blocks - before, ' ');
            const auto json = written(text);
            ASSERT_EQ(json, head + std::string(before, 'a') + alone + std::string(blocks - before, ' ') + R"("})") << byte << " at " << before;
            const auto read = from_json<Inner>(json);
            ASSERT_TRUE(read);
            ASSERT_EQ(read->Name, byte < 128 ? text : std::string(before, 'a') + "\xEF\xBF\xBD" + std::string(blocks - before, ' '));
        }
    }
}

TEST(Codec, ReadsWhatGoReads) {
    const auto read = from_json<Sample>(R"( {"Unknown":{"deep":[1,{}]},
        "name":"folded", "BYTE":7, "Big":1e3, "Signed":-2.0, "List":[null,{"Small":1}],
        "Data":[1,2], "Net":null, "Flag":null, "ByName":{"k":null}, "Byte":8, "Byte":9, "Any":[true,null,"x"], "When":null} )");
    ASSERT_TRUE(read) << read.error().what;
    EXPECT_EQ(read->Name, "folded");
    EXPECT_EQ(read->Byte, 9);
    EXPECT_EQ(read->Big, 1000U);
    EXPECT_EQ(read->Signed, -2);
    EXPECT_EQ(read->List.size(), 2U);
    EXPECT_EQ(read->Data, (Bytes{1, 2}));
    EXPECT_EQ(read->ByName.count("k"), 1U);
    EXPECT_EQ(read->Any.text, R"([true,null,"x"])");
    EXPECT_TRUE(read->When.is_zero());
    EXPECT_EQ(*from_json<Sample>("{}"), Sample{});
    EXPECT_EQ(*from_json<Sample>("null"), Sample{});
}

TEST(Codec, AnExactKeyIsPreferredToOneInAnotherCase) {
    EXPECT_EQ(from_json<Inner>(R"({"Name":"exact"})")->Name, "exact");
    EXPECT_EQ(from_json<Inner>(R"({"nAmE":"folded","Name":"exact"})")->Name, "exact");
}

TEST(Codec, WhatIsNotUnicodeBecomesTheReplacementCharacter) {
    EXPECT_EQ(from_json<Inner>("{\"Name\":\"a\xff\xc3z\"}")->Name, "a\xEF\xBF\xBD\xEF\xBF\xBDz");
    EXPECT_EQ(from_json<Inner>(R"({"Name":"\ud800x\udc00"})")->Name, "\xEF\xBF\xBDx\xEF\xBF\xBD");
    EXPECT_EQ(from_json<Inner>(R"({"Name":"\ud83d\ude00"})")->Name, "\xF0\x9F\x98\x80");
    EXPECT_EQ(from_json<Inner>(R"({"Name":"\\ud800"})")->Name, "\\ud800");
    Inner broken;
    broken.Name = "\xff";
    EXPECT_EQ(to_json(broken), R"({"Small":0,"Name":"\ufffd"})");
}

TEST(Codec, RefusesByNameOfTheField) {
    EXPECT_EQ(error_of(R"({"List":[{},{"Small":128}]})").field, ".List[1].Small");
    EXPECT_THAT(error_of(R"({"List":[{},{"Small":128}]})").what, HasSubstr("Sample: .List[1].Small: 128 is out of range for a signed 8-bit integer"));
    EXPECT_EQ(error_of(R"({"Byte":-1})").field, ".Byte");
    EXPECT_EQ(error_of(R"({"Byte":256})").field, ".Byte");
    EXPECT_EQ(error_of(R"({"Byte":1.5})").field, ".Byte");
    EXPECT_EQ(error_of(R"({"Big":18446744073709551616})").field, ".Big");
    EXPECT_EQ(error_of(R"({"Signed":9223372036854775808})").field, ".Signed");
    EXPECT_EQ(error_of(R"({"Signed":1e40})").field, ".Signed");
    EXPECT_EQ(error_of(R"({"Narrow":1e40})").field, ".Narrow");
    EXPECT_EQ(error_of(R"({"Flag":1})").field, ".Flag");
    EXPECT_EQ(error_of(R"({"Name":1})").field, ".Name");
    EXPECT_EQ(error_of(R"({"Id":"x"})").field, ".Id");
    EXPECT_EQ(error_of(R"({"When":"yesterday"})").field, ".When");
    EXPECT_EQ(error_of(R"({"Address":"1.2.3"})").field, ".Address");
    EXPECT_EQ(error_of(R"({"Mac":"not base64"})").field, ".Mac");
    EXPECT_EQ(error_of(R"({"List":{}})").field, ".List");
    EXPECT_EQ(error_of(R"({"ByName":[]})").field, ".ByName");
    EXPECT_EQ(error_of(R"({"ByName":{"k":{"Small":"x"}}})").field, ".ByName[k].Small");
    EXPECT_EQ(error_of(R"({"ByNumber":{"-1":1}})").field, ".ByNumber[-1]");
    EXPECT_EQ(error_of(R"({"ByNumber":{"4294967296":1}})").field, ".ByNumber[4294967296]");
    EXPECT_EQ(error_of(R"({"Net":{"IP":5}})").field, ".Net.IP");
}

TEST(Codec, RefusesWhatIsNotJsonOrTooMuchOfIt) {
    for (const char* text : {"", "{", "[]", "{\"Name\":}", "{} x", "{\"Name\":\"a\nb\"}", "{'Name':1}", "\"x\"", "{\"Byte\":01}", "{\"Byte\":+1}",
                             "{\"Real\":NaN}", "{\"Real\":1e400}", "\\", "{\"Name\":\"\\", "{\"Name\":\"\\u12"})
        EXPECT_EQ(error_of(text).code, Code::invalid_argument) << text;
    using namespace std::string_view_literals;
    EXPECT_EQ(error_of("{}\0and more"sv).code, Code::invalid_argument) << "a NUL is no end";
    std::string deep(100, '[');
    EXPECT_EQ(error_of("{\"Unknown\":" + deep).code, Code::resource_exhausted);
    deep.assign(1'000'000, '[');
    EXPECT_EQ(error_of(deep).code, Code::resource_exhausted);
    EXPECT_EQ(error_of(std::string(json_bytes_max + 1, ' ')).code, Code::resource_exhausted);
    std::string fits = "{\"Unknown\":";
    for (int i = 1; i < json_depth_max; ++i) fits += '[';
    for (int i = 1; i < json_depth_max; ++i) fits += ']';
    EXPECT_TRUE(from_json<Sample>(fits + "}"));
}

TEST(Codec, NamesEveryDifferenceOfTwoRecords) {
    DomainConfig before;
    before.DiskConfigList.resize(2);
    before.Memory = 1024;
    DomainConfig after = before;
    EXPECT_TRUE(diff(before, after).empty());
    after.Memory = 2048;
    after.DiskConfigList[1].Format = Format::QCOW2;
    after.VifList.emplace_back();
    const auto differences = diff(before, after);
    ASSERT_EQ(differences.size(), 3U);
    EXPECT_EQ(differences[0], (Difference{".Memory", "1024", "2048"}));
    EXPECT_EQ(differences[1], (Difference{".DiskConfigList[1].Format", "0", "3"}));
    EXPECT_EQ(differences[2].path, ".VifList");
    EXPECT_EQ(differences[2].before, "null");
}

TEST(Codec, RewritesMembersAtAnyDepth) {
    std::vector<std::string> seen;
    const auto rewritten = rewrite_members(
        R"({"A":{"pubsub-large-X":"secret","Y":[{"pubsub-large-Z":null}]},"N":12345678901234567890,"pubsub-large-W":1})", "pubsub-large-",
        [&](JsonMember member) -> Result<std::optional<JsonMember>> {
            seen.push_back(member.key + "=" + member.value);
            if (member.key == "pubsub-large-W") return std::optional<JsonMember>{};
            return std::optional(JsonMember{"pubsub-file-" + member.key.substr(13), json_quote("/f/" + member.key)});
        });
    ASSERT_TRUE(rewritten) << rewritten.error().what;
    EXPECT_THAT(seen, ElementsAre(R"(pubsub-large-X="secret")", "pubsub-large-Z=null", "pubsub-large-W=1"));
    EXPECT_EQ(*rewritten, R"({"A":{"pubsub-file-X":"/f/pubsub-large-X","Y":[{"pubsub-file-Z":"/f/pubsub-large-Z"}]},"N":12345678901234567890})");
    EXPECT_EQ(*json_unquote(R"("a\u0041")"), "aA");
    EXPECT_FALSE(json_unquote("1"));
}

// Sample records written by hand from the specification of the wire.

TEST(WireSamples, VolumeRefConfig) {
    const std::string json =
        R"({"VolumeID":"6ba7b810-9dad-11d1-80b4-00c04fd430c8","GenerationCounter":1,"LocalGenerationCounter":0,)"
        R"("AppUUID":"6ba7b811-9dad-11d1-80b4-00c04fd430c8","MountDir":"/","VerifyOnly":true})";
    const auto config = from_json<VolumeRefConfig>(json);
    ASSERT_TRUE(config) << config.error().what;
    EXPECT_TRUE(config->VerifyOnly);
    EXPECT_EQ(to_json(*config), json);
}

TEST(WireSamples, DomainConfigFlattensTheVmAndTheCipherBlock) {
    DomainConfig config;
    config.UUIDandVersion.Version = "1";
    config.Memory = 524288;
    config.VirtualizationMode = VmMode::HVM;
    config.CloudInitUserData = "I2Nsb3VkLWNvbmZpZwo=";
    config.IsCipher = true;
    config.Error = "no key";
    const std::string json = to_json(config);
    EXPECT_THAT(json, testing::StartsWith(
                          R"({"UUIDandVersion":{"UUID":"00000000-0000-0000-0000-000000000000","Version":"1"},"DisplayName":"","Activate":false,)"
                          R"("UserActivate":false,"AppNum":0,"Kernel":"","Ramdisk":"","Memory":524288,"MaxMem":0,)"));
    EXPECT_THAT(json, HasSubstr(R"("VirtualizationMode":1,)"));
    EXPECT_THAT(json, HasSubstr(R"("AffinityType":0,"pubsub-large-CloudInitUserData":"I2Nsb3VkLWNvbmZpZwo=","CipherBlockID":"",)"));
    EXPECT_THAT(json, HasSubstr(R"("pubsub-large-CipherData":null,"ClearTextHash":null,"IsCipher":true,"CipherContext":null,"Error":"no key",)"
                                R"("ErrorTime":"0001-01-01T00:00:00Z","ErrorSeverity":0,"ErrorRetryCondition":"",)"
                                R"("ErrorEntities":null,"MetaDataType":0,)"));
    EXPECT_EQ(*from_json<DomainConfig>(json), config);
}

TEST(WireSamples, NetworkInstanceStatusHasOneErrorAndItsOwnMtu) {
    NetworkInstanceStatus status;
    status.UUID = *Uuid::parse("6ba7b810-9dad-11d1-80b4-00c04fd430c8");
    status.NetworkInstanceConfigFields::MTU = 1400;
    status.MTU = 1500;
    status.Error = "conflict";
    status.BridgeName = "bn1";
    const std::string json = to_json(status);
    EXPECT_THAT(json, testing::StartsWith(R"({"UUID":"6ba7b810-9dad-11d1-80b4-00c04fd430c8","Version":"",)"
                                          R"("DisplayName":"","Type":0,"PortLabel":"",)"));
    EXPECT_THAT(json, HasSubstr(R"("MTU":1500)"));
    EXPECT_THAT(json, testing::Not(HasSubstr("1400")));
    EXPECT_THAT(json, testing::EndsWith(
                          R"("Error":"conflict","ErrorTime":"0001-01-01T00:00:00Z","ErrorSeverity":0,"ErrorRetryCondition":"",)"
                          R"("ErrorEntities":null})"));
    EXPECT_EQ(from_json<NetworkInstanceStatus>(json)->MTU, 1500);
}

TEST(WireSamples, IoBundleLeavesOutWhatIsEmptyButNeverStructs) {
    IoBundle bundle;
    bundle.Type = IoType::IoNetEth;
    bundle.Phylabel = "eth0";
    EXPECT_EQ(to_json(bundle),
              R"({"Type":1,"Phylabel":"eth0","UsedByUUID":"00000000-0000-0000-0000-000000000000","Error":{"TimeOfError":"0001-01-01T00:00:00Z"},)"
              R"("Vfs":{},"VfParams":{}})");
}

TEST(WireSamples, PhysicalPortsAndConfigItems) {
    const auto items = from_json<ConfigItemValueMap>(
        R"({"GlobalSettings":{"timer.boot.retry":{"Key":"timer.boot.retry","ItemType":1,"IntValue":600,)"
        R"("StrValue":"","BoolValue":false,"TriStateValue":0}},)"
        R"("AgentSettings":{"zedagent":{"debug.loglevel":{"Key":"debug.loglevel","ItemType":3,"IntValue":0,)"
        R"("StrValue":"info","BoolValue":false,"TriStateValue":0}}}})");
    ASSERT_TRUE(items) << items.error().what;
    EXPECT_EQ(items->GlobalSettings.at("timer.boot.retry").IntValue, 600U);
    EXPECT_EQ(items->AgentSettings.at("zedagent").at("debug.loglevel").StrValue, "info");
    const auto status = from_json<DeviceNetworkStatus>(
        R"({"DPCKey":"lastresort","Version":1,"Testing":false,"State":3,"CurrentIndex":0,"Ports":[)"
        R"({"IfName":"eth0","Logicallabel":"eth0","IsMgmt":true,)"
        R"("MacAddr":"AhY+AAAB","AddrInfoList":[{"Addr":"192.168.1.2","Mask":null,"Geo":{"ip":"1.2.3.4"},)"
        R"("LastGeoTimestamp":"0001-01-01T00:00:00Z"}],)"
        R"("IPv4Subnet":{"IP":"192.168.1.0","Mask":"////AA=="},"Proxies":[{"type":1,"server":"p","port":3128}],)"
        R"("pubsub-large-ProxyCertPEM":["AAEC"]}]})");
    ASSERT_TRUE(status) << status.error().what;
    const auto& port = status->Ports.at(0);
    EXPECT_EQ(port.MacAddr.to_string(), "02:16:3e:00:00:01");
    EXPECT_EQ(port.AddrInfoList.at(0).Addr.to_string(), "192.168.1.2");
    EXPECT_EQ(port.IPv4Subnet->to_string(), "192.168.1.0/24");
    EXPECT_EQ(port.Proxies.at(0).Port, 3128U);
    EXPECT_EQ(port.ProxyCertPEM.at(0), (Bytes{0, 1, 2}));
}

}  // namespace
}  // namespace eve::types
