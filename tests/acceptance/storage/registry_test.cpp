// A real registry (Debian's docker-registry) over TLS with a CA of the test's own, in a network namespace: from a tag to an unpacked root file
// system, by the real fetch and unpack processes. Without authentication, with basic authentication, and with tokens that are asked for.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "core/downloader/plan.hpp"
#include "core/loop/asio_loop.hpp"
#include "core/volumemgr/plan.hpp"
#include "storage/child_process.hpp"
#include "storage/container_volume.hpp"
#include "storage/content_store.hpp"
#include "storage/fetch_transport.hpp"
#include "tests/acceptance/storage/token_server.hpp"
#include "tests/doubles/image_builder.hpp"

namespace eve {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

class Context final : public LaneContext {
public:
    Instant deadline() const override { return Instant::max(); }
    bool cancelled() const override { return false; }
    int cancel_fd() const override { return -1; }
};

int run(const std::string& program, std::vector<std::string> arguments) {
    auto child = storage::ChildProcess::start({.program = program, .arguments = std::move(arguments), .descriptors = {{2, 2}}});
    return child ? child->wait() : -1;
}

class Registry : public testing::Test {
protected:
    static constexpr const char* program = "/usr/bin/docker-registry";

    static void SetUpTestSuite() {
        if (geteuid() != 0 || access(program, X_OK) != 0 || unshare(CLONE_NEWNET) != 0) return;
        own_network_ = run("/usr/sbin/ip", {"link", "set", "lo", "up"}) == 0 || run("/sbin/ip", {"link", "set", "lo", "up"}) == 0;
    }
    void SetUp() override {
        if (geteuid() != 0) GTEST_SKIP() << "owners of files need root";
        if (access(program, X_OK) != 0) GTEST_SKIP() << "docker-registry is not installed: scripts/packages test";
        if (!own_network_) GTEST_SKIP() << "no network namespace can be made here";
        directory_ = fs::temp_directory_path() / ("registry_test." + std::to_string(getpid()));
        fs::create_directories(directory_);
        ASSERT_EQ(run("/usr/bin/openssl",
                      {"req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=test registry",
                       "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", directory_ / "key.pem", "-out", directory_ / "cert.pem"}),
                  0);
        store_ = storage::make_content_store(directory_ / "store");
        files_ = storage::make_volume_files({.persist = directory_ / "persist",
                                             .store = directory_ / "store",
                                             .confine = std::string(BUILD_ROOT) + "/bin/confine",
                                             .unpack = std::string(BUILD_ROOT) + "/bin/unpack"});
        ASSERT_TRUE(files_->recover());
        transport_ = storage::make_fetch_transport({.program = std::string(BUILD_ROOT) + "/bin/fetch", .tries_max = 2, .first_delay = 20ms}, clock_);
        datastore_.UUID = types::Uuid::parse_or_nil("d0000000-0000-0000-0000-000000000001");
        datastore_.DsType = "DsContainerRegistry";
        datastore_.Fqdn = "docker://127.0.0.1:5000";
        const std::string pem = read(directory_ / "cert.pem");
        datastore_.DsCertPEM.emplace_back(pem.begin(), pem.end());
    }
    void TearDown() override {
        server_.reset();
        if (!directory_.empty()) (void)storage::remove_tree(directory_);
    }

    static std::string read(const fs::path& path) {
        std::ifstream file(path, std::ios::binary);
        return {std::istreambuf_iterator<char>(file), {}};
    }
    static void write(const fs::path& path, const std::string& content) {
        fs::create_directories(path.parent_path());
        std::ofstream(path, std::ios::binary) << content;
    }

    /// Puts content where docker-registry's file system driver has it: as a push would, without needing a client.
    void place_blob(const std::string& repository, const std::string& content) const {
        const std::string sha = sha256_of(content), base = directory_ / "data/docker/registry/v2";
        write(base + "/blobs/sha256/" + sha.substr(0, 2) + "/" + sha + "/data", content);
        write(base + "/repositories/" + repository + "/_layers/sha256/" + sha + "/link", "sha256:" + sha);
    }
    void place_manifest(const std::string& repository, const std::string& content, const std::string& tag = "") const {
        const std::string sha = sha256_of(content), base = directory_ / "data/docker/registry/v2", to = base + "/repositories/" + repository + "/_manifests";
        write(base + "/blobs/sha256/" + sha.substr(0, 2) + "/" + sha + "/data", content);
        write(to + "/revisions/sha256/" + sha + "/link", "sha256:" + sha);
        if (tag.empty()) return;
        write(to + "/tags/" + tag + "/current/link", "sha256:" + sha);
        write(to + "/tags/" + tag + "/index/sha256/" + sha + "/link", "sha256:" + sha);
    }
    void place(const std::string& repository, const TestImage& image, const std::string& tag) const {
        for (const auto& layer : image.layers) place_blob(repository, layer.bytes);
        place_blob(repository, image.config);
        place_manifest(repository, image.manifest, tag);
    }

