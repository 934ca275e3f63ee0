// SPDX-License-Identifier: Apache-2.0
#pragma once

// The ARP cache, shared by all workers without a lock.
//
// Each port has a hash table of its own, so that what one link says takes no room from another. A
// neighbour may lie in any of `window` consecutive slots from where its key hashes to. A slot is
// five words; the first four carry the slot's generation:
//
//   key        generation 16 | port + 1: 16 | address 32              0: never used
//   mac        generation 16 | hardware address 48
//   candidate  generation 16 | hardware address 48                    claimed, and being verified
//   timing     generation 16 | state 2 | asks 3 | due_ms 43
//   use        pinned 1 | fixed 1 | sent 1 | last_used_ms 61
//
// A slot never becomes empty again, but one that is little missed is given to another neighbour
// (`reclaim`): first those that no packet was ever sent to, then those that do not answer, then
// those that nobody used for long; pinned ones never. One CAS on `key` changes the neighbour and
// the generation together. The other words are not touched then; being of an older generation, they
// read as "nothing known yet".
//
// Why no reader mixes up two neighbours: a `NeighborId` names slot and generation, and a generation
// of a slot is one neighbour. A hardware address is believed only if its word is of the id's
// generation. And that word is written only by who has read, in this order, the word it replaces
// (acquire) and then the key, still of that generation; if the slot moves on in between, either the
// CAS fails, or it leaves a word of the old generation, which nobody with a newer id believes.
// A generation number returns after 65,536 reclaims of one slot. A flood of forged senders of a
// million frames a second needs minutes for that even in the smallest table that it can fill (4,096
// slots): an id is for the packet in hand, and is not stored.
//
// Two workers that add one neighbour at once meet in a CAS on the same empty slot. Where no slot is
// empty, they may reclaim two: lookups find the first of them, `learn` teaches both, and the
// second, unused, is reclaimed in its turn.
//
// A changed address. Anybody on a link can say that a neighbour's address is now his. So the word
// of another station is believed at once only where nothing is at stake: nothing was sent to the
// neighbour yet, or the known station does not answer. Else the neighbour is `verifying`:
//
//   0 ms  the known station is asked (unicast), and again after 250 ms; if it answers, it stays
//         the neighbour, and for a second nobody else is listened to (`Learning::kept`)
//   500   the claimed one is asked (unicast), twice; if it answers now, it is the neighbour from
//         then on (`Learning::moved`)
//   1000  nobody answered: all are asked (broadcast), and the first to answer is believed
//
// Meanwhile packets go to the known station. A neighbour that is fixed by configuration is never
// asked and never changed.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "dpdk/config/config.hpp"
#include "engine/base/address.hpp"
#include "nat/packet/headers.hpp"

namespace noclash::dpdk {

enum class NeighborState : std::uint8_t {
    incomplete,  ///< asked, not answered yet: packets wait
    reachable,
    failed,     ///< three asks without an answer
    verifying,  ///< (only from `snapshot`) reachable, and another station claims its address
    gone,       ///< (only from `resolve`) the id is of a neighbour no longer kept: find it again
    fixed,      ///< (only from `snapshot`) reachable, as configured
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
    /// The caller, and no other worker, has to send an ARP request to `ask_at` now.
    bool ask_now = false;
    nat::MacAddress ask_at = nat::broadcast_mac;
};

/// The result of a neighbour's message.
enum class Learning : std::uint8_t {
    nothing,  ///< that concerns anybody: learned, known already, or not listened to
    moved,    ///< a neighbour in use is at `claimed` from now on
    doubted,  ///< the caller has to ask `known` now, and to see that `advance` is called
    kept,     ///< `known` answers still: `claimed` was not believed
    refused,  ///< `known` is fixed by configuration
};

struct Learned {
    Learning outcome = Learning::nothing;
    nat::MacAddress known{};
    nat::MacAddress claimed{};
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

/// A neighbour that always has its place: a router of a route, a target of a service, or one whose
/// MAC address is configured.
struct PinnedNeighbor {
    std::uint16_t port;
    V4Address address;
    std::optional<nat::MacAddress> mac{};  ///< fixed
};

/// All functions may be called by any thread at any time; they are lock-free and bounded. `now_ms`
/// is of one monotonic clock; that threads read it a little apart does no harm.
class NeighborTable {
  public:
    /// Allocates all that is ever used. `seed` keeps neighbours from choosing where they hash to.
    NeighborTable(const NeighborConfig& config, std::span<const PortConfig> ports,
                  std::span<const PinnedNeighbor> pinned, std::uint64_t seed);

    /// For who is about to send. Nothing when the table has no room: every slot that the neighbour
    /// may lie in is in use.
    [[nodiscard]] std::optional<NeighborId> find_or_add(std::uint16_t port, V4Address address,
                                                        std::uint64_t now_ms);

