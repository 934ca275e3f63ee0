// SPDX-License-Identifier: Apache-2.0
#include "dpdk/datapath/neighbor.hpp"

#include <algorithm>
#include <bit>
#include <cassert>
#include <initializer_list>
#include <unordered_map>

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
    unsigned asked = 0;  ///< or `settled`
    std::uint64_t due_ms = 0;

    /// In place of asks: somebody else's claim was refuted, and until it is due no other is heard.
    static constexpr unsigned settled = 7;
    static constexpr unsigned due_bits = 43;
    static constexpr std::uint64_t never_ms = (std::uint64_t{1} << due_bits) - 1;

    static constexpr Timing read(std::uint64_t word) {
        return {static_cast<NeighborState>(word >> 46 & 3),
                static_cast<unsigned>(word >> due_bits & 7), word & never_ms};
    }
    [[nodiscard]] constexpr std::uint64_t word() const {
        return std::uint64_t{static_cast<std::uint8_t>(state)} << 46 |
               std::uint64_t{asked} << due_bits | (due_ms & never_ms);
    }
    [[nodiscard]] constexpr bool has_mac() const {
        return state == NeighborState::reachable || state == NeighborState::verifying;
    }
};
static_assert(static_cast<int>(NeighborState::verifying) == 3);

/// Asks of a neighbour that is being verified: these two go to the station that is known, those
/// after them to the one that claims to be it.
constexpr unsigned asks_of_known = 2;
constexpr unsigned asks_of_both = 4;

/// The timing after a step that was due while nobody has answered [RFC 1122 section 2.3.2.1].
constexpr Timing next_step(Timing timing, std::uint64_t now_ms, std::uint64_t refresh_ms) {
    timing.due_ms = now_ms + NeighborTable::ask_interval_ms;
    switch (timing.state) {
        case NeighborState::verifying:
            if (timing.asked == asks_of_both) return {NeighborState::reachable, 2, timing.due_ms};
            return {timing.state, timing.asked + 1, now_ms + NeighborTable::verify_interval_ms};
        case NeighborState::failed:  // A new round.
            return {NeighborState::incomplete, 1, timing.due_ms};
        case NeighborState::reachable:
            if (timing.asked == Timing::settled) return {timing.state, 0, now_ms + refresh_ms};
            if (timing.asked == 0) return {timing.state, 1, now_ms + NeighborTable::doubt_ms};
            break;
        default:
            break;
    }
    if (timing.asked < NeighborTable::asks)
        ++timing.asked;
    else
        timing = {NeighborState::failed, 0, timing.due_ms};
    return timing;
}

/// Whether a step is one that asks somebody.
constexpr bool needs_request(const Timing& step) {
    return step.state != NeighborState::failed &&
           !(step.state == NeighborState::reachable && step.asked == 0);
}

/// Judges a message of a station that is not the known one of a neighbour that packets are
/// sent to: `moved`: it is believed, `doubted`: the neighbour has to be verified.
constexpr Learning judge(const Timing& timing, std::uint64_t candidate, std::uint64_t claimed,
                         std::uint64_t now_ms) {
    if (timing.state == NeighborState::verifying) {
        const bool asked = timing.asked > asks_of_known && candidate == claimed;
        return asked ? Learning::moved : Learning::nothing;
    }
    if (timing.asked == Timing::settled)
        return timing.due_ms > now_ms ? Learning::nothing : Learning::doubted;
    return timing.asked >= 2 ? Learning::moved : Learning::doubted;  // 2: it was asked in vain
}

/// How a slot is used; the use word.
struct Use {
    static constexpr std::uint64_t pinned = std::uint64_t{1} << 63, fixed = std::uint64_t{1} << 62,
                                   sent = std::uint64_t{1} << 61, flags = pinned | fixed | sent;
    /// When it was last sent to; of a neighbour that never was, when it was added.
    static constexpr std::uint64_t last_ms(std::uint64_t word) { return word & ~flags; }
};

// Contention on one slot comes from a handful of workers, and each failed exchange is another's
// success; who loses this often leaves its news to the next message.
constexpr unsigned exchange_attempts = 16;

constexpr std::uint64_t touch_interval_ms = 1000;

/// A reload may give a port another subnet.
constexpr std::uint64_t room_of_any_subnet = 4096;

/// Addresses of a subnet, 2^31 at most.
constexpr std::uint64_t addresses(std::uint8_t prefix_length) {
    return std::uint64_t{1} << (prefix_length == 0 ? 31 : 32 - prefix_length);
}

}  // namespace

