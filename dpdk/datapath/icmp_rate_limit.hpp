// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/base/address.hpp"
#include "engine/base/random.hpp"

namespace noclash::dpdk {

/// A token bucket. What is taken may exceed what is there: the debt is paid before anything is left
/// again, so the rate holds however large the pieces are.
template <std::uint32_t per_second, std::uint32_t burst>
class TokenBucket {
  public:
    [[nodiscard]] bool has_one(std::uint64_t now_ms) {
        const auto gained = std::min<std::uint64_t>(now_ms - last_ms_, longest_ms);
        millitokens_ = std::min(full, millitokens_ + static_cast<std::int32_t>(gained) *
                                                         static_cast<std::int32_t>(per_second));
        last_ms_ = now_ms;
        return millitokens_ >= 1000;
    }
    void take(std::uint32_t tokens) { millitokens_ -= static_cast<std::int32_t>(tokens) * 1000; }

  private:
    static constexpr std::int32_t full = burst * 1000;
    /// After that the bucket is full, whatever debt of up to its size it had.
    static constexpr std::uint64_t longest_ms = 2 * std::uint64_t{full} / per_second + 1;

    std::uint64_t last_ms_ = 0;
    std::int32_t millitokens_ = full;
};

/// How many ICMP errors of our own may go out (RFC 1812, section 4.3.2.8), in a way that their
/// number tells nobody anything. One worker's own.
///
/// A packet that hits a flow, sent with a time to live of 1 and the peer's address as its source,
/// provokes an error to the peer; one that hits none does not. Were there one budget that everybody
/// can exhaust and knows the size of, anybody could count what is left of it for himself, and so
/// find out the ports of other people's flows: SAD DNS (CVE-2020-25705; Man et al., "DNS Cache
/// Poisoning Attack Reloaded", CCS 2020). So, as in Linux (since 5.10, and 6.12 for the order):
///
/// 1. Each destination has a budget of its own, which is asked first: errors to one address say
///    nothing to another, and take no more than so much from all. Which addresses are remembered,
///    when there are too many, is left to chance.
/// 2. The budget of all is charged at random: nothing for most errors and much for a few, one for
///    each on average. Where it ends varies by more (some 120 of 1,000) than a destination may take
///    (20), so an attacker who exhausts it learns next to nothing. Linux charges 0, 1 or 2, which
///    varies by some 6 of 50.
class IcmpRateLimit {
  public:
    static constexpr std::uint32_t per_second = 1000, burst = 1000;           // all together
    static constexpr std::uint32_t each_per_second = 20, burst_of_each = 20;  // a destination

    explicit IcmpRateLimit(RandomBuffer& random)
        : random_(random), key_(random.below(~0U) | 1U), destinations_(std::size_t{sets} * ways) {}

    /// Whether an error may go to `to` now, which it then does.
    [[nodiscard]] bool allow(const V4Address& to, std::uint64_t now_ms) {
        Destination& own = find_or_replace(to);
        if (!own.budget.has_one(now_ms) || !budget_.has_one(now_ms)) return false;
        own.budget.take(1);
        budget_.take(random_.below(lump) == 0 ? lump : 0);
        return true;
    }

  private:
    static constexpr std::uint32_t sets = 128, ways = 8;
    static constexpr std::uint32_t lump = 16;

    struct Destination {
        V4Address address{};
        TokenBucket<each_per_second, burst_of_each> budget;
    };

    Destination& find_or_replace(const V4Address& to) {
        const std::uint32_t set = (to.value.host() * key_ >> 16U) % sets;
        Destination* const first = &destinations_[std::size_t{set} * ways];
        Destination* found = std::find_if(
            first, first + ways, [&](const Destination& known) { return known.address == to; });
        if (found == first + ways) {
            found = first + random_.below(ways);
            *found = {to, {}};
        }
        return *found;
    }

    RandomBuffer& random_;
    std::uint32_t key_;  ///< spreads addresses in a way that nobody outside knows
    std::vector<Destination> destinations_;
    TokenBucket<per_second, burst> budget_;
};

}  // namespace noclash::dpdk
