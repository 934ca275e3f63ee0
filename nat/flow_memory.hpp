// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

/// What each word of `Flow::memory` holds.
namespace noclash::nat::flow_memory {

/// What is added to the original direction's TSval; 0: nothing.
inline constexpr std::size_t timestamp_offset = 5;
/// The latest TSval that went out in the original direction; 0: none.
inline constexpr std::size_t timestamp_sent = 6;

}  // namespace noclash::nat::flow_memory
