// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace noclash::schedule {

/// From here on this program's `getrandom` follows from the seed, and with it everything that the
/// gateway draws from the kernel in production.
void seed_getrandom(std::uint64_t seed);

}  // namespace noclash::schedule
