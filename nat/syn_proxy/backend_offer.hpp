// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "nat/conntrack/syn_options.hpp"
#include "nat/policy/service.hpp"

namespace noclash::nat {

/// The least that a service's backends have offered in their SYN-ACKs lately: whatever a proxied
/// client is offered, each of them can then keep. "Lately" is since the beginning of the minute
/// before this one; as long as nothing is heard, what was heard last holds. Any thread.
template <class Traits>
class BackendOffer {
  public:
    static constexpr std::uint64_t period_ms = 60'000;

    /// A backend has answered a SYN.
    /// @param asked    the SYN's options: without them, a backend offers nothing, and tells nothing
    /// @param options  of its SYN-ACK
    void note(const SynOptions& asked, SynOptions options, std::uint64_t now_ms) {
        if (asked.window_scale == no_window_scale) options.window_scale = most_window_scale;
        options.sack = options.sack || !asked.sack;
        options.timestamps = options.timestamps || !asked.timestamps;
        const std::uint64_t period = (now_ms / period_ms & 0xffff'ffffU) << 32U;
        const std::uint32_t offered = word_of(options);
        std::uint64_t seen = latest_.load(std::memory_order_relaxed);
        for (;;) {
            const bool begins = heard(seen) == 0 || (seen ^ period) >> 32U != 0;
            const std::uint64_t wanted = period | (begins ? offered : least(heard(seen), offered));
            if (wanted == seen) return;
            if (!latest_.compare_exchange_weak(seen, wanted, std::memory_order_relaxed)) continue;
            if (begins) before_.store(heard(seen), std::memory_order_relaxed);
            return;
        }
    }

    /// What a client may be offered; the defaults as long as no backend has been heard.
    [[nodiscard]] SynOffer offer() const {
        const std::uint32_t latest = heard(latest_.load(std::memory_order_relaxed));
        const std::uint32_t before = before_.load(std::memory_order_relaxed);
        if (latest == 0) return {};
        return offer_of(before == 0 ? latest : least(latest, before));
    }

  private:
    // A word: the maximum segment size, the window scale and one, 0 for none, and two flags. A word
    // is 0 when nothing was heard: the segment size never is.
    static constexpr unsigned scale_at = 16, sack_at = 24, timestamps_at = 25;

    static std::uint32_t heard(std::uint64_t word) { return static_cast<std::uint32_t>(word); }
    static std::uint32_t word_of(const SynOptions& options) {
        const std::uint32_t scale =
            options.window_scale == no_window_scale ? 0U : options.window_scale + 1U;
        const auto size =
            std::clamp(options.max_segment_size, SynOffer::least_segment, SynOffer::most_segment);
        return size | scale << scale_at | std::uint32_t{options.sack} << sack_at |
               std::uint32_t{options.timestamps} << timestamps_at;
    }
    static std::uint32_t least(std::uint32_t one, std::uint32_t other) {
        constexpr std::uint32_t size = 0xffff, scale = 0xffU << scale_at;
        return std::min(one & size, other & size) | std::min(one & scale, other & scale) |
               (one & other & ~(size | scale));
    }
    static SynOffer offer_of(std::uint32_t word) {
        const std::uint32_t scale = word >> scale_at & 0xffU;
        return {static_cast<std::uint16_t>(word),
                static_cast<std::uint8_t>(scale == 0 ? no_window_scale : scale - 1),
                (word >> sack_at & 1U) != 0, (word >> timestamps_at & 1U) != 0};
    }

    typename Traits::template Atomic<std::uint64_t> latest_{0};  ///< the minute, then the word
    typename Traits::template Atomic<std::uint32_t> before_{0};  ///< of the minute before
};

}  // namespace noclash::nat
