// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <variant>
#include <vector>

#include "engine/tuple_hash.hpp"

namespace noclash::nat {

/// How many things each source address holds of a store that holds a bounded number of things, so
/// that no source can take all of it. One thread's own; allocates when it is made and never again.
///
/// A `Note` may be kept of each source as long as it holds something.
///
/// An open hash table, probed one by one, at most half full: as many sources as things can be
/// there. Keyed at random, so that nobody can aim addresses at one place of it.
template <class Family, class Note = std::monostate>
class FragmentQuota {
  public:
    using Address = typename Family::Address;

    /// @param capacity  of the store, at least 1
    /// @param each      how many of these one source may hold
    FragmentQuota(std::uint32_t capacity, std::uint32_t each)
        : places_(std::bit_ceil(std::size_t{capacity} * 2)), capacity_(capacity), each_(each) {
        assert(capacity >= 1);
    }

    /// How many one source may hold from now on. One that holds more gets no other.
    void set_most(std::uint32_t each) { each_ = each; }

    [[nodiscard]] std::uint32_t total() const { return total_; }
    [[nodiscard]] bool full() const { return total_ >= capacity_; }
    [[nodiscard]] std::uint32_t held_by(const Address& source) const {
        return places_[place_of(source)].count;
    }
    /// Whether the source holds all that it may.
    [[nodiscard]] bool exhausted(const Address& source) const { return held_by(source) >= each_; }

    /// The source holds one more; not when `full()`.
    void add(const Address& source) {
        assert(!full());
        Place& place = places_[place_of(source)];
        if (place.count++ == 0) {
            place.source = source;
            place.note = {};
        }
        ++total_;
    }

    /// The source, which holds so many at least, holds `count` fewer, at least 1.
    void remove(const Address& source, std::uint32_t count) {
        const std::size_t at = place_of(source);
        assert(count >= 1 && places_[at].count >= count);
        total_ -= count;
        if ((places_[at].count -= count) == 0) close_gap(at);
    }

    /// The note of a source that holds something; good until the next call that is not const.
    [[nodiscard]] Note& note(const Address& source) { return places_[place_of(source)].note; }

  private:
    struct Place {
        Address source{};
        std::uint32_t count = 0;  ///< 0: nobody's
        [[no_unique_address]] Note note{};
    };

    [[nodiscard]] std::size_t mask() const { return places_.size() - 1; }
    [[nodiscard]] std::size_t home(const Address& source) const {
        Tuple<Family> key{};
        key.source = source;
        return hash_(key) & mask();
    }
    /// The source's place, or the one that it would get.
    [[nodiscard]] std::size_t place_of(const Address& source) const {
        std::size_t at = home(source);
        while (places_[at].count != 0 && places_[at].source != source)
            at = (at + 1) & mask();
        return at;
    }
    /// Moves up those behind a place that became free and would not be found across it.
    void close_gap(std::size_t gap) {
        for (std::size_t at = (gap + 1) & mask(); places_[at].count != 0; at = (at + 1) & mask()) {
            const std::size_t probed = (at - home(places_[at].source)) & mask();
            if (probed < ((at - gap) & mask())) continue;
            places_[gap] = places_[at];
            places_[at].count = 0;
            gap = at;
        }
    }

    std::vector<Place> places_;
    std::uint32_t capacity_;
    std::uint32_t each_;
    std::uint32_t total_ = 0;
    TupleHash hash_;
};

}  // namespace noclash::nat
