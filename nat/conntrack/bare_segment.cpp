// SPDX-License-Identifier: Apache-2.0
#include "nat/conntrack/bare_segment.hpp"

#include <cstring>

#include "nat/packet/checksum.hpp"
#include "nat/packet/headers.hpp"

namespace noclash::nat {

template <>
void build_bare_segment<V4>(const Tuple<V4>& tuple, const TcpSegment& numbers,
                            std::span<std::uint8_t, bare_segment_bytes<V4>> out) {
    constexpr std::uint8_t ttl = 64;
    static_assert(bare_segment_bytes<V4> == sizeof(IpHeader<V4>) + sizeof(TcpHeader));
    IpHeader<V4> ip{};
    ip.version_and_length = 0x45;
    ip.total_length = Be16::from_host(bare_segment_bytes<V4>);
    ip.fragment = Be16::from_host(IpHeader<V4>::dont_fragment);  // Lets id be 0 (RFC 6864).
    ip.ttl = ttl;
    ip.protocol = ip_protocol::tcp;
    ip.source = tuple.source;
    ip.destination = tuple.destination;
    std::memcpy(out.data(), &ip, sizeof ip);
    ip.checksum = checksum::finish(checksum::sum(out.first(sizeof ip)));
    std::memcpy(out.data(), &ip, sizeof ip);

    TcpHeader tcp{};
    tcp.source_port = tuple.source_port;
    tcp.destination_port = tuple.destination_port;
    tcp.sequence = Be32::from_host(numbers.sequence);
    tcp.acknowledgment = Be32::from_host(numbers.acknowledgment);
    tcp.data_offset = sizeof(TcpHeader) / 4 << 4;
    tcp.flags = numbers.flags;
    const auto bytes = out.subspan(sizeof ip);
    std::memcpy(bytes.data(), &tcp, sizeof tcp);
    tcp.checksum = checksum::finish(
        checksum::sum(bytes, checksum::pseudo_header<V4>(tuple.source, tuple.destination,
                                                         ip_protocol::tcp, sizeof tcp)));
    std::memcpy(bytes.data(), &tcp, sizeof tcp);
}

}  // namespace noclash::nat
