// SPDX-License-Identifier: Apache-2.0
#include "nat/syn_proxy/sequence_shift.hpp"

#include <algorithm>
#include <array>
#include <bit>

#include "nat/packet/checksum.hpp"
#include "nat/packet/headers.hpp"
#include "nat/packet/tcp_options.hpp"
#include "nat/packet/timestamp_option.hpp"

namespace noclash::nat {

namespace {

/// The field becomes `value`; `changed` collects it.
template <class T>
void replace(Wire<T>& field, T value, checksum::Delta& changed) {
    changed.replace(field.get(), value);
    field = value;
}

void add(Wire<Be32>& field, std::uint32_t difference, checksum::Delta& changed) {
    replace(field, Be32::from_host(field.get().host() + difference), changed);
}

/// Options may begin at any byte: what is at an odd one is summed with its bytes swapped (RFC 1071,
/// section 2, B).
void add_at(std::uint8_t* tcp, std::uint32_t at, std::uint32_t difference,
            checksum::Delta& changed) {
    const auto summed = [at](std::uint32_t word) {
        return at % 2 == 0 ? word : std::rotl(word, 8);
    };
    const auto before = word_at<std::uint32_t>(tcp + at);
    const std::uint32_t after = Be32::from_host(Be32::from_wire(before).host() + difference).wire();
    std::memcpy(tcp + at, &after, sizeof after);
    changed.replace(summed(before), summed(after));
}

void rescale(Wire<Be16>& window, SequenceShift::Scales scales, checksum::Delta& changed) {
    if (scales.from == scales.to) return;
    const std::uint32_t bytes = std::uint32_t{window.get().host()} << scales.from;
    const auto shown = static_cast<std::uint16_t>(std::min(bytes >> scales.to, 0xffffU));
    replace(window, Be16::from_host(shown), changed);
}

/// Calls `found(option, at)` for each option with a value, which begins at `at`.
template <class Found>
void for_each_option(const std::uint8_t* tcp, std::uint32_t header_length, Found&& found) {
    for (std::uint32_t at = sizeof(TcpHeader);
         at < header_length && tcp[at] != tcp_option::end_of_list;) {
        if (tcp[at] == tcp_option::no_operation) {
            ++at;
            continue;
        }
        if (at + 2 > header_length || tcp[at + 1] < 2 || at + tcp[at + 1] > header_length) return;
        found(TcpOption{tcp[at], tcp[at + 1]}, at + 2);
        at += tcp[at + 1];
    }
}

bool is(TcpOption one, TcpOption other) {
    return one.kind == other.kind && one.length == other.length;
}

}  // namespace

template <>
void shift_to_backend<V4>(const PacketView& packet, const Parsed<V4>& parsed,
                          const SequenceShift& shift) {
    auto& tcp = header<TcpHeader>(packet, parsed.l4_offset);
    if ((tcp.flags & tcp_flag::ack) == 0) return;  // then none of it means anything
    checksum::Delta changed;
    add(tcp.acknowledgment, 0U - shift.sequence, changed);
    // Neither SYN nor RST has a scaled window (RFC 7323, section 2.2).
    if ((tcp.flags & (tcp_flag::syn | tcp_flag::rst)) == 0)
        rescale(tcp.window, shift.to_backend, changed);
    std::uint8_t* const bytes = packet.data + parsed.l4_offset;
    for_each_option(bytes, tcp.header_length(), [&](TcpOption option, std::uint32_t at) {
        if (is(option, tcp_option::timestamps)) {
            constexpr std::uint32_t echo = 4;
            add_at(bytes, at + echo, 0U - shift.timestamp, changed);
        } else if (option.kind == tcp_option::sack) {
            for (std::uint32_t edge = 0; edge + 4 + 2 <= option.length; edge += 4)
                add_at(bytes, at + edge, 0U - shift.sequence, changed);
        }
    });
    tcp.checksum = changed.apply(tcp.checksum.get());
}

template <>
void shift_to_client<V4>(const PacketView& packet, const Parsed<V4>& parsed,
                         const SequenceShift& shift) {
    auto& tcp = header<TcpHeader>(packet, parsed.l4_offset);
    checksum::Delta changed;
    add(tcp.sequence, shift.sequence, changed);
    if ((tcp.flags & (tcp_flag::syn | tcp_flag::rst)) == 0)
        rescale(tcp.window, shift.to_client, changed);
    if (shift.timestamp != 0) {
        std::uint8_t* const bytes = packet.data + parsed.l4_offset;
        for_each_option(bytes, tcp.header_length(), [&](TcpOption option, std::uint32_t at) {
            if (is(option, tcp_option::timestamps)) add_at(bytes, at, shift.timestamp, changed);
        });
    }
    tcp.checksum = changed.apply(tcp.checksum.get());
}

template <>
void shift_quoted<V4>(const PacketView& error, const Parsed<V4>& parsed, Direction sender,
                      const SequenceShift& shift) {
    const std::uint32_t at = parsed.inner_l4_offset;
    std::uint8_t* const tcp = error.data + at;
    const auto is_quoted = [&](std::size_t field, std::size_t size) {
        return at + field + size <= parsed.length;
    };
    checksum::Delta quoted;  // what changes in the quoted segment
    const bool to_client = sender == Direction::reply;
    const std::size_t field =
        to_client ? offsetof(TcpHeader, sequence) : offsetof(TcpHeader, acknowledgment);
    if (!is_quoted(field, sizeof(Be32))) return;
    add_at(tcp, static_cast<std::uint32_t>(field), to_client ? 0U - shift.sequence : shift.sequence,
           quoted);
    checksum::Delta of_error = quoted;
    if (is_quoted(offsetof(TcpHeader, checksum), sizeof(Be16))) {
        auto& sum = header<TcpHeader>(error, at).checksum;
        replace(sum, quoted.apply(sum.get()), of_error);
    }
    auto& icmp = header<IcmpHeader>(error, parsed.l4_offset);
    icmp.checksum = of_error.apply_nonzero(icmp.checksum.get());
}

}  // namespace noclash::nat
