#pragma once
// Random numbers that are the same everywhere for one seed (the standard's distributions are not): xoshiro256** seeded by splitmix64.

#include <array>
#include <cstdint>
#include <vector>

namespace eve {

class Prng {
public:
    explicit Prng(std::uint64_t seed) {
        for (auto& word : state_) {
            seed += 0x9e3779b97f4a7c15U;
            auto z = seed;
            z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9U;
            z = (z ^ (z >> 27U)) * 0x94d049bb133111ebU;
            word = z ^ (z >> 31U);
        }
    }

    std::uint64_t next() {
        const auto result = rotate(state_[1] * 5, 7) * 9;
        const auto shifted = state_[1] << 17U;
        state_[2] ^= state_[0];
        state_[3] ^= state_[1];
        state_[1] ^= state_[2];
        state_[0] ^= state_[3];
        state_[2] ^= shifted;
        state_[3] = rotate(state_[3], 45);
        return result;
    }
    /// 0..limit-1; 0 for limit 0. The bias of the remainder does not matter to tests.
    std::uint64_t below(std::uint64_t limit) { return limit == 0 ? 0 : next() % limit; }
    /// low..high, both included.
    std::int64_t between(std::int64_t low, std::int64_t high) {
        return low + static_cast<std::int64_t>(below(static_cast<std::uint64_t>(high - low) + 1));
    }
    /// True in `percent` of 100 cases.
    bool chance(unsigned percent) { return below(100) < percent; }
    /// A generator of its own, so that one part's draws do not shift another's.
    Prng fork() { return Prng{next()}; }
    template <class T> const T& pick(const std::vector<T>& choices) { return choices.at(below(choices.size())); }

private:
    static std::uint64_t rotate(std::uint64_t x, unsigned by) { return (x << by) | (x >> (64U - by)); }
    std::array<std::uint64_t, 4> state_{};
};

}  // namespace eve
