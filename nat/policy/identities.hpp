// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/base/random.hpp"
#include "nat/policy/pooling.hpp"

namespace noclash::nat {

/// A rule's name as a number. Flows, mappings, lists and counters refer to rules by it: a rule's
/// place in its list may change, and the list may go, while a flow lives.
using RuleId = std::uint16_t;
/// Likewise of a pool.
using PoolId = std::uint16_t;

/// Names as numbers: a name gets one when it is met first, and keeps it until it is given back. Any
/// thread.
class Names {
  public:
    /// @param most  names at once; at most 65,536
    explicit Names(std::size_t most) : most_(most) {}
    /// With names that have numbers already.
    /// @param names  by number; empty: nobody has the number
    /// @throws std::length_error when there are more than `most`, or two are the same
    Names(std::size_t most, std::vector<std::string> names);
    Names(const Names& other);
    Names& operator=(const Names&) = delete;

    /// @throws std::length_error when the name is new and `most` others have numbers
    [[nodiscard]] std::uint16_t id_of(std::string_view name);
    /// Empty when no name has this number.
    [[nodiscard]] std::string name_of(std::uint16_t id) const;
    /// All names by number; empty ones have none.
    [[nodiscard]] std::vector<std::string> all() const;
    /// All numbers are below it.
    [[nodiscard]] std::size_t size() const;
    [[nodiscard]] std::size_t most() const { return most_; }
    /// How many more names could get a number.
    [[nodiscard]] std::size_t left() const;
    /// Gives back all numbers but those that are `kept`: nothing refers to them any more.
    /// @param kept  by number; those beyond its end are not kept
    /// @return the numbers that other names may get now
    std::vector<std::uint16_t> give_back(const std::vector<bool>& kept);

  private:
    std::size_t most_;
    mutable std::mutex mutex_;
    std::vector<std::string> names_;  ///< by number
    std::unordered_map<std::string, std::uint16_t> ids_;
    std::vector<std::uint16_t> free_;  ///< numbers that were given back
};

using SecretKey = std::array<std::uint64_t, 2>;

/// All identities at one moment, to be kept for another process.
struct IdentityTable {
    std::vector<std::string> rules;          ///< names by number; empty: nobody has it
    std::vector<std::string> pools;          ///< likewise
    std::vector<Pairing::Key> pairing_keys;  ///< by pool
    SecretKey service_key{};                 ///< of services' tables; 0: not known

    friend bool operator==(const IdentityTable&, const IdentityTable&) = default;
};

/// Carries from one policy to the next the numbers of rules, services and pools, and how each pool
/// pairs inside hosts with its addresses. One per gateway; used by one thread at a time, which
/// makes a policy.
class Identities {
  public:
    static constexpr std::size_t most_rules = 65536;
    static constexpr std::size_t most_pools = 65535;  // mappings count them from 1

    /// @param rules  how many rules may have a number: all that is kept by rule is as long
    explicit Identities(std::size_t rules = most_rules) : rules_(rules), pools_(most_pools) {
        random_bytes(service_key_.data(), sizeof service_key_);
    }
    /// With those of another process.
    /// @throws std::length_error when the table holds too many names, one of them twice, or not one
    ///         key for each pool
    explicit Identities(IdentityTable kept);
    [[nodiscard]] IdentityTable table() const;

    [[nodiscard]] RuleId rule(std::string_view name) { return rules_.id_of(name); }
    [[nodiscard]] PoolId pool(std::string_view name);
    [[nodiscard]] const Pairing& pairing_of(PoolId pool) const { return pairings_[pool]; }
    /// What services choose backends by: the same in every policy, so that few flows of a client
    /// move to another backend when backends change.
    [[nodiscard]] const SecretKey& service_key() const { return service_key_; }
    [[nodiscard]] const Names& rules() const { return rules_; }
    [[nodiscard]] const Names& pools() const { return pools_; }

    /// Gives back the numbers of the rules and pools that are not kept. A pool that comes again
    /// pairs hosts otherwise.
    /// @return those of rules
    std::vector<RuleId> give_back(const std::vector<bool>& kept_rules,
                                  const std::vector<bool>& kept_pools);

  private:
    Names rules_;
    Names pools_;
    std::vector<Pairing> pairings_;  ///< by pool
    SecretKey service_key_{};
};

}  // namespace noclash::nat
