// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace noclash::health {

/// Bytes that nobody else knows: they make an answer the answer to this request.
using EchoToken = std::array<std::uint8_t, 16>;
using EchoMessage = std::array<std::uint8_t, 24>;

/// An ICMP echo request (RFC 792) whose data is `token`.
[[nodiscard]] EchoMessage echo_request(std::uint16_t id, const EchoToken& token);

/// How a socket hands out what comes: ping sockets leave the IP header out, raw ones do not.
enum class IpHeader : std::uint8_t { absent, present };

/// Whether `message` is the reply to a request with `token`. The identifier is not looked at: a
/// ping socket has one of its own. `message` may be any bytes.
[[nodiscard]] bool is_echo_reply(std::span<const std::uint8_t> message, IpHeader header,
                                 const EchoToken& token);

}  // namespace noclash::health
