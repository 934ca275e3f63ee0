// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cassert>
#include <cstdint>
#include <span>

#include "nat/ports/rss_model.hpp"

namespace noclash::nat {

/// The wish that a flow's replies come to the worker that sets it up, so that one worker alone has
/// the flow in its caches. It chooses among proposals: uniformly among those that fulfil it, and
/// any of them when it cannot be fulfilled within bounds. An attacker who knows which they are, and
/// to which worker the flow belongs, has log2(workers) bits less to guess.
template <class Family>
class Locality {
  public:
    /// No wish: replies may come to any worker.
    Locality() = default;
    /// @param reply  the flow's reply tuple; its destination need not be known yet
    Locality(const RssModel<Family>& steering, const Tuple<Family>& reply, std::uint16_t worker)
        : steering_(&steering),
          draws_(draws_for_one * steering.tuples_for_one(worker)),
          worker_(worker),
          source_part_(steering.source_part(reply)) {}

    /// How many proposals may be drawn in vain; 0 without a wish, and when no tuple fulfils it.
    [[nodiscard]] std::uint32_t draws() const { return draws_; }
    /// Only when there are draws.
    [[nodiscard]] bool fulfilled_by(const Tuple<Family>& reply) const {
        assert(draws_ > 0);
        return steering_->worker(source_part_, reply) == worker_;
    }

  private:
    /// One flow in 3,000 is drawn so often in vain (e^-8), when every tuple is free.
    static constexpr std::uint32_t draws_for_one = 8;

    const RssModel<Family>* steering_ = nullptr;
    std::uint32_t draws_ = 0;
    std::uint16_t worker_ = 0;
    std::uint16_t source_part_ = 0;
};

/// The wishes of one worker.
template <class Family>
class Localities {
  public:
    /// @param ports  how each port of the gateway spreads what it receives; empty: no wishes
    Localities(std::span<const RssModel<Family>> ports, std::uint16_t worker)
        : ports_(ports), worker_(worker) {}

    /// None has a wish.
    [[nodiscard]] bool empty() const { return ports_.empty(); }
    /// The locality of a flow whose replies come by `port`, if that spreads its protocol by ports.
    [[nodiscard]] Locality<Family> of(const Tuple<Family>& reply, std::uint16_t port) const {
        if (ports_.empty()) [[likely]]
            return {};
        const RssModel<Family>& steering = ports_[port];
        if (!steering.covers(reply.protocol)) return {};
        return {steering, reply, worker_};
    }

  private:
    std::span<const RssModel<Family>> ports_;
    std::uint16_t worker_;
};

}  // namespace noclash::nat
