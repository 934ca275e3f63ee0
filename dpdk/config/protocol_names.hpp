// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace noclash::dpdk {

/// As configurations, filters and listings call an IP protocol: `tcp`, `gre`, or its number.
[[nodiscard]] std::string protocol_name(std::uint8_t protocol);
/// The other way; only protocols that are translated.
[[nodiscard]] std::optional<std::uint8_t> parse_protocol(std::string_view text);
/// The names that `parse_protocol` knows.
[[nodiscard]] std::vector<std::string_view> known_protocol_names();
/// For error messages: these with commas between them.
[[nodiscard]] std::string known_protocols();

}  // namespace noclash::dpdk
