// SPDX-License-Identifier: Apache-2.0
#pragma once

// Packets for tests, written byte by byte as the RFCs draw them, with checksums computed the slow
// way: nothing here is shared with the code under test, so that it can serve as an oracle.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nat/packet/packet.hpp"

namespace noclash::nat::test {

using Bytes = std::vector<std::uint8_t>;

[[nodiscard]] Bytes from_hex(std::string_view text);
[[nodiscard]] std::string to_hex(std::span<const std::uint8_t> bytes);

/// RFC 1071 as the text defines it: 16-bit big-endian words, one end-around carry at a time.
[[nodiscard]] std::uint16_t slow_sum(std::span<const std::uint8_t> bytes, std::uint16_t start = 0);

[[nodiscard]] std::uint16_t get16(const Bytes& bytes, std::size_t at);
void put16(Bytes& bytes, std::size_t at, unsigned value);
[[nodiscard]] std::uint32_t get32(const Bytes& bytes, std::size_t at);
void put32(Bytes& bytes, std::size_t at, std::uint32_t value);

/// Addresses, ports and ICMP identifiers of one packet, in host order.
struct Ends {
    std::uint32_t source = 0x0a000001;
    std::uint32_t destination = 0xcb007109;
    std::uint16_t source_port = 1234;
    std::uint16_t destination_port = 80;
};

/// An IPv4 packet around `segment`, with right checksums everywhere.
[[nodiscard]] Bytes ipv4(const Ends& ends, std::uint8_t protocol, const Bytes& segment,
                         const Bytes& options = {});
[[nodiscard]] Bytes tcp(const Ends& ends, std::uint8_t flags, const Bytes& payload = {},
                        const Bytes& ip_options = {});
/// Puts whole words of options behind the header of a TCP segment that has none.
void insert_tcp_options(Bytes& packet, const Bytes& options);
[[nodiscard]] Bytes udp(const Ends& ends, const Bytes& payload = {}, const Bytes& ip_options = {});
/// `rest` is the second 32-bit word: identifier and sequence number, or what an error has there.
[[nodiscard]] Bytes icmp(const Ends& ends, std::uint8_t type, std::uint8_t code, std::uint32_t rest,
                         const Bytes& payload = {}, const Bytes& ip_options = {});

/// With a checksum over `coverage` bytes of the datagram, or all when that is 0 (RFC 3828).
[[nodiscard]] Bytes udp_lite(const Ends& ends, std::uint16_t coverage, const Bytes& payload = {});
/// RFC 9260; `chunks` as they are.
[[nodiscard]] Bytes sctp(const Ends& ends, std::uint32_t tag, const Bytes& chunks);
/// A chunk with padding.
[[nodiscard]] Bytes sctp_chunk(std::uint8_t type, const Bytes& value = {});
/// Bit by bit.
[[nodiscard]] std::uint32_t slow_crc32c(std::span<const std::uint8_t> bytes);
/// Whether the checksum of an SCTP packet is right.
[[nodiscard]] bool sctp_crc_ok(const Bytes& packet);

/// Where the transport begins, as the header says.
[[nodiscard]] std::size_t l4_offset(const Bytes& packet);
/// Computes the header checksum anew.
void fix_ip_checksum(Bytes& packet);
/// Computes the checksum of TCP, UDP or ICMP anew. A computed 0 of UDP becomes 0xffff.
void fix_l4_checksum(Bytes& packet);

[[nodiscard]] PacketView view(Bytes& packet);
[[nodiscard]] Tuple<V4> tuple(const Ends& ends, std::uint8_t protocol, std::uint16_t zone = 0);

}  // namespace noclash::nat::test
