// The JSON of the plugin boundary (rules in eve/abi.h): what travels, what is refused, and with which words.

#include "eve/sdk/codec.hpp"

#include <gtest/gtest.h>

#include <array>

namespace eve {
namespace {

using sdk::decode;
using sdk::encode;
using sdk::Strictness;

constexpr auto strict = Strictness::must_understand;
constexpr auto tolerant = Strictness::must_ignore;

/// Converts to anything: counts the members of an aggregate.
struct Anything {
    template <class T> operator T() const;  // NOLINT
};
template <class T, class... Found> constexpr std::size_t member_count() {
    if constexpr (requires { T{Found{}..., Anything{}}; }) return member_count<T, Found..., Anything>();
    else return sizeof...(Found);
}
template <class T> constexpr bool all_listed() {
    return boost::mp11::mp_size<boost::describe::describe_members<T, boost::describe::mod_public>>::value == member_count<T>();
}

TEST(Records, EveryMemberTravels) {
    static_assert(all_listed<DomainSpec>());
    static_assert(all_listed<DomainInfo>());
    static_assert(all_listed<Disk>() && all_listed<Vif>() && all_listed<Adapter>() && all_listed<Vnc>());
    static_assert(all_listed<ExitStatus>() && all_listed<DomainStats>() && all_listed<HostStats>() && all_listed<Stats>());
    static_assert(all_listed<ProbeReport>() && all_listed<Capabilities>() && all_listed<Limits>() && all_listed<Description>());
    static_assert(all_listed<DomainEvent>() && all_listed<PassedFd>() && all_listed<CgroupLimits>() && all_listed<GuestProcess>());
    static_assert(all_listed<ProcessIdentity>() && all_listed<SpawnedProcess>() && all_listed<HostDescription>() && all_listed<Problem>());
}

DomainSpec rich() {
    return {.id = {"a"},
            .revision = 18'446'744'073'709'551'615U,
            .labels = {{"k", "v"}},
            .mode = VirtualizationMode::fml,
            .memory = 1_GiB,
            .vcpus = 2,
            .cpus = {2, 3},
            .disks = {{.id = "d", .path = "/p\"\n", .format = DiskFormat::qcow2, .target = DiskTarget::unknown}},
            .vifs = {{.name = "v", .order = 0}},
            .vnc = {.enabled = true, .password = {"secret"}}};
}

TEST(Codec, ARecordReadsBackEqual) {
    const auto text = encode(rich(), strict, 1 << 20);
    ASSERT_TRUE(text);
    const auto back = decode<DomainSpec>(text->body, strict, {});
    ASSERT_TRUE(back) << back.error().what;
    EXPECT_EQ(*back, rich());
}

TEST(Codec, DefaultsAreLeftOutAndUnitsEndTheNames) {
    EXPECT_EQ(encode(DomainSpec{}, strict, 1000)->body, "{}");
    EXPECT_EQ(encode(DomainSpec{.memory = Bytes{5}}, strict, 1000)->body, R"({"memory_bytes":5})");
    EXPECT_EQ(encode(DomainStats{.cpu = std::chrono::nanoseconds{7}}, strict, 1000)->body, R"({"cpu_ns":7})");
    EXPECT_EQ(encode(ExitStatus{.code = 0}, strict, 1000)->body, R"({"code":0})") << "optional and present";
}

TEST(Codec, ARequestWithAnUnknownFieldIsRefusedAReplyIsNot) {
    constexpr auto text = R"({"id":"a","secure_boot":true})";
    const auto refused = decode<DomainSpec>(text, strict, {});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::unsupported);
    EXPECT_EQ(refused.error().field, ".secure_boot");
    EXPECT_EQ(refused.error().what, ".secure_boot is not known to this side");
    EXPECT_TRUE(decode<DomainSpec>(text, tolerant, {}));
}

TEST(Codec, AnUnknownEnumValueReadsAsUnknownInRepliesOnly) {
    constexpr auto text = R"({"state":"levitating"})";
    EXPECT_EQ(decode<DomainInfo>(text, strict, {}).error().code, Code::unsupported);
    EXPECT_EQ(decode<DomainInfo>(text, tolerant, {})->state, DomainState::unknown);
}

TEST(Codec, NumbersThatDoNotFitAreRefusedInBothWays) {
    for (const auto how : {strict, tolerant}) {
        EXPECT_FALSE(decode<DomainSpec>(R"({"vcpus":4294967296})", how, {}));
        EXPECT_FALSE(decode<DomainSpec>(R"({"vcpus":-1})", how, {}));
        EXPECT_FALSE(decode<DomainSpec>(R"({"vcpus":1.0})", how, {}));
        EXPECT_FALSE(decode<DomainSpec>(R"({"vcpus":"1"})", how, {}));
        EXPECT_FALSE(decode<DomainSpec>(R"({"vcpus":null})", how, {}));
        EXPECT_FALSE(decode<DomainSpec>(R"({"revision":18446744073709551616})", how, {}));
        EXPECT_FALSE(decode<DomainInfo>(R"({"pid":9223372036854775808})", how, {}));
    }
    EXPECT_EQ(decode<DomainSpec>(R"({"revision":18446744073709551615})", strict, {})->revision, ~std::uint64_t{0});
    EXPECT_EQ(decode<DomainSpec>(R"({"revision":9007199254740993})", strict, {})->revision, 9007199254740993U);
}

TEST(Codec, DeepAndBrokenTextIsRefusedWithoutHarm) {
    EXPECT_FALSE(decode<DomainSpec>(std::string(300'000, '['), tolerant, {}));
    EXPECT_FALSE(decode<DomainSpec>(R"({"labels":{"a":")" + std::string(100, '['), tolerant, {}));
    EXPECT_TRUE(decode<DomainSpec>(R"({"name":"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"[["})", strict, {})) << "brackets in strings do not count";
    EXPECT_FALSE(decode<DomainSpec>("[]", tolerant, {}));
    EXPECT_FALSE(decode<DomainSpec>(std::string_view("{}\0}", 4), tolerant, {})) << "a NUL is no end";
    EXPECT_FALSE(decode<DomainSpec>("{\"name\":\"\xff\"}", tolerant, {}));
    EXPECT_TRUE(decode<DomainSpec>("", strict, {})) << "a body is optional";
}

TEST(Codec, AKeyTwiceIsRefusedInRequests) {
    EXPECT_EQ(decode<DomainSpec>(R"({"vnc":{"display":1,"display":2}})", strict, {}).error().code, Code::invalid_argument);
    EXPECT_TRUE(decode<DomainSpec>(R"({"vnc":{"display":1},"disks":[{"id":"display"},{"id":"display"}]})", strict, {}));
}

TEST(Codec, DescriptorsTravelBesideTheText) {
    const GuestProcess process{.argv = {"/x"}, .run_dir = {10}, .fds = {{.fd = {11}, .as = 3}}};
    const auto sent = encode(process, strict, 1000);
    ASSERT_TRUE(sent);
    EXPECT_EQ(sent->fds.size(), 2U);
    const auto got = decode<GuestProcess>(sent->body, strict, {20, 21});
    ASSERT_TRUE(got) << got.error().what;
    EXPECT_EQ(got->run_dir.fd + got->fds[0].fd.fd, 41);
    EXPECT_FALSE(decode<GuestProcess>(sent->body, strict, {20})) << "one that was not sent";
    EXPECT_FALSE(decode<GuestProcess>(R"({"cwd":{"fd":-1}})", strict, {20}));
}

TEST(Codec, BadUtf8IsRefusedInRequestsAndReplacedInReplies) {
    EXPECT_EQ(encode(DomainSpec{.firmware = "/\xc0\xaf"}, strict, 1000).error().field, ".firmware");
    EXPECT_FALSE(encode(DomainSpec{.labels = {{"\xed\xa0\x80", ""}}}, strict, 1000));
    EXPECT_TRUE(encode(DomainSpec{.firmware = "/\xf0\x9f\x90\xa7"}, strict, 1000));
    const auto replaced = encode(DomainInfo{.reason = "bad \xff byte"}, tolerant, 1000);
    ASSERT_TRUE(replaced);
    EXPECT_TRUE(decode<DomainInfo>(replaced->body, tolerant, {}));
}

TEST(Codec, AMessageOverTheLimitIsTheSendersError) {
    EXPECT_EQ(encode(DomainSpec{.name = std::string(2000, 'x')}, strict, 1000).error().code, Code::resource_exhausted);
}

TEST(Codec, ErrorsKeepEverythingButMoreThanTheLimit) {
    const Error error{.code = Code::unavailable,
                      .what = "why",
                      .field = ".x",
                      .hint = "do",
                      .retry_after = std::chrono::milliseconds{5},
                      .entities = {{"volume", "v"}}};
    const auto body = sdk::encode_error(error);
    EXPECT_NE(body.find(R"("retry_after_ms":5)"), std::string::npos);
    EXPECT_EQ(sdk::decode_error(EVE_UNAVAILABLE, body), error);
    EXPECT_EQ(sdk::decode_error(12345, body).code, Code::internal) << "an unknown number";
    EXPECT_EQ(sdk::decode_error(EVE_NOT_FOUND, "rubbish").code, Code::not_found);
    EXPECT_LE(sdk::decode_error(1, sdk::encode_error({.code = Code::unavailable, .what = std::string(5000, 'w')})).what.size(), 512U);
}

TEST(Codec, APluginsOwnConfigurationIsCheckedLikewise) {
    EXPECT_TRUE(sdk::read_config<Vnc>(PluginConfig{.config = R"({"enabled":true})"}));
    EXPECT_EQ(sdk::read_config<Vnc>(PluginConfig{.config = R"({"enable":true})"}).error().field, ".enable");
}

}  // namespace
}  // namespace eve
