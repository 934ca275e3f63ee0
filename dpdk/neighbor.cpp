// SPDX-License-Identifier: Apache-2.0
#include "dpdk/neighbor.hpp"

#include <bit>

namespace noclash::dpdk {
namespace {

// The words of a slot, as laid out at the top of the header. Time stamps keep 44 bits of
// milliseconds: 557 years.

constexpr unsigned generation_shift = 48;
constexpr std::uint64_t without_generation = (std::uint64_t{1} << generation_shift) - 1;

constexpr std::uint16_t generation_of(std::uint64_t word) {
    return static_cast<std::uint16_t>(word >> generation_shift);
}

constexpr std::uint64_t with_generation(std::uint16_t generation, std::uint64_t rest) {
    return std::uint64_t{generation} << generation_shift | (rest & without_generation);
}

/// Without generation, and never 0: that is what an unused slot holds. Ports end at 65,534.
constexpr std::uint64_t make_key(std::uint16_t port, V4Address address) {
    return (port + std::uint64_t{1}) << 32 | address.value.host();
}

constexpr std::uint64_t pack(const nat::MacAddress& mac) {
    std::uint64_t word = 0;
    for (const std::uint8_t byte : mac.bytes)
        word = word << 8 | byte;
    return word;
}

constexpr nat::MacAddress unpack(std::uint64_t word) {
    nat::MacAddress mac;
    for (std::size_t i = 0; i < mac.bytes.size(); ++i) {
        mac.bytes[i] = static_cast<std::uint8_t>(word >> (40 - 8 * i));
    }
    return mac;
}

/// State, unanswered asks, and when the next step is due; the timing word without generation.
struct Timing {
    NeighborState state = NeighborState::incomplete;
    unsigned asked = 0;
    std::uint64_t due_ms = 0;