std::string_view to_string(NeighborState state) {
    switch (state) {
        case NeighborState::incomplete:
            return "incomplete";
        case NeighborState::reachable:
            return "reachable";
        case NeighborState::failed:
            return "failed";
        case NeighborState::verifying:
            return "verifying";
        case NeighborState::fixed:
            return "static";
        case NeighborState::gone:
            break;
    }
    return "gone";
}

NeighborTable::NeighborTable(const NeighborConfig& config, std::span<const PortConfig> ports,
                             std::span<const PinnedNeighbor> pinned, std::uint64_t seed)
    : refresh_ms_(std::uint64_t{config.refresh_s} * 1000), seed_(seed) {
    for (std::size_t port = 0; port < ports.size(); ++port) {
        const auto of_port = [port](const PinnedNeighbor& one) { return one.port == port; };
        const auto kept = static_cast<std::size_t>(std::ranges::count_if(pinned, of_port));
        const std::size_t others = static_cast<std::size_t>(std::min<std::uint64_t>(
            config.capacity, std::max(addresses(ports[port].prefix_length), room_of_any_subnet)));
        // Twice the capacity, so that probe sequences stay short of `window` when it is reached.
        const std::size_t slots = std::max(std::bit_ceil((others + kept) * 2), window);
        regions_.push_back({slot_count_, slots - 1});
        slot_count_ += slots;
    }
    keys_ = std::make_unique<Word[]>(slot_count_);
    slots_ = std::make_unique<Slot[]>(slot_count_);
    for (const PinnedNeighbor& neighbor : pinned)
        pin(neighbor, 0);
}

std::size_t NeighborTable::first_slot(std::uint64_t key) const {
    std::uint64_t hash = key ^ seed_;
    hash = (hash ^ hash >> 32) * 0x9e3779b97f4a7c15;
    hash = (hash ^ hash >> 29) * 0xbf58476d1ce4e5b9;
    return hash ^ hash >> 32;
}

// The numbers at ordered accesses are those of docs/race.md.

/// One that finds no place, since others are pinned all around, is kept as any other is.
void NeighborTable::pin(const PinnedNeighbor& neighbor, std::uint64_t now_ms) {
    const auto id = add(neighbor.port, neighbor.address, now_ms, Cause::sending);
    if (!id) return;
    Slot& slot = slots_[id->slot];
    slot.use.fetch_or(Use::pinned | (neighbor.mac ? Use::fixed : 0), std::memory_order_relaxed);
    const std::uint64_t key =
        with_generation(id->generation, make_key(neighbor.port, neighbor.address));
    // Who reclaimed the slot just now did not see the flags: they are not for its neighbour.
    if (keys_[id->slot].load(std::memory_order_acquire) != key) {  // (51)
        slot.use.fetch_and(~(Use::pinned | Use::fixed), std::memory_order_relaxed);
        return;
    }
    if (!neighbor.mac) return;
    // The address before the state that vouches for it.
    const Timing always{NeighborState::reachable, 0, Timing::never_ms};
    if (put(slot.mac, id->slot, key, pack(*neighbor.mac)))                  // (52)
        static_cast<void>(put(slot.timing, id->slot, key, always.word()));  // (54)
}

/// The neighbour is one like others again. A MAC address that was fixed is asked for at once, and
/// used until the answer comes.
void NeighborTable::unpin(const PinnedNeighbor& neighbor, std::uint64_t now_ms) {
    const std::uint64_t key = make_key(neighbor.port, neighbor.address);
    const std::size_t first = first_slot(key);
    for (std::size_t i = 0; i < window; ++i) {
        const std::size_t slot = slot_at(neighbor.port, first, i);
        const std::uint64_t found = keys_[slot].load(std::memory_order_acquire);  // (51)
        if (found == 0) break;
        if ((found & without_generation) != key) continue;
        const std::uint64_t before =
            slots_[slot].use.fetch_and(~(Use::pinned | Use::fixed), std::memory_order_relaxed);
        const Timing due{NeighborState::reachable, 0, now_ms};
        if ((before & Use::fixed) != 0)
            static_cast<void>(put(slots_[slot].timing, slot, found, due.word()));  // (54)
    }
}