    /// The state of a neighbour that is about to be sent to. Drives the asking: one request a
    /// second, three unanswered ones make it `failed`, and a second later the next call begins anew
    /// (RFC 1122, section 2.3.2.1). A reachable neighbour is asked again after `refresh_s` and
    /// keeps its address meanwhile: first the station that is known, half a second later all; who
    /// answers then owns the address from then on [field j].
    [[nodiscard]] Resolution resolve(NeighborId id, std::uint64_t now_ms);

    /// The same for a neighbour that nothing is sent to now; `gone` when there is none.
    [[nodiscard]] Resolution advance(std::uint16_t port, V4Address address, std::uint64_t now_ms);

    /// Takes in a neighbour's own word of where it is; not for probes, which have no address yet.
    /// `mac` must not be a group address.
    Learned learn(std::uint16_t port, V4Address address, const nat::MacAddress& mac,
                  std::uint64_t now_ms, LearnMode mode);

    /// Pins the neighbours of another policy and lets go of those of `before` that it does not pin.
    /// Any one thread. Called once more after a grace period, it is final: a worker that was about
    /// to learn something of a neighbour may have missed the first call.
    void repin(std::span<const PinnedNeighbor> before, std::span<const PinnedNeighbor> after,
               std::uint64_t now_ms);
    /// After how many seconds a neighbour in use is asked again.
    void set_refresh(std::uint32_t seconds) {
        refresh_ms_.store(std::uint64_t{seconds} * 1000, std::memory_order_relaxed);
    }

    /// All neighbours, each as it was at some moment of the call. Allocates: not for workers.
    [[nodiscard]] std::vector<NeighborEntry> snapshot() const;

    static constexpr std::uint64_t ask_interval_ms = 1000;
    static constexpr unsigned asks = 3;
    static constexpr std::uint64_t verify_interval_ms = 250;
    static constexpr std::uint64_t doubt_ms = 500;  ///< a known station that is silent so long
    static constexpr std::uint64_t settled_ms = 1000;
    static constexpr std::uint64_t idle_resolved_ms = 60'000;  ///< then it may be reclaimed
    static constexpr std::uint64_t idle_unresolved_ms = 1'000;
    static constexpr std::size_t window = 32;

  private:
    using Word = std::atomic<std::uint64_t>;

    struct alignas(32) Slot {
        Word mac{0};
        Word candidate{0};
        Word timing{0};
        Word use{0};
    };
    /// A port's slots: `first` to `first + mask`.
    struct Region {
        std::size_t first;
        std::size_t mask;
    };
    /// Why a neighbour is added: a packet is about to be sent to it, or it was heard of.
    enum class Cause : std::uint8_t { sending, hearing };
    /// Why a slot may be given to another neighbour, the best reason first.
    enum class Worth : std::uint8_t { never_sent_to, unanswered, idle, in_use };

    [[nodiscard]] std::size_t first_slot(std::uint64_t key) const;
    [[nodiscard]] std::size_t slot_at(std::uint16_t port, std::size_t first, std::size_t i) const {
        return regions_[port].first + ((first + i) & regions_[port].mask);
    }
    [[nodiscard]] std::optional<NeighborId> add(std::uint16_t port, V4Address address,
                                                std::uint64_t now_ms, Cause cause);
    void pin(const PinnedNeighbor& neighbor, std::uint64_t now_ms);
    void unpin(const PinnedNeighbor& neighbor, std::uint64_t now_ms);
    [[nodiscard]] std::uint64_t refresh_ms() const {
        return refresh_ms_.load(std::memory_order_relaxed);
    }
    [[nodiscard]] Worth worth(std::size_t slot, std::uint64_t key, std::uint64_t now_ms) const;
    [[nodiscard]] std::optional<NeighborId> reclaim(std::size_t slot, std::uint64_t key,
                                                    std::uint64_t now_ms, Cause cause,
                                                    Worth at_most);
    [[nodiscard]] Resolution advance(NeighborId id, std::uint64_t now_ms);
    [[nodiscard]] bool put(Word& word, std::size_t slot, std::uint64_t key, std::uint64_t value);
    [[nodiscard]] Learned learn_at(std::size_t slot, std::uint64_t key, const nat::MacAddress& mac,
                                   std::uint64_t now_ms);

    Word refresh_ms_;
    std::uint64_t seed_;
    std::vector<Region> regions_;  ///< by port
    std::size_t slot_count_ = 0;
    std::unique_ptr<Word[]> keys_;  ///< apart from the slots: a lookup reads eight from one line
    std::unique_ptr<Slot[]> slots_;
};

}  // namespace noclash::dpdk
