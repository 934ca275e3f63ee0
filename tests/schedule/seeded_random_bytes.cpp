// SPDX-License-Identifier: Apache-2.0
#include "tests/schedule/seeded_random_bytes.hpp"

#include <openssl/rand.h>

#include <algorithm>
#include <cstring>

#include "tests/schedule/seeded_random.hpp"

namespace noclash::schedule {
namespace {

SeededRandom source(0);

}  // namespace

void seed_random_bytes(std::uint64_t seed) {
    source = SeededRandom(seed);
}

}  // namespace noclash::schedule

// Instead of OpenSSL's: a program's own definition comes first.
extern "C" int RAND_bytes(unsigned char* bytes, int size) {
    for (auto left = static_cast<std::size_t>(size); left > 0;) {
        const std::uint64_t word = noclash::schedule::source.next();
        const std::size_t part = std::min(left, sizeof word);
        std::memcpy(bytes, &word, part);
        bytes += part;
        left -= part;
    }
    return 1;
}
