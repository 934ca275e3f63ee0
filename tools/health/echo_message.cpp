// SPDX-License-Identifier: Apache-2.0
#include "tools/health/echo_message.hpp"

#include <algorithm>
#include <cstddef>

namespace noclash::health {

namespace {

constexpr std::uint8_t type_reply = 0;
constexpr std::uint8_t type_request = 8;
constexpr std::size_t icmp_header_size = 8;
constexpr std::size_t least_ip_header = 20;
static_assert(std::tuple_size_v<EchoMessage> == icmp_header_size + std::tuple_size_v<EchoToken>);

/// The Internet checksum (RFC 1071) of an even number of bytes.
std::uint16_t checksum(std::span<const std::uint8_t> bytes) {
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i + 1 < bytes.size(); i += 2)
        sum += bytes[i] * 256U + bytes[i + 1];
    while (sum > 0xffffU)
        sum = (sum & 0xffffU) + (sum >> 16U);
    return static_cast<std::uint16_t>(~sum);
}

}  // namespace

EchoMessage echo_request(std::uint16_t id, const EchoToken& token) {
    EchoMessage message{};
    const auto put = [&](std::size_t at, std::uint16_t value) {
        message[at] = static_cast<std::uint8_t>(value >> 8U);
        message[at + 1] = static_cast<std::uint8_t>(value & 0xffU);
    };
    message[0] = type_request;
    put(4, id);
    put(6, 1);  // the sequence number
    std::ranges::copy(token, message.begin() + icmp_header_size);
    put(2, checksum(message));
    return message;
}

bool is_echo_reply(std::span<const std::uint8_t> message, IpHeader header, const EchoToken& token) {
    if (header == IpHeader::present) {
        if (message.size() < least_ip_header) return false;
        const std::size_t length = (message[0] & 0x0fU) * 4U;
        if (length < least_ip_header || message.size() < length) return false;
        message = message.subspan(length);
    }
    if (message.size() != std::tuple_size_v<EchoMessage> || message[0] != type_reply ||
        message[1] != 0)
        return false;
    return std::ranges::equal(message.subspan(icmp_header_size), token);
}

}  // namespace noclash::health