    void serve(const std::string& authentication = "") {
        write(directory_ / "config.yml", "version: 0.1\nlog: {level: error}\nstorage:\n  filesystem: {rootdirectory: " + (directory_ / "data").string() +
                                             "}\nhttp:\n  addr: 127.0.0.1:5000\n  tls:\n    certificate: " + (directory_ / "cert.pem").string() +
                                             "\n    key: " + (directory_ / "key.pem").string() + "\n" + authentication);
        auto started = storage::ChildProcess::start({.program = program, .arguments = {"serve", directory_ / "config.yml"}, .descriptors = {{2, 2}}});
        ASSERT_TRUE(started);
        server_ = std::make_unique<storage::ChildProcess>(std::move(*started));
    }

    downloader::FetchRequest request_of(const std::string& name, std::uint64_t size) const {
        auto source = downloader::source_of(datastore_, name, false, {});
        EXPECT_TRUE(source) << source.error().what;
        return {.url = source->url,
                .fallback_url = source->fallback_url,
                .registry_scope = source->registry_scope,
                .user = source->user,
                .password = source->password,
                .ca_certificates = source->certificates,
                .target = (directory_ / "pending" / sha256_of(name)).string(),
                .size_max = size,
                .stall_limit = 5s};
    }
    /// Asks until the registry listens.
    Result<std::string> resolve(const std::string& name) {
        for (int tries = 0;; ++tries) {
            auto digest = transport_->resolve(request_of(name, 0), context_);
            if (digest || digest.error().code != Code::unavailable || tries == 100) return digest;
            std::this_thread::sleep_for(50ms);
        }
    }
    /// What volumemgr does with a resolved image, in order; the volume's directory.
    Result<std::string> pull(const std::string& name, const std::string& sha256) {
        std::vector<volumemgr::IncomingBlob> blobs;
        std::vector<volumemgr::ImagePart> todo{{.sha256 = sha256, .media_type = "", .size = types::oci_manifest_bytes_max}};
        std::string manifest;
        for (std::size_t at = 0; at < todo.size(); ++at) {
            const auto part = todo[at];
            const auto what = request_of(volumemgr::beside(name, part.sha256), part.size);
            auto got = transport_->fetch(what, [](downloader::FetchProgress) {}, context_);
            if (!got) return std::move(got).error();
            if (got->sha256 != part.sha256) return Error{.code = Code::internal, .what = "another digest"};
            std::string type = part.media_type;
            if (type.empty() || types::oci_kind(type) == types::OciKind::manifest) {
                auto document = volumemgr::read_image_document(read(what.target), type.empty() ? got->content_type : type,
                                                               at == 0 ? volumemgr::Nesting::root : volumemgr::Nesting::in_index);
                if (!document) return std::move(document).error();
                type = document->media_type;
                if (types::oci_kind(type) == types::OciKind::manifest) manifest = part.sha256;
                todo.insert(todo.end(), document->parts.begin(), document->parts.end());
            }
            blobs.push_back({.sha256 = part.sha256, .media_type = type, .path = what.target, .content = {}});
        }
        fetched_ = blobs.size();
        if (auto loaded = store_->ingest(name, blobs, context_); !loaded) return std::move(loaded).error();
        const std::string path = directory_ / "persist/clear/volumes/22222222-2222-2222-2222-222222222222#0.container";
        (void)files_->destroy(path);
        auto made = files_->create({.path = path, .format = types::Format::CONTAINER, .blob_sha256 = manifest}, [](unsigned) {}, context_);
        if (!made) return std::move(made).error();
        return path;
    }

