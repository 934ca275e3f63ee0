// SPDX-License-Identifier: Apache-2.0
#pragma once

// Any bytes as fragments that come to a `ReassemblyStore`, beside a model of it that is simple
// enough to be believed: for each packet, the fragments themselves and a map of the bytes that are
// there. The fuzzer drives it, and a unit test with random bytes.

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <map>
#include <memory>
#include <span>
#include <tuple>
#include <vector>

#include "nat/fragments/reassembly_store.hpp"

namespace noclash::nat::test {

struct FragmentBuffer {
    std::uint8_t key = 0;
    std::uint32_t begin = 0;
    bool last = false;
    std::vector<std::uint8_t> bytes;
    [[nodiscard]] std::uint32_t end() const {
        return begin + static_cast<std::uint32_t>(bytes.size());
    }
};

/// Told what became of each buffer.
class BufferSink {
  public:
    enum class What : std::uint8_t { dropped, copied, joined };
    using Event = std::tuple<const FragmentBuffer*, What, DropReason>;

    void drop(void* buffer, DropReason reason) { tell(buffer, What::dropped, reason); }
    void copy(void* buffer) { tell(buffer, What::copied, DropReason::none); }
    void whole(const PiecePool& pool, const PieceList& pieces) {
        std::uint32_t end = 0;
        const std::uint8_t key = of(pool.piece(pieces.first()).buffer)->key;
        for (std::uint32_t at = pieces.first(); at != no_index; at = pool.next(at)) {
            const Piece& piece = pool.piece(at);
            const FragmentBuffer* buffer = of(piece.buffer);
            require(piece.begin == end && buffer->key == key && buffer->begin == piece.begin);
            end = piece.end;
            require(buffer->last == (end == pieces.payload_bytes()));
            tell(piece.buffer, What::joined, DropReason::none);
        }
        require(end == pieces.payload_bytes());
    }

    std::vector<Event> events;

    static void require(bool condition) {
        if (!condition) std::abort();
    }

  private:
    static const FragmentBuffer* of(void* buffer) {
        return static_cast<const FragmentBuffer*>(buffer);
    }
    void tell(void* buffer, What what, DropReason reason) {
        events.emplace_back(of(buffer), what, reason);
    }
};

/// The model of a store that never lacks room.
class ReassemblyModel {
  public:
    using What = BufferSink::What;

    explicit ReassemblyModel(std::uint64_t timeout_ms) : timeout_ms_(timeout_ms) {}

    void expire(std::uint64_t now_ms, std::vector<BufferSink::Event>& events) {
        for (auto at = packets_.begin(); at != packets_.end();) {
            const bool over = now_ms - at->second.since_ms > timeout_ms_;
            if (over) give_up(at->second, DropReason::fragment_timeout, events);
            at = over ? packets_.erase(at) : std::next(at);
        }
    }

    void add(const FragmentBuffer& fragment, std::uint64_t now_ms,
             std::vector<BufferSink::Event>& events) {
        const auto [at, is_new] = packets_.try_emplace(fragment.key);
        Packet& packet = at->second;
        if (packet.reason != DropReason::none)
            return events.emplace_back(&fragment, What::dropped, packet.reason), void();
        if (is_new || packet.done) {
            packet.again = packet.done;
            packet.done = false;
            packet.since_ms = now_ms;
        }
        if (is_copy(packet, fragment))
            return events.emplace_back(&fragment, What::copied, DropReason::none), void();
        DropReason wrong = DropReason::none;
        if (packet.parts.size() == most_pieces)
            wrong = DropReason::fragment_count;
        else if (contradicts(packet, fragment))
            wrong = DropReason::fragment_overlap;
        packet.parts.push_back(&fragment);
        if (wrong != DropReason::none) {
            packet.again = false;
            give_up(packet, wrong, events);
            packet.reason = wrong;
            packet.since_ms = now_ms;
        } else if (is_whole(packet)) {
            for (const FragmentBuffer* part : packet.parts)
                events.emplace_back(part, What::joined, DropReason::none);
            packet = {};
            packet.done = true;
            packet.since_ms = now_ms;
        }
    }

  private:
    struct Packet {
        std::vector<const FragmentBuffer*> parts;
        std::uint64_t since_ms = 0;
        bool done = false;
        bool again = false;
        DropReason reason = DropReason::none;
    };

