// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "engine/random.hpp"
#include "engine/reservation.hpp"
#include "nat/crowded_destinations.hpp"
#include "nat/drop_reason.hpp"
#include "nat/rule_match.hpp"

namespace noclash::nat {

/// Chooses the translated source of a flow and reserves it: uniformly at random over all addresses
/// and ports offered, unpredictably (RFC 6056, algorithm 1, with the kernel's CSPRNG), and
/// completely: it fails only when no port of any address is free towards the destination (invariant
/// 5).
///
/// A few blind draws come first and almost always suffice. A destination that resists them is
/// crowded and gets an occupancy map. One per worker.
template <class Family, class Traits>
class PortProposals {
  public:
    using Address = typename Family::Address;
    using Crowded = CrowdedDestinations<Family, Traits>;

    PortProposals(Crowded& crowded, std::span<const Rule<Family>> rules)
        : crowded_(crowded), rules_(rules) {}

    /// Reserves `reply` with some of `addresses` as its destination and a port out of `range`.
    /// @return none, or why there is no reservation: `exhausted`, `chain_too_long`
    DropReason reserve(Reservation<Family, Traits>& reservation, Tuple<Family> reply,
                       std::span<const Address> addresses, PortRange range, Moment now) {
        for (int draw = 0; draw < blind_draws; ++draw) {
            reply.destination =
                addresses[random_.below(static_cast<std::uint32_t>(addresses.size()))];
            const auto port = static_cast<std::uint16_t>(range.first + random_.below(range.size()));
            if (propose(reservation, reply, port) == InsertOutcome::inserted)
                return DropReason::none;
        }
        const std::uint32_t first = random_.below(static_cast<std::uint32_t>(addresses.size()));
        bool no_room = false;
        for (std::size_t i = 0; i < addresses.size(); ++i) {
            reply.destination = addresses[(first + i) % addresses.size()];
            const DropReason reason = search(reservation, reply, range, now);
            if (reason == DropReason::none) return reason;
            no_room |= reason == DropReason::chain_too_long;
        }
        return no_room ? DropReason::chain_too_long : DropReason::exhausted;
    }

    /// Between bursts.
    void top_up() { random_.top_up(); }

  private:
    static constexpr int blind_draws = 8;
    static constexpr std::size_t most_without_room = 16;

    InsertOutcome propose(Reservation<Family, Traits>& reservation, Tuple<Family>& reply,
                          std::uint16_t port) {
        if (serves<Family>(rules_, reply.protocol, reply.destination, port))
            return InsertOutcome::taken;
        reply.destination_port = Be16::from_host(port);
        return reservation.reserve(reply);
    }

    /// Every port of one address that may be free.
    DropReason search(Reservation<Family, Traits>& reservation, Tuple<Family>& reply,
                      PortRange range, Moment now) {
        auto* map = crowded_.acquire(reply, range, now, [&](std::uint16_t port) {
            return serves<Family>(rules_, reply.protocol, reply.destination, port);
        });
        if (map == nullptr) return probe_all(reservation, reply, range);
        // Ports that are free but found no room in the index go back when the search is over, not
        // at once: else they might be drawn for ever.
        std::array<std::uint16_t, most_without_room> without_room{};
        std::size_t waiting = 0;
        DropReason result = DropReason::exhausted;
        while (const auto port = map->take(random_)) {
            const InsertOutcome outcome = propose(reservation, reply, *port);
            if (outcome == InsertOutcome::taken) continue;
            if (outcome == InsertOutcome::inserted) {
                result = DropReason::none;
                break;
            }
            result = DropReason::chain_too_long;
            without_room[waiting++] = *port;
            if (waiting == without_room.size()) break;
        }
        for (std::size_t i = 0; i < waiting; ++i)
            map->give(without_room[i]);
        return result;
    }

    /// As complete, but at the cost of a lookup for each port: when all maps are in use.
    DropReason probe_all(Reservation<Family, Traits>& reservation, Tuple<Family>& reply,
                         PortRange range) {
        const std::uint32_t start = random_.below(range.size());
        DropReason result = DropReason::exhausted;
        for (std::uint32_t i = 0; i < range.size(); ++i) {
            const auto port = static_cast<std::uint16_t>(range.first + (start + i) % range.size());
            const InsertOutcome outcome = propose(reservation, reply, port);
            if (outcome == InsertOutcome::inserted) return DropReason::none;
            if (outcome != InsertOutcome::taken) result = DropReason::chain_too_long;
        }
        return result;
    }

    Crowded& crowded_;
    std::span<const Rule<Family>> rules_;
    RandomBuffer random_;
};

}  // namespace noclash::nat
