// SPDX-License-Identifier: Apache-2.0
#pragma once

// The ARP cache, shared by all workers without a lock.
//
// A fixed hash table: a neighbour may lie in any of `window` consecutive slots from where its key
// hashes to. A slot is three words, and each of them carries the slot's generation:
//
//   key      generation 16 | port + 1: 16 | address 32               0: never used
//   mac      generation 16 | hardware address 48
//   timing   generation 16 | state 2 | asks 2 | due_ms 44
//
// A slot never becomes empty again, but one that nobody used for long is given to another
// neighbour: one CAS on `key` changes the neighbour and the generation together. The other words
// are not touched then; being of an older generation, they read as "nothing known yet".
//
// Why no reader mixes up two neighbours: a `NeighborId` names slot and generation, and a generation
// of a slot is one neighbour. A hardware address is believed only if its word is of the id's
// generation. And that word is written only by who has read, in this order, the word it replaces
// (acquire) and then the key, still of that generation; if the slot moves on in between, either the
// CAS fails, or it leaves a word of the old generation, which nobody with a newer id believes.
// A generation number returns after 65,536 reclaims, at 4 s each three days: an id is for the
// packet in hand and for packets that wait for it, and is not stored for longer than an hour.
//
// Two workers that add one neighbour at once meet in a CAS on the same empty slot. Where no slot is
// empty, they may reclaim two: lookups find the first of them, `learn` teaches both, and the
// second, unused, is reclaimed in its turn.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "dpdk/config.hpp"
#include "engine/address.hpp"
#include "nat/headers.hpp"

namespace noclash::dpdk {

enum class NeighborState : std::uint8_t {
    incomplete,  ///< asked, not answered yet: packets wait
    reachable,
    failed,  ///< three asks without an answer
    gone,    ///< (only from `resolve`) the id is of a neighbour no longer kept: find it again
};

[[nodiscard]] std::string_view to_string(NeighborState state);

struct NeighborId {
    std::uint32_t slot;
    std::uint16_t generation;

    friend bool operator==(const NeighborId&, const NeighborId&) = default;
};

struct Resolution {
    NeighborState state;
    nat::MacAddress mac;  ///< when `reachable`
    /// The caller, and no other worker, has to broadcast an ARP request now.
    bool ask_now = false;
};

/// Which messages may add a neighbour.
enum class LearnMode : std::uint8_t {
    create_or_update,  ///< a request to us, or a reply to us
    update_existing,   ///< an announcement, or a message to somebody else
};

/// For people: one line of `noclashctl neighbors`.
struct NeighborEntry {
    std::uint16_t port;
    V4Address address;
    NeighborState state;
    nat::MacAddress mac;
    std::uint64_t last_used_ms;
};

/// All functions may be called by any thread at any time; they are lock-free and bounded. `now_ms`
/// is of one monotonic clock; that threads read it a little apart does no harm.
class NeighborTable {
  public:
    /// Allocates all that is ever used. `seed` keeps neighbours from choosing where they hash to.
    NeighborTable(const NeighborConfig& config, std::uint64_t seed);

    /// Nothing when the table has no room: every slot that the neighbour may lie in is in use.
    [[nodiscard]] std::optional<NeighborId> find_or_add(std::uint16_t port, V4Address address,
                                                        std::uint64_t now_ms);

    /// What is known of a neighbour that is about to be sent to. Drives the asking: at most one
    /// request a second, three unanswered ones make it `failed`, and a second later the next call
    /// begins anew. A reachable neighbour is asked again after `refresh_s` and keeps its address
    /// meanwhile; who answers the broadcast owns the address from then on [field j].
    [[nodiscard]] Resolution resolve(NeighborId id, std::uint64_t now_ms);

    /// Takes in a neighbour's own word of where it is; not for probes, which have no address yet.
    /// `mac` must not be a group address.
    void learn(std::uint16_t port, V4Address address, const nat::MacAddress& mac,
               std::uint64_t now_ms, LearnMode mode);

    /// All neighbours, each as it was at some moment of the call. Allocates: not for workers.
    [[nodiscard]] std::vector<NeighborEntry> snapshot() const;

    static constexpr std::uint64_t ask_interval_ms = 1000;
    static constexpr unsigned asks = 3;
    static constexpr std::uint64_t idle_resolved_ms = 60'000;  ///< then it may be reclaimed
    static constexpr std::uint64_t idle_unresolved_ms = 4'000;
    static constexpr std::size_t window = 32;

  private:
    using Word = std::atomic<std::uint64_t>;

    struct alignas(32) Slot {
        Word mac{0};
        Word timing{0};
        Word last_used_ms{0};
    };

    [[nodiscard]] std::size_t first_slot(std::uint64_t key) const;
    [[nodiscard]] std::optional<NeighborId> reclaim(std::size_t slot, std::uint64_t key,
                                                    std::uint64_t now_ms);
    [[nodiscard]] bool put(Word& word, std::size_t slot, std::uint64_t key, std::uint64_t value);
    void learn_at(std::size_t slot, std::uint64_t key, const nat::MacAddress& mac,
                  std::uint64_t now_ms);

    std::uint64_t refresh_ms_;
    std::uint64_t seed_;
    std::size_t mask_;
    std::unique_ptr<Word[]> keys_;  ///< apart from the slots: a lookup reads eight from one line
    std::unique_ptr<Slot[]> slots_;
};

}  // namespace noclash::dpdk
