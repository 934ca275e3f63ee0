// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "engine/base/address.hpp"
#include "nat/ports/rss_model.hpp"

namespace noclash::dpdk {

struct Gateway;

/// How a device spreads packets over its queues.
struct Rss {
    std::vector<std::uint8_t> key;      ///< of the Toeplitz hash
    std::vector<std::uint16_t> queues;  ///< the indirection table (RETA), a power of two of places
    std::uint64_t fields = 0;           ///< what is hashed: RTE_ETH_RSS_*
};

/// The RSS settings of the started device `port_id`, or, in words, the one that it does not report.
[[nodiscard]] std::variant<Rss, std::string> read_rss(std::uint16_t port_id);

/// Where a device that spreads so hands its packets. The hash is DPDK's own (`rte_softrss`).
[[nodiscard]] nat::RssModel<V4> steering_by(const Rss& rss);

/// Lets the gateway know how its ports spread, when its configuration wants replies to come to the
/// worker that owns their flow; says in the log for which ports that cannot be had, and why. After
/// the ports have started, since many devices fill in their tables only then, and before the
/// workers begin.
void learn_steering(Gateway& gateway);

}  // namespace noclash::dpdk