void NeighborTable::repin(std::span<const PinnedNeighbor> before,
                          std::span<const PinnedNeighbor> after, std::uint64_t now_ms) {
    std::unordered_map<std::uint64_t, std::optional<nat::MacAddress>> wanted;
    for (const PinnedNeighbor& one : after)
        wanted.emplace(make_key(one.port, one.address), one.mac);
    for (const PinnedNeighbor& one : before) {
        const auto found = wanted.find(make_key(one.port, one.address));
        if (found == wanted.end() || found->second != one.mac) unpin(one, now_ms);
    }
    for (const PinnedNeighbor& one : after)
        pin(one, now_ms);
}

std::optional<NeighborId> NeighborTable::find_or_add(std::uint16_t port, V4Address address,
                                                     std::uint64_t now_ms) {
    return add(port, address, now_ms, Cause::sending);
}

std::optional<NeighborId> NeighborTable::add(std::uint16_t port, V4Address address,
                                             std::uint64_t now_ms, Cause cause) {
    const std::uint64_t key = make_key(port, address);
    const std::size_t first = first_slot(key);
    for (std::size_t i = 0; i < window; ++i) {
        const std::size_t slot = slot_at(port, first, i);
        std::uint64_t found = keys_[slot].load(std::memory_order_acquire);  // (51)
        if (found == 0) {
            slots_[slot].use.store(now_ms | (cause == Cause::sending ? Use::sent : 0),
                                   std::memory_order_relaxed);
            if (keys_[slot].compare_exchange_strong(found, key, std::memory_order_acq_rel,
                                                    std::memory_order_acquire)) {  // (50) (51)
                found = key;
            }
        }
        if ((found & without_generation) == key) {
            return NeighborId{static_cast<std::uint32_t>(slot), generation_of(found)};
        }
    }
    for (const Worth at_most : {Worth::never_sent_to, Worth::unanswered, Worth::idle}) {
        // A neighbour that was only heard must not cost one that packets wait for.
        if (at_most == Worth::unanswered && cause == Cause::hearing) continue;
        for (std::size_t i = 0; i < window; ++i) {
            const auto id = reclaim(slot_at(port, first, i), key, now_ms, cause, at_most);
            if (id) return id;
        }
    }
    return std::nullopt;
}

/// The worth of the neighbour `key` in a slot: the loss if another one takes its place.
NeighborTable::Worth NeighborTable::worth(std::size_t slot, std::uint64_t key,
                                          std::uint64_t now_ms) const {
    const std::uint64_t use = slots_[slot].use.load(std::memory_order_relaxed);
    if ((use & Use::pinned) != 0) return Worth::in_use;
    if ((use & Use::sent) == 0) return Worth::never_sent_to;
    const std::uint64_t word = slots_[slot].timing.load(std::memory_order_relaxed);
    const bool idle = Use::last_ms(use) + idle_unresolved_ms <= now_ms;
    if (generation_of(word) != generation_of(key)) return idle ? Worth::unanswered : Worth::in_use;
    const Timing timing = Timing::read(word);
    if (timing.has_mac()) {
        return Use::last_ms(use) + idle_resolved_ms <= now_ms ? Worth::idle : Worth::in_use;
    }
    const bool silent = timing.state == NeighborState::failed || timing.asked >= 2;
    return silent || idle ? Worth::unanswered : Worth::in_use;
}

/// Gives a slot to `key`; nothing when it is worth more than `at_most`.
std::optional<NeighborId> NeighborTable::reclaim(std::size_t slot, std::uint64_t key,
                                                 std::uint64_t now_ms, Cause cause, Worth at_most) {
    std::uint64_t old_key = keys_[slot].load(std::memory_order_acquire);  // (51)
    std::uint64_t use = slots_[slot].use.load(std::memory_order_relaxed);
    if (worth(slot, old_key, now_ms) > at_most) return std::nullopt;
    // Touched first: nobody takes the slot from its new owner, who is about to send.
    const std::uint64_t used = now_ms | (cause == Cause::sending ? Use::sent : 0);
    if (!slots_[slot].use.compare_exchange_strong(use, used, std::memory_order_relaxed)) {
        return std::nullopt;
    }
    const auto generation = static_cast<std::uint16_t>(generation_of(old_key) + 1);
    if (!keys_[slot].compare_exchange_strong(old_key, with_generation(generation, key),
                                             std::memory_order_acq_rel,
                                             std::memory_order_relaxed)) {  // (50)
        return std::nullopt;
    }
    return NeighborId{static_cast<std::uint32_t>(slot), generation};
}

