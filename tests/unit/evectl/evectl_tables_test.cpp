// What evectl says of tables that were damaged or could not be read.

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "core/evectl/tables.hpp"
#include "tests/doubles/temp_dir.hpp"

namespace eve::evectl {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class Tables : public ::testing::Test {
protected:
    TempDir temp;
    NodeFiles node{Root(temp.string())};

    void write(const std::string& name, const std::string& text) const {
        const auto path = temp.path() / name;
        std::filesystem::create_directories(path.parent_path());
        std::ofstream(path) << text;
    }
};

TEST_F(Tables, WhatWasPutAsideIsNamedWithItsPathAndNothingElseIs) {
    EXPECT_THAT(put_aside(node), IsEmpty());
    write("persist/status/zedrouter/UuidToNum/k.json", "{}");
    write("persist/status/zedrouter/UuidToNum/k.json.damaged", "{");
    write("persist/status/zedrouter/UuidToNum/x.damaged.json", "{}");
    write("persist/status/zedrouter/UuidToNum/journal.damaged.2", "x");
    write("persist/status/volumemgr/AppImg/T.damaged/k.json.damaged", "a table put aside as a whole");
    const auto base = temp.string() + "/persist/status/";
    const auto found = put_aside(node);
    EXPECT_THAT(found, ElementsAre(base + "volumemgr/AppImg/T.damaged", base + "zedrouter/UuidToNum/journal.damaged.2",
                                   base + "zedrouter/UuidToNum/k.json.damaged"));
    const auto text = tables_text({}, found);
    EXPECT_THAT(text, HasSubstr("note: " + base + "zedrouter/UuidToNum/k.json.damaged was damaged"));
    EXPECT_THAT(text, HasSubstr("remove it"));
}

TEST_F(Tables, ATableThatCouldNotBeReadIsAnErrorWithItsRemedy) {
    EXPECT_EQ(tables_text(unread_tables(node), {}), "");
    write("run/zedbox/TableTrouble/zedrouter.UuidToNum.json", to_json(bus::TableTrouble{"zedrouter/UuidToNum", "read k: Input/output error", "the disk fails"}));
    const auto text = tables_text(unread_tables(node), {});
    EXPECT_THAT(text, HasSubstr("table zedrouter/UuidToNum: error: could not be read: read k: Input/output error"));
    EXPECT_THAT(text, HasSubstr("the disk fails; then start the node again"));
}

TEST_F(Tables, OneRecordIsReadWithoutTheOthersAndIsItsZeroValueIfThereIsNone) {
    write("run/zedbox/TableTrouble/a.json", to_json(bus::TableTrouble{"a", "one", ""}));
    write("run/zedbox/TableTrouble/b.json", "{");
    EXPECT_EQ(node.record<bus::TableTrouble>("zedbox", "a").Problem, "one");
    EXPECT_EQ(node.record<bus::TableTrouble>("zedbox", "b"), bus::TableTrouble{});
    EXPECT_EQ(node.record<bus::TableTrouble>("zedbox", "c"), bus::TableTrouble{});
    EXPECT_EQ(node.record<bus::TableTrouble>("nobody", "c"), bus::TableTrouble{});
}

}  // namespace
}  // namespace eve::evectl
