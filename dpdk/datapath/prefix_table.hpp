// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <rte_lpm.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/base/address.hpp"

namespace noclash::dpdk {

/// Longest-prefix match for IPv4: DPDK's, made at once of all prefixes, and never changed. Any
/// thread may look up.
class PrefixTable {
  public:
    struct Entry {
        Prefix<V4> prefix;
        std::uint32_t value;  ///< from 1 to `most_value`
    };
    static constexpr std::uint32_t none = 0;  ///< the value where no prefix matches
    static constexpr std::uint32_t most_value = (1U << 24U) - 1;

    /// Of entries with the same prefix, the last one counts.
    /// @throws std::runtime_error when DPDK has no memory for the table
    explicit PrefixTable(std::vector<Entry> entries);

    /// The value of the longest prefix that `address` lies in.
    [[nodiscard, gnu::always_inline]] std::uint32_t find(const V4Address& address) const {
        std::uint32_t value = 0;
        return rte_lpm_lookup(lpm_.get(), address.value.host(), &value) == 0 ? value : none;
    }

    /// What look-ups read at random.
    [[nodiscard]] std::span<const std::byte> memory() const {
        return std::as_bytes(std::span(lpm_->tbl24));
    }

  private:
    struct Free {
        void operator()(rte_lpm* lpm) const;
    };
    void add(V4Address network, std::uint8_t length, std::uint32_t value);

    std::unique_ptr<rte_lpm, Free> lpm_;
};

}  // namespace noclash::dpdk
