#include <gmock/gmock.h>

#include "core/types/common.hpp"
#include "core/types/volume.hpp"

namespace eve::types {
namespace {

using namespace std::chrono_literals;

TEST(Uuid, ReadsTheFormsThatGoReadsAndWritesOne) {
    const std::string canonical = "6ba7b810-9dad-11d1-80b4-00c04fd430c8";
    for (const char* text : {"6ba7b810-9dad-11d1-80b4-00c04fd430c8", "6BA7B810-9DAD-11D1-80B4-00C04FD430C8", "6ba7b8109dad11d180b400c04fd430c8",
                             "{6ba7b810-9dad-11d1-80b4-00c04fd430c8}", "urn:uuid:6ba7b810-9dad-11d1-80b4-00c04fd430c8"}) {
        const auto uuid = Uuid::parse(text);
        ASSERT_TRUE(uuid) << text;
        EXPECT_EQ(uuid->to_string(), canonical);
    }
    for (const char* text : {"", "6ba7b810-9dad-11d1-80b4-00c04fd430c", "6ba7b810x9dad-11d1-80b4-00c04fd430c8",
                             "6ba7b810-9dad-11d1-80b4-00c04fd430cg"})
        EXPECT_FALSE(Uuid::parse(text)) << text;
    EXPECT_TRUE(Uuid{}.is_nil());
    EXPECT_EQ(Uuid{}.to_string(), "00000000-0000-0000-0000-000000000000");
}

TEST(Time, IsWrittenAsGoWritesItAndReadWithAnyOffset) {
    EXPECT_EQ(Time{}.to_string(), "0001-01-01T00:00:00Z");
    EXPECT_EQ(Time(WallTime{1787911200, 250000000}).to_string(), "2026-08-28T10:00:00.25Z");
    EXPECT_EQ(Time(WallTime{-1, 1}).to_string(), "1969-12-31T23:59:59.000000001Z");
    for (const char* text : {"2026-08-28T10:00:00.25Z", "2026-08-28T12:00:00.25+02:00", "2026-08-28T04:30:00.250000-05:30"}) {
        const auto time = Time::parse(text);
        ASSERT_TRUE(time) << text;
        EXPECT_EQ(*time, Time(WallTime{1787911200, 250000000})) << text;
    }
    for (const char* text : {"", "2026-08-28", "2026-13-28T10:00:00Z", "2026-02-29T10:00:00Z", "2026-08-28T24:00:00Z", "2026-08-28T10:00:00",
                             "2026-08-28T10:00:00.Z", "2026-08-28T10:00:00Zx"})
        EXPECT_FALSE(Time::parse(text)) << text;
    EXPECT_TRUE(Time::parse("2024-02-29T10:00:00Z"));
}

TEST(Time, EveryDayOfFourCenturiesSurvivesItsText) {
    for (std::int64_t day = -719162; day < 2 * 146097; day += 97) {
        const Time time(WallTime{day * 86400 + 86399, 0});
        const auto read = Time::parse(time.to_string());
        ASSERT_TRUE(read) << time.to_string();
        EXPECT_EQ(*read, time);
    }
}

TEST(Time, ArithmeticCarriesAndSaturates) {
    const Time start(WallTime{100, 900'000'000});
    EXPECT_EQ(start + 200ms, Time(WallTime{101, 100'000'000}));
    EXPECT_EQ(start + -1s, Time(WallTime{99, 900'000'000}));
    EXPECT_EQ((start + -950ms), Time(WallTime{99, 950'000'000}));
    EXPECT_EQ((start + 1500ms) - start, 1500ms);
    EXPECT_GT(start - Time{}, Duration{0});
}

TEST(IpAddress, KeepsOneSpelling) {
    EXPECT_EQ(IpAddress::parse("FE80:0::0001")->to_string(), "fe80::1");
    EXPECT_EQ(IpAddress::parse("::ffff:10.1.0.1")->to_string(), "10.1.0.1");
    EXPECT_TRUE(IpAddress::parse("")->empty());
    EXPECT_FALSE(IpAddress::parse("10.1.0"));
    EXPECT_FALSE(IpAddress::parse("10.1.0.1/24"));
    EXPECT_FALSE(IpAddress::parse(std::string_view("10.1.0.1\0", 9)));
    EXPECT_EQ(IpAddress::from_v4(0x0a010001).to_string(), "10.1.0.1");
    EXPECT_EQ(IpAddress::parse("10.1.0.1")->v4(), 0x0a010001U);
    EXPECT_TRUE(IpAddress::parse("fe80::1")->is_link_local());
    EXPECT_FALSE(IpAddress::parse("10.1.0.1")->is_link_local());
}

TEST(IpNet, KnowsItsPrefixAndWhatItContains) {
    const auto net = IpNet::parse("10.1.0.0/20");
    ASSERT_TRUE(net);
    EXPECT_EQ(net->Mask, (Bytes{255, 255, 240, 0}));
    EXPECT_EQ(net->prefix_length(), 20);
    EXPECT_EQ(net->to_string(), "10.1.0.0/20");
    EXPECT_TRUE(net->contains(*IpAddress::parse("10.1.15.255")));
    EXPECT_FALSE(net->contains(*IpAddress::parse("10.1.16.0")));
    EXPECT_FALSE(net->contains(*IpAddress::parse("fe80::1")));
    EXPECT_EQ((IpNet{*IpAddress::parse("10.1.0.0"), {255, 0, 255, 0}}).prefix_length(), std::nullopt);
    for (const char* text : {"10.1.0.0", "10.1.0.0/33", "10.1.0.0/", "/24", "10.1.0.0/2x"}) EXPECT_FALSE(IpNet::parse(text)) << text;
    EXPECT_EQ(IpNet::parse("fd00::/8")->prefix_length(), 8);
}

TEST(MacAddress, ReadsAndWritesColons) {
    EXPECT_EQ(MacAddress::parse("02:16:3E:00:00:0a")->to_string(), "02:16:3e:00:00:0a");
    EXPECT_TRUE(MacAddress::parse("")->empty());
    for (const char* text : {"02:16:3e:00:00", "02:16:3e:00:00:0g", "02163e00000a"}) EXPECT_FALSE(MacAddress::parse(text)) << text;
}

TEST(Base64, IsStandardPaddedAndStrict) {
    for (std::size_t n = 0; n < 20; ++n) {
        Bytes bytes;
        for (std::size_t i = 0; i < n; ++i) bytes.push_back(static_cast<std::uint8_t>(i * 37 + 250));
        const auto read = from_base64(to_base64(bytes));
        ASSERT_TRUE(read);
        EXPECT_EQ(*read, bytes);
    }
    EXPECT_EQ(to_base64({0xff, 0xfe}), "//4=");
    for (const char* text : {"A", "AB", "ABC", "A===", "AB=C", "AB==CDEF", "AB-_", "ABC=ABC="}) EXPECT_FALSE(from_base64(text)) << text;
    EXPECT_TRUE(from_base64("QU\nJD\r\n"));
}

TEST(SwState, EveryNumberHasEvesNameAndComesBackByIt) {
    EXPECT_EQ(static_cast<int>(SwState::INITIAL), 100);
    EXPECT_EQ(static_cast<int>(SwState::BOOTING), 114);
    EXPECT_EQ(static_cast<int>(SwState::RUNNING), 115);
    EXPECT_EQ(static_cast<int>(SwState::HALTED), 119);
    EXPECT_EQ(static_cast<int>(SwState::BROKEN), 120);
    EXPECT_EQ(static_cast<int>(SwState::MAXSTATE), 126);
    for (int number = 100; number <= 126; ++number) {
        const auto state = static_cast<SwState>(number);
        EXPECT_EQ(*parse_state(to_string(state)), state) << number;
    }
    EXPECT_EQ(to_string(SwState{0}), "INVALID");
    EXPECT_EQ(to_string(SwState{99}), "UNDEFINED(99)");
    EXPECT_EQ(*parse_state("running"), SwState::RUNNING);
    EXPECT_FALSE(parse_state("ERROR"));
    EXPECT_EQ(to_string(Format::QCOW2), "QCOW2");
    EXPECT_EQ(to_string(Format{-1}), "UNKNOWN");
}

TEST(Errors, SettingFillsSeverityAndTimeAndKeepsTheOldSource) {
    const Time now(WallTime{1000, 0});
    ErrorAndTimeWithSource record;
    set_error_with_source<VolumeStatus>(record, "no space", now);
    EXPECT_EQ(record.ErrorSourceType, "types.VolumeStatus");
    EXPECT_EQ(record.ErrorSeverity, ErrorSeverity::ErrorSeverityError);
    EXPECT_EQ(record.ErrorTime, now);
    EXPECT_TRUE(is_error_source<VolumeStatus>(record));
    EXPECT_FALSE(is_error_source<VolumeConfig>(record));
    const auto notice = ErrorSeverity::ErrorSeverityNotice;
    set_error(record, ErrorDescription{.Error = "later", .ErrorTime = Time(WallTime{5, 0}), .ErrorSeverity = notice}, now);
    EXPECT_EQ(record.ErrorSourceType, "types.VolumeStatus");
    EXPECT_EQ(record.ErrorTime, Time(WallTime{5, 0}));
    EXPECT_EQ(record.ErrorSeverity, ErrorSeverity::ErrorSeverityNotice);
    clear_error_with_source(record);
    EXPECT_EQ(record, ErrorAndTimeWithSource{});
    EXPECT_FALSE(is_error_source(record, ""));
}

TEST(Errors, SeverityGrowsWithRetriesAndTimeStrictlyAboveTheLimits) {
    EXPECT_EQ(severity_of_retries(10, 1s), ErrorSeverity::ErrorSeverityNotice);
    EXPECT_EQ(severity_of_retries(11, 1s), ErrorSeverity::ErrorSeverityWarning);
    EXPECT_EQ(severity_of_retries(20, 1s), ErrorSeverity::ErrorSeverityWarning);
    EXPECT_EQ(severity_of_retries(21, 1s), ErrorSeverity::ErrorSeverityError);
    EXPECT_EQ(severity_of_retries(6, 600s), ErrorSeverity::ErrorSeverityNotice);
    EXPECT_EQ(severity_of_retries(7, 600s), ErrorSeverity::ErrorSeverityWarning);
    EXPECT_EQ(severity_of_retries(10, 3600s), ErrorSeverity::ErrorSeverityWarning);
    EXPECT_EQ(severity_of_retries(10, 3601s), ErrorSeverity::ErrorSeverityError);
    EXPECT_EQ(severity_of_retries(0, 100h), ErrorSeverity::ErrorSeverityNotice);
}

}  // namespace
}  // namespace eve::types
