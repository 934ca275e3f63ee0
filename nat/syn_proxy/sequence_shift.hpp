// SPDX-License-Identifier: Apache-2.0
#pragma once

// # Two handshakes, one connection
//
// A proxied client has agreed on numbers with the gateway, its backend on others. For the life of
// the flow each segment is translated between them. Only the backend's numbers differ: its SYN came
// with the client's own initial sequence number, options and clock.
//
//     to the backend   acknowledgment and SACK blocks  - sequence
//                      TSecr                           - timestamp
//                      window                          from the scale that the client thinks is
//                                                      used to the one that is
//     to the client    sequence number                 + sequence
//                      TSval                           + timestamp
//                      window                          from the backend's scale to the one that the
//                                                      client was offered
//
// An ICMP error quotes a segment as it was sent on, and is translated back.

#include <cstddef>
#include <cstdint>

#include "engine/tuple.hpp"
#include "nat/conntrack/flow_words.hpp"
#include "nat/conntrack/tcp_window.hpp"
#include "nat/packet/packet.hpp"

namespace noclash::nat {

/// The window scales that a proxied client knows, as `Flow::opening_detail` keeps them.
struct ClientScales {
    std::uint8_t own = no_window_scale;
    std::uint8_t offered = no_window_scale;

    [[nodiscard]] static constexpr ClientScales of(std::uint8_t detail) {
        return {static_cast<std::uint8_t>(detail & 15U), static_cast<std::uint8_t>(detail >> 4U)};
    }
    [[nodiscard]] constexpr std::uint8_t detail() const {
        return static_cast<std::uint8_t>(offered << 4U | own);
    }
};

/// The difference between the client's handshake and the backend's.
struct SequenceShift {
    struct Scales {
        std::uint8_t from = 0, to = 0;
    };

    std::uint32_t sequence = 0;   ///< the client's numbers of the backend, less the backend's own
    std::uint32_t timestamp = 0;  ///< likewise
    Scales to_backend, to_client;
};

/// Of a proxied flow whose backend has answered.
template <class Record>
[[nodiscard]] SequenceShift shift_of(const Record& flow) {
    const auto used = [](unsigned scale) {
        return static_cast<std::uint8_t>(scale == no_window_scale ? 0U : scale);
    };
    const std::uint8_t scales = flow.protocol_detail.load(std::memory_order_relaxed);
    const auto client = ClientScales::of(flow.opening_detail);
    return {flow.pool_link.load(std::memory_order_relaxed),
            flow.memory[flow_memory::timestamp_shift].load(std::memory_order_relaxed),
            {used(client.own), used(scales & 15U)},
            {used(scales >> 4U), used(client.offered)}};
}

/// Translates a segment in place, checksum included. It has passed `parse` as TCP; its addresses
/// and ports may have been rewritten.
template <class Family>
void shift_to_backend(const PacketView& packet, const Parsed<Family>& parsed,
                      const SequenceShift& shift);
template <class Family>
void shift_to_client(const PacketView& packet, const Parsed<Family>& parsed,
                     const SequenceShift& shift);

/// Translates the segment that an ICMP error quotes back to what its sender has sent, as far as it
/// is quoted, its checksum and the error's included.
/// @param sender  the direction that the quoted segment went in
template <class Family>
void shift_quoted(const PacketView& error, const Parsed<Family>& parsed, Direction sender,
                  const SequenceShift& shift);

}  // namespace noclash::nat
