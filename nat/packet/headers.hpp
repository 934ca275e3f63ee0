// SPDX-License-Identifier: Apache-2.0
#pragma once

// Protocol headers as they lie in packets. Every field has alignment 1 and is copied in and out, so
// that a header may start at any byte. Bounds are checked once, where a header is first reached
// (`header_at`); after `parse()` said yes, `header` goes straight to it.

#include <array>
#include <bit>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>

#include "engine/tuple.hpp"
#include "nat/packet/packet.hpp"
#include "nat/packet/protocols.hpp"

namespace noclash::nat {

/// The bytes at any address as a word, in the order in which they lie there.
template <class Word>
[[nodiscard]] Word word_at(const std::uint8_t* bytes) {
    Word word;
    std::memcpy(&word, bytes, sizeof word);
    return word;
}

/// A field of type T at any alignment.
template <class T>
class Wire {
    static_assert(std::is_trivially_copyable_v<T>);

  public:
    [[nodiscard]] constexpr T get() const { return std::bit_cast<T>(bytes_); }
    constexpr Wire& operator=(const T& value) {
        bytes_ = std::bit_cast<Bytes>(value);
        return *this;
    }

  private:
    using Bytes = std::array<std::uint8_t, sizeof(T)>;
    Bytes bytes_;
};

struct MacAddress {
    std::array<std::uint8_t, 6> bytes{};

