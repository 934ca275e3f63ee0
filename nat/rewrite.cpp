// SPDX-License-Identifier: Apache-2.0
#include "nat/rewrite.hpp"

#include <cstddef>

#include "nat/checksum.hpp"
#include "nat/headers.hpp"
#include "nat/tcp_options.hpp"

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

/// Ports or identifier become those of `to`, and the checksum follows them and, except in ICMP, the
/// addresses. `available` bytes of the segment are there, at least 8: of quoted TCP, the checksum
/// may be missing. Returns what changed in the segment, its checksum included.
template <class Family>
Delta rewrite_transport(const PacketView& packet, std::uint32_t offset, std::uint32_t available,
                        const Tuple<Family>& to, const Delta& addresses) {
    Delta changed;
    if (to.protocol == Family::icmp_protocol) {
        auto& icmp = header<IcmpHeader>(packet, offset);
        const bool request = icmp.type == icmp_type::echo_request;
        set(icmp.id, request ? to.source_port : to.destination_port, changed);
        const Be16 checksum = icmp.checksum.get();
        set(icmp.checksum, request ? changed.apply(checksum) : changed.apply_nonzero(checksum),
            changed);
    } else if (to.protocol == ip_protocol::udp) {
        auto& udp = header<UdpHeader>(packet, offset);
        set(udp.source_port, to.source_port, changed);
        set(udp.destination_port, to.destination_port, changed);
        if (udp.checksum.get() == Be16{}) return changed;
        Delta covered = changed;
        covered.add(addresses);
        set(udp.checksum, covered.apply_nonzero(udp.checksum.get()), changed);
    } else {
        auto& tcp = header<TcpHeader>(packet, offset);
        set(tcp.source_port, to.source_port, changed);
        set(tcp.destination_port, to.destination_port, changed);
        if (available < offsetof(TcpHeader, checksum) + sizeof tcp.checksum) return changed;
        Delta covered = changed;
        covered.add(addresses);
        set(tcp.checksum, covered.apply(tcp.checksum.get()), changed);
    }
    return changed;
}

}  // namespace

template <>
void rewrite<V4>(const PacketView& packet, const Parsed<V4>& parsed, const Tuple<V4>& to) {
    auto& ip = header<IpHeader<V4>>(packet, 0);
    const Delta addresses = set_addresses(ip, to.source, to.destination);
    ip.checksum = addresses.apply(ip.checksum.get());
    rewrite_transport(packet, parsed.l4_offset, parsed.length - parsed.l4_offset, to, addresses);
}

template <>
void clamp_mss<V4>(const PacketView& packet, const Parsed<V4>& parsed, std::uint16_t most) {
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
void rewrite_and_forward<V4>(const PacketView& packet, const Parsed<V4>& parsed,
                             const Tuple<V4>& to) {
    auto& ip = header<IpHeader<V4>>(packet, 0);
    Delta header = take_hop(ip);
    if (to != parsed.tuple) {
        const Delta addresses = set_addresses(ip, to.source, to.destination);
        header.add(addresses);
        rewrite_transport(packet, parsed.l4_offset, parsed.length - parsed.l4_offset, to,
                          addresses);
    }
    ip.checksum = header.apply(ip.checksum.get());
}

template <>
void decrement_ttl<V4>(const PacketView& packet) {
    auto& ip = header<IpHeader<V4>>(packet, 0);
    ip.checksum = take_hop(ip).apply(ip.checksum.get());
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
    changed.add(rewrite_transport(packet, parsed.inner_l4_offset,
                                  parsed.length - parsed.inner_l4_offset, quoted, addresses));

    auto& icmp = header<IcmpHeader>(packet, parsed.l4_offset);
    icmp.checksum = changed.apply(icmp.checksum.get());
}

}  // namespace noclash::nat
