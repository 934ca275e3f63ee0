// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>

#include "engine/base/random.hpp"
#include "engine/reservation.hpp"
#include "nat/ports/locality.hpp"
#include "nat/ports/occupancy_maps.hpp"
#include "nat/ports/port_offer.hpp"

namespace noclash::nat {

/// Chooses the translated source of a flow and reserves it: uniformly at random over all addresses
/// and ports offered, unpredictably ([RFC 6056], algorithm 1, with OpenSSL's generator;
/// [RFC 6888 REQ-15]), and completely: it says `exhausted` only when no port is free (invariant 5,
/// [RFC 6888 REQ-13]). Few free ports make it take longer, and change nothing else
/// [RFC 4787 REQ-11].
///
/// A few blind draws come first and almost always suffice. A destination that resists them is
/// crowded and gets an occupancy map for each address, which remembers what was tried: a search
/// that takes longer than one visit may take is continued at the packet's next one. Maps are
/// searched address by address, from a random one on: then the choice is uniform over the free
/// ports of an address, but not over those of several.
///
/// A wish for locality (nat/ports/locality.hpp) makes it draw again, a bounded number of times,
/// what does not fulfil it. In the end any port will do: the wish changes nothing of what is found.
///
/// One per worker.
template <class Family, class Traits>
class PortAllocator {
  public:
    using Address = typename Family::Address;
    using Crowded = OccupancyMaps<Family, Traits>;
    using Claim = Reservation<Family, Traits>;

    using Offer = PortOffer<Family>;

    explicit PortAllocator(Crowded& crowded) : crowded_(crowded) {}

    /// `proposal` becomes `reply` with one of the offer's addresses as its destination and one of
    /// its ports; with the port as it is where that is wished and offered. A first one, drawn
    /// ahead, gives time to fetch its index bucket. (Written in place, since it is hashed and
    /// compared in whole words next: see Tuple::invert.)
    [[gnu::always_inline]] void propose(const Tuple<Family>& reply, const Offer& offer,
                                        Tuple<Family>& proposal) {
        if (offer.preserves_port || offer.locality.draws() != 0) [[unlikely]]
            return propose_as_wished(reply, offer, proposal);
        draw_any(reply, offer, proposal);
    }

    /// Reserves `reply` with one of the offer's addresses as its destination and one of its ports.
    SetupError reserve(Claim& claim, const Tuple<Family>& reply, const Offer& offer, Moment now) {
        Tuple<Family> first;
        propose(reply, offer, first);
        return reserve_from(claim, first, claim.hash(first), offer, now);
    }

    /// As above, beginning with what was proposed, and its hash.
    [[gnu::always_inline]] SetupError reserve_from(Claim& claim, const Tuple<Family>& proposal,
                                                   std::uint64_t hash, const Offer& offer,
                                                   Moment now) {
        if (!is_reserved(proposal, offer) && claim.reserve(proposal, hash) == SetupError::none)
            [[likely]]
            return SetupError::none;
        return reserve_another(claim, proposal, offer, now);
    }

    /// The random numbers of the worker: for proposals, and for its other choices.
    [[nodiscard]] RandomBuffer& random() { return random_; }

    /// Between bursts.
    void top_up() { random_.top_up(); }

  private:
    [[gnu::noinline]] void propose_as_wished(const Tuple<Family>& reply, const Offer& offer,
                                             Tuple<Family>& proposal) {
        if (offer.preserves_port && offer.ports.contains(reply.destination_port.host())) {
            const auto count = static_cast<std::uint32_t>(offer.addresses.size());
            return Tuple<Family>::redirect(reply,
                                           offer.addresses[count == 1 ? 0 : random_.below(count)],
                                           reply.destination_port, proposal);
        }
        std::uint32_t in_vain = offer.locality.draws();
        draw_local(reply, offer, proposal, in_vain);
    }

    /// After a first proposal in vain.
    [[gnu::noinline]] SetupError reserve_another(Claim& claim, Tuple<Family> reply,
                                                 const Offer& offer, Moment now) {
        in_vain_ = offer.locality.draws();
        const auto count = static_cast<std::uint32_t>(offer.addresses.size());
        for (int draws = 1; draws <= blind_draws; ++draws) {
            // If one address is known as crowded, the map knows better. (With several, going
            // to one address' map would favour its ports over those of the others.)
            if (draws == draws_before_map && count == 1 &&
                crowded_.find(reply, offer.ports, now, offer.reserved->edition()))
                break;
            draw_local(reply, offer, reply, in_vain_);
            if (try_one(claim, reply, offer) == SetupError::none) return SetupError::none;
        }
        left_ = proposals_of_a_visit;
        const std::uint32_t first = random_.below(count);
        SetupError result = SetupError::exhausted;
        for (std::uint32_t i = 0; i < count; ++i) {
            reply.destination = offer.addresses[(first + i) % count];
            const SetupError found = search(claim, reply, offer, now);
            if (found == SetupError::none) return found;
            if (found != SetupError::exhausted) result = found;
            if (left_ <= 0) return SetupError::unfinished;
        }
        return result;
    }

