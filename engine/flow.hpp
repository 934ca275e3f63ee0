// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "engine/base/clock.hpp"
#include "engine/index_place.hpp"
#include "engine/tuple.hpp"

namespace noclash {

/// The life of a flow record. From `setup` it may go back to `free`: rolled back.
enum class FlowStatus : std::uint8_t {
    free,
    setup,      ///< claimed: its original tuple is taken, nobody may use it yet
    live,       ///< published
    ending,     ///< being released: its tuples are on their way out of the index
    dead,       ///< released: nobody can find it any more, somebody may still be reading it
    succeeded,  ///< dead, and nothing is left of it in the index: another flow has its reply tuple
};

/// Bits of `Flow::marks`.
namespace flow_mark {
inline constexpr std::uint8_t replied = 1;  ///< a packet was seen in the reply direction
inline constexpr std::uint8_t assured = 2;  ///< traffic in both directions, set-up finished
}  // namespace flow_mark

/// Packets and bytes of one direction. Exact while one worker serves the direction, which a NIC's
/// RSS and a packet socket's fanout see to; an increment is no locked instruction.
template <class Traits>
struct FlowCounters {
    typename Traits::template Atomic<std::uint64_t> packets{0};
    typename Traits::template Atomic<std::uint64_t> bytes{0};

    [[gnu::always_inline]] void add(std::uint32_t length) {
        packets.store(packets.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
        bytes.store(bytes.load(std::memory_order_relaxed) + length, std::memory_order_relaxed);
    }
};

/// One tracked connection. 128 bytes for IPv4: the first cache line is what a lookup compares and
/// an established packet needs, the second what it counts and remembers.
///
/// Writers: `tuples`, `places`, `rule`, `owner`, `sum_changes` by the worker that sets the
/// flow up, before it publishes them, and by nobody until the record is reclaimed. `link` by the
/// owner. The atomics by whichever worker has a packet; while the record is free, `counters` and
/// `memory` may note ids of other free records (engine/flow_pool.hpp).
template <class Family, class Traits>
struct alignas(64) Flow {
    template <class T>
    using Atomic = typename Traits::template Atomic<T>;

    std::array<Tuple<Family>, 2> tuples;  ///< by Direction
    Atomic<Moment> expires{0};            ///< when it dies unless a packet comes
    Atomic<FlowStatus> status{FlowStatus::free};
    Atomic<std::uint8_t> protocol_state{0};   ///< of the layer above: TCP's state
    Atomic<std::uint8_t> marks{0};            ///< flow_mark bits
    Atomic<std::uint8_t> protocol_detail{0};  ///< likewise: TCP's window scales
    std::uint16_t rule = 0;                   ///< of the layer above: which rule let it in
    std::uint8_t owner = 0;                   ///< the worker whose wheel holds it
    /// For the layer above, which writes it before it publishes: how the flow was opened.
    std::uint8_t opening_detail = 0;
    std::uint32_t link = 0;              ///< next in the owner's list (wheel or retired)
    std::array<IndexPlace, 2> places{};  ///< of the tuples in the index, by Direction
    /// For the layer above: what translating its packets changes in the sums under their checksums.
    std::array<std::uint16_t, 2> sum_changes{};
    /// For the layer above, which writes it before it reads it: where TCP's FINs end.
    Atomic<std::uint32_t> protocol_word{0};

    alignas(64) std::array<FlowCounters<Traits>, 2> counters;  ///< by Direction
    /// Of a free record: the next chunk of free ones. Of a live one, the layer above has it, which
    /// writes it before it reads it: what a SYN proxy adds to sequence numbers.
    Atomic<std::uint32_t> pool_link{0};
    /// For the layer above, which lays it out: what it remembers of the connection.
    std::array<Atomic<std::uint32_t>, 7> memory{};

    [[nodiscard]] const Tuple<Family>& tuple(Direction direction) const {
        return tuples[static_cast<std::size_t>(direction)];
    }
    [[nodiscard]] Tuple<Family>& tuple(Direction direction) {
        return tuples[static_cast<std::size_t>(direction)];
    }
    [[nodiscard]] IndexPlace& place(Direction direction) {
        return places[static_cast<std::size_t>(direction)];
    }
    [[nodiscard]] FlowCounters<Traits>& counter(Direction direction) {
        return counters[static_cast<std::size_t>(direction)];
    }
};

/// Index of a flow record; 0 is no flow.
using FlowId = std::uint32_t;
inline constexpr FlowId no_flow = 0;

}  // namespace noclash
