// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>

namespace noclash {

/// A statistic with one writing thread and any number of readers: an increment is a plain load, add
/// and store, without a locked instruction.
class Counter {
  public:
    [[gnu::always_inline]] void add(std::uint64_t n = 1) {
        value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
    }
    [[nodiscard]] std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

  private:
    std::atomic<std::uint64_t> value_{0};
};

/// The counters of a worker's flow engine, with the names of `conntrack -S` where it has them.
/// Written by the worker, read by anyone.
struct EngineCounters {
    Counter insert;          ///< flows published
    Counter removed;         ///< flows released
    Counter found;           ///< proposals that were taken
    Counter search_restart;  ///< scans of a bucket repeated because it changed meanwhile
    Counter chain_too_long;  ///< no room in a bucket and its overflow
    Counter table_full;      ///< no flow record left
    Counter rolled_back;     ///< claims given up after they had been made
};

}  // namespace noclash
