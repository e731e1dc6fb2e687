// What strangers write and this node reads of container images: manifests, indexes, configs, names, challenges, tokens, layers. Good ones are
// understood, hostile ones refused, and random damage to either never does more than that.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <filesystem>

#include "core/downloader/registry.hpp"
#include "core/loop/unique_fd.hpp"
#include "core/types/oci.hpp"
#include "storage/container_volume.hpp"
#include "storage/fetch/auth_challenge.hpp"
#include "storage/unpack/layer.hpp"
#include "tests/doubles/image_builder.hpp"
#include "tests/doubles/prng.hpp"

namespace eve {
namespace {

namespace fs = std::filesystem;
using downloader::ImageReference;
using downloader::parse_image_reference;
using storage::fetch::AuthChallenge;
using storage::fetch::AuthScheme;
using storage::fetch::parse_challenges;
using storage::fetch::token_url;
using types::OciPacking;

const types::OciTarget here = types::oci_here();

std::string replaced(std::string text, const std::string& from, const std::string& to) {
    const auto at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    if (at != std::string::npos) text.replace(at, from.size(), to);
    return text;
}

/// Damage of the kinds that fuzzers do: bits, bytes, pieces cut out and doubled.
std::string damaged(std::string text, Prng& prng) {
    for (std::uint64_t i = prng.between(1, 4); i > 0 && !text.empty(); --i) {
        const auto at = static_cast<std::size_t>(prng.below(text.size()));
        const auto size = std::min<std::size_t>(text.size() - at, static_cast<std::size_t>(prng.between(1, 20)));
        switch (prng.below(5)) {
            case 0: text[at] = static_cast<char>(prng.below(256)); break;
            case 1: text[at] = static_cast<char>(text[at] ^ (1 << prng.below(8))); break;
            case 2: text.erase(at, size); break;
            case 3: text.insert(at, text.substr(at, size)); break;
            default: text.resize(at); break;
        }
    }
    return text;
}

// ---- manifests ----

TEST(OciManifest, OfBothFamiliesAreRead) {
    const auto image = make_image({{tar_file("a")}, {tar_file("b")}});
    const auto manifest = types::parse_oci_manifest(image.manifest, types::oci_media_manifest);
    ASSERT_TRUE(manifest) << manifest.error().what;
    EXPECT_EQ(manifest->layers.size(), 2U);
    EXPECT_TRUE(types::parse_oci_manifest(image.manifest, ""));
    EXPECT_TRUE(types::parse_oci_manifest(image.manifest, "application/json; charset=utf-8"));
    std::string docker = replaced(image.manifest, std::string(types::oci_media_manifest), std::string(types::docker_media_manifest));
    docker = replaced(docker, std::string(types::oci_media_config), std::string(types::docker_media_config));
    for (int i = 0; i < 2; ++i) docker = replaced(docker, "application/vnd.oci.image.layer.v1.tar+gzip", "application/vnd.docker.image.rootfs.diff.tar.gzip");
    EXPECT_TRUE(types::parse_oci_manifest(docker, types::docker_media_manifest)) << types::parse_oci_manifest(docker, "").error().what;
    EXPECT_TRUE(types::parse_oci_config(image.config, 2, here));
}

TEST(OciManifest, HostileOnesAreRefused) {
    const auto image = make_image({{tar_file("a")}, {tar_file("b")}});
    const std::string good = image.manifest, layer_type = "application/vnd.oci.image.layer.v1.tar+gzip";
    const std::string first = sha256_of(image.layers[0].bytes), second = sha256_of(image.layers[1].bytes);
    const std::string size = "\"size\":" + std::to_string(image.layers[1].bytes.size()) + "}]";
    struct Case {
        const char* what;
        std::string json;
        std::string announced;
        const char* complaint;
    };
    std::string many = good;
    const auto list = good.find("\"layers\":[") + 10;
    const std::string one = good.substr(list, good.find('}', list) - list + 1) + ",";
    for (int i = 0; i < 200; ++i) many.insert(list, one);
    const std::vector<Case> all = {
        {"nothing", "", "", "cannot be read"},
        {"not JSON", "<html>not found</html>", "", "cannot be read"},
        {"a list", "[]", "", "cannot be read"},
        {"an empty object", "{}", "", "schema version 0"},
        {"cut short", good.substr(0, good.size() / 2), "", "cannot be read"},
        {"nested for ever", std::string(100'000, '['), "", "cannot be read"},
        {"objects for ever", [] { std::string t; for (int i = 0; i < 50'000; ++i) t += "{\"config\":"; return t; }(), "", "cannot be read"},
        {"too long", good + std::string(types::oci_manifest_bytes_max, ' '), "", "longer than"},
        {"schema version 1", replaced(good, "\"schemaVersion\":2", "\"schemaVersion\":1"), "", "schema version 1"},
        {"Docker's schema 1", R"({"schemaVersion":1,"name":"x","fsLayers":[{"blobSum":"sha256:aa"}]})", "", "schema 1"},
        {"Docker's signed schema 1", R"({"schemaVersion":1})", "application/vnd.docker.distribution.manifest.v1+prettyjws", "schema 1"},
        {"a manifest announced as an index", good, std::string(types::oci_media_index), "announced as"},
        {"a manifest announced as a layer", good, layer_type, "announced as"},
        {"an untyped manifest announced as an index", replaced(good, "\"mediaType\":\"" + std::string(types::oci_media_manifest) + "\",", ""),
         std::string(types::oci_media_index), "and is a manifest"},
        {"a manifest that calls itself an index", replaced(good, std::string(types::oci_media_manifest), std::string(types::oci_media_index)), "",
         "and is a manifest"},
        {"a manifest and an index", replaced(good, "\"layers\":", "\"manifests\":[{\"digest\":\"sha256:" + first + "\"}],\"layers\":"), "", "both"},
        {"no config", R"({"schemaVersion":2,"layers":[{"mediaType":")" + layer_type + R"(","digest":"sha256:)" + first + R"(","size":5}]})", "", "no config"},
        {"no layer", replaced(good, good.substr(good.find(",\"layers\":")), ",\"layers\":[]}"), "", "no layer"},
        {"too many layers", many, "", "202 layers"},
        {"a config that is a layer", replaced(good, std::string(types::oci_media_config), layer_type), "", "the config has the media type"},
        {"a config of no type", replaced(good, std::string(types::oci_media_config), ""), "", "the config has the media type"},
        {"a config that is anything", replaced(good, std::string(types::oci_media_config), "text/html"), "", "the config has the media type"},
        {"a layer that is a manifest", replaced(good, layer_type, std::string(types::oci_media_manifest)), "", "layer 1 has the media type"},
        {"a layer that is a config", replaced(good, layer_type, std::string(types::oci_media_config)), "", "layer 1 has the media type"},
        {"a layer that is encrypted", replaced(good, layer_type, layer_type + "+encrypted"), "", "layer 1 has the media type"},
        {"a layer packed in another way", replaced(good, layer_type, "application/vnd.oci.image.layer.v1.tar+bzip2"), "", "layer 1 has the media type"},
        {"a digest of another kind", replaced(good, "sha256:" + first, "sha512:" + first + first), "", "not sha256"},
        {"a digest too short", replaced(good, "sha256:" + first, "sha256:abc"), "", "not sha256"},
        {"a digest in capitals", replaced(good, "sha256:" + first, "sha256:" + std::string(64, 'A')), "", "not sha256"},
        {"a digest that is a path", replaced(good, "sha256:" + first, "sha256:../../../../etc/passwd"), "", "not sha256"},
        {"a digest with a path behind", replaced(good, "sha256:" + first, "sha256:" + first + "/../x"), "", "not sha256"},
        {"a digest that is empty", replaced(good, "sha256:" + first, ""), "", "not sha256"},
        {"a size of nothing", replaced(good, size, "\"size\":0}]"), "", "says to have 0 bytes"},
        {"a size below nothing", replaced(good, size, "\"size\":-1}]"), "", "cannot be read"},
        {"a size beyond all", replaced(good, size, "\"size\":9223372036854775807}]"), "", "says to have 9223372036854775807"},
        {"a size beyond 64 bits", replaced(good, size, "\"size\":99999999999999999999999}]"), "", "cannot be read"},
        {"a size that is text", replaced(good, size, "\"size\":\"5\"}]"), "", "cannot be read"},
        {"the config among the layers", replaced(good, first, image.config_sha256()), "", "also a layer"},
        {"one layer with two sizes", replaced(replaced(good, second, first), size, "\"size\":7}]"), "", "named twice"},
    };
    for (const auto& hostile : all) {
        SCOPED_TRACE(hostile.what);
        const auto manifest = types::parse_oci_manifest(hostile.json, hostile.announced);
        ASSERT_FALSE(manifest);
        EXPECT_NE(manifest.error().what.find(hostile.complaint), std::string::npos) << manifest.error().what;
        for (const char c : manifest.error().what) EXPECT_TRUE(c >= 0x20 && c < 0x7f) << "texts of errors are printable";
    }
    EXPECT_GE(all.size(), 38U);
}

TEST(OciIndex, TheFirstManifestForThisMachineIsChosen) {
    const std::string ours = make_image({{tar_file("a")}}).manifest, other = make_image({{tar_file("b")}}).manifest;
    const std::string index = make_index({{"s390x", other}, {here.architecture, ours}, {here.architecture, other}});
    const auto chosen = types::choose_oci_manifest(index, types::oci_media_index, here);
    ASSERT_TRUE(chosen) << chosen.error().what;
    EXPECT_EQ(chosen->digest, "sha256:" + sha256_of(ours));
}

TEST(OciIndex, HostileOnesAreRefused) {
    const std::string ours = make_image({{tar_file("a")}}).manifest;
    const std::string good = make_index({{here.architecture, ours}});
    std::string many = good;
    const auto list = good.find("[") + 1;
    const std::string one = good.substr(list, good.rfind(']') - list) + ",";
    for (int i = 0; i < 1100; ++i) many.insert(list, one);
    const std::vector<std::pair<std::string, const char*>> all = {
        {make_index({{"s390x", ours}}), "no manifest found for this platform"},
        {replaced(good, "\"os\":\"linux\"", "\"os\":\"windows\""), "no manifest found for this platform"},
        {replaced(good, ",\"platform\":{\"architecture\":\"" + here.architecture + "\",\"os\":\"linux\"}", ""), "no manifest found for this platform"},
        {R"({"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]})", "no manifest found for this platform"},
        {replaced(good, std::string(types::oci_media_manifest), std::string(types::oci_media_index)), "another index"},
        {replaced(good, std::string(types::oci_media_manifest), std::string(types::docker_media_list)), "another index"},
        {replaced(good, std::string(types::oci_media_manifest), "text/plain"), "media type"},
        {replaced(good, sha256_of(ours), "../../../etc/passwd"), "not sha256"},
        {replaced(good, "\"size\":" + std::to_string(ours.size()), "\"size\":99999999"), "99999999 bytes"},
        {ours, "a manifest is where an index was announced"},
        {many, "1101 manifests"},
    };
    for (const auto& [json, complaint] : all) {
        const auto chosen = types::choose_oci_manifest(json, "", here);
        ASSERT_FALSE(chosen) << json.substr(0, 300);
        EXPECT_NE(chosen.error().what.find(complaint), std::string::npos) << chosen.error().what;
    }
}

TEST(OciConfig, OfAnotherMachineOrWithOtherLayersIsRefused) {
    const auto image = make_image({{tar_file("a")}});
    EXPECT_TRUE(types::parse_oci_config(image.config, 1, here));
    EXPECT_FALSE(types::parse_oci_config(image.config, 2, here));
    EXPECT_FALSE(types::parse_oci_config(replaced(image.config, here.architecture, "s390x"), 1, here));
    EXPECT_FALSE(types::parse_oci_config(replaced(image.config, "\"os\":\"linux\"", "\"os\":\"windows\""), 1, here));
    EXPECT_FALSE(types::parse_oci_config(replaced(image.config, "sha256:" + image.layers[0].diff_id, "md5:1"), 1, here));
    EXPECT_FALSE(types::parse_oci_config("", 1, here));
    EXPECT_FALSE(types::parse_oci_config(R"({"rootfs":{"diff_ids":"x"}})", 1, here));
}

TEST(OciDocuments, DamageIsReadOrRefused) {
    Prng prng{20'260};
    const auto image = make_image({{tar_file("a")}, {tar_file("b")}});
    const std::string index = make_index({{here.architecture, image.manifest}});
    for (int i = 0; i < 4000; ++i) {
        if (const auto manifest = types::parse_oci_manifest(damaged(image.manifest, prng), types::oci_media_manifest)) {
            EXPECT_FALSE(manifest->layers.empty());
            for (const auto& layer : manifest->layers) EXPECT_EQ(types::oci_sha256(layer.digest).size(), 64U);
        }
        if (const auto chosen = types::choose_oci_manifest(damaged(index, prng), "", here)) {
            EXPECT_EQ(types::oci_sha256(chosen->digest).size(), 64U);
        }
        (void)types::parse_oci_config(damaged(image.config, prng), 2, here);
        (void)storage::fetch::parse_token(damaged(R"({"token":"abc","access_token":"def","expires_in":300})", prng));
    }
}

// ---- names ----

TEST(ImageReference, NamesAreReadAsDockerReadsThem) {
    const auto read = [](std::string_view host, std::string_view path, std::string_view name) {
        const auto image = parse_image_reference(host, path, name);
        return image ? manifest_url(*image) : "error: " + image.error().what;
    };
    const std::string sha(64, 'a');
    EXPECT_EQ(read("docker://r.test", "", "nginx"), "https://r.test/v2/nginx/manifests/latest");
    EXPECT_EQ(read("oci://r.test:5000", "team/", "/nginx:1.25"), "https://r.test:5000/v2/team/nginx/manifests/1.25");
    EXPECT_EQ(read("docker://r.test/base", "x", "y/z"), "https://r.test/v2/base/x/y/z/manifests/latest");
    EXPECT_EQ(read("docker://docker.io", "", "nginx"), "https://registry-1.docker.io/v2/library/nginx/manifests/latest");
    EXPECT_EQ(read("docker://index.docker.io", "lfedge", "eve"), "https://registry-1.docker.io/v2/lfedge/eve/manifests/latest");
    EXPECT_EQ(read("docker://[2001:db8::1]:5000", "", "a"), "https://[2001:db8::1]:5000/v2/a/manifests/latest");
    EXPECT_EQ(read("docker://r.test", "", "a:tag@sha256:" + sha), "https://r.test/v2/a/manifests/sha256:" + sha);
    EXPECT_EQ(read("docker://r.test", "", "a@sha256:" + std::string(64, 'A')), "https://r.test/v2/a/manifests/sha256:" + sha);
    EXPECT_EQ(read("docker://r.test", "", "a.b_c__d---e"), "https://r.test/v2/a.b_c__d---e/manifests/latest");
    const auto image = parse_image_reference("docker://r.test", "", "a@sha256:" + sha);
    ASSERT_TRUE(image);
    EXPECT_EQ(blob_url(*image), "https://r.test/v2/a/blobs/sha256:" + sha);
    EXPECT_EQ(pull_scope(*image), "repository:a:pull");
}

TEST(ImageReference, HostileNamesAreRefused) {
    const std::string sha(64, 'a');
    const std::vector<std::array<std::string, 3>> all = {
        {"http://r.test", "", "a"},       {"r.test", "", "a"},           {"", "", "a"},                    {"docker://", "", "a"},
        {"docker://u:p@r.test", "", "a"}, {"docker://r test", "", "a"},  {"docker://r.test:x", "", "a"},   {"docker://r.test:", "", "a"},
        {"docker://r.test#f", "", "a"},   {"docker://r.test?q", "", "a"}, {"docker://[::1", "", "a"},      {"docker://r.test\r\nX: y", "", "a"},
        {"docker://..", "", "a"},         {"docker://.r.test", "", "a"}, {"docker://r..test", "", "a"},    {"docker://-r.test", "", "a"},
        {"docker://r.test", "", ""},      {"docker://r.test", "", "../a"}, {"docker://r.test", "..", "a"}, {"docker://r.test", "", "a/../b"},
        {"docker://r.test", "", "A"},     {"docker://r.test", "", "a b"}, {"docker://r.test", "", "a?x"},  {"docker://r.test", "", "a%2fb"},
        {"docker://r.test", "", "a:"},    {"docker://r.test", "", "a:.x"}, {"docker://r.test", "", "a:x/y:"}, {"docker://r.test", "", "a@"},
        {"docker://r.test", "", "a@sha256:xyz"}, {"docker://r.test", "", "a@sha512:" + sha}, {"docker://r.test", "", "@sha256:" + sha},
        {"docker://r.test", "", "a@sha256:" + sha + "/../x"}, {"docker://r.test", "", "a..b"}, {"docker://r.test", "", "-a"}, {"docker://r.test", "", "a_"},
        {"docker://r.test", "", std::string(300, 'a')}, {"docker://r.test", "", "a:" + std::string(200, 't')}, {"docker://r.test", "", std::string("a\0b", 3)}};
    for (const auto& [host, path, name] : all) {
        const auto image = parse_image_reference(host, path, name);
        EXPECT_FALSE(image) << host << " " << path << " " << name.substr(0, 80) << " became " << manifest_url(*image);
    }
    Prng prng{7};
    for (int i = 0; i < 20'000; ++i) {
        const auto image = parse_image_reference(damaged("docker://registry.test:5000/base", prng), damaged("team", prng), damaged("nginx:1.2@sha256:" + sha, prng));
        if (!image) continue;
        const std::string url = manifest_url(*image) + blob_url(*image);
        EXPECT_EQ(url.find_first_of(" \r\n\t?#%\\@"), std::string::npos) << url;
        EXPECT_EQ(url.find("/.."), std::string::npos) << url;
    }
}

// ---- challenges and tokens ----

TEST(AuthChallenge, WhatRegistriesSayIsUnderstood) {
    EXPECT_EQ(parse_challenges(R"(Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/nginx:pull")"),
              (std::vector<AuthChallenge>{{.scheme = AuthScheme::bearer, .realm = "https://auth.docker.io/token", .service = "registry.docker.io"}}));
    EXPECT_EQ(parse_challenges(R"(Basic realm="Registry Realm")"), (std::vector<AuthChallenge>{{.scheme = AuthScheme::basic, .realm = "Registry Realm"}}));
    EXPECT_EQ(parse_challenges(R"(bEARER Realm = "https://a.test/t" , Service=x, error="insufficient_scope")"),
              (std::vector<AuthChallenge>{{.scheme = AuthScheme::bearer, .realm = "https://a.test/t", .service = "x"}}));
    EXPECT_EQ(parse_challenges(R"(Basic realm="a", Bearer realm="https://a.test/t")").size(), 2U);
    EXPECT_EQ(parse_challenges(R"(Negotiate, Basic realm="a")").size(), 1U);
    EXPECT_EQ(parse_challenges("Basic").size(), 1U);
    EXPECT_EQ(token_url({.scheme = AuthScheme::bearer, .realm = "https://a.test/t", .service = "a b&c"}, "repository:x/y:pull"),
              "https://a.test/t?service=a%20b%26c&scope=repository:x/y:pull");
    EXPECT_EQ(token_url({.scheme = AuthScheme::bearer, .realm = "https://a.test/t?x=1", .service = ""}, "s"), "https://a.test/t?x=1&scope=s");
}

TEST(AuthChallenge, WhatIsMalformedIsNone) {
    for (const std::string text : {"", " ", ",", "Bearer", "Bearer realm", "Bearer realm=", "Bearer realm=\"https://a.test", "Bearer realm=\"ftp://a.test/\"",
                                   "Bearer realm=\"https://\"", "Bearer realm=\"https://u:p@a.test/\"", "Bearer realm=\"https://a.test/#f\"",
                                   "Bearer realm=\"https://a b/\"", "Bearer realm=\"https://a.test/\" garbage", "Bearer realm=\"https://a.test/\";x=y",
                                   "Bearer realm=\"https://a.test/\",realm=\"https://b.test/\"", "Bearer realm=\"file:///etc/passwd\"",
                                   "Bearer realm=\"https://a.test\\\\@b.test/\"", "\"Bearer\" realm=\"https://a.test/\"", "Bearer\x01realm=\"https://a.test/\""})
        EXPECT_TRUE(parse_challenges(text).empty()) << text;
    EXPECT_TRUE(parse_challenges("Bearer realm=\"https://a.test/" + std::string(5000, 'a') + "\"").empty());
    std::string many = "Bearer realm=\"https://a.test/\"";
    for (int i = 0; i < 40; ++i) many += ",p" + std::to_string(i) + "=x";
    EXPECT_TRUE(parse_challenges(many).empty());
    Prng prng{3};
    for (int i = 0; i < 20'000; ++i)
        for (const auto& challenge :
             parse_challenges(damaged(R"(Basic realm="x", Bearer realm="https://auth.test/token",service="reg",scope="a:b:c")", prng))) {
            const std::string url = token_url(challenge, "scope");
            EXPECT_EQ(url.find_first_of("\r\n"), std::string::npos);
        }
}

TEST(AuthToken, OnlyWhatMayGoIntoAHeaderIsTaken) {
    EXPECT_EQ(storage::fetch::parse_token(R"({"token":"abc"})"), "abc");
    EXPECT_EQ(storage::fetch::parse_token(R"({"access_token":"def","expires_in":60})"), "def");
    for (const std::string text : {"", "{}", "[]", "null", R"({"token":5})", R"({"token":"a\r\nX: y"})", R"({"token":"a b"})", R"({"token":""})", "<html>"})
        EXPECT_EQ(storage::fetch::parse_token(text), "") << text;
    EXPECT_EQ(storage::fetch::parse_token(R"({"token":")" + std::string(20'000, 'a') + "\"}"), "");
    EXPECT_EQ(storage::fetch::basic_authorization("Aladdin", "open sesame"), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    EXPECT_EQ(storage::fetch::basic_authorization("a", "b"), "Basic YTpi");
}

// ---- answers of the unpack process ----

TEST(UnpackAnswer, IsReadBackAndNonsenseIsRefused) {
    using namespace storage::unpack;
    const LayerFacts facts{.diff_id = std::string(64, 'a'), .bytes = 5, .entries = 6, .skipped = 7};
    const auto again = parse_answer(format_answer(facts));
    ASSERT_TRUE(again);
    EXPECT_EQ(*again, facts);
    const auto failed = parse_answer(format_answer(Error{.code = Code::invalid_argument, .what = "a\nb"}));
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().code, Code::invalid_argument);
    EXPECT_EQ(failed.error().what, "a?b");
    for (const std::string text : {"", "\n", "done\n", "done x 1 2 3\n", "failed\n", "failed 99 x\n", "failed 0 x\n", "nonsense 1\n"}) EXPECT_FALSE(parse_answer(text)) << text;
    Prng prng{4};
    for (int i = 0; i < 5000; ++i) (void)parse_answer(damaged(format_answer(facts), prng));
}

// ---- damaged layers ----

TEST(Layers, DamageIsUnpackedOrRefusedAndStaysInside) {
    Prng prng{99};
    const fs::path top = fs::temp_directory_path() / ("oci_test." + std::to_string(getpid()));
    fs::create_directories(top / "outside");
    const std::string plain = make_tar({tar_directory("bin", 0755), tar_file("bin/sh", "elf", 04755), tar_link("lib", "usr/lib"), tar_hard_link("bin/bash", "bin/sh"),
                                        tar_file("lib/x", "y"), tar_file("etc/.wh.gone", ""), tar_file(std::string(150, 'n')), tar_device("dev/null"),
                                        tar_link("up", "bin/.."), tar_file("up/file")});
    for (int i = 0; i < 1500; ++i) {
        const auto packing = i % 10 == 0 ? OciPacking::gzip : i % 10 == 1 ? OciPacking::zstd : OciPacking::none;
        // Headers have a checksum: damage within one would mostly be refused for that alone.
        std::string layer = i % 3 == 0 ? damaged(pack(plain, packing), prng) : plain;
        if (i % 3 != 0) {
            const auto block = static_cast<std::size_t>(prng.below(plain.size() / 512)) * 512;
            for (int k = 0; k < 3; ++k) layer[block + static_cast<std::size_t>(prng.below(512))] = static_cast<char>(prng.below(256));
            unsigned sum = 8 * ' ';
            for (std::size_t at = 0; at < 512; ++at)
                if (at < 148 || at >= 156) sum += static_cast<unsigned char>(layer[block + at]);
            std::array<char, 8> text{};
            std::snprintf(text.data(), text.size(), "%06o", sum);
            std::copy_n(text.begin(), 7, layer.begin() + static_cast<std::ptrdiff_t>(block) + 148);
            if (packing != OciPacking::none) layer = pack(layer, packing);
        }
        const fs::path root = top / "root";
        fs::create_directory(root);
        const UniqueFd blob(memfd_create("layer", MFD_CLOEXEC));
        ASSERT_EQ(write(blob.get(), layer.data(), layer.size()), static_cast<ssize_t>(layer.size()));
        const UniqueFd directory(open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        const auto unpacked = storage::unpack::unpack_layer(blob.get(), directory.get(), packing, {.bytes = 1 << 20, .entries = 1000});
        if (!unpacked) {
            EXPECT_FALSE(unpacked.error().what.empty());
        }
        ASSERT_TRUE(storage::remove_tree(root));
    }
    EXPECT_TRUE(fs::is_empty(top / "outside"));
    fs::remove_all(top);
}

}  // namespace
}  // namespace eve
