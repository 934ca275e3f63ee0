// SPDX-License-Identifier: Apache-2.0
#include "tools/cpsload/dns.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "engine/base/endian.hpp"

namespace noclash::cpsload::dns {
namespace {

constexpr std::size_t header_bytes = 12;
constexpr std::size_t digits_at = header_bytes + 2;  // behind the label's length and its "c"
constexpr std::size_t digits = 8;
constexpr std::array<std::uint8_t, 14> domain{7,   'c', 'p', 's', 'l', 'o', 'a',
                                              'd', 4,   't', 'e', 's', 't', 0};
constexpr std::size_t type_at = digits_at + digits + domain.size();
constexpr std::size_t question_end = type_at + 4;
constexpr std::uint16_t recursion_desired = 0x0100, answer_flags = 0x8180;
constexpr std::uint16_t internet = 1;
constexpr std::uint16_t name_of_question = 0xc000 | header_bytes;  // RFC 1035, section 4.1.4
constexpr std::uint16_t a_bytes = 4, aaaa_bytes = 16;
static_assert(question_end + 12 + aaaa_bytes == longest_message);

void put(std::uint8_t* at, std::uint16_t value) {
    const Be16 wire = Be16::from_host(value);
    std::memcpy(at, &wire, sizeof wire);
}

std::uint16_t get(const std::uint8_t* at) {
    Be16 wire;
    std::memcpy(&wire, at, sizeof wire);
    return wire.host();
}

void write_question(const Message& message, std::uint8_t* out) {
    const bool answer = message.role == Role::answer;
    std::memset(out, 0, header_bytes);
    // Both queries of a pair come from one port, and are told apart by their ids.
    put(out, static_cast<std::uint16_t>((message.isn << 1U) | (message.type == Type::aaaa)));
    put(out + 2, answer ? answer_flags : recursion_desired);
    put(out + 4, 1);
    put(out + 6, answer ? 1 : 0);
    out[header_bytes] = digits + 1;
    out[header_bytes + 1] = 'c';
    for (std::size_t i = 0; i < digits; ++i) {
        const unsigned digit = message.isn >> (28 - 4 * i) & 15U;
        out[digits_at + i] = static_cast<std::uint8_t>("0123456789abcdef"[digit]);
    }
    std::copy(domain.begin(), domain.end(), out + digits_at + digits);
    put(out + type_at, static_cast<std::uint16_t>(message.type));
    put(out + type_at + 2, internet);
}

std::size_t write_record(const Message& message, std::uint8_t* out) {
    const std::uint16_t bytes = message.type == Type::a ? a_bytes : aaaa_bytes;
    std::memset(out, 0, 12U + bytes);
    put(out, name_of_question);
    put(out + 2, static_cast<std::uint16_t>(message.type));
    put(out + 4, internet);
    put(out + 8, 60);  // seconds, the lower half of 32 bits
    put(out + 10, bytes);
    if (message.type == Type::aaaa) {
        put(out + 12, 0x2001);  // 2001:db8::/32 is for documentation (RFC 3849)
        put(out + 14, 0x0db8);
    }
    std::memcpy(out + 12 + bytes - sizeof message.isn, &message.isn, sizeof message.isn);
    return 12U + bytes;
}

/// The initial sequence number in the name that is asked for; other parts may be damaged.
std::optional<std::uint32_t> isn_in(std::span<const std::uint8_t> bytes) {
    if (bytes.size() < question_end) return std::nullopt;
    std::uint32_t isn = 0;
    for (std::size_t i = 0; i < digits; ++i) {
        const std::uint8_t c = bytes[digits_at + i];
        const bool letter = c >= 'a' && c <= 'f';
        if (!letter && (c < '0' || c > '9')) return std::nullopt;
        isn = isn << 4U | static_cast<std::uint32_t>(letter ? c - 'a' + 10 : c - '0');
    }
    return isn;
}

}  // namespace

std::size_t write(const Message& message, std::span<std::uint8_t, longest_message> out) {
    write_question(message, out.data());
    if (message.role == Role::query) return question_end;
    return question_end + write_record(message, out.data() + question_end);
}

std::optional<Message> read(std::span<const std::uint8_t> bytes) {
    const auto isn = isn_in(bytes);
    if (!isn) return std::nullopt;
    const auto type = static_cast<Type>(get(bytes.data() + type_at));
    if (type != Type::a && type != Type::aaaa) return std::nullopt;
    const Message message{*isn, type, bytes.size() == question_end ? Role::query : Role::answer};
    std::array<std::uint8_t, longest_message> expected;
    const std::size_t length = write(message, expected);
    if (!std::equal(bytes.begin(), bytes.end(), expected.begin(),
                    expected.begin() + static_cast<std::ptrdiff_t>(length)))
        return std::nullopt;
    return message;
}

}  // namespace noclash::cpsload::dns
