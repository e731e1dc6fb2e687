#include "storage/durable_file.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <fstream>

#include "tests/doubles/temp_dir.hpp"

namespace eve::storage {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class DurableFile : public testing::Test {
protected:
    TempDir temp;
    DurableDirectory directory = *DurableDirectory::open(temp.string());
};

TEST_F(DurableFile, AWriteReplacesTheWholeFileAndLeavesNothingElse) {
    ASSERT_TRUE(directory.write("a", "first, longer"));
    ASSERT_TRUE(directory.write("a", "second"));
    EXPECT_EQ(*directory.read("a", 100), "second");
    EXPECT_THAT(*directory.list(), ElementsAre("a"));
    struct stat facts {};
    ASSERT_EQ(::stat((temp.path() / "a").c_str(), &facts), 0);
    EXPECT_EQ(facts.st_mode & 07777U, 0600U);
}

TEST_F(DurableFile, ThePreviousVersionStaysAsBakWhenAskedFor) {
    const WriteOptions options{.previous = Previous::keep};
    for (const auto* text : {"1", "2", "3"}) ASSERT_TRUE(directory.write("a", text, options));
    EXPECT_EQ(*directory.read("a", 10), "3");
    EXPECT_EQ(*directory.read("a.bak", 10), "2");
    EXPECT_THAT(*directory.list(), ElementsAre("a", "a.bak"));
    ASSERT_TRUE(directory.remove("a"));
    EXPECT_THAT(*directory.list(), ElementsAre());
    EXPECT_TRUE(directory.remove("a"));
}

TEST_F(DurableFile, ALongNameHasNoBak) {
    const std::string name(253, 'n');
    const WriteOptions options{.previous = Previous::keep};
    ASSERT_TRUE(directory.write(name, "1", options));
    ASSERT_TRUE(directory.write(name, "2", options));
    EXPECT_THAT(*directory.list(), ElementsAre(name));
}

TEST_F(DurableFile, LinksAreNotFollowed) {
    TempDir elsewhere;
    std::ofstream(elsewhere.path() / "secret") << "secret";
    std::filesystem::create_symlink(elsewhere.path() / "secret", temp.path() / "link");
    std::filesystem::create_directory_symlink(elsewhere.path(), temp.path() / "dir");
    EXPECT_EQ(directory.read("link", 100).error().code, Code::failed_precondition);
    EXPECT_EQ(DurableDirectory::make(temp.string(), "dir/x").error().code, Code::failed_precondition);
    EXPECT_EQ(DurableDirectory::open(temp.string(), "../x").error().code, Code::invalid_argument);
    ASSERT_TRUE(directory.write("link", "own"));  // replaces the link, not what it names
    EXPECT_EQ(*read_file((elsewhere.path() / "secret").string(), 100), "secret");
}

TEST_F(DurableFile, ReadingKnowsItsLimitsAndOnlyRegularFiles) {
    ASSERT_TRUE(directory.write("a", "12345"));
    EXPECT_EQ(directory.read("a", 4).error().code, Code::failed_precondition);
    EXPECT_EQ(*directory.read("a", 5), "12345");
    EXPECT_EQ(directory.read("b", 5).error().code, Code::not_found);
    ASSERT_EQ(::mkfifo((temp.path() / "fifo").c_str(), 0600), 0);
    EXPECT_EQ(directory.read("fifo", 5).error().code, Code::failed_precondition);
}

TEST_F(DurableFile, MissingDirectoriesAreMadePrivate) {
    const auto made = DurableDirectory::make((temp.path() / "run").string(), "agent/scope/Topic");
    ASSERT_TRUE(made) << made.error().what;
    struct stat facts {};
    ASSERT_EQ(::stat((temp.path() / "run/agent/scope").c_str(), &facts), 0);
    EXPECT_EQ(facts.st_mode & 07777U, 0700U);
}

TEST_F(DurableFile, WhatACrashLeftIsSweptAndRecordsAreNot) {
    for (const auto* name : {"tmp123", "tmp00ff00ff00ff00ff", "tmp.json", "tmpfile.json", "tmp"}) ASSERT_TRUE(directory.write(name, "x"));
    directory.remove_temporaries();
    EXPECT_THAT(*directory.list(), ElementsAre("tmp", "tmp.json", "tmpfile.json"));
}

TEST_F(DurableFile, AModeIsAsAskedForWhateverTheUmaskIs) {
    const auto before = ::umask(0077);
    EXPECT_TRUE(directory.write("open", "x", {.mode = 0644, .temporary = Temporary::hidden}));
    ::umask(before);
    struct stat facts {};
    ASSERT_EQ(::fstatat(directory.descriptor(), "open", &facts, 0), 0);
    EXPECT_EQ(facts.st_mode & 07777U, 0644U);
}

TEST_F(DurableFile, ASealIsSeenByWhoLooksForItAndByNobodyElse) {
    EXPECT_EQ(*unseal_json(seal_json(R"({"a":1})")), R"({"a":1})");
    EXPECT_EQ(*unseal_json(seal_json("{}\n")), "{}\n");
    for (const auto* unsealed : {"", "{}", "{}\n", "{}\r\n"}) EXPECT_EQ(*unseal_json(unsealed), unsealed);
    EXPECT_EQ(unseal_json(seal_json("{}") + " ").error().code, Code::failed_precondition);
    EXPECT_EQ(*unseal_protobuf(seal_protobuf("\x0a\x01x")), "\x0a\x01x");
    EXPECT_EQ(*unseal_protobuf("\x0a\x01x"), "\x0a\x01x");
    EXPECT_EQ(unseal_protobuf(seal_protobuf("\x0a\x01x") + "y").error().code, Code::failed_precondition);
}

TEST_F(DurableFile, AFullOrReadOnlyDiskIsSaidWithARemedy) {
    const auto error = error_of(ENOSPC, "write /persist/x");
    EXPECT_EQ(error.code, Code::resource_exhausted);
    EXPECT_THAT(error.what, HasSubstr("No space left"));
    EXPECT_FALSE(error.hint.empty());
    EXPECT_FALSE(error_of(EROFS, "x").hint.empty());
}

}  // namespace
}  // namespace eve::storage
