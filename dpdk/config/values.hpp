// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine/base/address.hpp"
#include "nat/packet/headers.hpp"
#include "nat/policy/policy.hpp"
#include "nat/policy/service.hpp"

namespace noclash::dpdk {

/// The words of the configuration that stand for addresses and ports. Each parser takes the whole
/// text or nothing.

[[nodiscard]] std::optional<std::uint32_t> parse_number(std::string_view text, std::uint32_t most);
[[nodiscard]] std::optional<V4Address> parse_v4(std::string_view text);

/// `10.1.0.1/24`: an address and a prefix length, which may be left out when `default_length` is
/// given. Host bits are not looked at.
struct AddressWithLength {
    V4Address address;
    std::uint8_t length = 32;
};
[[nodiscard]] std::optional<AddressWithLength> parse_address_with_length(
    std::string_view text, std::optional<std::uint8_t> default_length);

/// `198.51.100.7`, `198.51.100.7-198.51.100.9` or `198.51.100.0/28`, inclusive, in host order.
struct AddressRange {
    std::uint32_t first = 0;
    std::uint32_t last = 0;
};
[[nodiscard]] std::optional<AddressRange> parse_address_range(std::string_view text);

/// `8000-8100` or `80`; ports from 1, the first not above the last.
[[nodiscard]] std::optional<nat::PortRange> parse_port_range(std::string_view text);

/// `10.2.0.2:80` or `10.2.0.2`.
[[nodiscard]] std::optional<nat::Target<V4>> parse_target(std::string_view text);

/// `02:00:5e:10:00:01`: six bytes, each of two hexadecimal digits.
[[nodiscard]] std::optional<nat::MacAddress> parse_mac(std::string_view text);

/// The first address of the prefix that `address` lies in.
[[nodiscard]] V4Address network_of(V4Address address, std::uint8_t length);
[[nodiscard]] V4Address broadcast_of(V4Address address, std::uint8_t length);
/// False for addresses that no host may have: 0/8, loopback, multicast and above (RFC 6890).
[[nodiscard]] bool usable_by_host(V4Address address);

[[nodiscard]] std::string to_text(const Prefix<V4>& prefix);
[[nodiscard]] std::string to_text(nat::PortRange range);
[[nodiscard]] std::string target_text(const nat::Target<V4>& target);
/// Without its weight: `10.2.0.2:80`, or `10.2.0.2` when it has no port of its own.
[[nodiscard]] std::string backend_text(const nat::Backend<V4>& backend);
/// As the configuration has them.
[[nodiscard]] std::string_view to_text(nat::Mapping mapping);
[[nodiscard]] std::string_view to_text(nat::Filtering filtering);

}  // namespace noclash::dpdk
