// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "engine/base/huge_array.hpp"
#include "engine/flow_table.hpp"
#include "nat/policy/limits_config.hpp"

namespace noclash::nat {

/// The counters of all sources: a table of fixed size, shared by all workers, without locks.
///
/// A *source* is an address in a zone. Its entry comes with the first `hold` and goes with the last
/// `let_go`; in between its counters may be used, and are all 0 again when it goes. Sources are
/// told apart by 35 bits of a keyed hash: two that agree in them (one pair in some 10^9 that meet)
/// share an entry, and its limits, and nothing else is wrong.
///
/// An entry is ruled by one word: a tag, and how often it is held; 0 when it is empty. A source may
/// stand in two buckets of eight words, a cache line each. That it stands in one place only is
/// decided so (the proof is in docs/race.md): a worker that does not find its source puts a mark
/// with its own number, *building*, into an empty word, and looks through all the words again. It
/// wipes out the building marks of others for the same source, who begin again when they find out;
/// only if there is no entry by now, and nobody has wiped out its own mark, the mark becomes the
/// entry.
template <class Family, class Traits>
class SourceTable {
  public:
    using Address = typename Family::Address;
    using Slot = std::uint32_t;

    enum class Outcome : std::uint8_t {
        held,
        full,  ///< both buckets are full of others
        busy,  ///< others for the same source came in between, again and again: try later
    };
    struct Held {
        Outcome outcome;
        Slot slot;
    };

    /// @param sources  how many there should be room for: with no more, both buckets of one are
    /// full
    ///                 less than once in 10^6; 1 .. 2^26
    SourceTable(const FlowTable<Family, Traits>& table, std::uint32_t sources)
        : index_(table.index()),
          buckets_(buckets_for(sources)),
          words_(buckets_ * slots_of_bucket),
          entries_(buckets_ * slots_of_bucket) {}

    /// The bytes of memory that a table for `sources` sources takes.
    [[nodiscard]] static std::size_t bytes_for(std::uint32_t sources) {
        const std::size_t slots = buckets_for(sources) * slots_of_bucket;
        return HugeArray<typename Traits::template Atomic<std::uint64_t>>::bytes_for(slots) +
               HugeArray<Entry>::bytes_for(slots);
    }

    /// Holds the source's entry, which is made when there is none. Each that is `held` is to be let
    /// go of once. @param worker  number of the calling thread, which has no other call under way
    [[nodiscard]] Held hold(const Address& address, std::uint16_t zone, std::uint32_t worker) {
        const Place place = place_of(address, zone);
        for (int attempt = 0; attempt < attempts; ++attempt) {
            if (const auto slot = join(place)) return {Outcome::held, *slot};
            const std::uint64_t mark = place.tag | building | worker;
            const auto slot = put(place, mark);
            if (!slot) return {Outcome::full, 0};
            const bool alone = wipe_others(place, *slot);
            std::uint64_t mine = mark;
            const std::uint64_t next = alone ? place.tag | 1U : 0U;
            if (!words_[*slot].compare_exchange_strong(mine, next, order) || !alone)  // (40)
                continue;
            entries_[*slot].name(address, zone);
            return {Outcome::held, *slot};
        }
        return {Outcome::busy, 0};
    }

    /// The place of a source's entry, held or not. It stays only while somebody holds it.
    [[nodiscard]] std::optional<Slot> find(const Address& address, std::uint16_t zone) const {
        const Place place = place_of(address, zone);
        for (std::size_t i = 0; i < window; ++i)
            if (is_entry(words_[place[i]].load(order), place.tag)) return place[i];  // (41)
        return std::nullopt;
    }

    void let_go(Slot slot) {
        auto& word = words_[slot];
        std::uint64_t seen = word.load(order);  // (41)
        while (!word.compare_exchange_weak(seen, (seen & holds) == 1 ? 0 : seen - 1,
                                           order)) {  // (40)
        }
    }

    /// Counts one more, unless there are `most` already; 0: without limit. Of an entry that the
    /// caller holds.
    [[nodiscard]] bool add(Slot slot, Quota quota, std::uint32_t most) {
        auto& used = entries_[slot].used[static_cast<std::size_t>(quota)];
        std::uint32_t seen = used.load(std::memory_order_relaxed);
        do {
            if (most != 0 && seen >= most) return false;
        } while (!used.compare_exchange_weak(seen, seen + 1,
                                             std::memory_order_release,  // (44)
                                             std::memory_order_relaxed));
        return true;
    }
    void take_off(Slot slot, Quota quota) {
        entries_[slot].used[static_cast<std::size_t>(quota)].fetch_sub(1,
                                                                       std::memory_order_relaxed);
    }
    [[nodiscard]] std::uint32_t used(Slot slot, Quota quota) const {
        return entries_[slot].used[static_cast<std::size_t>(quota)].load(
            std::memory_order_acquire);  // (45)
    }

    /// One source, as it was at some moment.
    struct Source {
        Address address;
        std::uint16_t zone;
        std::array<std::uint32_t, quotas> used;
    };

    /// Calls `each(source)` for those that are there. Any thread, while others change the table.
    template <class Each>
    void for_each(Each&& each) const {
        for (Slot slot = 0; slot < words_.size(); ++slot) {
            const std::uint64_t word = words_[slot].load(order);  // (41)
            if (word == 0 || (word & building) != 0) continue;
            const Source source = entries_[slot].look();
            // Its name may be still to be written, or be the one of who was there before.
            if (is_entry(word, place_of(source.address, source.zone).tag)) each(source);
        }
    }
    [[nodiscard]] std::size_t bytes() const { return words_.bytes() + entries_.bytes(); }

