// Packets between the node and its fetch process, and the other small texts of a transfer, as a hostile peer or a bad disk may make them.

#include <gtest/gtest.h>

#include "storage/fetch/protocol.hpp"
#include "storage/hash.hpp"
#include "storage/transfer_notes.hpp"
#include "storage/verify_files.hpp"
#include "storage/volume_files.hpp"
#include "tests/doubles/prng.hpp"

namespace eve::storage {
namespace {

using namespace fetch;

TEST(FetchProtocol, WhatIsSentArrives) {
    const Order order{.url = "http://h/x?y",
                      .authorization = "Bearer z",
                      .source_address = "192.0.2.1",
                      .validator_etag = "\"a\"",
                      .validator_last_modified = "Sat",
                      .resume_from = 5,
                      .size_max = 9,
                      .stall_seconds = 1,
                      .tries_max = 2,
                      .first_delay_ms = 3};
    EXPECT_EQ(*decode_order(*encode(order)), order);
    const Report progress = Progress{.current = 3, .total = 7, .etag = "\"a\"", .last_modified = "Sat"};
    EXPECT_EQ(*decode_report(encode(progress)), progress);
    const Report done = Done{.size = 7, .sha256 = sha256_hex("x"), .content_type = "text/plain"};
    EXPECT_EQ(*decode_report(encode(done)), done);
    const Report failed = Failed{.code = Code::not_found, .what = "no", .retry_after_ms = 11};
    EXPECT_EQ(*decode_report(encode(failed)), failed);
}

TEST(FetchProtocol, AReportThatCannotBeIsRefused) {
    EXPECT_FALSE(decode_report(""));
    EXPECT_FALSE(decode_report("P"));
    EXPECT_FALSE(decode_report("X12345678"));
    EXPECT_FALSE(decode_report(encode(Report(Progress{.current = 8, .total = 7}))));
    EXPECT_FALSE(decode_report(encode(Report(Done{.size = 7, .sha256 = "../../etc/passwd"}))));
    EXPECT_FALSE(decode_report(encode(Report(Done{.size = 7, .sha256 = sha256_hex("x")})) + "more"));
    EXPECT_TRUE(decode_report(encode(Report(Done{.size = 7, .sha256 = sha256_hex("x"), .authorization = "Bearer abc.def"}))));
    for (const char* authorization : {"Basic abc", "Bearer ", "Bearer a b", "Bearer a\r\nHost: b"})
        EXPECT_FALSE(decode_report(encode(Report(Done{.size = 7, .sha256 = sha256_hex("x"), .authorization = authorization})))) << authorization;
    EXPECT_FALSE(decode_report(std::string(packet_bytes_max + 1, 'P')));
    std::string packet = encode(Report(Failed{.code = Code::not_found, .what = "no"}));
    packet[1] = 99;
    EXPECT_FALSE(decode_report(packet)) << "a code that does not exist";
}

TEST(FetchProtocol, TextsFromTheProcessAreCutAndPrintable) {
    const auto report = decode_report(encode(Report(Failed{.code = Code::internal, .what = "a\x1b[31m\n" + std::string(5000, 'b')})));
    ASSERT_TRUE(report);
    const std::string& what = std::get<Failed>(*report).what;
    EXPECT_EQ(what.size(), 512u);
    EXPECT_EQ(what.find_first_of("\x1b\n"), std::string::npos);
}

TEST(FetchProtocol, NoBytesBreakTheReaders) {
    Prng prng{5};
    const std::string order = *encode(Order{.url = "http://h/"}), report = encode(Report(Done{.size = 1, .sha256 = sha256_hex("x")}));
    for (int round = 0; round < 20'000; ++round) {
        std::string bytes = prng.chance(50) ? order : report;
        for (int i = 0; i < 3; ++i) bytes[prng.below(bytes.size())] = static_cast<char>(prng.next());
        bytes.resize(prng.below(bytes.size() + 1));
        (void)decode_order(bytes).ok();
        (void)decode_report(bytes).ok();
        (void)parse_progress(bytes).has_value();
        (void)parse_verified_name(bytes).has_value();
        (void)parse_volume_name(bytes).has_value();
    }
}

TEST(FetchProtocol, AFieldThatIsTooLongIsRefusedWhereItIsMade) {
    EXPECT_EQ(encode(Order{.url = std::string(field_bytes_max + 1, 'u')}).error().code, Code::invalid_argument);
}

TEST(TransferNotes, ProgressIsWhatEveWritesAndDamageIsStartingOver) {
    const auto text = format_progress({.offset = 65536, .etag = "\"a\"", .last_modified = {}});
    EXPECT_EQ(text.find(R"("parts":{"PartSize":0,"Parts":[{"i":0,"s":65536}]})") != std::string::npos, true) << text;
    const auto point = parse_progress(text);
    ASSERT_TRUE(point);
    EXPECT_EQ(point->offset, 65536u);
    EXPECT_EQ(point->etag, "\"a\"");
    std::string damaged = text;
    damaged.replace(damaged.find("65536"), 5, "65537");
    EXPECT_FALSE(parse_progress(damaged));
    EXPECT_FALSE(parse_progress(text.substr(0, text.size() - 5)));
    // EVE's own, without our validators.
    const std::string parts = R"({"PartSize":0,"Parts":[{"i":0,"s":10}]})";
    EXPECT_EQ(parse_progress(R"({"version":1,"hash":")" + sha256_hex(parts) + R"(","parts":)" + parts + "}")->offset, 10u);
}

TEST(TransferNotes, ADigestNoteIsAboutOneFileAsItWas) {
    struct stat facts{};
    facts.st_ino = 5, facts.st_size = 100, facts.st_mtim.tv_sec = 7;
    const std::string note = to_json(make_digest_note(facts, sha256_hex("x")));
    EXPECT_EQ(noted_digest(note, facts), sha256_hex("x"));
    for (int what = 0; what < 4; ++what) {
        auto other = facts;
        if (what == 0) other.st_ino = 6;
        if (what == 1) other.st_size = 101;
        if (what == 2) other.st_mtim.tv_nsec = 1;
        if (what == 3) other.st_ctim.tv_nsec = 1;
        EXPECT_FALSE(noted_digest(note, other)) << what;
    }
}

TEST(Names, AVerifiedFileSaysItsDigestAndMediaType) {
    const std::string sha = sha256_hex("x");
    const std::string name = verified_name(sha, "application/vnd.oci.image.layer.v1.tar+gzip");
    EXPECT_EQ(name, sha + ".application%2Fvnd.oci.image.layer.v1.tar+gzip");
    EXPECT_EQ(parse_verified_name(name)->media_type, "application/vnd.oci.image.layer.v1.tar+gzip");
    EXPECT_FALSE(parse_verified_name(sha));
    EXPECT_FALSE(parse_verified_name(sha + "."));
    EXPECT_FALSE(parse_verified_name(sha + ".a%2"));
    EXPECT_FALSE(parse_verified_name("../" + name));
}

TEST(Names, AVolumesFileSaysWhichVolume) {
    const std::string id = "b0000000-0000-0000-0000-000000000001";
    const auto volume = parse_volume_name(id + "#3.qcow2");
    ASSERT_TRUE(volume);
    EXPECT_EQ(volume->generation, 3);
    EXPECT_EQ(volume->format, types::Format::QCOW2);
    for (const std::string& other : std::vector<std::string>{id + ".qcow2", id + "#.qcow2", id + "#-1.raw", id + "#3.qcow2.creating", id + "#3x.raw",
                                                             id + "#3.exe", "x#3.raw", id + "#3"})
        EXPECT_FALSE(parse_volume_name(other)) << other;
}

}  // namespace
}  // namespace eve::storage
