// SPDX-License-Identifier: Apache-2.0
#include "tools/health/dns_message.hpp"

#include <algorithm>
#include <array>
#include <cctype>

namespace noclash::health {

namespace {

constexpr std::size_t dns_header_size = 12;
constexpr std::size_t longest_name = 253;
constexpr std::size_t longest_label = 63;

// Bits of the third and fourth byte of a header.
constexpr std::uint8_t response_bit = 0x80;
constexpr std::uint8_t opcode_bits = 0x78;
constexpr std::uint8_t recursion_desired = 0x01;
constexpr std::uint8_t rcode_bits = 0x0f;

constexpr std::array<std::string_view, 6> rcode_names{"NOERROR",  "FORMERR", "SERVFAIL",
                                                      "NXDOMAIN", "NOTIMP",  "REFUSED"};

bool is_label(std::string_view label) {
    return !label.empty() && label.size() <= longest_label &&
           std::ranges::all_of(label, [](unsigned char c) { return c > ' ' && c < 0x7f; });
}

/// Calls `take` with each label; stops when it returns false.
template <class Take>
bool each_label(std::string_view name, Take take) {
    if (name == ".") return true;
    if (name.ends_with('.')) name.remove_suffix(1);
    for (;;) {
        const std::size_t dot = name.find('.');
        if (!take(name.substr(0, dot))) return false;
        if (dot == std::string_view::npos) return true;
        name.remove_prefix(dot + 1);
    }
}

std::uint8_t lower(std::uint8_t byte) {
    return static_cast<std::uint8_t>(std::tolower(byte));
}

}  // namespace

bool is_dns_name(std::string_view name) {
    const std::size_t letters = name.size() - (name.ends_with('.') ? 1 : 0);
    return letters <= longest_name && each_label(name, is_label);
}

std::vector<std::uint8_t> dns_query(std::uint16_t id, std::string_view name) {
    std::vector<std::uint8_t> query(dns_header_size);
    query[0] = static_cast<std::uint8_t>(id >> 8U);
    query[1] = static_cast<std::uint8_t>(id & 0xffU);
    query[2] = recursion_desired;
    query[5] = 1;  // one question
    each_label(name, [&](std::string_view label) {
        query.push_back(static_cast<std::uint8_t>(label.size()));
        query.insert(query.end(), label.begin(), label.end());
        return true;
    });
    // The root; type A, class IN.
    query.insert(query.end(), {0, 0, 1, 0, 1});
    return query;
}

std::optional<std::uint8_t> dns_answer(std::span<const std::uint8_t> message,
                                       std::span<const std::uint8_t> query) {
    if (message.size() < dns_header_size || query.size() < dns_header_size) return std::nullopt;
    if (message[0] != query[0] || message[1] != query[1]) return std::nullopt;
    if ((message[2] & response_bit) == 0 || (message[2] & opcode_bits) != 0) return std::nullopt;
    const auto code = static_cast<std::uint8_t>(message[3] & rcode_bits);
    const unsigned questions = message[4] * 256U + message[5];
    if (questions == 0 && code != dns_rcode::no_error) return code;
    if (questions != 1) return std::nullopt;
    // A server may write the name in upper or lower case (RFC 1035, 2.3.3); nothing before it can
    // be pointed to, so it is not compressed.
    const auto question = query.subspan(dns_header_size);
    const auto there = message.subspan(dns_header_size);
    if (there.size() < question.size()) return std::nullopt;
    const auto same = std::equal(question.begin(), question.end(), there.begin(),
                                 [](auto a, auto b) { return lower(a) == lower(b); });
    return same ? std::optional(code) : std::nullopt;
}

std::string dns_rcode_text(std::uint8_t code) {
    return code < rcode_names.size() ? std::string(rcode_names[code])
                                     : "RCODE " + std::to_string(code);
}

}  // namespace noclash::health
