#include "storage/record_store.hpp"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <fstream>
#include <iterator>

#include "storage/durable_file.hpp"
#include "tests/doubles/temp_dir.hpp"

namespace eve::storage {
namespace {

using bus::StoreChange;
using bus::TableId;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;
using testing::SizeIs;

class RecordFiles : public testing::Test {
protected:
    TempDir temp;
    RecordStore store{Root{temp.string()}};
    const TableId plain{.agent = "zedmanager", .topic = "DomainConfig"};
    const TableId scoped{.agent = "volumemgr", .scope = "AppImg", .topic = "DownloaderConfig"};
    const TableId durable{.agent = "zedmanager", .topic = "UuidToNum", .persistent = true};
    const TableId global{.agent = "", .topic = "DevicePortConfig"};

    void put(const TableId& table, const std::string& key, const std::string& json) {
        for (const auto& result : store.commit({{.kind = StoreChange::Kind::put, .table = table, .key = key, .json = json}}))
            ASSERT_TRUE(result) << result.error().what;
    }
    void mark(const TableId& table, int counter) {
        for (const auto& result : store.commit({{.kind = StoreChange::Kind::marker, .table = table, .counter = counter}})) ASSERT_TRUE(result);
    }
    std::filesystem::path file(const std::string& name) const { return temp.path() / name; }
    std::string content(const std::string& name) const {
        std::ifstream in(file(name));
        return {std::istreambuf_iterator<char>(in), {}};
    }
    void overwrite(const std::string& name, const std::string& text) const { std::ofstream(file(name)) << text; }
};

TEST_F(RecordFiles, LieWhereEvePutsThemAndArePrivate) {
    put(plain, "k", "{1}");
    put(scoped, "k", "{2}");
    put(durable, "k", "{3}");
    put(global, "k", "{4}");
    mark(plain, 3);
    EXPECT_EQ(content("run/zedmanager/DomainConfig/k.json"), "{1}");
    EXPECT_EQ(content("run/volumemgr/AppImg/DownloaderConfig/k.json"), "{2}");
    EXPECT_EQ(content("persist/status/zedmanager/UuidToNum/k.json"), seal_json("{3}"));
    EXPECT_EQ(content("run/global/DevicePortConfig/k.json"), "{4}");
    EXPECT_EQ(content("run/zedmanager/DomainConfig/restarted"), "3");
    struct stat facts {};
    ASSERT_EQ(::stat(file("run/zedmanager/DomainConfig").c_str(), &facts), 0);
    EXPECT_EQ(facts.st_mode & 07777U, 0700U);
    ASSERT_EQ(::stat(file("run/zedmanager/DomainConfig/k.json").c_str(), &facts), 0);
    EXPECT_EQ(facts.st_mode & 07777U, 0600U);
}

TEST_F(RecordFiles, ATableWhoseDirectoryWasRemovedIsMadeAgain) {
    for (const auto& table : {plain, durable}) {
        put(table, "before", "{1}");
        std::filesystem::remove_all(file(table.persistent ? "persist" : "run"));
        put(table, "after", "{2}");
        EXPECT_THAT(store.load(table)->records, ElementsAre(Pair("after", "{2}")));
    }
}

class RecordLog : public RecordFiles {
protected:
    void append(const std::vector<StoreChange>& batch) {
        for (const auto& result : store.append(batch)) ASSERT_TRUE(result) << result.error().what;
    }
    StoreChange value(const TableId& table, const std::string& key, const std::string& json) const {
        return {.kind = StoreChange::Kind::put, .table = table, .key = key, .json = json};
    }
    StoreChange removal(const TableId& table, const std::string& key) const { return {.kind = StoreChange::Kind::remove, .table = table, .key = key}; }
    bool exists(const std::string& name) const { return std::filesystem::exists(file(name)); }
};

TEST_F(RecordLog, HoldsABurstUntilTheFilesFollow) {
    append({value(durable, "a", "{1}"), value(durable, "b", "{2}"), value(plain, "c", "{3}")});
    EXPECT_FALSE(exists("persist/status/zedmanager/UuidToNum/a.json"));
    EXPECT_EQ(content("run/zedmanager/DomainConfig/c.json"), "{3}") << "what lives in memory needs no log";
    EXPECT_THAT(store.peek(durable)->records, ElementsAre(Pair("a", "{1}"), Pair("b", "{2}")));
    const auto some_left = store.settle(1);
    ASSERT_TRUE(some_left);
    EXPECT_TRUE(*some_left);
    const auto none_left = store.settle(10);
    ASSERT_TRUE(none_left);
    EXPECT_FALSE(*none_left);
    EXPECT_EQ(content("persist/status/zedmanager/UuidToNum/a.json"), seal_json("{1}"));
    EXPECT_EQ(content("persist/status/zedmanager/UuidToNum/b.json"), seal_json("{2}"));
    EXPECT_EQ(content("persist/status/zedmanager/UuidToNum/journal"), "");
}

TEST_F(RecordLog, IsTakenUpByTheNextLife) {
    put(durable, "gone", "{0}");
    append({value(durable, "a", "{1}"), removal(durable, "gone"), {.kind = StoreChange::Kind::marker, .table = durable, .counter = 4}});
    append({value(durable, "a", "{2}")});
    RecordStore next{Root{temp.string()}};
    const auto loaded = next.load(durable);
    ASSERT_TRUE(loaded);
    EXPECT_THAT(loaded->records, ElementsAre(Pair("a", "{2}")));
    EXPECT_THAT(loaded->problems, IsEmpty());
    EXPECT_EQ(loaded->restart_counter, 4);
    EXPECT_EQ(content("persist/status/zedmanager/UuidToNum/a.json"), seal_json("{2}"));
    EXPECT_FALSE(exists("persist/status/zedmanager/UuidToNum/gone.json"));
    EXPECT_EQ(content("persist/status/zedmanager/UuidToNum/journal"), "");
}

TEST_F(RecordLog, ALongOneIsReadByTheNextLifeAndSettledLater) {
    std::vector<StoreChange> many;
    for (int n = 0; n < 40; ++n) many.push_back(value(durable, "k" + std::to_string(n), "{1}"));
    append(many);
    RecordStore next{Root{temp.string()}};
    EXPECT_THAT(next.load(durable)->records, SizeIs(40));
    EXPECT_FALSE(exists("persist/status/zedmanager/UuidToNum/k7.json")) << "a slow disk would hold the loop";
    EXPECT_TRUE(*next.settle(30));
    EXPECT_FALSE(*next.settle(30));
    EXPECT_TRUE(exists("persist/status/zedmanager/UuidToNum/k7.json"));
    EXPECT_EQ(content("persist/status/zedmanager/UuidToNum/journal"), "");
}

TEST_F(RecordLog, AFileIsNeverNewerThanWhatTheLogSays) {
    append({value(durable, "a", "{1}")});
    put(durable, "a", "{2}");
    RecordStore next{Root{temp.string()}};
    EXPECT_THAT(next.load(durable)->records, ElementsAre(Pair("a", "{2}")));
}

TEST_F(RecordLog, IsSettledWhenItGrowsLong) {
    const std::string big(40000, 'x');
    for (std::uint64_t written = 0; written < 2 * table_log_bytes_max; written += big.size()) append({value(durable, "a", big + std::to_string(written))});
    EXPECT_LT(content("persist/status/zedmanager/UuidToNum/journal").size(), table_log_bytes_max + 2 * big.size());
    EXPECT_TRUE(exists("persist/status/zedmanager/UuidToNum/a.json"));
}

TEST_F(RecordFiles, AreReadBack) {
    put(plain, "a", "{}");
    put(plain, "", "{0}");
    mark(plain, 7);
    const auto stored = store.load(plain);
    ASSERT_TRUE(stored);
    EXPECT_THAT(stored->records, ElementsAre(Pair("", "{0}"), Pair("a", "{}")));
    EXPECT_EQ(stored->restart_counter, 7);
    EXPECT_THAT(store.load(scoped)->records, IsEmpty());
}

TEST_F(RecordFiles, AMarkerThatIsNoNumberCountsAsOneAndZeroIsNoFile) {
    put(plain, "a", "{}");
    for (const auto* text : {"", "x", "1x", "99999999999999"}) {
        overwrite("run/zedmanager/DomainConfig/restarted", text);
        EXPECT_EQ(store.load(plain)->restart_counter, 1) << text;
    }
    mark(plain, 0);
    EXPECT_FALSE(std::filesystem::exists(file("run/zedmanager/DomainConfig/restarted")));
    EXPECT_EQ(store.load(plain)->restart_counter, 0);
}

TEST_F(RecordFiles, AMissingOrEmptyPersistentFileIsRecoveredFromItsBak) {
    for (const auto* key : {"missing", "empty"}) {
        put(durable, key, "{1}");
        put(durable, key, "{2}");
    }
    std::filesystem::remove(file("persist/status/zedmanager/UuidToNum/missing.json"));
    overwrite("persist/status/zedmanager/UuidToNum/empty.json", "");
    EXPECT_THAT(store.peek(durable)->records, ElementsAre(Pair("empty", "{1}"), Pair("missing", "{1}")));
    EXPECT_EQ(content("persist/status/zedmanager/UuidToNum/empty.json"), "");
    const auto stored = store.load(durable);
    EXPECT_THAT(stored->records, ElementsAre(Pair("empty", "{1}"), Pair("missing", "{1}")));
    EXPECT_THAT(stored->problems, SizeIs(2));
    EXPECT_EQ(content("persist/status/zedmanager/UuidToNum/missing.json"), seal_json("{1}"));
}

TEST_F(RecordFiles, ARemovedRecordDoesNotComeBackFromItsBak) {
    put(durable, "k", "{1}");
    put(durable, "k", "{2}");
    ASSERT_TRUE(store.commit({{.kind = StoreChange::Kind::remove, .table = durable, .key = "k"}}).front());
    EXPECT_THAT(store.load(durable)->records, IsEmpty());
}

TEST_F(RecordFiles, AFileThatCannotBeUsedIsMovedAsideAndTheOthersAreRead) {
    put(plain, "good", "{}");
    put(plain, "empty", "{}");
    overwrite("run/zedmanager/DomainConfig/empty.json", "");
    std::filesystem::create_directory(file("run/zedmanager/DomainConfig/dir.json"));
    overwrite("run/zedmanager/DomainConfig/README", "not a record");
    const auto stored = store.load(plain);
    EXPECT_THAT(stored->records, ElementsAre(Pair("good", "{}")));
    EXPECT_THAT(stored->problems, SizeIs(2));
    EXPECT_TRUE(std::filesystem::exists(file("run/zedmanager/DomainConfig/empty.json.damaged")));
    EXPECT_THAT(store.load(plain)->problems, IsEmpty());
}

TEST_F(RecordFiles, AJournalThatIsNoneIsKeptUnderAnotherNameAndTheFilesAreRead) {
    put(durable, "k", "{1}");
    for (const auto* aside : {"journal.damaged", "journal.damaged.2"}) {
        std::filesystem::create_directory(file("persist/status/zedmanager/UuidToNum/journal"));
        overwrite("persist/status/zedmanager/UuidToNum/journal/precious", aside);
        RecordStore next{Root{temp.string()}};
        const auto stored = next.load(durable);
        ASSERT_TRUE(stored) << stored.error().what;
        EXPECT_THAT(stored->records, testing::Contains(Pair("k", "{1}")));
        EXPECT_THAT(stored->problems, ElementsAre(testing::HasSubstr(aside)));
        EXPECT_EQ(content("persist/status/zedmanager/UuidToNum/" + std::string(aside) + "/precious"), aside);
        for (const auto& result : next.append({{.kind = StoreChange::Kind::put, .table = durable, .key = "l", .json = "{2}"}})) EXPECT_TRUE(result);
        EXPECT_THAT(RecordStore{Root{temp.string()}}.load(durable)->problems, IsEmpty()) << "told once; evectl shows what was put aside";
        std::filesystem::remove(file("persist/status/zedmanager/UuidToNum/journal"));
    }
}

TEST_F(RecordFiles, AFileWhereATablesDirectoryBelongsIsKeptUnderAnotherName) {
    std::filesystem::create_directories(file("persist/status/zedmanager"));
    overwrite("persist/status/zedmanager/UuidToNum", "what a disk left of it");
    const auto stored = store.load(durable);
    ASSERT_TRUE(stored) << stored.error().what;
    EXPECT_THAT(stored->problems, ElementsAre(testing::HasSubstr("zedmanager/UuidToNum.damaged")));
    EXPECT_EQ(content("persist/status/zedmanager/UuidToNum.damaged"), "what a disk left of it");
    put(durable, "k", "{1}");
    EXPECT_THAT(RecordStore{Root{temp.string()}}.load(durable)->records, ElementsAre(Pair("k", "{1}")));
}

TEST_F(RecordFiles, ATableThatCannotBeReadIsNotWrittenOverUntilItCan) {
    put(durable, "k", "{1}");
    // The agent's directory itself: nothing beneath it can be put aside.
    std::filesystem::rename(file("persist/status/zedmanager"), file("persist/status/elsewhere"));
    overwrite("persist/status/zedmanager", "in the way");
    RecordStore next{Root{temp.string()}};
    EXPECT_FALSE(next.load(durable));
    std::filesystem::remove(file("persist/status/zedmanager"));
    std::filesystem::rename(file("persist/status/elsewhere"), file("persist/status/zedmanager"));
    const StoreChange change{.kind = StoreChange::Kind::put, .table = durable, .key = "k", .json = "{2}"};
    const StoreChange removal{.kind = StoreChange::Kind::remove, .table = durable, .key = "k"};
    for (const auto& results : {next.append({change}), next.commit({change}), next.commit({removal})}) {
        EXPECT_EQ(results[0].error().code, Code::failed_precondition);
        EXPECT_THAT(results[0].error().what, testing::HasSubstr("zedmanager/UuidToNum"));
        EXPECT_FALSE(results[0].error().hint.empty());
    }
    EXPECT_EQ(content("persist/status/zedmanager/UuidToNum/k.json"), seal_json("{1}"));
    EXPECT_THAT(next.load(durable)->records, ElementsAre(Pair("k", "{1}")));
    EXPECT_TRUE(next.commit({change})[0]);
    EXPECT_THAT(next.load(durable)->records, ElementsAre(Pair("k", "{2}")));
}

TEST_F(RecordFiles, SettingAsideBringsThePreviousVersionBackOnce) {
    put(durable, "k", "{1}");
    put(durable, "k", "broken");
    EXPECT_EQ(*store.set_aside(durable, "k"), std::optional<std::string>("{1}"));
    EXPECT_EQ(content("persist/status/zedmanager/UuidToNum/k.json"), seal_json("{1}"));
    EXPECT_EQ(content("persist/status/zedmanager/UuidToNum/k.json.damaged"), seal_json("broken"));
    EXPECT_EQ(*store.set_aside(durable, "k"), std::nullopt);
    EXPECT_THAT(store.load(durable)->records, IsEmpty());
}

TEST_F(RecordFiles, AKeyIsCutAtItsFirstSuffix) {
    put(plain, "a", "{}");
    overwrite("run/zedmanager/DomainConfig/b.json.json", "{}");
    EXPECT_THAT(store.peek(plain)->records, ElementsAre(Pair("a", "{}")));
}

TEST_F(RecordFiles, AnUnwritableTableIsAnErrorOfItsOwnChangesOnly) {
    std::filesystem::create_directories(file("run/zedmanager"));
    overwrite("run/zedmanager/DomainConfig", "a file where the directory belongs");
    const auto results = store.commit({{.kind = StoreChange::Kind::put, .table = plain, .key = "a", .json = "{}"},
                                       {.kind = StoreChange::Kind::put, .table = durable, .key = "a", .json = "{}"}});
    ASSERT_THAT(results, SizeIs(2));
    EXPECT_EQ(results[0].error().code, Code::failed_precondition);
    EXPECT_FALSE(results[0].error().hint.empty());
    EXPECT_TRUE(results[1]);
}

}  // namespace
}  // namespace eve::storage
