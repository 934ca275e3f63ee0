// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "nat/adoption.hpp"
#include "nat/ports/port_allocator.hpp"
#include "nat/reuse/time_wait_reuse.hpp"
#include "tests/schedule/no_rules.hpp"
#include "tests/schedule/world.hpp"

namespace noclash::schedule {

/// A world whose workers choose ports, of one address towards one server.
class NatWorld {
  public:
    using Crowded = nat::OccupancyMaps<V4, Scheduled>;
    using Proposals = nat::PortAllocator<V4, Scheduled>;

    /// @param kept, now_ms  as for `World`
    NatWorld(const Shape& shape, std::uint64_t seed, nat::PortRange ports, Record* kept = nullptr,
             std::uint64_t now_ms = 0);

    [[nodiscard]] Adopted adopt();

    /// Sets a flow up with a port that the gateway chooses. Checks "exhausted": see nat_world.cpp.
    SetupError open(Actor& me, std::uint32_t number);
    /// Ends the flow of this original tuple, if there is one.
    bool release(Actor& me, std::uint32_t number);
    /// Sets a flow up in the place of a finished one. Whether it did.
    bool succeed(Actor& me, std::uint32_t number, const nat::OpeningSegment& segment);
    void rest(Actor& me);
    /// When nothing else happens, every free port is found, and then none.
    void check_complete();

    World engine;
    Crowded crowded;

  private:
    /// While it lives, its worker may have one free port in hand that nobody else can find.
    class InHand;
    [[nodiscard]] std::size_t hidden_since(const Actor& me, std::uint64_t since) const;
    void check_exhausted(const Actor& me, std::uint64_t since);
    [[nodiscard]] Key reply_with(std::uint32_t port) const;
    static void publish(Actor& me, Claim& claim);

    nat::PortRange ports_;
    const nat::Policy<V4>& policy_ = no_rules();
    nat::Limits<V4, Scheduled> limits_{engine.table, {}, 1};
    std::vector<std::unique_ptr<Proposals>> proposals_;
    /// Until which step the worker may have had a port in hand.
    std::array<std::uint64_t, Scheduler::most_workers> in_hand_until_{};
};

}  // namespace noclash::schedule
