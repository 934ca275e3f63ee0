// SPDX-License-Identifier: Apache-2.0
#include "tools/cpsload/frame.hpp"

#include <cstring>

#include "nat/checksum.hpp"

namespace noclash::cpsload {
namespace {

using nat::EthernetHeader;
using nat::TcpHeader;
using nat::UdpHeader;
using Ip = nat::IpHeader<V4>;
namespace checksum = nat::checksum;

constexpr std::uint8_t ttl = 64;
constexpr std::uint16_t window = 64240;  // no scaling: no connection sends more

template <class T>
std::span<const std::uint8_t> bytes_of(const T& header) {
    return {reinterpret_cast<const std::uint8_t*>(&header), sizeof header};
}

/// What a 16-bit word adds to a sum, which is over words as they lie in memory.
std::uint64_t word(std::uint16_t value) {
    return Be16::from_host(value).wire();
}

std::uint64_t addresses(const Ends& ends) {
    return std::uint64_t{ends.source.value.wire()} + ends.destination.value.wire();
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
    // We send a checksum with each datagram, and no gateway may take it away (RFC 5382, RFC 7857).
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
    if (!checksum::good(checksum::sum(packet.first(header)))) return FrameKind::bad_checksum;
    if (ip.protocol == nat::ip_protocol::icmp) return FrameKind::icmp;
    const auto l4 = packet.subspan(header, length - header);
    segment.ends.source = ip.source.get();
    segment.ends.destination = ip.destination.get();
    segment.protocol = ip.protocol;
    FrameKind kind = FrameKind::other;
    if (ip.protocol == nat::ip_protocol::tcp) kind = read_tcp(l4, segment);
    if (ip.protocol == nat::ip_protocol::udp) kind = read_udp(l4, segment);
    if (kind != FrameKind::segment) return kind;
    const std::uint64_t pseudo =
        addresses(segment.ends) + word(ip.protocol) + word(static_cast<std::uint16_t>(l4.size()));
    return checksum::good(pseudo + checksum::sum(l4)) ? FrameKind::segment
                                                      : FrameKind::bad_checksum;
}

FrameWriter::FrameWriter(const nat::MacAddress& from, const nat::MacAddress& to)
    : ethernet_{to, from, {}}, ip_{}, tcp_{} {
    ethernet_.type = Be16::from_host(nat::ether_type::ipv4);
    ip_.version_and_length = 0x45;
    ip_.fragment = Be16::from_host(Ip::dont_fragment);  // so the id may be 0 (RFC 6864)
    ip_.ttl = ttl;
    ip_sum_ = checksum::sum(bytes_of(ip_));
    tcp_.data_offset = sizeof(TcpHeader) / 4 << 4;
    tcp_.window = Be16::from_host(window);
    tcp_sum_ = checksum::sum(bytes_of(tcp_)) + word(nat::ip_protocol::tcp);
}

void FrameWriter::link_and_ip(std::uint8_t* room, const Ends& ends, std::uint8_t protocol,
                              std::uint16_t l4_bytes) const {
    std::memcpy(room, &ethernet_, sizeof ethernet_);
    Ip ip = ip_;
    const auto length = static_cast<std::uint16_t>(sizeof ip + l4_bytes);
    ip.total_length = Be16::from_host(length);
    ip.protocol = protocol;
    ip.source = ends.source;
    ip.destination = ends.destination;
    // The protocol is the lower byte of a word.
    ip.checksum = checksum::finish(ip_sum_ + word(length) + word(protocol) + addresses(ends));
    std::memcpy(room + sizeof ethernet_, &ip, sizeof ip);
}

std::uint16_t FrameWriter::tcp(std::uint8_t* room, const Ends& ends, const Tcp& tcp,
                               std::uint16_t payload_bytes) const {
    const auto l4_bytes = static_cast<std::uint16_t>(sizeof(TcpHeader) + payload_bytes);
    link_and_ip(room, ends, nat::ip_protocol::tcp, l4_bytes);
    TcpHeader header = tcp_;
    const Be32 sequence = Be32::from_host(tcp.sequence);
    const Be32 acknowledgment = Be32::from_host(tcp.acknowledgment);
    header.source_port = Be16::from_host(ends.source_port);
    header.destination_port = Be16::from_host(ends.destination_port);
    header.sequence = sequence;
    header.acknowledgment = acknowledgment;
    header.flags = tcp.flags;
    std::uint64_t sum = tcp_sum_ + addresses(ends) + word(ends.source_port) +
                        word(ends.destination_port) + sequence.wire() + acknowledgment.wire() +
                        word(tcp.flags) + word(l4_bytes);
    if (payload_bytes > 0) sum += checksum::sum({room + tcp_payload_at, payload_bytes});
    header.checksum = checksum::finish(sum);
    std::memcpy(room + tcp_payload_at - sizeof header, &header, sizeof header);
    return static_cast<std::uint16_t>(tcp_payload_at + payload_bytes);
}

std::uint16_t FrameWriter::udp(std::uint8_t* room, const Ends& ends,
                               std::uint16_t payload_bytes) const {
    const auto l4_bytes = static_cast<std::uint16_t>(sizeof(UdpHeader) + payload_bytes);
    link_and_ip(room, ends, nat::ip_protocol::udp, l4_bytes);
    UdpHeader header{};
    header.source_port = Be16::from_host(ends.source_port);
    header.destination_port = Be16::from_host(ends.destination_port);
    header.length = Be16::from_host(l4_bytes);
    const Be16 sum =
        checksum::finish(addresses(ends) + word(nat::ip_protocol::udp) + 2 * word(l4_bytes) +
                         word(ends.source_port) + word(ends.destination_port) +
                         checksum::sum({room + udp_payload_at, payload_bytes}));
    // On the wire, 0 says that a datagram has no checksum (RFC 768).
    header.checksum = sum == Be16{} ? Be16::from_wire(0xffff) : sum;
    std::memcpy(room + udp_payload_at - sizeof header, &header, sizeof header);
    return static_cast<std::uint16_t>(udp_payload_at + payload_bytes);
}

}  // namespace noclash::cpsload
