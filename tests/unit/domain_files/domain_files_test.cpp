// The host as domainmgr asks it, on real files below a directory of the test's own.

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>

#include <archive.h>
#include <archive_entry.h>
#include <gmock/gmock.h>

#include "storage/cidata_image.hpp"
#include "storage/domain_files.hpp"

namespace eve::storage {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

const types::Uuid app = types::Uuid::parse_or_nil("6ba7b810-9dad-11d1-80b4-00c04fd430c8");

std::map<std::string, std::string> files_of(const std::string& image, const char* options) {
    std::map<std::string, std::string> files;
    archive* a = archive_read_new();
    archive_read_support_format_iso9660(a);
    archive_read_set_options(a, options);
    EXPECT_EQ(archive_read_open_memory(a, image.data(), image.size()), ARCHIVE_OK) << archive_error_string(a);
    archive_entry* entry = nullptr;
    while (archive_read_next_header(a, &entry) == ARCHIVE_OK) {
        if (archive_entry_filetype(entry) != AE_IFREG) continue;
        std::string content(static_cast<std::size_t>(archive_entry_size(entry)), '\0');
        EXPECT_EQ(archive_read_data(a, content.data(), content.size()), static_cast<la_ssize_t>(content.size()));
        files[archive_entry_pathname(entry)] = content;
    }
    archive_read_free(a);
    return files;
}

TEST(CidataImage, IsLabelledCidataAndHoldsItsFilesInBothNameForms) {
    const domainmgr::CloudInitDisk disk{.app = app, .files = {{"meta-data", "instance-id: x\n"}, {"user-data", "#cloud-config\n"}, {"d/e.txt", ""}}};
    const auto image = cidata_image(disk);
    ASSERT_TRUE(image) << image.error().what;
    EXPECT_EQ(image->size() % 2048, 0U);
    EXPECT_EQ(image->substr(16 * 2048 + 1, 5), "CD001");
    std::string label = image->substr(16 * 2048 + 40, 32);
    label.erase(label.find_last_not_of(' ') + 1);
    EXPECT_THAT(label, ::testing::AnyOf("cidata", "CIDATA"));  // cloud-init takes both
    const std::map<std::string, std::string> expected = {{"meta-data", "instance-id: x\n"}, {"user-data", "#cloud-config\n"}, {"d/e.txt", ""}};
    EXPECT_EQ(files_of(*image, "!joliet"), expected);     // by Rock Ridge
    EXPECT_EQ(files_of(*image, "!rockridge"), expected);  // by Joliet
}

TEST(CidataImage, RefusesPathsThatLeaveTheDiskAndTooMuch) {
    for (const char* path : {"", "/etc/passwd", "../x", "a/../../b", "a//b", "."}) {
        const auto image = cidata_image({.app = app, .files = {{path, "x"}}});
        ASSERT_FALSE(image) << path;
        EXPECT_EQ(image.error().code, Code::invalid_argument);
    }
    EXPECT_FALSE(cidata_image({.app = app, .files = {{"user-data", std::string(cidata_bytes_max, 'x')}}}));
}

class DomainFilesTest : public ::testing::Test {
protected:
    fs::path directory = fs::path(::testing::TempDir()) / ("domain_files." + std::to_string(getpid()));
    DomainFiles files{Root(directory.string())};

