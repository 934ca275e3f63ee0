// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <optional>

#include "engine/base/random.hpp"
#include "nat/policy/port_set.hpp"

namespace noclash::nat {

/// Which ports of one pool address may be free towards one destination. Shared by all workers,
/// without locks.
///
/// The map always holds a *superset* of the free ports (but for those that a worker has in hand
/// right now): it starts full, a port is taken out before it is proposed, and comes back when its
/// flow ends or when the proposal failed for another reason than being taken. So an empty map means
/// exhausted, a taken port costs one failed proposal in the life of its flow, and nothing has to be
/// swept. The tuple index stays the only judge.
///
/// `give` is a release and taking out an acquire, on the same word: a worker that takes a port out
/// after its flow's end gave it back sees the flow's tuple gone from the index; one that takes it
/// out before leaves the bit to be set.
///
/// Two levels: 32 groups of 2,048 ports, each with a count that is never below the number of its
/// bits (a count goes up before its bit is set and down after it is cleared).
template <class Traits>
class OccupancyMap {
  public:
    /// All of `ports` may be free. Only while nobody else uses the map.
    void reset(PortSet ports) {
        ports_ = ports;
        for (auto& count : counts_)
            count.store(0, std::memory_order_relaxed);
        for (std::uint32_t i = 0; i < words_.size(); ++i) {
            const std::uint64_t word = ports.bits(i);
            words_[i].store(word, std::memory_order_relaxed);
            auto& count = counts_[i / group_words];
            count.store(count.load(std::memory_order_relaxed) +
                            static_cast<std::uint32_t>(std::popcount(word)),
                        std::memory_order_relaxed);
        }
    }

    /// Takes out ports that must not be proposed. Those that are not the map's do not matter.
    void exclude(PortRange ports) {
        for (std::uint32_t port = ports.first; port <= ports.last; ++port)
            take_out(port);
    }

    /// The ports that the map covers.
    [[nodiscard]] PortSet ports() const { return ports_; }

    /// Takes out one port, uniformly among those present; nothing when the map is empty.
    [[nodiscard]] std::optional<std::uint16_t> take(RandomBuffer& random) {
        // Others may empty the place that was drawn; then another draw, and at last a look at all.
        for (int draws = 0; draws < 64; ++draws) {
            const std::uint32_t total = upper_bound();
            if (total == 0) return std::nullopt;
            const auto port = draw(random, total);
            if (port && take_out(*port)) return port;
        }
        for (std::uint32_t n = 0; n < ports_.size(); ++n)
            if (take_out(ports_[n])) return ports_[n];
        return std::nullopt;
    }

    /// As `take`, but leaves the port where it is, and may find none though the map is not empty:
    /// for who wants to prepare what he may `take_out` next.
    /// @param total  what `upper_bound()` was just now
    [[nodiscard]] std::optional<std::uint16_t> look(RandomBuffer& random,
                                                    std::uint32_t total) const {
        return total == 0 ? std::nullopt : draw(random, total);
    }
    [[nodiscard]] std::optional<std::uint16_t> look(RandomBuffer& random) const {
        return look(random, upper_bound());
    }

    /// Never below the number of ports present.
    [[nodiscard]] std::uint32_t upper_bound() const {
        std::uint32_t total = 0;
        for (const auto& count : counts_)
            total += count.load(std::memory_order_relaxed);
        return total;
    }

    /// Takes out this port; false when it is not there.
    bool take_out(std::uint32_t port) {
        const std::uint64_t before =
            words_[port / 64U].fetch_and(~bit(port), std::memory_order_acquire);  // (16)
        if ((before & bit(port)) == 0) return false;
        counts_[port / group_ports].fetch_sub(1, std::memory_order_relaxed);
        return true;
    }

    /// The port may be free (again).
    void give(std::uint16_t port) {
        auto& count = counts_[port / group_ports];
        count.fetch_add(1, std::memory_order_relaxed);
        const std::uint64_t before =
            words_[port / 64U].fetch_or(bit(port), std::memory_order_release);  // (15)
        if ((before & bit(port)) != 0) count.fetch_sub(1, std::memory_order_relaxed);
    }

    [[nodiscard]] std::uint32_t size() const {
        std::uint32_t total = 0;
        for (const auto& word : words_)
            total +=
                static_cast<std::uint32_t>(std::popcount(word.load(std::memory_order_relaxed)));
        return total;
    }

  private:
    static constexpr std::uint32_t groups = 32;
    static constexpr std::uint32_t group_ports = 65536 / groups;
    static constexpr std::uint32_t group_words = group_ports / 64;

    static constexpr std::uint64_t bit(std::uint32_t port) { return 1ULL << (port % 64U); }

    /// `total` is above 0, and about how many ports are present.
    [[nodiscard]] std::optional<std::uint16_t> draw(RandomBuffer& random,
                                                    std::uint32_t total) const {
        // While many are, some port soon is one of them: cheaper than counting.
        if (total >= ports_.size() / 4) {
            for (int draws = 0; draws < 8; ++draws) {
                const std::uint16_t port = ports_[random.below(ports_.size())];
                if ((words_[port / 64U].load(std::memory_order_relaxed) & bit(port)) != 0)
                    return port;
            }
        }
        return nth(random.below(total));
    }

    [[nodiscard]] std::optional<std::uint16_t> nth(std::uint32_t n) const {
        std::uint32_t group = 0;
        for (; group < groups; ++group) {
            const std::uint32_t count = counts_[group].load(std::memory_order_relaxed);
            if (n < count) break;
            n -= count;
        }
        if (group == groups) return std::nullopt;
        for (std::uint32_t i = group * group_words; i < (group + 1) * group_words; ++i) {
            std::uint64_t word = words_[i].load(std::memory_order_relaxed);
            const auto present = static_cast<std::uint32_t>(std::popcount(word));
            if (n >= present) {
                n -= present;
                continue;
            }
            for (; n > 0; --n)
                word &= word - 1;
            return static_cast<std::uint16_t>(i * 64 +
                                              static_cast<std::uint32_t>(std::countr_zero(word)));
        }
        return std::nullopt;
    }

    PortSet ports_{};
    std::array<typename Traits::template Atomic<std::uint32_t>, groups> counts_{};
    std::array<typename Traits::template Atomic<std::uint64_t>, 1024> words_{};
};

}  // namespace noclash::nat
