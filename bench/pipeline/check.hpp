// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "bench/pipeline/flows.hpp"
#include "bench/pipeline/lane.hpp"

namespace noclash::bench {

/// The translated source of each flow, learned from its first packet; and whether each
/// packet that comes out is what it should be. The first fault is thrown as WrongAnswer.
class Translations {
  public:
    Translations(const Flows& flows, std::uint32_t count, const dpdk::Gateway& gateway)
        : flows_(flows), gateway_(gateway), sources_(count) {
        for (const auto& service : gateway.config.policy.services)
            services_.emplace(service.address.value.host(), &service);
    }

    [[nodiscard]] const Flows& flows() const { return flows_; }
    [[nodiscard]] std::uint32_t size() const { return static_cast<std::uint32_t>(sources_.size()); }

    /// The tuple of a server's answer to a flow. The flow must have been seen.
    [[nodiscard]] Tuple<V4> answer(std::uint32_t number) const {
        Tuple<V4> outward = flows_.original(number);
        outward.source = sources_[number].address;
        outward.source_port = sources_[number].port;
        outward.destination = sources_[number].server;
        outward.destination_port = sources_[number].server_port;
        return outward.inverse();
    }

    /// A flow that begins anew may be translated otherwise than before.
    void forget() { std::fill(sources_.begin(), sources_.end(), Ends{}); }

    /// Looks at all that came out of a lane; each frame counts as seen once. Any worker's thread,
    /// as long as no two have packets of one flow whose translation is not known yet.
    void check(const Lane& lane, const Bed& bed);
    /// At one of them, which came out on a side.
    void check(rte_mbuf* frame, const Bed& bed, Side side);

    /// Checks that every flow was translated, and no two flows of a server alike.
    void check_unique() const;

  private:
    struct Ends {
        V4Address address;
        Be16 port;
        V4Address server;  ///< where it goes: through a service, to a backend
        Be16 server_port;
        friend bool operator==(const Ends&, const Ends&) = default;
    };
    void check_outward(const Sight& sight);
    void check_inward(const Sight& sight) const;

    Flows flows_;
    const dpdk::Gateway& gateway_;
    std::unordered_map<std::uint32_t, const nat::Service<V4>*> services_;  ///< by VIP
    std::vector<Ends> sources_;  ///< by flow; 0.0.0.0 where it is not known yet
};

}  // namespace noclash::bench
