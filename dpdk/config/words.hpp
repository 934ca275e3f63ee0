// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string_view>

#include "nat/packet/icmp.hpp"

namespace noclash::dpdk {

/// The words that the configuration has for the values of an enum, in the order of the enum.
/// What reads a file and what speaks of a configuration take them from here.
using Word = std::string_view;

inline constexpr std::array<Word, 2> idle_words{"poll", "nap"};
inline constexpr std::array<Word, 3> huge_pages_words{"auto", "required", "none"};
inline constexpr std::array<Word, 3> tcp_window_words{"off", "liberal", "strict"};
inline constexpr std::array<Word, 3> tcp_timestamps_words{"preserve", "normalize", "strip"};
inline constexpr std::array<Word, 2> tcp_reuse_words{"never", "safe"};
inline constexpr std::array<Word, 2> tcp_unknown_words{"drop", "reset"};
inline constexpr std::array<Word, 3> reverse_path_words{"off", "loose", "strict"};
inline constexpr std::array<Word, 2> pooling_words{"paired", "arbitrary"};
inline constexpr std::array<Word, 7> action_words{"drop",       "reject", "forward", "snat",
                                                  "masquerade", "dnat",   "static"};
inline constexpr std::array<Word, 2> mapping_words{"endpoint-dependent", "endpoint-independent"};
inline constexpr std::array<Word, 3> filtering_words{"address-and-port-dependent",
                                                     "address-dependent", "endpoint-independent"};

inline constexpr std::array<Word, 2> on_change_words{"keep", "end"};
inline constexpr std::array<Word, 2> affinity_words{"none", "client"};
inline constexpr std::array<Word, 2> no_backend_words{"reject", "drop"};
inline constexpr std::array<Word, 2> on_gone_words{"reset", "keep"};
inline constexpr std::array<Word, 3> syn_proxy_words{"off", "auto", "on"};

template <std::size_t count, class Enum>
[[nodiscard]] constexpr Word word_of(const std::array<Word, count>& words, Enum value) {
    return words[static_cast<std::size_t>(value)];
}

/// Of `no_room_icmp`; the errors that they stand for have the same order.
inline constexpr std::array<Word, 3> no_room_words{"host-unreachable", "prohibited", "none"};
inline constexpr std::array<std::optional<nat::IcmpError>, 3> no_room_errors{
    nat::icmp_error::host_unreachable, nat::icmp_error::admin_prohibited, std::nullopt};

}  // namespace noclash::dpdk
