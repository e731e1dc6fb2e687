// Real layers by the real unpack process: what good images become, and that hostile ones become nothing.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "eve/testing/fake_content.hpp"
#include "storage/container_volume.hpp"
#include "storage/content_store.hpp"
#include "storage/hash.hpp"
#include "storage/volume_files.hpp"
#include "tests/doubles/image_builder.hpp"

namespace eve {
namespace {

namespace fs = std::filesystem;
using types::Format;
using types::OciPacking;

class Context final : public LaneContext {
public:
    Instant deadline() const override { return Instant::max(); }
    bool cancelled() const override { return cancelled_; }
    int cancel_fd() const override { return -1; }
    bool cancelled_ = false;
};

class ContainerVolume : public ::testing::Test {
protected:
    void SetUp() override {
        if (geteuid() != 0) GTEST_SKIP() << "owners and modes of files need root";
        directory_ = fs::temp_directory_path() / ("container_volume_test." + std::to_string(getpid()));
        fs::create_directories(directory_ / "outside");
        std::ofstream(directory_ / "outside" / "victim") << "untouched";
        store_ = storage::make_content_store(store_directory());
        files_ = storage::make_volume_files({.persist = persist(),
                                             .store = store_directory(),
                                             .confine = std::string(BUILD_ROOT) + "/bin/confine",
                                             .unpack = std::string(BUILD_ROOT) + "/bin/unpack",
                                             .container_bytes_max = std::uint64_t{1} << 30,
                                             .container_entries_max = 5000});
        ASSERT_TRUE(files_->recover());
    }
    void TearDown() override {
        if (!directory_.empty()) (void)storage::remove_tree(directory_);
    }

    std::string persist() const { return directory_ / "persist"; }
    std::string store_directory() const { return persist() + "/vault/store"; }
    std::string volume() const { return persist() + "/vault/volumes/11111111-1111-1111-1111-111111111111#0.container"; }
    fs::path root() const { return volume() + "/rootfs"; }

    Status load(const TestImage& image) {
        std::vector<volumemgr::IncomingBlob> blobs{
            {.sha256 = image.manifest_sha256(), .media_type = std::string(types::oci_media_manifest), .path = {}, .content = image.manifest},
            {.sha256 = image.config_sha256(), .media_type = std::string(types::oci_media_config), .path = {}, .content = image.config}};
        for (const auto& layer : image.layers)
            blobs.push_back({.sha256 = sha256_of(layer.bytes), .media_type = layer.media_type, .path = {}, .content = layer.bytes});
        return store_->ingest("image", blobs, context_);
    }
    Result<volumemgr::VolumeFacts> create(const TestImage& image) {
        if (auto loaded = load(image); !loaded) return std::move(loaded).error();
        return files_->create({.path = volume(), .format = Format::CONTAINER, .blob_sha256 = image.manifest_sha256()},
                              [this](unsigned percent) { percent_ = percent; }, context_);
    }
    Result<volumemgr::VolumeFacts> create(const std::vector<std::vector<TarEntry>>& layers, OciPacking packing = OciPacking::gzip) {
        return create(make_image(layers, packing));
    }
    static std::string read(const fs::path& path) {
        std::ifstream file(path, std::ios::binary);
        return {std::istreambuf_iterator<char>(file), {}};
    }
    static struct stat facts(const fs::path& path) {
        struct stat found{};
        EXPECT_EQ(lstat(path.c_str(), &found), 0) << path;
        return found;
    }
    /// Empty if nothing but the store is there and nothing outside was touched.
    std::string leftovers() const {
        std::string found;
        for (const char* below : {"/vault/volumes", "/clear/volumes"})
            for (const auto& entry : fs::directory_iterator(persist() + below)) found += entry.path().string() + " ";
        for (const auto& entry : fs::directory_iterator(directory_ / "outside"))
            if (entry.path().filename() != "victim") found += entry.path().string() + " ";
        if (read(directory_ / "outside" / "victim") != "untouched") found += "the victim was written to ";
        if (fs::exists("/evenode-was-here")) found += "/evenode-was-here ";
        return found;
    }

