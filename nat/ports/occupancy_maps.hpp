// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <span>
#include <utility>

#include "engine/base/clock.hpp"
#include "engine/base/huge_array.hpp"
#include "engine/flow_table.hpp"
#include "nat/ports/occupancy_map.hpp"

namespace noclash::nat {

/// The occupancy maps in use: a small hash table of (pool address, protocol, remote address, remote
/// port), and the set of ports (those of either parity have maps of their own). Shared by all
/// workers, without locks. When a place is needed, the map that was not used for longest is taken
/// back after a grace period.
template <class Family, class Traits>
class OccupancyMaps {
  public:
    using Map = OccupancyMap<Traits>;
    using Table = FlowTable<Family, Traits>;

    /// 8 KiB each. Traits of tests may ask for fewer: a schedule has a gateway of its own, and
    /// laying out the maps would take half of its time.
    static constexpr std::size_t maps = [] {
        if constexpr (requires { Traits::occupancy_maps; }) return Traits::occupancy_maps;
        return std::size_t{512};
    }();
    static constexpr std::size_t window = 8;       ///< places where a destination's map may lie
    static constexpr std::int32_t idle_ms = 1000;  ///< a map used since is not taken back

    explicit OccupancyMaps(Table& table) : table_(table), places_(maps) {}

    /// The map for the reply tuple's destination address and source, whatever its destination port.
    /// Null when there is none. Valid until the caller's next quiescent state.
    /// @param edition  of the reserved ports that the map leaves out: when other ports become
    ///                 reserved, new maps are made, and the old ones fall out of use
    [[nodiscard]] Map* find(const Tuple<Family>& reply, PortSet ports, Moment now,
                            std::uint32_t edition = 0) {
        const Tuple<Family> key = key_of(reply);
        const std::size_t home = home_of(key);
        for (std::size_t i = 0; i < window; ++i) {
            Place& place = places_[(home + i) % maps];
            if (state_of(place.state.load(std::memory_order_acquire)) == State::ready &&  // (18)
                place.key == key && place.map.ports() == ports && place.edition == edition) {
                place.used.store(now, std::memory_order_relaxed);
                return &place.map;
            }
        }
        return nullptr;
    }

    /// As `find`, but makes a map when there is none. Null when there is no place for one just now.
    /// A new map is given to `prepare(map)` before others can see it.
    template <class Prepare>
    [[nodiscard]] Map* acquire(const Tuple<Family>& reply, PortSet ports, Moment now,
                               Prepare&& prepare, std::uint32_t edition = 0) {
        if (Map* known = find(reply, ports, now, edition)) return known;
        const Tuple<Family> key = key_of(reply);
        Place* place = make_room(home_of(key), now);
        if (place == nullptr) return nullptr;
        place->key = key;
        place->edition = edition;
        place->used.store(now, std::memory_order_relaxed);
        place->map.reset(ports);
        prepare(place->map);
        const std::uint32_t building = place->state.load(std::memory_order_relaxed);
        // Before the caller reads the index: see docs/race.md, "the map that is being made".
        place->state.store(next(building, State::ready), std::memory_order_seq_cst);  // (17)
        return &place->map;
    }

    /// Brings what the proposals of these ports will look at into the cache.
    void prefetch(Tuple<Family> reply, std::span<const std::uint16_t> ports) const {
        const auto& index = std::as_const(table_).index();
        const auto hash_with = [&](std::uint16_t port) {
            reply.destination_port = Be16::from_host(port);
            return index.hash(reply);
        };
        for (const std::uint16_t port : ports)
            index.prefetch(hash_with(port));
        for (const std::uint16_t port : ports)
            index.prefetch_flow(hash_with(port));
    }

    /// A flow has ended: the ports of its tuples may be free again. Any online thread.
    template <class Record>
    void ended(const Record& flow) {
        for (const Tuple<Family>& tuple : flow.tuples)
            ended(tuple);
    }
    void ended(const Tuple<Family>& reply) {
        const Tuple<Family> key = key_of(reply);
        const std::size_t home = home_of(key);
        const std::uint16_t port = reply.destination_port.host();
        for (std::size_t i = 0; i < window; ++i) {
            Place& place = places_[(home + i) % maps];
            // A map that is not ready yet starts full, so it need not be told. The tuple's removal
            // from the index (3) came before this load.
            if (state_of(place.state.load(std::memory_order_seq_cst)) == State::ready &&  // (18)
                place.key == key && place.map.ports().contains(port))
                place.map.give(port);
        }
    }

  private:
    enum class State : std::uint32_t { empty, building, ready, retiring };

    /// `state` is a State and, above it, a count of the changes, so that who compares and swaps it
    /// knows that nothing happened since it looked.
    struct Place {
        typename Traits::template Atomic<std::uint32_t> state{0};
        typename Traits::template Atomic<Moment> used{0};
        typename Traits::template Atomic<std::uint64_t> grace{0};
        Tuple<Family> key{};
        std::uint32_t edition = 0;
        Map map{};
    };

    static State state_of(std::uint32_t word) { return static_cast<State>(word & 3U); }
    static std::uint32_t next(std::uint32_t word, State state) {
        return ((word & ~3U) + 4U) | static_cast<std::uint32_t>(state);
    }

    static Tuple<Family> key_of(Tuple<Family> reply) {
        reply.destination_port = {};
        return reply;
    }
    std::size_t home_of(const Tuple<Family>& key) const {
        return static_cast<std::size_t>(table_.index().hash(key) % maps);
    }
    static bool move(Place& place, std::uint32_t from, State to) {
        return place.state.compare_exchange_strong(from, next(from, to),
                                                   std::memory_order_acq_rel,  // (19)
                                                   std::memory_order_relaxed);
    }

    /// A place that is the caller's to build in, or null; then one may have started to retire.
    Place* make_room(std::size_t home, Moment now) {
        Place* oldest = nullptr;
        std::uint32_t oldest_word = 0;
        std::int32_t oldest_idle_ms = idle_ms;
        for (std::size_t i = 0; i < window; ++i) {
            Place& place = places_[(home + i) % maps];
            const std::uint32_t word = place.state.load(std::memory_order_acquire);  // (18)
            if (state_of(word) == State::ready) {
                const std::int32_t idle =
                    ms_between(place.used.load(std::memory_order_relaxed), now);
                if (idle <= oldest_idle_ms) continue;
                oldest_idle_ms = idle;
                oldest_word = word;
                oldest = &place;
            } else if (state_of(word) == State::empty ||
                       (state_of(word) == State::retiring &&
                        table_.quiescence().passed(place.grace.load(std::memory_order_relaxed)))) {
                if (move(place, word, State::building)) return &place;
            }
        }
        // Through `building`, so that `grace` is written before anyone may ask for it.
        if (oldest != nullptr && move(*oldest, oldest_word, State::building)) {
            oldest->grace.store(table_.quiescence().start(), std::memory_order_relaxed);
            oldest->state.store(next(next(oldest_word, State::building), State::retiring),
                                std::memory_order_release);  // (19)
        }
        return nullptr;
    }

    Table& table_;
    HugeArray<Place> places_;
};

}  // namespace noclash::nat
