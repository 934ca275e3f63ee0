// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "nat/policy/identities.hpp"
#include "nat/syn_proxy/backend_offer.hpp"
#include "nat/syn_proxy/syn_cookie.hpp"

namespace noclash::nat {

/// What the SYN proxies of all workers share.
template <class Family, class Traits>
class SynProxyShared {
  public:
    /// So long does a service stay guarded once it is, in ms.
    static constexpr std::uint64_t hold_ms = 10'000;

    /// @param master  a secret that cookies' key follows from
    /// @param rules   how many may have a number
    SynProxyShared(const typename SynCookies<Family>::Key& master, std::size_t rules)
        : cookies_(master), services_(rules) {}

    [[nodiscard]] const SynCookies<Family>& cookies() const { return cookies_; }
    /// Whether a service with `SynProxyMode::automatic` is guarded just now.
    [[nodiscard]] bool is_guarded(RuleId service, std::uint64_t now_ms) const {
        return services_[service].guarded_until.load(std::memory_order_relaxed) > now_ms;
    }
    /// Guards it from now on. Writes seldom: all workers read it for each SYN.
    void guard(RuleId service, std::uint64_t now_ms) {
        auto& until = services_[service].guarded_until;
        if (until.load(std::memory_order_relaxed) < now_ms + hold_ms - hold_ms / 8)
            until.store(now_ms + hold_ms, std::memory_order_relaxed);
    }

    [[nodiscard]] BackendOffer<Traits>& offer_of(RuleId service) {
        return services_[service].offer;
    }

  private:
    struct OfService {
        /// `now_ms` of the moment when it ends.
        typename Traits::template Atomic<std::uint64_t> guarded_until{0};
        BackendOffer<Traits> offer;
    };

    SynCookies<Family> cookies_;
    std::vector<OfService> services_;  ///< by number
};

}  // namespace noclash::nat
