// SPDX-License-Identifier: Apache-2.0
#include "dpdk/config/protocol_names.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "dpdk/config/values.hpp"
#include "nat/packet/protocols.hpp"

namespace noclash::dpdk {

namespace {

namespace number = nat::ip_protocol;

struct ProtocolName {
    std::uint8_t number;
    std::string_view name;
};
/// As in /etc/protocols.
constexpr std::array<ProtocolName, 10> names{{{number::tcp, "tcp"},
                                              {number::udp, "udp"},
                                              {number::icmp, "icmp"},
                                              {number::sctp, "sctp"},
                                              {number::udp_lite, "udplite"},
                                              {number::gre, "gre"},
                                              {number::esp, "esp"},
                                              {number::ah, "ah"},
                                              {number::ip_in_ip, "ipip"},
                                              {number::ipv6, "ipv6"}}};

}  // namespace

std::string protocol_name(std::uint8_t protocol) {
    const auto* known = std::ranges::find(names, protocol, &ProtocolName::number);
    return known == names.end() ? std::to_string(protocol) : std::string(known->name);
}

std::optional<std::uint8_t> parse_protocol(std::string_view text) {
    const auto* known = std::ranges::find(names, text, &ProtocolName::name);
    if (known != names.end()) return known->number;
    const auto value = parse_number(text, 255);
    if (!value) return std::nullopt;
    const auto protocol = static_cast<std::uint8_t>(*value);
    const bool translated =
        number::has_ports(protocol) || number::is_portless(protocol) || protocol == number::icmp;
    return translated ? std::optional(protocol) : std::nullopt;
}

std::vector<std::string_view> known_protocol_names() {
    std::vector<std::string_view> known;
    for (const ProtocolName& protocol : names)
        known.push_back(protocol.name);
    return known;
}

std::string known_protocols() {
    return fmt::format("{}", fmt::join(known_protocol_names(), ", "));
}

}  // namespace noclash::dpdk
