// Proves every record against the table of EVE's structs (data/records.tsv): fields, their order, keys, kinds and omitempty.

#include <algorithm>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <type_traits>
#include <vector>

#include <gmock/gmock.h>

#include "core/types/app.hpp"
#include "core/types/catalog.hpp"
#include "core/types/domain.hpp"
#include "core/types/network.hpp"
#include "core/types/values.hpp"

namespace eve::types {
namespace {

struct GoField {
    std::string name;
    std::string type;
    std::string tag;
};
using Structs = std::map<std::string, std::vector<GoField>>;

std::vector<std::vector<std::string>> read_table(const std::string& file) {
    std::ifstream in(std::string(TEST_DATA_DIR) + "/" + file);
    EXPECT_TRUE(in.good()) << file;
    std::vector<std::vector<std::string>> rows;
    for (std::string line; std::getline(in, line);) {
        if (line.empty() || line.front() == '#') continue;
        std::vector<std::string> cells;
        std::size_t at = 0;
        while (true) {
            const auto tab = line.find('\t', at);
            cells.push_back(line.substr(at, tab - at));
            if (tab == std::string::npos) break;
            at = tab + 1;
        }
        rows.push_back(std::move(cells));
    }
    return rows;
}

Structs read_structs() {
    Structs structs;
    for (const auto& row : read_table("records.tsv")) structs[row.at(0)].push_back({row.at(1), row.at(2), row.size() > 3 ? row[3] : ""});
    return structs;
}

std::map<std::string, std::string> read_named() {
    std::map<std::string, std::string> named;
    for (const auto& row : read_table("named_types.tsv")) named.emplace(row.at(0), row.at(1));
    return named;
}

struct Expected {
    std::string key;
    std::string type;
    int depth = 0;
    bool tagged = false;
    bool omitempty = false;
};

void flatten(const Structs& structs, const std::string& record, int depth, std::vector<Expected>& out) {
    const auto found = structs.find(record);
    ASSERT_NE(found, structs.end()) << record;
    for (const auto& field : found->second) {
        if (field.name == "(embedded)") {
            flatten(structs, field.type.front() == '*' ? field.type.substr(1) : field.type, depth + 1, out);
            continue;
        }
        if (field.tag == "-") continue;
        const auto comma = field.tag.find(',');
        const std::string key = field.tag.substr(0, comma);
        out.push_back({key.empty() ? field.name : key, field.type, depth, !key.empty(), field.tag.find(",omitempty") != std::string::npos});
    }
}

/// What encoding/json makes of embedded structs.
std::vector<Expected> go_fields(const Structs& structs, const std::string& record) {
    std::vector<Expected> all;
    flatten(structs, record, 0, all);
    std::vector<Expected> kept;
    for (const auto& field : all) {
        bool wins = true;
        for (const auto& other : all) {
            if (&other == &field || other.key != field.key) continue;
            if (other.depth < field.depth || (other.depth == field.depth && !(field.tagged && !other.tagged))) wins = false;
        }
        if (wins) kept.push_back(field);
    }
    return kept;
}

std::string kind_name(const TypeInfo& type) {
    const auto bits = std::to_string(type.size * 8);
    switch (type.kind) {
        case Kind::boolean: return "bool";
        case Kind::integer: return "int" + bits;
        case Kind::unsigned_integer: return "uint" + bits;
        case Kind::floating: return "float" + bits;
        case Kind::text: return "string";
        case Kind::bytes: return "bytes";
        case Kind::time: return "time";
        case Kind::uuid: return "uuid";
        case Kind::ip: return "ip";
        case Kind::any: return "any";
        case Kind::record: return type.name;
        case Kind::list: return "[]" + kind_name(*type.element);
        case Kind::map: return "map " + kind_name(*type.element);
        case Kind::pointer: return "*" + kind_name(*type.element);
    }
    return "?";
}

/// The same spelling of a Go type.
std::string go_kind(const std::map<std::string, std::string>& named, const std::string& type) {
    static const std::map<std::string, std::string> known = {
        {"int", "int64"},           {"uint", "uint64"},          {"time.Time", "time"},   {"time.Duration", "int64"},
        {"uuid.UUID", "uuid"},      {"net.IP", "ip"},            {"net.IPNet", "IpNet"},  {"net.HardwareAddr", "bytes"},
        {"net.IPMask", "bytes"},    {"error", "any"},            {"interface{}", "any"},  {"netutils.HostnameOrIP", "string"},
        {"[]byte", "bytes"},        {"sriov.EthVF", "EthVF"},    {"sriov.VFList", "VFList"}, {"cnirpc.PodIPAMConfig", "PodIPAMConfig"},
        {"cnirpc.AppPod", "AppPod"}, {"cloudconfig.WritableFile", "WritableFile"}, {"ipinfo.IPInfo", "IPInfo"},
        {"struct{DomainArguments []string}", "OemWindowsLicenseKeyInfoQemu"}, {"struct{}", "OemWindowsLicenseKeyInfoXen"},
        {"ioBundleErrorBase", "IoBundleErrorBase"}, {"MaintenanceModeMultiReason", "[]int32"},
    };
    if (const auto found = known.find(type); found != known.end()) return found->second;
    if (type.starts_with("[]")) {
        // A list of pointers is a list of values here: a null in it reads as an empty one.
        return "[]" + go_kind(named, type[2] == '*' ? type.substr(3) : type.substr(2));
    }
    if (type.starts_with("*")) return "*" + go_kind(named, type.substr(1));
    if (type.starts_with("map[")) return "map " + go_kind(named, type.substr(type.find(']') + 1));
    if (const auto found = named.find(type); found != named.end()) return go_kind(named, found->second);
    return type;
}

std::string our_name(const std::string& go) { return go == "ioBundleErrorBase" ? "IoBundleErrorBase" : go; }

TEST(RecordTables, EveryRecordHasTheFieldsOrderKeysAndKindsOfGosStruct) {
    const Structs structs = read_structs();
    const auto named = read_named();
    ASSERT_GT(structs.size(), 150U);
    std::size_t fields = 0;
    for (const auto& [name, unused] : structs) {
        const TypeInfo* type = find_record(our_name(name));
        ASSERT_NE(type, nullptr) << name << " is not a record here";
        const auto expected = go_fields(structs, name);
        std::vector<std::string> ours;
        std::vector<std::string> gos;
        for (const auto& field : type->fields)
            if (!field.hidden) ours.push_back(field.key + " " + kind_name(*field.type) + (field.omitempty ? " omitempty" : ""));
        for (const auto& field : expected) gos.push_back(field.key + " " + go_kind(named, field.type) + (field.omitempty ? " omitempty" : ""));
        EXPECT_EQ(ours, gos) << name;
        fields += gos.size();
    }
    EXPECT_GT(fields, 1300U);
}

TEST(RecordTables, EveryRecordOfTheCatalogIsInTheTableOrKnownToComeFromAnotherPackage) {
    const Structs structs = read_structs();
    const std::set<std::string> elsewhere = {"EthVF", "VFList", "AppPod", "PodIPAddress", "PodRoute", "PodDNS", "PodIPAMConfig", "WritableFile",
                                             "IPInfo", "OemWindowsLicenseKeyInfoQemu", "OemWindowsLicenseKeyInfoXen", "AppInterfaceToNum",
                                             "IoBundleErrorBase", "DomainNotes", "PciFunction", "PciInventory"};
    for (const TypeInfo* type : all_records()) EXPECT_TRUE(structs.contains(type->name) || elsewhere.contains(type->name)) << type->name;
}

TEST(RecordTables, EmbeddedStructsAreBaseClassesSoThatTheirFieldsAreReachedAsInGo) {
    static_assert(std::is_base_of_v<VmConfig, DomainConfig> && std::is_base_of_v<CipherBlockStatus, DomainConfig>);
    static_assert(std::is_base_of_v<ErrorAndTimeWithSource, AppInstanceStatus> && std::is_base_of_v<UUIDandVersion, NetworkInstanceConfig>);
    static_assert(std::is_base_of_v<VifConfig, AppNetAdapterStatus> && std::is_base_of_v<AppNetAdapterConfig, AppNetAdapterStatus>);
    NetworkInstanceStatus status;  // embeds ErrorAndTime twice in Go; here once, the outer one, which is what Go's field names mean too
    ErrorAndTime& error = status;
    EXPECT_EQ(&error.Error, &status.Error);
}

TEST(RecordTables, FieldsThatGoKeepsToItselfAreNotInJson) {
    const TypeInfo* status = find_record("DomainStatus");
    ASSERT_NE(status, nullptr);
    for (const auto& field : status->fields)
        EXPECT_EQ(field.hidden, field.member == "KubeTrustLoggedState" || field.member == "LastDumpTaken") << field.member;
}

TEST(RecordTables, LargeFieldsAreFoundAlsoInRecordsInside) {
    EXPECT_THAT(find_record("AppInstanceConfig")->large_fields,
                testing::UnorderedElementsAre("pubsub-large-CloudInitUserData", "pubsub-large-CipherData"));
    EXPECT_THAT(find_record("DevicePortConfig")->large_fields, testing::Contains("pubsub-large-ProxyCertPEM"));
    EXPECT_THAT(find_record("DomainStatus")->large_fields, testing::IsEmpty());
}

TEST(RecordTables, EveryRecordSurvivesJsonAsItselfWhenEmpty) {
    for (const TypeInfo* type : all_records()) {
        const auto empty = type->make();
        const auto read = type->make();
        const std::string json = to_json(*type, empty.get());
        ASSERT_TRUE(from_json(*type, json, read.get())) << type->name << " " << json;
        EXPECT_TRUE(type->equal(empty.get(), read.get())) << type->name << " " << json;
        EXPECT_EQ(json, to_json(*type, type->copy(read.get()).get())) << type->name;
        EXPECT_TRUE(diff(*type, empty.get(), read.get()).empty());
    }
}

}  // namespace
}  // namespace eve::types
