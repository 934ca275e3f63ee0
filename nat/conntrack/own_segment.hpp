// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/tuple.hpp"
#include "nat/conntrack/syn_options.hpp"
#include "nat/conntrack/tcp_window.hpp"

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
    OwnSegment(const Tuple<Family>& tuple, const TcpSegment& numbers,
               const SynOptions& options = {});

    [[nodiscard]] std::span<std::uint8_t> bytes() { return std::span(bytes_).first(length_); }
    [[nodiscard]] std::span<const std::uint8_t> bytes() const {
        return std::span(bytes_).first(length_);
    }

    [[nodiscard]] typename Family::Address destination() const;

  private:
    std::array<std::uint8_t, most_bytes> bytes_{};
    std::uint8_t length_ = 0;
};

}  // namespace noclash::nat
