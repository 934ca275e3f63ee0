// SPDX-License-Identifier: Apache-2.0
#include "tests/schedule/seeded_getrandom.hpp"

#include <sys/random.h>

#include <algorithm>
#include <cstring>

#include "tests/schedule/seeded_random.hpp"

namespace noclash::schedule {
namespace {

SeededRandom random(0);

}  // namespace

void seed_getrandom(std::uint64_t seed) {
    random = SeededRandom(seed);
}

}  // namespace noclash::schedule

// Instead of the C library's: a program's own definition comes first.
extern "C" ssize_t getrandom(void* buffer, size_t length, unsigned /*flags*/) {
    auto* at = static_cast<std::uint8_t*>(buffer);
    for (std::size_t left = length; left > 0;) {
        const std::uint64_t word = noclash::schedule::random.next();
        const std::size_t part = std::min(left, sizeof word);
        std::memcpy(at, &word, part);
        at += part;
        left -= part;
    }
    return static_cast<ssize_t>(length);
}
