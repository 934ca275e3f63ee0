// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "nat/packet/headers.hpp"

namespace noclash::nat {

/// A TCP option by its kind, with the length that it must have (RFC 9293, section 3.1).
struct TcpOption {
    std::uint8_t kind;
    std::uint8_t length;  ///< in bytes, kind and length included
};

namespace tcp_option {
inline constexpr std::uint8_t end_of_list = 0, no_operation = 1;  ///< one byte each
inline constexpr TcpOption max_segment_size{2, 4};
inline constexpr TcpOption window_scale{3, 3};    ///< RFC 7323, section 2.2
inline constexpr TcpOption sack_permitted{4, 2};  ///< RFC 2018, section 2
inline constexpr std::uint8_t sack = 5;           ///< RFC 2018, section 3: blocks of 8 bytes
inline constexpr TcpOption timestamps{8, 10};     ///< RFC 7323, section 3.2: TSval, TSecr
}  // namespace tcp_option

/// Whether a TCP packet that passed `parse` has options.
[[nodiscard]] inline bool has_tcp_options(const PacketView& packet, std::uint32_t l4_offset) {
    return header<TcpHeader>(packet, l4_offset).header_length() > sizeof(TcpHeader);
}

/// As `find_tcp_option`, of a header that has options.
[[nodiscard, gnu::noinline]] inline std::uint32_t find_among_tcp_options(
    const std::uint8_t* tcp, std::uint32_t header_length, TcpOption wanted) {
    for (std::uint32_t at = sizeof(TcpHeader);
         at < header_length && tcp[at] != tcp_option::end_of_list;) {
        if (tcp[at] == tcp_option::no_operation) {
            ++at;
            continue;
        }
        if (at + 2 > header_length || tcp[at + 1] < 2 || at + tcp[at + 1] > header_length) return 0;
        if (tcp[at] == wanted.kind && tcp[at + 1] == wanted.length) return at + 2;
        at += tcp[at + 1];
    }
    return 0;
}

/// Where the value of an option begins, counted from the TCP header; 0 when it is not there.
/// Options behind a broken one are not looked at. `header_length` bytes are there, at least 20; at
/// most 40 steps, since a header has 60 bytes at most.
[[nodiscard]] inline std::uint32_t find_tcp_option(const std::uint8_t* tcp,
                                                   std::uint32_t header_length, TcpOption wanted) {
    return header_length == sizeof(TcpHeader) ? 0
                                              : find_among_tcp_options(tcp, header_length, wanted);
}

}  // namespace noclash::nat
