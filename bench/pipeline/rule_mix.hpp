// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

namespace noclash::bench {

/// `count` rules for the bench's ports "inside" and "outside", none of which matches what the
/// bench's clients send. Of twenty: ten services, of single addresses and ports; one service of a
/// range of ports; three lists of prefixes that are reached untranslated; two lists of sources that
/// are dropped; two for parts of the inside, as mail that does not leave; a static mapping of
/// addresses and one of ports. In any hundred of them each is there, mixed.
[[nodiscard]] std::string rule_mix(std::uint32_t count);

}  // namespace noclash::bench
