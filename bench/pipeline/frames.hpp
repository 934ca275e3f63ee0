// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <span>

#include "engine/tuple.hpp"
#include "nat/packet/checksum.hpp"
#include "nat/packet/headers.hpp"

namespace noclash::bench {

/// Bytes of a frame as it lies in a buffer: 64 on the wire, with the checksum that NICs add.
inline constexpr std::size_t frame_bytes = 60;
using FrameBytes = std::span<std::uint8_t, frame_bytes>;

inline constexpr std::uint8_t sent_ttl = 64;

/// The content of a frame beside its tuple.
struct Content {
    std::uint32_t number = 0;    ///< of its flow: TCP's sequence number, or the first data bytes
    std::uint8_t tcp_flags = 0;  ///< of TCP
    /// Of TCP: what it acknowledges beside `number`, the sender's own end; where both sides count
    /// alike, 1.
    std::uint32_t acknowledges = 1;
};

namespace frame_layout {
inline constexpr std::size_t ip = sizeof(nat::EthernetHeader);
inline constexpr std::size_t transport = ip + sizeof(nat::IpHeader<V4>);

/// Bytes of the IP packet, without what pads the frame.
[[nodiscard]] inline std::uint16_t ip_length(std::uint8_t protocol) {
    return static_cast<std::uint16_t>(sizeof(nat::IpHeader<V4>) +
                                      (protocol == nat::ip_protocol::tcp
                                           ? sizeof(nat::TcpHeader)
                                           : sizeof(nat::UdpHeader) + sizeof(Content::number)));
}
}  // namespace frame_layout

template <class Header>
[[nodiscard]] Header& header_in(FrameBytes frame, std::size_t offset) {
    static_assert(alignof(Header) == 1);
    return *reinterpret_cast<Header*>(&frame[offset]);
}

/// The sum that is 0xffff, folded, when the transport checksum in the frame is right.
[[nodiscard]] inline std::uint64_t transport_sum(FrameBytes frame, const Tuple<V4>& tuple) {
    const std::size_t length = frame_layout::ip_length(tuple.protocol) - sizeof(nat::IpHeader<V4>);
    std::uint64_t total = nat::checksum::sum(frame.subspan(frame_layout::transport, length));
    if (tuple.protocol != nat::ip_protocol::icmp)
        total += nat::checksum::pseudo_header<V4>(tuple.source, tuple.destination, tuple.protocol,
                                                  static_cast<std::uint32_t>(length));
    return total;
}

/// Writes a whole frame: Ethernet, IP, and TCP, UDP or ICMP echo, checksums included.
void write_frame(FrameBytes frame, const nat::MacAddress& to, const nat::MacAddress& from,
                 const Tuple<V4>& tuple, const Content& content);

/// A frame taken apart.
struct Sight {
    Tuple<V4> tuple{};
    Content content;
    const char* fault = nullptr;  ///< what is wrong with it: checksums, lengths, time to live
};

/// Takes apart a frame that was forwarded once.
[[nodiscard]] Sight look_at(FrameBytes frame, std::size_t length);

}  // namespace noclash::bench
