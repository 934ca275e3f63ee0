// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bitset>
#include <cstdint>
#include <optional>
#include <vector>

#include "dpdk/config/config.hpp"

namespace noclash::dpdk {

/// Numbers from `first` to `last`, both included.
struct Interval {
    std::uint32_t first = 0;
    std::uint32_t last = ~0U;
    friend bool operator==(Interval, Interval) = default;
};

/// Packets: all that have a value of each of these. Ports of a protocol without ports do not count:
/// such packets have any.
struct PacketBox {
    std::uint32_t ingress = 0;  ///< a bit for each port
    std::bitset<256> protocols;
    Interval source, destination;
    Interval source_port{0, 65535}, destination_port{1, 65535};
};

/// The packets that the rules of a configuration match, as sets of boxes: for the question whether
/// any packet is left for a rule. Exact, as nat::matches is; port 0 alone is left out.
class RuleRegions {
  public:
    explicit RuleRegions(const Config& config);

    /// Every packet that a rule may be asked about.
    [[nodiscard]] const PacketBox& everything() const { return everything_; }
    /// The packets that a rule matches; for a static mapping two boxes: packets that it sends, and
    /// packets that are sent to it. Nothing when these are too many boxes.
    [[nodiscard]] const std::optional<std::vector<PacketBox>>& of(std::size_t rule) const {
        return of_rule_[rule];
    }

  private:
    [[nodiscard]] std::optional<std::vector<PacketBox>> boxes_of(const nat::Rule<V4>& rule) const;

    PacketBox everything_;
    std::vector<std::optional<std::vector<PacketBox>>> of_rule_;
};

/// Some packets, of which more and more are taken away.
class PacketSet {
  public:
    explicit PacketSet(const PacketBox& box) : boxes_{box} {}

    /// @return whether any of them were there
    bool take_away(const PacketBox& box);
    [[nodiscard]] bool empty() const { return boxes_.empty() && !too_many_; }
    /// Whether taking more away changes nothing.
    [[nodiscard]] bool is_settled() const { return boxes_.empty() || too_many_; }

  private:
    static constexpr std::size_t most = 512;

    std::vector<PacketBox> boxes_;  ///< disjoint
    bool too_many_ = false;         ///< given up: taken for not empty
};

}  // namespace noclash::dpdk
