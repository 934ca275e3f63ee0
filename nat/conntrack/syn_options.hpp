// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "nat/conntrack/tcp_window.hpp"
#include "nat/packet/packet.hpp"

namespace noclash::nat {

/// The options of a SYN or SYN-ACK (RFC 9293, section 3.2; RFC 7323; RFC 2018).
struct SynOptions {
    std::uint16_t max_segment_size = 536;  ///< bytes; 536 stands for none (RFC 9293, 3.7.1)
    std::uint8_t window_scale = no_window_scale;
    bool sack = false;
    bool timestamps = false;
    std::uint32_t timestamp_value = 0;  ///< with `timestamps`
    std::uint32_t timestamp_echo = 0;   ///< likewise

    friend bool operator==(const SynOptions&, const SynOptions&) = default;
};

/// The options of a segment that has passed `parse` as TCP.
template <class Family>
[[nodiscard]] SynOptions syn_options_of(const PacketView& packet, const Parsed<Family>& parsed);

}  // namespace noclash::nat
