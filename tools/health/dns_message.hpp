// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace noclash::health {

/// Codes of RFC 1035, 4.1.1.
namespace dns_rcode {
inline constexpr std::uint8_t no_error = 0;
inline constexpr std::uint8_t name_error = 3;
}  // namespace dns_rcode

/// Whether a query can ask for `name`: labels of 1 to 63 printable characters, 253 in all; a dot
/// may end it; "." is the root.
[[nodiscard]] bool is_dns_name(std::string_view name);

/// A query for the addresses (type A) of `name`, with recursion desired (RFC 1035).
/// @param name  as `is_dns_name` has it
[[nodiscard]] std::vector<std::uint8_t> dns_query(std::uint16_t id, std::string_view name);

/// The RCODE of `message` when it answers `query`: it has the query's id and question, and is a
/// response. An answer that reports an error need not repeat the question. Nothing: it is something
/// else. `message` may be any bytes.
[[nodiscard]] std::optional<std::uint8_t> dns_answer(std::span<const std::uint8_t> message,
                                                     std::span<const std::uint8_t> query);

/// "SERVFAIL"; a number where the code has no name.
[[nodiscard]] std::string dns_rcode_text(std::uint8_t code);

}  // namespace noclash::health
