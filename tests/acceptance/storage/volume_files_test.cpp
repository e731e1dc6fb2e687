// Real files, real qemu-img: the content store and volumes on a real file system.

#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "core/volumemgr/plan.hpp"
#include "storage/child_process.hpp"
#include "storage/content_store.hpp"
#include "storage/files.hpp"
#include "storage/hash.hpp"
#include "storage/volume_files.hpp"

namespace eve {
namespace {

namespace fs = std::filesystem;
using types::Format;

class Context final : public LaneContext {
public:
    Instant deadline() const override { return Instant::max(); }
    bool cancelled() const override { return cancelled_; }
    int cancel_fd() const override { return -1; }
    bool cancelled_ = false;
};

class VolumeFiles : public testing::Test {
protected:
    void SetUp() override {
        directory_ = fs::temp_directory_path() / ("volume_files_test." + std::to_string(getpid()));
        fs::create_directories(directory_);
        store_ = storage::make_content_store(persist() + "/vault/content");
        files_ = storage::make_volume_files(
            {.persist = persist(), .store = persist() + "/vault/content", .confine = std::string(BUILD_ROOT) + "/bin/confine"});
        ASSERT_TRUE(files_->recover());
    }
    void TearDown() override { fs::remove_all(directory_); }

    std::string persist() const { return directory_ / "persist"; }
    std::string clear(const std::string& name) const { return persist() + "/clear/volumes/" + name; }

    static bool qemu_img(std::vector<std::string> arguments) {
        auto child = storage::ChildProcess::start({.program = "/usr/bin/qemu-img", .arguments = std::move(arguments), .descriptors = {{2, 2}}});
        return child && child->wait() == 0;
    }
    std::string write(const std::string& name, const std::string& content) const {
        const std::string path = directory_ / name;
        std::ofstream(path, std::ios::binary) << content;
        return path;
    }
    static std::string read(const std::string& path) {
        std::ifstream file(path, std::ios::binary);
        return {std::istreambuf_iterator<char>(file), {}};
    }
    /// The file as an image in the store; the digest of its blob.
    std::string load(const std::string& path) {
        const std::string content = read(path), sha = storage::sha256_hex(content);
        const auto made = volumemgr::make_disk_image(sha, content.size(), "application/vnd.oci.image.layer.v1.tar");
        const auto done =
            store_->ingest("image-" + sha.substr(0, 8),
                           {{.sha256 = made.manifest_sha256, .media_type = "application/vnd.oci.image.manifest.v1+json", .content = made.manifest},
                            {.sha256 = made.config_sha256, .media_type = "application/vnd.oci.image.config.v1+json", .content = made.config},
                            {.sha256 = sha, .media_type = "application/vnd.oci.image.layer.v1.tar", .path = path}},
                           context_);
        EXPECT_TRUE(done) << done.error().what;
        return sha;
    }
    Result<volumemgr::VolumeFacts> create(volumemgr::VolumeOrder order) {
        return files_->create(order, [this](unsigned percent) { percent_ = percent; }, context_);
    }

