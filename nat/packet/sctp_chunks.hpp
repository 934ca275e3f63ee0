// SPDX-License-Identifier: Apache-2.0
#pragma once

// SCTP (RFC 9260), as much of it as a gateway needs: ports are translated as TCP's, verification
// tags are left alone. Addresses that an INIT lists for multihoming are not translated: behind a
// gateway that hides addresses, an association has the one path that it was opened on.

#include <array>
#include <atomic>
#include <cstdint>
#include <string_view>

#include "nat/packet/drop_reason.hpp"
#include "nat/packet/packet.hpp"
#include "nat/policy/timeouts.hpp"

namespace noclash::nat {

/// What is known of an association. Neither sequence numbers nor tags are tracked, so a forged
/// ABORT may get an association to `closing`; all that does is to shorten its timeout, and every
/// packet that follows renews it.
enum class SctpState : std::uint8_t { none, opening, established, closing };
inline constexpr std::array<std::string_view, 4> sctp_state_names{"NONE", "OPENING", "ESTABLISHED",
                                                                  "CLOSING"};
[[nodiscard]] constexpr std::string_view to_string(SctpState state) {
    return sctp_state_names[static_cast<std::size_t>(state)];
}

/// Chunks that matter here are told in TCP's words, as `Parsed::tcp_flags`: INIT is SYN, COOKIE ACK
/// is ACK, SHUTDOWN and SHUTDOWN ACK are FIN, ABORT and SHUTDOWN COMPLETE are RST.
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
template <class Record>
SctpState track_sctp(Record& flow, std::uint8_t flags) {
    std::uint8_t seen = flow.protocol_state.load(std::memory_order_relaxed);
    for (;;) {
        const SctpState next = next_state(static_cast<SctpState>(seen), flags);
        if (static_cast<std::uint8_t>(next) == seen ||
            flow.protocol_state.compare_exchange_weak(seen, static_cast<std::uint8_t>(next),
                                                      std::memory_order_relaxed))
            return next;
    }
}

/// Reads and checks common header and chunks of the segment from `offset` to `end`, which must be
/// there; only when the answer is `none`, ports and `flags` are what they should.
[[nodiscard]] DropReason read_sctp(const PacketView& packet, std::uint32_t offset,
                                   std::uint32_t end, Be16& source_port, Be16& destination_port,
                                   std::uint8_t& flags);

/// Whether the checksum of a segment that `read_sctp` has passed is right.
[[nodiscard]] bool sctp_checksum_ok(const PacketView& packet, std::uint32_t offset,
                                    std::uint32_t length);

}  // namespace noclash::nat
