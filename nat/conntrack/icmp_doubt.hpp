// SPDX-License-Identifier: Apache-2.0
#pragma once

// Anybody can send an ICMP error: that its sender has seen the packet that it quotes shows in no
// more than what is quoted [RFC 5927]. So an error about a TCP connection has to quote a segment
// that is in flight, and nobody is believed that a path of today carries no more than 551 bytes.

#include <cstddef>
#include <cstdint>

#include "nat/conntrack/flow_words.hpp"
#include "nat/conntrack/tcp_window.hpp"
#include "nat/packet/drop_reason.hpp"
#include "nat/packet/headers.hpp"
#include "nat/packet/packet.hpp"

namespace noclash::nat {

/// "Fragmentation needed" with a smaller MTU, in bytes of IP packet, is a lie or a fault: no link
/// that carries IPv4 has less than 576, less what tunnels take. As Linux has it. (0 stands for
/// routers older than RFC 1191, which name none.)
inline constexpr std::uint16_t least_believed_mtu = 552;
inline constexpr std::uint8_t fragmentation_needed_code = 4;

/// Whether an error says that its packet can have no answer from where it went.
template <class Family>
[[nodiscard]] bool refuses(const PacketView& error, const Parsed<Family>& parsed) {
    const auto& icmp = header<IcmpHeader>(error, parsed.l4_offset);
    return icmp.type == icmp_type::unreachable && icmp.code != fragmentation_needed_code;
}

/// How far below what its receiver has acknowledged a quoted segment may begin: the acknowledgment
/// may have overtaken the error, and copies of the segment may have.
inline constexpr std::uint32_t late_error_bytes = 65535;

/// Whether a segment of `sender` that begins at `sequence` is in flight, or was just now: between
/// what its receiver has acknowledged, less `late_error_bytes`, and the end of what was sent. (A
/// segment without data begins at that end.)
template <class Record>
[[nodiscard]] bool is_in_flight(const Record& flow, Direction sender, std::uint32_t sequence) {
    const auto load = [&flow](std::size_t word) {
        return flow.memory[word].load(std::memory_order_relaxed);
    };
    const std::uint32_t end = load(flow_memory::tcp_end(sender));
    const std::uint32_t acknowledged = load(flow_memory::tcp_acknowledged(opposite(sender)));
    return !before(end, sequence) && !before(sequence, acknowledged - late_error_bytes);
}

/// Why an ICMP error about a flow is not believed; `none`: it is.
/// @param error   it has passed `parse`
/// @param sender  the direction of the flow that the quoted packet went in
/// @param mode    with `off`, nobody knows what is in flight
template <class Family, class Record>
[[nodiscard]] DropReason icmp_doubt(const PacketView& error, const Parsed<Family>& parsed,
                                    const Record& flow, Direction sender, TcpWindow mode) {
    const auto& icmp = header<IcmpHeader>(error, parsed.l4_offset);
    if (icmp.type == icmp_type::unreachable && icmp.code == fragmentation_needed_code) {
        const std::uint16_t mtu = icmp.sequence.get().host();
        if (mtu != 0 && mtu < least_believed_mtu) return DropReason::icmp_mtu;
    }
    if (flow.tuple(sender).protocol != ip_protocol::tcp || mode == TcpWindow::off)
        return DropReason::none;
    // `parse` has seen to it that 8 bytes of the segment are quoted.
    const std::uint8_t* const quoted = error.data + parsed.inner_l4_offset;
    const auto sequence =
        Be32::from_wire(word_at<std::uint32_t>(quoted + offsetof(TcpHeader, sequence))).host();
    return is_in_flight(flow, sender, sequence) ? DropReason::none : DropReason::icmp_sequence;
}

}  // namespace noclash::nat
