// SPDX-License-Identifier: Apache-2.0
#pragma once

// SCTP's associations (RFC 9260), as much of them as a gateway needs: ports are translated as
// TCP's, verification tags are left alone. Addresses that an INIT lists for multihoming are not
// translated: behind a gateway that hides addresses, an association has the one path that it was
// opened on.

#include <array>
#include <atomic>
#include <cstdint>
#include <string_view>

#include "nat/packet/packet.hpp"
#include "nat/policy/timeouts.hpp"

namespace noclash::nat {

/// The known state of an association. Neither sequence numbers nor tags are tracked, so a forged
/// ABORT may get an association to `closing`; all that does is to shorten its timeout, and every
/// packet that follows renews it.
enum class SctpState : std::uint8_t { none, opening, established, closing };
inline constexpr std::array<std::string_view, 4> sctp_state_names{"NONE", "OPENING", "ESTABLISHED",
                                                                  "CLOSING"};
[[nodiscard]] constexpr std::string_view to_string(SctpState state) {
    return sctp_state_names[static_cast<std::size_t>(state)];
}

/// @param flags  as `read_sctp` has them
///
/// An INIT to an association that lives is a peer that has restarted: its peer judges it (RFC 9260,
/// section 5.2.2). To one that has ended, it opens another.
[[nodiscard]] constexpr SctpState next_state(SctpState state, std::uint8_t flags) {
    if ((flags & (tcp_flag::rst | tcp_flag::fin)) != 0) return SctpState::closing;
    if ((flags & tcp_flag::syn) != 0 && state != SctpState::established) return SctpState::opening;
    if ((flags & tcp_flag::ack) != 0 && state == SctpState::opening) return SctpState::established;
    return state;
}

[[nodiscard]] constexpr std::uint32_t timeout_s(const Timeouts& timeouts, SctpState state) {
    return state == SctpState::established ? timeouts.sctp_established_s
                                           : timeouts.sctp_transitory_s;
}

/// Moves the state of a live flow. Two workers may have a packet at once: one goes first.
/// @param before  becomes the state that just this packet has moved
template <class Record>
SctpState track_sctp(Record& flow, std::uint8_t flags, SctpState& before) {
    std::uint8_t seen = flow.protocol_state.load(std::memory_order_relaxed);
    for (;;) {
        before = static_cast<SctpState>(seen);
        const SctpState next = next_state(static_cast<SctpState>(seen), flags);
        if (static_cast<std::uint8_t>(next) == seen ||
            flow.protocol_state.compare_exchange_weak(seen, static_cast<std::uint8_t>(next),
                                                      std::memory_order_relaxed))
            return next;
    }
}

}  // namespace noclash::nat
