// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/address.hpp"

namespace noclash::health {

enum class Kind : std::uint8_t { tcp, http, https, icmp, dns };
/// As the file has them, in the order of the enum.
inline constexpr std::array<std::string_view, 5> kind_words{"tcp", "http", "https", "icmp", "dns"};

[[nodiscard]] constexpr std::string_view to_text(Kind kind) {
    return kind_words[static_cast<std::size_t>(kind)];
}

/// The first and the last HTTP status of a range.
struct StatusRange {
    std::uint16_t first = 0;
    std::uint16_t last = 0;
    friend bool operator==(const StatusRange&, const StatusRange&) = default;
};

/// One `[[check]]`: how the backends of its services are checked. What a kind does not use keeps
/// its default.
struct Check {
    std::vector<std::string> services;  ///< names
    std::uint32_t line = 0;             ///< in the file, from 1
    Kind kind = Kind::tcp;
    std::uint32_t interval_ms = 2000;
    std::uint32_t timeout_ms = 1000;  ///< at most `interval_ms`
    std::uint32_t rise = 2;           ///< checks in a row that succeed: the backend is up
    std::uint32_t fall = 3;           ///< checks in a row that fail: the backend is down
    std::uint32_t jitter_percent = 10;

    std::optional<std::uint16_t> port;  ///< absent: the backend's own
    std::string path = "/";             ///< http, https
    std::string host;                   ///< http, https; empty: the backend's address
    std::vector<StatusRange> statuses{{200, 399}};
    std::string status_text = "200-399";  ///< `statuses` as the file has them
    bool verify = true;                   ///< https: the certificate
    std::string ca_file;                  ///< https; empty: the system's
    std::string question;                 ///< dns: the name that is asked for
    bool nxdomain = false;                ///< dns: the answer "no such name" is a success

    std::string interface;            ///< packets leave by it; empty: as routes say
    std::optional<V4Address> source;  ///< address of packets
};

/// Where a check goes. Kind icmp uses no port.
struct Endpoint {
    V4Address address;
    std::uint16_t port = 0;
    friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

/// What came of one check.
struct Outcome {
    bool success = false;
    std::string words;          ///< for people: why not, or what the backend said
    std::uint64_t took_ns = 0;  ///< from the start of the check
};

}  // namespace noclash::health