    /// Draws a tuple for any locality. `reply` may be `proposal`, here and below.
    void draw_any(const Tuple<Family>& reply, const Offer& offer, Tuple<Family>& proposal) {
        const auto count = static_cast<std::uint32_t>(offer.addresses.size());
        const auto [address, port] = random_.below(count, offer.ports.size());
        Tuple<Family>::redirect(reply, offer.addresses[address], Be16::from_host(offer.ports[port]),
                                proposal);
    }
    /// @param in_vain  how often it may draw again for the sake of locality; counted down
    void draw_local(const Tuple<Family>& reply, const Offer& offer, Tuple<Family>& proposal,
                    std::uint32_t& in_vain) {
        for (;; --in_vain) {
            draw_any(reply, offer, proposal);
            if (in_vain == 0 || offer.locality.fulfilled_by(proposal)) return;
        }
    }

    static constexpr int blind_draws = 8;
    static constexpr int draws_before_map = 2;
    static constexpr std::size_t most_at_once = 16;
    static constexpr int proposals_of_a_visit = 512;  // some 50 us
    static constexpr int cost_of_an_address = 2;      // looking up a map, in proposals
    static constexpr int cost_of_a_map = 64;          // making one
    static constexpr std::size_t most_without_room = 16;

    [[nodiscard]] static bool is_reserved(const Tuple<Family>& reply, const Offer& offer) {
        return offer.reserved->contains(reply.protocol, reply.destination,
                                        reply.destination_port.host());
    }
    [[gnu::noinline]] SetupError try_one(Claim& claim, const Tuple<Family>& reply,
                                         const Offer& offer) {
        return is_reserved(reply, offer) ? SetupError::taken
                                         : claim.reserve(reply, claim.hash(reply));
    }

    /// Every port of one address that may be free, as far as this visit may go.
    SetupError search(Claim& claim, Tuple<Family>& reply, const Offer& offer, Moment now) {
        left_ -= cost_of_an_address;
        const auto prepare = [&](OccupancyMap<Traits>& fresh) {
            left_ -= cost_of_a_map;
            offer.reserved->for_each(reply.protocol, reply.destination,
                                     [&](PortRange reserved) { fresh.exclude(reserved); });
        };
        auto* map = crowded_.acquire(reply, offer.ports, now, prepare, offer.reserved->edition());
        if (map == nullptr) return SetupError::unfinished;  // all maps are in use: wait for one

        // Ports that are free but found no room in the index go back when the visit is over, not
        // at once: else they might be drawn for ever.
        std::array<std::uint16_t, most_without_room> without_room{};
        std::size_t waiting = 0;
        SetupError result = SetupError::unfinished;
        std::size_t at_once = 1;
        while (result == SetupError::unfinished && left_ > 0 && waiting < without_room.size()) {
            // The longer it takes, the further it looks ahead: most of the time goes into waiting
            // for memory. Only the port that is proposed next is out of the map: another worker
            // that finds the map empty knows that every port has an owner, or is about to.
            const auto port = take(*map, reply, offer.locality);
            if (!port) {
                result = waiting == 0 ? SetupError::exhausted : SetupError::busy;
                break;
            }
            const auto next = look_ahead(*map, reply, *port, at_once, offer.locality);
            at_once = std::min(2 * at_once, most_at_once);
            for (std::size_t i = 0; i < next.size(); ++i) {
                if (i > 0 && !map->take_out(next[i])) continue;
                --left_;
                reply.destination_port = Be16::from_host(next[i]);
                const SetupError outcome = try_one(claim, reply, offer);
                if (outcome == SetupError::taken) continue;
                if (outcome == SetupError::none) {
                    result = SetupError::none;
                    break;
                }
                without_room[waiting++] = next[i];
                if (waiting == without_room.size()) break;
            }
        }
        for (std::size_t i = 0; i < waiting; ++i)
            map->give(without_room[i]);
        return result;
    }

    /// Looks for a port in the map, as `draw_local` for one in the range.
    /// @param total  the map's upper bound
    std::optional<std::uint16_t> look(const OccupancyMap<Traits>& map, std::uint32_t total,
                                      Tuple<Family> reply, const Locality<Family>& locality) {
        for (;; --in_vain_) {
            const auto port = map.look(random_, total);
            if (!port || in_vain_ == 0) return port;
            reply.destination_port = Be16::from_host(*port);
            if (locality.fulfilled_by(reply)) return port;
        }
    }
    /// Takes one out; nothing only when the map is empty.
    std::optional<std::uint16_t> take(OccupancyMap<Traits>& map, const Tuple<Family>& reply,
                                      const Locality<Family>& locality) {
        if (in_vain_ > 0) {
            const auto port = look(map, map.upper_bound(), reply, locality);
            if (port && map.take_out(*port)) return port;
        }
        return map.take(random_);
    }

    /// `first` and up to `count - 1` ports that may come after it, on their way into the cache.
    std::span<const std::uint16_t> look_ahead(const OccupancyMap<Traits>& map,
                                              const Tuple<Family>& reply, std::uint16_t first,
                                              std::size_t count, const Locality<Family>& locality) {
        std::size_t size = 0;
        next_[size++] = first;
        if (count == 1) return {next_.data(), size};
        const std::uint32_t total = map.upper_bound();
        for (std::size_t i = 1; i < count; ++i)
            if (const auto port = look(map, total, reply, locality)) next_[size++] = *port;
        crowded_.prefetch(reply, {next_.data(), size});
        return {next_.data(), size};
    }

    Crowded& crowded_;
    RandomBuffer random_;
    std::array<std::uint16_t, most_at_once> next_{};
    int left_ = 0;               ///< of this visit
    std::uint32_t in_vain_ = 0;  ///< what this visit may still draw in vain for locality
};

}  // namespace noclash::nat