    Context context_;
    fs::path directory_;
    unsigned percent_ = 0;
    std::unique_ptr<volumemgr::ContentStore> store_;
    std::unique_ptr<volumemgr::VolumeFiles> files_;
    const std::string id_ = "b0000000-0000-0000-0000-000000000001";
};

TEST_F(VolumeFiles, TheStoreIsAnOciLayoutThatSharesTheVerifiedFile) {
    const std::string path = write("disk", "content of a disk");
    const std::string sha = load(path);
    EXPECT_EQ(read(persist() + "/vault/content/oci-layout"), R"({"imageLayoutVersion":"1.0.0"})");
    struct stat source{}, blob{};
    ASSERT_EQ(stat(path.c_str(), &source), 0);
    ASSERT_EQ(stat(storage::blob_path(persist() + "/vault/content", sha).c_str(), &blob), 0);
    EXPECT_EQ(source.st_ino, blob.st_ino) << "not a copy";
    auto images = store_->images();
    ASSERT_TRUE(images);
    ASSERT_EQ(images->size(), 1u);
    ASSERT_EQ(images->front().blobs.size(), 3u);
    EXPECT_EQ(images->front().blobs.back().sha256, sha);
    EXPECT_EQ(images->front().blobs.back().size, 17u);

    ASSERT_TRUE(store_->remove(images->front().name, {sha}));
    EXPECT_TRUE(store_->images()->empty());
    EXPECT_FALSE(fs::exists(storage::blob_path(persist() + "/vault/content", sha)));
    EXPECT_EQ(*store_->collect({}), 2u) << "manifest and config";
}

TEST_F(VolumeFiles, AnImageWithDamageIsNotListed) {
    const std::string sha = load(write("disk", "content of a disk"));
    fs::resize_file(storage::blob_path(persist() + "/vault/content", sha), 3);
    EXPECT_TRUE(store_->images()->empty());
}

TEST_F(VolumeFiles, BytesThatAreNotTheirDigestDoNotEnterTheStore) {
    auto done = store_->ingest("x", {{.sha256 = storage::sha256_hex("a"), .media_type = "m", .content = "b"}}, context_);
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, Code::failed_precondition);
    EXPECT_TRUE(store_->images()->empty());
    EXPECT_EQ(store_->ingest("x", {{.sha256 = "../../evil", .media_type = "m", .content = "b"}}, context_).error().code, Code::invalid_argument);
    EXPECT_EQ(store_->ingest("x", {{.sha256 = storage::sha256_hex("a"), .media_type = "m"}}, context_).error().code, Code::invalid_argument);
}

TEST_F(VolumeFiles, ARawImageGrowsToItsSizeAndIsNeverShrunk) {
    const std::string sha = load(write("disk", std::string(100'000, 'r')));
    auto grown = create({.path = clear(id_ + "#0.raw"), .format = Format::RAW, .blob_sha256 = sha, .size_bytes = 1 << 20});
    ASSERT_TRUE(grown) << grown.error().what;
    EXPECT_EQ(grown->virtual_bytes, 1u << 20);
    EXPECT_EQ(read(clear(id_ + "#0.raw")).substr(0, 100'000), std::string(100'000, 'r'));
    auto kept = create({.path = clear(id_ + "#1.raw"), .format = Format::RAW, .blob_sha256 = sha, .size_bytes = 50});
    ASSERT_TRUE(kept);
    EXPECT_EQ(kept->virtual_bytes, 100'000u);
    auto iso = create({.path = clear(id_ + "#2.iso"), .format = Format::ISO, .blob_sha256 = sha, .size_bytes = 1 << 20});
    ASSERT_TRUE(iso);
    EXPECT_EQ(iso->virtual_bytes, 100'000u) << "never resized";
    EXPECT_EQ(percent_, 100u);
    auto found = files_->scan();
    ASSERT_TRUE(found);
    EXPECT_EQ(found->size(), 3u);
}

TEST_F(VolumeFiles, AQcow2ImageIsGrownByAToolWithoutRights) {
    const std::string path = directory_ / "disk.qcow2";
    if (!qemu_img({"create", "-q", "-f", "qcow2", path, "8M"})) GTEST_SKIP() << "needs qemu-img";
    const std::string sha = load(path), target = clear(id_ + "#0.qcow2");
    auto grown = create({.path = target, .format = Format::QCOW2, .blob_sha256 = sha, .size_bytes = 64 << 20});
    ASSERT_TRUE(grown) << grown.error().what;
    EXPECT_EQ(grown->virtual_bytes, 64u << 20);
    EXPECT_TRUE(qemu_img({"check", "-q", "-f", "qcow2", target}));
    struct stat facts{};
    ASSERT_EQ(stat(target.c_str(), &facts), 0);
    EXPECT_EQ(facts.st_uid, geteuid()) << "taken back from the tool";
    EXPECT_EQ(storage::sha256_hex(read(storage::blob_path(persist() + "/vault/content", sha))), sha) << "the store's copy is untouched";
}

TEST_F(VolumeFiles, ImagesThatNameOtherFilesAreRefused) {
    const std::string secret = write("secret", std::string(4096, 's')), backing = directory_ / "backing.qcow2", data = directory_ / "data.qcow2";
    if (!qemu_img({"create", "-q", "-f", "qcow2", "-b", secret, "-F", "raw", backing})) GTEST_SKIP() << "needs qemu-img";
    ASSERT_TRUE(qemu_img({"create", "-q", "-f", "qcow2", "-o", "data_file=" + std::string(directory_ / "raw"), data, "1M"}));
    for (const auto& [path, text] : {std::pair{backing, std::string("backing file")}, std::pair{data, std::string("external data file")}}) {
        auto refused = create({.path = clear(id_ + "#0.qcow2"), .format = Format::QCOW2, .blob_sha256 = load(path)});
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().code, Code::invalid_argument);
        EXPECT_NE(refused.error().what.find(text), std::string::npos) << refused.error().what;
        EXPECT_FALSE(fs::exists(clear(id_ + "#0.qcow2")));
        EXPECT_FALSE(fs::exists(clear(id_ + "#0.qcow2.creating")));
    }
}

TEST_F(VolumeFiles, TheDeclaredFormatIsTheFormat) {
    const std::string path = directory_ / "disk.qcow2";
    if (!qemu_img({"create", "-q", "-f", "qcow2", path, "8M"})) GTEST_SKIP() << "needs qemu-img";
    auto as_raw = create({.path = clear(id_ + "#0.raw"), .format = Format::RAW, .blob_sha256 = load(path)});
    ASSERT_FALSE(as_raw);
    EXPECT_NE(as_raw.error().what.find("Disk format mismatch"), std::string::npos);
    auto as_qcow2 = create({.path = clear(id_ + "#0.qcow2"), .format = Format::QCOW2, .blob_sha256 = load(write("raw", "raw"))});
    ASSERT_FALSE(as_qcow2);
    auto as_vmdk = create({.path = clear(id_ + "#0.vmdk"), .format = Format::VMDK, .blob_sha256 = load(path)});
    ASSERT_FALSE(as_vmdk);
    EXPECT_EQ(as_vmdk.error().code, Code::unsupported);
}

TEST_F(VolumeFiles, ABlankVolumeTakesNoSpace) {
    auto blank = create({.path = clear(id_ + "#0.raw"), .format = Format::RAW, .size_bytes = std::uint64_t{1} << 40});
    ASSERT_TRUE(blank) << blank.error().what;
    EXPECT_EQ(blank->virtual_bytes, std::uint64_t{1} << 40);
    EXPECT_LT(blank->disk_bytes, 1u << 20);
    EXPECT_EQ(create({.path = clear(id_ + "#0.raw"), .format = Format::RAW, .size_bytes = 1}).error().code, Code::already_exists);
    ASSERT_TRUE(files_->destroy(clear(id_ + "#0.raw")));
    ASSERT_TRUE(files_->destroy(clear(id_ + "#0.raw"))) << "again is nothing";
    EXPECT_EQ(files_->inspect(clear(id_ + "#0.raw"), Format::RAW).error().code, Code::not_found);
}

TEST_F(VolumeFiles, NothingHalfMadeIsLeftByACancelOrACrash) {
    const std::string sha = load(write("disk", std::string(1 << 20, 'r')));
    context_.cancelled_ = true;
    const std::string path = clear(id_ + "#0.raw");
    EXPECT_EQ(create({.path = path, .format = Format::RAW, .blob_sha256 = sha}).error().code, Code::cancelled);
    EXPECT_FALSE(fs::exists(path + ".creating"));
    std::ofstream(path + ".creating") << "half";
    EXPECT_TRUE(files_->scan()->empty());
    ASSERT_TRUE(files_->recover());
    EXPECT_FALSE(fs::exists(path + ".creating"));
}

TEST_F(VolumeFiles, AFullDiskIsSaidAndLeavesNothing) {
    const std::string sha = load(write("disk", std::string(3 << 20, 'r')));
    if (geteuid() != 0 || mount("tmpfs", (persist() + "/clear").c_str(), "tmpfs", 0, "size=1m") != 0)
        GTEST_SKIP() << "needs root to mount a small file system";
    auto full = create({.path = clear(id_ + "#0.raw"), .format = Format::RAW, .blob_sha256 = sha});
    const bool left = fs::exists(clear(id_ + "#0.raw.creating"));
    mount("tmpfs", (persist() + "/clear").c_str(), "tmpfs", MS_REMOUNT, "size=16m");
    auto healed = create({.path = clear(id_ + "#0.raw"), .format = Format::RAW, .blob_sha256 = sha});
    umount((persist() + "/clear").c_str());
    ASSERT_FALSE(full);
    EXPECT_EQ(full.error().code, Code::resource_exhausted) << full.error().what;
    EXPECT_FALSE(left);
    EXPECT_TRUE(healed) << healed.error().what;
}

}  // namespace
}  // namespace eve
