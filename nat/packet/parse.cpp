// SPDX-License-Identifier: Apache-2.0
#include "nat/packet/parse.hpp"

#include <span>

#include "nat/packet/checksum.hpp"
#include "nat/packet/headers.hpp"
#include "nat/packet/martian.hpp"
#include "nat/packet/sctp_chunks.hpp"

namespace noclash::nat {
namespace {

std::span<const std::uint8_t> bytes(const PacketView& packet, std::uint32_t offset,
                                    std::uint32_t length) {
    return {packet.data + offset, length};
}

DropReason check_options(std::span<const std::uint8_t> options) {
    constexpr std::uint8_t end_of_list = 0, no_operation = 1, loose_source_route = 131,
                           strict_source_route = 137;
    while (!options.empty() && options[0] != end_of_list) {
        if (options[0] == no_operation) {
            options = options.subspan(1);
            continue;
        }
        if (options.size() < 2 || options[1] < 2 || options[1] > options.size()) {
            return DropReason::bad_ip_header;
        }
        if (options[0] == loose_source_route || options[0] == strict_source_route) {
            return DropReason::source_route;
        }
        options = options.subspan(options[1]);
    }
    return DropReason::none;
}

template <class Family>
DropReason parse_tcp(const PacketView& packet, Parsed<Family>& out) {
    const auto* tcp = header_at<TcpHeader>(packet, out.l4_offset, out.length);
    if (tcp == nullptr) return DropReason::bad_l4_header;
    const std::uint32_t header_length = tcp->header_length();
    if (header_length < sizeof(TcpHeader) || header_length > out.length - out.l4_offset) {
        return DropReason::bad_l4_header;
    }
    if (!is_sound(tcp->flags)) return DropReason::bad_l4_header;
    if (packet.l4_checksum == Checked::bad) return DropReason::bad_l4_checksum;
    out.kind = PacketKind::tcp;
    out.tcp_flags = tcp->flags;
    out.tcp_data = static_cast<std::uint16_t>(out.length - out.l4_offset - header_length);
    out.tuple.source_port = tcp->source_port.get();
    out.tuple.destination_port = tcp->destination_port.get();
    return DropReason::none;
}

template <class Family>
DropReason parse_udp(const PacketView& packet, Parsed<Family>& out) {
    const auto* udp = header_at<UdpHeader>(packet, out.l4_offset, out.length);
    if (udp == nullptr) return DropReason::bad_l4_header;
    const std::uint32_t length = udp->length.get().host();
    if (length < sizeof(UdpHeader) || length > out.length - out.l4_offset) {
        return DropReason::bad_l4_header;
    }
    // Some devices call a datagram without a checksum bad.
    if (packet.l4_checksum == Checked::bad && udp->checksum.get() != Be16{}) {
        return DropReason::bad_l4_checksum;
    }
    out.kind = PacketKind::udp;
    out.tuple.source_port = udp->source_port.get();
    out.tuple.destination_port = udp->destination_port.get();
    return DropReason::none;
}

/// Parses UDP-Lite. The device's word on the checksum is not asked: few know how much it covers.
template <class Family>
DropReason parse_udp_lite(const PacketView& packet, Parsed<Family>& out) {
    const auto* udp = header_at<UdpHeader>(packet, out.l4_offset, out.length);
    if (udp == nullptr) return DropReason::bad_l4_header;
    const std::uint32_t coverage = udp->length.get().host();
    if ((coverage != 0 && coverage < sizeof *udp) || coverage > out.length - out.l4_offset)
        return DropReason::bad_l4_header;
    // There is always a checksum (RFC 3828, section 3.1).
    if (udp->checksum.get() == Be16{}) return DropReason::bad_l4_checksum;
    out.kind = PacketKind::udp_lite;
    out.tuple.source_port = udp->source_port.get();
    out.tuple.destination_port = udp->destination_port.get();
    return DropReason::none;
}

template <class Family>
DropReason parse_sctp(const PacketView& packet, Parsed<Family>& out) {
    out.kind = PacketKind::sctp;
    return read_sctp(packet, out.l4_offset, out.length, out.tuple.source_port,
                     out.tuple.destination_port, out.tcp_flags);
}

/// Puts the identifier of a query that is translated [RFC 5508 REQ-1] into the tuple; false when
/// `icmp` is none. An echo and a timestamp query with one identifier are one flow.
bool take_query(const IcmpHeader& icmp, Tuple<V4>& tuple) {
    if (icmp_type::is_request(icmp.type)) {
        tuple.source_port = icmp.id.get();
        tuple.destination_port = Be16{};
        return true;
    }
    if (icmp_type::is_reply(icmp.type)) {
        tuple.source_port = Be16{};
        tuple.destination_port = icmp.id.get();
        return true;
    }
    return false;
}

/// How much of a transport header must be quoted (RFC 792), in bytes; without ports, nothing of it
/// is needed, and the whole packet may have been shorter.
constexpr std::uint32_t quoted_transport(std::uint8_t protocol) {
    return ip_protocol::is_portless(protocol) ? 0 : 8;
}

/// The packet that an ICMP error quotes: an IP header and at least 8 bytes of transport (RFC 792).
/// Its total length tells nothing of how much is quoted, and its addresses are checked by finding
/// its flow.
DropReason parse_quote(const PacketView& packet, Parsed<V4>& out) {
    const std::uint32_t offset = out.l4_offset + std::uint32_t{sizeof(IcmpHeader)};
    const auto* ip = header_at<IpHeader<V4>>(packet, offset, out.length);
    if (ip == nullptr) return DropReason::bad_l4_header;
    const std::uint32_t header_length = ip->header_length();
    if (ip->version() != 4 || header_length < sizeof *ip ||
        header_length + quoted_transport(ip->protocol) > out.length - offset) {
        return DropReason::bad_l4_header;
    }
    // Neither its IP checksum, which routers that have changed the header leave as it was, nor its
    // transport header is checked, but that it is there [RFC 5508 REQ-3].
    if ((ip->fragment.get().host() & IpHeader<V4>::offset_mask) != 0) {
        return DropReason::icmp_unrelated;
    }
    const std::uint32_t l4_offset = offset + header_length;
    out.inner_offset = static_cast<std::uint16_t>(offset);
    out.inner_l4_offset = static_cast<std::uint16_t>(l4_offset);
    out.tuple.source = ip->source.get();
    out.tuple.destination = ip->destination.get();
    out.tuple.protocol = ip->protocol;
    switch (ip->protocol) {
        case ip_protocol::tcp:
        case ip_protocol::udp:
        case ip_protocol::udp_lite:
        case ip_protocol::sctp: {
            const auto& ports = header<UdpHeader>(packet, l4_offset);
            out.tuple.source_port = ports.source_port.get();
            out.tuple.destination_port = ports.destination_port.get();
            return DropReason::none;
        }
        case ip_protocol::icmp:
            return take_query(header<IcmpHeader>(packet, l4_offset), out.tuple)
                       ? DropReason::none
                       : DropReason::icmp_unrelated;
        default:
            return ip_protocol::is_portless(ip->protocol) ? DropReason::none
                                                          : DropReason::icmp_unrelated;
    }
}

DropReason parse_icmp(const PacketView& packet, Parsed<V4>& out) {
    constexpr std::uint32_t timestamp_length = 20;  // the header and three times
    const auto* icmp = header_at<IcmpHeader>(packet, out.l4_offset, out.length);
    if (icmp == nullptr) return DropReason::bad_l4_header;
    if (packet.l4_checksum == Checked::bad) return DropReason::bad_l4_checksum;
    switch (icmp->type) {
        case icmp_type::timestamp_request:
        case icmp_type::timestamp_reply:
            if (out.length - out.l4_offset < timestamp_length) return DropReason::bad_l4_header;
            [[fallthrough]];
        case icmp_type::echo_request:
        case icmp_type::echo_reply:
            out.kind = icmp_type::is_request(icmp->type) ? PacketKind::icmp_request
                                                         : PacketKind::icmp_reply;
            take_query(*icmp, out.tuple);
            return DropReason::none;
        case icmp_type::unreachable:
        case icmp_type::source_quench:
        case icmp_type::time_exceeded:
        case icmp_type::parameter_problem:
            // Its tuple will be the quoted packet's: nobody would ask about its own addresses.
            if (is_martian(out.tuple)) return DropReason::bad_address;
            out.kind = PacketKind::icmp_error;
            return parse_quote(packet, out);
        case icmp_type::redirect:  // Speaks of a link, and has no business beyond it.
            return DropReason::icmp_unrelated;
        default:
            return DropReason::protocol;
    }
}

/// Field by field, so that it is a few stores and no copy of a temporary.
void clear(Parsed<V4>& out, std::uint16_t zone) {
    out.tuple.source = {};
    out.tuple.destination = {};
    out.tuple.source_port = {};
    out.tuple.destination_port = {};
    out.tuple.zone = zone;
    out.tuple.protocol = 0;
    out.tuple.reserved = 0;
    out.length = 0;
    out.l4_offset = 0;
    out.kind = PacketKind::udp;
    out.tcp_flags = 0;
    out.ttl = 0;
    out.tcp_data = 0;
    out.inner_offset = 0;
    out.inner_l4_offset = 0;
}

/// The sum of the IP header that `packet` begins with; nearly all have no options.
std::uint64_t header_sum(const PacketView& packet, std::uint16_t header_length) {
    constexpr std::size_t least = sizeof(IpHeader<V4>);
    if (header_length == least) [[likely]]
        return checksum::sum_of<least>(packet.data);
    return checksum::sum(bytes(packet, 0, header_length));
}

/// Everything up to the transport header; answers its protocol in `out.tuple.protocol`.
DropReason parse_ip(const PacketView& packet, Parsed<V4>& out) {
    const auto* ip = header_at<IpHeader<V4>>(packet, 0, packet.length);
    if (ip == nullptr) return DropReason::truncated;
    const std::uint16_t header_length = ip->header_length();
    const std::uint32_t total_length = ip->total_length.get().host();
    if (ip->version() != 4 || header_length < sizeof *ip || total_length < header_length) {
        return DropReason::bad_ip_header;
    }
    if (total_length > packet.length) return DropReason::truncated;
    if (packet.ip_checksum == Checked::bad ||
        (packet.ip_checksum == Checked::unknown &&
         !checksum::good(header_sum(packet, header_length)))) {
        return DropReason::bad_ip_checksum;
    }
    if (header_length > sizeof *ip) {
        const DropReason options =
            check_options(bytes(packet, sizeof *ip, header_length - std::uint32_t{sizeof *ip}));
        if (options != DropReason::none) return options;
    }
    const V4Address source = ip->source.get();
    const V4Address destination = ip->destination.get();
    const std::uint16_t fragment = ip->fragment.get().host();
    if ((fragment & (IpHeader<V4>::more_fragments | IpHeader<V4>::offset_mask)) != 0) {
        return is_martian(source, destination) ? DropReason::bad_address : DropReason::fragment;
    }
    out.tuple.source = source;
    out.tuple.destination = destination;
    out.tuple.protocol = ip->protocol;
    out.length = total_length;
    out.l4_offset = header_length;
    out.ttl = ip->ttl;
    return DropReason::none;
}

std::uint64_t pseudo_header(const Parsed<V4>& parsed, std::uint32_t length) {
    return checksum::pseudo_header<V4>(parsed.tuple.source, parsed.tuple.destination,
                                       parsed.tuple.protocol, length);
}

/// As `l4_checksum_ok`, of anything but TCP and UDP.
[[gnu::noinline]] bool other_checksum_ok(const PacketView& packet, const Parsed<V4>& parsed) {
    const std::uint32_t length = parsed.length - parsed.l4_offset;
    const auto segment = bytes(packet, parsed.l4_offset, length);
    if (parsed.kind == PacketKind::other) return true;
    if (parsed.kind == PacketKind::sctp) return sctp_checksum_ok(packet, parsed.l4_offset, length);
    if (parsed.kind == PacketKind::udp_lite) {
        // The pseudo header tells the datagram's length, not the coverage.
        const auto& udp = header<UdpHeader>(packet, parsed.l4_offset);
        const std::uint16_t coverage = udp.length.get().host();
        return checksum::good(checksum::sum(coverage != 0 ? segment.first(coverage) : segment,
                                            pseudo_header(parsed, length)));
    }
    return packet.l4_checksum == Checked::good || checksum::good(checksum::sum(segment));
}

}  // namespace

template <>
DropReason parse_any<V4>(const PacketView& packet, std::uint16_t zone, Parsed<V4>& out) {
    clear(out, zone);
    const DropReason reason = parse_ip(packet, out);
    if (reason != DropReason::none) return reason;
    switch (out.tuple.protocol) {
        case ip_protocol::tcp:
            return parse_tcp<V4>(packet, out);
        case ip_protocol::udp:
            return parse_udp<V4>(packet, out);
        case ip_protocol::icmp:
            return parse_icmp(packet, out);
        case ip_protocol::udp_lite:
            return parse_udp_lite<V4>(packet, out);
        case ip_protocol::sctp:
            return parse_sctp<V4>(packet, out);
        default:
            if (!ip_protocol::is_portless(out.tuple.protocol)) return DropReason::protocol;
            out.kind = PacketKind::other;
            return DropReason::none;
    }
}

template <>
bool l4_checksum_ok<V4>(const PacketView& packet, const Parsed<V4>& parsed) {
    const bool tcp = parsed.kind == PacketKind::tcp;
    if (!tcp && parsed.kind != PacketKind::udp) [[unlikely]]
        return other_checksum_ok(packet, parsed);
    if (packet.l4_checksum == Checked::good) return true;
    const std::uint8_t* const segment = packet.data + parsed.l4_offset;
    std::uint32_t length = parsed.length - parsed.l4_offset;
    if (!tcp) {
        const auto& udp = header<UdpHeader>(packet, parsed.l4_offset);
        if (udp.checksum.get() == Be16{}) return true;
        length = udp.length.get().host();
    }
    const std::uint64_t pseudo = pseudo_header(parsed, length);
    // A TCP header is there anyway, and often nothing else.
    constexpr std::uint32_t least = sizeof(TcpHeader);
    if (!tcp) return checksum::good(checksum::sum({segment, length}, pseudo));
    const std::uint64_t header_sum = checksum::sum_of<least>(segment) + pseudo;
    if (length == least) return checksum::good(header_sum);
    return checksum::good(checksum::sum({segment + least, length - least}, header_sum));
}

}  // namespace noclash::nat
