// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace noclash::schedule {

/// From here on this program's `RAND_bytes` follows from the seed, and with it everything that the
/// gateway draws at random in production.
void seed_random_bytes(std::uint64_t seed);

}  // namespace noclash::schedule