    static void give_up(Packet& packet, DropReason reason, std::vector<BufferSink::Event>& events) {
        for (const FragmentBuffer* part : packet.parts) {
            if (packet.again)
                events.emplace_back(part, What::copied, DropReason::none);
            else
                events.emplace_back(part, What::dropped, reason);
        }
        packet.parts.clear();
    }
    static bool is_copy(const Packet& packet, const FragmentBuffer& fragment) {
        return std::any_of(packet.parts.begin(), packet.parts.end(), [&](const auto* part) {
            return part->begin == fragment.begin && part->last == fragment.last &&
                   part->bytes == fragment.bytes;
        });
    }
    static std::vector<bool> map_of(const Packet& packet) {
        std::vector<bool> there(65536);
        for (const FragmentBuffer* part : packet.parts)
            std::fill(there.begin() + part->begin, there.begin() + part->end(), true);
        return there;
    }
    static bool contradicts(const Packet& packet, const FragmentBuffer& fragment) {
        const std::vector<bool> there = map_of(packet);
        if (std::any_of(there.begin() + fragment.begin, there.begin() + fragment.end(),
                        [](bool byte) { return byte; }))
            return true;
        return std::any_of(packet.parts.begin(), packet.parts.end(), [&](const auto* part) {
            return (part->last && fragment.end() >= part->end()) ||
                   (fragment.last && part->end() >= fragment.end());
        });
    }
    static bool is_whole(const Packet& packet) {
        const auto last = std::find_if(packet.parts.begin(), packet.parts.end(),
                                       [](const auto* part) { return part->last; });
        if (last == packet.parts.end()) return false;
        const std::vector<bool> there = map_of(packet);
        return std::all_of(there.begin(), there.begin() + (*last)->end(),
                           [](bool byte) { return byte; });
    }

    std::uint64_t timeout_ms_;
    std::map<std::uint8_t, Packet> packets_;
};

/// Takes five bytes of input for each fragment: key, place, length, and what else there is.
class ReassemblyDriver {
  public:
    static constexpr std::size_t input_bytes = 5;
    static constexpr std::uint64_t timeout_ms = 100;

    /// With want of room, only what must always hold is checked.
    ReassemblyDriver(std::uint32_t capacity, std::uint32_t per_source, bool want_of_room)
        : per_source_(per_source),
          capacity_(capacity),
          want_of_room_(want_of_room),
          store_({capacity, per_source, timeout_ms}) {}

    void drive(std::span<const std::uint8_t> input) {
        for (; input.size() >= input_bytes; input = input.subspan(input_bytes))
            step(input.first<input_bytes>());
        BufferSink sink;
        store_.clear(sink);
        settle(sink.events);
        BufferSink::require(store_.waiting() == 0 && buffers_.empty());
    }
    /// Packets that became whole.
    [[nodiscard]] std::uint64_t wholes() const { return wholes_; }

  private:
    using Event = BufferSink::Event;

    void step(std::span<const std::uint8_t, input_bytes> input) {
        if ((input[4] & 0xf0U) == 0xf0U) now_ms_ += input[3];
        BufferSink sink;
        store_.expire(now_ms_, sink);
        std::vector<Event> expected;
        if (!want_of_room_) model_.expire(now_ms_, expected);
        FragmentBuffer& fragment = make(input);
        const Piece piece{&fragment,
                          fragment.bytes.data(),
                          fragment.begin,
                          fragment.end(),
                          static_cast<std::uint16_t>(20 + fragment.bytes.size()),
                          fragment.last};
        const std::uint8_t key = fragment.key;
        if (!want_of_room_) model_.add(fragment, now_ms_, expected);
        store_.add(
            fragment_key<V4>(V4Address::from_host(key & 3U), V4Address::from_host(9), 17, key, 0),
            piece, now_ms_, sink);
        if (!want_of_room_) {
            std::sort(expected.begin(), expected.end());
            std::sort(sink.events.begin(), sink.events.end());
            BufferSink::require(expected == sink.events);
        }
        settle(sink.events);
        check_bounds();
    }

    FragmentBuffer& make(std::span<const std::uint8_t, input_bytes> input) {
        auto buffer = std::make_unique<FragmentBuffer>();
        buffer->key = input[0] & 7U;
        buffer->begin = input[1] * 8U;
        buffer->last = (input[4] & 1U) != 0;
        // Few lengths, so that fragments often meet.
        const std::uint32_t length = buffer->last ? 1 + input[2] % 9U : 8 + input[2] % 3U * 8;
        for (std::uint32_t i = 0; i < length; ++i)
            buffer->bytes.push_back(static_cast<std::uint8_t>(buffer->begin + i));
        if ((input[4] & 0xeU) == 0xeU) buffer->bytes.back() ^= 1;
        FragmentBuffer& made = *buffer;
        buffers_[&made] = std::move(buffer);
        return made;
    }

    /// Each buffer comes back once.
    void settle(const std::vector<Event>& events) {
        for (const auto& [buffer, what, reason] : events) {
            if (what == BufferSink::What::joined && buffer->last) ++wholes_;
            BufferSink::require(buffers_.erase(buffer) == 1);
        }
    }
    void check_bounds() {
        std::array<std::uint32_t, 4> held{};
        for (const auto& entry : buffers_)
            ++held[entry.first->key & 3U];
        BufferSink::require(buffers_.size() == store_.waiting() && store_.waiting() <= capacity_);
        BufferSink::require(*std::max_element(held.begin(), held.end()) <= per_source_);
    }

    std::uint32_t per_source_;
    std::uint32_t capacity_;
    bool want_of_room_;
    ReassemblyStore<V4> store_;
    ReassemblyModel model_{timeout_ms};
    std::map<const FragmentBuffer*, std::unique_ptr<FragmentBuffer>> buffers_;
    std::uint64_t now_ms_ = 1000;
    std::uint64_t wholes_ = 0;
};

}  // namespace noclash::nat::test