Resolution NeighborTable::resolve(NeighborId id, std::uint64_t now_ms) {
    const Resolution found = advance(id, now_ms);
    if (found.state == NeighborState::gone) return found;
    Word& use = slots_[id.slot].use;
    const std::uint64_t word = use.load(std::memory_order_relaxed);
    // Seldom: all workers share this line. Should the slot be another's by now, that one is kept
    // for longer than it is worth.
    if ((word & Use::sent) == 0 || now_ms >= Use::last_ms(word) + touch_interval_ms) {
        use.store((word & Use::flags) | Use::sent | now_ms, std::memory_order_relaxed);
    }
    return found;
}

Resolution NeighborTable::advance(std::uint16_t port, V4Address address, std::uint64_t now_ms) {
    const std::uint64_t key = make_key(port, address);
    const std::size_t first = first_slot(key);
    for (std::size_t i = 0; i < window; ++i) {
        const std::size_t slot = slot_at(port, first, i);
        const std::uint64_t found = keys_[slot].load(std::memory_order_acquire);  // (51)
        if (found == 0) break;
        if ((found & without_generation) != key) continue;
        return advance({static_cast<std::uint32_t>(slot), generation_of(found)}, now_ms);
    }
    return {NeighborState::gone, {}};
}

Resolution NeighborTable::advance(NeighborId id, std::uint64_t now_ms) {
    Slot& slot = slots_[id.slot];
    std::uint64_t word = slot.timing.load(std::memory_order_acquire);  // (55)
    Resolution found{NeighborState::incomplete, {}};
    if (generation_of(word) != id.generation || Timing::read(word).due_ms <= now_ms) {
        const std::uint64_t key = keys_[id.slot].load(std::memory_order_acquire);  // (51)
        if (generation_of(key) != id.generation) return {NeighborState::gone, {}};
        const bool known = generation_of(word) == id.generation;
        const Timing next = next_step(known ? Timing::read(word) : Timing{}, now_ms, refresh_ms());
        // One worker takes the step; the others find it taken.
        const std::uint64_t wanted = with_generation(id.generation, next.word());
        if (slot.timing.compare_exchange_strong(word, wanted, std::memory_order_acq_rel,
                                                std::memory_order_acquire)) {  // (54) (55)
            word = wanted;
            found.ask_now = needs_request(next);
        } else if (generation_of(word) != id.generation) {
            return found;  // In the making; the next call will tell.
        }
    }

    const Timing timing = Timing::read(word);
    if (!timing.has_mac()) {
        found.state = timing.state;
        return found;
    }
    const std::uint64_t mac = slot.mac.load(std::memory_order_relaxed);  // (56)
    if (generation_of(mac) != id.generation) return {NeighborState::gone, {}};
    found.state = NeighborState::reachable;
    found.mac = unpack(mac);
    const bool verifying = timing.state == NeighborState::verifying;
    if (verifying || timing.asked < 2) found.ask_at = found.mac;
    if (verifying && timing.asked > asks_of_known) {
        const std::uint64_t other = slot.candidate.load(std::memory_order_relaxed);  // (56)
        if (generation_of(other) == id.generation) found.ask_at = unpack(other);
    }
    return found;
}

Learned NeighborTable::learn(std::uint16_t port, V4Address address, const nat::MacAddress& mac,
                             std::uint64_t now_ms, LearnMode mode) {
    assert(!mac.is_group());
    const std::uint64_t key = make_key(port, address);
    const std::size_t first = first_slot(key);
    Learned learned;
    bool found_any = false;
    for (std::size_t i = 0; i < window; ++i) {
        const std::size_t slot = slot_at(port, first, i);
        const std::uint64_t found = keys_[slot].load(std::memory_order_acquire);  // (51)
        if (found == 0) break;
        if ((found & without_generation) != key) continue;
        const Learned here = learn_at(slot, found, mac, now_ms);
        if (learned.outcome == Learning::nothing) learned = here;
        found_any = true;
    }
    if (found_any || mode == LearnMode::update_existing) return learned;
    const auto id = add(port, address, now_ms, Cause::hearing);
    if (id) learned = learn_at(id->slot, with_generation(id->generation, key), mac, now_ms);
    return learned;
}

