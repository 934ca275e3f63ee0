// SPDX-License-Identifier: Apache-2.0
#pragma once

// IPv4 packets as fuzz_worker sends them: made of few numbers, with right lengths and checksums.

#include <rte_ip.h>

#include <cstddef>
#include <cstdint>

#include "nat/packet/headers.hpp"
#include "tests/fuzz/fuzz_input.hpp"
#include "tests/fuzz/worker_bed.hpp"

namespace noclash::dpdk::test {

using nat::IpHeader, nat::TcpHeader, nat::UdpHeader;

inline constexpr std::size_t ethernet_bytes = sizeof(nat::EthernetHeader);
inline constexpr std::size_t ip_bytes = sizeof(nat::IpHeader<V4>);

template <class Header>
Header& at(Bytes& bytes, std::size_t offset) {
    require(offset + sizeof(Header) <= bytes.size());
    return *reinterpret_cast<Header*>(bytes.data() + offset);
}

inline Bytes with_ip(V4Address source, V4Address destination, std::uint8_t protocol,
                     const Bytes& payload) {
    Bytes packet(ip_bytes);
    auto& ip = at<IpHeader<V4>>(packet, 0);
    ip.version_and_length = 0x45;
    ip.ttl = 64;
    ip.protocol = protocol;
    ip.source = source;
    ip.destination = destination;
    packet.insert(packet.end(), payload.begin(), payload.end());
    return packet;
}
inline Bytes tcp(V4Address source, V4Address destination, std::uint16_t from, std::uint16_t to,
                 std::uint8_t flags, std::uint8_t sequence, std::uint8_t acknowledgment,
                 Input& input) {
    Bytes packet = with_ip(source, destination, nat::ip_protocol::tcp, {});
    packet.resize(ip_bytes + sizeof(TcpHeader));
    auto& header = at<TcpHeader>(packet, ip_bytes);
    header.source_port = Be16::from_host(from);
    header.destination_port = Be16::from_host(to);
    header.sequence = Be32::from_host(sequence * 0x01000001U);
    header.acknowledgment = Be32::from_host(acknowledgment * 0x01000001U);
    header.flags = flags & 0x3fU;
    header.window = Be16::from_host(0x2000);
    header.data_offset = 0x50;
    if ((flags & 0x40U) != 0) {  // timestamps
        Bytes option{1, 1, 8, 10, 0, 0, 0, input.byte(), 0, 0, 0, input.byte()};
        packet.insert(packet.end(), option.begin(), option.end());
        at<TcpHeader>(packet, ip_bytes).data_offset = 0x80;
    }
    if ((flags & 0x80U) != 0) packet.resize(packet.size() + input.byte() * 5U, 0xda);
    return packet;
}
inline Bytes udp(V4Address source, V4Address destination, std::uint16_t from, std::uint16_t to,
                 std::size_t length) {
    Bytes packet = with_ip(source, destination, nat::ip_protocol::udp, {});
    packet.resize(ip_bytes + sizeof(UdpHeader) + length);
    for (std::size_t i = 0; i < length; ++i)
        packet[ip_bytes + sizeof(UdpHeader) + i] = static_cast<std::uint8_t>(i);
    auto& header = at<UdpHeader>(packet, ip_bytes);
    header.source_port = Be16::from_host(from);
    header.destination_port = Be16::from_host(to);
    header.length = Be16::from_host(static_cast<std::uint16_t>(sizeof(UdpHeader) + length));
    return packet;
}
inline Bytes icmp(V4Address source, V4Address destination, std::uint8_t type, std::uint8_t code,
                  Be32 rest, std::size_t length) {
    Bytes packet = with_ip(source, destination, nat::ip_protocol::icmp, {});
    packet.resize(ip_bytes + 8 + length);
    packet[ip_bytes] = type;
    packet[ip_bytes + 1] = code;
    at<nat::Wire<Be32>>(packet, ip_bytes + 4) = rest;
    return packet;
}

/// Whether `repair` knows the checksum of a protocol.
inline bool is_summed(std::uint8_t protocol) {
    return protocol == nat::ip_protocol::tcp || protocol == nat::ip_protocol::udp ||
           protocol == nat::ip_protocol::icmp;
}

/// Sets the checksums and the total length of a packet that one of these functions has made.
inline void repair(Bytes& packet) {
    auto& ip = at<rte_ipv4_hdr>(packet, 0);
    ip.total_length = rte_cpu_to_be_16(static_cast<std::uint16_t>(packet.size()));
    ip.hdr_checksum = 0;
    ip.hdr_checksum = rte_ipv4_cksum(&ip);
    if ((rte_be_to_cpu_16(ip.fragment_offset) & 0x3fffU) != 0) return;
    const auto sum_at = [&](std::size_t offset, auto sum_of) {
        if (packet.size() < ip_bytes + offset + 2) return;
        auto& sum = at<nat::Wire<std::uint16_t>>(packet, ip_bytes + offset);
        sum = std::uint16_t{0};
        sum = static_cast<std::uint16_t>(sum_of());
    };
    const auto with_addresses = [&] {
        return rte_ipv4_udptcp_cksum(&ip, packet.data() + ip_bytes);
    };
    if (ip.next_proto_id == nat::ip_protocol::tcp) sum_at(16, with_addresses);
    if (ip.next_proto_id == nat::ip_protocol::udp) sum_at(6, with_addresses);
    if (ip.next_proto_id == nat::ip_protocol::icmp)
        sum_at(2, [&] {
            return ~rte_raw_cksum(packet.data() + ip_bytes, packet.size() - ip_bytes) & 0xffff;
        });
}

}  // namespace noclash::dpdk::test