    static inline bool own_network_ = false;
    fs::path directory_;
    SystemClock clock_;
    Context context_;
    types::DatastoreConfig datastore_;
    std::unique_ptr<storage::ChildProcess> server_;
    std::unique_ptr<volumemgr::ContentStore> store_;
    std::unique_ptr<volumemgr::VolumeFiles> files_;
    std::unique_ptr<downloader::Transport> transport_;
    std::size_t fetched_ = 0;
};

std::vector<std::vector<TarEntry>> many_layers() {
    std::vector<std::vector<TarEntry>> layers;
    std::string noise(5 << 20, '\0');
    std::uint64_t x = 88172645463325252U;
    for (auto& c : noise) x ^= x << 13, x ^= x >> 7, x ^= x << 17, c = static_cast<char>(x);
    layers.push_back({tar_directory("bin", 0755), tar_file("bin/sh", "elf", 0755), tar_file("gone"), tar_file("noise", noise)});
    for (int i = 1; i < 11; ++i) layers.push_back({tar_file("layer" + std::to_string(i), "content " + std::to_string(i)), tar_file("last", std::to_string(i))});
    layers.push_back({tar_file(".wh.gone", ""), tar_file(".wh.layer5", "")});
    return layers;
}

TEST_F(Registry, AnImageOfManyLayersBecomesARootFileSystem) {
    const auto image = make_image(many_layers());
    place("shop/web", image, "1.0");
    serve();
    const auto digest = resolve("shop/web:1.0");
    ASSERT_TRUE(digest) << digest.error().what;
    EXPECT_EQ(*digest, image.manifest_sha256());
    const auto path = pull("shop/web", *digest);
    ASSERT_TRUE(path) << path.error().what;
    EXPECT_EQ(fetched_, 14U);
    EXPECT_EQ(read(*path + "/image-config.json"), image.config);
    EXPECT_EQ(read(*path + "/rootfs/last"), "10");
    EXPECT_EQ(read(*path + "/rootfs/bin/sh"), "elf");
    EXPECT_FALSE(fs::exists(*path + "/rootfs/gone"));
    EXPECT_FALSE(fs::exists(*path + "/rootfs/layer5"));
    EXPECT_EQ(fs::file_size(*path + "/rootfs/noise"), 5U << 20);
}

TEST_F(Registry, OfAnIndexThisMachinesImageIsTaken) {
    const auto ours = make_image({{tar_file("who", "ours")}}, types::OciPacking::zstd), other = make_image({{tar_file("who", "theirs")}});
    place("shop/web", ours, "");
    place("shop/web", other, "");
    place_manifest("shop/web", make_index({{"s390x", other.manifest}, {types::oci_here().architecture, ours.manifest}}), "multi");
    serve();
    const auto digest = resolve("shop/web:multi");
    ASSERT_TRUE(digest) << digest.error().what;
    const auto path = pull("shop/web", *digest);
    ASSERT_TRUE(path) << path.error().what;
    EXPECT_EQ(read(*path + "/rootfs/who"), "ours");
}

TEST_F(Registry, BasicAuthenticationIsMetAndRefusalIsSaid) {
    if (access("/usr/bin/htpasswd", X_OK) != 0) GTEST_SKIP() << "htpasswd (apache2-utils) is not installed: scripts/packages test";
    place("shop/web", make_image({{tar_file("a")}}), "latest");
    ASSERT_EQ(run("/usr/bin/htpasswd", {"-B", "-b", "-c", directory_ / "htpasswd", "app", "open sesame"}), 0);
    serve("auth:\n  htpasswd: {realm: test, path: " + (directory_ / "htpasswd").string() + "}\n");
    auto digest = resolve("shop/web");
    ASSERT_FALSE(digest);
    EXPECT_EQ(digest.error().code, Code::permission_denied);
    EXPECT_NE(digest.error().what.find("datastore has none"), std::string::npos) << digest.error().what;
    datastore_.ApiKey = "app";
    datastore_.Password = "wrong";
    digest = resolve("shop/web");
    ASSERT_FALSE(digest);
    EXPECT_EQ(digest.error().code, Code::permission_denied) << digest.error().what;
    EXPECT_EQ(digest.error().what.find("wrong"), std::string::npos);
    datastore_.Password = "open sesame";
    digest = resolve("shop/web");
    ASSERT_TRUE(digest) << digest.error().what;
    const auto path = pull("shop/web", *digest);
    EXPECT_TRUE(path) << path.error().what;
}

TEST_F(Registry, TokensAreHadFromTheServerThatTheRegistryNames) {
    place("shop/web", make_image({{tar_file("a", "token")}}), "latest");
    test::TokenServer tokens({.certificate = directory_ / "cert.pem", .key = directory_ / "key.pem", .service = "test registry", .issuer = "test issuer",
                              .authorization = "Basic YXBwOm9wZW4gc2VzYW1l", .now = clock_.wall_now().seconds});
    serve("auth:\n  token: {realm: \"" + tokens.realm() + "\", service: test registry, issuer: test issuer, rootcertbundle: " +
          (directory_ / "cert.pem").string() + "}\n");
    auto digest = resolve("shop/web");
    ASSERT_FALSE(digest);
    EXPECT_EQ(digest.error().code, Code::permission_denied);
    EXPECT_NE(digest.error().what.find("token server wants a user"), std::string::npos) << digest.error().what;
    datastore_.ApiKey = "app";
    datastore_.Password = "wrong";
    digest = resolve("shop/web");
    ASSERT_FALSE(digest);
    EXPECT_EQ(digest.error().code, Code::permission_denied) << digest.error().what;
    EXPECT_EQ(digest.error().what.find("wrong"), std::string::npos);
    datastore_.Password = "open sesame";
    digest = resolve("shop/web");
    ASSERT_TRUE(digest) << digest.error().what;
    ASSERT_FALSE(tokens.asked().empty());
    EXPECT_EQ(tokens.asked().back(), "/token?service=test registry&scope=repository:shop/web:pull");
    const auto asked = tokens.asked().size();
    const auto path = pull("shop/web", *digest);
    ASSERT_TRUE(path) << path.error().what;
    EXPECT_EQ(read(*path + "/rootfs/a"), "token");
    EXPECT_EQ(tokens.asked().size(), asked) << "manifest, config and layers use the token that the tag was asked with";
    datastore_.Password = "changed";
    EXPECT_EQ(resolve("shop/web").error().code, Code::permission_denied) << "and nobody else does";
}

TEST_F(Registry, ALayerOfARegistryThatWasKilledGoesOnWhereItWas) {
    const auto image = make_image(many_layers());
    place("shop/web", image, "1.0");
    // What a registry that dies has written already still comes: little of it may wait in sockets.
    for (const char* setting : {"/proc/sys/net/ipv4/tcp_wmem", "/proc/sys/net/ipv4/tcp_rmem"}) std::ofstream(setting) << "4096 65536 65536";
    serve();
    ASSERT_TRUE(resolve("shop/web:1.0"));
    // The first layer is 5 MiB of noise. The registry dies when some of it is here, and comes back.
    const std::string sha = sha256_of(image.layers[0].bytes);
    const auto what = request_of(volumemgr::beside("shop/web", sha), image.layers[0].bytes.size());
    std::uint64_t first = 0;
    if (run("/usr/sbin/tc", {"qdisc", "add", "dev", "lo", "root", "tbf", "rate", "40mbit", "burst", "128k", "latency", "400ms"}) != 0)
        GTEST_SKIP() << "this kernel cannot slow a link down (tc, sch_tbf): the layer would be here before the registry could be killed";
    auto got = transport_->fetch(
        what,
        [&](downloader::FetchProgress now) {
            if (!server_ || now.current < 1U << 20) return;
            first = now.current;
            server_.reset();  // kills it
        },
        context_);
    EXPECT_EQ(run("/usr/sbin/tc", {"qdisc", "del", "dev", "lo", "root"}), 0);
    ASSERT_FALSE(got);
    ASSERT_GT(first, 0U);
    EXPECT_EQ(got.error().code, Code::unavailable) << got.error().what;
    const auto there = fs::file_size(what.target);
    EXPECT_GE(there, first);
    EXPECT_LT(there, image.layers[0].bytes.size());
    serve();
    ASSERT_TRUE(resolve("shop/web:1.0"));
    std::uint64_t begins = 0;
    got = transport_->fetch(what, [&](downloader::FetchProgress now) { begins = begins == 0 ? now.current : begins; }, context_);
    ASSERT_TRUE(got) << got.error().what;
    EXPECT_EQ(got->sha256, sha);
    EXPECT_GE(begins, first) << "what was here was not fetched again";
}

TEST_F(Registry, ACertificateThatNobodySignedIsRefused) {
    place("shop/web", make_image({{tar_file("a")}}), "latest");
    serve();
    ASSERT_TRUE(resolve("shop/web"));
    datastore_.DsCertPEM.clear();
    const auto digest = transport_->resolve(request_of("shop/web", 0), context_);
    ASSERT_FALSE(digest);
    EXPECT_EQ(digest.error().code, Code::unavailable);
}

TEST_F(Registry, WhatIsNotThereIsSaidToBeMissing) {
    place("shop/web", make_image({{tar_file("a")}}), "latest");
    serve();
    ASSERT_TRUE(resolve("shop/web"));
    for (const char* name : {"shop/web:other", "shop/nothing"}) {
        const auto digest = resolve(name);
        ASSERT_FALSE(digest);
        EXPECT_EQ(digest.error().code, Code::not_found) << digest.error().what;
    }
}

}  // namespace
}  // namespace eve
