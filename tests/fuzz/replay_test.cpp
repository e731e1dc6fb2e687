// Each target with everything its corpus holds, and with changed copies of it: what a fuzzer once found is not lost.

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/doubles/prng.hpp"
#include "tests/fuzz/targets.hpp"

namespace eve::fuzz {
namespace {

constexpr int changed_copies = 40;

std::vector<std::string> corpus_of(const char* target) {
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(std::filesystem::path(SOURCE_ROOT) / "tests/fuzz/corpus" / target)) files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    std::vector<std::string> all;
    for (const auto& file : files) {
        std::ifstream in(file, std::ios::binary);
        all.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
    }
    return all;
}

std::string changed(std::string bytes, Prng& prng) {
    for (auto changes = prng.between(1, 4); changes > 0 && !bytes.empty(); --changes) {
        const auto at = prng.below(bytes.size());
        switch (prng.below(5)) {
            case 0: bytes[at] = static_cast<char>(prng.below(256)); break;
            case 1: bytes[at] = static_cast<char>(static_cast<unsigned char>(bytes[at]) ^ (1U << prng.below(8))); break;
            case 2: bytes.resize(at); break;
            case 3: bytes.insert(at, bytes, prng.below(bytes.size()), prng.below(20)); break;
            default: bytes.erase(at, prng.below(20)); break;
        }
    }
    return bytes;
}

class Replay : public testing::TestWithParam<Target> {};

TEST_P(Replay, OfTheCorpusEndsWell) {
    const auto corpus = corpus_of(GetParam().name);
    ASSERT_FALSE(corpus.empty()) << "tests/fuzz/corpus/" << GetParam().name << " is empty";
    Prng prng(1);
    GetParam().run("");
    for (const auto& bytes : corpus) {
        GetParam().run(bytes);
        for (int i = 0; i < changed_copies; ++i) GetParam().run(changed(bytes, prng));
    }
}

INSTANTIATE_TEST_SUITE_P(Fuzz, Replay, testing::ValuesIn(targets()), [](const auto& parameter) { return std::string(parameter.param.name); });

}  // namespace
}  // namespace eve::fuzz
