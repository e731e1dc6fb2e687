// What a node says of files that are no plugins for it: each refusal a sentence with a remedy, and none of them trusted first.

#include "core/plugin/loader.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <sys/stat.h>

#include <fstream>

#include "core/plugin/elf.hpp"
#include "core/plugin/frame.hpp"
#include "tests/conformance/plugin_fixture.hpp"

namespace eve::plugin {
namespace {

using ::testing::HasSubstr;

class LoaderTest : public ::testing::Test {
protected:
    LoaderTest() : dir_(std::make_unique<ScratchDir>()) {
        auto opened = NodeHost::open({.plugin = "t",
                                      .state_dir = dir_->path("state"),
                                      .run_dir = dir_->path("run"),
                                      .keeper = {.executable = built("bin/keeper"), .cgroup_parent = {}}},
                                     {.log = log_, .on_event = {}});
        host_ = std::move(*opened);
    }
    Result<Inspection> look(const std::string& file) {
        refusal_ = {};
        const Loader loader({.plugin_host = built("bin/plugin-host"),
                             .cache_dir = dir_->path("seen"),
                             .own_user_allowed = true,
                             .load_limit = std::chrono::milliseconds{700},
                             .overtime = std::chrono::milliseconds{200}});
        return loader.look_into(file, *host_, refusal_);
    }
    Result<Inspection> look_at_bad(const std::string& name) { return look(copied(std::string(BAD_PLUGINS) + "/" + name + ".so")); }
    /// In a directory whose owner and mode are right, whatever those of the build tree.
    std::string copied(const std::string& file) {
        const auto to = dir_->path(std::filesystem::path(file).filename().string());
        std::filesystem::copy_file(file, to, std::filesystem::copy_options::overwrite_existing);
        ::chmod(to.c_str(), 0755);
        return to;
    }
    void refuses(const std::string& name, const std::string& sentence) {
        const auto seen = look_at_bad(name);
        ASSERT_FALSE(seen) << name;
        EXPECT_THAT(seen.error().what, HasSubstr(sentence)) << name;
        EXPECT_NE(seen.error().hint, "") << name << " has no remedy: " << seen.error().what;
    }

