// The header of an image from a stranger.

#include <gmock/gmock.h>

#include "storage/qcow2_header.hpp"
#include "tests/doubles/prng.hpp"

namespace eve::storage {
namespace {

using testing::HasSubstr;

void put32(std::string& bytes, std::size_t at, std::uint32_t value) {
    for (std::size_t i = 0; i < 4; ++i) bytes[at + i] = static_cast<char>(value >> (24 - 8 * i));
}
void put64(std::string& bytes, std::size_t at, std::uint64_t value) {
    put32(bytes, at, static_cast<std::uint32_t>(value >> 32));
    put32(bytes, at + 4, static_cast<std::uint32_t>(value));
}

/// A version 3 header of an image of 1 GiB that stands by itself.
std::string good() {
    std::string bytes(65536, '\0');
    bytes.replace(0, 4, "QFI\xfb");
    put32(bytes, 4, 3);
    put32(bytes, 20, 16);
    put64(bytes, 24, std::uint64_t{1} << 30);
    put32(bytes, 36, 2);
    put64(bytes, 40, 3 * 65536);
    put64(bytes, 48, 65536);
    put32(bytes, 56, 1);
    put32(bytes, 96, 4);
    put32(bytes, 100, 112);
    return bytes;
}

std::string why(const std::string& bytes) {
    const auto header = parse_qcow2_header(bytes);
    return header ? "accepted" : header.error().what;
}

TEST(Qcow2Header, AnImageThatStandsByItselfIsRead) {
    const auto header = parse_qcow2_header(good());
    ASSERT_TRUE(header) << header.error().what;
    EXPECT_EQ(header->virtual_bytes, std::uint64_t{1} << 30);
    EXPECT_EQ(header->version, 3u);
    EXPECT_EQ(header->cluster_bits, 16u);
}

TEST(Qcow2Header, AnotherFileIsNeverNamed) {
    auto bytes = good();
    put64(bytes, 8, 1024);
    put32(bytes, 16, 11);
    EXPECT_THAT(why(bytes), HasSubstr("backing file"));
    bytes = good();
    put64(bytes, 8, 1024);
    EXPECT_THAT(why(bytes), HasSubstr("backing file")) << "an offset without a length";
    bytes = good();
    put64(bytes, 72, 4);
    EXPECT_THAT(why(bytes), HasSubstr("external data file"));
    bytes = good();
    put32(bytes, 112, 0x44415441);
    put32(bytes, 116, 11);
    EXPECT_THAT(why(bytes), HasSubstr("external data file")) << "the name alone";
    bytes = good();
    put32(bytes, 112, 0xE2792ACA);
    put32(bytes, 116, 3);
    EXPECT_THAT(why(bytes), HasSubstr("backing file"));
    // Behind another extension.
    bytes = good();
    put32(bytes, 112, 0x6803f857);
    put32(bytes, 116, 48);
    put32(bytes, 168, 0x44415441);
    put32(bytes, 172, 11);
    EXPECT_THAT(why(bytes), HasSubstr("external data file"));
}

TEST(Qcow2Header, WhatCannotBeIsRefused) {
    const auto with32 = [](std::size_t at, std::uint32_t value) {
        auto bytes = good();
        put32(bytes, at, value);
        return why(bytes);
    };
    const auto with64 = [](std::size_t at, std::uint64_t value) {
        auto bytes = good();
        put64(bytes, at, value);
        return why(bytes);
    };
    EXPECT_THAT(why(""), HasSubstr("no such header"));
    EXPECT_THAT(why("QFI\xfb"), HasSubstr("no such header"));
    EXPECT_THAT(why(std::string(65536, 'x')), HasSubstr("no such header"));
    EXPECT_THAT(with32(4, 1), HasSubstr("version 1"));
    EXPECT_THAT(with32(4, 4), HasSubstr("version 4"));
    EXPECT_THAT(with32(20, 8), HasSubstr("cluster size"));
    EXPECT_THAT(with32(20, 22), HasSubstr("cluster size"));
    EXPECT_THAT(with32(20, 0xffffffff), HasSubstr("cluster size"));
    EXPECT_THAT(with64(24, ~std::uint64_t{0}), HasSubstr("virtual size"));
    EXPECT_THAT(with32(32, 1), HasSubstr("encrypted"));
    EXPECT_THAT(with32(32, 2), HasSubstr("encrypted"));
    EXPECT_THAT(with32(36, 0xffffffff), HasSubstr("tables"));
    EXPECT_THAT(with64(40, 1), HasSubstr("tables"));
    EXPECT_THAT(with32(60, 0xffffffff), HasSubstr("snapshots"));
    EXPECT_THAT(with64(72, 2), HasSubstr("corrupt"));
    EXPECT_THAT(with64(72, std::uint64_t{1} << 40), HasSubstr("not known"));
    EXPECT_THAT(with32(100, 0), HasSubstr("header length"));
    EXPECT_THAT(with32(100, 0xfffffff8), HasSubstr("header length"));
    auto bytes = good();
    put32(bytes, 112, 0x12345678);
    put32(bytes, 116, 0xffffffff);
    EXPECT_THAT(why(bytes), HasSubstr("extension"));
    EXPECT_THAT(why(good().substr(0, 90)), HasSubstr("cut short"));
    EXPECT_THAT(why(good().substr(0, 112)), HasSubstr("cut short"));
}

TEST(Qcow2Header, NoBytesMakeItReadBeyondThem) {
    Prng prng{11};
    for (int round = 0; round < 20'000; ++round) {
        auto bytes = good().substr(0, prng.below(200));
        for (int i = 0; i < 4 && bytes.size() > 4; ++i) bytes[4 + prng.below(bytes.size() - 4)] = static_cast<char>(prng.next());
        const std::string exact(bytes.data(), bytes.size());
        (void)parse_qcow2_header(exact).ok();
    }
}

}  // namespace
}  // namespace eve::storage
