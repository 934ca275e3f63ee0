// SPDX-License-Identifier: Apache-2.0
#include "nat/packet/rewrite.hpp"

#include <array>
#include <bit>
#include <cassert>
#include <cstddef>
#include <cstdint>

#include "nat/packet/checksum.hpp"
#include "nat/packet/crc32c.hpp"
#include "nat/packet/headers.hpp"
#include "nat/packet/tcp_options.hpp"

namespace noclash::nat {
namespace {

using checksum::Delta;

template <class T>
void set(Wire<T>& field, const T& value, Delta& delta) {
    delta.replace(field.get(), value);
    field = value;
}

/// Returns what changed in the words that the transport's pseudo header holds too.
template <class Family>
Delta set_addresses(IpHeader<Family>& ip, const typename Family::Address& source,
                    const typename Family::Address& destination) {
    Delta addresses;
    set(ip.source, source, addresses);
    set(ip.destination, destination, addresses);
    return addresses;
}

/// One hop less, but for the checksum.
Delta take_hop(IpHeader<V4>& ip) {
    using Bytes = std::array<std::uint8_t, 2>;
    const Bytes before{ip.ttl, ip.protocol};
    --ip.ttl;
    Delta delta;
    delta.replace(before, Bytes{ip.ttl, ip.protocol});
    return delta;
}

/// A segment, or what is quoted of one.
struct Segment {
    std::uint32_t offset;
    /// How much of it is there: at least 8 bytes, so of quoted TCP and SCTP the checksum may be
    /// missing. Without ports, nothing need be.
    std::uint32_t available;
    std::uint16_t length;  ///< of the whole, as it was sent
};

/// The checksum covers the segment alone, without addresses.
template <class Family>
Delta rewrite_sctp(const PacketView& packet, const Segment& segment, const Tuple<Family>& to) {
    using Ports = std::array<Be16, 2>;
    Delta changed;
    auto& sctp = header<SctpHeader>(packet, segment.offset);
    const auto before =
        std::bit_cast<std::uint32_t>(Ports{sctp.source_port.get(), sctp.destination_port.get()});
    const auto after = std::bit_cast<std::uint32_t>(Ports{to.source_port, to.destination_port});
    set(sctp.source_port, to.source_port, changed);
    set(sctp.destination_port, to.destination_port, changed);
    constexpr std::uint16_t ports = sizeof(Ports);
    if (segment.available < sizeof sctp || segment.length < ports) return changed;
    const auto difference = std::bit_cast<std::array<std::uint8_t, ports>>(before ^ after);
    const std::uint32_t crc =
        crc32c::from_wire(sctp.checksum.get()) ^
        crc32c::change(difference, static_cast<std::uint16_t>(segment.length - ports));
    set(sctp.checksum, crc32c::to_wire(crc), changed);
    return changed;
}

/// Ports or identifier become those of `to`, and the checksum follows them and, except in ICMP and
/// SCTP, the addresses. Returns what changed in the segment, its checksum included.
template <class Family>
Delta rewrite_transport(const PacketView& packet, const Segment& segment, const Tuple<Family>& to,
                        const Delta& addresses) {
    Delta changed;
    const std::uint32_t offset = segment.offset;
    if (to.protocol == ip_protocol::tcp) {
        auto& tcp = header<TcpHeader>(packet, offset);
        set(tcp.source_port, to.source_port, changed);
        set(tcp.destination_port, to.destination_port, changed);
        if (segment.available < offsetof(TcpHeader, checksum) + sizeof tcp.checksum) return changed;
        Delta covered = changed;
        covered.add(addresses);
        set(tcp.checksum, covered.apply(tcp.checksum.get()), changed);
    } else if (to.protocol == ip_protocol::udp || to.protocol == ip_protocol::udp_lite) {
        // UDP-Lite's checksum covers addresses and ports, whatever else.
        auto& udp = header<UdpHeader>(packet, offset);
        set(udp.source_port, to.source_port, changed);
        set(udp.destination_port, to.destination_port, changed);
        if (udp.checksum.get() == Be16{}) return changed;
        Delta covered = changed;
        covered.add(addresses);
        set(udp.checksum, covered.apply_nonzero(udp.checksum.get()), changed);
    } else if (to.protocol == Family::icmp_protocol) {
        auto& icmp = header<IcmpHeader>(packet, offset);
        set(icmp.id, icmp_type::is_request(icmp.type) ? to.source_port : to.destination_port,
            changed);
        const Be16 checksum = icmp.checksum.get();
        const bool may_be_all_zero = icmp.type == icmp_type::echo_reply;
        set(icmp.checksum,
            may_be_all_zero ? changed.apply_nonzero(checksum) : changed.apply(checksum), changed);
    } else if (to.protocol == ip_protocol::sctp) {
        return rewrite_sctp(packet, segment, to);
    }
    return changed;
}

template <class Family>
Segment segment_of(const Parsed<Family>& parsed) {
    const std::uint32_t length = parsed.length - parsed.l4_offset;
    return {parsed.l4_offset, length, static_cast<std::uint16_t>(length)};
}

}  // namespace

template <>
void clamp_mss<V4>(const PacketView& packet, const Parsed<V4>& parsed, std::uint16_t most) {
    assert(parsed.kind == PacketKind::tcp);
    std::uint8_t* const segment = packet.data + parsed.l4_offset;
    auto& tcp = header<TcpHeader>(packet, parsed.l4_offset);
    const std::uint32_t at =
        find_tcp_option(segment, tcp.header_length(), tcp_option::max_segment_size);
    if (at == 0) return;
    using Bytes = std::array<std::uint8_t, 2>;
    auto& mss = *reinterpret_cast<Wire<Bytes>*>(segment + at);
    const Bytes before = mss.get();
    if ((before[0] << 8 | before[1]) <= most) return;
    const Bytes after{static_cast<std::uint8_t>(most >> 8), static_cast<std::uint8_t>(most & 0xff)};
    mss = after;
    // Behind a no-operation the value may begin at an odd byte: it is summed with its bytes swapped
    // (RFC 1071, section 2, B).
    const auto summed = [&](Bytes bytes) {
        return at % 2 == 0 ? bytes : Bytes{bytes[1], bytes[0]};
    };
    checksum::Delta changed;
    changed.replace(summed(before), summed(after));
    tcp.checksum = changed.apply(tcp.checksum.get());
}

template <>
void translate_any<V4>(const PacketView& packet, const Parsed<V4>& parsed,
                       const Tuple<V4>& answer) {
    const Tuple<V4> to = answer.inverse();
    auto& ip = header<IpHeader<V4>>(packet, 0);
    Delta header = take_hop(ip);
    if (to != parsed.tuple) {
        const Delta addresses = set_addresses(ip, to.source, to.destination);
        header.add(addresses);
        rewrite_transport(packet, segment_of(parsed), to, addresses);
    }
    ip.checksum = header.apply(ip.checksum.get());
}

template <>
void rewrite_icmp_error<V4>(const PacketView& packet, const Parsed<V4>& parsed,
                            const Tuple<V4>& quoted, const V4Address& source,
                            const V4Address& destination) {
    auto& outer = header<IpHeader<V4>>(packet, 0);
    outer.checksum = set_addresses(outer, source, destination).apply(outer.checksum.get());

    auto& inner = header<IpHeader<V4>>(packet, parsed.inner_offset);
    const Delta addresses = set_addresses(inner, quoted.source, quoted.destination);
    Delta changed = addresses;
    set(inner.checksum, addresses.apply(inner.checksum.get()), changed);
    // The quoted length may be wrong; then so was SCTP's checksum, and it stays wrong.
    const Segment segment{
        parsed.inner_l4_offset, parsed.length - parsed.inner_l4_offset,
        static_cast<std::uint16_t>(inner.total_length.get().host() - inner.header_length())};
    changed.add(rewrite_transport(packet, segment, quoted, addresses));

    auto& icmp = header<IcmpHeader>(packet, parsed.l4_offset);
    icmp.checksum = changed.apply(icmp.checksum.get());
}

}  // namespace noclash::nat