    std::unique_ptr<ScratchDir> dir_;
    QuietLog log_;
    std::unique_ptr<NodeHost> host_;
    Refusal refusal_;
};

TEST_F(LoaderTest, AGoodPluginSaysWhatItIs) {
    const auto seen = look(copied(built("plugins/mock.so")));
    ASSERT_TRUE(seen) << seen.error().what;
    EXPECT_EQ(seen->identity.id, "org.lfedge.eve.mock");
    EXPECT_EQ(seen->probe.verdict, ProbeVerdict::supported);
    EXPECT_EQ(seen->description.modes.size(), 5U);
    EXPECT_EQ(look(copied(built("plugins/mock.so")))->identity, seen->identity) << "from the cache";
}

TEST_F(LoaderTest, EveryFaultOfAFileHasItsSentenceAndItsRemedy) {
    refuses("wrong_magic", "magic number");
    refuses("wrong_major", "plugin needs ABI 2.x, host offers 1.0");
    refuses("another_majors_symbol", "plugin needs ABI 2.x, host offers 1.0");
    refuses("needs_newer_host", "plugin needs ABI 1.7 or later, host offers 1.0");
    refuses("too_short", "its entry has 16 bytes");
    refuses("no_id", "lacks an id");
    refuses("no_entry", "no symbol eve_plugin_entry_v1");
    refuses("exports_more", "exports 1 symbols beside eve_plugin_entry_v1 (one is helper_function)");
    refuses("has_unique_symbol", "GNU_UNIQUE symbol shared_by_all");
    refuses("misses_a_symbol", "from_nowhere");
    refuses("refuses_to_open", "no board here");
}

TEST_F(LoaderTest, AFileThatCrashesOrHangsIsQuarantinedAndNotTriedAgain) {
    for (const auto& [name, sentence] : {std::pair("crashes_when_loaded", "crashes when it is loaded"), {"exits_when_loaded", "exited with 0"},
                                         {"hangs_when_loaded", "hangs when it is loaded"}, {"crashes_in_describe", "SIGBUS"}}) {
        refuses(name, sentence);
        EXPECT_TRUE(refusal_.quarantined) << name;
        const auto before = monotonic_ns();
        EXPECT_FALSE(look_at_bad(name));
        EXPECT_TRUE(refusal_.quarantined) << name;
        EXPECT_LT(monotonic_ns() - before, 300'000'000) << name << " was started again";
    }
}

TEST_F(LoaderTest, AQuarantineEnds) {
    EXPECT_FALSE(look_at_bad("exits_when_loaded"));
    std::string remembered;
    for (const auto& entry : std::filesystem::directory_iterator(dir_->path("seen"))) remembered = entry.path().string();
    const timespec long_ago[2] = {{.tv_sec = 1, .tv_nsec = 0}, {.tv_sec = 1, .tv_nsec = 0}};
    ASSERT_EQ(::utimensat(AT_FDCWD, remembered.c_str(), long_ago, 0), 0);
    EXPECT_FALSE(look_at_bad("exits_when_loaded"));
    struct stat info {};
    ASSERT_EQ(::stat(remembered.c_str(), &info), 0);
    EXPECT_GT(info.st_mtim.tv_sec, 1) << "it was looked into again";
}

TEST_F(LoaderTest, FilesThatAreNoSharedObjectsAreRefused) {
    const auto file = dir_->path("x.so");
    std::ofstream(file) << "hello";
    EXPECT_THAT(look(file).error().what, HasSubstr("not an ELF file"));
    std::ofstream(file, std::ios::trunc);
    EXPECT_THAT(look(file).error().what, HasSubstr("not an ELF file"));
    EXPECT_THAT(look(copied(built("bin/keeper"))).error().what, HasSubstr("eve_plugin_entry_v1"));
    EXPECT_EQ(look(dir_->path("none.so")).error().code, Code::not_found);
}

TEST_F(LoaderTest, DamagedFilesAreRefusedWithoutHarm) {
    std::ifstream in(std::string(BAD_PLUGINS) + "/wrong_magic.so", std::ios::binary);
    const std::string whole((std::istreambuf_iterator<char>(in)), {});
    const auto file = dir_->path("damaged.so");
    const auto check = [&](const std::string& bytes) {
        std::ofstream(file, std::ios::binary | std::ios::trunc) << bytes;
        const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
        (void)check_exports(fd.get());  // no crash; what it says depends on what was hit
    };
    for (std::size_t size = 0; size < whole.size(); size += 61) check(whole.substr(0, size));
    for (std::size_t at = 0; at < whole.size(); at += 37) {
        auto bytes = whole;
        bytes[at] = static_cast<char>(~bytes[at]);
        check(bytes);
    }
}

TEST_F(LoaderTest, ASignatureIsCheckedWhereTheOperatorDemandsOne) {
    const auto file = dir_->path("x.so");
    std::ofstream(file) << "a plugin";
    const auto key_file = dir_->path("key.pem");
    const std::unique_ptr<EVP_PKEY, decltype(&::EVP_PKEY_free)> key(::EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"), &::EVP_PKEY_free);
    const std::unique_ptr<BIO, decltype(&::BIO_free)> pem(::BIO_new_file(key_file.c_str(), "w"), &::BIO_free);
    ASSERT_EQ(::PEM_write_bio_PUBKEY(pem.get(), key.get()), 1);
    ASSERT_EQ(BIO_flush(pem.get()), 1);
    EXPECT_THAT(check_signature(file, {key_file}).error().what, HasSubstr("x.so.sig is missing"));

    const std::unique_ptr<EVP_MD_CTX, decltype(&::EVP_MD_CTX_free)> context(::EVP_MD_CTX_new(), &::EVP_MD_CTX_free);
    std::string signature(64, 0);
    std::size_t size = signature.size();
    ASSERT_EQ(::EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key.get()), 1);
    ASSERT_EQ(::EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size,
                               reinterpret_cast<const unsigned char*>("a plugin"), 8),
              1);
    std::ofstream(file + ".sig", std::ios::binary) << signature;
    EXPECT_TRUE(check_signature(file, {key_file}));
    EXPECT_TRUE(check_signature(file, {dir_->path("missing.pem"), key_file}));
    EXPECT_FALSE(check_signature(file, {dir_->path("missing.pem")}));
    std::ofstream(file, std::ios::app) << "!";
    EXPECT_THAT(check_signature(file, {key_file}).error().what, HasSubstr("by none of the 1 keys"));
}

TEST_F(LoaderTest, OwnerAndModeAreChecked) {
    const auto file = copied(built("plugins/mock.so"));
    ::chmod(file.c_str(), 0775);
    EXPECT_EQ(look(file).error().code, Code::permission_denied);
    EXPECT_THAT(look(file).error().hint, HasSubstr("chmod go-w"));
    ::chmod(file.c_str(), 0755);
    EXPECT_TRUE(check_owner(file, true));
    if (::geteuid() != 0) GTEST_SKIP() << "giving a file away needs root";
    ASSERT_EQ(::chown(file.c_str(), 12345, 0), 0);
    EXPECT_THAT(look(file).error().what, HasSubstr("belongs to user 12345"));
}

}  // namespace
}  // namespace eve::plugin
