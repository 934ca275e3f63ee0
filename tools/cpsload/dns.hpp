// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace noclash::cpsload::dns {

enum class Type : std::uint16_t { a = 1, aaaa = 28 };
enum class Role : std::uint8_t { query, answer };

/// A query for `c<isn in hexadecimal>.cpsload.test`, or its answer: one record whose address
/// follows from the initial sequence number of the connection that asks (RFC 1035, RFC 3596, RFC
/// 6761).
struct Message {
    std::uint32_t isn = 0;
    Type type = Type::a;
    Role role = Role::query;

    friend bool operator==(const Message&, const Message&) = default;
};

inline constexpr std::size_t longest_message = 68;

/// @returns the length of the message
[[nodiscard]] std::size_t write(const Message& message, std::span<std::uint8_t, longest_message>);

/// Reads a message; nothing unless it is, to the last byte, one that `write` writes.
[[nodiscard]] std::optional<Message> read(std::span<const std::uint8_t> bytes);

}  // namespace noclash::cpsload::dns