  private:
    static constexpr std::size_t slots_of_bucket = 8;
    static std::size_t buckets_for(std::uint32_t sources) {
        return std::bit_ceil(std::max<std::size_t>(2, (sources + 3U) / 4U));
    }
    static constexpr std::size_t window = 2 * slots_of_bucket;
    static constexpr int attempts = 8;
    /// The order of every access to a word: see docs/race.md.
    static constexpr std::memory_order order = std::memory_order_seq_cst;  // (40) (41)

    // A word: 35 bits of tag, 1 of building, 28 of holds or, while building, of the worker.
    static constexpr std::uint64_t building = 1ULL << 28U;
    static constexpr std::uint64_t holds = building - 1;
    static constexpr std::uint64_t tag_bits = ~(building | holds);

    struct Entry {
        std::array<typename Traits::template Atomic<std::uint32_t>, quotas> used{};
        // Whose it is, for who lists sources. Written by the worker that made it.
        typename Traits::template Atomic<std::uint32_t> zone{0};
        std::array<typename Traits::template Atomic<std::uint32_t>, sizeof(Address) / 4> address{};

        using Words = std::array<std::uint32_t, sizeof(Address) / 4>;

        void name(const Address& of, std::uint16_t in_zone) {
            const auto parts = std::bit_cast<Words>(of);
            for (std::size_t i = 0; i < parts.size(); ++i)
                address[i].store(parts[i], std::memory_order_relaxed);
            zone.store(in_zone, std::memory_order_relaxed);
        }
        [[nodiscard]] Source look() const {
            Source source{};
            Words parts{};
            for (std::size_t i = 0; i < parts.size(); ++i)
                parts[i] = address[i].load(std::memory_order_relaxed);
            source.address = std::bit_cast<Address>(parts);
            source.zone = static_cast<std::uint16_t>(zone.load(std::memory_order_relaxed));
            for (std::size_t i = 0; i < quotas; ++i)
                source.used[i] = used[i].load(std::memory_order_relaxed);
            return source;
        }
    };

    /// Where a source may stand.
    struct Place {
        std::uint64_t tag;
        std::array<Slot, 2> buckets;

        [[nodiscard]] Slot operator[](std::size_t i) const {
            return buckets[i / slots_of_bucket] + static_cast<Slot>(i % slots_of_bucket);
        }
    };

    [[nodiscard]] Place place_of(const Address& address, std::uint16_t zone) const {
        Tuple<Family> key{};
        key.source = address;
        key.zone = zone;
        const std::uint64_t where = index_.hash(key);
        key.reserved = 1;  // no tuple of a packet: a hash of its own
        const std::size_t first = where % buckets_;
        const std::size_t other = (first + 1 + (where >> 32U) % (buckets_ - 1)) % buckets_;
        return {index_.hash(key) & tag_bits,
                {static_cast<Slot>(first * slots_of_bucket),
                 static_cast<Slot>(other * slots_of_bucket)}};
    }

    static bool is_entry(std::uint64_t word, std::uint64_t tag) {
        return word != 0 && (word & (tag_bits | building)) == tag;
    }

    /// Holds the source's entry when there is one.
    [[nodiscard]] std::optional<Slot> join(const Place& place) {
        for (std::size_t i = 0; i < window; ++i) {
            auto& word = words_[place[i]];
            std::uint64_t seen = word.load(order);  // (41)
            while (is_entry(seen, place.tag))
                if (word.compare_exchange_weak(seen, seen + 1, order)) return place[i];  // (40)
        }
        return std::nullopt;
    }

    /// Puts a mark into an empty word, of the emptier bucket if it can: so both are full only when
    /// nearly all are (Azar et al., "Balanced Allocations", 1999).
    [[nodiscard]] std::optional<Slot> put(const Place& place, std::uint64_t mark) {
        std::array<unsigned, 2> taken{};
        for (std::size_t i = 0; i < window; ++i)
            if (words_[place[i]].load(std::memory_order_relaxed) != 0) ++taken[i / slots_of_bucket];
        const std::size_t first = taken[0] <= taken[1] ? 0 : slots_of_bucket;
        for (std::size_t n = 0; n < window; ++n) {
            const std::size_t i = (first + n) % window;
            std::uint64_t empty = 0;
            if (words_[place[i]].load(order) == 0 &&                           // (41)
                words_[place[i]].compare_exchange_strong(empty, mark, order))  // (40)
                return place[i];
        }
        return std::nullopt;
    }

    /// Wipes out what others are building for the same source. False when there is an entry.
    [[nodiscard]] bool wipe_others(const Place& place, Slot mine) {
        for (std::size_t i = 0; i < window; ++i) {
            if (place[i] == mine) continue;
            auto& word = words_[place[i]];
            std::uint64_t seen = word.load(order);  // (41)
            while ((seen & (tag_bits | building)) == (place.tag | building))
                if (word.compare_exchange_weak(seen, 0, order)) break;  // (40)
            if (is_entry(seen, place.tag)) return false;
        }
        return true;
    }

    const TupleIndex<Family, Traits>& index_;
    std::size_t buckets_;
    HugeArray<typename Traits::template Atomic<std::uint64_t>> words_;
    HugeArray<Entry> entries_;
};

}  // namespace noclash::nat
