// SPDX-License-Identifier: Apache-2.0
#include "tools/cpsload/frame.hpp"

#include <cstring>

#include "nat/packet/checksum.hpp"

namespace noclash::cpsload {
namespace {

using nat::EthernetHeader;
using nat::TcpHeader;
using nat::UdpHeader;
using Ip = nat::IpHeader<V4>;
namespace checksum = nat::checksum;

constexpr std::uint8_t ttl = 64;
constexpr std::size_t ip_at = sizeof(EthernetHeader);
constexpr std::size_t l4_at = ip_at + sizeof(Ip);
constexpr std::uint16_t receive_window = 64240;  // no scaling: no connection sends more

template <class T>
std::span<const std::uint8_t> bytes_of(const T& header) {
    return {reinterpret_cast<const std::uint8_t*>(&header), sizeof header};
}

/// The addend of a 16-bit word to a sum, which is over words as they lie in memory.
std::uint64_t sum_of(std::uint16_t value) {
    return Be16::from_host(value).wire();
}

std::uint64_t addresses(const Ends& ends) {
    return std::uint64_t{ends.source.value.wire()} + ends.destination.value.wire();
}

template <class Word>
std::uint64_t load(const std::uint8_t* at) {
    Word value;
    std::memcpy(&value, at, sizeof value);
    return value;
}

/// The sum of a header without options, of IP and of TCP alike: no loop, nothing to mispredict.
std::uint64_t sum_of_20(const std::uint8_t* at) {
    using Word = std::uint32_t;
    return load<Word>(at) + load<Word>(at + 4) + load<Word>(at + 8) + load<Word>(at + 12) +
           load<Word>(at + 16);
}

/// The sum of bytes, in 4-byte words, which need no carry within 16 GiB; a last odd byte is padded
/// with zero (RFC 1071, section 2).
std::uint64_t sum_of(const std::uint8_t* at, std::size_t count) {
    std::uint64_t total = 0;
    for (; count >= 8; at += 8, count -= 8) {
        const std::uint64_t words = load<std::uint64_t>(at);
        total += (words & 0xffffffff) + (words >> 32U);
    }
    if ((count & 4U) != 0) {
        total += load<std::uint32_t>(at);
        at += 4;
    }
    if ((count & 2U) != 0) {
        total += load<std::uint16_t>(at);
        at += 2;
    }
    return (count & 1U) != 0 ? total + *at : total;
}

/// Writes what changes in an IP header; `sum` is over what does not.
void write_ip(std::uint8_t* at, std::uint64_t sum, const Ends& ends, std::uint16_t l4_bytes) {
    auto& ip = *reinterpret_cast<Ip*>(at);
    const auto length = Be16::from_host(static_cast<std::uint16_t>(sizeof ip + l4_bytes));
    ip.total_length = length;
    ip.source = ends.source;
    ip.destination = ends.destination;
    ip.checksum = checksum::finish(sum + length.wire() + addresses(ends));
}

FrameKind read_tcp(std::span<std::uint8_t> l4, Segment& segment) {
    if (l4.size() < sizeof(TcpHeader)) return FrameKind::other;
    const auto& tcp = *reinterpret_cast<const TcpHeader*>(l4.data());
    const std::size_t header = tcp.header_length();
    if (header < sizeof tcp || header > l4.size()) return FrameKind::other;
    segment.ends.source_port = tcp.source_port.get().host();
    segment.ends.destination_port = tcp.destination_port.get().host();
    segment.sequence = tcp.sequence.get().host();
    segment.acknowledgment = tcp.acknowledgment.get().host();
    segment.flags = tcp.flags;
    segment.payload = l4.subspan(header);
    return FrameKind::segment;
}

FrameKind read_udp(std::span<std::uint8_t> l4, Segment& segment) {
    if (l4.size() < sizeof(UdpHeader)) return FrameKind::other;
    const auto& udp = *reinterpret_cast<const UdpHeader*>(l4.data());
    if (udp.length.get().host() != l4.size()) return FrameKind::other;
    // We send a checksum with each datagram; a gateway that takes it away leaves nothing to check.
    if (udp.checksum.get() == Be16{}) return FrameKind::bad_checksum;
    segment.ends.source_port = udp.source_port.get().host();
    segment.ends.destination_port = udp.destination_port.get().host();
    segment.flags = 0;
    segment.payload = l4.subspan(sizeof udp);
    return FrameKind::segment;
}

}  // namespace

FrameKind read_frame(std::span<std::uint8_t> frame, Segment& segment) {
    if (frame.size() < sizeof(EthernetHeader) + sizeof(Ip)) return FrameKind::other;
    const auto type = reinterpret_cast<const EthernetHeader*>(frame.data())->type.get().host();
    if (type == nat::ether_type::arp) return FrameKind::arp;
    if (type != nat::ether_type::ipv4) return FrameKind::other;
    const auto packet = frame.subspan(sizeof(EthernetHeader));
    const auto& ip = *reinterpret_cast<const Ip*>(packet.data());
    const std::size_t header = ip.header_length();
    const std::size_t length = ip.total_length.get().host();
    const bool fragment = (ip.fragment.get().host() & (Ip::more_fragments | Ip::offset_mask)) != 0;
    if (ip.version() != 4 || header < sizeof ip || length < header || length > packet.size() ||
        fragment)
        return FrameKind::other;
    if (!checksum::good(header == sizeof ip ? sum_of_20(packet.data())
                                            : sum_of(packet.data(), header)))
        return FrameKind::bad_checksum;
    if (ip.protocol == nat::ip_protocol::icmp) return FrameKind::icmp;
    const auto l4 = packet.subspan(header, length - header);
    segment.ends.source = ip.source.get();
    segment.ends.destination = ip.destination.get();
    segment.protocol = ip.protocol;
    FrameKind kind = FrameKind::other;
    if (ip.protocol == nat::ip_protocol::tcp) kind = read_tcp(l4, segment);
    if (ip.protocol == nat::ip_protocol::udp) kind = read_udp(l4, segment);
    if (kind != FrameKind::segment) return kind;
    const std::uint64_t pseudo = addresses(segment.ends) + sum_of(ip.protocol) +
                                 sum_of(static_cast<std::uint16_t>(l4.size()));
    const std::uint64_t sum = ip.protocol == nat::ip_protocol::tcp
                                  ? sum_of_20(l4.data()) + sum_of(l4.data() + 20, l4.size() - 20)
                                  : sum_of(l4.data(), l4.size());
    return checksum::good(pseudo + sum) ? FrameKind::segment : FrameKind::bad_checksum;
}

FrameWriter::Template FrameWriter::make_template(const nat::MacAddress& from,
                                                 const nat::MacAddress& to, std::uint8_t protocol) {
    EthernetHeader ethernet{to, from, {}};
    ethernet.type = Be16::from_host(nat::ether_type::ipv4);
    Ip ip{};
    ip.version_and_length = 0x45;
    ip.fragment = Be16::from_host(Ip::dont_fragment);  // so the id may be 0 (RFC 6864)
    ip.ttl = ttl;
    ip.protocol = protocol;
    Template made;
    std::memcpy(made.bytes.data(), &ethernet, sizeof ethernet);
    std::memcpy(made.bytes.data() + ip_at, &ip, sizeof ip);
    made.ip_sum = checksum::sum(bytes_of(ip));
    made.l4_sum = sum_of(protocol);
    if (protocol == nat::ip_protocol::tcp) {
        TcpHeader tcp{};
        tcp.data_offset = sizeof(TcpHeader) / 4 << 4;
        tcp.window = Be16::from_host(receive_window);
        std::memcpy(made.bytes.data() + l4_at, &tcp, sizeof tcp);
        made.l4_sum += checksum::sum(bytes_of(tcp));
    }
    return made;
}

FrameWriter::FrameWriter(const nat::MacAddress& from, const nat::MacAddress& to)
    : tcp_(make_template(from, to, nat::ip_protocol::tcp)),
      udp_(make_template(from, to, nat::ip_protocol::udp)) {}

// Both write the template, then every field over it, and read nothing back: a load that spans two
// stores would wait for them.

std::uint16_t FrameWriter::tcp(std::uint8_t* room, const Ends& ends, const Tcp& tcp,
                               std::uint16_t payload_bytes) const {
    std::uint64_t sum = tcp_.l4_sum;
    if (payload_bytes > 0) sum += sum_of(room + tcp_payload_at, payload_bytes);
    std::memcpy(room, tcp_.bytes.data(), tcp_payload_at);
    const auto l4_bytes = static_cast<std::uint16_t>(sizeof(TcpHeader) + payload_bytes);
    write_ip(room + ip_at, tcp_.ip_sum, ends, l4_bytes);
    auto& header = *reinterpret_cast<TcpHeader*>(room + l4_at);
    const Be32 sequence = Be32::from_host(tcp.sequence);
    const Be32 acknowledgment = Be32::from_host(tcp.acknowledgment);
    const Be16 source_port = Be16::from_host(ends.source_port);
    const Be16 destination_port = Be16::from_host(ends.destination_port);
    sum += addresses(ends) + source_port.wire() + destination_port.wire() + sequence.wire() +
           acknowledgment.wire() + sum_of(tcp.flags) + sum_of(l4_bytes);
    header.source_port = source_port;
    header.destination_port = destination_port;
    header.sequence = sequence;
    header.acknowledgment = acknowledgment;
    header.flags = tcp.flags;
    header.checksum = checksum::finish(sum);
    return static_cast<std::uint16_t>(tcp_payload_at + payload_bytes);
}

std::uint16_t FrameWriter::udp(std::uint8_t* room, const Ends& ends,
                               std::uint16_t payload_bytes) const {
    std::uint64_t sum = udp_.l4_sum + sum_of(room + udp_payload_at, payload_bytes);
    std::memcpy(room, udp_.bytes.data(), l4_at);
    const auto l4_bytes = static_cast<std::uint16_t>(sizeof(UdpHeader) + payload_bytes);
    write_ip(room + ip_at, udp_.ip_sum, ends, l4_bytes);
    auto& header = *reinterpret_cast<UdpHeader*>(room + l4_at);
    header.source_port = Be16::from_host(ends.source_port);
    header.destination_port = Be16::from_host(ends.destination_port);
    header.length = Be16::from_host(l4_bytes);
    sum += addresses(ends) + 2UL * sum_of(l4_bytes) + sum_of(ends.source_port) +
           sum_of(ends.destination_port);
    const Be16 whole = checksum::finish(sum);
    // On the wire, 0 says that a datagram has no checksum (RFC 768).
    header.checksum = whole == Be16{} ? Be16::from_wire(0xffff) : whole;
    return static_cast<std::uint16_t>(udp_payload_at + payload_bytes);
}

}  // namespace noclash::cpsload
