// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace noclash::schedule {

/// Numbers that follow from a seed alone (SplitMix64; Steele, Lea, Flood 2014). Every choice of a
/// run comes from one of these.
class SeededRandom {
  public:
    explicit SeededRandom(std::uint64_t seed) : state_(seed) {}

    std::uint64_t next() {
        state_ += 0x9e3779b97f4a7c15U;
        return mix(state_);
    }
    /// In [0, bound); the bias of a small bound does not matter here. 1 <= bound.
    std::uint32_t below(std::uint32_t bound) {
        return static_cast<std::uint32_t>((next() >> 32U) % bound);
    }
    bool one_in(std::uint32_t n) { return below(n) == 0; }

    static constexpr std::uint64_t mix(std::uint64_t z) {
        z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9U;
        z = (z ^ (z >> 27U)) * 0x94d049bb133111ebU;
        return z ^ (z >> 31U);
    }

  private:
    std::uint64_t state_;
};

}  // namespace noclash::schedule
