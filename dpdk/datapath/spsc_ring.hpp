// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace noclash::dpdk {

/// A bounded queue from one thread to one other. Neither waits: who puts in is told that there is
/// no room, who takes out that there is nothing.
template <class T, std::size_t places>
class SpscRing {
    static_assert(std::has_single_bit(places));

  public:
    static constexpr std::size_t room = places;

    /// How many may be put in before there is no room. On the thread that puts in.
    [[nodiscard]] std::size_t left() const {
        return room - (end_.load(std::memory_order_relaxed) -
                       begin_.load(std::memory_order_acquire));  // (58)
    }
    /// On the thread that puts in. False: there is no room.
    [[nodiscard]] bool push(const T& value) {
        if (left() == 0) return false;
        const std::uint64_t end = end_.load(std::memory_order_relaxed);
        values_[end % room] = value;
        end_.store(end + 1, std::memory_order_release);  // (57)
        return true;
    }

    /// On the thread that takes out: two loads of what hardly ever changes.
    [[nodiscard]] bool empty() const {
        return end_.load(std::memory_order_relaxed) == begin_.load(std::memory_order_relaxed);
    }
    /// On the thread that takes out. Hands at most `most` values to `take`, and returns how many.
    template <class Take>
    std::size_t drain(Take&& take, std::size_t most = std::numeric_limits<std::size_t>::max()) {
        std::uint64_t begin = begin_.load(std::memory_order_relaxed);
        const std::uint64_t end = end_.load(std::memory_order_acquire);  // (60)
        std::size_t taken = 0;
        for (; begin != end && taken < most; ++begin, ++taken)
            take(values_[begin % room]);
        begin_.store(begin, std::memory_order_release);  // (59)
        return taken;
    }

  private:
    std::array<T, places> values_{};
    alignas(64) std::atomic<std::uint64_t> begin_{0};  ///< written by who takes out
    alignas(64) std::atomic<std::uint64_t> end_{0};    ///< written by who puts in
};

}  // namespace noclash::dpdk