    void SetUp() override { fs::create_directories(directory); }
    void TearDown() override { fs::remove_all(directory); }
    std::string write(const std::string& name, const std::string& content) const {
        std::ofstream(directory / name, std::ios::binary) << content;
        return (directory / name).string();
    }
};

TEST_F(DomainFilesTest, KnowsFormatsByTheirMarks) {
    using types::Format;
    EXPECT_EQ(*files.disk_format(write("a", std::string("QFI\xfb\0\0\0\3", 8))), Format::QCOW2);
    EXPECT_EQ(*files.disk_format(write("a", std::string("QFI\xfb\0\0\0\1", 8))), Format::QCOW);
    EXPECT_EQ(*files.disk_format(write("a", "KDMV....")), Format::VMDK);
    EXPECT_EQ(*files.disk_format(write("a", "vhdxfile")), Format::VHDX);
    EXPECT_EQ(*files.disk_format(write("a", std::string(0x8001, '\0') + "CD001")), Format::ISO);
    EXPECT_EQ(*files.disk_format(write("a", "anything")), Format::RAW);
    EXPECT_EQ(*files.disk_format(write("a", "")), Format::RAW);
    EXPECT_EQ(files.disk_format((directory / "none").string()).error().code, Code::not_found);
    EXPECT_EQ(files.disk_format(directory.string()).error().code, Code::failed_precondition);
}

TEST_F(DomainFilesTest, WritesAndRemovesCloudInitDisks) {
    const auto path = files.write_cloud_init({.app = app, .files = {{"user-data", "x"}}});
    ASSERT_TRUE(path) << path.error().what;
    EXPECT_EQ(*path, (directory / "run/domainmgr/cloudinit" / (app.to_string() + ".cidata")).string());
    EXPECT_EQ(*files.disk_format(*path), types::Format::ISO);
    EXPECT_TRUE(files.remove_cloud_init(app));
    EXPECT_FALSE(fs::exists(*path));
    EXPECT_TRUE(files.remove_cloud_init(app));
}

TEST_F(DomainFilesTest, MarksActiveAppsWithEvesEmptyFiles) {
    const auto marker = directory / "persist/vault/active-app-instance-config" / (app.to_string() + ".json");
    EXPECT_TRUE(files.set_active({{.app = app, .active = false}}));
    ASSERT_TRUE(files.set_active({{.app = app, .active = true}}));
    EXPECT_TRUE(fs::exists(marker));
    EXPECT_EQ(fs::file_size(marker), 0U);
    ASSERT_TRUE(files.set_active({{.app = app, .active = false}, {.app = types::Uuid{}, .active = true}}));
    EXPECT_FALSE(fs::exists(marker));
    EXPECT_TRUE(fs::exists(marker.parent_path() / (types::Uuid{}.to_string() + ".json")));
}

TEST_F(DomainFilesTest, WhatAKilledNodeLeftHalfWrittenIsRemovedByTheNext) {
    for (const char* place : {"persist/vault/active-app-instance-config", "run/domainmgr/cloudinit"}) {
        std::filesystem::create_directories(directory / place);
        std::ofstream(directory / place / "tmp0123456789abcdef") << "half";
        std::ofstream(directory / place / "tmpfile.json") << "whole";
    }
    const DomainFiles next{Root(directory.string())};
    for (const char* place : {"persist/vault/active-app-instance-config", "run/domainmgr/cloudinit"}) {
        EXPECT_FALSE(std::filesystem::exists(directory / place / "tmp0123456789abcdef"));
        EXPECT_TRUE(std::filesystem::exists(directory / place / "tmpfile.json"));
    }
}

TEST_F(DomainFilesTest, ReadsTheMachinesMemory) {
    const auto memory = files.memory();
    ASSERT_TRUE(memory);
    EXPECT_GT(memory->TotalMemoryMB, memory->FreeMemoryMB);
    EXPECT_GT(memory->Ncpus, 0U);
    fs::create_directories(directory / "proc/self");
    write("proc/meminfo", "MemTotal:       2048000 kB\nMemFree: 5 kB\nMemAvailable:    1024000 kB\n");
    write("proc/self/status", "Name:\tx\nVmRSS:\t   20480 kB\n");
    DomainFiles fake{Root(directory.string()), (directory / "proc").string()};
    EXPECT_EQ(fake.memory()->TotalMemoryMB, 2000U);
    EXPECT_EQ(fake.memory()->FreeMemoryMB, 1000U);
    EXPECT_EQ(fake.memory()->UsedEveMB, 20U);
    write("proc/meminfo", "nonsense");
    EXPECT_EQ(fake.memory().error().code, Code::unavailable);
}

}  // namespace
}  // namespace eve::storage
