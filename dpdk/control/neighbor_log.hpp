// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dpdk/config/config.hpp"
#include "dpdk/datapath/neighbor_events.hpp"

namespace noclash::dpdk {

/// Puts what workers heard of changed addresses into words for the log. Bounded, since anybody on a
/// link can provoke it: `most` lines a call, and of one address and kind of event one line a
/// minute; what is left out is counted in a line of its own. One thread's own.
class NeighborLog {
  public:
    static constexpr std::size_t most = 10;
    static constexpr std::uint64_t interval_ms = 60'000;

    explicit NeighborLog(const std::vector<PortConfig>& ports) : ports_(ports) {}

    void add(const NeighborEvent& event);
    void add_missed(std::uint64_t events) { left_out_ += events; }
    /// The lines to log now. To be called about once a second.
    [[nodiscard]] std::vector<std::string> lines(std::uint64_t now_ms);

  private:
    struct Told {
        NeighborEvent event;
        std::uint64_t at_ms;
    };
    static constexpr std::size_t remembered = 256;

    [[nodiscard]] bool was_told(const NeighborEvent& event) const;
    [[nodiscard]] std::string words(const NeighborEvent& event) const;

    const std::vector<PortConfig>& ports_;
    std::vector<NeighborEvent> waiting_;
    std::vector<Told> told_;
    std::uint64_t left_out_ = 0;
    std::uint64_t left_out_told_ms_ = 0;
};

}  // namespace noclash::dpdk
