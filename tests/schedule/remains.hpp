// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "engine/base/huge_array.hpp"
#include "tests/schedule/world.hpp"

namespace noclash::schedule {

/// A record that may live on, as it was when everything stopped.
struct Left {
    FlowStatus status = FlowStatus::free;  ///< `live` or `ending`
    std::array<Key, 2> tuples{};
    std::array<std::uint16_t, 2> sum_changes{};
    std::uint16_t rule = 0;
    Moment expires = 0;
    std::uint8_t protocol_state = 0;
    std::uint8_t marks = 0;
};

/// The memory that is left of a killed world, its records, and what has to be so when another world
/// has adopted them.
class Remains {
  public:
    explicit Remains(std::size_t records) : records_(records) {}

    [[nodiscard]] Record* records() { return &records_[0]; }
    [[nodiscard]] std::size_t size() const { return records_.size(); }

    /// Remembers what the records hold, whose world is gone.
    void note();
    [[nodiscard]] const std::vector<Left>& left() const { return left_; }

    /// Whether a record has to live on, by what it says of itself.
    using Lives = std::function<bool(const Left&)>;
    /// Every flow that was live lives on, whole. One that was ending does so unless another has one
    /// of its tuples. Nothing else lives, every tuple leads to its one owner, and every other
    /// record is free.
    /// @param copies  fits into fewer records that were killed: each may have left a copy
    void check(Table& table, const AdoptionCounts& counts, const Lives& lives, std::size_t copies,
               Events& events) const;
    /// Every tuple of a live record leads to it, and to nobody else.
    static void check_tuples(Table& table);
    /// The live record that is the same.
    [[nodiscard]] static std::optional<FlowId> find_same(Table& table, const Left& left);

  private:
    void check_nothing_else_lives(Table& table) const;

    HugeArray<Record> records_;
    std::vector<Left> left_;
    std::uint32_t set_up_ = 0;  ///< records that were being set up
};

}  // namespace noclash::schedule
