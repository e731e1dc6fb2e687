// Where an object is, from where it is asked for, what is said of a failure.

#include <gmock/gmock.h>

#include "core/downloader/plan.hpp"

namespace eve::downloader {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

types::DatastoreConfig datastore(const std::string& type, const std::string& host, const std::string& path = "") {
    types::DatastoreConfig config;
    config.DsType = type;
    config.Fqdn = host;
    config.Dpath = path;
    return config;
}

std::string url(const types::DatastoreConfig& config, const std::string& name) {
    const auto source = source_of(config, name, false, {});
    return source ? source->url : "error: " + source.error().what;
}

TEST(Source, PartsAreJoinedAsPathsAre) {
    EXPECT_EQ(url(datastore("DsHttp", "http://h:8080"), "a.qcow2"), "http://h:8080/a.qcow2");
    EXPECT_EQ(url(datastore("DsHttp", "h", "/images/"), "/a.qcow2"), "http://h/images/a.qcow2");
    EXPECT_EQ(url(datastore("DsHttps", "h/base", "x"), "y//./z"), "https://h/base/x/y/z");
    EXPECT_EQ(url(datastore("DsHttp", "h", "images"), "../../../a"), "http://h/a");
    EXPECT_EQ(url(datastore("DsHttp", "h"), "a b#c"), "http://h/a%20b%23c");
}

TEST(Source, OfARegistryADigestIsLookedForAmongBlobsFirstAndATagIsAManifest) {
    auto registry = datastore("DsContainerRegistry", "docker://r.test", "shop");
    registry.ApiKey = "app";
    registry.Password = "secret";
    const std::string sha(64, 'a');
    const auto by_digest = source_of(registry, "web@sha256:" + sha, false, {}), by_tag = source_of(registry, "web:1", false, {});
    ASSERT_TRUE(by_digest && by_tag);
    EXPECT_EQ(by_digest->url, "https://r.test/v2/shop/web/blobs/sha256:" + sha);
    EXPECT_EQ(by_digest->fallback_url, "https://r.test/v2/shop/web/manifests/sha256:" + sha);
    EXPECT_EQ(by_tag->url, "https://r.test/v2/shop/web/manifests/1");
    EXPECT_EQ(by_tag->fallback_url, "");
    EXPECT_EQ(by_tag->registry_scope, "repository:shop/web:pull");
    EXPECT_EQ(by_tag->authorization, "");
}

TEST(Source, AQueryStaysByteForByte) {
    EXPECT_EQ(url(datastore("DsHttps", "h", "c"), "a.img?sig=a%2Fb&x=//.."), "https://h/c/a.img?sig=a%2Fb&x=//..");
}

TEST(Source, WhatIsNoUrlOrNoTransportIsRefused) {
    EXPECT_EQ(source_of(datastore("DsS3", "h"), "a", false, {}).error().code, Code::unsupported);
    EXPECT_EQ(source_of(datastore("", "file://h"), "a", false, {}).error().code, Code::invalid_argument);
    EXPECT_EQ(source_of(datastore("DsHttp", "h\r\nX: y"), "a", false, {}).error().code, Code::invalid_argument);
    EXPECT_EQ(source_of(datastore("DsHttp", "h"), "a?b\nc", false, {}).error().code, Code::invalid_argument);
    EXPECT_EQ(source_of(datastore("DsHttp", "h"), std::string(9000, 'a'), false, {}).error().code, Code::invalid_argument);
}

TEST(Source, CredentialsGoOverClearTextOnlyWhereTheOperatorAllowsIt) {
    auto config = datastore("DsHttps", "h");
    config.ApiKey = "Bearer";
    config.Password = "secret";
    EXPECT_EQ(source_of(config, "a", false, {})->authorization, "Bearer secret");
    config.DsType = "DsHttp";
    EXPECT_EQ(source_of(config, "a", false, {})->authorization, "");
    auto values = types::default_config_items();
    ASSERT_TRUE(types::apply_config_item(values, values, "datastore.http.security.allowinsecureauth", "true"));
    EXPECT_EQ(source_of(config, "a", false, types::ConfigItems(values))->authorization, "Bearer secret");
    config.Password = "a\r\nHost: evil";
    EXPECT_FALSE(source_of(config, "a", false, types::ConfigItems(values)));
    config.IsCipher = true;
    EXPECT_EQ(source_of(config, "a", false, {}).error().code, Code::failed_precondition);
}

TEST(Addresses, ManagementPortsByCostWithoutLinkLocal) {
    types::DeviceNetworkStatus network;
    const auto add = [&network](bool management, std::uint8_t cost, const std::string& address) {
        types::NetworkPortStatus port;
        port.IsMgmt = management;
        port.Cost = cost;
        port.AddrInfoList.push_back({.Addr = types::IpAddress::parse_or_none(address)});
        network.Ports.push_back(port);
    };
    add(true, 5, "192.0.2.5");
    add(true, 0, "192.0.2.1");
    add(false, 0, "192.0.2.2");
    add(true, 0, "169.254.1.1");
    add(true, 0, "fe80::1");
    add(true, 0, "2001:db8::1");
    EXPECT_THAT(source_addresses(network, 0), ElementsAre("192.0.2.1", "2001:db8::1"));
    EXPECT_THAT(source_addresses(network, 5), ElementsAre("192.0.2.1", "2001:db8::1", "192.0.2.5"));
    EXPECT_THAT(source_addresses({}, 255), IsEmpty());
}

TEST(Failure, GrowsWorseWithTheTriesAndTheTime) {
    using namespace std::chrono_literals;
    const auto first = describe_failure("x", 0, 600s);
    EXPECT_EQ(first.Error, "x");
    EXPECT_EQ(first.ErrorRetryCondition, "Will retry in 600s; have retried 0 times");
    EXPECT_EQ(first.ErrorSeverity, types::ErrorSeverity::ErrorSeverityNotice);
    EXPECT_EQ(describe_failure("x", 10, 60s).ErrorSeverity, types::ErrorSeverity::ErrorSeverityNotice);
    EXPECT_EQ(describe_failure("x", 11, 60s).ErrorSeverity, types::ErrorSeverity::ErrorSeverityWarning);
    EXPECT_EQ(describe_failure("x", 21, 60s).ErrorSeverity, types::ErrorSeverity::ErrorSeverityError);
    EXPECT_EQ(describe_failure("x", 7, 600s).ErrorSeverity, types::ErrorSeverity::ErrorSeverityWarning);
}

TEST(Tags, ANameWithADigestSaysItByItself) {
    EXPECT_EQ(digest_in_name("registry/app@sha256:ABC"), "ABC");
    EXPECT_EQ(digest_in_name("registry/app:latest"), "");
}

}  // namespace
}  // namespace eve::downloader
