// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "nat/policy/pooling.hpp"

namespace noclash::nat {

/// A rule's name as a number. Flows, mappings, lists and counters refer to rules by it: a rule's
/// place in its list may change, and the list may go, while a flow lives.
using RuleId = std::uint16_t;
/// Likewise of a pool.
using PoolId = std::uint16_t;

/// Names as numbers: a name gets the next number when it is met first, and keeps it. Any thread.
class Names {
  public:
    /// @param most  names at once; at most 65,536
    explicit Names(std::size_t most) : most_(most) {}
    Names(const Names& other);
    Names& operator=(const Names&) = delete;

    /// @throws std::length_error when the name is new and `most` others have numbers
    [[nodiscard]] std::uint16_t id_of(std::string_view name);
    /// Stays where it is for as long as there are names.
    [[nodiscard]] const std::string& name_of(std::uint16_t id) const;
    /// How many names have a number: those from 0 on.
    [[nodiscard]] std::size_t size() const;
    [[nodiscard]] std::size_t most() const { return most_; }

  private:
    std::size_t most_;
    mutable std::mutex mutex_;
    std::deque<std::string> names_;  ///< by number
    std::unordered_map<std::string, std::uint16_t> ids_;
};

/// Carries from one policy to the next the numbers of rules and pools, and how each pool pairs
/// inside hosts with its addresses. One per gateway; used by one thread at a time, which makes a
/// policy.
class Identities {
  public:
    static constexpr std::size_t most_rules = 65536;
    static constexpr std::size_t most_pools = 65535;  // mappings count them from 1

    /// @param rules  how many rules may have a number: all that is kept by rule is as long
    explicit Identities(std::size_t rules = most_rules) : rules_(rules), pools_(most_pools) {}

    [[nodiscard]] RuleId rule(std::string_view name) { return rules_.id_of(name); }
    [[nodiscard]] PoolId pool(std::string_view name);
    [[nodiscard]] const Pairing& pairing_of(PoolId pool) const { return pairings_[pool]; }
    [[nodiscard]] const Names& rules() const { return rules_; }

  private:
    Names rules_;
    Names pools_;
    std::vector<Pairing> pairings_;  ///< by pool
};

}  // namespace noclash::nat
