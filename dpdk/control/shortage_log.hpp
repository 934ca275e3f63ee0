// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "nat/packet/drop_reason.hpp"

namespace noclash::dpdk {

/// Tells the operator when new connections find no room, or meet a limit [RFC 6888 REQ-11]: at once
/// when it begins, once a minute while it goes on, and when a minute has passed without. One
/// thread's own.
class ShortageLog {
  public:
    static constexpr std::array reasons{
        nat::DropReason::exhausted,        nat::DropReason::search_timeout,
        nat::DropReason::table_full,       nat::DropReason::chain_too_long,
        nat::DropReason::subscriber_flows, nat::DropReason::subscriber_ports,
        nat::DropReason::half_open_source, nat::DropReason::half_open_service};
    static constexpr std::uint64_t interval_ms = 60'000;
    using Totals = std::array<std::uint64_t, reasons.size()>;

    /// `totals`: what all workers have dropped since the start, by `reasons`. To be called about
    /// once a second; returns the line to log, if there is something to say.
    [[nodiscard]] std::optional<std::string> look(const Totals& totals, std::uint64_t now_ms);

    /// Whether the last line told of a shortage.
    [[nodiscard]] bool ringing() const { return ringing_; }

  private:
    Totals told_{};
    std::uint64_t told_ms_ = 0;
    bool ringing_ = false;
};

}  // namespace noclash::dpdk
