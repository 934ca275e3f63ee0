// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace noclash::dpdk {

/// Names in the column of states for rows that are no connections.
inline constexpr std::string_view mapping_state = "MAPPING";
inline constexpr std::string_view permission_state = "PERMISSION";
inline constexpr std::string_view incarnation_state = "INCARNATION";

/// Every state that a filter may name.
[[nodiscard]] std::vector<std::string_view> known_flow_states();
/// The state as listings print it. Upper and lower case are the same.
[[nodiscard]] std::optional<std::string> parse_flow_state(std::string_view text);

}  // namespace noclash::dpdk
