// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <unordered_map>

#include "bench/racelab/contestant.hpp"
#include "engine/flow_worker.hpp"
#include "engine/reservation.hpp"
#include "nat/ports/port_allocator.hpp"

namespace noclash::racelab {

/// noclash itself: the real engine and the real search for a port, with the steps of
/// `Pipeline::set_up` spread over virtual time: claim and reserve at the choice, publish at the
/// confirmation. (The pipeline takes both in one call; here others may come between.)
///
/// Ports come from the kernel's CSPRNG, as in the daemon: which ones differs from run to run,
/// whatever the seed.
class NoclashGateway : public Contestant {
  public:
    /// @param gateway  the address that masqueraded sources become
    /// @param flows    how many there may be
    NoclashGateway(V4Address gateway, unsigned workers, std::uint32_t flows);
    ~NoclashGateway() override;

    Choice choose(const Passage& passage, Instant now) override;
    std::optional<Tuple<V4>> confirm(const Passage& passage, Instant now) override;
    [[nodiscard]] Counts counts() const override;

  private:
    using Claim = Reservation<V4>;
    using Proposals = nat::PortAllocator<V4, Production>;

    struct Worker {
        FlowWorker<V4> engine;
        Proposals proposals;
        unsigned claims = 0;  ///< open; in a critical section until they are published

        Worker(FlowTable<V4>& table, std::uint16_t id, nat::OccupancyMaps<V4, Production>& crowded)
            : engine(table, id, 0), proposals(crowded) {}
    };
    /// A packet between its choice and its publication.
    struct InFlight {
        std::optional<Claim> claim;     ///< empty: the packet follows a flow that stands,
        std::optional<Tuple<V4>> sent;  ///< and leaves as this; both empty: it is dropped
    };

    Choice follow(Worker& worker, InFlight& packet, Found flow);
    SetupError reserve(Worker& worker, Claim& claim, const Packet& packet, Instant now);
    void between_bursts(Instant now);

    V4Address gateway_;
    nat::ReservedPorts<V4> reserved_{{}};
    FlowTable<V4> table_;
    nat::OccupancyMaps<V4, Production> crowded_;
    std::vector<std::unique_ptr<Worker>> workers_;
    std::unordered_map<std::uint32_t, InFlight> in_flight_;
    std::uint64_t adopted_ = 0;
};

}  // namespace noclash::racelab
