// SPDX-License-Identifier: Apache-2.0
#include "nat/packet/timestamp_option.hpp"

#include <array>
#include <bit>
#include <cstring>

#include "nat/packet/checksum.hpp"
#include "nat/packet/headers.hpp"
#include "nat/packet/tcp_options.hpp"

namespace noclash::nat {
namespace {

constexpr std::uint8_t no_operation = 1;
constexpr std::uint32_t echo_offset = 4;  ///< of TSecr behind TSval

using Word = std::array<std::uint8_t, 4>;

/// The four bytes at `at` become `value`; the TCP checksum follows.
void set_word(const PacketView& packet, std::uint32_t l4_offset, std::uint32_t at,
              const Word& value) {
    Wire<Word>& field = header<Wire<Word>>(packet, at);
    // At an odd byte of the segment a value is summed with its bytes swapped (RFC 1071, section 2,
    // B), which modulo 65535 is a rotation by one byte.
    const auto summed = [&](const Word& bytes) {
        const auto word = std::bit_cast<std::uint32_t>(bytes);
        return (at - l4_offset) % 2 == 0 ? word : std::rotl(word, 8);
    };
    checksum::Delta changed;
    changed.replace(summed(field.get()), summed(value));
    field = value;
    auto& tcp = header<TcpHeader>(packet, l4_offset);
    tcp.checksum = changed.apply(tcp.checksum.get());
}

std::uint32_t get(const PacketView& packet, std::uint32_t at) {
    return header<Wire<Be32>>(packet, at).get().host();
}

void set(const PacketView& packet, std::uint32_t l4_offset, std::uint32_t at, std::uint32_t value) {
    set_word(packet, l4_offset, at, std::bit_cast<Word>(Be32::from_host(value)));
}

}  // namespace

std::uint32_t find_timestamps(const PacketView& packet, std::uint32_t l4_offset) {
    const std::uint8_t* const tcp = packet.data + l4_offset;
    const std::uint32_t end = header<TcpHeader>(packet, l4_offset).header_length();
    // Where RFC 7323, appendix A, recommends it, and nearly all segments but SYNs have it.
    constexpr Word usual{no_operation, no_operation, tcp_option::timestamps.kind,
                         tcp_option::timestamps.length};
    constexpr std::uint32_t behind = sizeof(TcpHeader) + sizeof usual;
    if (end >= behind + 2 * sizeof(Word) &&
        std::memcmp(tcp + sizeof(TcpHeader), usual.data(), sizeof usual) == 0)
        return l4_offset + behind;
    const std::uint32_t at = find_tcp_option(tcp, end, tcp_option::timestamps);
    return at == 0 ? 0 : l4_offset + at;
}

std::uint32_t timestamp_value(const PacketView& packet, std::uint32_t at) {
    return get(packet, at);
}

std::uint32_t timestamp_echo(const PacketView& packet, std::uint32_t at) {
    return get(packet, at + echo_offset);
}

void set_timestamp_value(const PacketView& packet, std::uint32_t l4_offset, std::uint32_t at,
                         std::uint32_t value) {
    set(packet, l4_offset, at, value);
}

void set_timestamp_echo(const PacketView& packet, std::uint32_t l4_offset, std::uint32_t at,
                        std::uint32_t value) {
    set(packet, l4_offset, at + echo_offset, value);
}

void strip_timestamps(const PacketView& packet, std::uint32_t l4_offset) {
    constexpr Word nops{no_operation, no_operation, no_operation, no_operation};
    const std::uint32_t at = find_timestamps(packet, l4_offset);
    if (at == 0) return;
    // Ten bytes by words of four that overlap: what is written twice changes once.
    for (const std::uint32_t from : {at - 2, at + 2, at + 4})
        set_word(packet, l4_offset, from, nops);
}

}  // namespace noclash::nat
