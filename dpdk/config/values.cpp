// SPDX-License-Identifier: Apache-2.0
#include "dpdk/config/values.hpp"

#include <fmt/format.h>

#include <charconv>

namespace noclash::dpdk {

namespace {

std::uint32_t host_bits(std::uint8_t length) {
    return length == 0 ? ~0U : static_cast<std::uint32_t>((std::uint64_t{1} << (32 - length)) - 1);
}

}  // namespace

std::optional<std::uint32_t> parse_number(std::string_view text, std::uint32_t most) {
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || value > most) {
        return std::nullopt;
    }
    return value;
}

std::optional<V4Address> parse_v4(std::string_view text) {
    // inet_pton reads to the first NUL, so a string with one inside would pass for a shorter one.
    if (text.find('\0') != std::string_view::npos) return std::nullopt;
    return parse_address<V4>(std::string(text));
}

std::optional<AddressWithLength> parse_address_with_length(
    std::string_view text, std::optional<std::uint8_t> default_length) {
    const std::size_t slash = text.find('/');
    const auto address = parse_v4(text.substr(0, slash));
    if (!address) return std::nullopt;
    if (slash == std::string_view::npos) {
        if (!default_length) return std::nullopt;
        return AddressWithLength{*address, *default_length};
    }
    const auto length = parse_number(text.substr(slash + 1), V4::address_bits);
    if (!length) return std::nullopt;
    return AddressWithLength{*address, static_cast<std::uint8_t>(*length)};
}

std::optional<AddressRange> parse_address_range(std::string_view text) {
    if (const std::size_t dash = text.find('-'); dash != std::string_view::npos) {
        const auto first = parse_v4(text.substr(0, dash));
        const auto last = parse_v4(text.substr(dash + 1));
        if (!first || !last || first->value.host() > last->value.host()) return std::nullopt;
        return AddressRange{first->value.host(), last->value.host()};
    }
    const auto prefix = parse_address_with_length(text, std::uint8_t{V4::address_bits});
    if (!prefix || network_of(prefix->address, prefix->length) != prefix->address) {
        return std::nullopt;
    }
    return AddressRange{prefix->address.value.host(),
                        broadcast_of(prefix->address, prefix->length).value.host()};
}

std::optional<nat::PortRange> parse_port_range(std::string_view text) {
    const std::size_t dash = text.find('-');
    const auto first = parse_number(text.substr(0, dash), 65535);
    const auto last =
        dash == std::string_view::npos ? first : parse_number(text.substr(dash + 1), 65535);
    if (!first || !last || *first == 0 || *first > *last) return std::nullopt;
    return nat::PortRange{static_cast<std::uint16_t>(*first), static_cast<std::uint16_t>(*last)};
}

std::optional<nat::Target<V4>> parse_target(std::string_view text) {
    const std::size_t colon = text.find(':');
    const auto address = parse_v4(text.substr(0, colon));
    if (!address) return std::nullopt;
    if (colon == std::string_view::npos) return nat::Target<V4>{*address, std::nullopt};
    const auto port = parse_number(text.substr(colon + 1), 65535);
    if (!port || *port == 0) return std::nullopt;
    return nat::Target<V4>{*address, static_cast<std::uint16_t>(*port)};
}

std::optional<nat::MacAddress> parse_mac(std::string_view text) {
    nat::MacAddress mac;
    constexpr std::size_t digits = 2, step = 3;
    if (text.size() != mac.bytes.size() * step - 1) return std::nullopt;
    for (std::size_t i = 0; i < mac.bytes.size(); ++i) {
        const char* begin = text.data() + i * step;
        if (i > 0 && begin[-1] != ':') return std::nullopt;
        const auto [end, error] = std::from_chars(begin, begin + digits, mac.bytes[i], 16);
        if (error != std::errc{} || end != begin + digits) return std::nullopt;
    }
    return mac;
}

V4Address network_of(V4Address address, std::uint8_t length) {
    return V4Address::from_host(address.value.host() & ~host_bits(length));
}

V4Address broadcast_of(V4Address address, std::uint8_t length) {
    return V4Address::from_host(address.value.host() | host_bits(length));
}

bool usable_by_host(V4Address address) {
    const std::uint32_t first_byte = address.value.host() >> 24;
    return first_byte != 0 && first_byte != 127 && first_byte < 224;
}

std::string to_text(const Prefix<V4>& prefix) {
    return fmt::format("{}/{}", to_string<V4>(prefix.network), prefix.length);
}

std::string to_text(nat::PortRange range) {
    const auto& [first, last] = range;
    return first == last ? fmt::format("{}", first) : fmt::format("{}-{}", first, last);
}

std::string target_text(const nat::Target<V4>& target) {
    const auto& [address, port] = target;
    return to_string<V4>(address) + (port ? fmt::format(":{}", *port) : "");
}

std::string backend_text(const nat::Backend<V4>& backend) {
    const std::uint16_t port = backend.port;
    return target_text({backend.address, port != 0 ? std::optional(port) : std::nullopt});
}

}  // namespace noclash::dpdk
