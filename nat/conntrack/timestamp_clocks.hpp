// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <cstring>

#include "engine/base/random.hpp"

namespace noclash::nat {

/// One timestamp clock for each outside address: what a connection that opens says with TSval when
/// the gateway speaks for many hosts. Shared by all workers.
///
/// A clock ticks each millisecond, from a random start. Within a connection it is the client's own
/// clock that goes on, shifted; so
///
/// * one that ticks slower (RFC 7323 allows 1 Hz to 1 kHz) falls behind, which nobody minds: its
///   values still rise, and the next connection begins at the address' clock;
/// * one that ticks faster, or whose first segment was delayed more than a later one, gets ahead.
///   Then the address' clock is held at the latest value that was sent, until time has caught up,
///   so that no connection begins behind what a server has seen of that address. A client that is
///   ahead by more than `most_ahead_ms` has no clock of RFC 7323 and is not waited for.
///
/// Addresses may share a clock: it is as monotonic for both.
template <class Traits>
class TimestampClocks {
  public:
    static constexpr std::size_t clocks = 1024;  ///< 16 KiB
    static constexpr std::int32_t most_ahead_ms = 1 << 20;

    /// @throws std::runtime_error when the kernel has no random numbers
    TimestampClocks() {
        std::array<std::uint32_t, clocks> starts{};
        random_bytes(starts.data(), sizeof starts);
        for (std::size_t i = 0; i < clocks; ++i)
            clocks_[i].start = starts[i];
    }

    /// The TSval of a connection from `address` that opens now. Never behind what the address said
    /// before. Any thread.
    template <class Address>
    [[nodiscard]] std::uint32_t read(const Address& address, std::uint64_t now_ms) const {
        const Clock& clock = clock_of(address);
        const std::uint64_t latest = clock.latest_ms.load(std::memory_order_relaxed);
        return clock.start + static_cast<std::uint32_t>(std::max(now_ms, latest));
    }

    /// A segment with TSval `value` leaves from `address`. Any thread.
    template <class Address>
    void sent(const Address& address, std::uint32_t value, std::uint64_t now_ms) {
        Clock& clock = const_cast<Clock&>(clock_of(address));
        const auto ahead_ms =
            static_cast<std::int32_t>(value - clock.start - static_cast<std::uint32_t>(now_ms));
        if (ahead_ms <= 0 || ahead_ms > most_ahead_ms) return;
        const std::uint64_t at_ms = now_ms + static_cast<std::uint64_t>(ahead_ms);
        std::uint64_t latest = clock.latest_ms.load(std::memory_order_relaxed);
        // Fails for good only when others, as often, have said something later than before.
        for (int tries = 0; latest < at_ms && tries < most_tries; ++tries)
            if (clock.latest_ms.compare_exchange_weak(latest, at_ms, std::memory_order_relaxed))
                return;
    }

    /// A clock at one moment, for another process, which may run on another machine.
    struct Kept {
        std::uint32_t value = 0;     ///< what it shows
        std::uint32_t ahead_ms = 0;  ///< so long it is held; 0: it ticks
    };
    [[nodiscard]] std::array<Kept, clocks> keep(std::uint64_t now_ms) const {
        std::array<Kept, clocks> kept{};
        for (std::size_t i = 0; i < clocks; ++i) {
            const std::uint64_t latest = clocks_[i].latest_ms.load(std::memory_order_relaxed);
            kept[i].value = clocks_[i].start + static_cast<std::uint32_t>(now_ms);
            kept[i].ahead_ms = latest > now_ms ? static_cast<std::uint32_t>(latest - now_ms) : 0U;
        }
        return kept;
    }
    /// Goes on with these, which were kept so long ago. Before any thread reads a clock.
    void go_on(const std::array<Kept, clocks>& kept, std::uint64_t now_ms,
               std::uint64_t elapsed_ms) {
        for (std::size_t i = 0; i < clocks; ++i) {
            const std::uint64_t ahead = kept[i].ahead_ms;
            clocks_[i].start = kept[i].value + static_cast<std::uint32_t>(elapsed_ms) -
                               static_cast<std::uint32_t>(now_ms);
            clocks_[i].latest_ms.store(ahead > elapsed_ms ? now_ms + ahead - elapsed_ms : 0,
                                       std::memory_order_relaxed);
        }
    }

  private:
    static constexpr int most_tries = 64;

    struct Clock {
        typename Traits::template Atomic<std::uint64_t> latest_ms{0};  ///< as `now_ms`, once ahead
        std::uint32_t start = 0;
    };

    template <class Address>
    [[nodiscard]] const Clock& clock_of(const Address& address) const {
        static_assert(sizeof address % sizeof(std::uint32_t) == 0);
        std::array<std::uint32_t, sizeof address / sizeof(std::uint32_t)> words;
        std::memcpy(words.data(), &address, sizeof address);
        std::uint32_t mixed = 0;
        for (const std::uint32_t word : words)
            mixed = (mixed ^ word) * 0x9e3779b1U;  // Fibonacci hashing: the upper bits are mixed
        return clocks_[mixed >> (32U - std::bit_width(clocks - 1))];
    }
    static_assert(std::has_single_bit(clocks));

    std::array<Clock, clocks> clocks_;
};

}  // namespace noclash::nat