    /// Multicast and broadcast: not the address of one station.
    [[nodiscard]] constexpr bool is_group() const { return (bytes[0] & 1) != 0; }
    /// All at once: as bytes it would be a call of memcmp for each frame.
    friend constexpr bool operator==(const MacAddress& a, const MacAddress& b) {
        using Words = std::array<std::uint16_t, 3>;
        const auto x = std::bit_cast<Words>(a);
        const auto y = std::bit_cast<Words>(b);
        return ((x[0] ^ y[0]) | (x[1] ^ y[1]) | (x[2] ^ y[2])) == 0;
    }
};

inline constexpr MacAddress broadcast_mac{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

/// As in 02:00:5e:10:00:01.
[[nodiscard]] inline std::string to_string(const MacAddress& mac) {
    constexpr const char* digits = "0123456789abcdef";
    std::string text;
    for (const std::uint8_t byte : mac.bytes) {
        if (!text.empty()) text += ':';
        text += digits[byte >> 4];
        text += digits[byte & 15];
    }
    return text;
}

namespace ether_type {
inline constexpr std::uint16_t ipv4 = 0x0800, arp = 0x0806, vlan = 0x8100, ipv6 = 0x86dd,
                               pause = 0x8808, slow_protocols = 0x8809, eapol = 0x888e,
                               service_vlan = 0x88a8, lldp = 0x88cc, link_oam = 0x8902;
/// Below it, the field is the length of an IEEE 802.3 frame.
inline constexpr std::uint16_t least = 0x0600;
}  // namespace ether_type

/// Ethernet II (RFC 894).
struct EthernetHeader {
    MacAddress destination;
    MacAddress source;
    Wire<Be16> type;
};

/// IEEE 802.1Q, clause 9.3: between the addresses and the type of a frame; its own type comes
/// first.
struct VlanTag {
    Wire<Be16> type;
    Wire<Be16> control;

    /// 0: the tag tells a priority, and the frame is as good as untagged.
    [[nodiscard]] unsigned vlan() const { return control.get().host() & 0xfffU; }
};

template <class Family>
struct IpHeader;

/// RFC 791, section 3.1.
template <>
struct IpHeader<V4> {
    std::uint8_t version_and_length;
    std::uint8_t type_of_service;
    Wire<Be16> total_length;
    Wire<Be16> id;
    Wire<Be16> fragment;  ///< flags and offset
    std::uint8_t ttl;
    std::uint8_t protocol;
    Wire<Be16> checksum;
    Wire<V4Address> source;
    Wire<V4Address> destination;

    static constexpr std::uint16_t dont_fragment = 0x4000, more_fragments = 0x2000,
                                   offset_mask = 0x1fff;

    [[nodiscard]] unsigned version() const { return version_and_length >> 4; }
    /// In bytes, options included, as the packet says.
    [[nodiscard]] std::uint16_t header_length() const {
        return static_cast<std::uint16_t>((version_and_length & 15) * 4);
    }
};

/// RFC 9293, section 3.1.
struct TcpHeader {
    Wire<Be16> source_port;
    Wire<Be16> destination_port;
    Wire<Be32> sequence;
    Wire<Be32> acknowledgment;
    std::uint8_t data_offset;
    std::uint8_t flags;
    Wire<Be16> window;
    Wire<Be16> checksum;
    Wire<Be16> urgent;

    /// In bytes, options included, as the segment says.
    [[nodiscard]] std::uint32_t header_length() const { return (data_offset & 0xf0U) >> 2U; }
};

/// RFC 768. UDP-Lite's is the same, but for what `length` means: how much of the datagram, from the
/// header on, the checksum covers; 0 is all of it (RFC 3828, section 3.1).
struct UdpHeader {
    Wire<Be16> source_port;
    Wire<Be16> destination_port;
    Wire<Be16> length;
    Wire<Be16> checksum;
};

/// RFC 9260, section 3.1.
struct SctpHeader {
    Wire<Be16> source_port;
    Wire<Be16> destination_port;
    Wire<Be32> verification_tag;
    Wire<std::array<std::uint8_t, 4>> checksum;  ///< CRC32c, the lowest byte first
};

/// RFC 9260, section 3.2.
struct SctpChunk {
    std::uint8_t type;
    std::uint8_t flags;
    Wire<Be16> length;  ///< with these four bytes, without padding
};

/// RFC 792. In errors `id` is unused and `sequence` holds the MTU of RFC 1191.
struct IcmpHeader {
    std::uint8_t type;
    std::uint8_t code;
    Wire<Be16> checksum;
    Wire<Be16> id;
    Wire<Be16> sequence;
};

namespace icmp_type {
inline constexpr std::uint8_t echo_reply = 0, unreachable = 3, source_quench = 4, redirect = 5,
                              echo_request = 8, time_exceeded = 11, parameter_problem = 12,
                              timestamp_request = 13, timestamp_reply = 14;

/// The queries that are translated, and their answers [RFC 5508 REQ-1]. Of both kinds, the
/// identifier stands in the same place.
[[nodiscard]] constexpr bool is_request(std::uint8_t type) {
    return type == echo_request || type == timestamp_request;
}
[[nodiscard]] constexpr bool is_reply(std::uint8_t type) {
    return type == echo_reply || type == timestamp_reply;
}
}  // namespace icmp_type

static_assert(sizeof(EthernetHeader) == 14 && alignof(EthernetHeader) == 1);
static_assert(sizeof(VlanTag) == 4 && alignof(VlanTag) == 1);
static_assert(sizeof(IpHeader<V4>) == 20 && alignof(IpHeader<V4>) == 1);
static_assert(sizeof(TcpHeader) == 20 && alignof(TcpHeader) == 1);
static_assert(sizeof(UdpHeader) == 8 && alignof(UdpHeader) == 1);
static_assert(sizeof(SctpHeader) == 12 && alignof(SctpHeader) == 1);
static_assert(sizeof(SctpChunk) == 4 && alignof(SctpChunk) == 1);
static_assert(sizeof(IcmpHeader) == 8 && alignof(IcmpHeader) == 1);

/// The header at `offset`, which must be known to be there.
template <class Header>
[[nodiscard]] Header& header(const PacketView& packet, std::uint32_t offset) {
    static_assert(alignof(Header) == 1);
    assert(offset < packet.length);  // of a quoted header, the rest may be missing
    return *reinterpret_cast<Header*>(packet.data + offset);
}

/// The header at `offset`, or null unless it ends at or before `end` (at most the view's length).
template <class Header>
[[nodiscard]] Header* header_at(const PacketView& packet, std::uint32_t offset, std::uint32_t end) {
    if (end < sizeof(Header) || offset > end - sizeof(Header)) return nullptr;
    return &header<Header>(packet, offset);
}

}  // namespace noclash::nat
