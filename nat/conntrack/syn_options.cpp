// SPDX-License-Identifier: Apache-2.0
#include "nat/conntrack/syn_options.hpp"

#include "nat/packet/headers.hpp"
#include "nat/packet/tcp_options.hpp"

namespace noclash::nat {

template <>
SynOptions syn_options_of<V4>(const PacketView& packet, const Parsed<V4>& parsed) {
    SynOptions options;
    const std::uint8_t* const tcp = packet.data + parsed.l4_offset;
    const std::uint32_t length = header<TcpHeader>(packet, parsed.l4_offset).header_length();
    const auto number = [tcp](std::uint32_t at) {
        return Be32::from_wire(word_at<std::uint32_t>(tcp + at)).host();
    };
    if (const auto at = find_tcp_option(tcp, length, tcp_option::max_segment_size); at != 0)
        options.max_segment_size = Be16::from_wire(word_at<std::uint16_t>(tcp + at)).host();
    options.window_scale = window_scale_of(packet, parsed);
    options.sack = find_tcp_option(tcp, length, tcp_option::sack_permitted) != 0;
    if (const auto at = find_tcp_option(tcp, length, tcp_option::timestamps); at != 0) {
        options.timestamps = true;
        options.timestamp_value = number(at);
        options.timestamp_echo = number(at + 4);
    }
    return options;
}

}  // namespace noclash::nat
