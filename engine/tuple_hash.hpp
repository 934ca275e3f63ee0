// SPDX-License-Identifier: Apache-2.0
#pragma once

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <array>
#include <cstdint>

#include "engine/base/random.hpp"
#include "engine/tuple.hpp"

namespace noclash {

/// XXH3 keyed with a random secret that is new at each start, so that nobody outside can aim tuples
/// at one bucket.
class TupleHash {
  public:
    TupleHash() { random_bytes(secret_.data(), secret_.size()); }

    template <class Family>
    [[nodiscard, gnu::flatten]] std::uint64_t operator()(const Tuple<Family>& tuple) const {
        return XXH3_64bits_withSecret(&tuple, sizeof tuple, secret_.data(), secret_.size());
    }

  private:
    std::array<std::uint8_t, XXH3_SECRET_DEFAULT_SIZE> secret_{};
};

}  // namespace noclash
