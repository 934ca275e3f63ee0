// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "engine/random.hpp"
#include "engine/reservation.hpp"
#include "nat/crowded_destinations.hpp"
#include "nat/served_ports.hpp"

namespace noclash::nat {

enum class Proposed : std::uint8_t {
    reserved,
    exhausted,   ///< no port of any address is free towards the destination
    unfinished,  ///< not found yet, with ports left to try: go on at the next visit
    no_room,     ///< ports are free, but their index buckets are full
};

/// Chooses the translated source of a flow and reserves it: uniformly at random over all addresses
/// and ports offered, unpredictably (RFC 6056, algorithm 1, with the kernel's CSPRNG), and
/// completely: it says `exhausted` only when no port is free (invariant 5).
///
/// A few blind draws come first and almost always suffice. A destination that resists them is
/// crowded and gets an occupancy map for each address, which remembers what was tried: a search
/// that takes longer than one visit may take is continued at the packet's next one. One per worker.
template <class Family, class Traits>
class PortProposals {
  public:
    using Address = typename Family::Address;
    using Crowded = CrowdedDestinations<Family, Traits>;
    using Claim = Reservation<Family, Traits>;

    PortProposals(Crowded& crowded, const ServedPorts<Family>& served)
        : crowded_(crowded), served_(served) {}

    /// Reserves `reply` with one of `addresses` as its destination and a port out of `range`.
    Proposed reserve(Claim& claim, Tuple<Family> reply, std::span<const Address> addresses,
                     PortRange range, Moment now) {
        const auto count = static_cast<std::uint32_t>(addresses.size());
        for (int draw = 0; draw < blind_draws; ++draw) {
            reply.destination = addresses[random_.below(count)];
            const auto port = static_cast<std::uint16_t>(range.first + random_.below(range.size()));
            if (propose(claim, reply, port) == InsertOutcome::inserted) return Proposed::reserved;
        }
        left_ = proposals_of_a_visit;
        const std::uint32_t first = random_.below(count);
        Proposed result = Proposed::exhausted;
        for (std::uint32_t i = 0; i < count; ++i) {
            reply.destination = addresses[(first + i) % count];
            const Proposed found = search(claim, reply, range, now);
            if (found == Proposed::reserved) return found;
            if (found != Proposed::exhausted) result = found;
            if (left_ <= 0) return Proposed::unfinished;
        }
        return result;
    }

    /// Between bursts.
    void top_up() { random_.top_up(); }

  private:
    static constexpr int blind_draws = 8;
    static constexpr int proposals_of_a_visit = 512;  // some 50 us
    static constexpr int cost_of_an_address = 2;      // looking up a map, in proposals
    static constexpr int cost_of_a_map = 64;          // making one
    static constexpr std::size_t most_without_room = 16;

    InsertOutcome propose(Claim& claim, Tuple<Family>& reply, std::uint16_t port) {
        if (served_.contains(reply.protocol, reply.destination, port)) return InsertOutcome::taken;
        reply.destination_port = Be16::from_host(port);
        return claim.reserve(reply);
    }

    /// Every port of one address that may be free, as far as this visit may go.
    Proposed search(Claim& claim, Tuple<Family>& reply, PortRange range, Moment now) {
        left_ -= cost_of_an_address;
        auto* map = crowded_.acquire(reply, range, now, [&](OccupancyMap<Traits>& fresh) {
            left_ -= cost_of_a_map;
            served_.for_each(reply.protocol, reply.destination,
                             [&](PortRange ports) { fresh.exclude(ports); });
        });
        if (map == nullptr) return Proposed::unfinished;  // all maps are in use: wait for one

        // Ports that are free but found no room in the index go back when the visit is over, not
        // at once: else they might be drawn for ever.
        std::array<std::uint16_t, most_without_room> without_room{};
        std::size_t waiting = 0;
        Proposed result = Proposed::unfinished;
        while (left_-- > 0 && waiting < without_room.size()) {
            const auto port = map->take(random_);
            if (!port) {
                result = waiting == 0 ? Proposed::exhausted : Proposed::no_room;
                break;
            }
            const InsertOutcome outcome = propose(claim, reply, *port);
            if (outcome == InsertOutcome::taken) continue;
            if (outcome == InsertOutcome::inserted) {
                result = Proposed::reserved;
                break;
            }
            without_room[waiting++] = *port;
        }
        for (std::size_t i = 0; i < waiting; ++i)
            map->give(without_room[i]);
        return result;
    }

    Crowded& crowded_;
    const ServedPorts<Family>& served_;
    RandomBuffer random_;
    int left_ = 0;  ///< of this visit
};

}  // namespace noclash::nat
