// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "engine/base/address.hpp"

namespace noclash::dpdk {

[[nodiscard]] inline V4Address v4(const char* text) {
    return *parse_address<V4>(text);
}

/// The least configuration that is complete: one port. Keys above the tables stand before it,
/// tables behind it.
inline constexpr const char* small = R"(
[[port]]
name = "lan"
device = "tap:lan0"
address = "10.1.0.1/24"
)";

}  // namespace noclash::dpdk
