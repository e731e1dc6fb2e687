#include "storage/checksum.hpp"

#include <array>
#include <cstddef>

namespace eve::storage {

namespace {

// Eight tables take eight bytes at a time: table[n][b] is what a byte b does that n more bytes follow.
constexpr std::size_t stride = 8;
using Tables = std::array<std::array<std::uint32_t, 256>, stride>;

constexpr Tables make_tables() {
    Tables made{};
    for (std::uint32_t i = 0; i < 256; ++i) {
        auto value = i;
        for (int bit = 0; bit < 8; ++bit) value = (value & 1U) != 0 ? value >> 1U ^ 0xedb88320U : value >> 1U;
        made[0][i] = value;
    }
    for (std::size_t n = 1; n < stride; ++n)
        for (std::size_t i = 0; i < 256; ++i) made[n][i] = made[n - 1][i] >> 8U ^ made[0][made[n - 1][i] & 0xffU];
    return made;
}
constexpr Tables table = make_tables();

}  // namespace

std::uint32_t checksum(std::string_view content) {
    auto sum = ~std::uint32_t{0};
    const auto byte = [&content](std::size_t at) { return static_cast<std::uint32_t>(static_cast<unsigned char>(content[at])); };
    std::size_t at = 0;
    for (; at + stride <= content.size(); at += stride) {
        sum ^= byte(at) | byte(at + 1) << 8U | byte(at + 2) << 16U | byte(at + 3) << 24U;
        sum = table[7][sum & 0xffU] ^ table[6][sum >> 8U & 0xffU] ^ table[5][sum >> 16U & 0xffU] ^ table[4][sum >> 24U] ^ table[3][byte(at + 4)] ^
              table[2][byte(at + 5)] ^ table[1][byte(at + 6)] ^ table[0][byte(at + 7)];
    }
    for (; at < content.size(); ++at) sum = table[0][(sum ^ byte(at)) & 0xffU] ^ sum >> 8U;
    return ~sum;
}

}  // namespace eve::storage
