// SPDX-License-Identifier: Apache-2.0
#include "nat/packet/icmp.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "nat/packet/checksum.hpp"
#include "nat/packet/headers.hpp"

namespace noclash::nat {
namespace {

constexpr std::uint8_t own_ttl = 64;  // RFC 1812, section 4.2.2.9, and IANA's recommendation.

}  // namespace

template <>
std::size_t build_icmp_error<V4>(const PacketView& offending, const Parsed<V4>& parsed,
                                 IcmpError error, const V4Address& from,
                                 std::span<std::uint8_t> out) {
    constexpr std::size_t headers = sizeof(IpHeader<V4>) + sizeof(IcmpHeader);
    const std::size_t quoted = std::min<std::size_t>(parsed.length, icmp_error_bytes - headers);
    if (parsed.kind == PacketKind::icmp_error || out.size() < headers + quoted) return 0;

    IpHeader<V4> ip{};
    ip.version_and_length = 0x45;
    ip.type_of_service = 0xc0;  // Precedence "internetwork control": RFC 1812, section 4.3.2.5.
    ip.total_length = Be16::from_host(static_cast<std::uint16_t>(headers + quoted));
    ip.fragment = Be16::from_host(IpHeader<V4>::dont_fragment);  // Lets id be 0 (RFC 6864).
    ip.ttl = own_ttl;
    ip.protocol = ip_protocol::icmp;
    ip.source = from;
    ip.destination = header<IpHeader<V4>>(offending, 0).source.get();
    std::memcpy(out.data(), &ip, sizeof ip);
    ip.checksum = checksum::finish(checksum::sum(out.first(sizeof ip)));
    std::memcpy(out.data(), &ip, sizeof ip);

    IcmpHeader icmp{};
    icmp.type = error.type;
    icmp.code = error.code;
    icmp.sequence = Be16::from_host(error.mtu);
    const auto message = out.subspan(sizeof ip, sizeof icmp + quoted);
    std::memcpy(message.data(), &icmp, sizeof icmp);
    std::memcpy(message.data() + sizeof icmp, offending.data, quoted);
    icmp.checksum = checksum::finish(checksum::sum(message));
    std::memcpy(message.data(), &icmp, sizeof icmp);
    return headers + quoted;
}

template <>
bool is_echo_request<V4>(const PacketView& packet, const Parsed<V4>& parsed) {
    return parsed.kind == PacketKind::icmp_request &&
           header<IcmpHeader>(packet, parsed.l4_offset).type == icmp_type::echo_request;
}

template <>
void make_echo_reply<V4>(const PacketView& packet, const Parsed<V4>& parsed) {
    using Bytes = std::array<std::uint8_t, 2>;
    auto& ip = header<IpHeader<V4>>(packet, 0);
    std::swap(ip.source, ip.destination);  // Sums up to the same.
    checksum::Delta ttl;
    ttl.replace(Bytes{ip.ttl, ip.protocol}, Bytes{own_ttl, ip.protocol});
    ip.ttl = own_ttl;
    ip.checksum = ttl.apply(ip.checksum.get());

    auto& icmp = header<IcmpHeader>(packet, parsed.l4_offset);
    checksum::Delta type;
    type.replace(Bytes{icmp.type, icmp.code}, Bytes{icmp_type::echo_reply, icmp.code});
    icmp.type = icmp_type::echo_reply;
    icmp.checksum = type.apply_nonzero(icmp.checksum.get());
}

}  // namespace noclash::nat
