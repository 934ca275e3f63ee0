// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <span>

#include "nat/conntrack/own_segment.hpp"

namespace noclash::nat {

/// Segments of the gateway's own that wait to be sent by one worker, which alone uses them.
/// Bounded: whoever adds one looks for room first, before anything depends on it.
template <class Family>
class OwnSegments {
  public:
    /// For a burst of 32 packets with two segments each, and what timers ask for.
    static constexpr std::size_t most = 128;

    [[nodiscard]] bool has_room(std::size_t segments) const { return count_ + segments <= most; }
    void add(const OwnSegment<Family>& segment) {
        if (count_ < most) waiting_[count_++] = segment;
    }
    [[nodiscard]] bool empty() const { return count_ == 0; }
    /// Those that wait, until the next `add`.
    [[nodiscard]] std::span<const OwnSegment<Family>> take() {
        const std::size_t count = count_;
        count_ = 0;
        return std::span(waiting_).first(count);
    }

  private:
    std::array<OwnSegment<Family>, most> waiting_{};
    std::size_t count_ = 0;
};

}  // namespace noclash::nat
