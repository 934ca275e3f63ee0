// SPDX-License-Identifier: Apache-2.0
#include "tools/cpsload/option_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <string_view>

namespace noclash::cpsload {
namespace {

/// A whole number from `least` to `most`, and nothing else.
template <class Number>
bool read(std::string_view text, Number least, Number most, Number& number) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc() && end == text.data() + text.size() && number >= least &&
           number <= most;
}

[[noreturn]] void refuse(const std::string& option, const std::string& text,
                         std::string_view expected) {
    throw UsageError(fmt::format("{}: {:?}: expected {}", option, text, expected));
}

std::vector<std::string> split(const std::string& text, char separator) {
    std::vector<std::string> parts;
    std::size_t begin = 0;
    for (;;) {
        const std::size_t end = text.find(separator, begin);
        parts.push_back(text.substr(begin, end - begin));
        if (end == std::string::npos) return parts;
        begin = end + 1;
    }
}

}  // namespace

V4Address address_of(const std::string& text, const std::string& option) {
    const auto address = parse_address<V4>(text);
    if (!address) refuse(option, text, "an IPv4 address");
    return *address;
}

std::pair<V4Address, std::uint8_t> interface_address_of(const std::string& text,
                                                        const std::string& option) {
    const auto parts = split(text, '/');
    std::uint8_t length = 0;
    if (parts.size() != 2 || !read<std::uint8_t>(parts[1], 1, 32, length))
        refuse(option, text, "ADDRESS/LENGTH such as 10.1.0.2/16");
    return {address_of(parts[0], option), length};
}

ServiceText service_of(const std::string& text) {
    const auto parts = split(text, '/');
    const auto ends = split(parts[0], ':');
    ServiceText service;
    if (parts.size() == 2) service.suffix = parts[1];
    const bool known = parts.size() == 1 || service.suffix == "tcp" || service.suffix == "udp" ||
                       service.suffix == "dns";
    if (parts.size() > 2 || !known || ends.size() != 2 ||
        !read<std::uint16_t>(ends[1], 1, 65535, service.endpoint.port))
        refuse("--service", text,
               "ADDRESS:PORT such as 10.1.0.1:30080, or ADDRESS:PORT/udp "
               "(tcp, udp, dns) for --profile mix");
    service.endpoint.address = address_of(ends[0], "--service");
    return service;
}

Endpoint backend_of(const std::string& text) {
    const auto ends = split(text, ':');
    Endpoint backend;
    if (ends.size() > 2 ||
        (ends.size() == 2 && !read<std::uint16_t>(ends[1], 1, 65535, backend.port)))
        refuse("--backend", text, "ADDRESS or ADDRESS:PORT");
    backend.address = address_of(ends[0], "--backend");
    return backend;
}

std::pair<std::uint16_t, std::uint16_t> ports_of(const std::string& text) {
    const auto parts = split(text, '-');
    std::pair<std::uint16_t, std::uint16_t> ports;
    if (parts.size() != 2 || !read<std::uint16_t>(parts[0], 1, 65535, ports.first) ||
        !read<std::uint16_t>(parts[1], ports.first, 65535, ports.second))
        refuse("--source-ports", text, "FIRST-LAST such as 1024-65535");
    return ports;
}

Schedule ramp_of(const std::string& text) {
    const auto parts = split(text, ':');
    std::uint32_t from = 0;
    std::uint32_t to = 0;
    std::uint32_t seconds = 0;
    if (parts.size() != 3 || !read(parts[0], 1U, 10'000'000U, from) ||
        !read(parts[1], 1U, 10'000'000U, to) || !read(parts[2], 1U, 86'400U, seconds))
        refuse("--ramp", text, "FROM:TO:SECONDS such as 1000:50000:30");
    return {static_cast<double>(from), static_cast<double>(to), seconds * second};
}

std::vector<std::pair<Kind, std::uint32_t>> mix_of(const std::string& text) {
    constexpr std::string_view expected = "KIND=SHARE,... such as tcp-crr=6,udp=3,dns=1";
    std::vector<std::pair<Kind, std::uint32_t>> mix;
    for (const std::string& part : split(text, ',')) {
        const auto words = split(part, '=');
        std::uint32_t share = 0;
        const auto* name = std::ranges::find(kind_names, std::string_view(words[0]));
        const auto kind = static_cast<Kind>(name - kind_names.begin());
        if (words.size() != 2 || name == kind_names.end() || kind == Kind::hold ||
            !read(words[1], 1U, 1000U, share) ||
            std::ranges::any_of(mix, [&](const auto& other) { return other.first == kind; }))
            refuse("--mix", text, expected);
        mix.emplace_back(kind, share);
    }
    return mix;
}

}  // namespace noclash::cpsload
