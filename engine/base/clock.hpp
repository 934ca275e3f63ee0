// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>

namespace noclash {

/// Milliseconds on the monotonic clock; read once a burst, not once a packet.
[[nodiscard]] inline std::uint64_t now_ms() {
    using namespace std::chrono;
    return static_cast<std::uint64_t>(
        duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count());
}

/// A moment as flows store it: the low 32 bits of `now_ms()`. Differences are right while they stay
/// below 2^31 ms (24 days); the longest timeout is 5 days.
using Moment = std::uint32_t;

[[nodiscard]] inline Moment to_moment(std::uint64_t ms) {
    return static_cast<Moment>(ms);
}

/// How far `later` lies after `earlier`, in ms; negative when it does not.
[[nodiscard]] inline std::int32_t ms_between(Moment earlier, Moment later) {
    return static_cast<std::int32_t>(later - earlier);
}

}  // namespace noclash
