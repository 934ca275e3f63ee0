// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "nat/packet/headers.hpp"
#include "tools/cpsload/ends.hpp"

namespace noclash::cpsload {

/// Bytes before the payload in the frames that we write.
inline constexpr std::size_t tcp_payload_at =
    sizeof(nat::EthernetHeader) + sizeof(nat::IpHeader<V4>) + sizeof(nat::TcpHeader);
inline constexpr std::size_t udp_payload_at =
    sizeof(nat::EthernetHeader) + sizeof(nat::IpHeader<V4>) + sizeof(nat::UdpHeader);

namespace tcp_flag {
inline constexpr std::uint8_t fin = 1, syn = 2, rst = 4, psh = 8, ack = 16;
}

/// A TCP segment or UDP datagram as it arrived. `payload` points into the frame.
struct Segment {
    Ends ends;
    std::uint8_t protocol = 0;
    std::uint8_t flags = 0;  ///< of TCP
    std::uint32_t sequence = 0;
    std::uint32_t acknowledgment = 0;
    std::span<std::uint8_t> payload;

    [[nodiscard]] bool has(std::uint8_t flag) const { return (flags & flag) != 0; }
};

enum class FrameKind : std::uint8_t {
    segment,       ///< TCP or UDP, complete, its checksums right
    bad_checksum,  ///< TCP or UDP; nothing in it can be trusted
    arp,
    icmp,   ///< of the gateway, most likely about a packet of ours
    other,  ///< what a link carries beside: IPv6, fragments, LLDP
};

/// Reads a frame; `segment` means something only when the answer is `segment`. Any thread.
[[nodiscard]] FrameKind read_frame(std::span<std::uint8_t> frame, Segment& segment);

/// Writes frames from one station to another. Everything that is the same in all of them is laid
/// out and summed up once.
class FrameWriter {
  public:
    FrameWriter(const nat::MacAddress& from, const nat::MacAddress& to);

    struct Tcp {
        std::uint32_t sequence = 0;
        std::uint32_t acknowledgment = 0;
        std::uint8_t flags = 0;
    };
    /// Writes a segment around a payload that already stands at `tcp_payload_at`.
    /// @returns the length of the frame
    [[nodiscard]] std::uint16_t tcp(std::uint8_t* room, const Ends& ends, const Tcp& tcp,
                                    std::uint16_t payload_bytes) const;
    /// Writes a datagram around a payload that already stands at `udp_payload_at`.
    /// @returns the length of the frame
    [[nodiscard]] std::uint16_t udp(std::uint8_t* room, const Ends& ends,
                                    std::uint16_t payload_bytes) const;

  private:
    /// Headers in which everything is in place that does not change, and the sums over that.
    struct Template {
        std::array<std::uint8_t, tcp_payload_at> bytes{};
        std::uint64_t ip_sum = 0;
        std::uint64_t l4_sum = 0;
    };
    static Template make_template(const nat::MacAddress& from, const nat::MacAddress& to,
                                  std::uint8_t protocol);

    Template tcp_;
    Template udp_;
};

}  // namespace noclash::cpsload
