// SPDX-License-Identifier: Apache-2.0
#include "tools/storm/frame.hpp"

#include <netinet/in.h>

#include <cstring>

#include "engine/base/endian.hpp"

namespace noclash::tools {
namespace {

constexpr std::uint16_t ethertype_ip = 0x0800;
constexpr std::uint16_t dont_fragment = 0x4000;
constexpr std::uint16_t fragment_bits = 0x3fff;  // more-fragments flag and offset
constexpr std::uint8_t syn_flag = 0x02;
constexpr std::uint16_t max_segment_bytes = 1460;

struct Ethernet {
    MacAddress to;
    MacAddress from;
    Be16 type;
};

struct Ip {
    std::uint8_t version_and_words;
    std::uint8_t service;
    Be16 length;
    Be16 identification;
    Be16 fragment;
    std::uint8_t ttl;
    std::uint8_t protocol;
    Be16 checksum;
    V4Address source;
    V4Address destination;
};

struct Tcp {
    Be16 source_port;
    Be16 destination_port;
    Be32 sequence;
    Be32 acknowledgement;
    std::uint8_t words;  // of the header, in the upper half
    std::uint8_t flags;
    Be16 window;
    Be16 checksum;
    Be16 urgent;
    std::array<std::uint8_t, 2> option;  // kind and length of the maximum segment size
    Be16 segment_bytes;
};

struct Udp {
    Be16 source_port;
    Be16 destination_port;
    Be16 length;
    Be16 checksum;
    Be32 id;
};

struct PseudoHeader {
    V4Address source;
    V4Address destination;
    std::uint8_t zero = 0;
    std::uint8_t protocol;
    Be16 length;
};

static_assert(sizeof(Ethernet) == 14 && sizeof(Ip) == 20 && sizeof(Tcp) == 24 && sizeof(Udp) == 12);
static_assert(sizeof(PseudoHeader) == 12);
static_assert(sizeof(Ethernet) + sizeof(Ip) + sizeof(Tcp) <= max_frame_bytes);

/// One's-complement sum (RFC 1071) in host order, the last odd byte padded with zero.
std::uint32_t sum_of(std::span<const std::uint8_t> bytes, std::uint32_t sum = 0) {
    for (std::size_t i = 0; i < bytes.size(); ++i)
        sum += i % 2 == 0 ? static_cast<std::uint32_t>(bytes[i]) << 8U : bytes[i];
    return sum;
}

std::uint16_t folded(std::uint32_t sum) {
    while (sum > 0xffff)
        sum = (sum & 0xffffU) + (sum >> 16U);
    return static_cast<std::uint16_t>(sum);
}

template <class Header>
std::span<const std::uint8_t> bytes_of(const Header& header) {
    return {reinterpret_cast<const std::uint8_t*>(&header), sizeof header};
}

std::uint32_t pseudo_sum(const Ip& ip, std::size_t l4_bytes) {
    const PseudoHeader pseudo{.source = ip.source,
                              .destination = ip.destination,
                              .protocol = ip.protocol,
                              .length = Be16::from_host(static_cast<std::uint16_t>(l4_bytes))};
    return sum_of(bytes_of(pseudo));
}

Be16 checksum(std::uint32_t sum) {
    return Be16::from_host(static_cast<std::uint16_t>(~folded(sum)));
}

template <class Header>
Header read_at(std::span<const std::uint8_t> bytes, std::size_t offset) {
    Header header;
    std::memcpy(&header, bytes.data() + offset, sizeof header);
    return header;
}

Tcp tcp_header(const Probe& probe) {
    return {.source_port = Be16::from_host(probe.source_port),
            .destination_port = Be16::from_host(probe.destination_port),
            .sequence = Be32::from_host(probe.id),
            .acknowledgement = {},
            .words = (sizeof(Tcp) / 4) << 4U,
            .flags = syn_flag,
            .window = Be16::from_host(64240),
            .checksum = {},
            .urgent = {},
            .option = {2, 4},
            .segment_bytes = Be16::from_host(max_segment_bytes)};
}

Udp udp_header(const Probe& probe) {
    return {.source_port = Be16::from_host(probe.source_port),
            .destination_port = Be16::from_host(probe.destination_port),
            .length = Be16::from_host(sizeof(Udp)),
            .checksum = {},
            .id = Be32::from_host(probe.id)};
}

/// Fills in the transport checksum and appends IP and transport headers to the frame.
template <class L4>
std::size_t finish(Ip& ip, L4 l4, FrameBuffer& frame) {
    ip.length = Be16::from_host(static_cast<std::uint16_t>(sizeof ip + sizeof l4));
    ip.checksum = checksum(sum_of(bytes_of(ip)));
    l4.checksum = checksum(sum_of(bytes_of(l4), pseudo_sum(ip, sizeof l4)));
    // On the wire, 0 says that a datagram has no checksum (RFC 768).
    if (ip.protocol == IPPROTO_UDP && l4.checksum == Be16{}) l4.checksum = Be16::from_host(0xffff);
    std::memcpy(frame.data() + sizeof(Ethernet), &ip, sizeof ip);
    std::memcpy(frame.data() + sizeof(Ethernet) + sizeof ip, &l4, sizeof l4);
    return sizeof(Ethernet) + sizeof ip + sizeof l4;
}

/// Fills in what the transport header says; false when no probe has such a header.
bool read_l4(std::span<const std::uint8_t> l4, Probe& probe) {
    if (probe.protocol == IPPROTO_TCP && l4.size() == sizeof(Tcp)) {
        const auto tcp = read_at<Tcp>(l4, 0);
        probe.source_port = tcp.source_port.host();
        probe.destination_port = tcp.destination_port.host();
        probe.id = tcp.sequence.host();
        return tcp.flags == syn_flag;
    }
    if (probe.protocol == IPPROTO_UDP && l4.size() == sizeof(Udp)) {
        const auto udp = read_at<Udp>(l4, 0);
        probe.source_port = udp.source_port.host();
        probe.destination_port = udp.destination_port.host();
        probe.id = udp.id.host();
        return true;
    }
    return false;
}

}  // namespace

std::size_t write_frame(const Probe& probe, const MacAddress& from, const MacAddress& to,
                        FrameBuffer& frame) {
    const Ethernet ethernet{.to = to, .from = from, .type = Be16::from_host(ethertype_ip)};
    std::memcpy(frame.data(), &ethernet, sizeof ethernet);
    Ip ip{.version_and_words = 0x45,
          .service = 0,
          .length = {},
          .identification = Be16::from_host(static_cast<std::uint16_t>(probe.id)),
          .fragment = Be16::from_host(dont_fragment),
          .ttl = 64,
          .protocol = probe.protocol,
          .checksum = {},
          .source = probe.source,
          .destination = probe.destination};
    return probe.protocol == IPPROTO_TCP ? finish(ip, tcp_header(probe), frame)
                                         : finish(ip, udp_header(probe), frame);
}

std::optional<Arrival> read_frame(std::span<const std::uint8_t> frame) {
    if (frame.size() < sizeof(Ethernet) + sizeof(Ip)) return std::nullopt;
    if (read_at<Ethernet>(frame, 0).type.host() != ethertype_ip) return std::nullopt;
    const auto packet = frame.subspan(sizeof(Ethernet));
    const auto ip = read_at<Ip>(packet, 0);
    const std::size_t header_bytes = std::size_t{4} * (ip.version_and_words & 0x0fU);
    const std::size_t packet_bytes = ip.length.host();
    if (ip.version_and_words >> 4U != 4 || header_bytes < sizeof ip ||
        packet_bytes < header_bytes || packet_bytes > packet.size() ||
        (ip.fragment.host() & fragment_bits) != 0)
        return std::nullopt;
    const auto l4 = packet.first(packet_bytes).subspan(header_bytes);
    Arrival arrival;
    arrival.probe.protocol = ip.protocol;
    arrival.probe.source = ip.source;
    arrival.probe.destination = ip.destination;
    if (!read_l4(l4, arrival.probe)) return std::nullopt;
    // A sum over data that includes a right checksum is all ones.
    arrival.checksums_good = folded(sum_of(packet.first(header_bytes))) == 0xffff &&
                             folded(sum_of(l4, pseudo_sum(ip, l4.size()))) == 0xffff;
    return arrival;
}

}  // namespace noclash::tools
