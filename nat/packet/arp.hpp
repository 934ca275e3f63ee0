// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "nat/packet/headers.hpp"

namespace noclash::nat {

enum class ArpOperation : std::uint16_t { request = 1, reply = 2 };

/// ARP for IPv4 over Ethernet (RFC 826).
struct ArpMessage {
    ArpOperation operation = ArpOperation::request;
    MacAddress sender_mac;
    V4Address sender_ip;
    MacAddress target_mac;
    V4Address target_ip;

    /// Asks or tells about itself: an announcement (RFC 5227, section 3).
    [[nodiscard]] bool is_gratuitous() const { return sender_ip == target_ip; }
    /// Asks whether an address is in use; the sender has none yet (RFC 5227, section 2.1.1), so
    /// there is nothing to learn from it.
    [[nodiscard]] bool is_probe() const { return sender_ip == V4Address{}; }
    friend bool operator==(const ArpMessage&, const ArpMessage&) = default;
};

/// Bytes of an ARP message for IPv4 over Ethernet, after the Ethernet header.
inline constexpr std::size_t arp_bytes = 28;

/// Reads what follows the Ethernet header. Nothing unless it is complete, a request or a reply for
/// IPv4 over Ethernet, and the sender's hardware address is one that a station may have.
[[nodiscard]] std::optional<ArpMessage> parse_arp(std::span<const std::uint8_t> payload);

/// The frame of an ARP message, padded to what Ethernet sends at least (without FCS).
inline constexpr std::size_t arp_frame_bytes = 60;

/// Writes the whole frame, from `message.sender_mac` to `to`.
void build_arp_frame(const ArpMessage& message, const MacAddress& to,
                     std::span<std::uint8_t, arp_frame_bytes> out);

/// The question "who has `ip`?", to be broadcast.
[[nodiscard]] ArpMessage arp_request(const MacAddress& our_mac, V4Address our_ip, V4Address ip);
/// The answer to `request`: its target address is at `our_mac`. To be sent to the request's sender.
[[nodiscard]] ArpMessage arp_reply(const ArpMessage& request, const MacAddress& our_mac);
/// Tells all who know `our_ip` that it is at `our_mac` (RFC 5227, section 3). To be broadcast.
[[nodiscard]] ArpMessage arp_announcement(const MacAddress& our_mac, V4Address our_ip);

}  // namespace noclash::nat