    Context context_;
    fs::path directory_;
    unsigned percent_ = 0;
    std::unique_ptr<volumemgr::ContentStore> store_;
    std::unique_ptr<volumemgr::VolumeFiles> files_;
};

TEST_F(ContainerVolume, LayersStackWithOwnersModesTimesAndLinks) {
    TarEntry owned = tar_file("home/user/file", "mine", 0640);
    owned.user = 1000;
    owned.group = 3'000'000;
    TarEntry program = tar_file("bin/program", "#!/bin/sh\n", 04755);
    TarEntry directory = tar_directory("closed", 0500);
    directory.user = 33;
    const auto image = make_image({{tar_directory("./", 0755), tar_directory("bin"), program, tar_directory("usr/lib"), tar_link("lib", "usr/lib")},
                                   {owned, directory, tar_file("closed/inside"), tar_hard_link("bin/same", "bin/program"), tar_file("lib/through", "link"),
                                    tar_link("var/run", "/run"), TarEntry{.name = "pipe", .type = '6', .mode = 0600}}},
                                  OciPacking::gzip, R"("Cmd":["/bin/program"])");
    const auto made = create(image);
    ASSERT_TRUE(made) << made.error().what;
    EXPECT_GT(made->disk_bytes, 0U);
    EXPECT_EQ(percent_, 100U);
    EXPECT_EQ(read(volume() + "/image-config.json"), image.config);
    EXPECT_EQ(facts(root() / "home/user/file").st_uid, 1000U);
    EXPECT_EQ(facts(root() / "home/user/file").st_gid, 3'000'000U);
    EXPECT_EQ(facts(root() / "home/user/file").st_mode & 07777U, 0640U);
    EXPECT_EQ(facts(root() / "home/user/file").st_mtime, 1'600'000'000);
    EXPECT_EQ(facts(root() / "bin/program").st_mode & 07777U, 04755U);
    EXPECT_EQ(facts(root() / "bin/same").st_ino, facts(root() / "bin/program").st_ino);
    EXPECT_EQ(facts(root() / "closed").st_mode & 07777U, 0500U);
    EXPECT_EQ(facts(root() / "closed").st_uid, 33U);
    EXPECT_EQ(facts(root() / "closed").st_mtime, 1'600'000'000);
    EXPECT_EQ(facts(root() / "home").st_mode & 07777U, 0755U);
    EXPECT_EQ(read(root() / "usr/lib/through"), "link");
    EXPECT_EQ(fs::read_symlink(root() / "var/run"), "/run");
    EXPECT_TRUE(S_ISFIFO(facts(root() / "pipe").st_mode));
    EXPECT_EQ(facts(volume()).st_mode & 07777U, 0700U);
    const auto again = files_->inspect(volume(), Format::CONTAINER);
    ASSERT_TRUE(again);
    EXPECT_EQ(*again, *made);
    const auto found = files_->scan();
    ASSERT_TRUE(found);
    ASSERT_EQ(found->size(), 1U);
    EXPECT_EQ(found->front().format, Format::CONTAINER);
}

TEST_F(ContainerVolume, EveryPackingGivesTheSame) {
    for (const auto packing : {OciPacking::none, OciPacking::gzip, OciPacking::zstd}) {
        const auto made = create({{tar_file("a", std::string(100'000, 'a'))}, {tar_file("b")}}, packing);
        ASSERT_TRUE(made) << made.error().what;
        EXPECT_EQ(read(root() / "a"), std::string(100'000, 'a'));
        ASSERT_TRUE(files_->destroy(volume()));
        EXPECT_EQ(leftovers(), "");
    }
}

TEST_F(ContainerVolume, WhiteoutsTakeAwayWhatLayersBelowLeftAndNothingElse) {
    const auto made = create({{tar_file("etc/gone"), tar_file("etc/stays"), tar_file("tree/deep/down"), tar_file("opaque/below"), tar_file("opaque/both", "below"),
                               tar_directory("kind"), tar_file("kind/inside"), tar_file("other")},
                              {tar_file("etc/.wh.gone", ""), tar_file(".wh.tree", ""), tar_file("opaque/both", "above"), tar_file("opaque/.wh..wh..opq", ""),
                               tar_file("opaque/new"), tar_file("kind", "now a file"), tar_file(".wh.never", ""), tar_directory("other"), tar_file("other/in")},
                              {tar_directory("tree"), tar_file("tree/fresh"), tar_file("tree/.wh.nothing", ""), tar_file(".wh..wh.aufs", "")}});
    ASSERT_TRUE(made) << made.error().what;
    EXPECT_FALSE(fs::exists(root() / "etc/gone"));
    EXPECT_TRUE(fs::exists(root() / "etc/stays"));
    EXPECT_FALSE(fs::exists(root() / "tree/deep"));
    EXPECT_TRUE(fs::exists(root() / "tree/fresh"));
    EXPECT_FALSE(fs::exists(root() / "opaque/below"));
    EXPECT_EQ(read(root() / "opaque/both"), "above");
    EXPECT_TRUE(fs::exists(root() / "opaque/new"));
    EXPECT_EQ(read(root() / "kind"), "now a file");
    EXPECT_TRUE(fs::exists(root() / "other/in"));
    for (const auto& entry : fs::recursive_directory_iterator(root())) EXPECT_FALSE(entry.path().filename().string().starts_with(".wh."));
}

TEST_F(ContainerVolume, AttributesAndCapabilitiesAreKept) {
    TarEntry ping = tar_file("bin/ping", "elf", 0755);
    const std::string capability("\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 20);
    ping.pax = {{"SCHILY.xattr.security.capability", capability}, {"SCHILY.xattr.trusted.overlay.opaque", "y"}};
    const auto made = create({{ping}});
    ASSERT_TRUE(made) << made.error().what;
    char value[64] = {};
    EXPECT_EQ(getxattr((root() / "bin/ping").c_str(), "security.capability", value, sizeof value), 20);
    EXPECT_EQ(getxattr((root() / "bin/ping").c_str(), "trusted.overlay.opaque", value, sizeof value), -1);
}

TEST_F(ContainerVolume, LongNamesAndOtherAlphabetsAreKept) {
    const std::string name = "dir/" + std::string(180, 'n');
    TarEntry other = tar_file("plain");
    other.pax = {{"path", "gr\xc3\xbc\xc3\x9f" "e"}};
    const auto made = create({{tar_file(name), other}});
    ASSERT_TRUE(made) << made.error().what;
    EXPECT_TRUE(fs::exists(root() / name));
    EXPECT_TRUE(fs::exists(root() / "gr\xc3\xbc\xc3\x9f" "e"));
}

TEST_F(ContainerVolume, DeviceNodesOfDevAreLeftToTheRuntime) {
    const auto made = create({{tar_directory("dev"), tar_device("dev/null"), tar_device("dev/sda", '4'), tar_file("ok")}});
    ASSERT_TRUE(made) << made.error().what;
    EXPECT_TRUE(fs::is_empty(root() / "dev"));
}

TEST_F(ContainerVolume, ADeepTreeThatAContainerMadeIsRemovedWholly) {
    ASSERT_TRUE(create({{tar_file("a")}}));
    const int here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ASSERT_EQ(chdir(root().c_str()), 0);
    for (int i = 0; i < 3000; ++i) {
        ASSERT_EQ(mkdir("deeper", 0700), 0);
        ASSERT_EQ(chdir("deeper"), 0);
    }
    std::ofstream("bottom") << "x";
    ASSERT_EQ(fchdir(here), 0);
    close(here);
    const auto destroyed = files_->destroy(volume());
    EXPECT_TRUE(destroyed) << destroyed.error().what;
    EXPECT_EQ(leftovers(), "");
}

TEST_F(ContainerVolume, WhatIsMountedInItIsNotEmptied) {
    ASSERT_TRUE(create({{tar_directory("data")}}));
    if (mount((directory_ / "outside").c_str(), (root() / "data").c_str(), nullptr, MS_BIND, nullptr) != 0) GTEST_SKIP() << "mounting is not allowed here";
    EXPECT_FALSE(files_->destroy(volume()));
    EXPECT_EQ(read(directory_ / "outside" / "victim"), "untouched");
    const fs::path moved = volume() + ".creating";
    for (const auto& entry : fs::recursive_directory_iterator(moved)) (void)umount2(entry.path().c_str(), MNT_DETACH);
    EXPECT_TRUE(files_->destroy(volume()));
    EXPECT_EQ(leftovers(), "");
}

TEST_F(ContainerVolume, WantOfSpaceIsToldApartFromAnImageThatIsTooLarge) {
    const auto image = make_image({{tar_file("big", std::string(3U << 20, 'b'))}}, OciPacking::none);
    ASSERT_TRUE(load(image));
    const auto volumes = persist() + "/vault/volumes";
    if (mount("tmpfs", volumes.c_str(), "tmpfs", 0, "size=2m") != 0) GTEST_SKIP() << "mounting is not allowed here";
    const auto made = create(image);
    ASSERT_EQ(umount(volumes.c_str()), 0);
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().code, Code::resource_exhausted);
    EXPECT_NE(made.error().what.find("not enough space on the disk"), std::string::npos) << made.error().what;
    EXPECT_NE(made.error().hint.find("free space"), std::string::npos) << made.error().hint;
    EXPECT_EQ(leftovers(), "");
}

TEST_F(ContainerVolume, WhatACrashLeftHalfMadeIsRemovedAtTheNextStart) {
    fs::create_directories(volume() + ".creating/rootfs/etc");
    std::ofstream(volume() + ".creating/rootfs/etc/passwd") << "half";
    ASSERT_TRUE(files_->recover());
    EXPECT_EQ(leftovers(), "");
}

TEST_F(ContainerVolume, ACancelledUnpackingLeavesNothing) {
    const auto image = make_image({{tar_file("a")}});
    ASSERT_TRUE(load(image));
    context_.cancelled_ = true;
    const auto made = files_->create({.path = volume(), .format = Format::CONTAINER, .blob_sha256 = image.manifest_sha256()}, [](unsigned) {}, context_);
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().code, Code::cancelled);
    EXPECT_EQ(leftovers(), "");
}

TEST_F(ContainerVolume, AMissingUnpackProcessIsNamed) {
    auto files = storage::make_volume_files({.persist = persist(), .store = store_directory(), .confine = {}, .unpack = "/nonexistent/unpack"});
    const auto image = make_image({{tar_file("a")}});
    ASSERT_TRUE(load(image));
    const auto made = files->create({.path = volume(), .format = Format::CONTAINER, .blob_sha256 = image.manifest_sha256()}, [](unsigned) {}, context_);
    ASSERT_FALSE(made);
    EXPECT_NE(made.error().what.find("unpack"), std::string::npos);
    EXPECT_EQ(leftovers(), "");
}

TEST_F(ContainerVolume, AnImageThatARuntimeKeepsIsUnpackedFromThereAndLeavesNothingHere) {
    const fs::path kept = directory_ / "kept";
    fs::create_directories(kept);
    ::eve::testing::FakeContent runtime(open(kept.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC), [](std::string_view bytes) { return storage::sha256_hex(bytes); }, 1000);
    const storage::ContentKeepers keepers{.find = [&runtime](const std::string&) -> Content& { return runtime; }, .into = "containerd"};
    store_ = storage::make_content_store(store_directory(), keepers);
    files_ = storage::make_volume_files({.persist = persist(), .store = store_directory(), .confine = {}, .unpack = std::string(BUILD_ROOT) + "/bin/unpack", .keepers = keepers});
    const auto image = make_image({{tar_file("a", std::string(20'000, 'a'))}, {tar_file("b", "b")}}, OciPacking::none);
    const auto made = create(image);
    ASSERT_TRUE(made) << made.error().what;
    EXPECT_EQ(percent_, 100U);
    EXPECT_EQ(read(root() / "a"), std::string(20'000, 'a'));
    EXPECT_EQ(read(root() / "b"), "b");
    EXPECT_EQ(read(volume() + "/image-config.json"), image.config);
    EXPECT_TRUE(fs::is_empty(store_directory() + "/blobs/sha256"));
    ASSERT_TRUE(files_->destroy(volume()));

    // What the runtime gives back is believed no more than any other image.
    auto other = image.layers[0].bytes;
    other[600] = 'x';
    std::ofstream(kept / sha256_of(image.layers[0].bytes), std::ios::binary) << other;
    const auto lied = files_->create({.path = volume(), .format = Format::CONTAINER, .blob_sha256 = image.manifest_sha256()}, [](unsigned) {}, context_);
    ASSERT_FALSE(lied);
    EXPECT_EQ(lied.error().code, Code::invalid_argument);
    fs::remove(kept / sha256_of(image.layers[1].bytes));
    fs::remove(kept / sha256_of(image.layers[0].bytes));
    const auto lost = files_->create({.path = volume(), .format = Format::CONTAINER, .blob_sha256 = image.manifest_sha256()}, [](unsigned) {}, context_);
    ASSERT_FALSE(lost);
    EXPECT_EQ(lost.error().code, Code::not_found);
    EXPECT_EQ(leftovers(), "");
}

// ---- hostile images ----

TarEntry with_pax(TarEntry entry, std::map<std::string, std::string> pax) {
    entry.pax = std::move(pax);
    return entry;
}
TarEntry says_size(TarEntry entry, std::int64_t size) {
    entry.size = size;
    return entry;
}

using Layers = std::vector<std::vector<TarEntry>>;
struct HostileLayers {
    const char* what;
    Layers layers;
    const char* complaint;
};

std::vector<HostileLayers> hostile_layers() {
    const std::string deep = [] {
        std::string path;
        for (int i = 0; i < 300; ++i) path += "d/";
        return path + "f";
    }();
    std::vector<TarEntry> chain;
    for (int i = 0; i < 60; ++i) chain.push_back(tar_link("l" + std::to_string(i), i == 59 ? "target" : "l" + std::to_string(i + 1)));
    chain.push_back(tar_directory("target"));
    chain.push_back(tar_file("l0/file"));
    std::vector<TarEntry> many;
    for (int i = 0; i < 6000; ++i) many.push_back(tar_file("f" + std::to_string(i), ""));
    return {
        {"a file above", {{tar_file("../evenode-was-here")}}, "leads upwards"},
        {"a file far above", {{tar_file("../../../../../../../../evenode-was-here")}}, "leads upwards"},
        {"upwards in the middle", {{tar_file("a/../../evenode-was-here")}}, "leads upwards"},
        {"upwards and back", {{tar_directory("a"), tar_file("a/../b")}}, "leads upwards"},
        {"upwards after a dot", {{tar_file("./../evenode-was-here")}}, "leads upwards"},
        {"upwards after slashes", {{tar_file(".///../evenode-was-here")}}, "leads upwards"},
        {"upwards at the end", {{tar_file("a/..")}}, "leads upwards"},
        {"two dots alone", {{tar_directory("..")}}, "leads upwards"},
        {"upwards in an extended header", {{with_pax(tar_file("harmless"), {{"path", "../evenode-was-here"}})}}, "leads upwards"},
        {"a directory above", {{tar_directory("../evenode-was-here")}}, "leads upwards"},
        {"a link above", {{tar_link("../evenode-was-here", "x")}}, "leads upwards"},
        {"a FIFO above", {{TarEntry{.name = "../evenode-was-here", .type = '6'}}}, "leads upwards"},
        {"an absolute file", {{tar_file("/evenode-was-here")}}, "absolute"},
        {"an absolute directory", {{tar_directory("/evenode-was-here")}}, "absolute"},
        {"an absolute file in an extended header", {{with_pax(tar_file("harmless"), {{"path", "/evenode-was-here"}})}}, "absolute"},
        {"a doubly absolute file", {{tar_file("//evenode-was-here")}}, "absolute"},
        {"an absolute link", {{tar_link("/evenode-was-here", "x")}}, "absolute"},
        {"an absolute hard link", {{tar_file("a"), tar_hard_link("/evenode-was-here", "a")}}, "absolute"},
        {"the root as a file", {{tar_file("./")}}, ""},
        {"the root as a link", {{tar_link("./", "/")}}, "root directory"},
        {"the root as a device", {{tar_device(".")}}, "root directory"},
        {"a link out", {{tar_link("out", "../../outside")}}, "leads out"},
        {"a link far out", {{tar_link("out", "../../../../../../etc")}}, "leads out"},
        {"a link out from below", {{tar_link("a/b/out", "../../../outside")}}, "leads out"},
        {"a link out and in", {{tar_link("out", "x/../../rootfs/x")}}, "leads out"},
        {"a link out in an extended header", {{with_pax(tar_link("out", "x"), {{"linkpath", "../../outside"}})}}, "leads out"},
        {"a link to nothing", {{tar_link("l", "")}}, ""},
        {"a file through an absolute link", {{tar_link("etc", "/etc"), tar_file("etc/evenode-was-here")}}, "absolute link"},
        {"a file through an absolute link of a layer below", {{tar_link("etc", "/etc")}, {tar_file("etc/evenode-was-here")}}, "absolute link"},
        {"a file through a link to the root", {{tar_link("r", "/")}, {tar_file("r/evenode-was-here")}}, "absolute link"},
        {"a directory through an absolute link", {{tar_link("tmp", "/tmp")}, {tar_directory("tmp/evenode-was-here")}}, "absolute link"},
        {"a whiteout through an absolute link", {{tar_link("o", "/")}, {tar_file("o/.wh.etc", "")}}, "absolute link"},
        {"an opaque mark through an absolute link", {{tar_link("o", "/etc")}, {tar_file("o/.wh..wh..opq", "")}}, "absolute link"},
        {"out by two links", {{tar_directory("a/b"), tar_link("one", "a/b"), tar_link("a/b/two", "../.."), tar_link("three", "one/two/..")},
                              {tar_file("three/evenode-was-here")}}, "leads out"},
        {"out by a link in a link's place", {{tar_directory("a/b/c"), tar_link("a/b/c/up", "../../..")}, {tar_link("s", "a/b/c/up/a/b/c/up")},
                                             {tar_link("t", "s/x/../..")}, {tar_file("t/evenode-was-here")}}, "out of the image"},
        {"links in a circle", {{tar_link("a", "b"), tar_link("b", "a"), tar_file("a/file")}}, "too many links"},
        {"a link to itself", {{tar_link("a", "a"), tar_file("a/file")}}, "too many links"},
        {"a chain of links", {chain}, "too many links"},
        {"through a file", {{tar_file("a"), tar_file("a/b")}}, "no directory"},
        {"through a file of a layer below", {{tar_file("a")}, {tar_file("a/b")}}, "no directory"},
        {"through a FIFO", {{TarEntry{.name = "a", .type = '6'}, tar_file("a/b")}}, "no directory"},
        {"a hard link above", {{tar_hard_link("victim", "../../../../outside/victim")}}, "leads upwards"},
        {"a hard link to an absolute file", {{tar_hard_link("victim", "/etc/passwd")}}, "absolute"},
        {"a hard link through an absolute link", {{tar_link("e", "/etc"), tar_hard_link("victim", "e/passwd")}}, "absolute link"},
        {"a hard link in an extended header", {{with_pax(tar_hard_link("victim", "x"), {{"linkpath", "/etc/shadow"}})}}, "absolute"},
        {"a hard link to nothing", {{tar_hard_link("a", "missing")}}, "not in the image"},
        {"a hard link into nothing", {{tar_hard_link("a", "missing/file")}}, "not in the image"},
        {"a hard link to itself", {{tar_file("a"), tar_hard_link("a", "a")}}, "names itself"},
        {"a hard link to a directory", {{tar_directory("d"), tar_hard_link("a", "d")}}, "directory"},
        {"a hard link to the root", {{tar_hard_link("a", "./")}}, "directory"},
        {"a hard link in its target's place", {{tar_directory("d"), tar_file("d/f"), tar_hard_link("d", "d/f")}}, "replaces what it names"},
        {"a character device", {{tar_device("null")}}, "device node"},
        {"a block device", {{tar_device("disk", '4')}}, "device node"},
        {"a device below a directory", {{tar_device("etc/disk", '4')}}, "device node"},
        {"a device by way of dev", {{tar_link("dev", "etc"), tar_directory("etc"), tar_device("dev/disk", '4')}}, "device node"},
        {"a device named dev", {{tar_device("dev")}}, "device node"},
        {"a whiteout of everything", {{tar_file("a")}, {tar_file(".wh..", "")}}, "names no file"},
        {"a whiteout of the parent", {{tar_file("a")}, {tar_file("a/.wh...", "")}}, ""},
        {"a whiteout of the parent of the root", {{tar_file(".wh...", "")}}, "names no file"},
        {"a whiteout of nothing", {{tar_file(".wh.", "")}}, "names no file"},
        {"a whiteout above", {{tar_file("../.wh.outside", "")}}, "leads upwards"},
        {"a file in a whiteout", {{tar_file(".wh.dir/file")}}, "in a whiteout"},
        {"too deep", {{tar_file(deep)}}, "too deep"},
        {"a name too long", {{tar_file(std::string(5000, 'n'))}}, "too long"},
        {"a part of a name too long", {{tar_file(std::string(300, 'n'))}}, "too long"},
        {"too many files", {many}, "more than the 5000 files"},
        {"a file that is larger than allowed", {{says_size(with_pax(tar_file("big", ""), {{"size", "2000000000"}}), 0)}}, "larger than"},
        {"a file that is impossibly large", {{with_pax(tar_file("big", ""), {{"size", "9223372036854775807"}})}}, ""},
        {"many sparse files", {{with_pax(tar_file("sparse", "0\n0\n"), {{"GNU.sparse.major", "1"}, {"GNU.sparse.minor", "0"}, {"GNU.sparse.name", "sparse"},
                                                                        {"GNU.sparse.realsize", "4000000000000"}})}}, ""},
        {"a file cut short", {{says_size(tar_file("f", ""), 100'000)}}, ""},
        {"an owner below zero", {{with_pax(tar_file("f"), {{"uid", "-5"}})}}, ""},
        {"an owner beyond 32 bits", {{with_pax(tar_file("f"), {{"uid", "4294967296"}})}}, "owner"},
        {"the owner that means nobody", {{with_pax(tar_file("f"), {{"gid", "4294967295"}})}}, "owner"},
        {"an attribute too long", {{with_pax(tar_file("f"), {{"SCHILY.xattr.user.x", std::string(70'000, 'v')}})}}, "attribute"},
    };
}

TEST_F(ContainerVolume, HostileLayersAreRefusedAndLeaveNothing) {
    std::size_t count = 0;
    for (const auto& hostile : hostile_layers()) {
        SCOPED_TRACE(hostile.what);
        const auto made = create(hostile.layers);
        ++count;
        EXPECT_FALSE(made);
        if (!made) {
            EXPECT_NE(made.error().what.find(hostile.complaint), std::string::npos) << made.error().what;
            EXPECT_NE(made.error().what.find("layer "), std::string::npos) << made.error().what;
            EXPECT_TRUE(made.error().code == Code::invalid_argument || made.error().code == Code::resource_exhausted) << made.error().what;
        }
        EXPECT_EQ(leftovers(), "");
        (void)files_->destroy(volume());
    }
    RecordProperty("hostile_layers", static_cast<int>(count));
    EXPECT_GE(count, 70U);
}

struct HostileImage {
    const char* what;
    std::function<void(TestImage&)> change;
    const char* complaint;
};

TEST_F(ContainerVolume, ImagesThatLieAreRefusedAndLeaveNothing) {
    const auto replace = [](std::string& text, const std::string& from, const std::string& to) {
        const auto at = text.find(from);
        ASSERT_NE(at, std::string::npos) << from << " in " << text;
        text.replace(at, from.size(), to);
    };
    const auto layer = [](TestImage& image, const std::string& bytes, const std::string& media_type) {
        image.layers[0].bytes = bytes;
        image.layers[0].media_type = media_type;
        describe_image(image);
    };
    const std::string tar = make_tar({tar_file("a")}), base(types::oci_media_layer);
    const std::string zeros = make_tar({tar_file("zeros", std::string(280 << 20, '\0'))});
    const std::vector<HostileImage> all = {
        {"gzip that is zstd", [&](auto& i) { layer(i, pack(tar, OciPacking::zstd), base + "+gzip"); }, "announced as packed by gzip"},
        {"zstd that is gzip", [&](auto& i) { layer(i, pack(tar, OciPacking::gzip), base + "+zstd"); }, "announced as packed by zstd"},
        {"gzip that is plain", [&](auto& i) { layer(i, tar, base + "+gzip"); }, "announced as packed by gzip"},
        {"plain that is gzip", [&](auto& i) { layer(i, pack(tar, OciPacking::gzip), base); }, "not a tar archive"},
        {"gzip in gzip", [&](auto& i) { layer(i, pack(pack(tar, OciPacking::gzip), OciPacking::gzip), base + "+gzip"); }, "not a tar archive"},
        {"zstd in gzip", [&](auto& i) { layer(i, pack(pack(tar, OciPacking::zstd), OciPacking::gzip), base + "+gzip"); }, "not a tar archive"},
        {"noise as a layer", [&](auto& i) { layer(i, "this is no archive at all, and long enough to be looked at", base); }, "not a tar archive"},
        {"noise as a packed layer", [&](auto& i) { layer(i, "this is no archive at all", base + "+gzip"); }, "announced as packed"},
        {"an archive cut short", [&](auto& i) { layer(i, pack(tar, OciPacking::gzip).substr(0, 40), base + "+gzip"); }, "cannot be unpacked"},
        {"another kind of archive", [&](auto& i) { layer(i, "PK\x03\x04" + std::string(600, 'z'), base); }, "not a tar archive"},
        {"a bomb", [&](auto& i) { layer(i, pack(zeros, OciPacking::gzip), base + "+gzip"); }, "200 times as much"},
        {"a bomb by zstd", [&](auto& i) { layer(i, pack(zeros, OciPacking::zstd), base + "+zstd"); }, "200 times as much"},
        {"another digest unpacked", [&](auto& i) { i.layers[0].diff_id = std::string(64, '1'); describe_image(i); }, "another digest"},
        {"fewer digests than layers", [&](auto& i) { replace(i.config, "\"sha256:" + i.layers[0].diff_id + "\"", "");
                                                     const auto digest = i.config_sha256();
                                                     TestImage fresh = i;
                                                     describe_image(fresh);
                                                     replace(i.manifest, fresh.config_sha256(), digest);
                                                     replace(i.manifest, "\"size\":" + std::to_string(fresh.config.size()), "\"size\":" + std::to_string(i.config.size())); },
         "its manifest 1"},
        {"another size", [&](auto& i) { replace(i.manifest, "\"size\":" + std::to_string(i.layers[0].bytes.size()) + "}]", "\"size\":7}]"); }, ""},
    };
    for (const auto& hostile : all) {
        SCOPED_TRACE(hostile.what);
        TestImage image = make_image({{tar_file("a")}});
        hostile.change(image);
        const auto made = create(image);
        EXPECT_FALSE(made);
        if (!made) {
            EXPECT_NE(made.error().what.find(hostile.complaint), std::string::npos) << made.error().what;
        }
        EXPECT_EQ(leftovers(), "");
        (void)files_->destroy(volume());
    }
}

}  // namespace
}  // namespace eve
