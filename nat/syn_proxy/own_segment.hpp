// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/tuple.hpp"
#include "nat/conntrack/tcp_window.hpp"
#include "nat/syn_proxy/syn_options.hpp"

namespace noclash::nat {

/// A whole IP packet of the gateway's own: a TCP segment without data.
template <class Family>
class OwnSegment {
  public:
    /// IP and TCP headers, and the longest options: those of a SYN.
    static constexpr std::size_t most_bytes = 40 + 20;

    OwnSegment() = default;
    /// From the source of `tuple` to its destination. Of `numbers`, `end` does not count. With SYN,
    /// it has all of `options`; without, their timestamps alone.
    OwnSegment(const Tuple<Family>& tuple, const TcpSegment& numbers, const SynOptions& options);

    [[nodiscard]] std::span<std::uint8_t> bytes() { return std::span(bytes_).first(length_); }
    [[nodiscard]] std::span<const std::uint8_t> bytes() const {
        return std::span(bytes_).first(length_);
    }

    [[nodiscard]] typename Family::Address destination() const;

  private:
    std::array<std::uint8_t, most_bytes> bytes_{};
    std::uint8_t length_ = 0;
};

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
