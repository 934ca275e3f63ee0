// SPDX-License-Identifier: Apache-2.0
#include "bench/pipeline/rule_mix.hpp"

#include <fmt/format.h>

#include <array>

namespace noclash::bench {
namespace {

/// As text, with bits behind `length` zero.
std::string prefix(std::uint32_t address, unsigned length) {
    address &= length == 0 ? 0 : ~0U << (32 - length);
    return fmt::format("{}.{}.{}.{}/{}", address >> 24U, address >> 16U & 255, address >> 8U & 255,
                       address & 255, length);
}
std::string host(std::uint32_t address) {
    const std::string text = prefix(address, 32);
    return text.substr(0, text.find('/'));
}

/// A rule of the mix by its number, among those of its kind; no two are alike.
std::string service(std::uint32_t i) {
    constexpr std::array ports{443, 80, 22, 53, 8443, 25, 993, 5060};
    return fmt::format(
        "action = \"dnat\"\nin = \"outside\"\nto = \"{}\"\nprotocol = \"{}\"\nto_port = {}\n"
        "target = \"{}:8080\"",
        host(0xc6336500 + i / 8), i % 4 == 3 ? "udp" : "tcp", ports[i % 8], host(0x0a400002 + i));
}
std::string range(std::uint32_t i) {
    return fmt::format(
        "action = \"dnat\"\nin = \"outside\"\nto = \"{}\"\nprotocol = \"udp\"\n"
        "to_port = \"{}-{}\"\ntarget = \"{}\"",
        host(0xc6336500 + i / 16), 10000 + i % 16 * 100, 10099 + i % 16 * 100,
        host(0x0a500002 + i));
}
std::string untranslated(std::uint32_t i) {
    constexpr std::array lengths{16U, 20U, 22U, 24U, 28U};
    return fmt::format("action = \"forward\"\nin = \"inside\"\nto = [\"{}\", \"{}\", \"{}\"]",
                       prefix(0xac000000 + i * 0x10000, 16),
                       prefix(0x64400000 + i * 0x1000, lengths[i % 5]),
                       prefix(0xcb007100 + i * 0x100, 24 + i % 5));
}
std::string unwanted(std::uint32_t i) {
    return fmt::format("action = \"drop\"\nin = \"outside\"\nfrom = [\"{}\", \"{}\", \"{}\"]",
                       prefix(0x5b000000 + i * 0x2000, 19 + i % 4),
                       prefix(0x2d000000 + i * 0x100, 24), prefix(0xb9000000 + i * 0x101, 32));
}
std::string of_a_part(std::uint32_t i) {
    return i % 2 == 0 ? fmt::format(
                            "action = \"reject\"\nin = \"inside\"\nfrom = \"{}\"\n"
                            "protocol = \"tcp\"\nto_port = 25",
                            prefix(0x0a000000 + i * 0x100, 24))
                      : fmt::format(
                            "action = \"snat\"\npool = \"bench\"\nin = \"inside\"\n"
                            "from = \"{}\"\nto = \"{}\"",
                            prefix(0x0a000000 + i * 0x11, 32), prefix(0xc0000200 + i, 32));
}
std::string bound(std::uint32_t i) {
    return i % 2 == 0 ? fmt::format("action = \"static\"\ninside = \"{}\"\noutside = \"{}\"",
                                    host(0x0a600002 + i), host(0xc6340000 + i))
                      : fmt::format(
                            "action = \"static\"\nprotocol = \"tcp\"\n"
                            "inside = \"{}:22\"\noutside = \"{}:{}\"",
                            host(0x0a600002 + i), host(0xc6350000 + i / 64), 2000 + i % 64);
}

struct Kind {
    std::string (*rule)(std::uint32_t number);
    unsigned of_twenty;
};
constexpr std::array kinds{Kind{service, 10},  Kind{untranslated, 3}, Kind{unwanted, 2},
                           Kind{of_a_part, 2}, Kind{bound, 2},        Kind{range, 1}};

}  // namespace

std::string rule_mix(std::uint32_t count) {
    std::array<std::uint32_t, kinds.size()> made{};
    std::string text;
    for (std::uint32_t i = 0; i < count; ++i) {
        // The kind that is furthest behind its share.
        std::size_t next = 0;
        for (std::size_t kind = 1; kind < kinds.size(); ++kind)
            if (std::uint64_t{made[kind]} * kinds[next].of_twenty <
                std::uint64_t{made[next]} * kinds[kind].of_twenty)
                next = kind;
        text += fmt::format("[[rule]]\nname = \"mix-{}\"\n{}\n", i, kinds[next].rule(made[next]++));
    }
    return text;
}

}  // namespace noclash::bench
