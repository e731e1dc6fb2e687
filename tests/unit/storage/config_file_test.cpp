// The config's file, the checkpoints, the vault's directories and the machine's identity, on a real disk.

#include "storage/config_file.hpp"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "core/loop/asio_loop.hpp"
#include "core/zedagent/parse.hpp"
#include "storage/device_identity.hpp"
#include "storage/vault_directories.hpp"
#include "tests/doubles/recording_log.hpp"
#include "tests/doubles/temp_dir.hpp"

namespace eve::storage {
namespace {

using namespace std::chrono_literals;

class ConfigFileTest : public testing::Test {
protected:
    TempDir temp;
    Root root{temp.string()};
    ConfigFiles files{root};
    std::string path = root.path(device_config_path);

    void write(const std::string& text) {
        std::filesystem::create_directories(root.path("/config"));
        std::ofstream(path) << text;
    }
    static unsigned mode(const std::string& of) {
        struct stat info {};
        return ::stat(of.c_str(), &info) == 0 ? info.st_mode & 07777 : 0;
    }
};

TEST_F(ConfigFileTest, AbsentFilesAreNotFound) {
    EXPECT_EQ(files.read_config().error().code, Code::not_found);
    EXPECT_EQ(files.read_checkpoint(zedagent::Checkpoint::last).error().code, Code::not_found);
    std::filesystem::create_directories(root.path("/config"));
    EXPECT_EQ(files.read_config().error().code, Code::not_found);
}

TEST_F(ConfigFileTest, TheConfigIsReadUpToALimit) {
    write("hello");
    EXPECT_EQ(*files.read_config(), "hello");
    write(std::string(zedagent::config_bytes_max + 2, 'x'));
    EXPECT_EQ(files.read_config().error().code, Code::failed_precondition);
}

TEST_F(ConfigFileTest, CheckpointsAreKeptUnderEvesNamesForTheirOwnerOnly) {
    ASSERT_TRUE(files.write_checkpoint(zedagent::Checkpoint::last, "a"));
    ASSERT_TRUE(files.write_checkpoint(zedagent::Checkpoint::last, "b"));
    ASSERT_TRUE(files.write_checkpoint(zedagent::Checkpoint::local_commands, "{}"));
    EXPECT_EQ(*files.read_checkpoint(zedagent::Checkpoint::last), "b");
    EXPECT_EQ(mode(root.path("/persist/checkpoint/lastconfig")), 0600u);
    EXPECT_EQ(mode(root.path("/persist/checkpoint")), 0700u);
    EXPECT_TRUE(std::filesystem::exists(root.path("/persist/checkpoint/appCommands")));
}

TEST_F(ConfigFileTest, WhatAKilledNodeLeftHalfWrittenIsRemovedByTheNext) {
    ASSERT_TRUE(files.write_checkpoint(zedagent::Checkpoint::last, "a"));
    std::ofstream(root.path("/persist/checkpoint/tmp0123456789abcdef")) << "half";
    ASSERT_TRUE(files.read_checkpoint(zedagent::Checkpoint::last));
    EXPECT_FALSE(std::filesystem::exists(root.path("/persist/checkpoint/tmp0123456789abcdef")));
}

class ConfigWatchTest : public ConfigFileTest {
protected:
    SystemClock clock;
    AsioLoop loop{clock};
    RecordingLog log;
    ConfigWatch watch{loop, log, root};
    int changes = 0;

    void SetUp() override {
        watch.start([this] {
            ++changes;
            loop.stop();
        });
    }
    /// Runs until the watch tells of a change; false after two seconds without one.
    bool told() {
        const int before = changes;
        const auto timeout = loop.after(2s, [this] { loop.stop(); });
        loop.run();
        loop.cancel(timeout);
        return changes > before;
    }
};

TEST_F(ConfigWatchTest, WritingReplacingAndRemovingTheFileAreChanges) {
    write("a");
    EXPECT_TRUE(told());
    std::ofstream(path + ".new") << "b";
    std::filesystem::rename(path + ".new", path);
    EXPECT_TRUE(told());
    std::filesystem::remove(path);
    EXPECT_TRUE(told());
}

TEST_F(ConfigWatchTest, ADirectoryThatIsReplacedIsWatchedAgain) {
    std::filesystem::remove_all(root.path("/config"));
    EXPECT_TRUE(told());
    write("a");
    EXPECT_TRUE(told());
}

TEST_F(ConfigFileTest, VaultDirectoriesAreForTheirOwnerOnlyAlsoWhenTheyWereNot) {
    std::filesystem::create_directories(root.path("/persist/clear"));
    VaultDirectories directories(root);
    ASSERT_TRUE(directories.make());
    ASSERT_TRUE(directories.make());
    EXPECT_EQ(mode(root.path("/persist/vault")), 0700u);
    EXPECT_EQ(mode(root.path("/persist/clear")), 0700u);
}

TEST_F(ConfigFileTest, NewIdentitiesAreRandomUuids) {
    DeviceIdentity identity;
    const auto one = identity.new_uuid();
    const auto two = identity.new_uuid();
    ASSERT_TRUE(one);
    ASSERT_TRUE(two);
    EXPECT_NE(*one, *two);
    EXPECT_EQ(one->to_string()[14], '4');
}

}  // namespace
}  // namespace eve::storage
