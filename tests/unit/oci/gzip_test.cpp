// What the unpack process reads of gzip files: whole ones, ones made of parts, and damaged ones.

#include <gmock/gmock.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/loop/unique_fd.hpp"
#include "storage/unpack/gzip.hpp"
#include "tests/doubles/image_builder.hpp"
#include "tests/doubles/prng.hpp"

namespace eve {
namespace {

using testing::HasSubstr;
using types::OciPacking;

std::string gzip(const std::string& bytes) { return pack(bytes, OciPacking::gzip); }

std::string noise(std::size_t size, Prng& prng) {
    std::string bytes(size, '\0');
    for (char& c : bytes) c = static_cast<char>(prng.below(256));
    return bytes;
}

Result<std::string> unpacked(const std::string& file, std::size_t step = 1000) {
    const UniqueFd fd(memfd_create("gzip", MFD_CLOEXEC));
    EXPECT_EQ(write(fd.get(), file.data(), file.size()), static_cast<ssize_t>(file.size()));
    EXPECT_EQ(lseek(fd.get(), 0, SEEK_SET), 0);
    storage::unpack::GzipReader reader(fd.get());
    std::string all, block(step, '\0');
    for (;;) {
        auto got = reader.read(block.data(), block.size());
        if (!got) return std::move(got).error();
        if (*got == 0) return all;
        all.append(block, 0, *got);
    }
}

TEST(Gzip, IsReadWholeInStepsOfAnySize) {
    Prng prng{1};
    for (const auto& text : {std::string(), std::string("a"), std::string(3'000'000, 'z'), noise(700'000, prng)})
        for (const std::size_t step : {1UL, 7UL, 4096UL, 5'000'000UL}) {
            if (step == 1 && text.size() > 1'000'000) continue;
            const auto got = unpacked(gzip(text), step);
            ASSERT_TRUE(got) << got.error().what;
            EXPECT_TRUE(*got == text) << text.size() << " bytes in steps of " << step;
        }
}

TEST(Gzip, MembersFollowEachOtherWhereverTheyMeetInTheReadersBlocks) {
    Prng prng{2};
    const std::string second = gzip("second"), third = gzip("");
    const std::size_t block = std::size_t{256} << 10;
    const std::string bytes = noise(block + 100, prng);
    const std::size_t overhead = gzip(bytes.substr(0, block - 200)).size() - (block - 200);
    for (std::size_t size = block - overhead - 4; size < block - overhead + 5; ++size) {
        const std::string first = bytes.substr(0, size);
        const auto got = unpacked(gzip(first) + second + third + second);
        ASSERT_TRUE(got) << got.error().what;
        EXPECT_TRUE(*got == first + "secondsecond") << size;
    }
}

TEST(Gzip, WhatIsBehindTheLastMemberIsPassedOver) {
    for (const std::string& rest : {std::string(1, '\0'), std::string(1000, '\0'), std::string("\x1f"), std::string("rubbish")}) {
        const auto got = unpacked(gzip("text") + rest);
        ASSERT_TRUE(got) << got.error().what;
        EXPECT_EQ(*got, "text");
    }
}

TEST(Gzip, AHeaderMayHoldANameACommentAndMore) {
    std::string file = gzip("text");
    ASSERT_EQ(file[3], 0) << "the packer writes no flags";
    file[3] = 0x04 | 0x08 | 0x10;
    file.insert(10, std::string("\x05\0extra", 7) + std::string("a name\0", 7) + std::string("a comment\0", 10));
    const auto got = unpacked(file);
    ASSERT_TRUE(got) << got.error().what;
    EXPECT_EQ(*got, "text");
}

TEST(Gzip, HalfOfOneIsRefusedWhereverItIsCut) {
    const std::string file = gzip("some text, some text, some text");
    for (std::size_t size = 0; size < file.size(); ++size) {
        const auto got = unpacked(file.substr(0, size));
        ASSERT_FALSE(got) << size;
        EXPECT_EQ(got.error().code, Code::invalid_argument);
        EXPECT_THAT(got.error().what, HasSubstr("it ends in the middle")) << size;
    }
}

TEST(Gzip, DamageIsRefusedOrHarmless) {
    Prng prng{3};
    const std::string text = std::string(20'000, 't') + noise(2000, prng);
    const std::string file = gzip(text);
    std::size_t refused = 0;
    for (std::size_t at = 0; at < file.size(); ++at) {
        std::string bad = file;
        bad[at] = static_cast<char>(bad[at] ^ (1 << prng.below(8)));
        const auto got = unpacked(bad);
        if (!got) ++refused;
        else EXPECT_TRUE(*got == text) << at;  // a time in the header, or a code that is not used
    }
    EXPECT_GT(refused, file.size() - 50);
    std::string wrong = gzip("text");
    wrong[wrong.size() - 8] = static_cast<char>(wrong[wrong.size() - 8] ^ 1);
    EXPECT_THAT(unpacked(wrong).error().what, HasSubstr("checksum"));
}

}  // namespace
}  // namespace eve
