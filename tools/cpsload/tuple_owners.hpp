// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstdint>
#include <optional>
#include <vector>

#include "tools/cpsload/frame.hpp"

namespace noclash::cpsload {

/// Which connection each translated tuple belongs to, for as long as the connection lives: two that
/// share one could not be told apart by a real server. A hash table with linear probing, at most
/// half full. One thread.
class TupleOwners {
  public:
    explicit TupleOwners(std::uint32_t connections)
        : entries_(std::bit_ceil(std::size_t{connections} * 2)), mask_(entries_.size() - 1) {}

    /// Gives the tuple to the connection in `slot` unless it has an owner.
    /// @returns whether the tuple is this connection's now
    bool claim(const Ends& ends, std::uint8_t protocol, std::uint32_t slot) {
        std::size_t at = home(ends, protocol);
        for (; entries_[at].used; at = (at + 1) & mask_)
            if (entries_[at].is(ends, protocol)) return entries_[at].slot == slot;
        entries_[at] = {ends, slot, protocol, true};
        return true;
    }

    [[nodiscard]] std::optional<std::uint32_t> owner(const Ends& ends,
                                                     std::uint8_t protocol) const {
        for (std::size_t at = home(ends, protocol); entries_[at].used; at = (at + 1) & mask_)
            if (entries_[at].is(ends, protocol)) return entries_[at].slot;
        return std::nullopt;
    }

    /// Takes the tuple back, if it belongs to the connection in `slot`.
    void release(const Ends& ends, std::uint8_t protocol, std::uint32_t slot) {
        for (std::size_t at = home(ends, protocol); entries_[at].used; at = (at + 1) & mask_) {
            if (!entries_[at].is(ends, protocol)) continue;
            if (entries_[at].slot == slot) erase(at);
            return;
        }
    }

  private:
    struct Entry {
        Ends ends;
        std::uint32_t slot = 0;
        std::uint8_t protocol = 0;
        bool used = false;

        [[nodiscard]] bool is(const Ends& other, std::uint8_t of) const {
            return ends == other && protocol == of;
        }
    };

    [[nodiscard]] std::size_t home(const Ends& ends, std::uint8_t protocol) const {
        const std::uint64_t ports = std::uint64_t{ends.source_port} << 16U | ends.destination_port;
        const std::uint64_t addresses =
            std::uint64_t{ends.source.value.wire()} << 32U | ends.destination.value.wire();
        std::uint64_t mixed = (addresses ^ protocol) * 0x9e3779b97f4a7c15U;
        mixed = (mixed ^ (mixed >> 29U) ^ ports) * 0xbf58476d1ce4e5b9U;
        return (mixed >> 32U) & mask_;
    }

    /// Closes the gap at `hole`: entries behind it that it kept from their place move up.
    void erase(std::size_t hole) {
        for (std::size_t at = (hole + 1) & mask_; entries_[at].used; at = (at + 1) & mask_) {
            const std::size_t wanted = home(entries_[at].ends, entries_[at].protocol);
            if (((at - wanted) & mask_) < ((at - hole) & mask_)) continue;
            entries_[hole] = entries_[at];
            hole = at;
        }
        entries_[hole].used = false;
    }

    std::vector<Entry> entries_;
    std::size_t mask_;
};

}  // namespace noclash::cpsload
