// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "nat/policy/policy.hpp"
#include "tests/random/rank_tree.hpp"

namespace noclash::test {

/// The knowledge of an observer of every allocation and every release about the ports of one
/// destination: which are free, since when, and what lies between them. Asked about before an
/// allocation, each `rank` is one out of [0, free()), and all ranks are equally likely when every
/// free port is. Ports are counted from the first one of the range.
class PortHistory {
  public:
    /// @param releases  at most so many will follow
    PortHistory(std::uint32_t ports, std::size_t releases);

    void allocated(std::uint32_t port);
    void released(std::uint32_t port);

    [[nodiscard]] std::uint32_t ports() const { return ports_; }
    [[nodiscard]] std::uint32_t free() const { return free_.size(); }
    /// The latest allocations, the latest last.
    [[nodiscard]] const std::vector<std::uint32_t>& allocations() const { return allocations_; }

    [[nodiscard]] bool is_free(std::uint32_t port) const { return is_free_[port]; }
    /// The first free one of `port` and those after it, around the end.
    [[nodiscard]] std::uint32_t at_or_after(std::uint32_t port) const;
    [[nodiscard]] std::uint32_t longest_free() const { return port_of_[by_age_.nth(0)]; }
    [[nodiscard]] std::uint32_t latest_released() const {
        return port_of_[by_age_.nth(free() - 1)];
    }
    /// The free port with the most taken ones right before it: who looks for a free port from a
    /// random one on finds it more often than others.
    [[nodiscard]] std::uint32_t after_longest_run() const;

    /// Free ports below `port`.
    [[nodiscard]] std::uint32_t rank(std::uint32_t port) const { return free_.below(port); }
    /// Free ports from the latest allocation up to `port`, around the end.
    [[nodiscard]] std::uint32_t rank_from_latest(std::uint32_t port) const;
    /// Ports that have been free for longer than `port`.
    [[nodiscard]] std::uint32_t rank_by_age(std::uint32_t port) const {
        return by_age_.below(stamp_of_[port]);
    }
    /// Free ports with fewer taken ones before them than `port`; those with as many stand in the
    /// order in which they came to have them.
    [[nodiscard]] std::uint32_t rank_by_run(std::uint32_t port) const {
        return by_run_.below(run_of_[port]) + place_in_run_[port];
    }

  private:
    void enter_run(std::uint32_t port, std::uint32_t run);
    void leave_run(std::uint32_t port);
    [[nodiscard]] std::uint32_t before(std::uint32_t port) const;
    /// Taken ports between two, the first of them before the second, around the end.
    [[nodiscard]] std::uint32_t between(std::uint32_t first, std::uint32_t second) const {
        return (second + ports_ - first - 1) % ports_;
    }

    std::uint32_t ports_;
    std::vector<bool> is_free_;
    RankTree free_;
    RankTree by_age_;  ///< by the number of the release
    RankTree by_run_;  ///< by the number of taken ports before
    std::vector<std::uint32_t> stamp_of_, run_of_, place_in_run_;  ///< by port
    std::vector<std::uint32_t> port_of_;                           ///< by the number of the release
    std::vector<std::vector<std::uint32_t>> with_run_;             ///< ports, by run
    std::vector<std::uint32_t> allocations_;
};

}  // namespace noclash::test