    static constexpr Timing read(std::uint64_t word) {
        return {static_cast<NeighborState>(word >> 46 & 3), static_cast<unsigned>(word >> 44 & 3),
                word & ((std::uint64_t{1} << 44) - 1)};
    }
    [[nodiscard]] constexpr std::uint64_t word() const {
        return std::uint64_t{static_cast<std::uint8_t>(state)} << 46 | std::uint64_t{asked} << 44 |
               (due_ms & ((std::uint64_t{1} << 44) - 1));
    }
};

/// What follows when a step is due and nobody has answered.
constexpr Timing next_step(Timing timing, std::uint64_t now_ms) {
    timing.due_ms = now_ms + NeighborTable::ask_interval_ms;
    if (timing.state == NeighborState::failed) {  // A new round.
        timing.state = NeighborState::incomplete;
        timing.asked = 1;
    } else if (timing.asked < NeighborTable::asks) {
        ++timing.asked;
    } else {
        timing.state = NeighborState::failed;
        timing.asked = 0;
    }
    return timing;
}

// Contention on one slot comes from a handful of workers, and each failed exchange is another's
// success; who loses this often leaves its news to the next message.
constexpr unsigned exchange_attempts = 16;

constexpr std::uint64_t touch_interval_ms = 1000;

}  // namespace

std::string_view to_string(NeighborState state) {
    switch (state) {
        case NeighborState::incomplete:
            return "incomplete";
        case NeighborState::reachable:
            return "reachable";
        case NeighborState::failed:
            return "failed";
        case NeighborState::gone:
            break;
    }
    return "gone";
}

NeighborTable::NeighborTable(const NeighborConfig& config, std::uint64_t seed)
    : refresh_ms_(std::uint64_t{config.refresh_s} * 1000), seed_(seed) {
    // Twice the capacity, so that probe sequences stay short of `window` when it is reached.
    const std::size_t slots = std::bit_ceil(std::size_t{config.capacity} * 2);
    mask_ = (slots < window ? window : slots) - 1;
    keys_ = std::make_unique<Word[]>(mask_ + 1);
    slots_ = std::make_unique<Slot[]>(mask_ + 1);
}

std::size_t NeighborTable::first_slot(std::uint64_t key) const {
    std::uint64_t hash = key ^ seed_;
    hash = (hash ^ hash >> 32) * 0x9e3779b97f4a7c15;
    hash = (hash ^ hash >> 29) * 0xbf58476d1ce4e5b9;
    return (hash ^ hash >> 32) & mask_;
}

// Who synchronizes with whom:
//   (1) CAS of a key (release) with (2) loads of keys (acquire): who sees a neighbour in a slot
//       sees the slot as just used, and does not take it away.
//   (3) CAS of `mac` (release) with (4) the load before another CAS (acquire): who saw the word of
//       a generation sees, at (2), the key of that generation or a later one.
//   (5) CAS of `timing` (release) with (6) loads of it (acquire): as (3) with (4); and who sees
//       `reachable` sees the hardware address at (7), or a newer one.

std::optional<NeighborId> NeighborTable::find_or_add(std::uint16_t port, V4Address address,
                                                     std::uint64_t now_ms) {
    const std::uint64_t key = make_key(port, address);
    const std::size_t first = first_slot(key);
    for (std::size_t i = 0; i < window; ++i) {
        const std::size_t slot = (first + i) & mask_;
        std::uint64_t found = keys_[slot].load(std::memory_order_acquire);  // (2)
        if (found == 0) {
            slots_[slot].last_used_ms.store(now_ms, std::memory_order_relaxed);
            if (keys_[slot].compare_exchange_strong(found, key, std::memory_order_acq_rel,
                                                    std::memory_order_acquire)) {  // (1) (2)
                found = key;
            }
        }
        if ((found & without_generation) == key) {
            return NeighborId{static_cast<std::uint32_t>(slot), generation_of(found)};
        }
    }
    for (std::size_t i = 0; i < window; ++i) {
        const std::size_t slot = (first + i) & mask_;
        const auto id = reclaim(slot, key, now_ms);
        if (id) return id;
    }
    return std::nullopt;
}

/// Gives a slot that nobody has used for long to `key`; nothing when it is in use.
std::optional<NeighborId> NeighborTable::reclaim(std::size_t slot, std::uint64_t key,
                                                 std::uint64_t now_ms) {
    std::uint64_t old_key = keys_[slot].load(std::memory_order_acquire);  // (2)
    const std::uint64_t timing = slots_[slot].timing.load(std::memory_order_relaxed);
    const bool resolved = generation_of(timing) == generation_of(old_key) &&
                          Timing::read(timing).state == NeighborState::reachable;
    const std::uint64_t idle_ms = resolved ? idle_resolved_ms : idle_unresolved_ms;
    std::uint64_t used_ms = slots_[slot].last_used_ms.load(std::memory_order_relaxed);
    if (used_ms + idle_ms > now_ms) return std::nullopt;
    // Touched first: of several workers that find the slot idle, one goes on, and nobody takes the
    // slot from its new owner.
    if (!slots_[slot].last_used_ms.compare_exchange_strong(used_ms, now_ms,
                                                           std::memory_order_relaxed)) {
        return std::nullopt;
    }
    const auto generation = static_cast<std::uint16_t>(generation_of(old_key) + 1);
    if (!keys_[slot].compare_exchange_strong(old_key, with_generation(generation, key),
                                             std::memory_order_acq_rel,
                                             std::memory_order_relaxed)) {  // (1)
        return std::nullopt;
    }
    return NeighborId{static_cast<std::uint32_t>(slot), generation};
}

Resolution NeighborTable::resolve(NeighborId id, std::uint64_t now_ms) {
    Slot& slot = slots_[id.slot];
    const std::uint64_t used_ms = slot.last_used_ms.load(std::memory_order_relaxed);
    if (now_ms >= used_ms + touch_interval_ms) {  // Seldom: all workers share this line.
        slot.last_used_ms.store(now_ms, std::memory_order_relaxed);
    }

    std::uint64_t word = slot.timing.load(std::memory_order_acquire);  // (6)
    bool ask_now = false;
    if (generation_of(word) != id.generation || Timing::read(word).due_ms <= now_ms) {
        const std::uint64_t key = keys_[id.slot].load(std::memory_order_acquire);  // (2)
        if (generation_of(key) != id.generation) return {NeighborState::gone, {}};
        const bool known = generation_of(word) == id.generation;
        const Timing next = next_step(known ? Timing::read(word) : Timing{}, now_ms);
        // One worker takes the step; the others find it taken.
        const std::uint64_t wanted = with_generation(id.generation, next.word());
        if (slot.timing.compare_exchange_strong(word, wanted, std::memory_order_acq_rel,
                                                std::memory_order_acquire)) {  // (5) (6)
            word = wanted;
            ask_now = next.state != NeighborState::failed;
        } else if (generation_of(word) != id.generation) {
            return {NeighborState::incomplete, {}};  // In the making; the next call will tell.
        }
    }

    const NeighborState state = Timing::read(word).state;
    if (state != NeighborState::reachable) return {state, {}, ask_now};
    const std::uint64_t mac = slot.mac.load(std::memory_order_relaxed);  // (7)
    if (generation_of(mac) != id.generation) return {NeighborState::gone, {}};
    return {state, unpack(mac), ask_now};
}

void NeighborTable::learn(std::uint16_t port, V4Address address, const nat::MacAddress& mac,
                          std::uint64_t now_ms, LearnMode mode) {
    const std::uint64_t key = make_key(port, address);
    const std::size_t first = first_slot(key);
    bool found_any = false;
    for (std::size_t i = 0; i < window; ++i) {
        const std::size_t slot = (first + i) & mask_;
        const std::uint64_t found = keys_[slot].load(std::memory_order_acquire);  // (2)
        if (found == 0) break;
        if ((found & without_generation) != key) continue;
        learn_at(slot, found, mac, now_ms);
        found_any = true;
    }
    if (found_any || mode == LearnMode::update_existing) return;
    const auto id = find_or_add(port, address, now_ms);
    if (id) learn_at(id->slot, with_generation(id->generation, key), mac, now_ms);
}

/// `key` is as it was found in the slot, with its generation.
void NeighborTable::learn_at(std::size_t slot, std::uint64_t key, const nat::MacAddress& mac,
                             std::uint64_t now_ms) {
    const Timing reachable{NeighborState::reachable, 0, now_ms + refresh_ms_};
    // The address before the state that vouches for it.
    if (put(slots_[slot].mac, slot, key, pack(mac))) {                // (3) (4)
        (void)put(slots_[slot].timing, slot, key, reachable.word());  // (5) (6)
    }
}

/// Replaces a word of a slot while the slot is still `key`'s; false when it is not.
bool NeighborTable::put(Word& word, std::size_t slot, std::uint64_t key, std::uint64_t value) {
    const std::uint64_t wanted = with_generation(generation_of(key), value);
    std::uint64_t old = word.load(std::memory_order_acquire);
    for (unsigned attempt = 0; attempt < exchange_attempts; ++attempt) {
        if (keys_[slot].load(std::memory_order_acquire) != key) return false;  // (2)
        if (word.compare_exchange_strong(old, wanted, std::memory_order_acq_rel,
                                         std::memory_order_acquire)) {
            return true;
        }
    }
    return false;
}

std::vector<NeighborEntry> NeighborTable::snapshot() const {
    std::vector<NeighborEntry> entries;
    for (std::size_t i = 0; i <= mask_; ++i) {
        const std::uint64_t key = keys_[i].load(std::memory_order_acquire);  // (2)
        if (key == 0) continue;
        const std::uint64_t word = slots_[i].timing.load(std::memory_order_acquire);  // (6)
        const std::uint64_t mac = slots_[i].mac.load(std::memory_order_relaxed);      // (7)
        NeighborState state = NeighborState::incomplete;
        if (generation_of(word) == generation_of(key)) state = Timing::read(word).state;
        const bool resolved = state == NeighborState::reachable;
        if (resolved && generation_of(mac) != generation_of(key)) continue;  // Reclaimed just now.
        entries.push_back({static_cast<std::uint16_t>((key >> 32 & 0xffff) - 1),
                           V4Address::from_host(static_cast<std::uint32_t>(key)), state,
                           resolved ? unpack(mac) : nat::MacAddress{},
                           slots_[i].last_used_ms.load(std::memory_order_relaxed)});
    }
    return entries;
}

}  // namespace noclash::dpdk