/// `key` is as it was found in the slot, with its generation.
Learned NeighborTable::learn_at(std::size_t index, std::uint64_t key, const nat::MacAddress& mac,
                                std::uint64_t now_ms) {
    Slot& slot = slots_[index];
    const std::uint16_t generation = generation_of(key);
    Learned moved;  // when this call has replaced the address
    std::uint64_t word = slot.timing.load(std::memory_order_acquire);  // (55)
    for (unsigned attempt = 0; attempt < exchange_attempts; ++attempt) {
        if (keys_[index].load(std::memory_order_acquire) != key) return {};  // (51)
        const Timing timing = generation_of(word) == generation ? Timing::read(word) : Timing{};
        const std::uint64_t mac_word = slot.mac.load(std::memory_order_relaxed);  // (56)
        const std::uint64_t use = slot.use.load(std::memory_order_relaxed);
        const bool had_mac = generation_of(mac_word) == generation && mac_word != 0;
        const nat::MacAddress known = unpack(mac_word);
        const bool same = had_mac && known == mac;
        if ((use & Use::fixed) != 0)
            return same ? Learned{} : Learned{Learning::refused, known, mac};

        Learned result = moved;
        Timing next{NeighborState::reachable, 0, now_ms + refresh_ms()};
        if (same && timing.state == NeighborState::verifying &&
            moved.outcome == Learning::nothing) {
            const std::uint64_t other = slot.candidate.load(std::memory_order_relaxed);  // (56)
            if (generation_of(other) != generation) return {};
            result = {Learning::kept, known, unpack(other)};
            next = {NeighborState::reachable, Timing::settled, now_ms + settled_ms};
        } else if (same && timing.asked == Timing::settled && timing.due_ms > now_ms) {
            return {};
        } else if (!same && had_mac && timing.has_mac() && (use & Use::sent) != 0) {
            const Learning verdict = judge(timing, slot.candidate.load(std::memory_order_relaxed),
                                           with_generation(generation, pack(mac)), now_ms);
            if (verdict == Learning::nothing) return {};
            result = {verdict, known, mac};
            if (verdict == Learning::doubted) {
                next = {NeighborState::verifying, 1, now_ms + verify_interval_ms};
                if (!put(slot.candidate, index, key, pack(mac))) return {};  // (52)
            }
        } else if (!same && had_mac && timing.state == NeighborState::failed) {
            result = {Learning::moved, known, mac};
        }
        // The address before the state that vouches for it.
        if (!same && result.outcome != Learning::doubted) {
            if (!put(slot.mac, index, key, pack(mac))) return {};  // (52)
            moved = result;
        }
        if (slot.timing.compare_exchange_strong(word, with_generation(generation, next.word()),
                                                std::memory_order_acq_rel,
                                                std::memory_order_acquire)) {  // (54) (55)
            return result;
        }
    }
    return moved;
}

/// Replaces a word of a slot while the slot is still `key`'s; false when it is not.
bool NeighborTable::put(Word& word, std::size_t slot, std::uint64_t key, std::uint64_t value) {
    const std::uint64_t wanted = with_generation(generation_of(key), value);
    std::uint64_t old = word.load(std::memory_order_acquire);  // (53)
    for (unsigned attempt = 0; attempt < exchange_attempts; ++attempt) {
        if (keys_[slot].load(std::memory_order_acquire) != key) return false;  // (51)
        if (word.compare_exchange_strong(old, wanted, std::memory_order_acq_rel,
                                         std::memory_order_acquire)) {  // (52) (53)
            return true;
        }
    }
    return false;
}

std::vector<NeighborEntry> NeighborTable::snapshot() const {
    std::vector<NeighborEntry> entries;
    for (std::size_t i = 0; i < slot_count_; ++i) {
        const std::uint64_t key = keys_[i].load(std::memory_order_acquire);  // (51)
        if (key == 0) continue;
        const std::uint64_t word = slots_[i].timing.load(std::memory_order_acquire);  // (55)
        const std::uint64_t mac = slots_[i].mac.load(std::memory_order_relaxed);      // (56)
        const std::uint64_t use = slots_[i].use.load(std::memory_order_relaxed);
        const Timing timing =
            generation_of(word) == generation_of(key) ? Timing::read(word) : Timing{};
        const bool resolved = timing.has_mac();
        if (resolved && generation_of(mac) != generation_of(key)) continue;  // Reclaimed just now.
        entries.push_back({static_cast<std::uint16_t>((key >> 32 & 0xffff) - 1),
                           V4Address::from_host(static_cast<std::uint32_t>(key)),
                           (use & Use::fixed) != 0 ? NeighborState::fixed : timing.state,
                           resolved ? unpack(mac) : nat::MacAddress{}, Use::last_ms(use)});
    }
    return entries;
}

}  // namespace noclash::dpdk
